"""A kernel killed or held up under load, alone or beside another one: relaying goes on where it was."""

import asyncio
from pathlib import Path

import pytest

from tests.chaos.events_world import ROUNDS, Member, World, world

pytestmark = pytest.mark.xdist_group("chaos-events")

STILL_SECONDS = 20


async def _take_over(made: World) -> Member:
    """Hold the kernel that relays up until the other one relays, and let it go on; return the other one."""
    while True:
        kernel = await made.leading_kernel()
        (other,) = (one for one in made.kernels if one is not kernel)
        kernel.pause()
        try:
            async with asyncio.timeout(STILL_SECONDS):
                while not await made.leads(other):  # noqa: ASYNC110 - no event tells of it
                    await asyncio.sleep(0.2)
                return other
        except TimeoutError:
            continue  # it stood still while it wrote, with the file's lock
        finally:
            kernel.resume()


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


@pytest.mark.timeout(120 + 60 * ROUNDS)
async def test_a_kernel_that_stood_still_for_longer_than_its_lease_does_no_harm_when_it_goes_on(tmp_path: Path) -> None:
    async with world(tmp_path, kernels=2) as made:
        for _ in range(ROUNDS):
            other = await _take_over(made)
            await made.everything_goes_on()
            assert await made.leading_kernel() is other
        verdict = await made.settle(set())
        assert verdict.faults == []
