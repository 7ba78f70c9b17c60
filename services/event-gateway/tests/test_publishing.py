"""What publishing makes of a request, and in which order events go to the stream or to the spool."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import pytest

from ontomesh_event_gateway.domain.caller import Caller
from ontomesh_event_gateway.domain.model import Event, Order, Outcome, Result, Stored, StreamState
from ontomesh_event_gateway.domain.publishing import MAX_EVENTS, Draft, Publishing, Wishes
from ontomesh_event_gateway.domain.spooling import Spooling
from ontomesh_event_gateway.errors import (
    BrokerUnavailable,
    DataViolation,
    GatewayError,
    InvalidEvent,
    InvalidRequest,
    NotReached,
    SchemaUnavailable,
    SpoolFull,
    StreamFull,
    TooLarge,
)
from ontomesh_event_gateway.ports import Settle

AWAY = BrokerUnavailable("away")
STORED, DUPLICATE, SPOOLED = Outcome.STORED, Outcome.DUPLICATE, Outcome.SPOOLED
REFUSED, DEAD_LETTERED, FAILED = Outcome.REFUSED, Outcome.DEAD_LETTERED, Outcome.FAILED


class MemoryLog:
    """A stream in memory; calls wait for `answer` while it is held."""

    def __init__(self) -> None:
        self.available = True
        self.held = False
        self.ids: list[str] = []
        self.refusals: dict[str, GatewayError] = {}
        self.waiting: list[tuple[Sequence[Event], Settle, Order | None]] = []
        self.came = asyncio.Event()

    async def wait_available(self) -> None:
        while not self.available:
            self.came.clear()
            await self.came.wait()

    def store(self, events: Sequence[Event], settle: Settle, order: Order | None = None) -> None:
        if self.held:
            self.waiting.append((events, settle, order))
        else:
            settle(self._outcomes(events, order))

    def answer(self) -> None:
        waiting, self.waiting = self.waiting, []
        for events, settle, order in waiting:
            settle(self._outcomes(events, order) if self.available else [AWAY] * len(events))

    async def state(self) -> StreamState:
        raise AWAY

    def _outcomes(self, events: Sequence[Event], order: Order | None) -> list[Stored | GatewayError]:
        outcomes: list[Stored | GatewayError] = []
        for event in events:
            failed = next((one for one in outcomes if isinstance(one, BrokerUnavailable | StreamFull)), None)
            if order is not None and order.broken:
                outcomes.append(NotReached("broken"))
            elif failed is not None or event.id in self.refusals:
                outcomes.append(failed or self.refusals[event.id])
            elif event.id in self.ids:
                outcomes.append(Stored(self.ids.index(event.id) + 1, duplicate=True))
            else:
                self.ids.append(event.id)
                outcomes.append(Stored(len(self.ids)))
        return outcomes


class MemorySpool:
    """A spool in memory."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.is_full = False
        self.faults: list[OSError] = []
        self.came = asyncio.Event()

    @property
    def depth(self) -> int:
        return len(self.events)

    @property
    def size(self) -> int:
        return 0

    def append(self, events: Sequence[Event], settle: Callable[[GatewayError | None], None]) -> None:
        if self.is_full:
            settle(SpoolFull("full"))
            return
        self.events += events
        self.came.set()
        settle(None)

    async def head(self) -> list[Event]:
        while not self.events:
            self.came.clear()
            await self.came.wait()
        return self.events[:2]

    async def remove(self, count: int) -> None:
        if self.faults:
            raise self.faults.pop()
        del self.events[:count]


class Given:
    """Rights, schemas, dead letters and a meter, as a test wants them."""

    principal = "user:ana"

    def __init__(self) -> None:
        self.kept: list[tuple[str, Event, str]] = []
        self.keeps = True
        self.takes = True
        self.loaded: set[str] = set()
        self.wrong: dict[str, GatewayError] = {}
        self.counted: list[Outcome] = []

    def allows(self, right: str, database: str, branch: str | None = None) -> bool:
        return False

    def allows_everywhere(self, right: str) -> bool:
        return False

    def allows_event(self, right: str, type_: str | None, subscription: str = "", /) -> bool:
        return right == "publish" and type_ != "secret"

    async def load(self, types: Collection[str]) -> None:
        assert "secret" not in types
        self.loaded |= set(types)

    def check(self, event: Event) -> None:
        if event.id in self.wrong:
            raise self.wrong[event.id]

    async def put(self, subscription: str, event: Event, error: str, attempts: int, sequence: int) -> None:
        if not self.keeps:
            raise AWAY
        if not self.takes:
            raise TooLarge("larger than the broker takes")
        self.kept.append((subscription, event, error))

    def published(self, results: Sequence[Result], seconds: float) -> None:
        self.counted += [result.outcome for result in results]


class Setting:
    """A publishing domain over fakes."""

    def __init__(self) -> None:
        self.log, self.spool, self.given = MemoryLog(), MemorySpool(), Given()
        self.spooling = Spooling(self.log, self.spool, self.given)
        self.publishing = Publishing(self.spooling, self.given, self.given, _without_data, self.given)

    async def publish(self, *ids: str, **wishes: bool) -> list[Result]:
        return await self.publishing.publish(Caller(self.given), list(map(draft, ids)), Wishes(**wishes))

    async def begin(
        self, *ids: str, order: Order | None = None, require_stored: bool = False
    ) -> "asyncio.Task[list[Result]]":
        wishes = Wishes(require_stored=require_stored)
        begun = await self.publishing.begin(Caller(self.given), list(map(draft, ids)), wishes, order)
        return asyncio.create_task(begun)


def _without_data(event: Event) -> Event:
    return replace(event, data=None)


def draft(id_: str) -> Draft:
    return Draft(Event(id_, "/a", "secret" if id_ == "secret" else "t", data=b"x", encoded=id_.encode()))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0)


def outcomes(results: Sequence[Result]) -> list[Outcome]:
    return [result.outcome for result in results]


@pytest.fixture
async def setting() -> Setting:
    return Setting()


async def test_refused_events_leave_the_others_alone(setting: Setting) -> None:
    setting.given.wrong["2"] = DataViolation.at("data.price", "is no number")
    results = await setting.publish("1", "2", "secret", "3", "1")
    assert outcomes(results) == [STORED, REFUSED, REFUSED, STORED, DUPLICATE]
    assert setting.log.ids == ["1", "3"]
    assert setting.given.counted == outcomes(results)


async def test_what_may_pass_fails_all_from_there_on(setting: Setting) -> None:
    setting.given.wrong["2"] = SchemaUnavailable("the kernel is away")
    setting.given.wrong["3"] = DataViolation("wrong")
    results = await setting.publish("1", "2", "3", "4")
    assert outcomes(results) == [STORED, FAILED, FAILED, FAILED]
    assert isinstance(results[1].error, SchemaUnavailable)
    assert [type(result.error) for result in results[2:]] == [NotReached, NotReached]
    assert setting.log.ids == ["1"]


async def test_a_full_stream_fails_what_follows_even_what_is_refused(setting: Setting) -> None:
    setting.log.refusals["2"] = StreamFull("full")
    setting.given.wrong["3"] = DataViolation("wrong")
    results = await setting.publish("1", "2", "3", "4")
    assert outcomes(results) == [STORED, FAILED, FAILED, FAILED]
    assert setting.spool.depth == 0


async def test_refused_events_become_dead_letters_where_that_is_wished(setting: Setting) -> None:
    setting.given.wrong["2"] = DataViolation("wrong")
    setting.given.wrong["3"] = TooLarge("large")
    setting.log.refusals["4"] = TooLarge("larger than the broker takes")
    results = await setting.publish("1", "2", "3", "4", dead_letter_refused=True)
    assert outcomes(results) == [STORED, DEAD_LETTERED, DEAD_LETTERED, DEAD_LETTERED]
    assert [(name, event.id, event.data) for name, event, _ in setting.given.kept] == [
        ("@publish", "2", b"x"),
        ("@publish", "3", None),
        ("@publish", "4", None),
    ]


async def test_a_dead_letter_that_cannot_be_kept_fails_all_from_there_on(setting: Setting) -> None:
    setting.given.wrong["2"] = DataViolation("wrong")
    setting.given.keeps = False
    results = await setting.publish("1", "2", "3", dead_letter_refused=True)
    assert outcomes(results) == [STORED, FAILED, FAILED]
    assert setting.log.ids == ["1"]


async def test_a_draft_that_is_no_event_is_refused(setting: Setting) -> None:
    broken = Draft(Event("1", "", ""), InvalidEvent("no event"))
    results = await setting.publishing.publish(Caller(setting.given), [broken, draft("2")], Wishes())
    assert outcomes(results) == [REFUSED, STORED]


async def test_requests_have_a_limit(setting: Setting) -> None:
    with pytest.raises(InvalidRequest):
        await setting.publish(*map(str, range(MAX_EVENTS + 1)))
    assert await setting.publish() == []


async def test_while_the_broker_is_away_events_are_spooled_unless_they_must_be_stored(setting: Setting) -> None:
    setting.log.available = False
    setting.log.refusals["2"] = AWAY
    assert outcomes(await setting.publish("1")) == [SPOOLED]
    assert outcomes(await setting.publish("2", require_stored=True)) == [FAILED]
    assert [event.id for event in setting.spool.events] == ["1"]


async def test_nothing_overtakes_what_is_in_the_spool(setting: Setting) -> None:
    setting.log.available = False
    await setting.publish("1")
    setting.log.available = True
    assert outcomes(await setting.publish("2")) == [SPOOLED]
    assert outcomes(await setting.publish("3", require_stored=True)) == [STORED]


async def test_what_was_under_way_when_the_broker_went_is_spooled_in_order(setting: Setting) -> None:
    setting.log.held = True
    begun = [await setting.begin(id_) for id_ in ("1", "2", "3")]
    setting.log.available = False
    setting.log.answer()
    await setting.publish("4")
    assert [outcomes(await task) for task in begun] == [[SPOOLED]] * 3
    assert [event.id for event in setting.spool.events] == ["1", "2", "3", "4"]


async def test_only_the_rest_of_a_request_is_spooled(setting: Setting) -> None:
    setting.log.refusals["2"] = AWAY
    assert outcomes(await setting.publish("1", "2", "3")) == [STORED, SPOOLED, SPOOLED]
    assert [event.id for event in setting.spool.events] == ["2", "3"]


async def test_a_full_spool_fails(setting: Setting) -> None:
    setting.log.available = False
    setting.spool.is_full = True
    results = await setting.publish("1", "2")
    assert outcomes(results) == [FAILED, FAILED]
    assert isinstance(results[0].error, SpoolFull)


async def test_a_broken_order_lets_nothing_through(setting: Setting) -> None:
    order = Order()
    setting.log.held = True
    setting.log.refusals["1"] = StreamFull("full")
    begun = [await setting.begin(id_, order=order, require_stored=True) for id_ in ("1", "2")]
    setting.log.answer()
    late = await setting.begin("3", order=order)
    results = [(await task)[0] for task in (*begun, late)]
    assert outcomes(results) == [FAILED] * 3
    assert [type(result.error) for result in results] == [StreamFull, NotReached, NotReached]
    assert setting.log.ids == []


async def test_draining_forwards_in_order_and_sets_aside_what_is_refused(setting: Setting) -> None:
    setting.log.available = False
    await setting.publish("1", "2", "3", "4", "5")
    setting.log.refusals["3"] = TooLarge("large")
    draining = asyncio.create_task(setting.spooling.drain())
    setting.log.available = True
    setting.log.came.set()
    await until(lambda: not setting.spool.depth)
    draining.cancel()
    assert setting.log.ids == ["1", "2", "4", "5"]
    assert [event.id for _, event, _ in setting.given.kept] == ["3"]


async def test_draining_goes_on_where_it_failed(setting: Setting) -> None:
    setting.log.available = False
    await setting.publish("1", "2", "3")
    setting.log.available = True
    setting.log.refusals["2"] = StreamFull("full")
    draining = asyncio.create_task(setting.spooling.drain())
    await until(lambda: setting.spool.depth < 3)
    assert [event.id for event in setting.spool.events] == ["2", "3"]
    setting.log.refusals.clear()
    await until(lambda: not setting.spool.depth)
    draining.cancel()
    assert setting.log.ids == ["1", "2", "3"]


async def test_a_broken_order_lets_nothing_into_the_spool_either(setting: Setting) -> None:
    order = Order()
    setting.log.held = True
    begun = [
        await setting.begin("1", order=order, require_stored=True),
        await setting.begin("2", order=order),
    ]
    setting.log.available = False
    setting.log.answer()
    results = [(await task)[0] for task in begun]
    assert [type(result.error) for result in results] == [BrokerUnavailable, NotReached]
    assert setting.spool.depth == 0


async def test_types_that_are_too_long_are_not_looked_up(setting: Setting) -> None:
    long = Draft(Event("1", "/a", "t" * 257, encoded=b"1"))
    assert outcomes(await setting.publishing.publish(Caller(setting.given), [long, draft("2")], Wishes())) == [
        REFUSED,
        STORED,
    ]
    assert setting.given.loaded == {"t"}


async def test_what_no_dead_letter_can_hold_is_refused(setting: Setting) -> None:
    setting.given.wrong["1"] = DataViolation("wrong")
    setting.given.takes = False
    results = await setting.publish("1", "2", dead_letter_refused=True)
    assert outcomes(results) == [REFUSED, STORED]


async def test_draining_outlives_a_fault_of_the_disk(setting: Setting) -> None:
    setting.log.available = False
    await setting.publish("1", "2", "3")
    setting.log.available = True
    setting.spool.faults = [OSError(5, "Input/output error")]
    draining = asyncio.create_task(setting.spooling.drain())
    await until(lambda: not setting.spool.depth)
    draining.cancel()
    assert setting.log.ids == ["1", "2", "3"]


async def test_draining_goes_on_behind_what_nothing_takes(setting: Setting) -> None:
    setting.log.available = False
    await setting.publish("1", "2")
    setting.log.available = True
    setting.log.refusals["1"] = TooLarge("large")
    setting.given.takes = False
    draining = asyncio.create_task(setting.spooling.drain())
    await until(lambda: not setting.spool.depth)
    draining.cancel()
    assert setting.log.ids == ["2"]
