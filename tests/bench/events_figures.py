"""The event gateway's figures, and what events cost a kernel."""

import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import count
from pathlib import Path

from grpc import aio

from ontomesh.events.v1 import event_type_service_pb2, publish_service_pb2, subscription_pb2
from tests.bench import echo_server, events_relay_figures, processes
from tests.bench.events_peer import Peer, peer
from tests.bench.events_processes import Gateway, gateway
from tests.bench.load import run_for
from tests.bench.report import Report
from tests.events.stubs import Consumer, Events, event

ROUNDS = 5
ROUND_SECONDS = 2.0
DATA_BYTES = 1_024
EVENTS_A_MESSAGE = 64
MESSAGES_UNDER_WAY = 16
ROUND_MESSAGES = 150
CONSUMED = 10_000
SUBSCRIPTIONS = 1_000
TYPE = "bench.package"
SCHEMA = {
    "type": "object",
    "required": ["name", "version", "summary", "size", "depends"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "version": {"type": "string", "pattern": "^[0-9][0-9A-Za-z.-]*$"},
        "section": {"enum": ["net", "libs", "python", "devel"]},
        "summary": {"type": "string"},
        "size": {"type": "integer", "minimum": 0},
        "depends": {"type": "array", "items": {"type": "string"}},
    },
}
_IDS = count()


async def measure(report: Report, parts: Sequence[str]) -> None:
    """Measure the named parts (`events` is all of these), or all."""
    all_parts: dict[str, Callable[[Report, Gateway], Awaitable[None]]] = {
        "events.publish": _publish,
        "events.unary": _unary,
        "events.consume": _consume,
        "events.idle": _idle,
        "events.commit": events_relay_figures.commit_to_consumer,
        "events.relay": events_relay_figures.relay,
    }
    chosen = [name for name in all_parts if not parts or name in parts or "events" in parts]
    for name in chosen:
        report.note(f"measuring {name} ...")
        with tempfile.TemporaryDirectory() as folder:
            async with gateway(Path(folder)) as running:
                await all_parts[name](report, running)
    if "events.publish" in chosen:
        report.note("measuring events.publish at a sync interval of 2 minutes ...")
        with tempfile.TemporaryDirectory() as folder:
            async with gateway(Path(folder), sync="2m") as running:
                await _publish_against_peer(report, running, "_sync_2m")


def _data(number: int) -> bytes:
    """JSON of 1 KiB that fits the schema."""
    bare = {
        "name": f"package-{number}",
        "version": "1.0-1",
        "section": "net",
        "summary": "",
        "size": number,
        "depends": [f"package-{number + step}" for step in range(1, 6)],
    }
    bare["summary"] = "x" * (DATA_BYTES - len(json.dumps(bare)))
    return json.dumps(bare).encode()


def _messages(messages: int) -> Iterator[publish_service_pb2.PublishStreamRequest]:
    for number in range(1, messages + 1):
        events = [event(f"{(each := next(_IDS))}", TYPE, data=_data(each)) for _ in range(EVENTS_A_MESSAGE)]
        request = publish_service_pb2.PublishRequest(events=events)
        yield publish_service_pb2.PublishStreamRequest(number=number, publish=request)


async def _register(events: Events) -> None:
    made = event_type_service_pb2.EventType(name=TYPE, json_schema=json.dumps(SCHEMA))
    request = event_type_service_pb2.PutEventTypeRequest(event_type=made)
    await events.types.PutEventType(request, metadata=events.metadata)


async def _publish_messages(events: Events, messages: int = ROUND_MESSAGES) -> float:
    """Events a second over one stream, 16 messages under way."""
    made = list(_messages(messages))
    free = asyncio.Semaphore(MESSAGES_UNDER_WAY)
    stored = publish_service_pb2.PublishResult.OUTCOME_STORED
    call = events.publishing.PublishStream(metadata=events.metadata)

    async def send() -> None:
        for message in made:
            await free.acquire()
            await call.write(message)
        await call.done_writing()

    began = time.perf_counter()
    sending = asyncio.create_task(send())
    async for answer in call:
        assert all(result.outcome == stored for result in answer.results), answer.results[0]
        free.release()
    rate = messages * EVENTS_A_MESSAGE / (time.perf_counter() - began)
    await sending
    return rate


async def _publish_against_peer(report: Report, running: Gateway, suffix: str, at_least: float | None = None) -> None:
    await _register(running.events)
    payload = _data(0)
    ratios, rates, peers, cpu = [], [], [], []
    async with peer(running.nats) as other:
        await _publish_messages(running.events, 20)
        await other.publish(payload, 500)
        for _ in range(ROUNDS):
            peers.append(await other.publish(payload, ROUND_MESSAGES * EVENTS_A_MESSAGE // 2))
            before = running.cpu_seconds()
            rates.append(await _publish_messages(running.events))
            cpu.append((running.cpu_seconds() - before) / (ROUND_MESSAGES * EVENTS_A_MESSAGE) * 1e6)
            ratios.append(rates[-1] / peers[-1])
    report.figure(f"nats.publish.rate{suffix}", statistics.median(peers), "events/s")
    report.figure(f"events.publish.batch_rate{suffix}", statistics.median(rates), "events/s")
    report.figure(f"events.publish.cpu_us{suffix}", statistics.median(cpu), "us")
    report.figure(f"events.publish.batch_vs_nats{suffix}", statistics.median(ratios), "ratio", at_least=at_least)


async def _publish(report: Report, running: Gateway) -> None:
    await _publish_against_peer(report, running, "", at_least=0.5)


async def _unary(report: Report, running: Gateway) -> None:
    await _register(running.events)
    payload = _data(0)
    stored = publish_service_pb2.PublishResult.OUTCOME_STORED

    async def publish(number: int) -> None:
        id = next(_IDS)
        (result,) = await running.events.publish([event(f"{id}", TYPE, data=_data(id))])
        assert result.outcome == stored, result

    async with processes.echo() as address, aio.insecure_channel(address) as channel:
        echo_call: aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(echo_server.METHOD)

        async def echo(number: int) -> None:
            await echo_call(payload)

        await run_for(publish, 1)
        await run_for(echo, 1)
        ratios, rates, p99s = [], [], []
        for _ in range(ROUNDS):
            echoed = await run_for(echo, ROUND_SECONDS)
            published = await run_for(publish, ROUND_SECONDS)
            ratios.append(published.rate / echoed.rate)
            rates.append(published.rate)
            p99s.append(published.percentile_ms(99))
    report.figure("events.publish.unary_rate", statistics.median(rates), "calls/s")
    report.figure("events.publish.unary_p99_ms", statistics.median(p99s), "ms")
    report.figure("events.publish.unary_vs_echo", statistics.median(ratios), "ratio", at_least=0.25)


async def _consume_all(events: Events, name: str, wanted: int) -> float:
    """Events a second, delivered and acknowledged."""
    await events.create_subscription(name, filter=subscription_pb2.Filter(types=[TYPE]))
    consumer = Consumer(events, name)
    began = time.perf_counter()
    await consumer.attach()
    got = 0
    while got < wanted:
        deliveries = await consumer.read()
        await consumer.ack(deliveries)
        got += len(deliveries)
    rate = got / (time.perf_counter() - began)
    await consumer.close()
    return rate


async def _consume(report: Report, running: Gateway) -> None:
    await _publish_messages(running.events, -(-CONSUMED // EVENTS_A_MESSAGE))
    wanted = -(-CONSUMED // EVENTS_A_MESSAGE) * EVENTS_A_MESSAGE
    ratios, rates, peers = [], [], []
    async with peer(running.nats) as other:
        await _fill(other, wanted)
        for round_ in range(ROUNDS):
            peers.append(await other.consume(wanted, round_))
            rates.append(await _consume_all(running.events, f"bench-{round_}", wanted))
            ratios.append(rates[-1] / peers[-1])
    report.figure("nats.consume.rate", statistics.median(peers), "events/s")
    report.figure("events.consume.rate", statistics.median(rates), "events/s")
    report.figure("events.consume.rate_vs_nats", statistics.median(ratios), "ratio", at_least=0.4)


async def _fill(other: Peer, wanted: int) -> None:
    await other.publish(_data(0), wanted)


async def _idle(report: Report, running: Gateway) -> None:
    await _publish_messages(running.events, 1)
    numbers = iter(range(SUBSCRIPTIONS + 1))

    async def use_once(number: int) -> None:
        name = f"idle-{number}"
        await running.events.create_subscription(name, filter=subscription_pb2.Filter(types=[TYPE]))
        consumer = Consumer(running.events, name, credit=1)
        await consumer.attach()
        await consumer.ack(await consumer.read())
        await consumer.close()

    await use_once(next(numbers))
    before = running.rss_mb()
    began = time.perf_counter()

    async def user() -> None:
        for number in numbers:
            await use_once(number)

    await asyncio.gather(*(user() for _ in range(8)))
    report.figure("events.subscribe_1000_s", time.perf_counter() - began, "s")
    report.figure("events.idle_subscriptions_1000_mb", running.rss_mb() - before, "MB", at_most=100)
