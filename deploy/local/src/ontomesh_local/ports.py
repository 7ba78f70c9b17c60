"""Which of the stack's ports are taken, and by whom, as far as this user may see it."""

import errno
import pwd
import shlex
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from ontomesh_chassis.listen import join
from ontomesh_local.services import Port, Service

MAX_COMMAND_LENGTH = 120

_KERNEL_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_LISTENING = "0A"


@dataclass(frozen=True, slots=True)
class Holder:
    """Who listens on a port; what this user may not see is empty or None."""

    pid: int | None = None
    command: str = ""
    user: str = ""

    def __str__(self) -> str:
        user = f"user {self.user}" if self.user else ""
        if self.pid is None:
            return f"a process of {user}, hidden from this one" if user else "a process hidden from this user"
        details = ", ".join(part for part in (user, self.command) if part)
        return f"process {self.pid} ({details})" if details else f"process {self.pid}"


@dataclass(frozen=True, slots=True)
class Unusable:
    """A port that a service cannot have; `holder` is None where nobody holds it and the system refuses."""

    service: Service
    port: Port
    address: str
    holder: Holder | None
    reason: str

    def __str__(self) -> str:
        wanted = f"{self.address}, which the {self.service.title} wants for {self.port.door},"
        why = f"is taken by {self.holder}" if self.holder else f"cannot be used: {self.reason}"
        return f"{wanted} {why}"


def unusable(services: Iterable[Service], host: str) -> Iterator[Unusable]:
    """The ports that cannot be bound now. Port 0 is never among them."""
    for service in services:
        for port in service.ports:
            place = service.host or host
            if port.number and (fault := _bind_fault(place, port.number)):
                holder = holder_of(port.number) if fault.errno == errno.EADDRINUSE else None
                yield Unusable(service, port, join(place, port.number), holder, fault.strerror or str(fault))


def holder_of(port: int) -> Holder:
    """Who listens on a TCP port of this machine."""
    try:
        found = [
            connection.pid
            for connection in psutil.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port
        ]
    except psutil.AccessDenied:
        found = []
    pid = next((pid for pid in found if pid is not None), None)
    if pid is None:
        return Holder(user=_owner(port))
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            return Holder(pid, _shortened(process.cmdline()) or process.name(), process.username())
    except psutil.Error:
        return Holder(pid)


def _bind_fault(host: str, port: int) -> OSError | None:
    try:
        family, kind, protocol, _name, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            # As servers do: a connection of an earlier run that is still closing is no obstacle.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as fault:
        return fault
    return None


def _owner(port: int) -> str:
    """The user whose socket it is: Linux tells that to everyone, even where the process is hidden."""
    for table in _KERNEL_TABLES:
        if not table.exists():
            continue
        for line in table.read_text("ascii").splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                return user_name(int(fields[7]))
    return ""


def user_name(uid: int) -> str:
    """A user's name by the system's records."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        # A container may run as a user that it has no record of.
        return f"uid-{uid}"


def _shortened(command: list[str]) -> str:
    text = shlex.join(command)
    return text if len(text) <= MAX_COMMAND_LENGTH else text[: MAX_COMMAND_LENGTH - 1] + "…"
