"""The servers under measure, as processes of their own."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.contract.serving import serving


@dataclass(frozen=True)
class Kernel:
    """A running kernel with its home."""

    address: str
    home: Path
    process: psutil.Process

    @property
    def database_file(self) -> Path:
        """The store's file."""
        return self.home / "data" / "kernel.db"

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What a call must carry: the token, and an unsampled trace."""
        token = (self.home / "token").read_text("utf-8").strip()
        return (("authorization", f"Bearer {token}"), ("traceparent", f"00-{'ab' * 16}-{'cd' * 8}-00"))

    def cpu_seconds(self) -> float:
        """Processor time used so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def rss_mb(self) -> float:
        """Resident memory."""
        return float(self.process.memory_info().rss) / 1e6


@asynccontextmanager
async def kernel(home: Path, store: str = "") -> AsyncIterator[Kernel]:
    """A kernel on free ports, over the store of a URL or a file in its home."""
    await asyncio.to_thread(home.mkdir)
    store = store or f"sqlite:///{home / 'data' / 'kernel.db'}"
    async with serving(home, ONTOMESH_STORE=store, ONTOMESH_LOG_LEVEL="WARNING") as running:
        yield Kernel(running.grpc, home, psutil.Process(running.process.pid))


@asynccontextmanager
async def echo() -> AsyncIterator[str]:
    """A bare echo server; its address."""
    script = Path(__file__).with_name("echo_server.py")
    process = await asyncio.create_subprocess_exec(
        sys.executable, script, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        yield f"127.0.0.1:{int(await process.stdout.readline())}"
    finally:
        process.kill()
        await process.wait()
