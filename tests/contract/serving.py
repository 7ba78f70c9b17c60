"""A kernel in a process of its own, with a home folder, both doors on free ports, and its log."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ontomesh_chassis.home import create_home_identity
from ontomesh_chassis.keys import mint
from tests.contract.stores import served_url

OWNER = "user:ana"
"""The owner of the home folder, who may do everything."""

END_SECONDS = 20


@dataclass
class Serving:
    """A running kernel."""

    home: Path
    grpc: str
    http: str
    process: asyncio.subprocess.Process

    def token(self, principal: str = OWNER, rights: list[str] | None = None, **claims: Any) -> str:
        """A token signed by the home's key; `rights=None` leaves it to the policy alone."""
        return mint(signing_key(self.home), principal, rights, **claims)

    def logged(self) -> list[dict[str, Any]]:
        """What the kernel has logged so far."""
        lines = (self.home / "kernel.log").read_text("utf-8").splitlines()
        return [json.loads(line) for line in lines]

    def audited(self, event: str) -> list[dict[str, Any]]:
        """The audit records of an event."""
        return [line for line in self.logged() if line["logger"] == "ontomesh.audit" and line["event"] == event]

    def terminate(self) -> None:
        """Asks it to stop."""
        self.process.send_signal(signal.SIGTERM)

    async def ended(self) -> int:
        """Its exit code, once it has ended."""
        return await asyncio.wait_for(self.process.wait(), END_SECONDS)


def signing_key(home: Path) -> dict[str, str]:
    """The private key of a home folder."""
    key: dict[str, str] = json.loads((home / "signing-key.json").read_text("utf-8"))
    return key


@asynccontextmanager
async def serving(home: Path, **environment: str) -> AsyncIterator[Serving]:
    """Runs a kernel for a block and ends it politely. Its log goes on in `home/kernel.log`."""
    create_home_identity(home, OWNER.removeprefix("user:"))
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("ONTOMESH_", "OTEL_"))}
    ready, ready_end = os.pipe()
    lifeline_end, lifeline = os.pipe()
    settings = {
        "ONTOMESH_HOME": str(home),
        "ONTOMESH_STORE": served_url(home / "data" / "kernel.db"),
        "ONTOMESH_KERNEL_GRPC_PORT": "0",
        "ONTOMESH_KERNEL_HTTP_PORT": "0",
        "ONTOMESH_READY_FD": str(ready_end),
        "ONTOMESH_LIFELINE_FD": str(lifeline_end),
        "ONTOMESH_LOG_FORMAT": "json",
        "ONTOMESH_LOG_LEVEL": "DEBUG",
    }
    with (home / "kernel.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            Path(sys.executable).with_name("ontomesh-data-kernel"),
            env={**clean, **settings, **environment},
            pass_fds=(ready_end, lifeline_end),
            stderr=log,
        )
    os.close(ready_end)
    os.close(lifeline_end)
    try:
        with os.fdopen(ready) as line:
            told = json.loads(await asyncio.to_thread(line.readline) or "{}")
        if not told:
            raise AssertionError((home / "kernel.log").read_text("utf-8"))
        running = Serving(home, told["grpc"], told["http"], process)
        yield running
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), END_SECONDS)
            except TimeoutError:
                process.kill()
                await process.wait()
        os.close(lifeline)


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Waits until a condition holds that nothing in this process announces."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.01)
