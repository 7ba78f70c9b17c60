"""Readiness, shared by grpc.health.v1 and /readyz."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from google.protobuf.message import Message
from grpc import StatusCode, aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health_pb2 import HealthListResponse  # type: ignore[attr-defined]

logger = logging.getLogger(__name__)

Check = Callable[[], Awaitable[object]]

CHECK_TIMEOUT_SECONDS = 2.0
KEPT_SECONDS = 0.5
WATCH_SECONDS = 1.0


class Health:
    """Whether the service can serve: every check passes and it is not shutting down.

    A check is an async callable that raises when its part is not ready, or does not answer within two seconds.
    An outcome is kept for half a second, so that probes without a token cannot load what they check.
    """

    def __init__(self) -> None:
        self.draining = asyncio.Event()
        self._checks: dict[str, Check] = {}
        self._failing: dict[str, str] = {}
        self._checked_at = float("-inf")
        self._checking = asyncio.Lock()

    def add_check(self, name: str, check: Check) -> None:
        """Adds a readiness check under a name that callers may see; it counts from the next question on."""
        self._checks[name] = check
        self._checked_at = float("-inf")

    def begin_drain(self) -> None:
        """Reports not ready from now on and sets `draining`, at which endless streams should end."""
        self.draining.set()

    async def failing(self) -> list[str]:
        """The names of the checks that fail, `draining` when shutting down; empty when ready."""
        if self.draining.is_set():
            return ["draining"]
        async with self._checking:
            if time.monotonic() - self._checked_at > KEPT_SECONDS:
                names = list(self._checks)
                outcomes = await asyncio.gather(*(self._run(name) for name in names))
                self._note({name: fault for name, fault in zip(names, outcomes, strict=True) if fault})
                self._checked_at = time.monotonic()
        return list(self._failing)

    async def _run(self, name: str) -> str:
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
                await self._checks[name]()
        except Exception as fault:  # noqa: BLE001 - whatever a check raises means: not ready
            return str(fault) or type(fault).__name__
        return ""

    def _note(self, failing: dict[str, str]) -> None:
        for name in failing.keys() - self._failing.keys():
            logger.warning("not ready: %s: %s", name, failing[name])
        for name in self._failing.keys() - failing.keys():
            logger.info("ready again: %s", name)
        self._failing = failing


class HealthServicer(health_pb2_grpc.HealthServicer):
    """grpc.health.v1 over a `Health`; all services of a process are ready or not ready together."""

    def __init__(self, health: Health, services: list[str]) -> None:
        self._health = health
        self._services = {"", *services}

    async def Check(  # noqa: N802 - the contract's name
        self, request: health_pb2.HealthCheckRequest, context: aio.ServicerContext[Any, Any]
    ) -> health_pb2.HealthCheckResponse:
        """The status now; NOT_FOUND for a service that is not served here."""
        if request.service not in self._services:
            await context.abort(StatusCode.NOT_FOUND, f"no service {request.service!r} is served here")
        return await self._status()

    async def List(  # noqa: N802 - the contract's name
        self, _request: object, _context: aio.ServicerContext[Any, Any]
    ) -> Message:
        """The status of every service."""
        status = await self._status()
        # The published type stubs are behind the contract here.
        answer: Message = HealthListResponse(statuses=dict.fromkeys(self._services, status))
        return answer

    async def Watch(  # noqa: N802 - the contract's name
        self, request: health_pb2.HealthCheckRequest, _context: aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """The status now and whenever it changes; ends when the service drains."""
        if request.service not in self._services:
            yield health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVICE_UNKNOWN)
            await self._health.draining.wait()
            return
        last = None
        while True:
            status = await self._status()
            if status != last:
                yield status
                last = status
            if self._health.draining.is_set():
                return
            try:
                async with asyncio.timeout(WATCH_SECONDS):
                    await self._health.draining.wait()
            except TimeoutError:
                continue

    async def _status(self) -> health_pb2.HealthCheckResponse:
        failing = await self._health.failing()
        serving = health_pb2.HealthCheckResponse.NOT_SERVING if failing else health_pb2.HealthCheckResponse.SERVING
        return health_pb2.HealthCheckResponse(status=serving)
