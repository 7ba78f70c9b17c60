from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sdk.tests.client.kernel import Kernel, serving

from ontomesh.sdk import AsyncMesh, connect


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    with serving() as running:
        yield running


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder, and an environment that says nothing else."""
    for name in ("ONTOMESH_ADDRESS", "ONTOMESH_TOKEN", "ONTOMESH_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ONTOMESH_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
async def mesh(kernel: Kernel, home: Path) -> AsyncIterator[AsyncMesh]:
    """An async client of `kernel`, without a token."""
    async with connect(kernel.address) as client:
        yield client
