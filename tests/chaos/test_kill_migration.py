"""kill -9 of the kernel amid a migration: nothing of it is there, and asking for the same again does it once."""

import asyncio
import os
import time
from pathlib import Path

import pytest

from ontomesh.sdk import connect
from ontomesh.sdk.errors import OntomeshError
from ontomesh.sdk.migrations import CastProperty, RenameClass, RenameProperty, Step
from tests.contract.serving import serving

EFFORT = int(os.environ.get("ONTOMESH_TEST_EFFORT", "1"))
ROUNDS = 2 if EFFORT == 1 else 20
DOCUMENTS = 2_000
QUIET = {"ONTOMESH_LOG_LEVEL": "ERROR"}
SCHEMA = [
    {
        "@type": "Class",
        "@id": "Part",
        "@key": {"@type": "Lexical", "@fields": ["name"]},
        "name": "xsd:string",
        "value": "xsd:integer",
        "next": {"@type": "Optional", "@class": "Part"},
    }
]
THERE: tuple[Step, ...] = (
    RenameClass("Part", "Piece"),
    RenameProperty("Piece", "value", "worth"),
    CastProperty("Piece", "worth", "xsd:string"),
)
BACK: tuple[Step, ...] = (
    CastProperty("Piece", "worth", "xsd:integer"),
    RenameProperty("Piece", "worth", "value"),
    RenameClass("Piece", "Part"),
)


def expected(cls: str) -> dict[str, dict[str, object]]:
    """All documents under either ontology."""
    found: dict[str, dict[str, object]] = {}
    for number in range(DOCUMENTS):
        id = f"{cls}/{number:04}"
        value: dict[str, object] = {"value": number} if cls == "Part" else {"worth": str(number)}
        found[id] = {"@id": id, "@type": cls, "name": f"{number:04}", **value}
        if number:
            found[id]["next"] = f"{cls}/{number - 1:04}"
    return found


@pytest.mark.timeout(120 + 40 * ROUNDS)
async def test_a_killed_migration_leaves_nothing_and_happens_once_when_asked_for_again(tmp_path: Path) -> None:
    async with serving(tmp_path, **QUIET) as kernel, connect(kernel.grpc, home=tmp_path) as mesh:
        await mesh.databases.create("chaos")
        database = mesh.database("chaos")
        await database.apply_ontology(SCHEMA)
        await database.commit(put=expected("Part").values())
        started = time.monotonic()
        await database.migrate(*THERE)
        seconds = time.monotonic() - started
        await database.migrate(*BACK)
    killed = 0
    was, becomes, steps, back = "Part", "Piece", THERE, BACK
    for round_ in range(ROUNDS):
        async with (
            serving(tmp_path, **QUIET) as kernel,
            connect(kernel.grpc, home=tmp_path, retries=False) as mesh,
        ):
            before = (await mesh.database("chaos").branch("main")).head
            migration = asyncio.create_task(mesh.database("chaos").migrate(*steps, request_id=f"round-{round_}"))
            # At another moment each time: while it looks at the documents, or writes them.
            await asyncio.sleep(seconds * (0.2 + 0.15 * (round_ % 5)))
            kernel.process.kill()
            (answer,) = await asyncio.gather(migration, return_exceptions=True)
            killed += isinstance(answer, OntomeshError)
        async with serving(tmp_path, **QUIET) as kernel, connect(kernel.grpc, home=tmp_path) as mesh:
            database = mesh.database("chaos")
            # A write that was not answered may have happened; then it happened whole.
            done = (await database.branch("main")).head != before
            assert done or isinstance(answer, OntomeshError)
            found = {document.id: document.data async for document in database.documents()}
            assert found == expected(becomes if done else was)
            made = await database.migrate(*steps, request_id=f"round-{round_}")
            again = await database.migrate(*steps, request_id=f"round-{round_}")
            assert again.commit == made.commit
            assert made.commit.parents == (before,)
            assert {document.id: document.data async for document in database.documents()} == expected(becomes)
            assert {one.id: one.data async for one in database.documents(ref=f"commit:{before}")} == expected(was)
            reports = [report async for report in database.verify()]
            assert [problem for report in reports for problem in report.problems] == []
        was, becomes, steps, back = becomes, was, back, steps
    assert killed
