"""Subscriptions: making, finding, changing, moving and deleting them."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, replace

from ontomesh_event_gateway.domain.caller import Caller
from ontomesh_event_gateway.domain.catalog import Catalog
from ontomesh_event_gateway.domain.consuming import Consuming, require_consume, require_owner
from ontomesh_event_gateway.domain.lanes import lanes_of
from ontomesh_event_gateway.domain.paging import make_token, page_size, read_token
from ontomesh_event_gateway.domain.starting import Starting
from ontomesh_event_gateway.domain.subscription import SECOND, Start, Subscription, check, is_name
from ontomesh_event_gateway.errors import BrokerUnavailable, EtagMismatch, InvalidRequest
from ontomesh_event_gateway.ports import AttemptLog, Consumers, DeadLetterStore, EventLog

logger = logging.getLogger(__name__)

CHANGEABLE = (
    "description",
    "filter",
    "ack_deadline",
    "max_attempts",
    "max_outstanding",
    "attempt_records",
    "labels",
)
CLEAR_SECONDS = 5.0
LOOK_SECONDS = 600.0
LEFT_BEHIND = 600 * SECOND
CONFLICTS = 5
"""How often a change is tried again when others changed the same subscription meanwhile."""


@dataclass(frozen=True, slots=True)
class SubscriptionPage:
    """Subscriptions by name."""

    subscriptions: tuple[Subscription, ...]
    next_page_token: str


@dataclass(frozen=True, slots=True)
class SubscriptionStatus:
    """How far a subscription has come; see the contract."""

    pending: int
    outstanding: int
    redelivering: int
    dead_letters: int
    acknowledged_sequence: int
    consumers: int


class Subscriptions:
    """The domain of `SubscriptionService`."""

    def __init__(
        self,
        catalog: Catalog,
        consuming: Consuming,
        consumers: Consumers,
        events: EventLog,
        dead: DeadLetterStore,
        attempts: AttemptLog,
        up_to_date: Callable[[], Awaitable[None]],
    ) -> None:
        self._catalog = catalog
        self._consuming = consuming
        self._consumers = consumers
        self._events = events
        self._starting = Starting(events)
        self._dead = dead
        self._attempts = attempts
        self._up_to_date = up_to_date

    async def create(self, caller: Caller, asked: Subscription, claim: tuple[str, ...] | None) -> Subscription:
        """Makes a subscription, whose owner is the caller with what its token claims."""
        check(asked)
        require_consume(caller, asked.name)
        sequence = await self._starting.sequence(asked.start, "start")
        await self._clear(asked.name)
        now = _now()
        made = replace(
            asked,
            paused=False,
            owner=caller.principal,
            claim=claim,
            create_time=now,
            update_time=now,
            generation=_generation(now),
            start_sequence=sequence,
            etag="",
        )
        return await self._catalog.add(made)

    def get(self, caller: Caller, name: str) -> Subscription:
        """A subscription."""
        if not is_name(name):
            raise InvalidRequest.at("name", "is no subscription's name")
        require_consume(caller, name)
        return self._catalog.get(name)

    def list(self, caller: Caller, asked: int, page_token: str, labels: Mapping[str, str]) -> SubscriptionPage:
        """A page of the subscriptions that the caller may consume from."""
        size = page_size(asked)
        listing = ("subscriptions", tuple(sorted(labels.items())))
        after = read_token(listing, page_token) if page_token else ""
        wanted = labels.items()
        page: list[Subscription] = []
        for name in sorted(name for name in self._catalog.all() if name > after):
            one = self._catalog.all()[name]
            if wanted <= one.labels.items() and caller.rights.allows_event("consume", None, name):
                page.append(one)
                if len(page) > size:
                    break
        more = len(page) > size
        return SubscriptionPage(tuple(page[:size]), make_token(listing, page[size - 1].name) if more else "")

    async def update(self, caller: Caller, asked: Subscription, mask: Collection[str]) -> Subscription:
        """Changes the fields of the mask; the etag, if set, must be the current one."""
        for index, name in enumerate(mask):
            if name not in CHANGEABLE:
                raise InvalidRequest.at(f"update_mask.paths[{index}]", f"{name!r} is none of {', '.join(CHANGEABLE)}")
        if not mask:
            raise InvalidRequest.at("update_mask", "names no field")
        fields = {name: getattr(asked, name) for name in mask}

        def change(current: Subscription) -> Subscription:
            changed = replace(current, **fields)
            check(changed)
            return changed

        changed = await self._change(caller, asked.name, "change it", change, asked.etag)
        await self._adapt(changed)
        return changed

    async def delete(self, caller: Caller, name: str, etag: str) -> None:
        """Deletes a subscription with all that is its own."""
        one = self.get(caller, name)
        require_owner(caller, one, "delete it")
        if etag and etag != one.etag:
            raise self._catalog.mismatch(name)
        await self._catalog.remove(one)
        await self._drop_lanes(one)
        await self._forget(name)

    async def _clear(self, name: str) -> None:
        """Takes out what a namesake left whose deletion failed halfway, or that was written meanwhile."""
        try:
            async with asyncio.timeout(CLEAR_SECONDS):
                await self._up_to_date()
        except TimeoutError:
            raise BrokerUnavailable("the broker does not tell which subscriptions there are") from None
        if name not in self._catalog.all():
            await self._forget(name)

    async def _forget(self, name: str) -> None:
        await asyncio.gather(self._dead.forget(name), self._attempts.forget(name), self._events.forget(name))

    async def pause(self, caller: Caller, name: str) -> Subscription:
        """Stops deliveries."""
        return await self._change(caller, name, "pause it", lambda one: replace(one, paused=True))

    async def resume(self, caller: Caller, name: str) -> Subscription:
        """Goes on with deliveries."""
        return await self._change(caller, name, "resume it", lambda one: replace(one, paused=False))

    async def replay(self, caller: Caller, name: str, start: Start) -> Subscription:
        """Moves a subscription's position."""
        before = self.get(caller, name)
        require_owner(caller, before, "replay it")
        sequence = await self._starting.sequence(start, "start")
        generation = _generation(_now())
        moved = await self._change(
            caller, name, "replay it", lambda one: replace(one, generation=generation, start_sequence=sequence)
        )
        await self._drop_lanes(before)
        return moved

    async def status(self, caller: Caller, name: str) -> SubscriptionStatus:
        """How far a subscription has come."""
        one = self.get(caller, name)
        lanes = await asyncio.gather(*(self._consumers.inspect(lane.name) for lane in lanes_of(one)))
        made = [lane for lane in lanes if lane is not None]
        first, last, _ = await self._events.bounds()
        begin = max(one.start_sequence, first)
        # Lanes without a consumer have not looked at anything yet; what they will is not known by lane.
        pending = sum(lane.pending for lane in made) if len(made) == len(lanes) else max(last + 1 - begin, 0)
        done = [max(lane.acknowledged, begin - 1) for lane in made if lane.pending or lane.outstanding]
        pump = self._consuming.pumps.get(name)
        return SubscriptionStatus(
            pending=pending,
            outstanding=sum(lane.outstanding for lane in made),
            redelivering=sum(lane.redelivering for lane in made),
            dead_letters=await self._dead.count(name),
            acknowledged_sequence=min(done, default=last) if len(made) == len(lanes) else begin - 1,
            consumers=0 if pump is None else len(pump.members),
        )

    async def look_after(self) -> None:
        """Deletes, now and then until cancelled, the consumers that subscriptions left behind."""
        while True:
            await self._consumers.wait_connected()
            try:
                if self._catalog.is_loaded:
                    await self._sweep()
            except BrokerUnavailable as fault:
                logger.debug("looking for consumers that are left behind: %s", fault.message)
            await asyncio.sleep(LOOK_SECONDS)

    async def _sweep(self) -> None:
        """Deletes consumers of subscriptions that were deleted or moved while whoever did it could not."""
        known = self._catalog.all()
        for lane in await self._consumers.all():
            one = known.get(lane.subscription)
            # What is young may belong to a change that is under way here.
            is_old = lane.created < _now() - LEFT_BEHIND
            if is_old and (one is None or lane.generation < one.generation):
                await self._consumers.delete(lane.name)
                logger.info("deleted a consumer that subscription %s had left behind", lane.subscription)

    async def _change(
        self, caller: Caller, name: str, act: str, change: Callable[[Subscription], Subscription], etag: str = ""
    ) -> Subscription:
        for attempt in range(CONFLICTS):
            one = self.get(caller, name)
            require_owner(caller, one, act)
            if etag and etag != one.etag:
                raise self._catalog.mismatch(name)
            changed = change(one)
            if changed == one:
                return one
            try:
                return await self._catalog.change(replace(changed, update_time=_now()))
            except EtagMismatch:
                if etag or attempt == CONFLICTS - 1:
                    raise
                # The copy is a moment behind whoever changed it.
                await asyncio.sleep(0.02 * 2**attempt)
        raise self._catalog.mismatch(name)

    async def _adapt(self, one: Subscription) -> None:
        """Changes the consumers that there are; those that are made later are made as they must be."""
        while True:
            for lane in lanes_of(one):
                if await self._consumers.inspect(lane.name) is not None:
                    await self._consumers.ensure(lane)
            latest = self._catalog.all().get(one.name)
            if latest is None or latest.etag == one.etag:
                return
            # It was changed meanwhile: what that did to the consumers may have been undone here.
            one = latest

    async def _drop_lanes(self, one: Subscription) -> None:
        for lane in lanes_of(one):
            try:
                await self._consumers.delete(lane.name)
            except BrokerUnavailable as fault:
                logger.warning("a consumer of subscription %s stays for now: %s", one.name, fault.message)
                return


def _now() -> int:
    return time.time_ns() // 1000


def _generation(now: int) -> str:
    """A name for a position; later ones sort behind earlier ones."""
    return f"{now:014x}"
