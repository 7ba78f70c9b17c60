"""The GraphQL door's figures, inside a kernel of this process."""

import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import orjson

from ontomesh_data_kernel.adapters.sqlite import open_store
from ontomesh_data_kernel.domain.caller import Caller
from ontomesh_data_kernel.domain.kernel import Kernel
from ontomesh_data_kernel.domain.model import CommitRequest, OntologyEdit, Put
from ontomesh_data_kernel.domain.query.language import compile_query
from ontomesh_data_kernel.domain.snapshots import Snapshot
from ontomesh_data_kernel.doors.errors import error_table
from ontomesh_data_kernel.doors.http.graphql.engine import Engine
from ontomesh_data_kernel.doors.http.graphql.requests import GraphQLRequest
from tests.bench import corpus
from tests.bench.report import Report

DOCUMENTS = 60_000
ROUNDS = 40
FIRST = 50
_BATCH = 5_000
_QUERY = """
query Nested($section: String!, $first: Int!) {
  packages(filter: {section: {eq: $section}}, first: $first) {
    nodes { name version depends { name version depends { name version } } }
  }
}
"""


class _Everything:
    def allows(self, right: str, database: str, branch: str | None = None) -> bool:
        return True

    def allows_any(self, right: str, database: str) -> bool:
        return True

    def allows_somewhere(self, right: str) -> bool:
        return True


_CALLER = Caller("user:bench", "0" * 32, _Everything())


async def measure(report: Report, parts: Sequence[str]) -> None:
    """Measure, if `graphql` is among the parts or none is named."""
    if parts and "graphql" not in parts:
        return
    report.note("measuring graphql ...")
    with tempfile.TemporaryDirectory() as folder:
        kernel = Kernel(await open_store(Path(folder) / "kernel.db"))
        section = await _fill(report, kernel)
        await _nested(report, kernel, section)
        await kernel.close()


async def _fill(report: Report, kernel: Kernel) -> str:
    """Import the corpus; return a section that has enough packages."""
    source, packages = corpus.packages(DOCUMENTS)
    report.note(f"documents: {source}, {len(packages)}")
    await kernel.databases.create(_CALLER, "graphql", "", "")

    async def commit(operations: Sequence[Put], schema: OntologyEdit | None = None) -> None:
        await kernel.commits.create(_CALLER, CommitRequest("graphql", "main", tuple(operations), ontology=schema))

    element = corpus.SCHEMA[0] | {"@metadata": {"ontomesh": {"indexed": ["section"]}}}
    await commit((), OntologyEdit(orjson.dumps([element])))
    # Links may only lead to what is there.
    bare = [Put(json.dumps({"@type": "Package", "name": one["name"]}).encode()) for one in packages]
    whole = [Put(json.dumps(one).encode()) for one in packages]
    for operations in (bare, whole):
        for start in range(0, len(operations), _BATCH):
            await commit(operations[start : start + _BATCH])
    sections = statistics.multimode(str(one["section"]) for one in packages)
    return sections[0]


async def _nested(report: Report, kernel: Kernel, section: str) -> None:
    engine = Engine(error_table())
    snapshot = await kernel.snapshots.open(_CALLER, "graphql", "main")
    request = GraphQLRequest(_QUERY, {"section": section, "first": FIRST}, None)

    async def by_graphql() -> int:
        at = await kernel.snapshots.open(_CALLER, "graphql", "main")
        answer = await engine.answer(at, request, "0" * 32)
        assert answer.refusal is None
        return len(answer.body)

    async def by_hand() -> int:
        return await _by_hand(await kernel.snapshots.open(_CALLER, "graphql", "main"), section)

    data = orjson.loads((await engine.answer(snapshot, request, "0" * 32)).body)["data"]["packages"]["nodes"]
    levels = [data, [far for near in data for far in near["depends"]]]
    levels.append([far for near in levels[1] for far in near["depends"]])
    report.note(f"documents by level: {', '.join(str(len(level)) for level in levels)}")
    assert await by_hand() == sum(map(len, levels))
    here, peer = await _rounds(by_graphql), await _rounds(by_hand)
    report.figure("graphql.nested.p50_ms", here, "ms", at_most=30)
    report.figure("graphql.nested.by_hand_p50_ms", peer, "ms")
    report.figure("graphql.nested.vs_by_hand", here / peer, "ratio")


async def _rounds(call: Callable[[], Awaitable[int]]) -> float:
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        await call()
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000


async def _by_hand(snapshot: Snapshot, section: str) -> int:
    """The same documents by one read for each level, parsed and put together; how many there are."""
    query = compile_query(snapshot.ontology, "Package", False, f'section = "{section}"', "")
    found = await snapshot.select(query, FIRST, "")
    level = [orjson.loads(document.body) for document in found.documents]
    count = len(level)
    bodies: dict[str, dict[str, object]] = {}
    tops = level
    for _ in range(2):
        links: list[str] = [id for document in level for id in document.get("depends", ())]
        count += len(links)
        fresh = await snapshot.read(sorted(set(links) - bodies.keys()))
        bodies |= {id: orjson.loads(version.body) for id, version in fresh.items()}
        level = [bodies[id] for id in links]

    def put_together(document: dict[str, object], levels: int) -> dict[str, object]:
        made = {"name": document["name"], "version": document.get("version")}
        if levels:
            ids = document.get("depends", ())
            assert isinstance(ids, list | tuple)
            made["depends"] = [put_together(bodies[id], levels - 1) for id in ids]
        return made

    await asyncio.to_thread(lambda: orjson.dumps([put_together(document, 2) for document in tops]))
    return count
