"""The figures of queries, inside the kernel: the store's port over 60,000 documents, beside a bare indexed table."""

import json
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ontomesh_data_kernel.adapters.sqlite import open_store
from ontomesh_data_kernel.domain.drafting import SCHEMA_CLASS
from ontomesh_data_kernel.domain.identity import identified
from ontomesh_data_kernel.domain.model import Branch, Commit, Database
from ontomesh_data_kernel.domain.ontology import EMPTY, Ontology, parse_schema
from ontomesh_data_kernel.domain.query.language import compile_query
from ontomesh_data_kernel.domain.refs import parse_ref
from ontomesh_data_kernel.ports import Decision, Draft, Head, Indexed, Point, Store, Write
from tests.bench import corpus
from tests.bench.report import Report

DOCUMENTS = 60_000
DEPTH = 20
LIMIT = 50

_CALLS = 300
_BATCH = 5_000
_MAX_BYTES = 3 << 20
_DATABASE = "query"


async def measure(report: Report, parts: Sequence[str]) -> None:
    """Measure, if the part `query` is among those named or none is."""
    if parts and "query" not in parts:
        return
    report.note("measuring query ...")
    source, documents = corpus.packages(DOCUMENTS)
    report.note(f"documents: {source}, {len(documents)}")
    with tempfile.TemporaryDirectory() as folder:
        store = await open_store(Path(folder) / "store.db")
        try:
            await _fill(store, documents)
            peer = _peer(Path(folder) / "peer.db", documents)
            await _measure(report, store, documents, peer)
            peer.close()
        finally:
            await store.close()


async def _measure(report: Report, store: Store, documents: Sequence[dict[str, Any]], peer: sqlite3.Connection) -> None:
    sections = statistics.multimode(document["section"] for document in documents)
    section, size = sections[0], statistics.median(document["installed_size"] for document in documents)
    ontology = _ontology()

    async def at(ref: str, filter: str, order_by: str = "") -> Callable[[], Awaitable[None]]:
        point = await store.resolve(_DATABASE, parse_ref(ref))
        query = compile_query(ontology, "Package", False, filter, order_by)

        async def select() -> None:
            found = await store.select(point, query, "", LIMIT, _MAX_BYTES)
            assert len(found.documents) == LIMIT

        return select

    def bare(where: str, *values: object) -> Callable[[], Awaitable[None]]:
        async def select() -> None:
            rows = peer.execute(f"SELECT id, body FROM package WHERE {where} LIMIT {LIMIT}", values).fetchall()
            assert len(rows) == LIMIT

        return select

    deep = await _deepen(store)
    equal, ranged = f'section = "{section}"', (f"installed_size > {int(size)}", "installed_size")
    eq, range_ = await _p50(await at("main", equal)), await _p50(await at("main", *ranged))
    report.figure("query.eq.p50_ms", eq, "ms", at_most=1)
    report.figure("query.range.p50_ms", range_, "ms", at_most=1)
    report.figure("query.eq.vs_sqlite", eq / await _p50(bare("section=?", section)), "ratio")
    in_order = bare("installed_size>? ORDER BY installed_size", int(size))
    report.figure("query.range.vs_sqlite", range_ / await _p50(in_order), "ratio")
    ratios = [await _p50(await at(deep, *asked)) / await _p50(await at("main", *asked)) for asked in ((equal,), ranged)]
    report.figure("query.depth20_ratio", max(ratios), "ratio", at_most=3)
    path = f'depends.section = "{section}"'
    report.figure("query.path.p50_ms", await _p50(await at("main", path)), "ms", at_most=5)


async def _p50(call: Callable[[], Awaitable[None]]) -> float:
    times = []
    for _ in range(_CALLS):
        began = time.perf_counter()
        await call()
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1_000


def _ontology() -> Ontology:
    package = dict(corpus.SCHEMA[0])
    package["@metadata"] = {"ontomesh": {"indexed": ["section", "installed_size"]}}
    return parse_schema([package])


async def _fill(store: Store, documents: Sequence[dict[str, Any]]) -> None:
    ontology, now = _ontology(), time.time_ns() // 1_000
    root = identified(Commit("", (), "main", "a", "a", "begin", now, {}, "", EMPTY.digest, 0), [])
    await store.create_database(Database(_DATABASE, "", now, "1"), root, None)
    elements = [
        Write(id, "00" * 32, body, Indexed(SCHEMA_CLASS), None) for id, body in ontology.element_bodies().items()
    ]
    await _commit(store, "main", elements, ontology)
    compiled = ontology.compile()
    for start in range(0, len(documents), _BATCH):
        writes = []
        for document in documents[start : start + _BATCH]:
            made = compiled.prepare(document, document_id=corpus.package_id(str(document["name"])), random_id=str)
            writes.append(Write(made.id, made.etag, made.body, Indexed(made.cls, made.links, made.values), None))
        await _commit(store, "main", writes, ontology)


async def _commit(store: Store, branch: str, writes: Sequence[Write], ontology: Ontology) -> None:
    def decide(head: Head) -> Decision:
        commit = Commit("", (head.point.commit,), branch, "a", "a", "", head.time + 1, {}, "", ontology.digest, 0)
        made = identified(commit, [(write.id, write.etag) for write in writes])
        yield from ()
        return Draft(made, writes, b"")

    await store.commit(_DATABASE, branch, decide, request=None, weight=len(writes))


async def _deepen(store: Store) -> str:
    """A branch of a branch of a branch and so on; each changes some documents."""
    ontology, below = _ontology(), "main"
    compiled = ontology.compile()
    for depth in range(1, DEPTH + 1):
        start: Point = await store.resolve(_DATABASE, parse_ref(below))
        below = f"deep-{depth}"
        now = time.time_ns() // 1_000
        await store.create_branch(_DATABASE, Branch(below, start.commit, now, now), start, None)
        query = compile_query(ontology, "Package", False, "installed_size > 100", "")
        found = await store.select(start, query, "", 10 * depth, _MAX_BYTES)
        writes = []
        for document in found.documents[-10:]:
            old = Indexed("Package", *compiled.index(document.body))
            body = {**json.loads(document.body), "summary": f"changed at depth {depth}"}
            made = compiled.prepare(body, document_id=document.id, random_id=str)
            writes.append(replace(Write(made.id, made.etag, made.body, None, old), new=old))
        await _commit(store, below, writes, ontology)
    return below


def _peer(path: Path, documents: Sequence[dict[str, Any]]) -> sqlite3.Connection:
    """The same documents in a table of their own."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE package (id TEXT PRIMARY KEY, section TEXT, installed_size INTEGER, body BLOB)")
    connection.execute("BEGIN")
    connection.executemany(
        "INSERT OR IGNORE INTO package VALUES (?, ?, ?, ?)",
        (
            (f"Package/{one['name']}", one["section"], one["installed_size"], json.dumps(one).encode())
            for one in documents
        ),
    )
    connection.execute("CREATE INDEX section ON package (section)")
    connection.execute("CREATE INDEX installed_size ON package (installed_size)")
    connection.execute("COMMIT")
    return connection
