"""A NATS server and an event gateway in processes of their own, which end with the test's."""

import asyncio
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ontomesh_chassis.home import create_home_identity
from ontomesh_chassis.keys import mint

OWNER = "user:ana"
"""The owner of the home folder, who may do everything."""

NATS_SERVER = Path(sys.executable).with_name("nats-server")
END_SECONDS = 20
# PR_SET_PDEATHSIG by a program of its own: a preexec_fn would fork this process, and gRPC's threads with it.
_MORTAL = "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9); os.execv(sys.argv[1], sys.argv[1:])"


def nats_command(configuration: Path) -> list[str | Path]:
    """The command that runs a NATS server which ends when its parent does."""
    return [sys.executable, "-I", "-S", "-c", _MORTAL, NATS_SERVER, "-c", configuration]


@dataclass
class Nats:
    """A NATS server with JetStream, on one port and one folder however often it is started."""

    folder: Path
    port: int
    token: str
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """Where it serves."""
        return f"nats://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process' id."""
        assert self.process is not None
        return self.process.pid

    async def start(self) -> None:
        """Starts it, again if it was there before, and waits until it serves JetStream."""
        self.process = _spawn(self.folder)
        async with asyncio.timeout(END_SECONDS):
            while not await self._serves():
                if self.process.poll() is not None:
                    raise AssertionError((self.folder / "nats.log").read_text("utf-8"))
                await asyncio.sleep(0.01)

    def kill(self) -> None:
        """Ends it with SIGKILL and waits for the end."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Ends it politely and waits for the end."""
        self._end(signal.SIGTERM)

    def pause(self) -> None:
        """Stops its every thread, its connections staying open."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Lets it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def _end(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.send_signal(signal.SIGCONT)
            self.process.wait(END_SECONDS)

    async def _serves(self) -> bool:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        try:
            return b'"jetstream":true' in await reader.readline()
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


def _spawn(folder: Path) -> subprocess.Popen[bytes]:
    with (folder / "nats.log").open("ab") as log:
        return subprocess.Popen(nats_command(folder / "nats.conf"), stdout=log, stderr=log)


def _prepare(folder: Path, sync: str, conf: dict[str, str]) -> Nats:
    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    nats = Nats(folder, port, secrets.token_hex(8))
    lines = [
        "host: 127.0.0.1",
        f"port: {port}",
        f'authorization {{ token: "{nats.token}" }}',
        f'jetstream {{ store_dir: "{folder / "data"}", sync_interval: {sync}, max_file: 8GB }}',
        *(f"{name}: {value}" for name, value in ({"max_payload": "8MB"} | conf).items()),
    ]
    (folder / "nats.conf").write_text("\n".join(lines) + "\n", "utf-8")
    return nats


@asynccontextmanager
async def running_nats(folder: Path, sync: str = "always", **conf: str) -> AsyncIterator[Nats]:
    """Runs a NATS server for a block, its data, log and configuration in the folder; `conf` are further settings."""
    nats = _prepare(folder, sync, conf)
    await nats.start()
    try:
        yield nats
    finally:
        nats.kill()


@dataclass
class ServingGateway:
    """A running gateway."""

    home: Path
    grpc: str
    http: str
    process: asyncio.subprocess.Process

    def token(self, principal: str = OWNER, rights: list[str] | None = None, **claims: Any) -> str:
        """A token signed by the home's key; `rights=None` leaves it to the policy alone."""
        return token_of(self.home, principal, rights, **claims)

    def logged(self) -> list[dict[str, Any]]:
        """What the gateway has logged so far."""
        lines = (self.home / "gateway.log").read_text("utf-8").splitlines()
        return [json.loads(line) for line in lines]

    def terminate(self) -> None:
        """Asks it to stop."""
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it with SIGKILL."""
        self.process.kill()

    async def ended(self) -> int:
        """Its exit code, once it has ended."""
        return await asyncio.wait_for(self.process.wait(), END_SECONDS)


def token_of(home: Path, principal: str = OWNER, rights: list[str] | None = None, **claims: Any) -> str:
    """A token signed by a home folder's key, which a kernel of the same home takes too."""
    key: dict[str, str] = json.loads((home / "signing-key.json").read_text("utf-8"))
    return mint(key, principal, rights, **claims)


@asynccontextmanager
async def serving_gateway(home: Path, nats: Nats, **environment: str) -> AsyncIterator[ServingGateway]:
    """Runs a gateway for a block and ends it politely. Its log goes on in `home/gateway.log`."""
    create_home_identity(home, OWNER.removeprefix("user:"))
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("ONTOMESH_", "OTEL_"))}
    ready, ready_end = os.pipe()
    lifeline_end, lifeline = os.pipe()
    settings = {
        "ONTOMESH_HOME": str(home),
        "ONTOMESH_NATS_URL": nats.url,
        "ONTOMESH_NATS_TOKEN": nats.token,
        "ONTOMESH_EVENTS_GRPC_PORT": "0",
        "ONTOMESH_EVENTS_HTTP_PORT": "0",
        "ONTOMESH_EVENTS_MAX_BYTES": str(1 << 30),
        "ONTOMESH_READY_FD": str(ready_end),
        "ONTOMESH_LIFELINE_FD": str(lifeline_end),
        "ONTOMESH_LOG_FORMAT": "json",
        "ONTOMESH_LOG_LEVEL": "INFO",
    }
    with (home / "gateway.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            Path(sys.executable).with_name("ontomesh-event-gateway"),
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
            raise AssertionError((home / "gateway.log").read_text("utf-8"))
        yield ServingGateway(home, told["grpc"], told["http"], process)
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
