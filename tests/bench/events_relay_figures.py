"""What the relay brings and costs: from a commit to its consumer, and commits with it and without."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from ontomesh.events.v1 import subscription_pb2
from tests.bench import corpus, events_processes
from tests.bench.events_processes import Gateway
from tests.bench.kernel_figures import Client
from tests.bench.load import Load
from tests.bench.report import Report
from tests.events.stubs import Consumer

SLOW_RATE = 10
SLOW_SECONDS = 10.0
RATE = 300
ROUNDS = 5
ROUND_SECONDS = 4.0
WARM_SECONDS = 2.0
ARRIVAL_SECONDS = 60


async def open_loop(call: Callable[[int], Awaitable[object]], rate: float, seconds: float) -> Load:
    """Calls begun at a fixed rate, whatever becomes of those before; latencies count from when each was due."""
    latencies: list[float] = []
    began = time.perf_counter()

    async def one(number: int, due: float) -> None:
        await call(number)
        latencies.append(time.perf_counter() - due)

    async with asyncio.TaskGroup() as calls:
        for number in range(int(rate * seconds)):
            due = began + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            calls.create_task(one(number, due))
    return Load(len(latencies) / (time.perf_counter() - began), tuple(latencies))


async def commit_to_consumer(report: Report, gateway: Gateway) -> None:
    """From the moment in which a commit is sent to that in which its event is with a consumer."""
    sent: dict[str, float] = {}
    times: list[float] = []
    async with events_processes.kernel(gateway, "steady", relay=True) as kernel:
        client = Client(kernel)
        await client.database("steady")
        wants = subscription_pb2.Filter(databases=["steady"], classes=["Package"])
        await gateway.events.create_subscription("steady", filter=wants)
        consumer = Consumer(gateway.events, "steady")
        await consumer.attach()
        wanted = int(SLOW_RATE * SLOW_SECONDS)

        async def receive() -> None:
            while len(times) < wanted:
                deliveries = await consumer.read()
                now = time.perf_counter()
                times.extend(now - sent[one.event.attributes["subject"].ce_string] for one in deliveries)
                await consumer.ack(deliveries)

        async def commit(number: int) -> None:
            sent[f"Package/steady-{number}"] = time.perf_counter()
            await client.put("steady", [corpus.body_of_size(f"steady-{number}")])

        async with asyncio.timeout(SLOW_SECONDS + ARRIVAL_SECONDS), asyncio.TaskGroup() as both:
            both.create_task(receive())
            both.create_task(open_loop(commit, SLOW_RATE, SLOW_SECONDS))
        consumer.cancel()
        await client.channel.close()
    load = Load(SLOW_RATE, tuple(times))
    report.figure("events.commit_to_consumer.p50_ms", load.percentile_ms(50), "ms", at_most=20)
    report.figure("events.commit_to_consumer.p99_ms", load.percentile_ms(99), "ms")


async def _lags(gateway: Gateway, database: str, wanted: int) -> list[float]:
    """Seconds between each event's commit and its being stored, of the newest events of a database."""
    found: list[float] = []
    async with asyncio.timeout(ARRIVAL_SECONDS):
        async for streamed in gateway.events.stream(subscription_pb2.Filter(databases=[database])):
            committed = streamed.event.attributes["time"].ce_timestamp.ToNanoseconds()
            found.append((streamed.store_time.ToNanoseconds() - committed) / 1e9)
            if len(found) == wanted:
                break
    return found


async def relay(report: Report, gateway: Gateway) -> None:
    """Commits at 300 a second, open loop, with the relay and without, in turn."""
    p99s: dict[bool, list[float]] = {True: [], False: []}
    p50s: dict[bool, list[float]] = {True: [], False: []}
    made = {True: 0, False: 0}
    async with AsyncExitStack() as stack:
        clients = {}
        for on, name in ((False, "silent"), (True, "relayed")):
            kernel = await stack.enter_async_context(events_processes.kernel(gateway, name, relay=on))
            clients[on] = Client(kernel)
            await clients[on].database(name)

        async def commits(on: bool, seconds: float) -> Load:
            name = "relayed" if on else "silent"

            async def commit(number: int) -> None:
                made[on] += 1
                await clients[on].put(name, [corpus.body_of_size(f"package-{made[on]}")])

            return await open_loop(commit, RATE, seconds)

        for on in (False, True):
            await commits(on, WARM_SECONDS)
        warm = made[True]
        for round_ in range(ROUNDS):
            for on in (True, False) if round_ % 2 else (False, True):
                load = await commits(on, ROUND_SECONDS)
                p99s[on].append(load.percentile_ms(99))
                p50s[on].append(load.percentile_ms(50))
            await _lags(gateway, "relayed", made[True])
        # One event more than there are commits: the ontology's.
        lags = Load(RATE, tuple((await _lags(gateway, "relayed", made[True] + 1))[warm + 1 :]))
        for client in clients.values():
            await client.channel.close()
    report.figure("kernel.commit.relay_off_p50_ms", statistics.median(p50s[False]), "ms")
    report.figure("kernel.commit.relay_on_p50_ms", statistics.median(p50s[True]), "ms")
    report.figure("kernel.commit.relay_off_p99_ms", statistics.median(p99s[False]), "ms")
    report.figure("kernel.commit.relay_on_p99_ms", statistics.median(p99s[True]), "ms")
    ratios = [with_relay / without for with_relay, without in zip(p99s[True], p99s[False], strict=True)]
    report.figure("kernel.commit.relay_p99_ratio", statistics.median(ratios), "ratio", at_most=1.3)
    report.figure("events.relay_lag.p50_ms", lags.percentile_ms(50), "ms")
    report.figure("events.relay_lag.p99_ms", lags.percentile_ms(99), "ms", at_most=1_000)
