"""Kernels that ask validators, and the validators that tests ask: functions, and real servers on this machine."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, ClassVar

from aiohttp import web

from ontomesh.sdk.validation import Objection, Proposal, Validate, serve
from ontomesh_chassis.outbound import OutboundFilter
from ontomesh_data_kernel.adapters.validators import ValidatorChecks
from ontomesh_data_kernel.adapters.validators.python import GROUP, PythonChecks
from ontomesh_data_kernel.domain.kernel import Kernel
from ontomesh_data_kernel.domain.validators.model import Check, Match, PythonCheck, Validator
from tests.contract.inprocess import ANA
from tests.contract.stores import store_in_use

LOOPBACK = "127.0.0.0/8"

ALL = Match()

Judge = Callable[[Proposal], Iterable[Objection] | None]


@dataclass
class Function:
    """A validator in this process that tests see into: what it was shown, and what it answers."""

    answer: Any = lambda proposal: ()
    proposals: list[Proposal] = field(default_factory=list)

    def __call__(self, proposal: Proposal) -> Any:
        self.proposals.append(proposal)
        return self.answer(proposal)

    @property
    def seen(self) -> list[list[str]]:
        """The documents of each call."""
        return [[change.id for change in proposal.changes] for proposal in self.proposals]

    @property
    def all_seen(self) -> list[str]:
        """The documents of all calls."""
        return [id for each in self.seen for id in each]


class _Loaded(EntryPoint):
    """An entry point whose function is at hand."""

    functions: ClassVar[Mapping[str, Any]] = {}

    def load(self) -> Any:
        return self.functions[self.name]


def find_in(functions: dict[str, Any]) -> Callable[[str], EntryPoint | None]:
    """Finds functions as if they were installed."""
    kind = type("Loaded", (_Loaded,), {"functions": functions})
    return lambda name: kind(name=name, value="tests", group=GROUP) if name in functions else None


def checks_of(allow: str = LOOPBACK, **functions: Any) -> ValidatorChecks:
    """Checks that may call this machine and know these functions."""
    return ValidatorChecks(OutboundFilter.parse(allow), python=PythonChecks(find_in(functions)))


async def open_validating(path: Path, allow: str = LOOPBACK, **functions: Any) -> Kernel:
    """A kernel over the store of a path that asks validators."""
    store = await store_in_use().open(path)
    return Kernel(store, store_in_use().clock, store_in_use().random_id, checks_of(allow, **functions))


async def put(kernel: Kernel, name: str, check: Check, match: Match = ALL, **rest: Any) -> Validator:
    """Put a validator as ana."""
    return await kernel.validators.put(ANA, Validator(name, check, match=match, **rest))


async def put_function(kernel: Kernel, name: str, match: Match = ALL, **rest: Any) -> Validator:
    """Put the function of a name as a validator."""
    return await put(kernel, name, PythonCheck(name), match, **rest)


@asynccontextmanager
async def grpc_validator(validate: Validate, port: int = 0) -> AsyncIterator[str]:
    """A server of `CommitValidator` on this machine; gives its target."""
    server, bound = await serve(validate, f"127.0.0.1:{port}")
    try:
        yield f"127.0.0.1:{bound}"
    finally:
        await server.stop(0)


@asynccontextmanager
async def http_validator(answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """An HTTP endpoint on this machine; gives its URL."""
    app = web.Application(client_max_size=1 << 30)
    app.router.add_post("/check", answer)
    runner = web.AppRunner(app, shutdown_timeout=0, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/check"
    finally:
        await runner.cleanup()


def objecting(description: str = "not so", path: str = "") -> Judge:
    """Objects to every document."""

    def judge(proposal: Proposal) -> Iterator[Objection]:
        return (Objection(description, change.id, path) for change in proposal.changes)

    return judge


class Hanging:
    """A function that does not return before it is let go."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.calls = 0

    def __call__(self, proposal: Proposal) -> None:
        self.calls += 1
        self.released.wait(60)


async def until(condition: Callable[[], Awaitable[bool]] | Callable[[], bool], seconds: float = 10) -> None:
    """Waits until a condition holds."""
    async with asyncio.timeout(seconds):
        while True:
            held = condition()
            if (isinstance(held, bool) and held) or (not isinstance(held, bool) and await held):
                return
            await asyncio.sleep(0.01)


def as_json(value: object) -> web.Response:
    """A JSON answer."""
    return web.Response(text=json.dumps(value), content_type="application/json")


def took(began: float) -> float:
    """Seconds since then."""
    return time.monotonic() - began
