from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sdk.tests.events.gateway import Gateway, serving

from ontomesh.sdk import AsyncMesh, connect


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with serving() as running:
        yield running


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder, and an environment that says nothing else."""
    for name in ("ADDRESS", "EVENTS_ADDRESS", "TOKEN", "TOKEN_FILE"):
        monkeypatch.delenv(f"ONTOMESH_{name}", raising=False)
    monkeypatch.setenv("ONTOMESH_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
async def mesh(gateway: Gateway, home: Path) -> AsyncIterator[AsyncMesh]:
    """An async client of `gateway`, without a token."""
    async with connect("127.0.0.1:1", events_address=gateway.address, source="/tests") as client:
        yield client
