"""Between subscriptions as messages and as the domain sees them."""

from collections.abc import Mapping
from typing import TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from ontomesh.events.v1 import dead_letter_service_pb2 as dead_pb
from ontomesh.events.v1 import subscription_pb2 as pb
from ontomesh.events.v1 import subscription_service_pb2 as service_pb
from ontomesh_event_gateway.domain.attempts import Attempt, AttemptOutcome
from ontomesh_event_gateway.domain.filters import AttributeFilter, Filter
from ontomesh_event_gateway.domain.subscription import (
    DEFAULT_ACK_DEADLINE,
    DEFAULT_ATTEMPTS,
    DEFAULT_OUTSTANDING,
    AttemptRecords,
    Ordering,
    Point,
    Start,
    Subscription,
)
from ontomesh_event_gateway.domain.subscriptions import SubscriptionStatus
from ontomesh_event_gateway.doors.convert import event_proto, time_proto
from ontomesh_event_gateway.errors import InvalidRequest
from ontomesh_event_gateway.ports import DeadLetter

_ORDERINGS: dict[int, Ordering] = {
    pb.ORDERING_UNSPECIFIED: Ordering.UNORDERED,
    pb.ORDERING_UNORDERED: Ordering.UNORDERED,
    pb.ORDERING_BY_KEY: Ordering.BY_KEY,
}
_RECORDS: dict[int, AttemptRecords] = {
    pb.ATTEMPT_RECORDS_UNSPECIFIED: AttemptRecords.FAILURES,
    pb.ATTEMPT_RECORDS_FAILURES: AttemptRecords.FAILURES,
    pb.ATTEMPT_RECORDS_ALL: AttemptRecords.ALL,
}
_ORDERING_PROTOS = {
    Ordering.UNORDERED: pb.ORDERING_UNORDERED,
    Ordering.BY_KEY: pb.ORDERING_BY_KEY,
}
_RECORD_PROTOS = {
    AttemptRecords.FAILURES: pb.ATTEMPT_RECORDS_FAILURES,
    AttemptRecords.ALL: pb.ATTEMPT_RECORDS_ALL,
}
_OUTCOMES = {
    AttemptOutcome.ACKNOWLEDGED: dead_pb.Attempt.OUTCOME_ACKNOWLEDGED,
    AttemptOutcome.NAK: dead_pb.Attempt.OUTCOME_NAK,
    AttemptOutcome.EXPIRED: dead_pb.Attempt.OUTCOME_EXPIRED,
    AttemptOutcome.DEAD_LETTERED: dead_pb.Attempt.OUTCOME_DEAD_LETTERED,
    AttemptOutcome.REDRIVEN: dead_pb.Attempt.OUTCOME_REDRIVEN,
}
T = TypeVar("T")

_PARTS = ("types", "sources", "subjects", "classes", "databases", "branches", "operations", "paths")


def microseconds(moment: Timestamp, field: str) -> int:
    """A point in time. Raises InvalidRequest."""
    try:
        moment.ToJsonString()
    except ValueError:
        raise InvalidRequest.at(field, "is no point in time from year 1 to 9999") from None
    return moment.ToMicroseconds()


def span(duration: Duration, field: str) -> int:
    """A duration in microseconds. Raises InvalidRequest."""
    try:
        duration.ToJsonString()
    except ValueError:
        raise InvalidRequest.at(field, "is no duration") from None
    return duration.ToMicroseconds()


def subscription(message: pb.Subscription) -> Subscription:
    """A subscription as it is asked for. Raises InvalidRequest, its fields relative to it."""
    return Subscription(
        name=message.name,
        description=message.description,
        filter=filter_(message.filter),
        start=start(message.start, "start"),
        ordering=_known(_ORDERINGS, message.ordering, "ordering"),
        ack_deadline=(
            span(message.ack_deadline, "ack_deadline") if message.HasField("ack_deadline") else DEFAULT_ACK_DEADLINE
        ),
        max_attempts=message.max_attempts or DEFAULT_ATTEMPTS,
        max_outstanding=message.max_outstanding or DEFAULT_OUTSTANDING,
        attempt_records=_known(_RECORDS, message.attempt_records, "attempt_records"),
        labels=dict(message.labels),
        etag=message.etag,
    )


def filter_(message: pb.Filter) -> Filter:
    """A filter."""
    return Filter(
        attributes=tuple(AttributeFilter(one.name, tuple(one.patterns)) for one in message.attributes),
        **{part: tuple(getattr(message, part)) for part in _PARTS},
    )


def start(message: pb.StartPoint, field: str) -> Start:
    """A start point. Raises InvalidRequest."""
    match message.WhichOneof("point"):
        case None:
            return Start()
        case "only_new" | "all" as name:
            if not getattr(message, name):
                raise InvalidRequest.at(f"{field}.{name}", "is true if it is set")
            return Start(Point.NEW if name == "only_new" else Point.ALL)
        case "sequence":
            return Start(Point.SEQUENCE, message.sequence)
        case _:
            return Start(Point.TIME, microseconds(message.time, f"{field}.time"))


def subscription_proto(one: Subscription) -> pb.Subscription:
    """A subscription as it is."""
    message = pb.Subscription(
        name=one.name,
        description=one.description,
        filter=filter_proto(one.filter),
        start=start_proto(one.start),
        ordering=_ORDERING_PROTOS[one.ordering],
        max_attempts=one.max_attempts,
        max_outstanding=one.max_outstanding,
        attempt_records=_RECORD_PROTOS[one.attempt_records],
        labels=one.labels,
        paused=one.paused,
        owner=one.owner,
        create_time=time_proto(one.create_time),
        update_time=time_proto(one.update_time),
        etag=one.etag,
    )
    message.ack_deadline.FromMicroseconds(one.ack_deadline)
    return message


def filter_proto(one: Filter) -> pb.Filter:
    """A filter's message."""
    attributes = [pb.AttributeFilter(name=each.name, patterns=each.patterns) for each in one.attributes]
    return pb.Filter(attributes=attributes, **{part: getattr(one, part) for part in _PARTS})


def start_proto(one: Start) -> pb.StartPoint:
    """A start point's message."""
    match one.point:
        case Point.NEW:
            return pb.StartPoint(only_new=True)
        case Point.ALL:
            return pb.StartPoint(all=True)
        case Point.SEQUENCE:
            return pb.StartPoint(sequence=one.value)
        case Point.TIME:
            return pb.StartPoint(time=time_proto(one.value))


def status_proto(one: SubscriptionStatus) -> service_pb.GetSubscriptionStatusResponse:
    """How far a subscription has come."""
    return service_pb.GetSubscriptionStatusResponse(
        pending=one.pending,
        outstanding=one.outstanding,
        redelivering=one.redelivering,
        dead_letters=one.dead_letters,
        acknowledged_sequence=one.acknowledged_sequence,
        consumers=one.consumers,
    )


def dead_letter_proto(one: DeadLetter) -> dead_pb.DeadLetter:
    """A dead letter."""
    return dead_pb.DeadLetter(
        id=one.id,
        subscription=one.subscription,
        event=event_proto(one.event),
        error=one.error,
        attempts=one.attempts,
        sequence=one.sequence,
        create_time=time_proto(one.create_time),
    )


def attempt_proto(one: Attempt) -> dead_pb.Attempt:
    """What a delivery came to."""
    return dead_pb.Attempt(
        subscription=one.subscription,
        event_id=one.event_id,
        event_source=one.event_source,
        event_type=one.event_type,
        sequence=one.sequence,
        attempt=one.attempt,
        outcome=_OUTCOMES[one.outcome],
        error=one.error,
        consumer=one.consumer,
        start_time=time_proto(one.start_time),
        end_time=time_proto(one.end_time),
    )


def _known(table: Mapping[int, T], value: int, field: str) -> T:
    try:
        return table[value]
    except KeyError:
        raise InvalidRequest.at(field, f"{value} is no value of the contract") from None
