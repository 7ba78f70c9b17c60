"""`ports.Outbox`: lines of commits that can be read on from any cursor, with no commit missing."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from ontomesh_data_kernel.adapters.opening import OpenStore
from ontomesh_data_kernel.domain.kernel import Kernel
from ontomesh_data_kernel.domain.model import Delete, MergeRequest, Put
from ontomesh_data_kernel.domain.refs import parse_ref
from ontomesh_data_kernel.ports import Line, Outbox, Piece
from tests.contract.inprocess import ANA, DB, body, commit, examples, kernel_on, new_database
from tests.contract.lines import NOTE, Known, imported, note, read_line
from tests.contract.stores import StoreInUse

pytestmark = [pytest.mark.usefixtures("store"), pytest.mark.live]


@pytest.fixture
async def opened(store: StoreInUse, tmp_path: Path) -> AsyncIterator[OpenStore]:
    opened = await store.open(tmp_path / "kernel.db")
    await opened.outbox.begin()
    yield opened
    await opened.close()


@pytest.fixture
async def kernel(opened: OpenStore) -> Kernel:
    kernel = kernel_on(opened)
    await new_database(kernel, NOTE)
    return kernel


async def line_of(outbox: Outbox, branch: str) -> Line:
    (line,) = [line for line in await outbox.lines() if line.branch == branch and not line.is_ended]
    return line


async def test_a_line_is_read_from_its_beginning_and_on_from_any_cursor(opened: OpenStore, kernel: Kernel) -> None:
    made = [(await commit(kernel, note(f"n{number}"))).commit.id for number in range(7)]
    line = await line_of(opened.outbox, "main")
    whole = await opened.outbox.read(line, "", 99, 1 << 20)
    assert [piece.commit.id for piece in whole][2:] == made
    assert [len(piece.commit.parents) for piece in whole] == [0] + [1] * 8
    assert whole[-1].cursor == line.head
    for index, piece in enumerate(whole):
        rest = await opened.outbox.read(line, piece.cursor, 99, 1 << 20)
        assert [one.commit.id for one in rest] == [one.commit.id for one in whole[index + 1 :]]
        assert piece.parent is None or piece.parent.commit == piece.commit.parents[0]
        assert await opened.describe(DB, piece.point) == piece.commit
    assert len(await opened.outbox.read(line, "", 4, 1 << 20)) == 4
    assert len(await opened.outbox.read(line, "", 99, 1)) == 2


async def test_changes_come_with_the_bodies_of_before(opened: OpenStore, kernel: Kernel) -> None:
    await commit(kernel, note("a", count=1), note("b"))
    await kernel.branches.create(ANA, DB, "side", "main", False, "")
    await commit(kernel, note("a", count=2), Delete("Note/b"), note("c"), branch="side")
    told = await read_line(opened.outbox, await line_of(opened.outbox, "side"))
    (changes,) = told.changes.values()
    bodies = {
        one.id: tuple(orjson.loads(body).get("count", 0) if body else None for body in (one.before, one.body))
        for one in changes
    }
    assert bodies == {"Note/a": (1, 2), "Note/b": (0, None), "Note/c": (None, 0)}
    versions = await opened.read_many(await opened.resolve(DB, parse_ref("side")), ["Note/a", "Note/b", "Note/c"])
    assert {one.id: one.etag for one in changes if one.etag} == {id: one.etag for id, one in versions.items()}


async def test_a_large_commit_comes_in_pieces(opened: OpenStore, kernel: Kernel) -> None:
    names = [f"n{number:03}" for number in range(200)]
    made = await imported(kernel, *({"@type": "Note", "name": name, "text": "x" * 200} for name in names))
    line = await line_of(opened.outbox, "main")
    cursor = ""
    pieces: list[Piece] = []
    while found := await opened.outbox.read(line, cursor, 9, 4_000):
        assert sum(len(change.body or b"") for piece in found for change in piece.changes) < 4_000 + 40 * 300
        pieces += found
        cursor = found[-1].cursor
    parts = [piece for piece in pieces if piece.commit.id == made]
    assert len(parts) > 4
    assert [piece.is_last for piece in parts] == [False] * (len(parts) - 1) + [True]
    assert sorted(change.id for piece in parts for change in piece.changes) == [f"Note/{name}" for name in names]
    told = await read_line(opened.outbox, line, limit=1, max_bytes=1)
    assert len(told.changes[made]) == 200
    later = (await commit(kernel, note("later"))).commit.id
    line = await line_of(opened.outbox, "main")
    assert [piece.commit.id for piece in await opened.outbox.read(line, cursor, 9, 1 << 20)] == [later]


async def test_a_merge_brings_what_it_changed_against_its_first_parent(opened: OpenStore, kernel: Kernel) -> None:
    await commit(kernel, note("a"))
    await kernel.branches.create(ANA, DB, "side", "main", False, "")
    await commit(kernel, note("b"), branch="side")
    await commit(kernel, note("c"))
    merged = await kernel.merges.merge(ANA, MergeRequest(DB, "main", "side"))
    assert merged.commit is not None
    told = await read_line(opened.outbox, await line_of(opened.outbox, "main"))
    assert told.commits[-1] == merged.commit.id
    assert [change.id for change in told.changes[merged.commit.id]] == ["Note/b"]


async def test_another_branch_of_the_same_name_is_another_line(opened: OpenStore, kernel: Kernel) -> None:
    await kernel.branches.create(ANA, DB, "side", "main", False, "")
    assert [line.branch for line in await opened.outbox.lines()] == ["main"]
    first = (await commit(kernel, note("a"), branch="side")).commit.id
    one = await line_of(opened.outbox, "side")
    await kernel.branches.delete(ANA, DB, "side", "")
    await kernel.branches.create(ANA, DB, "side", f"commit:{first}", False, "")
    second = (await commit(kernel, note("b"), branch="side")).commit.id
    lines = [line for line in await opened.outbox.lines() if line.branch == "side"]
    assert {line.is_ended: (await read_line(opened.outbox, line)).commits for line in lines} == {
        True: [first],
        False: [second],
    }
    ended = next(line for line in lines if line.is_ended)
    assert ended.id == one.id
    await opened.outbox.forget(ended)
    assert [line.is_ended for line in await opened.outbox.lines() if line.branch == "side"] == [False]
    assert [one.commit.id for one in await opened.outbox.read(await line_of(opened.outbox, "side"), "", 9, 99_999)] == [
        second
    ]


async def _own(outbox: Outbox) -> list[Line]:
    return [line for line in await outbox.lines() if await outbox.read(line, "", 1, 1)]


async def test_a_deleted_database_has_no_lines_and_its_successor_new_ones(opened: OpenStore, kernel: Kernel) -> None:
    await commit(kernel, note("a"))
    old = await line_of(opened.outbox, "main")
    await kernel.databases.delete(ANA, DB, "")
    assert await opened.outbox.lines() == []
    assert await opened.outbox.read(old, "", 9, 99) == []
    await new_database(kernel, NOTE)
    new = await line_of(opened.outbox, "main")
    assert new.id != old.id
    assert len((await read_line(opened.outbox, new)).commits) == 2
    assert await opened.outbox.read(old, "", 9, 99) == []


async def test_it_wakes_whoever_waits_for_commits_of_this_process_and_of_others(
    store: StoreInUse, opened: OpenStore, kernel: Kernel, tmp_path: Path
) -> None:
    other = await store.open(tmp_path / "kernel.db")
    for committer in (kernel, kernel_on(other)):
        for _ in range(3):
            await opened.outbox.moved(0.01)
        before = (await line_of(opened.outbox, "main")).head
        begun = time.monotonic()
        waiting = asyncio.create_task(opened.outbox.moved(20))
        await asyncio.sleep(0)
        await commit(committer, Put(body({"@type": "Note", "name": f"{begun:f}"})))
        await waiting
        assert time.monotonic() - begun < 5
        assert (await line_of(opened.outbox, "main")).head != before
    await other.close()


async def test_the_lines_of_any_history_are_as_the_naive_model_has_them(opened: OpenStore, kernel: Kernel) -> None:
    drawn = random.Random(6)
    for run in range(examples(12, 1)):
        if run:
            await kernel.databases.delete(ANA, DB, "")
            await new_database(kernel, NOTE)
        known = Known(kernel, drawn)
        told = await read_line(opened.outbox, await line_of(opened.outbox, "main"))
        known.began("main", *told.commits)
        for _ in range(60):
            await known.step()
        found = [
            (line.branch, await read_line(opened.outbox, line, drawn.randint(1, 5), drawn.choice((1, 900, 1 << 20))))
            for line in await _own(opened.outbox)
        ]
        assert sorted((branch, told.commits) for branch, told in found) == known.expected()
        for _, told in found:
            for id, changes in told.changes.items():
                diff = await kernel.diffs.diff(ANA, DB, "", f"commit:{id}", False, 1_000, "")
                real = sorted(one.id for one in changes if one.before != one.body)
                assert real == [one.id for one in diff.documents]


async def test_a_branch_that_nobody_committed_to_leaves_no_line(opened: OpenStore, kernel: Kernel) -> None:
    await commit(kernel, note("a"))
    await kernel.branches.create(ANA, DB, "side", "main", False, "")
    assert [line.branch for line in await opened.outbox.lines()] == ["main"]
    await kernel.branches.delete(ANA, DB, "side", "")
    assert [line.branch for line in await opened.outbox.lines()] == ["main"]
