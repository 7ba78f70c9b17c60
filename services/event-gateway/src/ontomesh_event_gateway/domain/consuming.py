"""Consuming: the groups that are attached to this process."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from ontomesh_event_gateway.domain.caller import Caller
from ontomesh_event_gateway.domain.catalog import Catalog
from ontomesh_event_gateway.domain.member import MAX_CREDIT, Member
from ontomesh_event_gateway.domain.pump import Pump, Surroundings
from ontomesh_event_gateway.domain.subscription import Subscription, is_name
from ontomesh_event_gateway.errors import BrokerUnavailable, InvalidRequest, PermissionDenied

MAX_CONSUMER_BYTES = 128


class Consuming:
    """Attaches consumers to subscriptions, one pump for each that has any."""

    def __init__(self, catalog: Catalog, around: Surroundings) -> None:
        self._catalog = catalog
        self._around = around
        self._pumps: dict[str, Pump] = {}
        catalog.on_change(self._changed)
        around.consumers.on_lost(self._lost)

    @property
    def pumps(self) -> Mapping[str, Pump]:
        """Those that have members, by subscription."""
        return self._pumps

    @asynccontextmanager
    async def attached(
        self, caller: Caller, subscription: str, credit: int, consumer: str
    ) -> AsyncIterator[tuple[Pump, Member]]:
        """A member of a subscription's group for a block; at its end what it has not answered is wanted again.

        Raises InvalidRequest, SubscriptionNotFound, PermissionDenied, BrokerUnavailable.
        """
        if not is_name(subscription):
            raise InvalidRequest.at("start.subscription", "is no subscription's name")
        if not 0 <= credit <= MAX_CREDIT:
            raise InvalidRequest.at("start.credit", f"is from 0 to {MAX_CREDIT:,}")
        if len(consumer.encode()) > MAX_CONSUMER_BYTES:
            raise InvalidRequest.at("start.consumer", f"is longer than {MAX_CONSUMER_BYTES} bytes")
        require_consume(caller, subscription)
        one = self._catalog.get(subscription)
        if one.owner != caller.principal:
            raise not_owner(caller, one, "consume")
        if not self._around.consumers.is_connected:
            raise BrokerUnavailable("there is no connection to the broker")
        member = Member(consumer, credit)
        pump = self._pumps.get(subscription)
        if pump is None:
            pump = self._pumps[subscription] = Pump(self._around, one)
        try:
            await pump.attach(member)
            yield pump, member
        finally:
            pump.detach(member)
            if not pump.members and self._pumps.get(subscription) is pump:
                del self._pumps[subscription]

    def _changed(self, name: str, one: Subscription | None) -> None:
        pump = self._pumps.get(name)
        if pump is not None:
            if one is not None and one.create_time != pump.subscription.create_time:
                # Its own was deleted: another has its name now, and maybe another owner.
                one = None
            pump.change(one)
            if one is None:
                del self._pumps[name]

    def _lost(self) -> None:
        for pump in self._pumps.values():
            pump.lost()


def require_consume(caller: Caller, subscription: str) -> None:
    """Raises PermissionDenied unless the caller may consume by the subscription."""
    if not caller.rights.allows_event("consume", None, subscription):
        raise PermissionDenied(
            f"{caller.principal} lacks the right to consume by subscription {subscription!r}",
            (),
            {"principal": caller.principal, "right": "consume", "subscription": subscription},
        )


def require_owner(caller: Caller, one: Subscription, act: str) -> None:
    """Raises PermissionDenied unless the caller owns the subscription or has `admin` on every database."""
    if one.owner != caller.principal and not caller.rights.allows_everywhere("admin"):
        raise not_owner(caller, one, act)


def not_owner(caller: Caller, one: Subscription, act: str) -> PermissionDenied:
    """The refusal of what is the owner's."""
    return PermissionDenied(
        f"{caller.principal} may not {act}: subscription {one.name!r} is {one.owner}'s",
        (),
        {"principal": caller.principal, "right": "consume", "subscription": one.name},
    )
