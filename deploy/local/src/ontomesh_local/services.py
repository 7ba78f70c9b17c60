"""The services of the local stack: what is started, and with which ports. A further service is an entry here."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

from ontomesh_chassis.settings import variable
from ontomesh_local.config import StackSettings

STOP_MARGIN_SECONDS = 5.0
"""How long beyond its own limit a service may take to drain before it is killed."""


@dataclass(frozen=True, slots=True)
class Port:
    """A port that a service listens on, and the environment variable that moves it."""

    door: str
    number: int
    variable: str


@dataclass(frozen=True, slots=True)
class Service:
    """One service: how it is started, and how long it may take to begin and to end."""

    name: str
    title: str
    command: tuple[str, ...]
    ports: tuple[Port, ...]
    data: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    start_seconds: float = 60.0
    stop_seconds: float = 15.0


def services(settings: StackSettings) -> list[Service]:
    """The services in the order in which they are started; they are stopped in the reverse one."""
    return [
        Service(
            name="data-kernel",
            title="data kernel",
            command=(sys.executable, "-m", "ontomesh_data_kernel"),
            ports=(
                Port("gRPC", settings.kernel_grpc_port, variable(StackSettings, "kernel_grpc_port")),
                Port("HTTP", settings.kernel_http_port, variable(StackSettings, "kernel_http_port")),
            ),
            data=_place(settings.store) if settings.store else str(settings.home / "data" / "kernel.db"),
            start_seconds=settings.start_seconds,
            stop_seconds=settings.drain_seconds + STOP_MARGIN_SECONDS,
        )
    ]


def _place(store: str) -> str:
    """Where a store's data are, as people are told: a file, or a server without user and password."""
    if store.startswith("sqlite:///"):
        return store.removeprefix("sqlite:///")
    parts = urlsplit(store)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
