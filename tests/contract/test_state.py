"""`ports.State`: values under keys, changed by compare-and-set."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ontomesh_data_kernel.adapters.sqlite.store import open_store
from ontomesh_data_kernel.ports import State
from tests.contract.inprocess import ANA, commit, documents, kernel_on, new_database, open_kernel
from tests.contract.lines import NOTE, imported, note
from tests.contract.stores import StoreInUse

pytestmark = [pytest.mark.usefixtures("store"), pytest.mark.live]


@pytest.fixture
async def state(store: StoreInUse, tmp_path: Path) -> AsyncIterator[State]:
    opened = await store.open(tmp_path / "kernel.db")
    yield opened.state
    await opened.close()


async def test_a_value_is_put_changed_and_deleted_by_who_knows_its_version(state: State) -> None:
    assert await state.get("a") is None
    first = await state.swap("a", 0, b"one")
    assert first is not None
    assert await state.get("a") == (b"one", first)
    assert await state.swap("a", 0, b"other") is None
    second = await state.swap("a", first, b"")
    assert second not in (None, first)
    assert await state.swap("a", first, b"late") is None
    assert await state.get("a") == (b"", second)
    assert second is not None
    assert await state.swap("a", first, None) is None
    assert await state.swap("a", second, None) == 0
    assert await state.get("a") is None
    assert await state.swap("a", second, b"stale") is None


async def test_a_version_does_not_come_back_with_a_new_value(state: State) -> None:
    seen = set()
    for _ in range(3):
        version = await state.swap("a", 0, b"same")
        assert version is not None
        assert version not in seen
        seen.add(version)
        await state.swap("a", version, None)


async def test_values_are_listed_by_key_under_a_prefix(state: State) -> None:
    for key in ("b/2", "a", "b/1", "b", "b/é", "c", "b/10"):
        assert await state.swap(key, 0, key.encode())
    assert [(one.key, one.value) for one in await state.list("b/")] == [
        (key, key.encode()) for key in ("b/1", "b/10", "b/2", "b/é")
    ]
    for one in await state.list(""):
        assert await state.get(one.key) == (one.value, one.version)
    assert await state.list("d") == []


async def test_of_many_at_once_one_wins(store: StoreInUse, tmp_path: Path) -> None:
    opened = [await store.open(tmp_path / "kernel.db") for _ in range(2)]
    version = 0
    for round_ in range(3):
        told = await asyncio.gather(
            *(one.state.swap("a", version, f"{round_} {index}".encode()) for index, one in enumerate(opened * 3))
        )
        won = [(index, one) for index, one in enumerate(told) if one is not None]
        assert len(won) == 1
        assert await opened[1].state.get("a") == (f"{round_} {won[0][0]}".encode(), won[0][1])
        version = won[0][1]
    for one in opened:
        await one.close()


async def test_a_value_outlives_the_process_and_the_databases(store: StoreInUse, tmp_path: Path) -> None:
    kernel = await open_kernel(tmp_path / "kernel.db")
    await new_database(kernel, NOTE)
    await commit(kernel, note("a"))
    await kernel.close()
    opened = await store.open(tmp_path / "kernel.db")
    version = await opened.state.swap("k", 0, b"\x00\xff")
    await opened.delete_database("d", "")
    await opened.close()
    opened = await store.open(tmp_path / "kernel.db")
    assert await opened.state.get("k") == (b"\x00\xff", version)
    assert await opened.list_databases("", 10) == []
    await opened.close()


@pytest.mark.sqlite
async def test_a_file_of_format_2_is_brought_up_to_date_with_its_branches_lines(
    store: StoreInUse, tmp_path: Path
) -> None:
    path = tmp_path / "kernel.db"
    kernel = await open_kernel(path)
    await new_database(kernel, NOTE)
    expected = [(await commit(kernel, note("a"))).commit.id]
    expected.append(await imported(kernel, {"@type": "Note", "name": "b"}))
    expected.append((await commit(kernel, note("c"))).commit.id)
    expected.append(await imported(kernel, {"@type": "Note", "name": "d"}))
    await kernel.branches.create(ANA, "d", "side", "main", False, "")
    side = (await commit(kernel, note("e"), branch="side")).commit.id
    await kernel.branches.create(ANA, "d", "untouched", "main", False, "")
    await kernel.close()
    connection = sqlite3.connect(path)
    connection.executescript("DROP TABLE line; DROP TABLE stretch; DROP TABLE state; PRAGMA user_version=2")
    connection.execute("DELETE FROM counter WHERE name IN ('line', 'state')")
    connection.commit()
    connection.close()
    opened = await asyncio.gather(*(open_store(path, store.clock) for _ in range(3)))
    kernel = kernel_on(opened[0])
    lines = {line.branch: line for line in await opened[1].outbox.lines()}
    assert lines.keys() == {"main", "side"}
    assert [one.commit.id for one in await opened[1].outbox.read(lines["main"], "", 99, 1 << 20)][2:] == expected
    assert [one.commit.id for one in await opened[1].outbox.read(lines["side"], "", 99, 1 << 20)] == [side]
    assert await opened[2].state.swap("a", 0, b"x")
    more = (await commit(kernel, note("f"), branch="untouched")).commit.id
    await kernel.branches.create(ANA, "d", "newer", "main", False, "")
    await commit(kernel, note("g"), branch="newer")
    lines = {line.branch: line for line in await opened[1].outbox.lines()}
    assert len({line.id for line in lines.values()}) == 4
    assert [one.commit.id for one in await opened[1].outbox.read(lines["untouched"], "", 99, 1 << 20)] == [more]
    assert len(await documents(kernel, "untouched")) == 5
    for one in opened:
        await one.close()
