"""The broker's consumers that a subscription has."""

from hashlib import blake2b

from ontomesh_event_gateway.domain.model import PARTITIONS
from ontomesh_event_gateway.domain.subscription import Ordering, Subscription
from ontomesh_event_gateway.ports import Lane

_DIGEST_BYTES = 12


def lanes_of(one: Subscription) -> list[Lane]:
    """One lane for all events in no order; or one for each partition with an event out at a time."""
    if one.ordering is Ordering.BY_KEY:
        return [_lane(one, partition, 1) for partition in range(PARTITIONS)]
    return [_lane(one, None, one.max_outstanding)]


def _lane(one: Subscription, partition: int | None, max_pending: int) -> Lane:
    # Names of subscriptions may be longer than a consumer's, and hold dots, which those may not.
    digest = blake2b(one.name.encode(), digest_size=_DIGEST_BYTES).hexdigest()
    return Lane(
        name=f"sub-{digest}-{one.generation}" + ("" if partition is None else f"-{partition}"),
        subscription=one.name,
        generation=one.generation,
        partition=partition,
        start_sequence=one.start_sequence,
        types=one.filter.exact_types,
        ack_wait=one.ack_deadline,
        max_pending=max_pending,
    )
