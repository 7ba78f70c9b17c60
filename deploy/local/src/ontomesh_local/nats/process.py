"""The server's process: it never outlives this one, however this one ends."""

import asyncio
import contextlib
import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

READY_POLL_SECONDS = 0.02
HELLO_SECONDS = 5.0
_PR_SET_PDEATHSIG = 1


class ServerEnded(Exception):
    """The server ended by itself; `code` is its exit code, negative for a signal."""

    def __init__(self, code: int) -> None:
        super().__init__(f"nats-server ended with exit code {code}")
        self.code = code


class Server:
    """A running nats-server that clients reach at an address."""

    def __init__(self, process: asyncio.subprocess.Process, host: str, port: int) -> None:
        self._process = process
        self._ended = asyncio.ensure_future(process.wait())
        self.host = host
        self.port = port

    @classmethod
    async def start(cls, binary: Path, config: Path, host: str, port: int) -> "Server":
        """Starts the server; its log goes where this process's standard error goes."""
        process = await asyncio.create_subprocess_exec(
            binary, "-c", config, stdin=asyncio.subprocess.DEVNULL, preexec_fn=_dies_with_parent()
        )
        return cls(process, host, port)

    async def serving(self) -> None:
        """Waits until it greets clients: by then every stream is recovered. Raises ServerEnded."""
        while not await self._greets():
            done, _pending = await asyncio.wait({self._ended}, timeout=READY_POLL_SECONDS)
            if done:
                raise ServerEnded(self._ended.result())

    async def ended(self) -> int:
        """Its exit code, once it has ended."""
        return await asyncio.shield(self._ended)

    async def stop(self, seconds: float) -> int:
        """Asks it to end, kills it after so many seconds, and returns its exit code."""
        self._signal(signal.SIGTERM)
        done, _pending = await asyncio.wait({self._ended}, timeout=seconds)
        if not done:
            self.kill()
        return await self.ended()

    def kill(self) -> None:
        """Ends it at once."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if not self._ended.done():
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def _greets(self) -> bool:
        """Whether a server with streams says hello."""
        try:
            async with asyncio.timeout(HELLO_SECONDS):
                reader, writer = await asyncio.open_connection(self.host, self.port)
                try:
                    verb, _, hello = (await reader.readline()).partition(b" ")
                    return verb == b"INFO" and bool(json.loads(hello).get("jetstream"))
                finally:
                    writer.close()
        except (OSError, ValueError, TimeoutError):
            return False


def _dies_with_parent() -> Callable[[], None] | None:
    """What the child does before it becomes the server, so that even a kill -9 of this process takes it along."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def prepare() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            # The parent died before it could be told about.
            os._exit(1)

    return prepare
