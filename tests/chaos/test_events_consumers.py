"""Consumers killed under load: others get what was with them."""

from pathlib import Path

import pytest

from tests.chaos.events_checker import Double
from tests.chaos.events_world import BY_KEY, ROUNDS, UNORDERED, world

pytestmark = pytest.mark.xdist_group("chaos-events")


@pytest.mark.timeout(120 + 40 * ROUNDS)
async def test_killed_consumers_lose_nothing_and_what_was_with_them_goes_to_others_in_order(tmp_path: Path) -> None:
    async with world(tmp_path, consumer_processes=True) as made:
        for round_ in range(2 * ROUNDS):
            for subscription in (UNORDERED, BY_KEY):
                name = f"{subscription}-{round_ % 2}"
                await made.kill_consumer(name)
                await made.start_consumer(subscription, name)
            await made.deliveries_go_on()
        verdict = await made.settle({Double.REDELIVERED})
        assert verdict.faults == []
