"""The SDK with a real gateway over a real NATS server: nothing is lost or out of order when either dies."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from ontomesh.sdk import AsyncMesh, connect, errors
from ontomesh.sdk.events import Delivery, Event, Filter, Reject, Retry
from tests.events.serving import Nats, running_nats, serving_gateway, token_of


class Stack:
    """NATS and a gateway that is killed and started again on its port."""

    def __init__(self, home: Path, nats: Nats) -> None:
        self.home = home
        self.nats = nats
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._gateway = contextlib.AsyncExitStack()

    async def start(self) -> None:
        self._gateway = contextlib.AsyncExitStack()
        self.running = await self._gateway.enter_async_context(
            serving_gateway(self.home, self.nats, ONTOMESH_EVENTS_GRPC_PORT=str(self.port))
        )

    async def kill(self) -> None:
        self.running.kill()
        await self.running.ended()
        await self._gateway.aclose()

    async def restart(self) -> None:
        await self.kill()
        await self.start()

    async def close(self) -> None:
        await self._gateway.aclose()


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    async with running_nats(tmp_path / "nats") as nats:
        (tmp_path / "home").mkdir(mode=0o700)
        stack = Stack(tmp_path / "home", nats)
        await stack.start()
        try:
            yield stack
        finally:
            await stack.close()


@asynccontextmanager
async def client(stack: Stack, provider: TracerProvider | None = None) -> AsyncIterator[AsyncMesh]:
    connection = connect(
        "127.0.0.1:1",
        events_address=f"127.0.0.1:{stack.port}",
        token=token_of(stack.home),
        source="/tests",
        tracer_provider=provider,
    )
    async with connection as mesh:
        yield mesh


@asynccontextmanager
async def consuming(mesh: AsyncMesh, handler: Callable[[Delivery], object], **options: object) -> AsyncIterator[None]:
    task = asyncio.create_task(mesh.events.consume("s", handler, **options))  # type: ignore[arg-type]
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], bool], seconds: float = 40) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.01)


async def until_true(condition: Callable[[], Awaitable[bool]], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.02)


async def ids(mesh: AsyncMesh, last: str) -> list[str]:
    """The ids in the stream, up to the one that is named last."""
    found: list[str] = []
    async for received in mesh.events.subscribe(start="all"):
        found.append(received.event.id)
        if found[-1] == last:
            break
    return found


def first_ones(found: list[str]) -> list[str]:
    return list(dict.fromkeys(found))


@pytest.mark.timeout(120)
async def test_a_publisher_keeps_everything_and_its_order_over_kills_of_the_gateway(stack: Stack) -> None:
    wanted = [str(index) for index in range(4000)]
    async with client(stack) as mesh:
        async with mesh.events.publisher() as publisher:
            futures = []
            for id in wanted:
                futures.append(await publisher.publish_async(Event.of("a", b"x" * 200, id=id)))
                if id in ("1000", "2500"):
                    await stack.restart()
            results = await asyncio.gather(*futures)
        assert all(result.accepted for result in results)
        found = await ids(mesh, wanted[-1])
    assert first_ones(found) == wanted


@pytest.mark.timeout(120)
async def test_a_publisher_keeps_everything_and_its_order_over_a_kill_of_nats(stack: Stack) -> None:
    wanted = [str(index) for index in range(3000)]
    async with client(stack) as mesh:
        async with mesh.events.publisher() as publisher:
            futures = []
            for id in wanted:
                futures.append(await publisher.publish_async(Event.of("a", b"x" * 200, id=id)))
                if id == "800":
                    await asyncio.to_thread(stack.nats.kill)
                if id == "2000":
                    assert (await futures[-1]).outcome == "spooled"
                    await stack.nats.start()
            results = await asyncio.gather(*futures)
        assert all(result.accepted for result in results)
        found = await ids(mesh, wanted[-1])
    assert first_ones(found) == wanted


@pytest.mark.timeout(120)
async def test_what_must_be_stored_waits_for_nats_and_keeps_its_order(stack: Stack) -> None:
    wanted = [str(index) for index in range(1500)]
    async with client(stack) as mesh:
        async with mesh.events.publisher(require_stored=True) as publisher:
            futures = [await publisher.publish_async(Event.of("a", id=id)) for id in wanted[:500]]
            await asyncio.to_thread(stack.nats.kill)
            futures += [await publisher.publish_async(Event.of("a", id=id)) for id in wanted[500:]]
            await asyncio.wait({futures[-1]}, timeout=0.5)
            assert not futures[-1].done()
            await stack.nats.start()
            results = await asyncio.gather(*futures)
        assert {result.outcome for result in results} <= {"stored", "duplicate"}
        found = await ids(mesh, wanted[-1])
    assert first_ones(found) == wanted


@pytest.mark.timeout(120)
async def test_a_consumer_goes_on_over_kills_of_the_gateway_and_of_nats(stack: Stack) -> None:
    seen: list[str] = []

    async def handle(delivery: Delivery) -> None:
        await asyncio.sleep(0.001)
        seen.append(delivery.event.id)

    async with client(stack) as mesh:
        await mesh.events.create_subscription("s", start="all", ack_deadline=5, max_attempts=100)
        async with consuming(mesh, handle, credit=50, concurrency=4):
            for batch in range(4):
                async with mesh.events.publisher() as publisher:
                    for index in range(300):
                        _ = await publisher.publish_async(Event.of("a", id=str(batch * 300 + index)))
                await until(lambda: len(set(seen)) >= batch * 300 + 100)  # noqa: B023 - called within the turn
                if batch < 2:
                    await stack.restart()
                elif batch == 2:
                    await asyncio.to_thread(stack.nats.kill)
                    await stack.nats.start()
            await until(lambda: len(set(seen)) == 1200)
    assert set(seen) == {str(index) for index in range(1200)}


@pytest.mark.timeout(120)
async def test_by_key_the_order_holds_over_retries_and_kills(stack: Stack) -> None:
    seen: dict[str, list[int]] = {}
    failed: set[str] = set()

    async def handle(delivery: Delivery) -> None:
        event = delivery.event
        if event.data % 7 == 3 and event.id not in failed:
            failed.add(event.id)
            raise Retry(0.01)
        seen.setdefault(event.subject, []).append(event.data)

    async with client(stack) as mesh:
        await mesh.events.create_subscription("s", start="all", ordering="by_key", ack_deadline=5, max_attempts=100)
        await mesh.events.publish(
            *(Event.of("a", index, subject=f"key-{index % 5}", id=str(index)) for index in range(200))
        )
        async with consuming(mesh, handle, concurrency=8):
            await until(lambda: sum(map(len, seen.values())) >= 60)
            await stack.restart()
            await until(lambda: sum(len(set(each)) for each in seen.values()) == 200)
    for key in range(5):
        assert list(dict.fromkeys(seen[f"key-{key}"])) == list(range(key, 200, 5))


async def test_retries_rejects_and_long_handlers_do_what_they_say(stack: Stack) -> None:
    tries: dict[str, int] = {}

    async def handle(delivery: Delivery) -> None:
        id = delivery.event.id
        tries[id] = tries.get(id, 0) + 1
        if id == "reject":
            raise Reject("never")
        if id == "fail":
            raise OSError("broken")
        if id == "retry" and delivery.attempt == 1:
            raise Retry(0.05)
        if id == "long":
            await asyncio.sleep(2.5)

    async with client(stack) as mesh:
        events = mesh.events
        await events.create_subscription("s", start="all", ack_deadline=1, max_attempts=2, attempt_records="all")
        await events.publish(*(Event.of("a", id=id) for id in ("long", "reject", "fail", "retry")))

        async def all_done() -> bool:
            dead = sorted([letter.error async for letter in events.dead_letters("s")])
            return dead == ["OSError: broken", "never"] and not (await events.subscription_status("s")).outstanding

        async def none_dead() -> bool:
            return not (await events.subscription_status("s")).dead_letters

        async with consuming(mesh, handle, concurrency=4, backoff=lambda attempt: 0.05):
            await until_true(all_done)
        assert tries == {"long": 1, "reject": 1, "fail": 2, "retry": 2}

        async def recorded() -> bool:
            return [attempt.outcome async for attempt in events.attempts("s", event_id="long")] == ["acknowledged"]

        await until_true(recorded)
        assert await events.redrive("s") == 2
        async with consuming(mesh, lambda delivery: None):
            await until_true(none_dead)


async def test_a_stream_goes_on_over_kills(stack: Stack) -> None:
    async with client(stack) as mesh:
        stream = mesh.events.subscribe(Filter(types="a"))
        first = asyncio.ensure_future(anext(stream))
        await asyncio.wait({first}, timeout=1)
        await mesh.events.publish(Event.of("b"), Event.of("a", id="1"))
        assert (await first).event.id == "1"
        await stack.restart()
        async with mesh.events.publisher() as publisher:
            await publisher.publish(Event.of("a", id="2"))
        assert (await anext(stream)).event.id == "2"


async def test_refusals_come_as_their_reasons(stack: Stack) -> None:
    async with client(stack) as mesh:
        with pytest.raises(errors.InvalidEvent) as caught:
            await mesh.events.publish(Event.of("no white space", {}))
        assert caught.value.violations
        with pytest.raises(errors.SubscriptionNotFound):
            await mesh.events.consume("nobody", lambda delivery: None)
        await mesh.events.create_subscription("s")
        with pytest.raises(errors.SubscriptionAlreadyExists):
            await mesh.events.create_subscription("s")
        with pytest.raises(errors.InvalidRequest):
            await mesh.events.create_subscription("not a name")
        task = asyncio.create_task(mesh.events.consume("s", lambda delivery: None))

        async def attached() -> bool:
            return bool((await mesh.events.subscription_status("s")).consumers)

        await until_true(attached)
        await mesh.events.delete_subscription("s")
        with pytest.raises(errors.SubscriptionNotFound):
            await asyncio.wait_for(task, 20)


async def test_handling_is_a_span_of_the_trace_in_which_the_event_was_published(stack: Stack) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    handled = asyncio.Event()

    async def handle(delivery: Delivery) -> None:
        handled.set()

    async with client(stack, provider) as mesh:
        await mesh.events.create_subscription("s")
        async with consuming(mesh, handle):
            with provider.get_tracer("test").start_as_current_span("order") as order:
                await mesh.events.publish(Event.of("orders.placed"))
            async with asyncio.timeout(20):
                await handled.wait()
    (span,) = [span for span in exporter.get_finished_spans() if span.kind is SpanKind.CONSUMER]
    assert span.name == "process orders.placed"
    assert span.context.trace_id == order.get_span_context().trace_id
