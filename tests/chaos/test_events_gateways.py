"""A gateway killed under load, beside another one or with a full spool whose disk is lost."""

import asyncio
import shutil
from pathlib import Path

import pytest

from tests.chaos.events_checker import Double
from tests.chaos.events_world import ROUNDS, world

pytestmark = pytest.mark.xdist_group("chaos-events")

SPOOL_BYTES = 1 << 16


@pytest.mark.timeout(120 + 40 * ROUNDS)
async def test_killing_one_of_two_gateways_loses_nothing_and_the_other_one_carries_on(tmp_path: Path) -> None:
    async with world(tmp_path, gateways=2) as made:
        for round_ in range(2 * ROUNDS):
            gateway = made.gateways[round_ % 2]
            await gateway.kill()
            await asyncio.gather(made.commits_go_on(), made.publishing_goes_on(), made.deliveries_go_on())
            await gateway.start()
            await made.everything_goes_on()
        verdict = await made.settle({Double.REDELIVERED})
        assert verdict.faults == []


@pytest.mark.timeout(120 + 60 * ROUNDS)
async def test_a_gateway_lost_with_its_full_spool_loses_only_what_it_answered_spooled(tmp_path: Path) -> None:
    async with world(tmp_path, ONTOMESH_SPOOL_MAX_BYTES=str(SPOOL_BYTES)) as made:
        (gateway,) = made.gateways
        assert gateway.spool is not None
        for _ in range(ROUNDS):
            full = made.load.refusals["ERROR_REASON_SPOOL_FULL"] + 1
            made.nats.kill()
            await made.until(
                lambda full=full: made.load.refusals["ERROR_REASON_SPOOL_FULL"] >= full,  # type: ignore[misc]
                "the spool is never full",
            )
            await made.commits_go_on()
            await gateway.kill()
            made.facts.lost_spools.add(gateway.name)
            await asyncio.to_thread(shutil.rmtree, gateway.spool)
            await asyncio.gather(made.nats.start(), gateway.start())
            await made.everything_goes_on()
        verdict = await made.settle({Double.REDELIVERED, Double.DELIVERED_ANEW})
        assert verdict.faults == []
        assert verdict.lost_with_spools > 0, "the spool was to hold something"
