"""Group commit, against a broker whose answers a test writes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry

from ontomesh_event_gateway.adapters.nats.acks import Acks
from ontomesh_event_gateway.adapters.nats.connection import ApiRefused, Connection
from ontomesh_event_gateway.adapters.nats.publisher import CONTAINS_DUPLICATE, MAX_WAITING_BYTES, Publisher
from ontomesh_event_gateway.adapters.nats.streams import Streams
from ontomesh_event_gateway.domain.model import Event, Stored
from ontomesh_event_gateway.errors import BrokerUnavailable, GatewayError, SpoolFull, TooLarge

Answer = dict[str, Any] | Exception


class Broker:
    """A connection, its streams and its acks in one; each thing sent is answered by what `answers` has next."""

    def __init__(self, max_payload: int = 1 << 20) -> None:
        self.max_payload = max_payload
        self.client = self
        self.available = True
        self.ready = asyncio.Event()
        self.ready.set()
        self.sent: list[bytes] = []
        self.answers: asyncio.Queue[Answer] = asyncio.Queue()
        self.connected: list[Callable[[], Awaitable[None]]] = []

    def on_connect(self, callback: Callable[[], Awaitable[None]]) -> None:
        self.connected.append(callback)

    def on_disconnect(self, callback: Callable[[], None]) -> None:
        pass

    async def ensure(self) -> None:
        pass

    def reply(self) -> bytes:
        return b"_INBOX.a.%d" % len(self.sent)

    async def send(self, protocol: bytes, reply: bytes) -> dict[str, Any]:
        self.sent.append(protocol)
        answer = await self.answers.get()
        if isinstance(answer, Exception):
            raise answer
        return answer


@asynccontextmanager
async def publishing(broker: Broker) -> AsyncIterator[Publisher]:
    publisher = Publisher(
        cast("Connection", broker), cast("Streams", broker), cast("Acks", broker), CollectorRegistry()
    )
    publisher.start()
    for callback in broker.connected:
        await callback()
    await publisher.wait_available()
    try:
        yield publisher
    finally:
        await publisher.close()


Outcomes = Sequence[Stored | GatewayError]


def store(publisher: Publisher, *events: Event) -> "asyncio.Future[Outcomes]":
    future: asyncio.Future[Outcomes] = asyncio.get_running_loop().create_future()
    publisher.store(events, future.set_result)
    return future


def event(id_: str, size: int = 1) -> Event:
    return Event(id_, "/a", "t", encoded=b"x" * size)


async def soon(future: "asyncio.Future[Outcomes]") -> Outcomes:
    return await asyncio.wait_for(future, 5)


async def sending(broker: Broker, count: int = 1) -> None:
    async with asyncio.timeout(5):
        while len(broker.sent) < count:  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0)


@pytest.mark.parametrize("answer", [{}, {"seq": None}, {"seq": "many"}, ValueError("no JSON")])
async def test_an_answer_that_nobody_understands_fails_what_it_concerns_and_no_more(answer: Answer) -> None:
    broker = Broker()
    async with publishing(broker) as publisher:
        first = store(publisher, event("1"))
        broker.answers.put_nowait(answer)
        (outcome,) = await soon(first)
        assert isinstance(outcome, BrokerUnavailable)
        await publisher.wait_available()
        second = store(publisher, event("2"))
        broker.answers.put_nowait({"seq": 7})
        assert await soon(second) == [Stored(7)]


async def test_what_waits_behind_a_failure_is_not_sent_though_what_failed_ends_with_something_too_large() -> None:
    broker = Broker(max_payload=1_000)
    async with publishing(broker) as publisher:
        first = store(publisher, event("1"), event("2", 2_000))
        await sending(broker)
        second = store(publisher, event("3"))
        broker.answers.put_nowait(BrokerUnavailable("away"))
        assert [type(one) for one in await soon(first)] == [BrokerUnavailable, TooLarge]
        assert [type(one) for one in await soon(second)] == [BrokerUnavailable]
        assert len(broker.sent) == 1


async def test_results_are_those_of_their_events_when_a_batch_holds_duplicates() -> None:
    broker = Broker()
    async with publishing(broker) as publisher:
        held = store(publisher, event("0"))
        await sending(broker)
        calls = [store(publisher, event("1"), event("2")), store(publisher, event("3"))]
        for answer in (
            {"seq": 1},
            ApiRefused(CONTAINS_DUPLICATE, "contains duplicate message id"),
            {"seq": 1, "duplicate": True},
            {"seq": 2},
            {"seq": 3},
        ):
            broker.answers.put_nowait(answer)
        assert await soon(held) == [Stored(1)]
        assert [await soon(call) for call in calls] == [[Stored(1, duplicate=True), Stored(2)], [Stored(3)]]


async def test_what_is_under_way_when_it_closes_is_settled() -> None:
    broker = Broker()
    async with publishing(broker) as publisher:
        first = store(publisher, event("1"))
        await sending(broker)
        second = store(publisher, event("2"))
    for future in (first, second):
        (outcome,) = await soon(future)
        assert isinstance(outcome, BrokerUnavailable)


async def test_what_waits_has_a_limit_in_bytes_and_room_again_once_it_is_sent() -> None:
    broker = Broker(max_payload=MAX_WAITING_BYTES * 2)
    async with publishing(broker) as publisher:
        held = store(publisher, event("0"))
        await sending(broker)
        waiting = store(publisher, event("1", MAX_WAITING_BYTES))
        (refused,) = await soon(store(publisher, event("2")))
        assert isinstance(refused, SpoolFull)
        assert refused.metadata == {"limit": str(MAX_WAITING_BYTES)}
        for number in (1, 2):
            broker.answers.put_nowait({"seq": number})
        assert await soon(held) == [Stored(1)]
        assert await soon(waiting) == [Stored(2)]
        broker.answers.put_nowait({"seq": 3})
        assert await soon(store(publisher, event("3"))) == [Stored(3)]
