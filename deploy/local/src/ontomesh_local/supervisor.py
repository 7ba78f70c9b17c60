"""Keeps a list of services running: starts them in order, starts again what crashes, stops them in reverse."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from ontomesh_local.backoff import CrashLog
from ontomesh_local.child import Child, NotReady, Ready, ending
from ontomesh_local.services import Service


class GaveUp(Exception):
    """A service crashed too often to be started again."""

    def __init__(self, service: Service, message: str, last_lines: list[str]) -> None:
        super().__init__(f"the {service.title} {message}")
        self.service = service.name
        self.last_lines = last_lines


@dataclass(frozen=True, slots=True)
class Running:
    """A service that is ready."""

    service: Service
    pid: int
    ready: Ready
    seconds: float


class Observer(Protocol):
    """Who is told what becomes of services."""

    def ready(self, running: Running) -> None:
        """A service is ready for the first time."""

    def crashed(self, service: Service, how: str, *, log: Path, attempt: int, attempts: int, delay: float) -> None:
        """A service ended by itself and is started again after `delay` seconds, for the `attempt`-th time of late."""

    def restarted(self, running: Running) -> None:
        """A service that had crashed is ready again."""

    def stopped(self, service: Service, how: str) -> None:
        """A service has ended because it was asked to."""


class Supervisor:
    """The services of one stack. `start`, then `watch` until it fails or is cancelled, then always `stop`."""

    def __init__(
        self,
        services: Sequence[Service],
        *,
        environment: Mapping[str, str],
        log_file: Callable[[str], Path],
        observer: Observer,
        crash_log: Callable[[], CrashLog] = CrashLog,
    ) -> None:
        self._services = list(services)
        self._environment = dict(environment)
        self._log_file = log_file
        self._observer = observer
        self._crash_log = crash_log
        self._children: dict[str, Child] = {}
        self.running: dict[str, Running] = {}

    async def start(self) -> None:
        """Starts every service, each once the one before is ready.

        Raises:
            NotReady: One is not; those before it keep running until `stop`.
        """
        for service in self._services:
            self._observer.ready(await self._start(service))

    async def watch(self) -> None:
        """Starts services again as they crash; returns only by an error.

        Raises:
            GaveUp: One crashed too often.
        """
        keepers = [asyncio.ensure_future(self._keep(service)) for service in self._services]
        try:
            await asyncio.gather(*keepers)
        finally:
            for keeper in keepers:
                keeper.cancel()
            await asyncio.gather(*keepers, return_exceptions=True)

    async def stop(self) -> None:
        """Ends every service in the reverse order of their start."""
        for service in reversed(self._services):
            child = self._children.get(service.name)
            if child is not None:
                self._observer.stopped(service, ending(await child.stop()))
                self._forget(service)

    async def kill(self) -> None:
        """Ends every service at once."""
        for child in list(self._children.values()):
            await child.kill()
            self._forget(child.service)

    async def _start(self, service: Service) -> Running:
        environment = {**self._environment, **{port.variable: str(port.number) for port in service.ports}}
        before = time.monotonic()
        child = await Child.start(service, environment, self._log_file(service.name))
        self._children[service.name] = child
        try:
            ready = await child.ready()
        except NotReady:
            await child.kill()
            self._forget(service)
            raise
        running = Running(_at(service, ready), child.pid, ready, time.monotonic() - before)
        self.running[service.name] = running
        return running

    async def _keep(self, service: Service) -> None:
        crashes = self._crash_log()
        how, lines = await self._end(service)
        while True:
            delay = crashes.crashed()
            log = self._log_file(service.name)
            if delay is None:
                many = f"crashed {crashes.recent} times within {crashes.window:g} s; the last time it {how}"
                raise GaveUp(service, many, lines)
            self._observer.crashed(
                service, how, log=log, attempt=crashes.recent, attempts=crashes.max_crashes - 1, delay=delay
            )
            await asyncio.sleep(delay)
            try:
                # At the ports of its first start, even if those were chosen by the system: clients know them.
                running = await self._start(self.running[service.name].service)
            except NotReady as fault:
                how, lines = fault.how, fault.last_lines
                continue
            self._observer.restarted(running)
            how, lines = await self._end(service)

    async def _end(self, service: Service) -> tuple[str, list[str]]:
        child = self._children[service.name]
        how = ending(await child.wait())
        self._forget(service)
        return how, child.last_lines()

    def _forget(self, service: Service) -> None:
        self._children.pop(service.name, None)


def _at(service: Service, ready: Ready) -> Service:
    """The service with the ports that it got."""
    addresses = {"gRPC": ready.grpc, "HTTP": ready.http, "NATS": ready.nats}
    numbers = {door: address.rpartition(":")[2] for door, address in addresses.items()}
    return replace(
        service,
        ports=tuple(replace(port, number=int(numbers.get(port.door) or port.number)) for port in service.ports),
    )
