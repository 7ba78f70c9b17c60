"""NATS killed, paused and long away under load: no event of a commit or of a publisher is lost, and order holds."""

import asyncio
import random
import time
from pathlib import Path

import pytest

from tests.chaos.events_checker import Double
from tests.chaos.events_world import ROUNDS, World, world

pytestmark = pytest.mark.xdist_group("chaos-events")

PAUSE_SECONDS = 5.0
WINDOW_SECONDS = 1


async def commits_until(made: World, seconds: float) -> None:
    """Commits go on all the time until so many seconds are over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        await made.commits_go_on(5)


@pytest.mark.timeout(120 + 40 * ROUNDS)
async def test_a_killed_broker_loses_nothing_and_commits_and_publishers_go_on_meanwhile(tmp_path: Path) -> None:
    async with world(tmp_path) as made:
        for _ in range(ROUNDS):
            made.nats.kill()
            await asyncio.gather(made.commits_go_on(), made.publishing_goes_on())
            await made.nats.start()
            await made.everything_goes_on()
        verdict = await made.settle({Double.REDELIVERED, Double.DELIVERED_ANEW})
        assert any(one.spooled for one in made.facts.published)
        assert verdict.faults == []


@pytest.mark.timeout(120 + 40 * ROUNDS)
async def test_a_paused_broker_loses_nothing_and_holds_up_no_commit(tmp_path: Path) -> None:
    async with world(tmp_path) as made:
        for _ in range(ROUNDS):
            made.nats.pause()
            await commits_until(made, PAUSE_SECONDS)
            made.nats.resume()
            await made.everything_goes_on()
        verdict = await made.settle({Double.REDELIVERED, Double.DELIVERED_ANEW})
        assert verdict.faults == []


@pytest.mark.timeout(120 + 40 * ROUNDS)
async def test_a_broker_that_is_away_for_longer_than_it_remembers_ids_loses_nothing_and_may_store_twice(
    tmp_path: Path,
) -> None:
    draw = random.Random(ROUNDS)
    async with world(tmp_path, ONTOMESH_EVENTS_DEDUP_SECONDS=str(WINDOW_SECONDS)) as made:
        for _ in range(ROUNDS):
            made.nats.kill()
            await commits_until(made, WINDOW_SECONDS * (2 + draw.random()))
            await made.nats.start()
            await made.everything_goes_on()
        verdict = await made.settle(set(Double))
        assert verdict.faults == []
