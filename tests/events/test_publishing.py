"""Publishing over gRPC, on a real NATS server and through its failures."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import nats as nats_client
import pytest
from grpc import StatusCode, aio

from ontomesh.events.v1 import (
    cloud_event_pb2,
    dead_letter_service_pb2,
    dead_letter_service_pb2_grpc,
    error_reason_pb2,
    publish_service_pb2,
    publish_service_pb2_grpc,
)
from ontomesh.events.v1.publish_service_pb2 import PublishRequest, PublishResult, PublishStreamRequest
from tests.events.serving import Nats, ServingGateway, running_nats, serving_gateway
from tests.events.serving import until as until_here

STORED = PublishResult.OUTCOME_STORED
DUPLICATE = PublishResult.OUTCOME_DUPLICATE
SPOOLED = PublishResult.OUTCOME_SPOOLED
REFUSED = PublishResult.OUTCOME_REFUSED
DEAD_LETTERED = PublishResult.OUTCOME_DEAD_LETTERED
FAILED = PublishResult.OUTCOME_FAILED

if TYPE_CHECKING:
    Stub = publish_service_pb2_grpc.PublishServiceAsyncStub
    Call = aio.StreamStreamCall[PublishStreamRequest, publish_service_pb2.PublishStreamResponse]


def event(
    id_: str, type_: str = "shop.order", source: str = "/shop", data: bytes = b"{}"
) -> cloud_event_pb2.CloudEvent:
    return cloud_event_pb2.CloudEvent(id=id_, source=source, type=type_, binary_data=data)


def events(ids: Iterable[object], data: bytes = b"{}") -> list[cloud_event_pb2.CloudEvent]:
    return [event(str(id_), data=data) for id_ in ids]


@asynccontextmanager
async def stub_of(gateway: ServingGateway) -> "AsyncIterator[Stub]":
    async with aio.insecure_channel(gateway.grpc, options=[("grpc.max_send_message_length", -1)]) as channel:
        yield publish_service_pb2_grpc.PublishServiceStub(channel)


def metadata(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


async def publish(gateway: ServingGateway, request: PublishRequest, token: str = "") -> list[PublishResult]:
    async with stub_of(gateway) as stub:
        answer = await stub.Publish(request, metadata=metadata(token or gateway.token()))
    return list(answer.results)


def outcomes(results: Iterable[PublishResult]) -> list[int]:
    return [result.outcome for result in results]


def reasons(results: Iterable[PublishResult]) -> list[str]:
    names = error_reason_pb2.ErrorReason.Name
    return [names(result.error.reason).removeprefix("ERROR_REASON_") for result in results]


async def stored(nats: Nats) -> list[str]:
    """The ids of all events in the stream, in its order."""
    client = await nats_client.connect(nats.url, token=nats.token)
    try:
        stream = client.jetstream()
        subscription = await stream.subscribe("ontomesh.ev.>", ordered_consumer=True)
        ids = []
        for _ in range((await stream.stream_info("ONTOMESH_EVENTS")).state.messages):
            message = await subscription.next_msg(5)
            ids.append(cloud_event_pb2.CloudEvent.FromString(message.data).id)
        return ids
    finally:
        await client.close()


async def spooled(gateway: ServingGateway) -> int:
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"{gateway.http}/metrics")).text
    line = next(line for line in text.splitlines() if line.startswith("ontomesh_spool_events "))
    return int(float(line.split()[1]))


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await condition():  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.02)


async def until_drained(gateway: ServingGateway) -> None:
    async def is_drained() -> bool:
        return not await spooled(gateway)

    await until(is_drained)


async def test_events_are_stored_in_order_with_their_sequences(nats: Nats, gateway: ServingGateway) -> None:
    results = await publish(gateway, PublishRequest(events=events(range(100))))
    assert outcomes(results) == [STORED] * 100
    assert [result.sequence for result in results] == list(range(1, 101))
    assert await stored(nats) == [str(number) for number in range(100)]


async def test_each_event_has_its_own_result(gateway: ServingGateway) -> None:
    request = PublishRequest(events=[event("1"), event("2", source=""), event("3", type_="a b"), event("4")])
    results = await publish(gateway, request)
    assert outcomes(results) == [STORED, REFUSED, REFUSED, STORED]
    assert [violation.field for violation in results[1].error.violations] == ["source"]
    assert [violation.field for violation in results[2].error.violations] == ["type"]
    assert reasons(results[1:3]) == ["INVALID_EVENT", "INVALID_EVENT"]


async def test_the_stored_event_is_the_published_one_in_the_protobuf_format(
    nats: Nats, gateway: ServingGateway
) -> None:
    one = event("1", data=b'{"total": 12.50}')
    one.attributes["datacontenttype"].ce_string = "application/json"
    one.attributes["time"].ce_timestamp.FromJsonString("2026-01-02T03:04:05.678Z")
    one.attributes["retries"].ce_integer = 3
    await publish(gateway, PublishRequest(events=[one]))
    client = await nats_client.connect(nats.url, token=nats.token)
    try:
        message = await client.jetstream().get_msg("ONTOMESH_EVENTS", 1)
    finally:
        await client.close()
    assert message.data is not None
    assert message.headers is not None
    one.spec_version = "1.0"
    assert cloud_event_pb2.CloudEvent.FromString(message.data) == one
    assert message.headers["content-type"] == "application/cloudevents+protobuf"


async def test_what_is_published_again_is_a_duplicate_and_what_is_new_among_it_is_stored(
    nats: Nats, gateway: ServingGateway
) -> None:
    await publish(gateway, PublishRequest(events=events(range(5))))
    results = await publish(gateway, PublishRequest(events=events([3, 4, 5, 6, 0, 7])))
    assert outcomes(results) == [DUPLICATE, DUPLICATE, STORED, STORED, DUPLICATE, STORED]
    assert [result.sequence for result in results if result.outcome == STORED] == [6, 7, 8]
    assert await stored(nats) == [str(number) for number in range(8)]


async def test_the_same_event_twice_in_a_request_is_stored_once(nats: Nats, gateway: ServingGateway) -> None:
    results = await publish(gateway, PublishRequest(events=events([1, 2, 1])))
    assert outcomes(results) == [STORED, STORED, DUPLICATE]
    assert await stored(nats) == ["1", "2"]


async def test_concurrent_requests_each_stay_in_order(nats: Nats, gateway: ServingGateway) -> None:
    async with stub_of(gateway) as stub:
        allowed = metadata(gateway.token())
        requests = [PublishRequest(events=events(f"{call}-{index}" for index in range(40))) for call in range(20)]
        await asyncio.gather(*(stub.Publish(request, metadata=allowed) for request in requests))
    found = await stored(nats)
    for call in range(20):
        assert [id_ for id_ in found if id_.startswith(f"{call}-")] == [f"{call}-{index}" for index in range(40)]


async def test_large_requests_are_stored_and_larger_ones_refused(gateway: ServingGateway) -> None:
    megabyte = b"x" * (1 << 20)
    assert outcomes(await publish(gateway, PublishRequest(events=events(range(7), megabyte)))) == [STORED] * 7
    results = await publish(gateway, PublishRequest(events=[event("8", data=megabyte + b"x")]))
    assert reasons(results) == ["TOO_LARGE"]
    assert outcomes(await publish(gateway, PublishRequest(events=events(range(1000, 2000))))) == [STORED] * 1000
    for request in (PublishRequest(events=events(range(1001))), PublishRequest(events=events(range(9), megabyte))):
        with pytest.raises(aio.AioRpcError) as refused:
            await publish(gateway, request)
        assert refused.value.code() in {StatusCode.INVALID_ARGUMENT, StatusCode.RESOURCE_EXHAUSTED}


async def test_a_type_that_the_caller_may_not_publish_is_refused_alone(gateway: ServingGateway) -> None:
    token = gateway.token("service:till", ["publish:shop.*"])
    results = await publish(gateway, PublishRequest(events=[event("1"), event("2", type_="stock.item")]), token)
    assert outcomes(results) == [STORED, REFUSED]
    assert reasons(results)[1] == "PERMISSION_DENIED"


async def test_refused_events_are_kept_as_dead_letters_where_that_is_wished(gateway: ServingGateway) -> None:
    large = event("3", data=b"x" * (1 << 20) + b"x")
    request = PublishRequest(events=[event("1"), event("2", source="a b"), large], dead_letter_refused=True)
    assert outcomes(await publish(gateway, request)) == [STORED, DEAD_LETTERED, DEAD_LETTERED]
    async with aio.insecure_channel(gateway.grpc) as channel:
        stub = dead_letter_service_pb2_grpc.DeadLetterServiceStub(channel)
        asked = dead_letter_service_pb2.ListDeadLettersRequest(subscription="@publish")
        letters = (await stub.ListDeadLetters(asked, metadata=metadata(gateway.token()))).dead_letters
    assert [(letter.event.id, letter.event.source) for letter in letters] == [("2", "a b"), ("3", "/shop")]
    assert "source" in letters[0].error
    assert letters[1].event.WhichOneof("data") is None


async def test_a_full_stream_takes_no_more_and_says_so(tmp_path: Path, nats: Nats) -> None:
    async with serving_gateway(tmp_path / "home", nats, ONTOMESH_EVENTS_MAX_BYTES="100000") as gateway:
        first = await publish(gateway, PublishRequest(events=events(range(50), b"x" * 1000)))
        assert outcomes(first) == [STORED] * 50
        for require_stored in (False, True):
            request = PublishRequest(events=events(range(50, 150), b"x" * 1000), require_stored=require_stored)
            results = await publish(gateway, request)
            assert outcomes(results) == [FAILED] * 100
            assert reasons(results)[0] == "STREAM_FULL"
        assert await spooled(gateway) == 0
        assert len(await stored(nats)) == 50


async def test_while_nats_is_away_events_are_spooled_and_then_drained_in_order(
    nats: Nats, gateway: ServingGateway
) -> None:
    await publish(gateway, PublishRequest(events=events(range(10))))
    nats.kill()
    for start in range(10, 60, 10):
        results = await publish(gateway, PublishRequest(events=events(range(start, start + 10))))
        assert outcomes(results) == [SPOOLED] * 10
    results = await publish(gateway, PublishRequest(events=events(range(60, 62)), require_stored=True))
    assert outcomes(results) == [FAILED] * 2
    assert reasons(results)[0] == "BROKER_UNAVAILABLE"
    await nats.start()
    await until_drained(gateway)
    assert outcomes(await publish(gateway, PublishRequest(events=events([60])))) == [STORED]
    assert await stored(nats) == [str(number) for number in range(61)]


async def test_what_is_published_while_the_spool_drains_comes_after_it(nats: Nats, gateway: ServingGateway) -> None:
    nats.kill()
    for start in range(0, 4000, 500):
        await publish(gateway, PublishRequest(events=events(range(start, start + 500))))
    await nats.start()
    number = 4000
    while await spooled(gateway):
        await publish(gateway, PublishRequest(events=events([number])))
        number += 1
    assert await stored(nats) == [str(number) for number in range(number)]


async def test_nothing_that_was_stored_is_lost_when_nats_is_killed_amid_publishing(
    nats: Nats, gateway: ServingGateway
) -> None:
    taken: list[str] = []
    async with stub_of(gateway) as stub:
        allowed = metadata(gateway.token())

        async def send(lane: int) -> None:
            for number in range(60):
                ids = [f"{lane}-{number}-{index}" for index in range(10)]
                answer = await stub.Publish(PublishRequest(events=events(ids)), metadata=allowed)
                assert set(outcomes(answer.results)) <= {STORED, SPOOLED, DUPLICATE}
                taken.extend(ids)

        sending = asyncio.gather(*(send(lane) for lane in range(8)))

        def have_taken(count: int) -> Callable[[], bool]:
            return lambda: len(taken) >= count or sending.done()

        for count in (400, 1200, 2000):
            await until_here(have_taken(count))
            nats.kill()
            await nats.start()
        await sending
    await until_drained(gateway)
    found = await stored(nats)
    assert set(found) == set(taken)
    assert len(found) == len(set(found))
    for lane in range(8):
        mine = [id_ for id_ in found if id_.startswith(f"{lane}-")]
        assert mine == [id_ for id_ in taken if id_.startswith(f"{lane}-")]


async def test_a_broker_that_hangs_is_told_from_one_that_answers(nats: Nats, gateway: ServingGateway) -> None:
    nats.pause()
    hung = asyncio.create_task(publish(gateway, PublishRequest(events=events(range(3)), require_stored=True)))
    spooling = asyncio.create_task(publish(gateway, PublishRequest(events=events(range(3, 6)))))
    assert reasons(await hung)[0] == "BROKER_UNAVAILABLE"
    assert outcomes(await spooling) == [SPOOLED] * 3
    nats.resume()
    await until_drained(gateway)
    again = await publish(gateway, PublishRequest(events=events(range(3)), require_stored=True))
    assert set(outcomes(again)) <= {STORED, DUPLICATE}
    assert sorted(await stored(nats)) == [str(number) for number in range(6)]


async def test_a_full_spool_refuses_and_survives_the_gateway_being_killed(tmp_path: Path, nats: Nats) -> None:
    home = tmp_path / "home"
    limit = {"ONTOMESH_SPOOL_MAX_BYTES": "200000"}
    async with serving_gateway(home, nats, **limit) as gateway:
        nats.kill()
        count = 0
        while True:
            results = await publish(gateway, PublishRequest(events=events([count], b"x" * 5000)))
            if outcomes(results) != [SPOOLED]:
                break
            count += 1
        assert outcomes(results) == [FAILED]
        assert reasons(results) == ["SPOOL_FULL"]
        assert count > 30
        gateway.kill()
        await gateway.ended()
    async with serving_gateway(home, nats, **limit) as gateway:
        assert await spooled(gateway) == count
        await nats.start()
        await until_drained(gateway)
        assert await stored(nats) == [str(number) for number in range(count)]


async def test_a_gateway_starts_and_spools_without_nats(tmp_path: Path) -> None:
    async with running_nats(tmp_path / "nats") as nats:
        nats.kill()
        async with serving_gateway(tmp_path / "home", nats) as gateway:
            assert outcomes(await publish(gateway, PublishRequest(events=events([1])))) == [SPOOLED]
            await nats.start()
            await until_drained(gateway)
            assert await stored(nats) == ["1"]


async def streamed(
    stub: "Stub", token: str, requests: Sequence[PublishStreamRequest]
) -> list[publish_service_pb2.PublishStreamResponse]:
    async def send() -> AsyncIterator[PublishStreamRequest]:
        for request in requests:
            yield request

    return [answer async for answer in stub.PublishStream(send(), metadata=metadata(token))]


async def test_a_stream_is_answered_in_order_and_stored_in_order(nats: Nats, gateway: ServingGateway) -> None:
    requests = [
        PublishStreamRequest(number=number, publish=PublishRequest(events=events(f"{number}-{i}" for i in range(7))))
        for number in range(200)
    ]
    async with stub_of(gateway) as stub:
        answers = await streamed(stub, gateway.token(), requests)
    assert [answer.number for answer in answers] == list(range(200))
    assert {result.outcome for answer in answers for result in answer.results} == {STORED}
    assert await stored(nats) == [one.id for request in requests for one in request.publish.events]


async def test_after_a_failure_a_stream_goes_on_where_the_sender_begins_again(
    nats: Nats, gateway: ServingGateway
) -> None:
    def message(number: int) -> PublishStreamRequest:
        return PublishStreamRequest(number=number, publish=PublishRequest(events=events([number]), require_stored=True))

    async with stub_of(gateway) as stub:
        call = stub.PublishStream(metadata=metadata(gateway.token()))
        await call.write(message(1))
        assert outcomes((await _next(call)).results) == [STORED]
        nats.kill()
        for number in (2, 3, 4):
            await call.write(message(number))
        failed = [await _next(call) for _ in range(3)]
        told = [reasons(answer.results)[0] for answer in failed]
        assert told[0] == "BROKER_UNAVAILABLE"
        # What waited for the broker already fails for the same reason.
        assert set(told[1:]) <= {"BROKER_UNAVAILABLE", "NOT_REACHED"}
        await nats.start()
        await publish(gateway, PublishRequest(events=events([0])))
        await until_drained(gateway)
        await call.write(message(5))
        assert reasons((await _next(call)).results) == ["NOT_REACHED"]
        for number in (2, 3, 4, 5):
            await call.write(message(number))
        assert [outcomes((await _next(call)).results) for _ in range(4)] == [[STORED]] * 4
        await call.done_writing()
    assert [id_ for id_ in await stored(nats) if id_ != "0"] == ["1", "2", "3", "4", "5"]


async def _next(call: "Call") -> publish_service_pb2.PublishStreamResponse:
    answer = await call.read()
    assert isinstance(answer, publish_service_pb2.PublishStreamResponse)
    return answer


async def test_a_sender_that_leaves_amid_a_stream_harms_nobody(nats: Nats, gateway: ServingGateway) -> None:
    async with stub_of(gateway) as stub:
        call = stub.PublishStream(metadata=metadata(gateway.token()))
        for number in range(30):
            await call.write(PublishStreamRequest(number=number, publish=PublishRequest(events=events([number]))))
        call.cancel()
    assert outcomes(await publish(gateway, PublishRequest(events=events(["after"])))) == [STORED]
    assert (await stored(nats))[-1] == "after"
    assert not [line for line in gateway.logged() if line["level"] == "ERROR"]
