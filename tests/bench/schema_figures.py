"""What changes of an ontology cost over many documents."""

import asyncio
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import orjson

from ontomesh.kernel.v1 import commit_service_pb2, ontology_pb2
from tests.bench import corpus, processes
from tests.bench.kernel_figures import Client
from tests.bench.report import Report

DOCUMENTS = 60_000
_BATCH = 5_000


async def measure(report: Report, parts: Sequence[str]) -> None:
    """Measure if the part `schema` is named, or none."""
    if parts and "schema" not in parts:
        return
    report.note("measuring schema ...")
    with tempfile.TemporaryDirectory() as folder:
        async with processes.kernel(Path(folder) / "home") as kernel:
            client = Client(kernel)
            await _strengthen(report, client)
            await client.channel.close()


async def _strengthen(report: Report, client: Client) -> None:
    """A commit that makes an optional property required, over documents that all have it; then a migration."""
    await client.database("schema")
    source, documents = corpus.packages(DOCUMENTS)
    bodies = [json.dumps(document | {"version": document.get("version", "1")}).encode() for document in documents]
    report.note(f"documents: {source}, {len(bodies)}")
    stubs = [json.dumps({"@type": "Package", "name": document["name"]}).encode() for document in documents]
    for start in range(0, len(stubs), _BATCH):
        await client.put("schema", stubs[start : start + _BATCH])
    for start in range(0, len(bodies), _BATCH):
        await client.put("schema", bodies[start : start + _BATCH])
    bare = await asyncio.to_thread(_bare_check, bodies)
    report.figure("orjson.required_60k_s", bare, "s")
    (package,) = corpus.SCHEMA
    took = await _apply(client, schema=json.dumps([package | {"version": "xsd:string"}]).encode())
    report.figure("schema.strengthen_60k_s", took, "s", at_most=5)
    report.figure("schema.strengthen_vs_bare", took / bare, "ratio")
    rename = ontology_pb2.RenameProperty(type="Package", property="note", to="remark")
    took = await _apply(client, migrations=[ontology_pb2.Migration(rename_property=rename)])
    report.figure("schema.migrate_unused_60k_s", took, "s")
    rename = ontology_pb2.RenameProperty(type="Package", property="version", to="release")
    took = await _apply(client, migrations=[ontology_pb2.Migration(rename_property=rename)])
    report.figure("schema.migrate_60k_s", took, "s")


async def _apply(client: Client, schema: bytes = b"", migrations: Sequence[ontology_pb2.Migration] = ()) -> float:
    edit = ontology_pb2.OntologyChange(schema=schema, migrations=migrations)
    request = commit_service_pb2.CreateCommitRequest(database="schema", ontology=edit)
    began = time.perf_counter()
    await client.commits.CreateCommit(request, metadata=client.metadata, timeout=600)
    return time.perf_counter() - began


def _bare_check(bodies: Sequence[bytes]) -> float:
    """The bare loop over the same bodies: read each, and see that what is required is there."""
    required = {"@type", "name", "version"}
    began = time.perf_counter()
    missing = sum(not required <= orjson.loads(body).keys() for body in bodies)
    took = time.perf_counter() - began
    assert missing == 0
    return took
