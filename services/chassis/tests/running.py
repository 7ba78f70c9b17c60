"""The echo service, running in this process or in one of its own."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
from google.rpc import error_details_pb2, status_pb2
from grpc import aio
from services.chassis.tests.echo_service import ERRORS, NAME, Echo, add_echo, add_routes

from ontomesh_chassis.errors import ErrorTable
from ontomesh_chassis.health import Health
from ontomesh_chassis.http import create_app
from ontomesh_chassis.keys import mint
from ontomesh_chassis.server import Addresses, GrpcService, serve
from ontomesh_chassis.settings import ServiceSettings
from ontomesh_chassis.stages import Pipeline
from ontomesh_chassis.stopping import StopRequests
from ontomesh_chassis.tokens import open_authenticator

PROGRAM = Path(__file__).with_name("echo_service.py")
Metadata = tuple[tuple[str, str], ...]


def signing_key(home: Path) -> dict[str, str]:
    key: dict[str, str] = json.loads((home / "signing-key.json").read_text())
    return key


def bearer(home: Path, principal: str = "user:ana", **claims: Any) -> Metadata:
    """Metadata with a token signed by the home's key."""
    return (("authorization", f"Bearer {mint(signing_key(home), principal, **claims)}"),)


@dataclass
class Refusal:
    """A gRPC error, taken apart."""

    code: grpc.StatusCode
    message: str
    reason: str
    metadata: dict[str, str]
    violations: list[tuple[str, str]]
    retry_seconds: float | None
    domain: str


def taken_apart(error: aio.AioRpcError) -> Refusal:
    trailers = {key: value for key, value in error.trailing_metadata() or ()}  # noqa: C416 - mypy knows the pairs
    status = status_pb2.Status.FromString(bytes(trailers["grpc-status-details-bin"]))  # type: ignore[arg-type]
    info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    retry_seconds = None
    for detail in status.details:
        if detail.Unpack(retry):
            retry_seconds = retry.retry_delay.ToNanoseconds() / 1e9
        assert detail.Unpack(info) or detail.Unpack(bad) or retry_seconds is not None
    assert status.code == error.code().value[0]
    assert info.metadata["trace_id"] == trailers["x-ontomesh-trace-id"]
    violations = [(violation.field, violation.description) for violation in bad.field_violations]
    return Refusal(
        error.code(), status.message, info.reason, dict(info.metadata), violations, retry_seconds, info.domain
    )


class Caller:
    """Calls to an echo service's doors."""

    def __init__(self, addresses: Addresses) -> None:
        self.channel: Any = aio.insecure_channel(addresses.grpc)
        self.http = httpx.AsyncClient(base_url=addresses.http)

    async def unary(self, text: str, metadata: Metadata = (), timeout: float = 10, method: str = "Unary") -> str:
        call = self.channel.unary_unary(f"/{NAME}/{method}")
        answer: bytes = await call(text.encode(), metadata=metadata, timeout=timeout)
        return answer.decode()

    async def refused(self, text: str, metadata: Metadata = ()) -> Refusal:
        try:
            answer = await self.unary(text, metadata)
        except aio.AioRpcError as error:
            return taken_apart(error)
        raise AssertionError(f"not refused: {answer}")

    async def close(self) -> None:
        await self.channel.close()
        await self.http.aclose()


@dataclass
class Running(Caller):
    """An echo service in this process."""

    addresses: Addresses
    echo: Echo
    health: Health
    pipeline: Pipeline
    stop: StopRequests
    task: asyncio.Task[int]

    def __post_init__(self) -> None:
        Caller.__init__(self, self.addresses)


@asynccontextmanager
async def running(
    settings: ServiceSettings, configure: Callable[[Health], None] | None = None
) -> AsyncIterator[Running]:
    """Serves the echo service on free ports for a block."""
    pipeline = Pipeline.of(settings, open_authenticator(settings), ErrorTable("echo.ontomesh", ERRORS))
    health, echo, stop = Health(), Echo(), StopRequests(settings.lifeline_fd)
    if configure is not None:
        configure(health)
    app = create_app("echo", "1", pipeline=pipeline, health=health)
    add_routes(app, echo)
    started: asyncio.Future[Addresses] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(
        serve(
            settings,
            pipeline=pipeline,
            health=health,
            grpc_services=[GrpcService(add_echo, echo, NAME)],
            http_app=app,
            on_started=started.set_result,
            stop=stop,
        )
    )
    waiting: set[asyncio.Future[Any]] = {task, started}
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        await task
    service = Running(started.result(), echo, health, pipeline, stop, task)
    try:
        yield service
    finally:
        await service.close()
        if not stop.asked.is_set():
            stop.request("end of test")
        echo.release.set()
        await task


@dataclass
class Process(Caller):
    """An echo service in a process of its own."""

    addresses: Addresses
    process: asyncio.subprocess.Process
    lifeline: int

    def __post_init__(self) -> None:
        Caller.__init__(self, self.addresses)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ended(self) -> tuple[int, str]:
        """The exit code and stderr of the process, once it has ended."""
        _, errors = await asyncio.wait_for(self.process.communicate(), 30)
        assert self.process.returncode is not None
        return self.process.returncode, errors.decode()


async def spawned(environment: Mapping[str, str], pass_fds: tuple[int, ...] = ()) -> asyncio.subprocess.Process:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("ONTOMESH_", "OTEL_"))}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        str(PROGRAM),
        env={**clean, **environment},
        pass_fds=pass_fds,
        stderr=asyncio.subprocess.PIPE,
    )


@asynccontextmanager
async def process(home: Path, **environment: str) -> AsyncIterator[Process]:
    """Runs the echo service in a process of its own for a block."""
    ready, ready_end = os.pipe()
    lifeline_end, lifeline = os.pipe()
    child = await spawned(
        {
            "ONTOMESH_HOME": str(home),
            "ONTOMESH_READY_FD": str(ready_end),
            "ONTOMESH_LIFELINE_FD": str(lifeline_end),
            **environment,
        },
        (ready_end, lifeline_end),
    )
    os.close(ready_end)
    os.close(lifeline_end)
    with os.fdopen(ready) as line:
        told = json.loads(await asyncio.to_thread(line.readline) or "{}")
    if not told:
        raise AssertionError((await child.communicate())[1].decode())
    assert told["pid"] == child.pid
    service = Process(Addresses(told["grpc"], told["http"]), child, lifeline)
    try:
        yield service
    finally:
        await service.close()
        if child.returncode is None:
            child.kill()
            await child.communicate()
        os.close(service.lifeline)


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Waits until a condition holds that nothing in this process announces."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.01)
