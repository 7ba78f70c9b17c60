"""The figures of imports: documents a second through the gRPC door, and what another writer sees of it meanwhile."""

import asyncio
import json
import sqlite3
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from grpc import aio

from ontomesh.kernel.v1 import (
    commit_pb2,
    commit_service_pb2,
    commit_service_pb2_grpc,
    database_pb2,
    database_service_pb2,
    database_service_pb2_grpc,
    import_service_pb2,
    import_service_pb2_grpc,
    ontology_pb2,
)
from tests.bench import corpus, processes
from tests.bench.report import Report

DOCUMENTS = 60_000
PIECE = 256 << 10
WINDOW = 2 << 20
COMMITS_PER_SECOND = 50
DB = "import"


async def measure(report: Report, parts: Sequence[str]) -> None:
    """Measure imports, if named or if all is."""
    if parts and "import" not in parts:
        return
    report.note("measuring import ...")
    source, documents = corpus.packages(DOCUMENTS)
    lines = [json.dumps(document).encode() for document in documents]
    report.note(f"documents: {source}, {len(lines)}")
    data = b"\n".join(lines) + b"\n"
    with tempfile.TemporaryDirectory() as folder:
        bare = await asyncio.to_thread(_bare_rows, Path(folder) / "bare.db", lines)
        async with (
            processes.kernel(Path(folder) / "home") as kernel,
            aio.insecure_channel(kernel.address) as channel,
        ):
            await _measure(report, kernel, channel, data, len(lines))
    report.figure("sqlite.insert.rows_per_s", bare, "rows/s")


async def _measure(report: Report, kernel: processes.Kernel, channel: aio.Channel, data: bytes, count: int) -> None:
    metadata = kernel.metadata
    databases = database_service_pb2_grpc.DatabaseServiceStub(channel)
    commits = commit_service_pb2_grpc.CommitServiceStub(channel)
    made = database_service_pb2.CreateDatabaseRequest(database=database_pb2.Database(name=DB))
    await databases.CreateDatabase(made, metadata=metadata)
    other = {"@type": "Class", "@id": "Beat", "@key": {"@type": "Lexical", "@fields": ["name"]}, "name": "xsd:string"}
    edit = ontology_pb2.OntologyChange(schema=json.dumps([*corpus.SCHEMA, other]).encode())
    await commits.CreateCommit(
        commit_service_pb2.CreateCommitRequest(database=DB, branch="main", ontology=edit), metadata=metadata
    )
    beating = asyncio.Event()
    beats = asyncio.create_task(_beat(commits, metadata, beating))
    await asyncio.sleep(1)
    before = kernel.rss_mb()
    peak = asyncio.create_task(_peak(kernel))
    began = time.perf_counter()
    imports = import_service_pb2_grpc.ImportServiceStub(channel)
    begun = await imports.BeginImport(import_service_pb2.BeginImportRequest(database=DB), metadata=metadata)
    await _upload(imports, metadata, begun.state.id, data)
    uploaded = time.perf_counter()
    finished = await imports.FinishImport(
        import_service_pb2.FinishImportRequest(database=DB, import_id=begun.state.id), metadata=metadata
    )
    seconds = time.perf_counter() - began
    beating.set()
    latencies = sorted(await beats)
    peak.cancel()
    assert finished.commit.change_count == count
    report.note(
        f"{len(latencies)} other commits, {seconds:.1f} s, of which the end took {seconds - uploaded + began:.2f} s"
    )
    report.figure("kernel.import.docs_per_s", count / seconds, "documents/s", at_least=8_000)
    report.figure("kernel.import.other_writer_p50_ms", statistics.median(latencies), "ms")
    report.figure("kernel.import.other_writer_p99_ms", latencies[int(len(latencies) * 0.99)], "ms", at_most=100)
    report.figure("kernel.import.other_writer_max_ms", latencies[-1], "ms", at_most=250)
    report.figure("kernel.import.rss_growth_mb", max(_PEAKS) - before, "MB", at_most=64)


_PEAKS: list[float] = []


async def _peak(kernel: processes.Kernel) -> None:
    while True:
        _PEAKS.append(kernel.rss_mb())
        await asyncio.sleep(0.2)


async def _beat(
    commits: "commit_service_pb2_grpc.CommitServiceAsyncStub",
    metadata: tuple[tuple[str, str], ...],
    stop: asyncio.Event,
) -> list[float]:
    """Commit on the same branch, so many times a second, until told to stop; the latencies in milliseconds.

    A commit that is late does not put off the next one: what it waits for counts.
    """
    latencies: list[float] = []
    tasks: list[asyncio.Task[None]] = []

    async def beat(number: int) -> None:
        body = json.dumps({"@type": "Beat", "name": f"beat-{number}"}).encode()
        operation = commit_pb2.Operation(put=commit_pb2.PutOperation(body=body))
        request = commit_service_pb2.CreateCommitRequest(database=DB, branch="main", operations=[operation])
        began = time.perf_counter()
        await commits.CreateCommit(request, metadata=metadata)
        latencies.append((time.perf_counter() - began) * 1_000)

    began, number = time.perf_counter(), 0
    while not stop.is_set():
        tasks.append(asyncio.create_task(beat(number)))
        number += 1
        await asyncio.sleep(max(0, began + number / COMMITS_PER_SECOND - time.perf_counter()))
    await asyncio.gather(*tasks)
    return latencies


async def _upload(
    imports: "import_service_pb2_grpc.ImportServiceAsyncStub",
    metadata: tuple[tuple[str, str], ...],
    id: str,
    data: bytes,
) -> None:
    durable, moved = 0, asyncio.Event()

    async def requests() -> AsyncIterator[import_service_pb2.UploadDocumentsRequest]:
        yield import_service_pb2.UploadDocumentsRequest(database=DB, import_id=id)
        for offset in range(0, len(data), PIECE):
            while offset > durable + WINDOW:
                moved.clear()
                await moved.wait()
            yield import_service_pb2.UploadDocumentsRequest(offset=offset, data=data[offset : offset + PIECE])

    async for answer in imports.UploadDocuments(requests(), metadata=metadata):
        durable = answer.offset
        moved.set()
    assert durable == len(data)


def _bare_rows(path: Path, lines: Sequence[bytes]) -> float:
    """Rows a second that bare SQLite takes of the same bodies, 256 to a synced transaction."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE row (id INTEGER PRIMARY KEY, body BLOB)")
    began = time.perf_counter()
    for start in range(0, len(lines), 256):
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO row (body) VALUES (?)", [(line,) for line in lines[start : start + 256]])
        connection.execute("COMMIT")
    connection.close()
    return len(lines) / (time.perf_counter() - began)
