"""The data kernel's figures."""

import asyncio
import json
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from grpc import aio

from ontomesh.kernel.v1 import (
    branch_service_pb2,
    branch_service_pb2_grpc,
    commit_pb2,
    commit_service_pb2,
    commit_service_pb2_grpc,
    database_pb2,
    database_service_pb2,
    database_service_pb2_grpc,
    document_service_pb2,
    document_service_pb2_grpc,
    merge_pb2,
    merge_service_pb2,
    merge_service_pb2_grpc,
    ontology_pb2,
)
from ontomesh.sdk import connect
from tests.bench import corpus, echo_server, installed, processes
from tests.bench.load import run_calls, run_for
from tests.bench.report import Report

ROUNDS = 5
ROUND_SECONDS = 2.0
GET_IDS = 200
_LIMITS = [("grpc.max_receive_message_length", 64 << 20), ("grpc.max_send_message_length", 64 << 20)]


class Client:
    """Raw stubs over one channel."""

    def __init__(self, kernel: processes.Kernel) -> None:
        self.kernel = kernel
        self.metadata = kernel.metadata
        self.channel = aio.insecure_channel(kernel.address, options=_LIMITS)
        self.databases = database_service_pb2_grpc.DatabaseServiceStub(self.channel)
        self.branches = branch_service_pb2_grpc.BranchServiceStub(self.channel)
        self.documents = document_service_pb2_grpc.DocumentServiceStub(self.channel)
        self.commits = commit_service_pb2_grpc.CommitServiceStub(self.channel)
        self.merges = merge_service_pb2_grpc.MergeServiceStub(self.channel)

    async def database(self, name: str) -> None:
        """Make a database with the corpus's schema."""
        made = database_service_pb2.CreateDatabaseRequest(database=database_pb2.Database(name=name))
        await self.databases.CreateDatabase(made, metadata=self.metadata)
        edit = ontology_pb2.OntologyChange(schema=json.dumps(corpus.SCHEMA).encode())
        request = commit_service_pb2.CreateCommitRequest(database=name, branch="main", ontology=edit)
        await self.commits.CreateCommit(request, metadata=self.metadata)

    async def put(self, database: str, bodies: Sequence[bytes], branch: str = "main") -> None:
        """Commit documents."""
        await self.commits.CreateCommit(_put_request(database, bodies, branch), metadata=self.metadata)


def _put_request(
    database: str, bodies: Sequence[bytes], branch: str = "main"
) -> commit_service_pb2.CreateCommitRequest:
    operations = [commit_pb2.Operation(put=commit_pb2.PutOperation(body=body)) for body in bodies]
    return commit_service_pb2.CreateCommitRequest(database=database, branch=branch, operations=operations)


async def measure(report: Report, parts: Sequence[str]) -> None:
    """Measure the named parts, or all."""
    all_parts: dict[str, Callable[[Report, Client], Awaitable[None]]] = {
        "rest": _rest,
        "get": _get,
        "commit": _commit,
        "batch": _batch,
        "merge": _merge,
        "branch": _branch,
        "disk": _disk,
    }
    chosen = [name for name in all_parts if not parts or name in parts]
    for name in chosen:
        report.note(f"measuring {name} ...")
        with tempfile.TemporaryDirectory() as folder:
            async with processes.kernel(Path(folder) / "home") as kernel:
                client = Client(kernel)
                await all_parts[name](report, client)
                await client.channel.close()
    if not parts or "installed" in parts:
        report.note("measuring installed ...")
        report.figure("kernel.installed_mb", await asyncio.to_thread(installed.kernel_mb), "MB", at_most=250)


async def _rest(report: Report, client: Client) -> None:
    await client.database("rest")
    await client.put("rest", [corpus.body_of_size("one")])
    report.figure("kernel.rss_mb", client.kernel.rss_mb(), "MB", at_most=120)


async def _get(report: Report, client: Client) -> None:
    await client.database("get")
    names = [f"package-{number}" for number in range(GET_IDS)]
    await client.put("get", [corpus.body_of_size(name) for name in names])
    requests = [
        document_service_pb2.GetDocumentRequest(database="get", ref="main", id=f"Package/{name}") for name in names
    ]
    payload = corpus.body_of_size("payload")

    async def get(number: int) -> None:
        await client.documents.GetDocument(requests[number % GET_IDS], metadata=client.metadata)

    async with processes.echo() as address, aio.insecure_channel(address) as channel:
        echo_call: aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(echo_server.METHOD)

        async def echo(number: int) -> None:
            await echo_call(payload)

        await run_for(get, 1)
        await run_for(echo, 1)
        ratios, gets, echoes, cpu = [], [], [], []
        for _ in range(ROUNDS):
            echoed = await run_for(echo, ROUND_SECONDS)
            before = client.kernel.cpu_seconds()
            got = await run_for(get, ROUND_SECONDS)
            cpu.append((client.kernel.cpu_seconds() - before) / len(got.latencies) * 1e6)
            ratios.append(got.rate / echoed.rate)
            gets.append(got.rate)
            echoes.append(echoed.rate)
    report.figure("echo.rps", statistics.median(echoes), "calls/s")
    report.figure("kernel.get.rps", statistics.median(gets), "calls/s")
    report.figure("kernel.get.rps_vs_echo", statistics.median(ratios), "ratio", at_least=0.5)
    report.figure("kernel.cpu_us_per_get", statistics.median(cpu), "us")
    token = client.metadata[0][1].removeprefix("Bearer ")
    async with connect(client.kernel.address, token=token) as mesh:
        database = mesh.database("get")

        async def sdk_get(number: int) -> None:
            await database.get(f"Package/package-{number % GET_IDS}")

        report.figure("kernel.get.sdk_rps", (await run_for(sdk_get, ROUND_SECONDS)).rate, "calls/s")


def _bare_commits(path: Path, seconds: float) -> float:
    """One-insert transactions a second, each synced: the most that one committer of one row reaches."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE IF NOT EXISTS row (id INTEGER PRIMARY KEY, body BLOB)")
    body = b"x" * corpus.BODY_BYTES
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO row (body) VALUES (?)", (body,))
        connection.execute("COMMIT")
        count += 1
    connection.close()
    return count / (time.perf_counter() - began)


async def _commit(report: Report, client: Client) -> None:
    await client.database("commit")
    requests = iter([_put_request("commit", [corpus.body_of_size(f"package-{number}")]) for number in range(100_000)])

    async def commit(number: int) -> None:
        await client.commits.CreateCommit(next(requests), metadata=client.metadata)

    await run_for(commit, 1)
    bare_file = client.kernel.home / "bare.db"
    ratios, rates, bares, p99s = [], [], [], []
    for _ in range(ROUNDS):
        bare = await asyncio.to_thread(_bare_commits, bare_file, ROUND_SECONDS)
        load = await run_for(commit, ROUND_SECONDS)
        bares.append(bare)
        rates.append(load.rate)
        ratios.append(load.rate / bare)
        p99s.append(load.percentile_ms(99))
    report.figure("sqlite.commit.rate", statistics.median(bares), "commits/s")
    report.figure("kernel.commit.rate", statistics.median(rates), "commits/s")
    report.figure("kernel.commit.rate_vs_sqlite", statistics.median(ratios), "ratio", at_least=0.3)
    report.figure("kernel.commit.p99_ms", statistics.median(p99s), "ms")
    alone = await run_for(commit, ROUND_SECONDS, callers=1)
    report.figure("kernel.commit.alone_p50_ms", alone.percentile_ms(50), "ms")


async def _batch(report: Report, client: Client) -> None:
    await client.database("batch")
    source, documents = corpus.packages(20_000)
    report.note(f"documents: {source}, {len(documents)}")
    stubs = [json.dumps({"@type": "Package", "name": document["name"]}).encode() for document in documents]
    for start in range(0, len(stubs), 5_000):
        await client.put("batch", stubs[start : start + 5_000])
    bodies = [json.dumps(document).encode() for document in documents]
    links = sum(len(value) for document in documents for value in document.values() if isinstance(value, list))
    report.figure("corpus.body_bytes", sum(map(len, bodies)) / len(bodies), "bytes")
    report.figure("corpus.links", links / len(bodies), "links")
    rates = []
    for start in range(0, len(bodies), 1_000):
        began = time.perf_counter()
        await client.put("batch", bodies[start : start + 1_000])
        rates.append(len(bodies[start : start + 1_000]) / (time.perf_counter() - began))
    report.figure("kernel.batch.docs_per_s", statistics.median(rates), "documents/s", at_least=6_000)


async def _merge(report: Report, client: Client) -> None:
    await client.database("merge")
    names = [f"package-{number}" for number in range(1_000)]
    await client.put("merge", [corpus.body_of_size(name) for name in names])
    times = []
    for round_ in range(ROUNDS):
        branch = f"theirs-{round_}"
        start = branch_service_pb2.CreateBranchRequest(database="merge", branch=branch)
        await client.branches.CreateBranch(start, metadata=client.metadata)
        for where in (branch, "main"):
            bodies = [
                json.dumps({**json.loads(corpus.body_of_size(name)), "note": f"{where} {round_}"}).encode()
                for name in names
            ]
            await client.put("merge", bodies, where)
        began = time.perf_counter()
        request = merge_service_pb2.MergeRequest(database="merge", branch="main", source=branch)
        found = await client.merges.Merge(request, metadata=client.metadata)
        assert found.conflict_count == 1_000
        request.strategy = merge_pb2.MERGE_SIDE_THEIRS
        merged = await client.merges.Merge(request, metadata=client.metadata)
        assert merged.outcome == merge_service_pb2.MergeResponse.OUTCOME_MERGED
        times.append(time.perf_counter() - began)
    report.figure("kernel.merge.1000x1000_s", statistics.median(times), "s", at_most=0.5)


async def _branch(report: Report, client: Client) -> None:
    await client.database("branch")
    times = []
    for round_ in range(3):

        async def create(number: int, round_: int = round_) -> None:
            request = branch_service_pb2.CreateBranchRequest(database="branch", branch=f"b{round_}/{number}")
            await client.branches.CreateBranch(request, metadata=client.metadata)

        began = time.perf_counter()
        await run_calls(create, 1_000)
        times.append(time.perf_counter() - began)
    report.figure("kernel.branch.create_1000_s", statistics.median(times), "s", at_most=1)


async def _disk(report: Report, client: Client) -> None:
    await client.database("disk")
    made = 0

    async def commit(number: int) -> None:
        nonlocal made
        made += 1
        await client.put("disk", [corpus.body_of_size(f"package-{made}")])

    await run_calls(commit, 1_000)
    before = _checkpointed_bytes(client.kernel.database_file)
    await run_calls(commit, 3_000)
    grown = _checkpointed_bytes(client.kernel.database_file) - before
    report.figure("kernel.disk.mb_per_1000_commits", grown / 3 / 1e6, "MB", at_most=2)


def _checkpointed_bytes(path: Path) -> int:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(FULL)")
    connection.close()
    return path.stat().st_size
