"""What moves a subscription's events from the broker to the members of its group that are attached here."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from ontomesh_event_gateway.domain.attempts import AttemptOutcome
from ontomesh_event_gateway.domain.endings import Endings
from ontomesh_event_gateway.domain.filters import compile_filter
from ontomesh_event_gateway.domain.lanes import lanes_of
from ontomesh_event_gateway.domain.member import Flight, Member
from ontomesh_event_gateway.domain.model import Event
from ontomesh_event_gateway.domain.rights import RightsOf, gate
from ontomesh_event_gateway.domain.subscription import SECOND, AttemptRecords, Ordering, Subscription
from ontomesh_event_gateway.errors import BrokerUnavailable, GatewayError, InvalidEvent, SubscriptionNotFound
from ontomesh_event_gateway.ports import (
    Arrival,
    AttemptLog,
    ConsumerMeter,
    Consumers,
    DeadLetters,
    Decode,
    EventLog,
    Hop,
    Lane,
    Pull,
)

logger = logging.getLogger(__name__)

RETRY_SECONDS = 0.25
LANE_BATCH = 32
"""How many a lane that has one event out at a time is asked for at once."""
MOST_ASKED = 2_000
"""How many a lane is asked for at once, whatever credit there is: what is asked for may all come."""
HOLD_SECONDS = 0.5
"""For how long events wait here for credit before members elsewhere get them."""
ATTACH_SECONDS = 5.0
LATE = "the ack_deadline passed"
GONE = "the consumer went away"
NEVER_ANSWERED = "no attempt was answered within the ack_deadline"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every pump works with."""

    consumers: Consumers
    events: EventLog
    dead: DeadLetters
    attempts: AttemptLog
    meter: ConsumerMeter
    decode: Decode
    rights_of: RightsOf
    hop: Hop
    up_to_date: Callable[[], Awaitable[None]]
    """Returns once this replica knows of all changes of subscriptions before the broker was last reached."""


class _Way:
    """A lane and the pull that is open on it."""

    __slots__ = ("ensured", "lane", "pull")

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.ensured = False
        self.pull: Pull | None = None


class Pump:
    """A subscription's group, as far as it is attached to this process."""

    def __init__(self, around: Surroundings, subscription: Subscription) -> None:
        self._around = around
        self.members: list[Member] = []
        self._turn_of = 0
        self._held: deque[tuple[Arrival, Event, float]] = deque()
        self._filling = False
        self._turn = asyncio.Event()
        self._settled = asyncio.Event()
        self._endings = Endings(lambda: self.subscription, around.events, around.dead, around.attempts, around.meter)
        self._tasks: list[asyncio.Task[None]] = []
        self._ways: list[_Way] = []
        self._take_up(subscription)

    @property
    def pending(self) -> int:
        """Events that the subscription has not looked at yet, as of the last that came."""
        return sum(way.pull.pending for way in self._ways if way.pull is not None)

    @property
    def outstanding(self) -> int:
        """Events that are with the members."""
        return sum(len(member.flights) for member in self.members)

    # --- members

    async def attach(self, member: Member) -> None:
        """Takes a member in, and returns when it gets what comes, or the subscription is paused.

        Raises BrokerUnavailable.
        """
        self.members.append(member)
        if not self._tasks:
            self._tasks = [asyncio.create_task(self._run()), asyncio.create_task(self._watch_deadlines())]
        self._turn.set()
        self._share_held()
        self._fill_soon()
        try:
            async with asyncio.timeout(ATTACH_SECONDS):
                await self._settled.wait()
        except TimeoutError:
            raise BrokerUnavailable("the broker does not open the subscription") from None

    def detach(self, member: Member) -> None:
        """Lets a member go: what it has not answered is wanted again at once."""
        if member not in self.members:
            return
        self.members.remove(member)
        now = time.monotonic()
        for flight in member.take(list(member.flights), now):
            if flight.is_sent:
                self._endings.record(flight, AttemptOutcome.EXPIRED, GONE, member.name)
            else:
                flight.arrival.pull.untried(flight.arrival)
            flight.arrival.pull.nak(flight.arrival.reply)
        member.forget()
        if not self.members:
            self._stop()
        else:
            self._ask_anew()

    def end(self, fault: GatewayError) -> None:
        """Ends every member's stream."""
        for member in self.members:
            member.end(fault)
        self.members.clear()
        self._stop()
        self._settled.set()

    # --- what members say

    def grant(self, member: Member, events: int) -> None:
        """More credit for a member. Raises InvalidRequest."""
        member.grant(events)
        self._share_held()
        self._fill_soon()

    def sent(self) -> None:
        """Something has gone out to a member: there may be room for more."""
        self._share_held()
        self._fill_soon()

    def ack(self, member: Member, numbers: Iterable[int]) -> None:
        """A member is done with deliveries."""
        record_all = self.subscription.attempt_records is AttemptRecords.ALL
        for flight in member.take(numbers, time.monotonic()):
            flight.arrival.pull.ack(flight.arrival.reply)
            if record_all:
                self._endings.record(flight, AttemptOutcome.ACKNOWLEDGED, "", member.name)

    def nak(self, member: Member, number: int, delay: int, error: str) -> None:
        """A member wants a delivery again, after a delay in microseconds."""
        for flight in member.take((number,), time.monotonic()):
            if flight.arrival.attempt >= self.subscription.max_attempts:
                self._endings.bury(flight, error or "the consumer wanted it again", member.name)
                return
            flight.arrival.pull.nak(flight.arrival.reply, delay)
            self._endings.record(flight, AttemptOutcome.NAK, error, member.name)

    def progress(self, member: Member, numbers: Iterable[int]) -> None:
        """A member needs more time for deliveries."""
        now = time.monotonic()
        for flight in member.prolong(numbers, now, now + self._ack_seconds):
            flight.arrival.pull.progress(flight.arrival.reply)

    def reject(self, member: Member, number: int, error: str) -> None:
        """A member never wants a delivery again."""
        for flight in member.take((number,), time.monotonic()):
            self._endings.bury(flight, error or "the consumer rejected it", member.name)

    # --- changes

    def change(self, subscription: Subscription | None) -> None:
        """The subscription was changed or deleted."""
        if subscription is None:
            self.end(SubscriptionNotFound.of(self.subscription.name))
            return
        if subscription.generation != self.subscription.generation:
            self._close()
            for member in self.members:
                member.forget()
        self._take_up(subscription)
        self._settled.clear()
        self._turn.set()

    def lost(self) -> None:
        """The broker is away: pulls are void. Members stay, and what they answer is sent when it is back."""
        self._held.clear()
        for way in self._ways:
            self._close_way(way)
            way.ensured = False
        self._turn.set()

    def _take_up(self, subscription: Subscription) -> None:
        self.subscription = subscription
        self._fits = compile_filter(subscription.filter)
        rights = self._around.rights_of(subscription.owner, subscription.claim)
        self._may_get = gate(rights, subscription.name)
        self._ack_seconds = subscription.ack_deadline / SECOND
        self._is_ordered = subscription.ordering is Ordering.BY_KEY
        open_ways = {way.lane.name: way for way in self._ways}
        ways = []
        for lane in lanes_of(subscription):
            way = open_ways.get(lane.name) or _Way(lane)
            if way.lane != lane:
                way.lane, way.ensured = lane, False
            ways.append(way)
        self._ways = ways

    # --- opening and closing

    async def _run(self) -> None:
        while True:
            self._turn.clear()
            try:
                if self.subscription.paused:
                    self._close()
                else:
                    await self._open()
            except BrokerUnavailable as fault:
                logger.debug("subscription %s: %s", self.subscription.name, fault.message)
                await asyncio.sleep(RETRY_SECONDS)
                await self._around.consumers.wait_connected()
                continue
            self._settled.set()
            await self._turn.wait()

    async def _open(self) -> None:
        await asyncio.gather(*(self._open_way(way) for way in self._ways))
        self._fill_soon()

    async def _open_way(self, way: _Way) -> None:
        if not way.ensured:
            # A consumer that is made by what held before the broker was lost may pass over what is wanted since.
            await self._around.up_to_date()
            lane = way.lane
            await self._around.consumers.ensure(lane)
            way.ensured = way.lane is lane
        if way.pull is None and way in self._ways and self.members and not self.subscription.paused:
            way.pull = self._around.consumers.pull(way.lane, self._take, lambda: self._ended(way))

    def _ended(self, way: _Way) -> None:
        way.pull, way.ensured = None, False
        # Whoever deleted the consumer deleted or moved the subscription before that, and word of it is under way.
        asyncio.get_running_loop().call_later(RETRY_SECONDS, self._turn.set)

    def _close(self) -> None:
        for way in self._ways:
            self._close_way(way)
        while self._held:
            arrival, _, _ = self._held.popleft()
            arrival.pull.untried(arrival)
            arrival.pull.nak(arrival.reply)

    def _let_go(self) -> None:
        """Lets members elsewhere have what has waited for long enough."""
        if not self._held:
            return
        left = self._held[0][2] + HOLD_SECONDS - time.monotonic()
        if left > 0:
            asyncio.get_running_loop().call_later(left, self._let_go)
        else:
            self._close()

    def _ask_anew(self) -> None:
        """Takes back what was asked for beyond the credit that is left."""
        spare = self._spare
        for way in self._ways:
            if way.pull is not None and way.pull.waiting > spare:
                self._close_way(way)
        self._turn.set()

    def _close_way(self, way: _Way) -> None:
        if way.pull is not None:
            way.pull.close()
            way.pull = None

    def _stop(self) -> None:
        self._close()
        for task in self._tasks:
            task.cancel()
        self._tasks = []

    # --- events

    def _take(self, arrival: Arrival | None) -> None:
        self._fill_soon()
        if arrival is None:
            return
        try:
            event = self._around.decode(arrival.payload)
        except InvalidEvent as fault:
            logger.error("sequence %d holds no event: %s", arrival.sequence, fault.message)
            arrival.pull.ack(arrival.reply)
            return
        if not (self._fits(event) and self._may_get(event)):
            arrival.pull.ack(arrival.reply)
            return
        if arrival.attempt > 1:
            self._around.meter.redelivered(self.subscription.name)
            if arrival.attempt > self.subscription.max_attempts:
                self._endings.bury(Flight(arrival, event, 0), NEVER_ANSWERED, event=event)
                return
        now = time.monotonic()
        member = self._next_member()
        if member is None:
            if not self._held:
                asyncio.get_running_loop().call_later(HOLD_SECONDS, self._let_go)
            self._held.append((arrival, event, now))
        else:
            self._hand(member, arrival, event, now)

    def _hand(self, member: Member, arrival: Arrival, event: Event, came: float) -> None:
        traceparent = arrival.traceparent
        if traceparent:
            traceparent = self._around.hop(traceparent, self.subscription.name, event)
        member.deliver(arrival, event, came + self._ack_seconds, traceparent)

    def _next_member(self) -> Member | None:
        """The next in turn that has room."""
        members = self.members
        count = len(members)
        for step in range(1, count + 1):
            at = (self._turn_of + step) % count
            if members[at].room > 0:
                self._turn_of = at
                return members[at]
        return None

    def _share_held(self) -> None:
        while self._held:
            member = self._next_member()
            if member is None:
                return
            self._hand(member, *self._held.popleft())

    @property
    def _spare(self) -> int:
        """Room for which there is nothing here."""
        return max(sum(member.room for member in self.members) - len(self._held), 0)

    def _fill_soon(self) -> None:
        if not self._filling:
            self._filling = True
            asyncio.get_running_loop().call_soon(self._fill)

    def _fill(self) -> None:
        """Asks for as much as the members have room for."""
        self._filling = False
        spare = self._spare
        if spare <= 0 or self.subscription.paused:
            return
        for way in self._ways:
            pull = way.pull
            if pull is None:
                if way.ensured and self._around.consumers.is_connected:
                    self._turn.set()
                continue
            if self._is_ordered:
                if pull.waiting <= 0:
                    pull.ask(min(spare, LANE_BATCH))
            else:
                # Few requests rather than many small ones: the broker keeps a bounded number of them.
                missing = min(spare, way.lane.max_pending, MOST_ASKED) - pull.waiting
                if missing > 0 and (pull.waiting <= 0 or 2 * missing >= pull.waiting):
                    pull.ask(missing)

    # --- ends of deliveries

    async def _watch_deadlines(self) -> None:
        while True:
            await asyncio.sleep(min(max(self._ack_seconds / 8, 0.1), 2.0))
            now = time.monotonic()
            for member in self.members:
                for flight in member.expired(now):
                    if flight.is_sent:
                        self._endings.record(flight, AttemptOutcome.EXPIRED, LATE, member.name)
                    else:
                        flight.arrival.pull.untried(flight.arrival)
            self._fill_soon()
