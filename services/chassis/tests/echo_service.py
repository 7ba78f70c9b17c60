"""A tiny service over the chassis, run in a process of its own by tests that signal or crash it."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from fastapi import FastAPI
from grpc import StatusCode
from pydantic import BaseModel, Field

from ontomesh_chassis import logs
from ontomesh_chassis.call import current_call
from ontomesh_chassis.errors import ErrorTable
from ontomesh_chassis.health import Health
from ontomesh_chassis.http import create_app
from ontomesh_chassis.server import GrpcService, run, serve
from ontomesh_chassis.settings import ServiceSettings, load
from ontomesh_chassis.stages import Pipeline
from ontomesh_chassis.tokens import open_authenticator
from ontomesh_chassis.trace import child_span, setup_tracing

NAME = "test.v1.Echo"


class ThingError(Exception):
    """The root of the service's own errors."""


class ThingMissing(ThingError):
    """Carries metadata, as a domain error may."""

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no {name}.")
        self.metadata = {"name": name}


@dataclass
class Fault:
    """A violation of the service's own type."""

    field: str
    description: str


class ThingMalformed(ThingError):
    """Carries violations, as a domain error may."""

    def __init__(self, count: int) -> None:
        super().__init__("The thing is malformed.")
        self.violations = [Fault(f"items[{number}].name", "is not a name") for number in range(count)]


class ThingBusy(ThingError):
    """Says when a retry helps."""

    message = "Busy."
    retry_after = 2.5


class ThingSpent(ThingBusy):
    """Is not to be had by trying over and over."""

    is_costly = True


ERRORS = {
    ThingError: (StatusCode.FAILED_PRECONDITION, "THING"),
    ThingMissing: (StatusCode.NOT_FOUND, "THING_MISSING"),
    ThingMalformed: (StatusCode.INVALID_ARGUMENT, "THING_MALFORMED"),
    ThingBusy: (StatusCode.UNAVAILABLE, "THING_BUSY"),
}


@dataclass
class Echo:
    """What the tests call. The text of a request chooses what happens."""

    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    file: Path | None = None
    held: int = 0
    busy: int = 0

    async def act(self, text: str) -> str:
        """Answers a text, or raises what it names."""
        verb, _, rest = text.partition(" ")
        if verb == "raise":
            await self._raise(rest)
        if verb == "wait":
            await self._wait()
        if verb == "hold" and self.file is not None:
            await self._hold(self.file)
        if verb == "require":
            right, database, branch = rest.split()
            current_call().identity.require(right, database, branch)
        if verb == "author":
            return current_call().identity.author(current_call().author, "catalog", "main")
        if verb == "whoami":
            call = current_call()
            return f"{call.principal} {call.trace_id} {call.request_id} {call.branch}"
        if verb == "store":
            with child_span("test", "store get", **{"db.system.name": "sqlite"}):
                return "stored"
        return text

    async def _wait(self) -> None:
        self.arrived.set()
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    async def _hold(self, file: Path) -> None:
        """Tells by one file that it has begun, and waits for another."""
        self.held += 1
        file.with_suffix(f".{self.held}").touch()
        while not file.exists():  # noqa: ASYNC110, ASYNC240 - what is waited for is another process
            await asyncio.sleep(0.01)

    async def _raise(self, what: str) -> None:
        if what == "missing":
            raise ThingMissing("thing")
        if what in ("busy", "spent"):
            self.busy += 1
            raise ThingBusy if what == "busy" else ThingSpent
        if what.startswith("malformed"):
            raise ThingMalformed(int(what.split()[1]))
        if what == "subclass":
            raise type("Unlisted", (ThingMissing,), {})("cousin")
        raise ZeroDivisionError("the secret is 42")

    async def unary(self, request: str, _context: Any) -> str:
        """One for one."""
        return await self.act(request)

    async def server_stream(self, request: str, _context: Any) -> AsyncIterator[str]:
        """The request's answer thrice."""
        for number in range(3):
            yield f"{number} {await self.act(request)}"

    async def writing_stream(self, request: str, context: Any) -> None:
        """The older way of writing a stream."""
        for number in range(3):
            await context.write(f"{number} {await self.act(request)}")

    async def client_stream(self, requests: AsyncIterator[str], _context: Any) -> str:
        """All requests in one answer."""
        return ",".join([await self.act(request) async for request in requests])

    async def both_stream(self, requests: AsyncIterator[str], _context: Any) -> AsyncIterator[str]:
        """An answer a request."""
        async for request in requests:
            yield await self.act(request)


def parse(raw: bytes) -> str:
    """The deserializer: UTF-8 or nothing."""
    return raw.decode()


def render(text: str | bytes) -> bytes:
    """The serializer; grpc.aio hands over text that a handler writes itself as bytes."""
    return text.encode() if isinstance(text, str) else text


def add_echo(servicer: Echo, server: Any) -> None:
    """What generated code does for a service."""
    coded: dict[str, Any] = {"request_deserializer": parse, "response_serializer": render}
    handlers = {
        "Unary": grpc.unary_unary_rpc_method_handler(servicer.unary, **coded),
        "ServerStream": grpc.unary_stream_rpc_method_handler(servicer.server_stream, **coded),
        "WritingStream": grpc.unary_stream_rpc_method_handler(servicer.writing_stream, **coded),
        "ClientStream": grpc.stream_unary_rpc_method_handler(servicer.client_stream, **coded),
        "BothStream": grpc.stream_stream_rpc_method_handler(servicer.both_stream, **coded),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(NAME, handlers),))
    server.add_registered_method_handlers(NAME, handlers)


class Item(BaseModel):
    """A part of a body."""

    name: str = Field(max_length=5)


class Body(BaseModel):
    """A body to validate."""

    items: list[Item]


def add_routes(app: FastAPI, echo: Echo) -> None:
    """The HTTP door of the same service."""

    @app.get("/v1/echo/{text}")
    async def get(text: str, limit: int = 1) -> dict[str, str | int]:
        return {"text": await echo.act(text), "limit": limit}

    @app.post("/v1/items")
    async def post(body: Body) -> Body:
        return body


async def main(settings: ServiceSettings) -> int:
    """Composition, as a service does it."""
    tracing = setup_tracing("echo", settings)
    try:
        pipeline = Pipeline.of(settings, open_authenticator(settings), ErrorTable("echo.ontomesh", ERRORS), tracing)
        health = Health()
        echo = Echo(file=Path(os.environ["ECHO_FILE"]) if "ECHO_FILE" in os.environ else None)
        app = create_app("echo", "1", pipeline=pipeline, health=health)
        add_routes(app, echo)
        return await serve(
            settings,
            pipeline=pipeline,
            health=health,
            grpc_services=[GrpcService(add_echo, echo, NAME)],
            http_app=app,
        )
    finally:
        tracing.shutdown()


if __name__ == "__main__":
    loaded = load(ServiceSettings)
    logs.configure(loaded.log_format, loaded.log_level)
    sys.exit(run(lambda: main(loaded)))
