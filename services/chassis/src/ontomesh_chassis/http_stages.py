"""The stages at the HTTP door, as pure ASGI around the whole application."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from grpc import StatusCode
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ontomesh_chassis.call import CallContext
from ontomesh_chassis.errors import TooLarge
from ontomesh_chassis.reply import HTTP_STATUS, Reply
from ontomesh_chassis.stages import Pipeline

TRACE_ID_HEADER = b"x-ontomesh-trace-id"
UNMATCHED = "unmatched"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_CODES = {status: code for code, status in reversed(HTTP_STATUS.items())}


class Exchange:
    """One request and its response: counts what comes in, notes what goes out."""

    __slots__ = ("_call", "_limit", "_receive", "_send", "_size", "started", "status")

    def __init__(self, call: CallContext, receive: Receive, send: Send, limit: int) -> None:
        self._call = call
        self._receive = receive
        self._send = send
        self._limit = limit
        self._size = 0
        self.started = False
        self.status = 0

    async def receive(self) -> Message:
        """The next part of the body. Raises TooLarge once the limit is passed."""
        message = await self._receive()
        if message["type"] == "http.request":
            self._size += len(message.get("body", b""))
            if self._size > self._limit:
                raise TooLarge("request", self._limit)
        return message

    async def send(self, message: Message) -> None:
        """Passes on the response, with the trace id among its headers."""
        if message["type"] == "http.response.start":
            self.started = True
            self.status = message["status"]
            headers = [*message.get("headers", ()), (TRACE_ID_HEADER, self._call.trace_id.encode())]
            message = {**message, "headers": headers}
        await self._send(message)


class HttpDoor:
    """How the HTTP door answers errors."""

    name = "http"

    def cancellation(self, _scope: Scope, _exchange: Exchange) -> StatusCode:
        """CANCELLED: HTTP callers send no deadline."""
        return StatusCode.CANCELLED

    async def refuse(self, reply: Reply, _call: CallContext, _scope: Scope, exchange: Exchange) -> None:
        """Answers with problem+json; a response that has begun is left incomplete, so that the server cuts it."""
        if exchange.started:
            return
        body, headers = problem_response(reply)
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await exchange.send({"type": "http.response.start", "status": reply.http_status, "headers": raw})
        await exchange.send({"type": "http.response.body", "body": body})


def problem_response(reply: Reply) -> tuple[bytes, dict[str, str]]:
    """The body and headers of a problem+json answer."""
    body = json.dumps(reply.problem(), ensure_ascii=False).encode()
    headers = {"content-type": "application/problem+json", "content-length": str(len(body))}
    if reply.code is StatusCode.UNAUTHENTICATED:
        headers["www-authenticate"] = "Bearer"
    if reply.retry_after is not None:
        headers["retry-after"] = str(max(1, round(reply.retry_after)))
    return body, headers


class StagedApp:
    """An ASGI middleware that runs every request through the stages; `open_paths` need no token."""

    def __init__(self, app: ASGIApp, pipeline: Pipeline, open_paths: Iterable[str]) -> None:
        self._app = app
        self._limit = pipeline.max_message_bytes
        self._open_paths = frozenset(open_paths)
        door = HttpDoor()
        self._guarded = pipeline.around(self._endpoint, door)
        self._open = pipeline.around(self._endpoint, door, needs_token=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request; what is not HTTP passes through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        # Labels of metrics come from bounded sets only.
        verb = scope["method"] if scope["method"] in METHODS else "OTHER"
        call = CallContext(f"{verb} {UNMATCHED}", headers)
        staged = self._open if scope["path"] in self._open_paths else self._guarded
        await staged(call, scope, Exchange(call, receive, send, self._limit))

    async def _endpoint(self, call: CallContext, scope: Scope, exchange: Exchange) -> None:
        announced = call.headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > self._limit:
            raise TooLarge("request", self._limit, int(announced))
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except ClientDisconnect:
            call.code = StatusCode.CANCELLED
            return
        finally:
            call.method = f"{call.method.partition(' ')[0]} {_template(scope)}"
        if call.code is StatusCode.OK and exchange.status >= 400:
            call.code = _CODES.get(exchange.status, StatusCode.UNKNOWN)


def _template(scope: Mapping[str, Any]) -> str:
    """The route's template: a path itself would make metrics without bound."""
    return str(getattr(scope.get("route"), "path", UNMATCHED))
