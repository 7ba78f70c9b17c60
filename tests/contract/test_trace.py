"""One trace: the spans of client, kernel and store form one parent chain, as a real collector receives it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags
from services.chassis.tests.collector import Collector, collecting

from ontomesh.sdk import AsyncMesh, connect
from ontomesh.sdk.checks import BuiltinCheck, Validator
from ontomesh.sdk.errors import DatabaseNotFound, PermissionDenied
from tests.contract import calls
from tests.contract.doors import doors_of
from tests.contract.serving import Serving, serving, until
from tests.contract.stores import store_in_use
from tests.contract.world import MOOD, NOTE, PERSON, person

pytestmark = [pytest.mark.xdist_group("contract-trace"), pytest.mark.usefixtures("store"), pytest.mark.live]

Tree = tuple[str, str, tuple["Tree", ...]]
"""A span's name and kind, and its children in the order in which they began."""

KERNEL = "ontomesh.kernel.v1"
# What a merge reads: the common ancestor, what theirs changed since, those documents at each of the three (one question
# each), for its time the record of theirs, and our ontology; then it commits. TerminusDB's adapter knows the commits.
ASKED: dict[str, dict[str, tuple[str, ...]]] = {
    "sqlite": {
        "get": ("get",),
        "commit": ("commit",),
        "commit after an ontology": ("commit",),
        "first commit": ("get ontology", "commit"),
        "branch": ("create branch",),
        "merge": ("merge bases", "diff", "get", "get", "get", "get commit", "get ontology", "commit"),
    },
    "terminusdb": {
        "get": ("get",),
        "commit": ("commit",),
        "commit after an ontology": ("resolve", "commit"),
        "first commit": ("resolve", "get ontology", "commit"),
        "branch": ("resolve", "create branch"),
        "merge": ("resolve", "resolve", "diff", "batch get", "batch get", "batch get", "get ontology", "commit"),
    },
}
"""What each kind of store is asked for, and must ask its server for, by work. SQLite resolves a ref from memory."""

UNSAMPLED = SpanContext(0xABCDEF, 0x123, is_remote=False, trace_flags=TraceFlags(0))


@dataclass
class Traced:
    """A kernel and a client that export to one collector."""

    kernel: Serving
    mesh: AsyncMesh
    provider: TracerProvider
    collector: Collector

    async def tree(self, trace_id: str, spans: int) -> Tree:
        """The one tree of a trace, once it has so many spans."""
        await asyncio.to_thread(self.provider.force_flush)
        await until(lambda: len(self._of(trace_id)) >= spans)
        found = self._of(trace_id)
        (root,) = [span for span in found if span.parent_span_id == b""]
        tree = branch_of(root, found)
        assert size(tree) == len(found), "every span hangs on the one root"
        return tree

    def _of(self, trace_id: str) -> list[Span]:
        return [span for span in self.collector.spans if span.trace_id.hex() == trace_id]


def branch_of(span: Span, spans: list[Span]) -> Tree:
    children = sorted(
        (each for each in spans if each.parent_span_id == span.span_id), key=lambda each: each.start_time_unix_nano
    )
    kind = Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_")
    return (span.name, kind, tuple(branch_of(each, spans) for each in children))


def size(tree: Tree) -> int:
    return 1 + sum(size(each) for each in tree[2])


def stored(work: str) -> tuple[Tree, ...]:
    """The spans of the store in use for some work, in order."""
    kind = store_in_use().kind
    return tuple((f"{kind} {name}", "CLIENT", ()) for name in ASKED[kind][work])


def chain(method: str, work: str) -> Tree:
    """The tree of a call: client, kernel, and under it each call of the store."""
    return (f"{KERNEL}.{method}", "CLIENT", ((f"{KERNEL}.{method}", "SERVER", stored(work)),))


@asynccontextmanager
async def traced(home: Path) -> AsyncIterator[Traced]:
    async with collecting() as collector:
        provider = TracerProvider(resource=Resource.create({"service.name": "client"}), shutdown_on_exit=False)
        exporter = OTLPSpanExporter(endpoint=collector.address, insecure=True)
        provider.add_span_processor(BatchSpanProcessor(exporter))
        environment = {
            "ONTOMESH_STORE": store_in_use().url(home / "data" / "kernel.db"),
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.address,
            "OTEL_BSP_SCHEDULE_DELAY": "50",
        }
        try:
            async with (
                serving(home, **environment) as kernel,
                connect(kernel.grpc, token=kernel.token(), home=home, tracer_provider=provider) as mesh,
            ):
                yield Traced(kernel, mesh, provider, collector)
        finally:
            await asyncio.to_thread(provider.shutdown)


async def people(mesh: AsyncMesh) -> None:
    """A database with an ontology and a person."""
    await mesh.databases.create("catalog")
    catalog = mesh.database("catalog")
    await catalog.apply_ontology([PERSON, NOTE, MOOD])
    await catalog.insert(person("ada", age=36))


async def test_the_spans_of_a_get_a_commit_and_a_merge_form_exactly_this_chain(tmp_path: Path) -> None:
    async with traced(tmp_path) as scene:
        mesh, catalog = scene.mesh, scene.mesh.database("catalog")
        tracer = scene.provider.get_tracer("test")

        async def spans_of(method: str, work: str) -> Tree:
            name = f"{KERNEL}.{method}"
            await asyncio.to_thread(scene.provider.force_flush)
            await until(lambda: any(each.name == name for each in scene.collector.spans))
            newest = max(
                (each for each in scene.collector.spans if each.name == name and not each.parent_span_id),
                key=lambda each: each.start_time_unix_nano,
            )
            return await scene.tree(newest.trace_id.hex(), 2 + len(stored(work)))

        await people(mesh)
        method = "CommitService/CreateCommit"
        assert await spans_of(method, "commit after an ontology") == chain(method, "commit after an ontology")

        await catalog.get("Person/ada")
        method = "DocumentService/GetDocument"
        assert await spans_of(method, "get") == chain(method, "get")

        committed = await catalog.update("Person/ada", {"age": 37})
        expected = chain("CommitService/CreateCommit", "commit")
        assert await scene.tree(committed.commit.trace_id, size(expected)) == expected

        await catalog.create_branch("side", start="main~")
        method = "BranchService/CreateBranch"
        assert await spans_of(method, "branch") == chain(method, "branch")

        await catalog.insert(person("bob"), branch="side")
        merged = await catalog.merge("side")
        assert merged.commit is not None
        expected = chain("MergeService/Merge", "merge")
        assert await scene.tree(merged.commit.trace_id, size(expected)) == expected

        with tracer.start_as_current_span("the application's own") as own:
            await catalog.get("Person/ada")
        tree = await scene.tree(f"{own.get_span_context().trace_id:032x}", 4)
        assert tree == ("the application's own", "INTERNAL", (chain("DocumentService/GetDocument", "get"),))
        assert scene.collector.services == {"client", "ontomesh-data-kernel"}


async def test_each_validator_of_a_commit_has_a_span_in_its_trace(tmp_path: Path) -> None:
    async with traced(tmp_path) as scene:
        await people(scene.mesh)
        await scene.mesh.validators.put(Validator("few", BuiltinCheck("max_changes", {"count": "9"})))
        made = await scene.mesh.database("catalog").insert(person("bob"))
        expected = chain("CommitService/CreateCommit", "commit")
        tree = await scene.tree(made.commit.trace_id, size(expected) + 2)
        ((_, _, served),) = tree[2]
        # What is judged was decided once before, and is decided once more to be stored.
        assert [name for name, _, _ in served].count("validate few") == 1


async def test_the_first_commit_of_a_kernel_reads_the_ontology_that_the_next_ones_know(tmp_path: Path) -> None:
    async with traced(tmp_path) as scene:
        await people(scene.mesh)
    async with traced(tmp_path) as scene:
        catalog = scene.mesh.database("catalog")
        for name, work in (("bob", "first commit"), ("cy", "commit")):
            made = await catalog.insert(person(name))
            expected = chain("CommitService/CreateCommit", work)
            assert await scene.tree(made.commit.trace_id, size(expected)) == expected


async def test_a_refused_call_has_its_spans_and_says_their_trace_id(tmp_path: Path) -> None:
    async with traced(tmp_path) as scene:
        with pytest.raises(DatabaseNotFound) as missing:
            await scene.mesh.database("void").get("Person/ada")
        tree = await scene.tree(missing.value.trace_id, 3)
        assert tree == chain("DocumentService/GetDocument", "get")
        server = next(span for span in scene.collector.spans if span.kind == Span.SPAN_KIND_SERVER)
        attributes = {each.key: each.value.string_value for each in server.attributes}
        assert attributes["error.type"] == "DATABASE_NOT_FOUND"


async def test_a_call_at_the_http_door_has_the_same_chain(tmp_path: Path) -> None:
    async with traced(tmp_path) as scene, doors_of(scene.kernel) as doors:
        await people(scene.mesh)
        sent = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}
        commit = calls.create_commit("catalog", calls.insert(person("bob")))
        made = await doors.read(commit, headers=sent)
        assert made["commit"]["trace_id"] == "a" * 32
        store = stored("commit")
        await until(lambda: sum(span.trace_id.hex() == "a" * 32 for span in scene.collector.spans) > len(store))
        spans = [span for span in scene.collector.spans if span.trace_id.hex() == "a" * 32]
        (server,) = [span for span in spans if span.parent_span_id.hex() == "b" * 16]
        assert branch_of(server, spans) == ("POST /v1/databases/{database}/commits", "SERVER", store)
        assert len(spans) == 1 + len(store)


async def test_commits_that_are_synced_together_keep_their_own_chains(tmp_path: Path) -> None:
    async with traced(tmp_path) as scene:
        await people(scene.mesh)
        catalog = scene.mesh.database("catalog")
        made = await asyncio.gather(*(catalog.insert(person(f"p{number}")) for number in range(32)))
        traces = {each.commit.trace_id for each in made}
        assert len(traces) == 32
        expected = chain("CommitService/CreateCommit", "commit")
        for trace_id in traces:
            assert await scene.tree(trace_id, size(expected)) == expected


async def test_an_unsampled_parent_makes_no_span_anywhere_and_its_trace_id_is_everywhere(tmp_path: Path) -> None:
    async with traced(tmp_path) as scene, doors_of(scene.kernel) as doors:
        kernel, catalog = scene.kernel, scene.mesh.database("catalog")
        await people(scene.mesh)
        unsampled = f"{UNSAMPLED.trace_id:032x}"
        with trace.use_span(NonRecordingSpan(UNSAMPLED)):
            made = await catalog.insert(person("bob"))
            await catalog.get("Person/bob")
            with pytest.raises(DatabaseNotFound) as missing:
                await scene.mesh.database("void").get("Person/ada")
        headers = {"traceparent": f"00-{unsampled}-{'b' * 16}-00"}
        refusal = await doors.refused("http", calls.get_database("void"), headers=headers)
        refused = await doors.refused("grpc", calls.get_database("void"), headers=headers)
        assert made.commit.trace_id == unsampled
        assert missing.value.trace_id == unsampled
        assert (refusal.trace_id, refused.trace_id) == (unsampled, unsampled)
        kernel.terminate()
        assert await kernel.ended() == 0
        # Read at the end: a call is logged once it is answered.
        lines = [
            line
            for line in kernel.logged()
            if line.get("trace_id") == unsampled and line["logger"].startswith("ontomesh")
        ]
        assert {line["message"] for line in lines} == {
            f"{KERNEL}.CommitService/CreateCommit",
            f"{KERNEL}.DocumentService/GetDocument",
            f"{KERNEL}.DatabaseService/GetDatabase",
            "GET /v1/databases/{database}",
        }
        await asyncio.to_thread(scene.provider.force_flush)
        assert scene.collector.spans, "the calls before were sampled"
        assert unsampled not in {span.trace_id.hex() for span in scene.collector.spans}


async def test_without_an_endpoint_there_is_no_span_and_still_a_trace_id(tmp_path: Path) -> None:
    async with (
        collecting() as collector,
        serving(tmp_path, ONTOMESH_STORE=store_in_use().url(tmp_path / "data" / "kernel.db")) as kernel,
        connect(kernel.grpc, token=kernel.token(), home=tmp_path) as mesh,
        doors_of(kernel) as doors,
    ):
        await people(mesh)
        catalog = mesh.database("catalog")
        ids = {(await catalog.insert(person(name))).commit.trace_id for name in ("bob", "cy")}
        assert len(ids) == 2
        assert all(len(each) == 32 and int(each, 16) for each in ids)
        with pytest.raises(PermissionDenied) as denied:
            async with connect(kernel.grpc, token=kernel.token("user:carol"), home=tmp_path) as other:
                await other.database("catalog").get("Person/ada")
        sampled = {"traceparent": f"00-{'c' * 32}-{'b' * 16}-01"}
        made = await doors.read(calls.create_commit("catalog", calls.insert(person("dee"))), headers=sampled)
        assert made["commit"]["trace_id"] == "c" * 32
        kernel.terminate()
        assert await kernel.ended() == 0
        assert any(line.get("trace_id") == denied.value.trace_id for line in kernel.logged())
        assert collector.spans == []
