"""Talking to a TerminusDB server over HTTP: its paths, its answers, and what its errors mean to the kernel.

Each request has a connection of its own: over a kept one the server's chunked answers wait for the peer's delayed
acknowledgement, and after some refusals it reads the rest of the old request as a new one.
"""

import asyncio
import random
import ssl
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, TypeVar, cast
from urllib.parse import quote, urlencode

import aiohttp
import orjson
from yarl import URL

from ontomesh_data_kernel.domain.canonical import parse_value
from ontomesh_data_kernel.errors import MalformedBody, StoreUnavailable

T = TypeVar("T")

VERSION = "terminusdb-data-version"
MAX_ANSWER_BYTES = 1 << 30
ATTEMPTS = 24
_CONNECT_SECONDS = 3.0
_CONNECTIONS = 64
_FAILURES_TO_OPEN = 5
_OPEN_SECONDS = 1.0
_PAUSE_SECONDS = 0.02
_LARGE = 16_384
"""Bytes of an answer that is not read on the event loop."""
_INNER_STATUS = b"Status: "
_SHOWN = 500
_NO_DATABASE = "invalid absolute path"


class Refused(Exception):
    """The server refused a request: its status, the `@type` of its error, and its message."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(f"{kind or status}: {message}")
        self.status, self.kind, self.message = status, kind, message

    @property
    def lost_race(self) -> bool:
        """Whether another write came first, so that nothing was written."""
        return self.kind == "DataVersionMismatch" or "retry count exceeded" in self.message


class Unanswered(StoreUnavailable):
    """A request was sent and no answer came: whether it was executed is not known."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server is, and as whom and how long to talk to it. `seconds` bounds a request of little work."""

    url: str
    organization: str
    user: str
    password: str
    prefix: str = ""
    seconds: float = 20.0
    certificate: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request was answered: the body as read, and the commit that it names, if it names one."""

    body: bytes
    version: str

    def json(self) -> Any:
        """The body as JSON, numbers exactly. Raises Unanswered: an error's text under 200 answers nothing."""
        try:
            return parse_value(self.body, limit=MAX_ANSWER_BYTES, field="the answer of TerminusDB")
        except MalformedBody as error:
            raise Unanswered(f"TerminusDB answered what is no JSON: {self.body[:_SHOWN]!r}") from error

    def bindings(self) -> Sequence[Mapping[str, Any]]:
        """The bindings of a query. Raises Unanswered."""
        told = self.json()
        if not isinstance(told, dict) or not isinstance(told.get("bindings"), list):
            raise Unanswered(f"TerminusDB answered a query with no bindings: {self.body[:_SHOWN]!r}")
        return cast("Sequence[Mapping[str, Any]]", told["bindings"])


class _Breaker:
    """Refuses at once while a server does not answer, but for one trial a second."""

    def __init__(self) -> None:
        self._failures = 0
        self._closed_at = 0.0

    def check(self) -> None:
        """Raise StoreUnavailable while open."""
        if self._failures < _FAILURES_TO_OPEN:
            return
        if time.monotonic() < self._closed_at:
            raise StoreUnavailable("TerminusDB did not answer lately", retry_after=_OPEN_SECONDS)
        self._closed_at = time.monotonic() + _OPEN_SECONDS

    def failed(self) -> None:
        """Note that the server was not reached."""
        self._failures += 1
        self._closed_at = time.monotonic() + _OPEN_SECONDS

    def answered(self) -> None:
        """Note that it was."""
        self._failures = 0


class Client:
    """Requests to one server."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._breaker = _Breaker()
        trusted = ssl.create_default_context(cafile=server.certificate) if server.certificate else True
        self._http = aiohttp.ClientSession(
            headers={"authorization": _basic(server.user, server.password)},
            connector=aiohttp.TCPConnector(force_close=True, limit=_CONNECTIONS, ssl=trusted),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def close(self) -> None:
        """Release what it holds."""
        await self._http.close()

    def path(self, kind: str, database: str, *ref: str) -> str:
        """The address of `kind` for a ref of a database; each part is encoded."""
        parts = [quote(part, safe="") for part in (self.server.organization, database, *ref)]
        return "/".join((kind, *parts))

    async def ask(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        seconds: float | None = None,
    ) -> Answer:
        """Send a request. Raises Refused, StoreUnavailable, and Unanswered once the request may have been executed."""
        self._breaker.check()
        content = None if body is None else orjson.dumps(body)
        sent = {**(headers or {}), **({} if content is None else {"content-type": "application/json"})}
        address = f"{self.server.url}/api/{path}{f'?{urlencode(query)}' if query else ''}"
        total = seconds or self.server.seconds
        timeout = aiohttp.ClientTimeout(total, sock_connect=min(_CONNECT_SECONDS, total / 2))
        try:
            async with self._http.request(
                method,
                URL(address, encoded=True),
                data=None if content is None else BytesIO(content),
                headers=sent,
                timeout=timeout,
            ) as answer:
                content, status = await answer.read(), answer.status
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            self._breaker.failed()
            raise StoreUnavailable(f"TerminusDB is not reachable: {_told(error)}") from error
        except (aiohttp.ClientError, TimeoutError) as error:
            self._breaker.failed()
            raise Unanswered(f"TerminusDB broke a request off: {_told(error)}") from error
        self._breaker.answered()
        if content.startswith(_INNER_STATUS):
            # A refusal that the server noticed too late to say so in the status line.
            status, content = _inner(content)
        if status >= 300:
            raise _refusal(status, content)
        return Answer(content, answer.headers.get(VERSION, "").partition(":")[2])

    async def insist(self, method: str, path: str, **rest: Any) -> Answer:
        """As `ask`, again while other writes come first. For what may be done twice or is refused the second time."""
        return await persist(lambda: self.ask(method, path, **rest))

    async def graphql(self, database: str, *ref: str, query: str) -> Any:
        """Ask by GraphQL; errors under 200 are raised too."""
        answer = await self.ask("POST", self.path("graphql", database, *ref), body={"query": query})
        told = answer.json()
        if isinstance(told, dict) and told.get("errors"):
            raise Refused(200, "GraphQL", str(told["errors"][0].get("message"))[:_SHOWN])
        if not isinstance(told, dict) or not isinstance(told.get("data"), dict):
            raise Unanswered(f"TerminusDB answered a query with no data: {answer.body[:_SHOWN]!r}")
        return told["data"]

    async def woql(self, database: str, *ref: str, query: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        """The bindings of a query that reads."""
        answer = await self.ask("POST", self.path("woql", database, *ref), body={"query": query})
        return await asyncio.to_thread(answer.bindings) if len(answer.body) > _LARGE else answer.bindings()


def _basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


def _told(error: Exception) -> str:
    return str(error) or type(error).__name__


def _inner(content: bytes) -> tuple[int, bytes]:
    head, _, body = content.partition(b"\n\n")
    digits = head[len(_INNER_STATUS) :].split(None, 1)[0]
    return int(digits) if digits.isdigit() else 500, body


def _refusal(status: int, content: bytes) -> Exception:
    try:
        told = orjson.loads(content)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        told = {"message": content[:_SHOWN].decode(errors="replace")}
    error = told.get("api:error")
    detail = error if isinstance(error, dict) else {}
    message = str(told.get("api:message") or told.get("message") or "")[:_SHOWN]
    if witnesses := detail.get("api:witnesses"):
        message = f"{message} {orjson.dumps(witnesses).decode()[:_SHOWN]}"
    if isinstance(told.get("errors"), list) and _NO_DATABASE in str(told["errors"]):
        return Refused(404, "UnknownDatabase", str(told["errors"])[:_SHOWN])
    if status in (401, 403):
        return StoreUnavailable(f"TerminusDB refuses the kernel: {message}")
    if status in (502, 503, 504):
        return StoreUnavailable(f"TerminusDB is away: {message}")
    return Refused(status, str(detail.get("@type", "")).removeprefix("api:"), message)


async def persist(work: Callable[[], Awaitable[T]]) -> T:
    """What `work` gives; done again while other writes come first. Raises what it raises, the last lost race too."""
    for attempt in range(ATTEMPTS - 1):
        try:
            return await work()
        except Refused as error:
            if not error.lost_race:
                raise
        await pause(attempt)
    return await work()


async def pause(attempt: int) -> None:
    """Wait before the next attempt, so that writers who met once meet no more."""
    await asyncio.sleep(random.uniform(0, _PAUSE_SECONDS * (attempt + 1)))  # noqa: S311 - no secret
