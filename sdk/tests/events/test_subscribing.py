import asyncio
from collections.abc import AsyncGenerator

import pytest
from sdk.tests.events.gateway import Gateway

from ontomesh.events.v1.publish_service_pb2 import PublishRequest
from ontomesh.sdk import AsyncMesh, connect, errors
from ontomesh.sdk.events import Event, Filter, wire
from ontomesh.sdk.paging import Batches


async def numbered(mesh: AsyncMesh, first: int, last: int, type: str = "a") -> None:
    await mesh.events.publish(*(Event.of(type, index, id=f"{type}{index}") for index in range(first, last)))


async def test_events_that_fit_come_in_the_streams_order_from_the_start_point(mesh: AsyncMesh) -> None:
    await numbered(mesh, 0, 5)
    await numbered(mesh, 5, 10, "b")
    found = []
    async for received in mesh.events.subscribe(Filter(types="b"), start=8):
        found.append((received.sequence, received.event.data))
        if len(found) == 3:
            break
    assert found == [(8, 7), (9, 8), (10, 9)]


async def test_a_stream_goes_on_where_it_broke_off_and_misses_nothing(mesh: AsyncMesh, gateway: Gateway) -> None:
    stream = mesh.events.subscribe()
    first = asyncio.ensure_future(anext(stream))
    while not any(method == "Subscribe" for method, _ in gateway.seen):  # noqa: ASYNC110 - no event tells of it
        await asyncio.sleep(0.005)
    # It breaks before it got anything, and what comes meanwhile is not missed.
    await asyncio.to_thread(gateway.stop)
    gateway.memory.publish(_request(0, 3))
    await asyncio.to_thread(gateway.start)
    found = [(await first).sequence, (await anext(stream)).sequence, (await anext(stream)).sequence]
    await asyncio.to_thread(gateway.stop)
    gateway.memory.publish(_request(3, 5))
    await asyncio.to_thread(gateway.start)
    found += [(await anext(stream)).sequence, (await anext(stream)).sequence]
    assert found == [1, 2, 3, 4, 5]


async def test_a_start_that_is_not_kept_any_more_is_told(mesh: AsyncMesh, gateway: Gateway) -> None:
    gateway.memory.first = 10
    with pytest.raises(errors.StartNotRetained) as caught:
        await anext(mesh.events.subscribe(start=3))
    assert caught.value.metadata["first_sequence"] == "10"


async def test_what_was_lost_while_nobody_listened_does_not_end_the_stream(mesh: AsyncMesh, gateway: Gateway) -> None:
    await numbered(mesh, 0, 1)
    stream = mesh.events.subscribe(start="all")
    assert (await anext(stream)).sequence == 1
    await asyncio.to_thread(gateway.stop)
    gateway.memory.publish(_request(1, 5))
    gateway.memory.first = 4
    await asyncio.to_thread(gateway.start)
    assert (await anext(stream)).sequence == 4


async def test_who_wants_to_wait_no_longer_is_told(mesh: AsyncMesh, gateway: Gateway) -> None:
    await asyncio.to_thread(gateway.stop)
    with pytest.raises(errors.ConnectionFailed, match="the event gateway at"):
        await anext(mesh.events.subscribe(start="all", tries=1))


def test_blocking_code_iterates_as_well(gateway: Gateway, home: object) -> None:
    with connect("127.0.0.1:1", events_address=gateway.address) as mesh:
        mesh.events.publish(Event.of("a", id="1"), Event.of("a", id="2"))
        for received in mesh.events.subscribe(start="all"):
            if received.event.id == "2":
                break


def _request(first: int, last: int) -> PublishRequest:
    events = [wire.message_of(Event.of("c", index, id=f"c{index}"), "/s") for index in range(first, last)]
    return PublishRequest(events=events)


async def test_a_stream_whose_reader_is_still_being_cancelled_can_be_closed() -> None:
    gone = asyncio.Event()

    async def batches() -> AsyncGenerator[list[int]]:
        try:
            await asyncio.Event().wait()
            yield []
        finally:
            await asyncio.sleep(0.01)
            gone.set()

    stream = Batches(batches())
    reader = asyncio.create_task(stream.page())
    await asyncio.sleep(0)
    reader.cancel()
    await stream.aclose()
    assert gone.is_set()
