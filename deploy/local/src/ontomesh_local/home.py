"""The home folder of a local stack: made, checked, and held by one stack at a time."""

import fcntl
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import psutil

from ontomesh_chassis.home import ServiceToken, create_home_identity, create_service_tokens, write_private
from ontomesh_chassis.startup import ConfigError
from ontomesh_local.ports import user_name

CLOCK_TOLERANCE_SECONDS = 2.0
"""How far a process's start may seem to shift when the machine's clock is set."""

SERVICE_TOKENS = (
    ServiceToken("relay.token", "service:relay", ("publish:ontomesh.*",)),
    ServiceToken("gateway.token", "service:event-gateway", ("read",)),
)
"""What the stack's services show one another: the kernel's relay to the gateway, and the gateway to the kernel."""

_FOLDERS = ("data", "logs", "tour")


@dataclass(frozen=True, slots=True)
class RunningService:
    """A service of a running stack and where it can be reached; the addresses are empty until it is ready."""

    name: str
    pid: int
    grpc: str = ""
    http: str = ""
    nats: str = ""


@dataclass(frozen=True, slots=True)
class RunningStack:
    """The process that runs a stack, and its services."""

    pid: int
    create_time: float
    services: tuple[RunningService, ...] = ()

    def process(self) -> psutil.Process | None:
        """The process, if it is still the same one: an id may since belong to another."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.create_time) <= CLOCK_TOLERANCE_SECONDS
        except psutil.NoSuchProcess:
            return None
        return process if same else None


class AlreadyRunning(Exception):
    """Another process runs a stack in this home folder; `stack` is None if it does not say which."""

    def __init__(self, stack: RunningStack | None) -> None:
        super().__init__("already running")
        self.stack = stack


@dataclass(frozen=True)
class Home:
    """The files of a home folder that the stack itself reads and writes."""

    path: Path

    @property
    def client_file(self) -> Path:
        """Where the command line and the SDK look for the address."""
        return self.path / "client.json"

    @property
    def stack_file(self) -> Path:
        """Who runs the stack, and where its services are."""
        return self.path / "stack.json"

    @property
    def tour_marker(self) -> Path:
        """There once the tour has been done."""
        return self.path / "tour" / "done"

    @property
    def tour(self) -> Path:
        """Where the tour keeps its files."""
        return self.path / "tour"

    def log(self, service: str) -> Path:
        """A service's log file."""
        return self.path / "logs" / f"{service}.log"

    def prepare(self) -> bool:
        """Makes the folder, its keys, policy and token; whether the token is new here.

        Raises:
            ConfigError: The folder cannot be made or written to, or a secret in it can be read by others.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.chmod(0o700)
            for folder in _FOLDERS:
                (self.path / folder).mkdir(mode=0o700, exist_ok=True)
            first = not (self.path / "token").exists()
            create_home_identity(self.path, login())
            create_service_tokens(self.path, SERVICE_TOKENS)
        except OSError as fault:
            place = fault.filename or self.path
            raise ConfigError(
                f"cannot prepare {place}: {fault.strerror}. ONTOMESH_HOME names another folder "
                f"(now {self.path}); it must be writable for {login()}"
            ) from fault
        return first

    @contextmanager
    def held(self) -> Iterator[None]:
        """Holds the folder: nobody else runs a stack in it meanwhile. The system lets go of it when we die.

        Raises:
            AlreadyRunning: Somebody does.
        """
        descriptor = os.open(self.path / "stack.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise AlreadyRunning(self.running()) from None
        try:
            yield
        finally:
            self.stack_file.unlink(missing_ok=True)
            os.close(descriptor)

    def write_stack(self, services: tuple[RunningService, ...]) -> None:
        """Tells others who runs here, and where the services are."""
        me = psutil.Process()
        stack = RunningStack(me.pid, me.create_time(), services)
        write_private(self.stack_file, json.dumps(asdict(stack), indent=2) + "\n")

    def write_client(self, addresses: Mapping[str, str]) -> None:
        """Tells the command line and the SDK where the services are."""
        write_private(self.client_file, json.dumps(addresses, indent=2) + "\n")

    def running(self) -> RunningStack | None:
        """The stack that runs here; None if none does."""
        try:
            found = json.loads(self.stack_file.read_text("utf-8"))
            services = tuple(RunningService(**service) for service in found.pop("services"))
            stack = replace(RunningStack(**found), services=services)
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError) as fault:
            raise ConfigError(f"{self.stack_file} cannot be understood ({fault}); remove it if nothing runs") from fault
        return stack if stack.process() else None


def login() -> str:
    """The name of the user that this process runs as, as a principal may be called.

    By the system's records: what the environment says may differ from one start to the next.
    """
    return re.sub(r"[^A-Za-z0-9._@+-]", "-", user_name(os.getuid()))[:128]
