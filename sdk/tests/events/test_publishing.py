import asyncio
import time

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from sdk.tests.events.gateway import Gateway
from sdk.tests.events.memory import failed

from ontomesh.sdk import AsyncMesh, connect, errors
from ontomesh.sdk.events import Event


def stored(gateway: Gateway) -> list[str]:
    return [each.event.id for each in gateway.memory.stream]


async def test_events_are_stored_in_their_order_with_a_source(mesh: AsyncMesh, gateway: Gateway) -> None:
    results = await mesh.events.publish(Event.of("a", {"n": 1}, id="1"), Event.of("b", id="2", source="/own"))
    assert [(each.outcome, each.sequence, each.accepted) for each in results] == [
        ("stored", 1, True),
        ("stored", 2, True),
    ]
    assert [each.event.source for each in gateway.memory.stream] == ["/tests", "/own"]
    (again,) = await mesh.events.publish(Event.of("a", id="1"))
    assert (again.outcome, again.sequence, again.accepted) == ("duplicate", 1, True)


async def test_the_first_event_that_is_refused_is_raised_as_its_reason(mesh: AsyncMesh, gateway: Gateway) -> None:
    with pytest.raises(errors.InvalidEvent) as caught:
        await mesh.events.publish(Event.of("a", id="1"), Event.of(""))
    assert caught.value.reason == "INVALID_EVENT"
    assert caught.value.violations == (errors.Violation("type", "is missing"),)
    assert stored(gateway) == ["1"]


async def test_who_wants_results_gets_one_for_each_event(mesh: AsyncMesh, gateway: Gateway) -> None:
    gateway.memory.outcomes = [failed("BROKER_UNAVAILABLE")]
    results = await mesh.events.try_publish(Event.of("a"), Event.of("a"), require_stored=True)
    assert [each.outcome for each in results] == ["failed", "failed"]
    assert [type(each.error) for each in results] == [errors.BrokerUnavailable, errors.NotReached]
    assert not results[0].accepted


async def test_many_events_that_are_published_at_once_share_messages(mesh: AsyncMesh, gateway: Gateway) -> None:
    async with mesh.events.publisher() as publisher:
        futures = [await publisher.publish_async("orders.placed", b"%d" % index) for index in range(2000)]
        await publisher.flush()
        assert all(future.done() for future in futures)
    assert [each.event.binary_data for each in gateway.memory.stream] == [b"%d" % index for index in range(2000)]
    assert [future.result().sequence for future in futures] == list(range(1, 2001))
    assert max(gateway.memory.requests) <= 256
    assert len(gateway.memory.requests) < 100


async def test_concurrent_calls_of_publish_share_messages_too(mesh: AsyncMesh, gateway: Gateway) -> None:
    async with mesh.events.publisher() as publisher:
        await asyncio.gather(*(publisher.publish("a") for _ in range(500)))
    assert len(gateway.memory.requests) < 100


async def test_a_subject_of_nats_and_its_headers_become_an_event(mesh: AsyncMesh, gateway: Gateway) -> None:
    headers = {"Nats-Msg-Id": "order-7", "Content-Type": "application/json", "ce-subject": "orders/7", "X-Tenant": "a"}
    async with mesh.events.publisher(types={"orders.v1.placed": "orders.placed"}, source="/shop") as publisher:
        await publisher.publish("orders.v1.placed", b'{"n":1}')
        await publisher.publish("orders.cancelled", b'{"n":2}', headers=headers)
        with pytest.raises(ValueError, match="cannot be an attribute"):
            await publisher.publish("orders.cancelled", headers={"X-" + "a" * 30: "b"})
    mapped, plain = [each.event for each in gateway.memory.stream]
    assert (mapped.type, mapped.source, mapped.attributes["subject"].ce_string) == (
        "orders.placed",
        "/shop",
        "orders.v1.placed",
    )
    assert (plain.type, plain.id, plain.binary_data) == ("orders.cancelled", "order-7", b'{"n":2}')
    values = {name: value.ce_string for name, value in plain.attributes.items() if name != "time"}
    assert values == {"datacontenttype": "application/json", "subject": "orders/7", "xtenant": "a"}


async def test_a_refused_event_is_told_to_its_sender_alone(mesh: AsyncMesh, gateway: Gateway) -> None:
    async with mesh.events.publisher() as publisher:
        good, bad, last = [await publisher.publish_async(Event.of(type)) for type in ("a", "", "b")]
        await publisher.flush()
    assert (good.result().sequence, last.result().sequence) == (1, 2)
    assert isinstance(bad.exception(), errors.InvalidEvent)


async def test_from_the_first_failure_on_events_are_published_again_in_order(mesh: AsyncMesh, gateway: Gateway) -> None:
    async with mesh.events.publisher() as publisher:
        await publisher.publish(Event.of("a", id="0"))
        gateway.memory.outcomes = [failed("BROKER_UNAVAILABLE")]
        futures = [await publisher.publish_async(Event.of("a", id=str(index))) for index in range(1, 1000)]
        await asyncio.gather(*futures)
    assert stored(gateway) == [str(index) for index in range(1000)]


async def test_a_gateway_that_is_killed_amid_publishing_loses_nothing_and_no_order(
    mesh: AsyncMesh, gateway: Gateway
) -> None:
    async with mesh.events.publisher() as publisher:
        futures = []
        for index in range(3000):
            futures.append(await publisher.publish_async(Event.of("a", id=str(index))))
            if index in (500, 1500):
                await asyncio.to_thread(gateway.stop)
                await asyncio.to_thread(gateway.start)
        results = await asyncio.gather(*futures)
    assert all(each.accepted for each in results)
    assert stored(gateway) == [str(index) for index in range(3000)]


async def test_a_publisher_gives_up_on_a_gateway_that_stays_away_and_goes_on_when_it_is_back(
    mesh: AsyncMesh, gateway: Gateway
) -> None:
    async with mesh.events.publisher(retry_for=0.3) as publisher:
        await publisher.publish("a")
        await asyncio.to_thread(gateway.stop)
        with pytest.raises(errors.Unavailable):
            await publisher.publish("a")
        await asyncio.to_thread(gateway.start)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                await publisher.publish("a")
                break
            except errors.Unavailable:
                continue
    assert len(gateway.memory.stream) == 2


async def test_a_publisher_holds_its_senders_up_when_too_much_waits(mesh: AsyncMesh, gateway: Gateway) -> None:
    await asyncio.to_thread(gateway.stop)
    async with mesh.events.publisher(outstanding=3) as publisher:
        for _ in range(3):
            _ = await publisher.publish_async("a")
        fourth = asyncio.create_task(publisher.publish_async("a"))
        await asyncio.wait({fourth}, timeout=0.1)
        assert not fourth.done()
        await asyncio.to_thread(gateway.start)
        await (await fourth)
    assert len(gateway.memory.stream) == 4


async def test_a_timeout_ends_the_wait_and_not_the_publishing(mesh: AsyncMesh, gateway: Gateway) -> None:
    await asyncio.to_thread(gateway.stop)
    async with mesh.events.publisher() as publisher:
        with pytest.raises(errors.DeadlineExceeded):
            await publisher.publish("a", b"", 0.05)
        await asyncio.to_thread(gateway.start)
    assert len(gateway.memory.stream) == 1


async def test_closing_the_mesh_flushes_its_publishers(gateway: Gateway, home: object) -> None:
    async with connect("127.0.0.1:1", events_address=gateway.address) as mesh:
        publisher = mesh.events.publisher()
        for _ in range(100):
            _ = await publisher.publish_async("a")
    assert len(gateway.memory.stream) == 100
    with pytest.raises(RuntimeError, match="closed"):
        await publisher.publish("a")


def test_the_blocking_publisher_keeps_the_order_too(gateway: Gateway, home: object) -> None:
    with connect("127.0.0.1:1", events_address=gateway.address) as mesh:
        assert mesh.events.publish(Event.of("a", id="first"))[0].sequence == 1
        with mesh.events.publisher(outstanding=50) as publisher:
            futures = [publisher.publish_async(Event.of("a", id=str(index))) for index in range(500)]
            assert publisher.publish("last").sequence == 502
            publisher.flush()
            assert [future.result().sequence for future in futures] == list(range(2, 502))


async def test_an_event_keeps_the_trace_in_which_it_began(gateway: Gateway, home: object) -> None:
    provider = TracerProvider()
    tracer = provider.get_tracer("test")
    given = "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"
    async with connect("127.0.0.1:1", events_address=gateway.address, tracer_provider=provider) as mesh:
        with tracer.start_as_current_span("order") as span:
            await mesh.events.publish(Event.of("a"), Event.of("a", attributes={"traceparent": given}))
            async with mesh.events.publisher() as publisher:
                await publisher.publish("a")
    begun = trace.format_trace_id(span.get_span_context().trace_id)
    first, second, third = [each.event.attributes["traceparent"].ce_string for each in gateway.memory.stream]
    assert begun in first
    assert second == given
    assert begun in third
    hop = next(metadata["traceparent"] for method, metadata in gateway.seen if method == "Publish")
    assert begun in hop
    assert hop != first
    assert all("traceparent" not in metadata for method, metadata in gateway.seen if method == "PublishStream")


async def test_nobody_overtakes_who_waits_for_room(mesh: AsyncMesh, gateway: Gateway) -> None:
    async with mesh.events.publisher(outstanding=3) as publisher:
        sent = []
        for index in range(400):
            sent.append(asyncio.create_task(publisher.publish("a", str(index).encode())))
            if index % 3 == 0:
                await asyncio.sleep(0)
        await asyncio.gather(*sent)
    assert [int(each.event.binary_data) for each in gateway.memory.stream] == list(range(400))


async def test_an_event_that_no_message_can_hold_is_refused_and_holds_up_no_other(
    mesh: AsyncMesh, gateway: Gateway
) -> None:
    async with mesh.events.publisher() as publisher:
        before = await publisher.publish_async("a", b"1")
        with pytest.raises(errors.TooLarge):
            await publisher.publish("a", bytes(9 << 20))
        assert (await before).sequence == 1
        assert (await publisher.publish("a", b"2")).sequence == 2


async def test_whoever_waits_is_told_when_a_publisher_ends_without_an_answer(home: object) -> None:
    async with connect("127.0.0.1:1", events_address="127.0.0.1:1") as mesh:
        publisher = mesh.events.publisher()
        waiting = await publisher.publish_async("a", b"1")
        await asyncio.sleep(0)
        worker = publisher._worker
        assert worker is not None
        worker.cancel()
        with pytest.raises(errors.ConnectionFailed):
            await asyncio.wait_for(waiting, 20)
        with pytest.raises(RuntimeError, match="closed"):
            await publisher.publish("a", b"2")
