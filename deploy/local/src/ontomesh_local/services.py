"""The services of the local stack: what is started, and with which ports. A further service is an entry here."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit, urlunsplit

from ontomesh_chassis.listen import join
from ontomesh_chassis.settings import variable
from ontomesh_local.config import StackSettings

STOP_MARGIN_SECONDS = 5.0
"""How long beyond its own limit a service may take to drain before it is killed."""

LOOPBACK = "127.0.0.1"
NATS = "nats"
GATEWAY = "event-gateway"
KERNEL = "data-kernel"


@dataclass(frozen=True, slots=True)
class Port:
    """A port that a service listens on, and the environment variable that moves it."""

    door: str
    number: int
    variable: str


@dataclass(frozen=True, slots=True)
class Needed:
    """The door of another service, whose address a variable of the environment tells."""

    service: str
    door: str
    scheme: str = ""


@dataclass(frozen=True, slots=True)
class Service:
    """One service: how it is started, and how long it may take to begin and to end.

    `host` is where it listens, whatever the stack's other services do; `needs` are the services that it calls.
    """

    name: str
    title: str
    command: tuple[str, ...]
    ports: tuple[Port, ...]
    data: str = ""
    host: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    needs: Mapping[str, Needed] = field(default_factory=dict)
    start_seconds: float = 60.0
    stop_seconds: float = 15.0


def services(settings: StackSettings) -> list[Service]:
    """The services in the order in which they are started; they are stopped in the reverse one."""
    data = settings.home / "data"
    return [
        Service(
            name=NATS,
            title="NATS server",
            command=(sys.executable, "-m", "ontomesh_local.nats"),
            ports=(_port(settings, "NATS", "nats_port"),),
            data=str(data / "nats"),
            host=LOOPBACK,
            start_seconds=settings.start_seconds,
            stop_seconds=settings.drain_seconds + STOP_MARGIN_SECONDS,
        ),
        Service(
            name=GATEWAY,
            title="event gateway",
            command=(sys.executable, "-m", "ontomesh_event_gateway"),
            ports=(_port(settings, "gRPC", "events_grpc_port"), _port(settings, "HTTP", "events_http_port")),
            data=str(data / "spool"),
            environment={
                "ONTOMESH_NATS_TOKEN_FILE": str(settings.home / "nats.token"),
                "ONTOMESH_NATS_SYNC_INTERVAL": settings.nats_sync_interval,
                "ONTOMESH_SERVICE_TOKEN_FILE": str(settings.home / "gateway.token"),
            },
            needs={
                "ONTOMESH_NATS_URL": Needed(NATS, "NATS", "nats://"),
                "ONTOMESH_KERNEL_ADDRESS": Needed(KERNEL, "gRPC"),
            },
            start_seconds=settings.start_seconds,
            stop_seconds=settings.drain_seconds + STOP_MARGIN_SECONDS,
        ),
        Service(
            name=KERNEL,
            title="data kernel",
            command=(sys.executable, "-m", "ontomesh_data_kernel"),
            ports=(_port(settings, "gRPC", "kernel_grpc_port"), _port(settings, "HTTP", "kernel_http_port")),
            data=_place(settings.store) if settings.store else str(data / "kernel.db"),
            environment={"ONTOMESH_RELAY_TOKEN_FILE": str(settings.home / "relay.token")},
            needs={"ONTOMESH_EVENTS_ADDRESS": Needed(GATEWAY, "gRPC")},
            start_seconds=settings.start_seconds,
            stop_seconds=settings.drain_seconds + STOP_MARGIN_SECONDS,
        ),
    ]


def connected(chosen: Sequence[Service], host: str) -> list[Service]:
    """The services, each with the addresses of those that it needs in its environment; their ports are settled."""
    places = {
        (service.name, port.door): join(service.host or host, port.number)
        for service in chosen
        for port in service.ports
    }

    def addresses(service: Service) -> dict[str, str]:
        return {
            variable: f"{needed.scheme}{places[needed.service, needed.door]}"
            for variable, needed in service.needs.items()
        }

    return [replace(service, environment={**service.environment, **addresses(service)}) for service in chosen]


def _port(settings: StackSettings, door: str, setting: str) -> Port:
    return Port(door, getattr(settings, setting), variable(StackSettings, setting))


def _place(store: str) -> str:
    """Where a store's data are, as people are told: a file, or a server without user and password."""
    if store.startswith("sqlite:///"):
        return store.removeprefix("sqlite:///")
    parts = urlsplit(store)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
