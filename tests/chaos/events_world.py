"""A world of events to break: NATS, gateways and kernels as real processes under load, and the facts of what happened."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from google.protobuf.duration_pb2 import Duration

from ontomesh.events.v1 import subscription_pb2
from ontomesh.sdk import connect
from ontomesh.sdk.breaker import CircuitBreaker
from ontomesh.sdk.mesh import AsyncMesh
from ontomesh_chassis.home import ServiceToken, create_home_identity, create_service_tokens
from tests.chaos.events_checker import STREAM, Double, Facts, Verdict, check
from tests.chaos.events_consumer import recorded
from tests.chaos.events_load import DATABASE, SCHEMA, Load
from tests.contract.serving import serving
from tests.events.serving import OWNER, Nats, running_nats, serving_gateway, token_of
from tests.events.stubs import Events

LONG = os.environ.get("ONTOMESH_TEST_CHAOS") == "long"
ROUNDS = 12 if LONG else 1
"""How often a test does its worst."""

BRANCHES = ("main", "left", "right")
UNORDERED, BY_KEY = "unordered", "by-key"
PROGRESS_SECONDS = 60
SETTLE_SECONDS = 60
CALL_SECONDS = 10
ACK_SECONDS = 2


class Running(Protocol):
    """A process that serves."""

    @property
    def process(self) -> asyncio.subprocess.Process: ...


@dataclass
class Member:
    """A process of the world, on the same ports however often it is started."""

    name: str
    address: str
    open: Callable[[], AbstractAsyncContextManager[Running]]
    spool: Path | None = None
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    _running: Running | None = None

    async def start(self) -> None:
        """Starts it; returns once it serves."""
        self._running = await self._stack.enter_async_context(self.open())

    async def kill(self) -> None:
        """Ends it with SIGKILL."""
        if self._running is not None:
            self._running.process.kill()
            await self._running.process.wait()
            self._running = None
        await self.stop()

    def pause(self) -> None:
        """Stops its every thread, its connections and locks staying as they are."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Lets it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._running is not None
        self._running.process.send_signal(number)

    async def stop(self) -> None:
        """Ends it politely."""
        stack, self._stack, self._running = self._stack, AsyncExitStack(), None
        await stack.aclose()


@dataclass
class World:
    """Everything that runs, and what it did."""

    folder: Path
    nats: Nats
    gateways: list[Member]
    kernels: list[Member]
    load: Load
    mesh: AsyncMesh
    token: str
    consumers: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)
    """The consumers that are processes, by name."""
    writers: list[asyncio.Task[None]] = field(default_factory=list)
    readers: list[asyncio.Task[None]] = field(default_factory=list)
    _offsets: dict[Path, int] = field(default_factory=dict)

    @property
    def facts(self) -> Facts:
        """What happened."""
        return self.load.facts

    @property
    def addresses(self) -> list[str]:
        """Where the gateways serve."""
        return [one.address for one in self.gateways]

    async def commits_go_on(self, more: int = 30) -> None:
        """Returns once so many further commits were acknowledged."""
        goal = len(self.facts.commits) + more
        await self.until(lambda: len(self.facts.commits) >= goal, "commits do not go on")

    async def publishing_goes_on(self, more: int = 60) -> None:
        """Returns once so many further events of publishers were taken."""
        goal = len(self.facts.published) + more
        await self.until(lambda: len(self.facts.published) >= goal, "publishing does not go on")

    async def deliveries_go_on(self, more: int = 30) -> None:
        """Returns once each reader got so many further events of commits, and of publishers."""
        goals = {each: count + more for each, count in self._counts().items()}
        await self.until(
            lambda: all(count >= goals[each] for each, count in self._counts().items()), "deliveries do not go on"
        )

    async def everything_goes_on(self) -> None:
        """Returns once there were further commits, published events and deliveries."""
        await asyncio.gather(self.commits_go_on(), self.publishing_goes_on(), self.deliveries_go_on())

    async def until(self, condition: Callable[[], bool], what: str, seconds: float = PROGRESS_SECONDS) -> None:
        """Waits for a condition; fails with what did not happen."""
        try:
            async with asyncio.timeout(seconds):
                while not condition():  # noqa: ASYNC110 - no event tells of it
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"{what}; refused so far: {dict(self.load.refusals)}") from None

    async def leading_kernel(self) -> Member:
        """The kernel that relays now."""
        async with asyncio.timeout(PROGRESS_SECONDS):
            while True:
                for kernel in self.kernels:
                    if await self.leads(kernel):
                        return kernel

    async def leads(self, kernel: Member) -> bool:
        """Whether a kernel relays now."""
        async with connect(kernel.address, token=self.token) as mesh:
            return (await mesh.validators.relay_status()).leading

    async def start_consumer(self, subscription: str, name: str) -> None:
        """Starts a consumer that is a process; what it got before it was killed stays with what it gets now."""
        arguments = (",".join(self.addresses), self.token, subscription, name, self._file(subscription, name))
        self.consumers[name] = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.chaos.events_consumer", *map(str, arguments)
        )

    async def kill_consumer(self, name: str) -> None:
        """Ends it with SIGKILL."""
        self.consumers[name].kill()
        await self.consumers.pop(name).wait()

    async def settle(self, explained: set[Double]) -> Verdict:
        """Ends the load, waits until what is due has arrived, and judges; prints the counts."""
        self.load.stop.set()
        async with asyncio.timeout(SETTLE_SECONDS):
            await asyncio.gather(*self.writers)
        await self._read_history()
        try:
            await self.until(lambda: not any(self._missing().values()), "events are missing", SETTLE_SECONDS)
        except AssertionError:
            print("not everything came")
        self._read_consumers()
        verdict = check(self.facts, explained)
        spooled = sum(one.spooled for one in self.facts.published)
        print(f"{len(self.facts.commits)} commits, {len(self.facts.published)} published, {spooled} of them SPOOLED")
        print(verdict.report())
        print(f"refused meanwhile: {dict(self.load.refusals)}")
        return verdict

    def _missing(self) -> dict[str, set[str]]:
        self._read_consumers()
        return self.facts.missing()

    def _counts(self) -> dict[tuple[str, bool], int]:
        """How much has come so far, by reader and by whether it is of a commit."""
        self._read_consumers()
        counts: dict[tuple[str, bool], int] = {}
        for reader, found in self.facts.arrivals.items():
            counts[reader, True] = sum(1 for one in found if one.commit)
            counts[reader, False] = len(found) - counts[reader, True]
        return counts

    def _read_consumers(self) -> None:
        for subscription in (UNORDERED, BY_KEY):
            for file in self.folder.glob(f"{subscription}.*.ndjson"):
                found, self._offsets[file] = recorded(file, self._offsets.get(file, 0))
                self.facts.arrivals[subscription] += found
            self.facts.arrivals[subscription].sort(key=lambda one: one.at)

    def _file(self, subscription: str, name: str) -> Path:
        return self.folder / f"{subscription}.{name}.ndjson"

    async def _read_history(self) -> None:
        database = self.mesh.database(DATABASE)
        for branch in self.facts.history:
            commits = [commit.id async for commit in database.log(branch, first_parent=True)]
            self.facts.history[branch] = commits[::-1]


@asynccontextmanager
async def world(
    folder: Path, *, gateways: int = 1, kernels: int = 1, consumer_processes: bool = False, **environment: str
) -> AsyncIterator[World]:
    """A world under load: two consumers of each subscription, a reader of the plain stream, committers on three branches
    with forks and merges, and publishers that want STORED and such that take SPOOLED. `environment` is the gateways'.
    """
    home = folder / "home"
    await asyncio.to_thread(create_home_identity, home, OWNER.removeprefix("user:"))
    relay = ServiceToken("relay.token", "service:relay", ("publish:ontomesh.*",))
    await asyncio.to_thread(create_service_tokens, home, [relay])
    facts = Facts(arrivals={STREAM: [], UNORDERED: [], BY_KEY: []}, ordered={STREAM, BY_KEY})
    async with AsyncExitStack() as stack:
        nats = await stack.enter_async_context(running_nats(folder / "nats"))
        fronts = [_gateway(home, nats, number, environment) for number in range(gateways)]
        addresses = [one.address for one in fronts]
        cores = [_kernel(home, number, addresses) for number in range(kernels)]
        for member in (*fronts, *cores):
            stack.push_async_callback(member.stop)
            await member.start()
        mesh = await stack.enter_async_context(
            connect(
                _target([one.address for one in cores]),
                home=home,
                timeout=CALL_SECONDS,
                retries=False,
                breaker=CircuitBreaker(threshold=sys.maxsize),
            )
        )
        made = World(folder, nats, fronts, cores, Load(facts), mesh, token_of(home))
        await _prepare(made)
        _start_load(made, readers=not consumer_processes)
        try:
            if consumer_processes:
                for subscription in (UNORDERED, BY_KEY):
                    for number in range(2):
                        await made.start_consumer(subscription, f"{subscription}-{number}")
            await made.everything_goes_on()
            yield made
        finally:
            tasks = (*made.writers, *made.readers)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for name in list(made.consumers):
                await made.kill_consumer(name)
    for task in tasks:
        if not task.cancelled():
            task.result()


def _start_load(made: World, *, readers: bool) -> None:
    load, token, addresses = made.load, made.token, made.addresses
    named = [(one.name, one.address) for one in made.gateways]
    writing = [load.commit(made.mesh, branch) for branch in BRANCHES]
    writing.append(load.fork_and_merge(made.mesh, "main"))
    writing += [load.publish(f"strict-{number}", named, token, strict=True) for number in range(2)]
    writing += [
        load.publish(f"at-{front[0]}-{number}", [front], token, strict=False) for front in named for number in range(2)
    ]
    reading = [load.stream(addresses, token)]
    if readers:
        reading += [
            load.consume(addresses, token, subscription, f"{subscription}-{number}")
            for subscription in (UNORDERED, BY_KEY)
            for number in range(2)
        ]
    made.writers = [asyncio.create_task(work) for work in writing]
    made.readers = [asyncio.create_task(work) for work in reading]


async def _prepare(made: World) -> None:
    """The database with its branches, and the subscriptions."""
    await made.mesh.databases.create(DATABASE)
    database = made.mesh.database(DATABASE)
    await database.apply_ontology(SCHEMA)
    for branch in BRANCHES:
        if branch != "main":
            await database.create_branch(branch)
        made.facts.history[branch] = []
    events = Events(made.addresses[0], made.token)
    deadline = Duration(seconds=ACK_SECONDS)
    await events.create_subscription(UNORDERED, ack_deadline=deadline, max_attempts=1_000)
    ordering = subscription_pb2.ORDERING_BY_KEY
    await events.create_subscription(BY_KEY, ordering=ordering, ack_deadline=deadline, max_attempts=1_000)
    await events.close()


def _gateway(home: Path, nats: Nats, number: int, environment: dict[str, str]) -> Member:
    grpc_port, http_port = _free_port(), _free_port()
    spool = home / f"spool-{number}"
    settings = {
        **environment,
        "ONTOMESH_EVENTS_GRPC_PORT": str(grpc_port),
        "ONTOMESH_EVENTS_HTTP_PORT": str(http_port),
        "ONTOMESH_SPOOL": str(spool),
    }
    return Member(f"gateway-{number}", f"127.0.0.1:{grpc_port}", lambda: serving_gateway(home, nats, **settings), spool)


def _kernel(home: Path, number: int, gateways: list[str]) -> Member:
    grpc_port, http_port = _free_port(), _free_port()
    settings = {
        "ONTOMESH_KERNEL_GRPC_PORT": str(grpc_port),
        "ONTOMESH_KERNEL_HTTP_PORT": str(http_port),
        "ONTOMESH_STORE": f"sqlite:///{home / 'data' / 'kernel.db'}",
        "ONTOMESH_EVENTS_ADDRESS": _target(gateways),
        "ONTOMESH_LOG_LEVEL": "INFO",
    }
    return Member(f"kernel-{number}", f"127.0.0.1:{grpc_port}", lambda: serving(home, **settings))


def _target(addresses: list[str]) -> str:
    """One gRPC target of all of them."""
    return "ipv4:" + ",".join(addresses)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
