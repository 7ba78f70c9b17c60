"""Exchanges with a TerminusDB server: recorded on their way to one, and replayed without one.

A recording is one test's exchanges in their order, as lines of JSON. What a server draws at random is numbered instead,
so that a recording changes only with what the adapter sends and what the server does with it.
"""

import json
import re
import threading
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from http.client import HTTPConnection, HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from ssl import create_default_context
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

import orjson

from ontomesh_data_kernel.adapters.terminusdb import read_url

VERSION = "terminusdb-data-version"
ORGANIZATION = "admin"

_MATCHED = (VERSION, "x-http-method-override")
_COMMIT = re.compile(r'branch:([a-z0-9]{31})\b|"identifier" *: *"([a-z0-9]{31})"')
_DRAWN = re.compile(r'("api:request_id" *: *"|/UserDatabase/)[^"]*')
_SERVER_SECONDS = 600
_SHOWN = 2_000


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked; `path` as sent with its query, and of the headers those that change what is meant."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: str

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for requests that mean the same: in any order of members, of a query, and of ids that are read."""
        path, _, query = self.path.partition("?")
        body = json.loads(self.body, parse_float=Decimal, parse_int=Decimal) if self.body else None
        if isinstance(body, dict) and "ids" in body:
            body["ids"] = sorted(body["ids"])
        headers = tuple(sorted(self.headers.items()))
        return (
            self.method,
            path,
            tuple(sorted(parse_qsl(query, True))),
            headers,
            json.dumps(body, sort_keys=True, default=str),
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered, to the byte; `version` is the header that names the commit, empty if there is none."""

    status: int
    version: str
    body: str


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its answer."""

    request: Request
    answer: Answer


class Answering(Protocol):
    """Answers requests, several at once."""

    def answer(self, request: Request, headers: Mapping[str, str]) -> Answer:
        """The answer; `headers` are all that came."""
        ...


class Replay:
    """Answers what was recorded: equal requests in the order in which they were answered then."""

    def __init__(self, exchanges: Sequence[Exchange]) -> None:
        self._answers: dict[tuple[object, ...], deque[Answer]] = defaultdict(deque)
        for exchange in exchanges:
            self._answers[exchange.request.key].append(exchange.answer)
        self._lock = threading.Lock()
        self.unknown: list[str] = []

    def answer(self, request: Request, headers: Mapping[str, str]) -> Answer:
        """See `Answering`."""
        with self._lock:
            answers = self._answers.get(request.key)
            if answers:
                return answers.popleft()
            how = "is asked more often than it was" if answers is not None else "was never asked"
            told = {name: value for name, value in request.headers.items() if value}
            self.unknown.append(f"{request.method} {request.path} {how}: {told} {request.body[:_SHOWN]}")
        return Answer(599, "", f"the recording does not hold this: it {how}")


class Recorder:
    """Passes requests on to a server, and keeps what was said."""

    def __init__(self, url: str) -> None:
        server = read_url(url)
        if server.organization != ORGANIZATION:
            raise ValueError(f"recordings are made in the organisation {ORGANIZATION!r}, not {server.organization!r}")
        self._server = server
        self._lock = threading.Lock()
        self._exchanges: list[Exchange] = []

    def answer(self, request: Request, headers: Mapping[str, str]) -> Answer:
        """See `Answering`."""
        passed = {name: value for name, value in headers.items() if name not in ("host", "connection")}
        connection = self._connect()
        try:
            connection.request(request.method, request.path, request.body.encode(), passed)
            told = connection.getresponse()
            answer = Answer(told.status, told.headers.get(VERSION, ""), told.read().decode())
        finally:
            connection.close()
        with self._lock:
            self._exchanges.append(Exchange(request, answer))
        return answer

    def _connect(self) -> HTTPConnection:
        where = urlsplit(self._server.url)
        host, port = where.hostname or "", where.port
        if where.scheme == "http":
            return HTTPConnection(host, port, timeout=_SERVER_SECONDS)
        context = create_default_context(cafile=self._server.certificate or None)
        return HTTPSConnection(host, port, timeout=_SERVER_SECONDS, context=context)

    def write(self, path: Path) -> None:
        """Write the recording."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(map(_line, numbered(self._exchanges))))


def numbered(exchanges: Sequence[Exchange]) -> list[Exchange]:
    """Exchanges in which the server's ids of commits count up and its ids of requests are zero."""
    names: dict[str, str] = {}
    for exchange in exchanges:
        for text in (exchange.answer.version, exchange.answer.body):
            for found in _COMMIT.finditer(text):
                id = found[1] or found[2]
                names.setdefault(id, f"c{len(names):030}")
    pattern = re.compile("|".join(names) or r"(?!)")

    def rename(text: str) -> str:
        return _DRAWN.sub(r"\g<1>0", pattern.sub(lambda found: names[found[0]], text))

    def renamed(exchange: Exchange) -> Exchange:
        asked, told = exchange.request, exchange.answer
        headers = {name: rename(value) for name, value in asked.headers.items()}
        request = replace(asked, path=rename(asked.path), headers=headers, body=rename(asked.body))
        return Exchange(request, replace(told, version=rename(told.version), body=rename(told.body)))

    return [renamed(exchange) for exchange in exchanges]


def _line(exchange: Exchange) -> bytes:
    """An exchange as a line: the request's body as the JSON that it is, the answer's as text."""
    asked, told = exchange.request, exchange.answer
    request = {"method": asked.method, "path": asked.path, "headers": asked.headers}
    body = {"body": orjson.Fragment(asked.body)} if asked.body else {}
    answer = {"status": told.status, "version": told.version, "body": told.body}
    return orjson.dumps({"request": request | body, "answer": answer}, option=orjson.OPT_APPEND_NEWLINE)


def read(path: Path) -> list[Exchange]:
    """The exchanges of a recording."""
    lines = path.read_bytes().splitlines()
    return [_exchange(json.loads(line, parse_float=Decimal, parse_int=Decimal)) for line in lines]


def _exchange(told: Any) -> Exchange:
    request, answer = told["request"], told["answer"]
    body = request.get("body")
    text = orjson.dumps(body, default=lambda number: orjson.Fragment(str(number))).decode() if body is not None else ""
    return Exchange(
        Request(request["method"], request["path"], request["headers"], text),
        Answer(int(answer["status"]), answer["version"], answer["body"]),
    )


class _Handler(BaseHTTPRequestHandler):
    """One request a connection, as the adapter sends them."""

    server: "_Server"

    def _serve(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", "0"))).decode()
        matched = {name: headers[name] for name in _MATCHED if name in headers}
        answer = self.server.answering.answer(Request(self.command, self.path, matched, body), headers)
        content = answer.body.encode()
        self.send_response(answer.status)
        self.send_header("content-type", "application/json")
        if answer.version:
            self.send_header(VERSION, answer.version)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_DELETE = do_GET = do_HEAD = do_POST = do_PUT = _serve  # noqa: N815 - the names that it looks for

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


class _Server(ThreadingHTTPServer):
    request_queue_size = 128

    def __init__(self, answering: Answering) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answering = answering


@contextmanager
def serving_exchanges(answering: Answering) -> Iterator[int]:
    """Serves at a free port for a block; the port."""
    with _Server(answering) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), name="exchanges")
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def replaying(path: Path) -> Iterator[int]:
    """Serves a recording at a free port for a block, which fails if it was asked what the recording does not hold."""
    replay = Replay(read(path))
    with serving_exchanges(replay) as port:
        yield port
    assert not replay.unknown, "the adapter asks what its recording does not hold:\n" + "\n".join(replay.unknown)
