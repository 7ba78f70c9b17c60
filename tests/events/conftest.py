"""A NATS server and a gateway for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.events.serving import Nats, ServingGateway, running_nats, serving_gateway


@pytest.fixture
async def nats(tmp_path: Path) -> AsyncIterator[Nats]:
    """A NATS server that syncs before each ack."""
    async with running_nats(tmp_path / "nats") as server:
        yield server


@pytest.fixture
async def gateway(tmp_path: Path, nats: Nats) -> AsyncIterator[ServingGateway]:
    """A gateway over it."""
    async with serving_gateway(tmp_path / "home", nats) as running:
        yield running
