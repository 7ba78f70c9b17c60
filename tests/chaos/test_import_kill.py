"""kill -9 of the kernel amid imports: what was durable is not sent again, and the end is all of it or nothing."""

import asyncio
import json
import os
import random
from contextlib import suppress
from pathlib import Path

import pytest

from ontomesh.sdk import connect
from ontomesh.sdk.errors import OntomeshError
from ontomesh.sdk.mesh import AsyncMesh
from ontomesh.sdk.resources import ImportProgress
from tests.contract.serving import serving

EFFORT = int(os.environ.get("ONTOMESH_TEST_EFFORT", "1"))
ROUNDS = 3 if EFFORT == 1 else 20
DOCUMENTS = 6_000
SCHEMA = [
    {
        "@type": "Class",
        "@id": "Part",
        "@key": {"@type": "Lexical", "@fields": ["name"]},
        "name": "xsd:string",
        "round": "xsd:integer",
        "next": {"@type": "Set", "@class": "Part"},
    }
]


def write_file(path: Path, round_: int) -> None:
    """Documents that link to each other, in an order of their own."""
    numbers = list(range(DOCUMENTS))
    random.Random(round_).shuffle(numbers)
    path.write_text(
        "".join(
            json.dumps(
                {
                    "@type": "Part",
                    "name": f"p{number}",
                    "round": round_,
                    "next": [f"Part/p{(number * 31 + 7) % DOCUMENTS}"],
                }
            )
            + "\n"
            for number in numbers
        ),
        "utf-8",
    )


async def import_until_killed(mesh: AsyncMesh, path: Path, import_id: str, durable: list[ImportProgress]) -> None:
    with suppress(OntomeshError):
        await mesh.database("chaos").import_documents(path, resume=import_id, progress=durable.append, timeout=60)


@pytest.mark.timeout(120 + 60 * ROUNDS)
async def test_a_killed_kernel_loses_nothing_of_an_import_and_shows_none_of_it_before_its_end(tmp_path: Path) -> None:
    path = tmp_path / "parts.ndjson"
    home = tmp_path / "home"
    async with serving(home, ONTOMESH_LOG_LEVEL="ERROR") as kernel, connect(kernel.grpc, home=home) as mesh:
        await mesh.databases.create("chaos")
        await mesh.database("chaos").apply_ontology(SCHEMA)
    pause = 0.02
    amid: set[str] = set()
    for round_ in range(ROUNDS):
        await asyncio.to_thread(write_file, path, round_)
        import_id, kills, seen = "", 0, 0
        while True:
            async with (
                serving(home, ONTOMESH_LOG_LEVEL="ERROR") as kernel,
                connect(kernel.grpc, home=home, retries=False) as mesh,
            ):
                database = mesh.database("chaos")
                if not import_id:
                    before = (await database.show()).id
                    import_id = (await database.begin_import()).id
                state = await database.get_import(import_id)
                assert state.offset >= seen, "what was told to be durable is lost"
                if state.commit:
                    break
                assert (await database.show()).id == before, "an import is seen before its end"
                if kills >= 6:
                    await database.import_documents(path, resume=import_id, timeout=60)
                    break
                told: list[ImportProgress] = []
                importing = asyncio.create_task(import_until_killed(mesh, path, import_id, told))
                # Killed amid the upload, at another place each time; then amid the end, after a moment.
                goal = path.stat().st_size * (kills + 1) // 4
                while not importing.done() and (not told or (told[-1].done_bytes < goal and not told[-1].finishing)):  # noqa: ASYNC110
                    await asyncio.sleep(0.001)
                if told and told[-1].finishing:
                    await asyncio.sleep(pause * kills)
                amid.add("end" if told and told[-1].finishing else "upload")
                kernel.process.kill()
                importing.cancel()
                await asyncio.gather(importing, return_exceptions=True)
                kills, seen = kills + 1, max((one.done_bytes for one in told), default=seen)
        async with serving(home, ONTOMESH_LOG_LEVEL="ERROR") as kernel, connect(kernel.grpc, home=home) as mesh:
            database = mesh.database("chaos")
            commit = await database.show()
            assert (commit.parents, commit.change_count) == ((before,), DOCUMENTS)
            found = [json.loads(line) async for part in database.export_documents() for line in part.data.splitlines()]
            sent = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
            assert sorted(
                ({k: v for k, v in one.items() if k != "@id"} for one in found), key=lambda one: one["name"]
            ) == (sorted(sent, key=lambda one: one["name"]))
            reports = [report async for report in database.verify()]
            assert [problem for report in reports for problem in report.problems] == []
    assert amid == {"upload", "end"}
