"""Serving both doors on one loop, from the bound addresses to the end of the drain."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
import os
import socket
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import uvicorn
import uvloop
from fastapi import FastAPI
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha._async import ReflectionServicer

from ontomesh_chassis.health import Health, HealthServicer
from ontomesh_chassis.interceptors import StagedServer, server_options
from ontomesh_chassis.key_sources import is_loopback
from ontomesh_chassis.listen import BACKLOG, bind_grpc, bind_http, join
from ontomesh_chassis.settings import ServiceSettings
from ontomesh_chassis.stages import Pipeline
from ontomesh_chassis.startup import StartupError
from ontomesh_chassis.stopping import StopRequests

logger = logging.getLogger(__name__)

EXIT_CLEAN = 0
EXIT_CUT = 1
HARD_STOP_SECONDS = 1.0

HEALTH_SERVICE = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
REFLECTION_SERVICE = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"].full_name


class GrpcService(NamedTuple):
    """One service of the gRPC door: the generated `add_*Servicer_to_server`, its servicer and its full name."""

    add: Callable[[Any, Any], None]
    servicer: Any
    name: str


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a service can be reached; `http` is empty without an HTTP door."""

    grpc: str
    http: str


class _HttpServer(uvicorn.Server):
    """uvicorn without its signal handlers: stopping is decided in one place, for both doors."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def run(main: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """Runs a service's main coroutine on a uvloop loop and returns its exit code.

    A StartupError becomes one line on stderr and its own exit code.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            return runner.run(main())
        except StartupError as fault:
            sys.stderr.write(f"error: {fault}\n")
            return fault.exit_code


async def serve(
    settings: ServiceSettings,
    *,
    pipeline: Pipeline,
    health: Health,
    grpc_services: Sequence[GrpcService],
    http_app: FastAPI | None = None,
    on_started: Callable[[Addresses], None] | None = None,
    stop: StopRequests | None = None,
) -> int:
    """Serves until a signal or the lifeline asks to stop, then drains; returns the exit code.

    0 after a clean drain, 1 when calls were cut by the drain limit or by a second signal. The caller closes its
    resources after this returns. Raises PortTakenError or ConfigError before anything is served.
    """
    _warn_of_open_door(settings)
    health.add_check("keys", pipeline.auth.check)
    grpc_server = aio.server(options=server_options(settings.max_message_bytes))
    _register(StagedServer(grpc_server, pipeline), grpc_services, health)
    listener = bind_http(settings) if http_app is not None else None
    try:
        grpc_port = bind_grpc(grpc_server, settings)
    except BaseException:
        if listener is not None:
            listener.close()
        raise
    with stop or StopRequests(settings.lifeline_fd) as requests:
        await health.failing()
        await grpc_server.start()
        http_server, http_task = _start_http(settings, http_app, listener)
        addresses = _addresses(settings, grpc_port, listener)
        _announce(settings, addresses)
        if on_started is not None:
            on_started(addresses)
        await _until_stopped(requests, http_task)
        return await _Drain(settings, pipeline, grpc_server, http_server, http_task).run(health, requests)


def _register(staged: StagedServer, services: Sequence[GrpcService], health: Health) -> None:
    names = [service.name for service in services]
    for service in services:
        service.add(service.servicer, staged)
    health_pb2_grpc.add_HealthServicer_to_server(HealthServicer(health, names), staged)  # type: ignore[arg-type]
    reflected = [*names, HEALTH_SERVICE, REFLECTION_SERVICE]
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(ReflectionServicer(reflected), staged)  # type: ignore[no-untyped-call]


def _start_http(
    settings: ServiceSettings, app: FastAPI | None, listener: socket.socket | None
) -> tuple[_HttpServer | None, asyncio.Task[None] | None]:
    if app is None or listener is None:
        return None, None
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        ssl_certfile=None if settings.tls_cert_file is None else str(settings.tls_cert_file),
        ssl_keyfile=None if settings.tls_key_file is None else str(settings.tls_key_file),
        timeout_graceful_shutdown=math.ceil(settings.drain_seconds),
    )
    server = _HttpServer(config)
    return server, asyncio.get_running_loop().create_task(server.serve(sockets=[listener]))


def _addresses(settings: ServiceSettings, grpc_port: int, listener: socket.socket | None) -> Addresses:
    scheme = "http" if settings.tls_cert_file is None else "https"
    http = "" if listener is None else f"{scheme}://{join(settings.host, listener.getsockname()[1])}"
    return Addresses(join(settings.host, grpc_port), http)


def _announce(settings: ServiceSettings, addresses: Addresses) -> None:
    logger.info("serving gRPC at %s%s", addresses.grpc, f" and HTTP at {addresses.http}" if addresses.http else "")
    if settings.ready_fd is not None:
        line = json.dumps({"grpc": addresses.grpc, "http": addresses.http, "pid": os.getpid()})
        with os.fdopen(settings.ready_fd, "w") as ready:
            ready.write(f"{line}\n")


def _warn_of_open_door(settings: ServiceSettings) -> None:
    if not is_loopback(settings.host) and settings.tls_cert_file is None:
        logger.warning("%s is not loopback and TLS is off: tokens travel in the clear", settings.host)


async def _until_stopped(requests: StopRequests, http_task: asyncio.Task[None] | None) -> None:
    asked = asyncio.ensure_future(requests.asked.wait())
    waiting: set[asyncio.Future[Any]] = {asked} if http_task is None else {asked, http_task}
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        asked.cancel()
    if http_task is not None and http_task.done():
        await http_task


class _Drain:
    """The end of a service: no new calls, those in flight finish within the limit, then the rest is cut."""

    def __init__(
        self,
        settings: ServiceSettings,
        pipeline: Pipeline,
        grpc_server: aio.Server,
        http_server: _HttpServer | None,
        http_task: asyncio.Task[None] | None,
    ) -> None:
        self._limit = settings.drain_seconds
        self._pipeline = pipeline
        self._grpc_server = grpc_server
        self._http_server = http_server
        self._http_task = http_task

    async def run(self, health: Health, requests: StopRequests) -> int:
        health.begin_drain()
        if self._http_server is not None:
            self._http_server.should_exit = True
        stopping = asyncio.ensure_future(self._stop())
        insisted = asyncio.ensure_future(requests.insisted.wait())
        await asyncio.wait({stopping, insisted}, timeout=self._limit, return_when=asyncio.FIRST_COMPLETED)
        insisted.cancel()
        if stopping.done():
            await stopping
            logger.info("drained")
            return EXIT_CLEAN
        cut = self._pipeline.in_flight
        logger.warning("%d calls were cut", cut)
        await self._cut(stopping)
        return EXIT_CUT if cut else EXIT_CLEAN

    async def _stop(self) -> None:
        await self._grpc_server.stop(self._limit + HARD_STOP_SECONDS)
        if self._http_task is not None:
            await self._http_task

    async def _cut(self, stopping: asyncio.Future[None]) -> None:
        """Cancels what still runs and waits a moment for it to unwind."""
        if self._http_server is not None:
            self._http_server.force_exit = True
            for task in list(self._http_server.server_state.tasks):
                task.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HARD_STOP_SECONDS):
                await self._grpc_server.stop(None)
                await asyncio.shield(stopping)
        stopping.cancel()
