"""The servers under measure, as processes of their own."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from ontomesh_chassis.home import create_home_identity

BIN = Path(sys.executable).parent


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
async def kernel(home: Path) -> AsyncIterator[Kernel]:
    """A kernel on free ports."""
    create_home_identity(home, "bench")
    reading, writing = os.pipe()
    lifeline, held = os.pipe()
    process = await asyncio.create_subprocess_exec(
        BIN / "ontomesh-data-kernel",
        env={
            **os.environ,
            "ONTOMESH_HOME": str(home),
            "ONTOMESH_KERNEL_GRPC_PORT": "0",
            "ONTOMESH_KERNEL_HTTP_PORT": "0",
            "ONTOMESH_READY_FD": str(writing),
            "ONTOMESH_LIFELINE_FD": str(lifeline),
            "ONTOMESH_LOG_LEVEL": "WARNING",
        },
        pass_fds=[writing, lifeline],
    )
    os.close(writing)
    os.close(lifeline)
    try:
        with os.fdopen(reading) as ready:
            line = await asyncio.to_thread(ready.readline)
        yield Kernel(json.loads(line)["grpc"], home, psutil.Process(process.pid))
    finally:
        process.terminate()
        await process.wait()
        os.close(held)


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
