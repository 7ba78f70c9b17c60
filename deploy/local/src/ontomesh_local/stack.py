"""One run of the local stack in one home folder, from the checks before it to the end of its last service."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ontomesh_chassis.startup import PortTakenError
from ontomesh_local.config import StackSettings
from ontomesh_local.free_ports import reserved
from ontomesh_local.home import Home, RunningService
from ontomesh_local.ports import Unusable, unusable
from ontomesh_local.screen import Screen
from ontomesh_local.services import GATEWAY, KERNEL, Service, connected, services
from ontomesh_local.stopping import StopRequests
from ontomesh_local.supervisor import Running, Supervisor


class PortsUnusable(PortTakenError):
    """Ports that services want cannot be had; nothing was started."""

    def __init__(self, ports: list[Unusable]) -> None:
        super().__init__("; ".join(map(str, ports)))
        self.ports = ports


class Interrupted(Exception):
    """Somebody asked the stack to stop before it was ready."""


@dataclass
class Stack:
    """The services of one home folder, with their reports on a screen."""

    home: Home
    services: list[Service]
    host: str
    environment: Mapping[str, str]
    screen: Screen
    started: dict[str, Running] = field(default_factory=dict)
    """The services that are ready, as they run now."""

    @classmethod
    def of(cls, settings: StackSettings, environment: Mapping[str, str], screen: Screen) -> "Stack":
        """The stack of these settings; services inherit the environment."""
        inherited = {"ONTOMESH_LOG_FORMAT": "human", **environment, "ONTOMESH_HOME": str(settings.home)}
        return cls(Home(settings.home), services(settings), settings.host, inherited, screen)

    @contextlib.asynccontextmanager
    async def running(self, stop: StopRequests) -> AsyncIterator["Supervisor"]:
        """Starts every service, and stops all in the reverse order at the end, at once if that is asked for twice.

        Raises:
            PortsUnusable: Nothing was started.
            NotReady: A service did not come up; those before it are stopped.
            Interrupted: It was asked to stop meanwhile.
        """
        if found := list(unusable(self.services, self.host)):
            raise PortsUnusable(found)
        with reserved(self.services, self.host) as settled:
            supervisor = Supervisor(
                connected(settled, self.host), environment=self.environment, log_file=self.home.log, observer=self
            )
            self._publish()
            try:
                if not await stop.unless_asked(supervisor.start()):
                    raise Interrupted
                yield supervisor
            finally:
                await self._end(supervisor, stop)

    async def _end(self, supervisor: Supervisor, stop: StopRequests) -> None:
        stopping = asyncio.ensure_future(supervisor.stop())
        insisted = asyncio.ensure_future(stop.insisted.wait())
        try:
            await asyncio.wait({stopping, insisted}, return_when=asyncio.FIRST_COMPLETED)
            if not stopping.done():
                await supervisor.kill()
            await stopping
        finally:
            insisted.cancel()

    def _publish(self) -> None:
        """Tells others what runs here and where."""
        self.home.write_stack(
            tuple(
                RunningService(name, item.pid, item.ready.grpc, item.ready.http, item.ready.nats)
                for name, item in self.started.items()
            )
        )
        if kernel := self.started.get(KERNEL):
            addresses = {"address": kernel.ready.grpc, "http": kernel.ready.http}
            if gateway := self.started.get(GATEWAY):
                addresses |= {"events": gateway.ready.grpc, "events_http": gateway.ready.http}
            self.home.write_client(addresses)

    def ready(self, running: Running) -> None:
        """A service is ready for the first time; the table of addresses tells of it."""
        self.started[running.service.name] = running
        self._publish()

    def crashed(self, service: Service, how: str, *, log: Path, attempt: int, attempts: int, delay: float) -> None:
        """Names the service, how it ended, what happens next and where to look."""
        self.screen.line(
            (
                f"! the {service.title} {how}; starting it again in {delay:g} s (attempt {attempt} of {attempts})",
                "bold red",
            )
        )
        self.screen.line(f"  its log is {log}")

    def restarted(self, running: Running) -> None:
        """Says that it is back, and as which process."""
        self.ready(running)
        self.screen.line(
            (
                f"  the {running.service.title} is ready again after {running.seconds:.1f} s (process {running.pid})",
                "green",
            )
        )

    def stopped(self, service: Service, how: str) -> None:
        """Says how it ended."""
        self.screen.line(f"  the {service.title} {how}")
