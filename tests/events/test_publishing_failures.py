"""Publishing while the broker, the disk or the gateway fails: what was answered holds, and the rest can be told from it."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import nats as nats_client
import pytest
from grpc import StatusCode, aio
from nats.js import JetStreamContext

from ontomesh.events.v1.publish_service_pb2 import PublishRequest, PublishStreamRequest, PublishStreamResponse
from tests.events.serving import Nats, ServingGateway, running_nats, serving_gateway
from tests.events.serving import until as until_here
from tests.events.test_publishing import (
    DEAD_LETTERED,
    DUPLICATE,
    FAILED,
    REFUSED,
    SPOOLED,
    STORED,
    event,
    events,
    metadata,
    outcomes,
    publish,
    reasons,
    stored,
    stub_of,
    until,
    until_drained,
)

EVENTS = "ONTOMESH_EVENTS"


@asynccontextmanager
async def jetstream(nats: Nats) -> AsyncIterator[JetStreamContext]:
    client = await nats_client.connect(nats.url, token=nats.token)
    try:
        yield client.jetstream()
    finally:
        await client.close()


async def test_a_stream_that_was_deleted_is_made_again_and_takes_what_comes(
    nats: Nats, gateway: ServingGateway
) -> None:
    await publish(gateway, PublishRequest(events=events([0])))
    async with jetstream(nats) as context:
        await context.delete_stream(EVENTS)
    for number in range(1, 6):
        results = await publish(gateway, PublishRequest(events=events([number])))
        assert set(outcomes(results)) <= {STORED, SPOOLED}
    await until_drained(gateway)
    assert await stored(nats) == ["1", "2", "3", "4", "5"]


async def test_a_broker_that_comes_back_without_its_disk_takes_what_was_spooled(
    nats: Nats, gateway: ServingGateway
) -> None:
    await publish(gateway, PublishRequest(events=events([0])))
    nats.kill()
    assert outcomes(await publish(gateway, PublishRequest(events=events([1, 2])))) == [SPOOLED] * 2
    shutil.rmtree(nats.folder / "data")
    await nats.start()
    await until_drained(gateway)
    results = await publish(gateway, PublishRequest(events=events([3])))
    assert [(result.outcome, result.sequence) for result in results] == [(STORED, 3)]
    assert await stored(nats) == ["1", "2", "3"]


async def test_a_full_stream_takes_events_again_once_there_is_room_the_spooled_ones_first(
    tmp_path: Path, nats: Nats
) -> None:
    async with serving_gateway(tmp_path / "home", nats, ONTOMESH_EVENTS_MAX_BYTES="100000") as gateway:
        await publish(gateway, PublishRequest(events=events(range(50), b"x" * 1000)))
        nats.kill()
        spooling = PublishRequest(events=events(range(50, 120), b"x" * 1000))
        assert outcomes(await publish(gateway, spooling)) == [SPOOLED] * 70
        await nats.start()
        require_stored = PublishRequest(events=events([200], b"x" * 60_000), require_stored=True)

        async def is_full() -> bool:
            return reasons(await publish(gateway, require_stored)) == ["STREAM_FULL"]

        await until(is_full)
        assert outcomes(await publish(gateway, PublishRequest(events=events([120])))) == [SPOOLED]
        async with jetstream(nats) as context:
            await context.purge_stream(EVENTS)
        await until_drained(gateway)
        assert outcomes(await publish(gateway, PublishRequest(events=events([121])))) == [STORED]
        assert await stored(nats) == [str(number) for number in range(50, 122)]


async def test_what_is_larger_than_the_broker_takes_is_refused_alone(tmp_path: Path) -> None:
    async with (
        running_nats(tmp_path / "nats", max_payload="16KB") as nats,
        serving_gateway(tmp_path / "home", nats) as gateway,
    ):
        large = b"x" * 20_000
        request = PublishRequest(events=[event("1"), event("2", data=large), event("3")])
        assert outcomes(await publish(gateway, request)) == [STORED, REFUSED, STORED]
        request = PublishRequest(
            events=[event("4"), event("5", data=large), event("6", source="a b", data=large), event("7")],
            dead_letter_refused=True,
        )
        assert outcomes(await publish(gateway, request)) == [STORED, DEAD_LETTERED, DEAD_LETTERED, STORED]
        assert await stored(nats) == ["1", "3", "4", "7"]
        nats.kill()
        request = PublishRequest(events=[event("8"), event("9", data=large), event("10")])
        assert outcomes(await publish(gateway, request)) == [SPOOLED] * 3
        await nats.start()
        await until_drained(gateway)
        assert await stored(nats) == ["1", "3", "4", "7", "8", "10"]


async def test_a_broker_that_hangs_for_ten_seconds_loses_and_swaps_nothing(nats: Nats, gateway: ServingGateway) -> None:
    taken: list[str] = []
    ends = asyncio.Event()

    async def send(lane: int) -> None:
        number = 0
        while not ends.is_set():
            ids = [f"{lane}-{number}-{index}" for index in range(5)]
            results = await publish(gateway, PublishRequest(events=events(ids)))
            assert set(outcomes(results)) <= {STORED, SPOOLED, DUPLICATE}
            taken.extend(ids)
            number += 1

    sending = asyncio.gather(*(send(lane) for lane in range(3)))
    await until_here(lambda: len(taken) > 50 or sending.done())
    nats.pause()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(sending), 10)
    nats.resume()
    count = len(taken)
    await until_here(lambda: len(taken) > count + 50 or sending.done(), 20)
    ends.set()
    await sending
    await until_drained(gateway)
    found = await stored(nats)
    assert sorted(found) == sorted(taken)
    for lane in range(3):
        assert [id_ for id_ in found if id_.startswith(f"{lane}-")] == [
            id_ for id_ in taken if id_.startswith(f"{lane}-")
        ]


@pytest.mark.parametrize("is_away", [False, True])
async def test_a_gateway_that_is_killed_has_kept_what_it_answered(tmp_path: Path, nats: Nats, is_away: bool) -> None:
    home = tmp_path / "home"
    taken: list[str] = []
    for round_ in range(3):
        async with serving_gateway(home, nats) as gateway:
            if is_away:
                nats.kill()
            sending = [
                asyncio.create_task(_send_until_it_ends(gateway, f"{round_}-{lane}", taken)) for lane in range(4)
            ]
            count = len(taken)
            await until_here(lambda count=count: len(taken) > count + 400)  # type: ignore[misc]
            gateway.kill()
            await gateway.ended()
            await asyncio.gather(*sending)
        if is_away:
            await nats.start()
    async with serving_gateway(home, nats) as gateway:
        await until_drained(gateway)
    found = await stored(nats)
    assert set(taken) <= set(found)
    for round_ in range(3):
        for lane in range(4):
            mine = [int(id_.split("-")[2]) for id_ in found if id_.startswith(f"{round_}-{lane}-")]
            assert mine == list(range(len(mine)))


async def _send_until_it_ends(gateway: ServingGateway, lane: str, taken: list[str]) -> None:
    async with stub_of(gateway) as stub:
        number = 0
        while True:
            ids = [f"{lane}-{number + index}" for index in range(5)]
            try:
                answer = await stub.Publish(PublishRequest(events=events(ids)), metadata=metadata(gateway.token()))
            except aio.AioRpcError as error:
                # gRPC cancels what reaches a server in the moment in which it stops.
                if error.code() not in {StatusCode.UNAVAILABLE, StatusCode.CANCELLED}:
                    raise
                return
            assert set(outcomes(answer.results)) <= {STORED, SPOOLED}
            taken.extend(ids)
            number += 5


async def test_a_gateway_that_is_asked_to_stop_answers_what_it_has_begun(nats: Nats, gateway: ServingGateway) -> None:
    taken: list[str] = []
    sending = [asyncio.create_task(_send_until_it_ends(gateway, str(lane), taken)) for lane in range(4)]
    await until_here(lambda: len(taken) > 200)
    gateway.terminate()
    await asyncio.gather(*sending)
    assert await gateway.ended() == 0
    assert set(taken) <= set(await stored(nats))


async def test_streams_end_when_the_gateway_stops_once_all_is_answered(nats: Nats, gateway: ServingGateway) -> None:
    async with stub_of(gateway) as stub:
        call = stub.PublishStream(metadata=metadata(gateway.token()))
        await call.write(PublishStreamRequest(number=1, publish=PublishRequest(events=events([1]))))
        await call.read()
        nats.pause()
        await call.write(PublishStreamRequest(number=2, publish=PublishRequest(events=events([2]))))
        # A message behind it on the same connection shows that the gateway has read that one.
        await httpx_ready(gateway)
        gateway.terminate()
        answer = await call.read()
        assert isinstance(answer, PublishStreamResponse)
        assert answer.number == 2
        assert outcomes(answer.results) == [SPOOLED]
        with pytest.raises(aio.AioRpcError) as ended:
            await call.read()
        assert ended.value.code() is StatusCode.UNAVAILABLE
        assert await gateway.ended() == 0
    nats.resume()


async def httpx_ready(gateway: ServingGateway) -> None:
    async with httpx.AsyncClient() as client:
        await client.get(f"{gateway.http}/readyz")


async def test_what_waits_for_a_slow_broker_has_a_limit(nats: Nats, gateway: ServingGateway) -> None:
    nats.pause()
    data = b"x" * (1 << 20)
    async with stub_of(gateway) as stub:

        async def send(number: int) -> list[str]:
            request = PublishRequest(
                events=events((f"{number}-{index}" for index in range(7)), data), require_stored=True
            )
            answer = await stub.Publish(request, metadata=metadata(gateway.token()))
            assert set(outcomes(answer.results)) == {FAILED}
            return reasons(answer.results)

        found = await asyncio.gather(*(send(number) for number in range(14)))
    nats.resume()
    assert {reason for one in found for reason in one} == {"BROKER_UNAVAILABLE", "SPOOL_FULL"}
