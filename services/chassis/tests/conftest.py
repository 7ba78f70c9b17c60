from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from services.chassis.tests.running import Running, running

from ontomesh_chassis.home import create_home_identity
from ontomesh_chassis.settings import ServiceSettings


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home folder whose owner is `user:ana`."""
    folder = tmp_path / "home"
    create_home_identity(folder, "ana")
    return folder


@pytest.fixture
def settings(home: Path) -> ServiceSettings:
    return ServiceSettings(home=home, max_message_bytes=100_000, drain_seconds=5)


@pytest.fixture
async def echo(settings: ServiceSettings) -> AsyncIterator[Running]:
    """An echo service in this process."""
    async with running(settings) as service:
        yield service
