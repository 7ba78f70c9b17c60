"""One run of one service: a process in a session of its own, tied to us by a lifeline."""

import asyncio
import contextlib
import http.client
import json
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ontomesh_local.logfile import open_log, tail
from ontomesh_local.services import Service

READY_POLL_SECONDS = 0.05
PROBE_SECONDS = 2.0


class NotReady(Exception):
    """A service that ended, or took too long, before it was ready; with the end of its log."""

    def __init__(self, service: Service, how: str, last_lines: list[str]) -> None:
        super().__init__(f"the {service.title} {how}")
        self.service = service.name
        self.how = how
        self.last_lines = last_lines


@dataclass(frozen=True, slots=True)
class Ready:
    """Where a service that is ready can be reached; a door that it does not have is empty."""

    grpc: str = ""
    http: str = ""
    nats: str = ""

    @property
    def address(self) -> str:
        """Where its callers connect to."""
        return self.grpc or self.nats


class Child:
    """A running service. It is in a session of its own, so that a Ctrl-C reaches the supervisor alone."""

    def __init__(self, service: Service, process: asyncio.subprocess.Process, log: Path) -> None:
        self.service = service
        self.log = log
        self._process = process
        self._lifeline = -1
        self._ready_line: asyncio.StreamReader | None = None
        self._transport: asyncio.ReadTransport | None = None
        self._log_start = 0
        self.started = time.monotonic()

    @classmethod
    async def start(cls, service: Service, environment: Mapping[str, str], log: Path) -> "Child":
        """Starts a service; it stops by itself when this process ends, however that happens."""
        log_descriptor = open_log(log)
        lifeline_read, lifeline_write = os.pipe()
        ready_read, ready_write = os.pipe()
        given = (log_descriptor, lifeline_read, ready_write)
        try:
            log_start = os.fstat(log_descriptor).st_size
            process = await asyncio.create_subprocess_exec(
                *service.command,
                env={
                    **environment,
                    **service.environment,
                    "ONTOMESH_LIFELINE_FD": str(lifeline_read),
                    "ONTOMESH_READY_FD": str(ready_write),
                },
                pass_fds=(lifeline_read, ready_write),
                start_new_session=True,
                umask=0o077,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log_descriptor,
                stderr=log_descriptor,
            )
        except BaseException:
            os.close(lifeline_write)
            os.close(ready_read)
            raise
        finally:
            for descriptor in given:
                os.close(descriptor)
        child = cls(service, process, log)
        child._lifeline, child._log_start = lifeline_write, log_start
        reader = asyncio.StreamReader()
        child._ready_line = reader
        child._transport, _protocol = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(ready_read, "rb")
        )
        return child

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    async def ready(self) -> Ready:
        """Waits until the service says where it listens and that it can serve.

        Raises:
            NotReady: It ended, or the service's time to start is over.
        """
        limit = self.service.start_seconds
        ended = asyncio.ensure_future(self._process.wait())
        announced = asyncio.ensure_future(self._announced())
        try:
            done, _pending = await asyncio.wait({ended, announced}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
            if announced in done and (found := announced.result()) is not None:
                return found
            # The pipe also closes when the process ends; how it ended says more.
            if ended in done or announced in done:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(PROBE_SECONDS):
                        await asyncio.shield(ended)
            why = "closed its ready pipe without a word" if announced in done else f"was not ready within {limit:g} s"
            if ended.done():
                why = f"{ending(ended.result())} before it was ready"
        finally:
            for waiting in (ended, announced):
                waiting.cancel()
        raise NotReady(self.service, why, self.last_lines())

    async def wait(self) -> int:
        """The exit code, negative for a signal."""
        code = await self._process.wait()
        self._close()
        return code

    async def stop(self) -> int:
        """Asks the service to end, kills it if it does not within its limit, and returns its exit code."""
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(self.service.stop_seconds):
                return await self.wait()
        except TimeoutError:
            return await self.kill()

    async def kill(self) -> int:
        """Ends the service and whatever it started at once."""
        with contextlib.suppress(ProcessLookupError):
            # It leads its own process group.
            os.killpg(self.pid, signal.SIGKILL)
        return await self.wait()

    def last_lines(self) -> list[str]:
        """The end of what this run has logged."""
        return tail(self.log, self._log_start)

    async def _announced(self) -> Ready | None:
        """Where it listens, once /readyz agrees; None if it closes the pipe without a word."""
        assert self._ready_line is not None
        line = await self._ready_line.readline()
        if not line:
            return None
        found = json.loads(line)
        ready = Ready(found.get("grpc", ""), found.get("http", ""), found.get("nats", ""))
        while True:
            if not ready.http.startswith("http://") or await asyncio.to_thread(_serves, ready.http):
                return ready
            await asyncio.sleep(READY_POLL_SECONDS)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1


def ending(code: int) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


def _serves(address: str) -> bool:
    # Not urllib: it would ask the environment's proxy about an address of this machine.
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PROBE_SECONDS)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
