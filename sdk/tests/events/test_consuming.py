import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from sdk.tests.events.gateway import Gateway
from sdk.tests.events.memory import HOP, Sub

from ontomesh.events.v1.dead_letter_service_pb2 import Attempt
from ontomesh.sdk import AsyncMesh, connect, errors
from ontomesh.sdk.events import Delivery, Event, Reject, Retry


async def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.005)


async def given(mesh: AsyncMesh, number: int, **options: object) -> None:
    """A subscription `s` with events that are numbered from 0 on."""
    await mesh.events.create_subscription("s", start="all", **options)  # type: ignore[arg-type]
    await mesh.events.publish(*(Event.of("a", index, id=str(index)) for index in range(number)))


@asynccontextmanager
async def consuming(mesh: AsyncMesh, handler: Callable[[Delivery], object], **options: object) -> AsyncIterator[None]:
    task = asyncio.create_task(mesh.events.consume("s", handler, **options))  # type: ignore[arg-type]
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def outcomes(sub: Sub) -> list[str]:
    return [Attempt.Outcome.Name(each.outcome).removeprefix("OUTCOME_") for each in sub.account]


async def test_events_are_handled_in_order_and_acknowledged(mesh: AsyncMesh, gateway: Gateway) -> None:
    await given(mesh, 300)
    seen: list[tuple[object, int]] = []

    async def handle(delivery: Delivery) -> None:
        seen.append((delivery.event.data, delivery.attempt))

    sub = gateway.memory.subs["s"]
    async with consuming(mesh, handle, credit=20):
        await until(lambda: len(sub.acknowledged) == 300)
        await mesh.events.publish(Event.of("a", "later"))
        await until(lambda: len(sub.acknowledged) == 301)
    assert seen == [*((index, 1) for index in range(300)), ("later", 1)]
    assert not sub.out
    await until(lambda: sub.consumers == [])


async def test_a_handler_says_retry_or_reject_or_fails(mesh: AsyncMesh, gateway: Gateway) -> None:
    await given(mesh, 3, max_attempts=3)
    tries: dict[str, int] = {}

    async def handle(delivery: Delivery) -> None:
        id = delivery.event.id
        tries[id] = tries.get(id, 0) + 1
        if id == "0" and tries[id] < 2:
            raise Retry(0.01, "not yet")
        if id == "1":
            raise Reject("never")
        if id == "2":
            raise OSError("broken")

    sub = gateway.memory.subs["s"]
    async with consuming(mesh, handle, backoff=lambda attempt: 0.01 * attempt):
        await until(lambda: len(sub.dead) == 2 and len(sub.acknowledged) == 1)
    assert tries == {"0": 2, "1": 1, "2": 3}
    assert {each.event.id: (each.error, each.attempts) for each in sub.dead.values()} == {
        "1": ("never", 1),
        "2": ("OSError: broken", 3),
    }
    assert "not yet" in [each.error for each in sub.account]


async def test_what_takes_long_is_put_off_and_delivered_once(mesh: AsyncMesh, gateway: Gateway) -> None:
    await given(mesh, 2, ack_deadline=0.4)
    tries: list[str] = []

    async def handle(delivery: Delivery) -> None:
        tries.append(delivery.event.id)
        await asyncio.sleep(1)

    sub = gateway.memory.subs["s"]
    async with consuming(mesh, handle):
        await until(lambda: len(sub.acknowledged) == 2)
    assert tries == ["0", "1"]
    assert {1, 2} <= set(gateway.memory.renewals)
    assert outcomes(sub) == ["ACKNOWLEDGED"] * 2


async def test_as_many_events_are_handled_at_once_as_is_wanted(mesh: AsyncMesh, gateway: Gateway) -> None:
    await given(mesh, 12)
    running, most = 0, 0

    async def handle(delivery: Delivery) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.02)
        running -= 1

    async with consuming(mesh, handle, concurrency=4):
        await until(lambda: len(gateway.memory.subs["s"].acknowledged) == 12)
    assert most == 4


async def test_a_plain_function_handles_events_in_threads(mesh: AsyncMesh, gateway: Gateway) -> None:
    await given(mesh, 4)
    barrier = threading.Barrier(2)
    threads: set[str] = set()

    def handle(delivery: Delivery) -> None:
        barrier.wait(10)
        threads.add(threading.current_thread().name)

    async with consuming(mesh, handle, concurrency=2):
        await until(lambda: len(gateway.memory.subs["s"].acknowledged) == 4)
    assert len(threads) == 2
    assert all(name.startswith("ontomesh-handler") for name in threads)


async def test_a_gateway_that_restarts_again_and_again_loses_nothing(mesh: AsyncMesh, gateway: Gateway) -> None:
    await given(mesh, 400)
    seen: list[str] = []

    async def handle(delivery: Delivery) -> None:
        seen.append(delivery.event.id)
        await asyncio.sleep(0.001)

    sub = gateway.memory.subs["s"]
    async with consuming(mesh, handle, credit=50):
        for count in (50, 150, 250):
            await until(lambda count=count: len(sub.acknowledged) >= count)  # type: ignore[misc]
            await asyncio.to_thread(gateway.stop)
            await asyncio.to_thread(gateway.start)
        await until(lambda: len(sub.acknowledged) == 400)
    assert sorted(set(seen), key=int) == [str(index) for index in range(400)]


async def test_what_is_handled_while_the_stream_breaks_is_not_handled_twice(mesh: AsyncMesh, gateway: Gateway) -> None:
    await given(mesh, 3)
    seen: list[str] = []
    gate = asyncio.Event()

    async def handle(delivery: Delivery) -> None:
        seen.append(delivery.event.id)
        await gate.wait()

    sub = gateway.memory.subs["s"]
    async with consuming(mesh, handle, concurrency=2):
        await until(lambda: len(seen) == 2)
        await asyncio.to_thread(gateway.stop)
        await asyncio.to_thread(gateway.start)
        await until(lambda: len(sub.out) == 3)
        gate.set()
        await until(lambda: len(sub.acknowledged) == 3)
    assert seen == ["0", "1", "2"]


async def test_an_acknowledgement_that_is_lost_is_given_again_without_handling(
    mesh: AsyncMesh, gateway: Gateway
) -> None:
    await given(mesh, 5)
    seen: list[str] = []

    async def handle(delivery: Delivery) -> None:
        seen.append(delivery.event.id)

    gateway.memory.lose_acks = True
    sub = gateway.memory.subs["s"]
    async with consuming(mesh, handle):
        await until(lambda: len(seen) == 5)
        await asyncio.to_thread(gateway.stop)
        gateway.memory.lose_acks = False
        await asyncio.to_thread(gateway.start)
        await until(lambda: len(sub.acknowledged) == 5)
    assert seen == ["0", "1", "2", "3", "4"]


async def test_who_is_stopped_finishes_what_is_handled_and_gives_the_rest_back(
    mesh: AsyncMesh, gateway: Gateway
) -> None:
    await given(mesh, 3)
    begun, gate = asyncio.Event(), asyncio.Event()

    async def handle(delivery: Delivery) -> None:
        begun.set()
        await gate.wait()

    sub = gateway.memory.subs["s"]
    task = asyncio.create_task(mesh.events.consume("s", handle))
    await begun.wait()
    task.cancel()
    await asyncio.wait({task}, timeout=0.1)
    assert not task.done()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: sub.consumers == [])
    assert sub.acknowledged == {1}
    assert (len(sub.waiting), sub.out) == (2, {})
    assert max(sub.attempts.values()) == 1


async def test_a_handler_that_does_not_end_holds_a_stop_up_for_the_grace_only(
    mesh: AsyncMesh, gateway: Gateway
) -> None:
    await given(mesh, 1)
    begun = asyncio.Event()

    async def handle(delivery: Delivery) -> None:
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(mesh.events.consume("s", handle, grace=0.1))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 10)
    sub = gateway.memory.subs["s"]
    await until(lambda: len(sub.waiting) == 1)


async def test_a_subscription_that_is_not_there_is_told(mesh: AsyncMesh) -> None:
    with pytest.raises(errors.SubscriptionNotFound):
        await mesh.events.consume("nobody", lambda delivery: None)


async def test_deliveries_are_answered_one_by_one(mesh: AsyncMesh, gateway: Gateway) -> None:
    await given(mesh, 4)
    sub = gateway.memory.subs["s"]
    answered = 0
    async for delivery in mesh.events.deliveries("s"):
        match delivery.event.id:
            case "0":
                delivery.ack()
                delivery.nak()  # Only the first answer counts.
            case "1":
                delivery.reject("bad")
            case "2" if delivery.attempt == 1:
                delivery.nak(0.01, "again")
                answered -= 1
            case "2":
                with delivery as event:
                    assert event.id == "2"
            case "3":
                with delivery:
                    raise Reject("in the block")
        answered += 1
        if answered == 4:
            break
    await until(lambda: len(sub.dead) == 2 and len(sub.acknowledged) == 2 and not sub.consumers)
    assert sorted(each.error for each in sub.dead.values()) == ["bad", "in the block"]


async def test_an_exception_leaves_the_block_of_a_delivery_and_the_event_comes_again(
    mesh: AsyncMesh, gateway: Gateway
) -> None:
    await given(mesh, 1)

    async def handle() -> None:
        async for delivery in mesh.events.deliveries("s", backoff=lambda attempt: 5):
            with delivery:
                raise OSError("away")

    with pytest.raises(OSError, match="away"):
        await handle()
    sub = gateway.memory.subs["s"]
    await until(lambda: bool(sub.account))
    assert sub.account[0].error == "OSError: away"


async def test_handling_is_a_span_below_the_hop(gateway: Gateway, home: object) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    origin = "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"
    async with connect("127.0.0.1:1", events_address=gateway.address, tracer_provider=provider) as mesh:
        await mesh.events.create_subscription("s", start="all", max_attempts=1)
        await mesh.events.publish(Event.of("orders.placed", id="7", attributes={"traceparent": origin}))
        await mesh.events.publish(Event.of("orders.lost", id="8"))
        current: list[trace.SpanContext] = []

        async def handle(delivery: Delivery) -> None:
            current.append(trace.get_current_span().get_span_context())
            if delivery.event.id == "8":
                raise OSError("broken")

        sub = gateway.memory.subs["s"]
        async with consuming(mesh, handle):
            await until(lambda: bool(sub.acknowledged) and bool(sub.dead))
    first, second = [span for span in exporter.get_finished_spans() if span.kind is SpanKind.CONSUMER]
    assert (first.name, second.name) == ("process orders.placed", "process orders.lost")
    assert first.parent is not None
    assert f"00-{first.parent.trace_id:032x}-{first.parent.span_id:016x}-01" == HOP
    assert [f"{link.context.trace_id:032x}" for link in first.links] == ["ab" * 16]
    assert [first.context, second.context] == current
    assert first.attributes is not None
    assert first.attributes["messaging.destination.subscription.name"] == "s"
    assert first.attributes["cloudevents.event_id"] == "7"
    assert (first.status.status_code, second.status.status_code) == (StatusCode.UNSET, StatusCode.ERROR)
    assert "Consume" not in " ".join(span.name for span in exporter.get_finished_spans())


def test_blocking_code_consumes_by_a_handler_and_by_deliveries(gateway: Gateway, home: object) -> None:
    with connect("127.0.0.1:1", events_address=gateway.address) as mesh:
        mesh.events.create_subscription("s", start="all")
        mesh.events.publish(*(Event.of("a", id=str(index)) for index in range(3)))
        for delivery in mesh.events.deliveries("s"):
            with delivery as event:
                if event.id == "2":
                    break
        seen: list[str] = []
        done = threading.Event()

        def handle(delivery: Delivery) -> None:
            # A handler may use the blocking client that runs it.
            seen.append(mesh.events.subscription("s").name + delivery.event.id)
            done.set()

        thread = threading.Thread(target=lambda: _consume(mesh, handle))
        thread.start()
        mesh.events.publish(Event.of("a", id="3"))
        assert done.wait(20)
    thread.join(20)
    assert not thread.is_alive()
    assert "s3" in seen
    assert gateway.memory.subs["s"].acknowledged == {1, 2, 3, 4}


def _consume(mesh: object, handle: Callable[[Delivery], object]) -> None:
    mesh.events.consume("s", handle)  # type: ignore[attr-defined]


async def test_a_handler_that_raises_stop_iteration_in_a_thread_fails_as_others_do(
    mesh: AsyncMesh, gateway: Gateway
) -> None:
    await given(mesh, 2)
    seen: list[str] = []

    def handle(delivery: Delivery) -> None:
        seen.append(delivery.event.id)
        if len(seen) == 1:
            next(iter(()))

    sub = gateway.memory.subs["s"]
    async with consuming(mesh, handle, backoff=lambda attempt: 0.01):
        await until(lambda: len(sub.acknowledged) == 2)
    assert sub.account[0].error == "RuntimeError: the handler raised StopIteration"


@pytest.mark.parametrize("in_thread", [False, True])
async def test_a_handler_for_which_something_was_cancelled_fails_and_the_consumer_goes_on(
    mesh: AsyncMesh, gateway: Gateway, in_thread: bool
) -> None:
    await given(mesh, 3)
    seen: list[str] = []

    def fail_once(delivery: Delivery) -> None:
        seen.append(delivery.event.id)
        if len(seen) == 1:
            raise asyncio.CancelledError

    async def handle(delivery: Delivery) -> None:
        fail_once(delivery)

    sub = gateway.memory.subs["s"]
    async with consuming(mesh, fail_once if in_thread else handle, backoff=lambda attempt: 0.01):
        await until(lambda: len(sub.acknowledged) == 3)
    assert "was cancelled" in sub.account[0].error


def test_a_handler_that_ends_the_program_ends_the_consumer_and_leaves_the_client_usable(
    gateway: Gateway, home: object
) -> None:
    def handle(delivery: Delivery) -> None:
        raise SystemExit(7)

    with connect("127.0.0.1:1", events_address=gateway.address) as mesh:
        mesh.events.create_subscription("s", start="all")
        mesh.events.publish(Event.of("a"))
        with pytest.raises(SystemExit, match="7"):
            mesh.events.consume("s", handle)
        assert mesh.events.subscription("s").name == "s"
    assert gateway.memory.subs["s"].account[0].error == "HandlerExit: SystemExit 7"
