"""kill -9 of the kernel amid many committers: what was acknowledged is there, whole."""

import asyncio
import os
from pathlib import Path

import pytest

from ontomesh.sdk import connect
from ontomesh.sdk.errors import OntomeshError
from ontomesh.sdk.mesh import AsyncMesh
from tests.contract.serving import serving

EFFORT = int(os.environ.get("ONTOMESH_TEST_EFFORT", "1"))
ROUNDS = 3 if EFFORT == 1 else 50
COMMITTERS = 64
PARTS = 3
SCHEMA = [
    {
        "@type": "Class",
        "@id": "Part",
        "@key": {"@type": "Lexical", "@fields": ["name"]},
        "name": "xsd:string",
        "value": "xsd:integer",
    }
]


async def commit_until_killed(mesh: AsyncMesh, number: int, round_: int, acknowledged: dict[int, int]) -> None:
    """Commit documents that belong together, again and again; note each commit once it is acknowledged."""
    database = mesh.database("chaos")
    count = 0
    while True:
        count += 1
        value = round_ * 1_000_000 + count
        parts = [{"@type": "Part", "name": f"{number}-{part}", "value": value} for part in range(PARTS)]
        try:
            await database.commit(put=parts, timeout=20)
        except OntomeshError:
            return
        acknowledged[number] = value


@pytest.mark.timeout(100 + 20 * ROUNDS)
async def test_a_killed_kernel_keeps_every_acknowledged_commit_whole(tmp_path: Path) -> None:
    async with serving(tmp_path, ONTOMESH_LOG_LEVEL="ERROR") as kernel, connect(kernel.grpc, home=tmp_path) as mesh:
        await mesh.databases.create("chaos")
        await mesh.database("chaos").apply_ontology(SCHEMA)
    acknowledged: dict[int, int] = {}
    for round_ in range(ROUNDS):
        before = dict(acknowledged)
        async with (
            serving(tmp_path, ONTOMESH_LOG_LEVEL="ERROR") as kernel,
            connect(kernel.grpc, home=tmp_path, retries=False) as mesh,
        ):
            committers = asyncio.gather(
                *(commit_until_killed(mesh, number, round_, acknowledged) for number in range(COMMITTERS))
            )
            # Killed once so many were acknowledged in this round, at another moment each time.
            enough = COMMITTERS * (1 + round_ % 4)
            while sum(value % 1_000_000 for value in acknowledged.values() if value // 1_000_000 == round_) < enough:
                assert not committers.done()
                await asyncio.sleep(0.001)
            kernel.process.kill()
            await committers
        assert acknowledged != before
        async with serving(tmp_path, ONTOMESH_LOG_LEVEL="ERROR") as kernel, connect(kernel.grpc, home=tmp_path) as mesh:
            database = mesh.database("chaos")
            found = {document.id: document.data["value"] async for document in database.documents("Part")}
            for number, value in acknowledged.items():
                values = {found[f"Part/{number}-{part}"] for part in range(PARTS)}
                assert len(values) == 1, "a commit is there in part"
                assert values.pop() >= value, "an acknowledged commit is lost"
            reports = [report async for report in database.verify()]
            assert [problem for report in reports for problem in report.problems] == []
            assert reports[-1].done
