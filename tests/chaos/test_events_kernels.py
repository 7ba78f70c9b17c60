"""A kernel killed under load, alone or beside another one: relaying goes on where it was."""

from pathlib import Path

import pytest

from tests.chaos.events_world import ROUNDS, world

pytestmark = pytest.mark.xdist_group("chaos-events")


@pytest.mark.timeout(120 + 40 * ROUNDS)
async def test_a_killed_kernel_loses_no_event_of_an_acknowledged_commit(tmp_path: Path) -> None:
    async with world(tmp_path) as made:
        for _ in range(ROUNDS):
            await made.kernels[0].kill()
            await made.publishing_goes_on()
            await made.kernels[0].start()
            await made.everything_goes_on()
        verdict = await made.settle(set())
        assert verdict.faults == []


@pytest.mark.timeout(120 + 60 * ROUNDS)
async def test_where_the_kernel_that_relays_is_killed_another_one_goes_on_in_order(tmp_path: Path) -> None:
    async with world(tmp_path, kernels=2) as made:
        for _ in range(ROUNDS):
            kernel = await made.leading_kernel()
            await kernel.kill()
            await made.everything_goes_on()
            await kernel.start()
            assert await made.leading_kernel() is not kernel
            await made.commits_go_on()
        verdict = await made.settle(set())
        assert verdict.faults == []
