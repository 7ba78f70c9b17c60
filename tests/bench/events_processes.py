"""A NATS server with a gateway, and a kernel whose relay publishes there, as processes of their own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from ontomesh_chassis.home import ServiceToken, create_service_tokens
from tests.bench.processes import Kernel
from tests.contract.serving import serving
from tests.events.serving import Nats, ServingGateway, running_nats, serving_gateway
from tests.events.stubs import Events

RELAY_TOKEN = ServiceToken("relay.token", "service:relay", ("publish:ontomesh.*",))


@dataclass(frozen=True)
class Gateway:
    """A running gateway over a NATS server, with raw stubs."""

    folder: Path
    nats: Nats
    serving: ServingGateway
    events: Events

    def rss_mb(self) -> float:
        """Resident memory of both."""
        pids = (self.serving.process.pid, self.nats.pid)
        return sum(float(psutil.Process(pid).memory_info().rss) for pid in pids) / 1e6

    def cpu_seconds(self) -> float:
        """Processor time that the gateway has used so far."""
        times = psutil.Process(self.serving.process.pid).cpu_times()
        return float(times.user + times.system)


@asynccontextmanager
async def gateway(folder: Path, sync: str = "always") -> AsyncIterator[Gateway]:
    """A gateway over a NATS server of its own that syncs so."""
    home = folder / "home"
    async with (
        running_nats(folder / "nats", sync=sync) as nats,
        serving_gateway(home, nats, ONTOMESH_LOG_LEVEL="WARNING") as running,
    ):
        await asyncio.to_thread(create_service_tokens, home, [RELAY_TOKEN])
        events = Events(running.grpc, running.token())
        try:
            yield Gateway(folder, nats, running, events)
        finally:
            await events.close()


@asynccontextmanager
async def kernel(gateway: Gateway, name: str, *, relay: bool) -> AsyncIterator[Kernel]:
    """A kernel over a store of its own in the gateway's home, with a relay or without."""
    home = gateway.serving.home
    environment = {
        "ONTOMESH_STORE": f"sqlite:///{home / 'data' / name}.db",
        "ONTOMESH_LOG_LEVEL": "WARNING",
        "ONTOMESH_EVENTS_ADDRESS": gateway.serving.grpc if relay else "",
    }
    async with serving(home, **environment) as running:
        yield Kernel(running.grpc, home, psutil.Process(running.process.pid))
