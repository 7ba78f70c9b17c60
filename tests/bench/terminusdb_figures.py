"""The data kernel's figures over TerminusDB, beside those over SQLite and the server's own."""

import asyncio
import os
import secrets
import statistics
import tempfile
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx

from ontomesh.kernel.v1 import document_service_pb2
from ontomesh_data_kernel.adapters.terminusdb import read_url
from tests.bench import corpus, processes
from tests.bench.kernel_figures import Client
from tests.bench.load import run_calls
from tests.bench.report import Report

PART = "terminusdb"
COMMIT_ROUNDS, ROUND_COMMITS = 5, 20
GET_ROUNDS, ROUND_GETS = 15, 20
HISTORY = 1_000
GET_IDS = 50
_DATABASE = "bench"

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Call = Callable[[int], Awaitable[object]]


class Server:
    """A TerminusDB server, asked without a kernel; its databases with a prefix are the bench's."""

    def __init__(self, url: str) -> None:
        self.prefix = f"bench-{secrets.token_hex(4)}-"
        self.store = f"{url}{'&' if '?' in url else '?'}prefix={self.prefix}"
        self._to = read_url(url)
        where = urlsplit(self._to.url)
        assert where.scheme == "http", "a bare request is made without TLS"
        self._host, self._port = where.hostname or "", where.port or 80
        self._login = b64encode(f"{self._to.user}:{self._to.password}".encode()).decode()
        self._kept: Connection | None = None

    async def databases(self) -> list[str]:
        """The bench's databases on it."""
        async with self._client() as client:
            told = (await client.get(f"db/{self._to.organization}")).raise_for_status().json()
        names = [one["path"].partition("/")[2] for one in told]
        return [name for name in names if name.startswith(self.prefix)]

    async def drop(self) -> None:
        """Delete the bench's databases."""
        for name in await self.databases():
            async with self._client() as client:
                (await client.delete(f"db/{self._to.organization}/{name}")).raise_for_status()

    async def get(self, database: str, id: str, *, keep: bool) -> bytes:
        """A document's bare answer, on a connection of its own or a kept one."""
        path = f"/api/document/{self._to.organization}/{database}/local/branch/main?id={quote(id, safe='')}"
        how = "keep-alive" if keep else "close"
        head = f"Host: {self._host}\r\nAuthorization: Basic {self._login}\r\nConnection: {how}\r\n"
        request = f"GET {path} HTTP/1.1\r\n{head}\r\n".encode()
        if keep and self._kept is not None:
            try:
                return await _read_kept(self._kept, request)
            except (asyncio.IncompleteReadError, ConnectionError):
                self.close()  # the server closes those that were idle for a while
        reader, writer = await asyncio.open_connection(self._host, self._port)
        if keep:
            self._kept = (reader, writer)
            return await _read_kept(self._kept, request)
        writer.write(request)
        answer = await reader.read(-1)
        writer.close()
        return answer

    def close(self) -> None:
        """Close the kept connection."""
        if self._kept is not None:
            self._kept[1].close()

    def _client(self) -> httpx.AsyncClient:
        login = (self._to.user, self._to.password)
        return httpx.AsyncClient(base_url=f"{self._to.url}/api/", auth=login, headers={"connection": "close"})


async def _read_kept(connection: Connection, request: bytes) -> bytes:
    connection[1].write(request)
    return await connection[0].readuntil(b"\r\n0\r\n\r\n")


async def measure(report: Report, parts: Sequence[str]) -> None:
    """Measure the part if it is named, or all are, and a server is named."""
    if parts and PART not in parts:
        return
    url = os.environ.get("ONTOMESH_TEST_TERMINUSDB_URL", "")
    if not url:
        report.note(f"left out: {PART}, since ONTOMESH_TEST_TERMINUSDB_URL names no server")
        return
    report.note(f"measuring {PART} ...")
    server = Server(url)
    try:
        async with _client(server.store) as ours, _client("") as sqlite:
            await _measure(report, server, ours, sqlite)
    finally:
        server.close()
        await server.drop()


@asynccontextmanager
async def _client(store: str) -> AsyncIterator[Client]:
    """A client of a kernel over a store."""
    with tempfile.TemporaryDirectory() as folder:
        async with processes.kernel(Path(folder) / "home", store) as kernel:
            client = Client(kernel)
            await client.database(_DATABASE)
            yield client
            await client.channel.close()


async def _measure(report: Report, server: Server, ours: Client, sqlite: Client) -> None:
    names = [f"package-{number}" for number in range(GET_IDS)]
    for client in (ours, sqlite):
        await client.put(_DATABASE, [corpus.body_of_size(name) for name in names])
    commits = {"terminusdb": _commits(ours), "sqlite": _commits(sqlite)}
    fresh = await _rounds(commits, COMMIT_ROUNDS, ROUND_COMMITS)
    report.figure("terminusdb.commit.p50_ms", statistics.median(fresh["terminusdb"]), "ms")
    report.figure("sqlite.commit.p50_ms", statistics.median(fresh["sqlite"]), "ms")
    await _gets(report, server, ours, sqlite, [corpus.package_id(name) for name in names])
    done = 2 + (1 + COMMIT_ROUNDS) * ROUND_COMMITS
    for commit in commits.values():
        await run_calls(commit, HISTORY - done, callers=1)
    then = await _rounds(commits, COMMIT_ROUNDS, ROUND_COMMITS)
    report.figure("terminusdb.commit.after_1000_p50_ms", statistics.median(then["terminusdb"]), "ms")
    report.figure("sqlite.commit.after_1000_p50_ms", statistics.median(then["sqlite"]), "ms")


def _commits(client: Client) -> Call:
    """Commits a new document with each call."""
    made = 0

    async def commit(number: int) -> None:
        nonlocal made
        made += 1
        await client.put(_DATABASE, [corpus.body_of_size(f"committed-{made}")])

    return commit


async def _gets(report: Report, server: Server, ours: Client, sqlite: Client, ids: Sequence[str]) -> None:
    (native,) = [name for name in await server.databases() if name.startswith(f"{server.prefix}{_DATABASE}.")]

    def through(client: Client) -> Call:
        async def get(number: int) -> None:
            request = document_service_pb2.GetDocumentRequest(database=_DATABASE, ref="main", id=ids[number % GET_IDS])
            await client.documents.GetDocument(request, metadata=client.metadata)

        return get

    def bare(*, keep: bool) -> Call:
        async def get(number: int) -> None:
            answer = await server.get(native, ids[number % GET_IDS], keep=keep)
            assert b"200 OK" in answer
            assert b'"summary"' in answer

        return get

    calls = {
        "ours": through(ours),
        "closed": bare(keep=False),
        "kept": bare(keep=True),
        "sqlite": through(sqlite),
    }
    found = await _rounds(calls, GET_ROUNDS, ROUND_GETS)
    fastest = min("closed", "kept", key=lambda name: statistics.median(found[name]))
    report.note(f"the fastest bare request: on a connection that is {fastest}")
    ratios = [get / bare for get, bare in zip(found["ours"], found[fastest], strict=True)]
    report.figure("terminusdb.get.p50_ms", statistics.median(found["ours"]), "ms")
    report.figure("terminusdb.get.bare_p50_ms", statistics.median(found[fastest]), "ms")
    report.figure("terminusdb.get.p50_vs_bare", statistics.median(ratios), "ratio", at_most=1.3)
    report.figure("sqlite.get.p50_ms", statistics.median(found["sqlite"]), "ms")


async def _rounds(calls: dict[str, Call], rounds: int, count: int) -> dict[str, list[float]]:
    """The median latencies in milliseconds of each of some calls, by alternate rounds; the first warms up."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(1 + rounds):
        for name, call in calls.items():
            found[name].append((await run_calls(call, count, callers=1)).percentile_ms(50))
    return {name: medians[1:] for name, medians in found.items()}
