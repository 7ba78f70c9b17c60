"""kill -9 of a TerminusDB server behind the kernel, amid many committers: what was acknowledged is there, whole."""

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from ontomesh.sdk import connect
from ontomesh.sdk.breaker import CircuitBreaker
from ontomesh.sdk.errors import StoreUnavailable
from ontomesh.sdk.mesh import AsyncMesh
from tests.chaos.terminusdb_server import COMMAND, TerminusServer
from tests.chaos.test_kill import PARTS, SCHEMA
from tests.contract.serving import Serving, serving

pytestmark = [
    pytest.mark.xdist_group("chaos-terminusdb"),
    pytest.mark.skipif(not COMMAND, reason="ONTOMESH_TEST_TERMINUSDB_COMMAND does not say how to start a TerminusDB"),
]

EFFORT = int(os.environ.get("ONTOMESH_TEST_EFFORT", "1"))
ROUNDS = 3 * EFFORT
COMMITTERS = 16
CALL_SECONDS = 10
SLACK_SECONDS = 1
RECOVERY_SECONDS = 5
NOTICE_SECONDS = 10
DATABASE = "chaos"


@dataclass
class Told:
    """What the committers were told: the commits acknowledged, and how often they were refused."""

    commits: dict[int, list[str]] = field(default_factory=lambda: {number: [] for number in range(COMMITTERS)})
    value: dict[int, int] = field(default_factory=lambda: dict.fromkeys(range(COMMITTERS), 0))
    refused: dict[int, int] = field(default_factory=lambda: dict.fromkeys(range(COMMITTERS), 0))
    longest: float = 0

    @property
    def count(self) -> int:
        """How many commits were acknowledged."""
        return sum(len(ids) for ids in self.commits.values())


async def commit_again_and_again(mesh: AsyncMesh, number: int, round_: int, told: Told, stop: asyncio.Event) -> None:
    """Commit documents that belong together, whether the last call was refused or not."""
    database = mesh.database(DATABASE)
    value = round_ * 1_000_000
    while not stop.is_set():
        value += 1
        parts = [{"@type": "Part", "name": f"{number}-{part}", "value": value} for part in range(PARTS)]
        began = time.monotonic()
        try:
            made = await database.commit(put=parts, timeout=CALL_SECONDS)
        except StoreUnavailable:
            told.refused[number] += 1
            await asyncio.sleep(0.05)
        else:
            told.commits[number].append(made.commit.id)
            told.value[number] = value
        finally:
            told.longest = max(told.longest, time.monotonic() - began)


async def until_asked(condition: Callable[[], Awaitable[bool]], seconds: float, what: str) -> float:
    """Wait until a condition holds; how long it took."""
    began = time.monotonic()
    while not await condition():
        assert time.monotonic() - began < seconds, what
        await asyncio.sleep(0.02)
    return time.monotonic() - began


async def is_ready(kernel: Serving) -> bool:
    async with httpx.AsyncClient() as client:
        return (await client.get(f"{kernel.http}/readyz")).status_code == 200


async def check_whole(mesh: AsyncMesh, told: Told) -> None:
    """Every acknowledged commit is in the history, each with all its parts, and every hash is right."""
    database = mesh.database(DATABASE)
    history = {commit.id: commit async for commit in database.log()}
    acknowledged = {id for ids in told.commits.values() for id in ids}
    assert acknowledged <= history.keys(), f"{len(acknowledged - history.keys())} acknowledged commits are lost"
    assert {history[id].change_count for id in acknowledged} == {PARTS}
    found = {document.id: document.data["value"] async for document in database.documents("Part")}
    for number, value in told.value.items():
        values = {found.get(f"Part/{number}-{part}", 0) for part in range(PARTS)}
        assert len(values) == 1, "a commit is there in part"
        assert values.pop() >= value, "an acknowledged commit is lost"
    reports = [report async for report in database.verify()]
    assert [problem for report in reports for problem in report.problems] == []
    assert reports[-1].done


@pytest.mark.timeout(120 + 90 * ROUNDS)
async def test_a_killed_server_keeps_every_acknowledged_commit_whole_and_the_kernel_recovers_by_itself(
    tmp_path: Path,
) -> None:
    server = TerminusServer(tmp_path / "terminusdb")
    await server.start()
    try:
        async with (
            serving(tmp_path, ONTOMESH_STORE=server.store, ONTOMESH_LOG_LEVEL="WARNING") as kernel,
            # Every call is to reach the kernel, whatever it answers.
            connect(kernel.grpc, home=tmp_path, retries=False, breaker=CircuitBreaker(threshold=sys.maxsize)) as mesh,
        ):
            await mesh.databases.create(DATABASE)
            await mesh.database(DATABASE).apply_ontology(SCHEMA)
            for round_ in range(ROUNDS):
                await kill_amid_calls(kernel, mesh, server, round_)
    finally:
        await server.kill()


async def kill_amid_calls(kernel: Serving, mesh: AsyncMesh, server: TerminusServer, round_: int) -> None:
    told, stop = Told(), asyncio.Event()
    # Killed once so many were acknowledged in this round, at another moment each time.
    enough = COMMITTERS + 13 * round_ % 40

    async def are_enough() -> bool:
        return told.count >= enough

    async def are_all_refused() -> bool:
        return all(count > refused_before[number] for number, count in told.refused.items())

    async def have_all_committed() -> bool:
        return all(len(ids) > before[number] for number, ids in told.commits.items())

    async def has_one_committed() -> bool:
        return any(len(ids) > before[number] for number, ids in told.commits.items())

    async def is_noticed() -> bool:
        return not await is_ready(kernel)

    async with asyncio.TaskGroup() as committers:
        for number in range(COMMITTERS):
            committers.create_task(commit_again_and_again(mesh, number, round_, told, stop))
        await until_asked(are_enough, 60, "the committers do not get on")
        assert await is_ready(kernel)
        await server.kill()
        refused_before = dict(told.refused)
        await until_asked(are_all_refused, CALL_SECONDS + SLACK_SECONDS, "a call hangs")
        await until_asked(is_noticed, NOTICE_SECONDS, "readiness does not tell")
        before = {number: len(ids) for number, ids in told.commits.items()}
        acknowledged = told.count
        await server.start()
        for label in await server.repair():
            print(f"round {round_}: the kill left {label} empty, which is the server's own damage; repaired")
        recovery = await until_asked(has_one_committed, RECOVERY_SECONDS, "the kernel does not recover")
        await until_asked(lambda: is_ready(kernel), RECOVERY_SECONDS, "readiness does not come back")
        await until_asked(have_all_committed, CALL_SECONDS + SLACK_SECONDS, "a committer never gets on again")
        stop.set()
    assert told.longest < CALL_SECONDS + SLACK_SECONDS, "a call outlived its deadline"
    await check_whole(mesh, told)
    print(
        f"round {round_}: {acknowledged} commits acknowledged before the kill and {told.count - acknowledged} after it, "
        f"{sum(told.refused.values())} calls refused, the longest took {told.longest:.1f} s, "
        f"recovered {recovery:.1f} s after the server"
    )
