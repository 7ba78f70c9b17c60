"""Calling from many callers at once."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

CALLERS = 64


@dataclass(frozen=True)
class Load:
    """What a run of calls came to."""

    rate: float
    latencies: tuple[float, ...]

    def percentile_ms(self, percent: float) -> float:
        """A percentile of the latencies, in milliseconds."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] * 1000


async def run_calls(call: Callable[[int], Awaitable[object]], calls: int, callers: int = CALLERS) -> Load:
    """Make `calls` calls, `callers` at a time; each is handed its number."""
    numbers = iter(range(calls))
    latencies: list[float] = []

    async def caller() -> None:
        for number in numbers:
            began = time.perf_counter()
            await call(number)
            latencies.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    return Load(calls / (time.perf_counter() - began), tuple(latencies))


async def run_for(call: Callable[[int], Awaitable[object]], seconds: float, callers: int = CALLERS) -> Load:
    """Make calls for about so long, `callers` at a time."""
    latencies: list[float] = []
    began = time.perf_counter()

    async def caller(number: int) -> None:
        while (start := time.perf_counter()) - began < seconds:
            await call(number)
            latencies.append(time.perf_counter() - start)

    await asyncio.gather(*(caller(number) for number in range(callers)))
    return Load(len(latencies) / (time.perf_counter() - began), tuple(latencies))
