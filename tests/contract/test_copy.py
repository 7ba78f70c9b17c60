"""`ontomesh copy`: from SQLite to the store under test and back; broken off anywhere, and gone on with."""

import asyncio
import json
import random
import re
import signal
import sqlite3
import sys
from collections.abc import Callable, Collection
from contextlib import aclosing, closing, suppress
from pathlib import Path
from typing import Any, cast

import pytest
from orjson import Fragment

from ontomesh.cli.main import main
from ontomesh_data_kernel.adapters.opening import OpenStore, open_store
from ontomesh_data_kernel.domain.copying import (
    Copied,
    CopyProgress,
    copy_database,
    list_databases,
    plan_copy,
)
from ontomesh_data_kernel.domain.identity import increasing, system_clock
from ontomesh_data_kernel.domain.kernel import Kernel
from ontomesh_data_kernel.domain.model import Delete
from ontomesh_data_kernel.domain.refs import parse_ref
from ontomesh_data_kernel.errors import (
    DatabaseAlreadyExists,
    DatabaseNotFound,
    KernelError,
    StaleHead,
    StillReferenced,
    UnsupportedByStore,
    Violation,
)
from ontomesh_data_kernel.ports import Decision, Head, Point, Store, Stored
from tests.contract.histories import MOOD, MOODY, PERSON, Author, everything, grow, person, write_history
from tests.contract.inprocess import EFFORT
from tests.contract.stores import StoreInUse

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]

CATALOG = "catalog"


async def opened(url: str) -> OpenStore:
    return await open_store(url, clock=increasing(system_clock))


async def copied(source: Store, target: Store, *names: str) -> dict[str, Copied]:
    """Copy the databases, or all; nothing may be wrong with them."""
    chosen = names or [database.name async for database in list_databases(source)]
    plans = [await plan_copy(source, target, name) for name in chosen]
    done = {plan.database.name: await copy_database(source, target, plan, lambda _: None) for plan in plans}
    assert {name: one.problems for name, one in done.items()} == dict.fromkeys(done, ())
    return done


async def same(source: Store, target: Store, name: str) -> None:
    """Both tell the same of a database; branches that the target alone has are none of it."""
    ours = await everything(source, name)
    assert await everything(target, name, lambda branch: branch not in ours[1]) == ours


class Cut(Exception):
    """The copy is broken off here."""


class Cutting:
    """A store that fails at its nth write, and at all that come after it."""

    def __init__(self, store: Store, writes: int) -> None:
        self._store, self._left = store, writes

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name not in ("commit", "create_branch", "delete_branch", "create_database", "update_database"):
            return found

        async def write(*args: Any, **rest: Any) -> Any:
            self._left -= 1
            if self._left < 0:
                raise Cut
            return await found(*args, **rest)

        return write


def cutting(store: Store, writes: int) -> Store:
    return cast("Store", Cutting(store, writes))


class Refusing:
    """A store that refuses one commit."""

    def __init__(self, store: Store, commit: str, refusal: KernelError) -> None:
        self._store, self._commit, self._refusal = store, commit, refusal

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def commit(self, database: str, branch: str, decide: Callable[[Head], Decision], **rest: Any) -> Stored:
        def refuse(head: Head) -> Decision:
            draft = yield from decide(head)
            if draft.commit.id == self._commit:
                raise self._refusal
            return draft

        return await self._store.commit(database, branch, refuse, **rest)


async def sources(path: Path, *, reindexing: bool = True) -> OpenStore:
    """A file with the histories."""
    store = await opened(f"sqlite:///{path}")
    await write_history(Kernel(store, increasing(system_clock)), reindexing=reindexing)
    return store


async def ids_of(store: Store, *points: Point, excluding: Collection[Point] = ()) -> list[str]:
    """The commits of a history in its order."""
    async with aclosing(store.history(*points, excluding=excluding)) as history:
        return [entry.commit.id async for batch in history for entry in batch]


def count_commits(path: Path) -> int:
    """How many commits a file has by now."""
    if not path.exists():
        return 0
    with closing(sqlite3.connect(path)) as connection:
        try:
            return int(connection.execute("SELECT count(*) FROM commits").fetchone()[0])
        except sqlite3.OperationalError:
            return 0


class TestCopy:
    async def test_a_copy_and_the_copy_of_the_copy_tell_all_that_the_source_tells(
        self, store: StoreInUse, tmp_path: Path
    ) -> None:
        source = await sources(tmp_path / "source.db", reindexing=store.kind == "sqlite")
        target = await opened(store.url(tmp_path / "target.db"))
        done = await copied(source, target)
        assert set(done) == {CATALOG, "nothing", "small"}
        for name, one in done.items():
            await same(source, target, name)
            assert one.commits == len((await everything(source, name))[2])
            assert len(await target.list_branches(name, "", "", 100)) == len(
                await source.list_branches(name, "", "", 100)
            )
        # What was written is not all: it must be found again by one who did not write it.
        await target.close()
        again, back = await opened(store.url(tmp_path / "target.db")), await opened(f"sqlite:///{tmp_path / 'back.db'}")
        for name in await copied(again, back):
            await same(source, again, name)
            await same(source, back, name)
        for each in (source, again, back):
            await each.close()

    async def test_a_copied_database_can_be_worked_with(self, store: StoreInUse, tmp_path: Path) -> None:
        source = await sources(tmp_path / "source.db", reindexing=store.kind == "sqlite")
        target = await opened(store.url(tmp_path / "target.db"))
        await copied(source, target)
        by = Author(Kernel(target, increasing(system_clock)))
        with pytest.raises(StillReferenced):
            await by.commit(CATALOG, "further", Delete("Person/gone"))
        await by.commit(CATALOG, "further", Delete("Person/further"), Delete("Person/gone"))
        await by.merge(CATALOG, "team/right", "older")
        await source.close()
        await target.close()

    async def test_a_second_copy_writes_nothing(self, store: StoreInUse, tmp_path: Path) -> None:
        source = await sources(tmp_path / "source.db", reindexing=store.kind == "sqlite")
        target = await opened(store.url(tmp_path / "target.db"))
        await copied(source, target)
        assert {one.commits for one in (await copied(source, cutting(target, 0))).values()} == {0}
        await source.close()
        await target.close()

    async def test_a_later_copy_brings_what_came_since(self, store: StoreInUse, tmp_path: Path) -> None:
        source = await sources(tmp_path / "source.db", reindexing=store.kind == "sqlite")
        target = await opened(store.url(tmp_path / "target.db"))
        await copied(source, target)
        by = Author(Kernel(source, increasing(system_clock)))
        await by.describe(CATALOG, "Described anew")
        await by.commit(CATALOG, "main", person("later"))
        await by.commit(CATALOG, "left", person("later still"))
        await by.delete(CATALOG, "unchanged")
        await by.delete(CATALOG, "older")
        await by.branch(CATALOG, "older", "left")
        await by.commit(CATALOG, "older", person("oldest"))
        await by.delete(CATALOG, "beside")
        await by.branch(CATALOG, "beside", "main~1")
        done = await copied(source, target, CATALOG)
        assert done[CATALOG].commits == 3
        await same(source, target, CATALOG)
        assert (await plan_copy(source, target, CATALOG)).others == ("unchanged",)
        await source.close()
        await target.close()

    async def test_what_is_committed_meanwhile_comes_with_the_next_copy(
        self, store: StoreInUse, tmp_path: Path
    ) -> None:
        source = await sources(tmp_path / "source.db", reindexing=False)
        target = await opened(store.url(tmp_path / "target.db"))
        by = Author(Kernel(source, increasing(system_clock)))
        written = asyncio.Queue[str]()

        async def write() -> None:
            for number in range(12):
                written.put_nowait(await by.commit(CATALOG, "main", person(f"n{number}")))
                await asyncio.sleep(0.005)

        writer = asyncio.create_task(write())
        plan = await plan_copy(source, target, CATALOG)
        for _ in range(3):
            await written.get()
        done = await copy_database(source, target, plan, lambda _: None)
        assert done.problems == ()
        await writer
        assert (await copied(source, target, CATALOG))[CATALOG].commits >= 3
        await same(source, target, CATALOG)
        await source.close()
        await target.close()

    async def test_progress_is_told_of_every_commit_and_of_the_verification(
        self, store: StoreInUse, tmp_path: Path
    ) -> None:
        source = await sources(tmp_path / "source.db", reindexing=False)
        target = await opened(store.url(tmp_path / "target.db"))
        told: list[CopyProgress] = []
        plan = await plan_copy(source, target, "small")
        await copy_database(source, target, plan, told.append)
        assert [(one.done, one.total) for one in told if not one.verifying] == [(1, 2), (2, 2)]
        assert [(one.done, one.total) for one in told if one.verifying][-1] == (2, 2)
        await source.close()
        await target.close()


class TestHistory:
    async def test_a_history_leaves_out_what_excluded_points_reach(self, store: StoreInUse, tmp_path: Path) -> None:
        opened_store = await opened(store.url(tmp_path / "some.db"))
        await write_history(Kernel(opened_store, increasing(system_clock)), reindexing=store.kind == "sqlite")
        branches = [branch.name for branch in await opened_store.list_branches(CATALOG, "", "", 100)]
        points = {name: await opened_store.resolve(CATALOG, parse_ref(name)) for name in branches}
        reached = {name: await ids_of(opened_store, point) for name, point in points.items()}
        for name, point in points.items():
            others = [points[other] for other in branches if other > name]
            excluded = {id for other in branches if other > name for id in reached[other]}
            found = await ids_of(opened_store, point, excluding=others)
            assert set(found) == set(reached[name]) - excluded
            assert await opened_store.count_history(point, excluding=others) == len(found)
        every = await ids_of(opened_store, *points.values())
        assert set(every) == {id for ids in reached.values() for id in ids}
        assert len(every) == len(set(every)) == await opened_store.count_history(*points.values())
        await opened_store.close()


class TestBrokenOff:
    @pytest.mark.sqlite
    async def test_a_copy_goes_on_wherever_it_was_broken_off(self, store: StoreInUse, tmp_path: Path) -> None:
        source = await sources(tmp_path / "source.db")
        writes, is_whole = 0, False
        while not is_whole:
            target = await opened(f"sqlite:///{tmp_path / f'target{writes}.db'}")
            with suppress(Cut):
                await copied(source, cutting(target, writes), CATALOG)
                is_whole = True
            await copied(source, target, CATALOG)
            await same(source, target, CATALOG)
            await target.close()
            writes += 1
        assert writes > 30
        await source.close()

    async def test_a_copy_that_is_broken_off_again_and_again_comes_to_its_end(
        self, store: StoreInUse, tmp_path: Path
    ) -> None:
        source = await sources(tmp_path / "source.db", reindexing=store.kind == "sqlite")
        attempts = 0
        while True:
            # Opened anew each time, as a new process would.
            target = await opened(store.url(tmp_path / "target.db"))
            attempts += 1
            try:
                await copied(source, cutting(target, 7), CATALOG)
            except Cut:
                await target.close()
                continue
            break
        assert attempts > 4
        await same(source, target, CATALOG)
        assert len(await target.list_branches(CATALOG, "", "", 100)) == len(
            await source.list_branches(CATALOG, "", "", 100)
        )
        await source.close()
        await target.close()

    @pytest.mark.sqlite
    @pytest.mark.parametrize("seed", range(12 * EFFORT))
    async def test_any_history_is_copied_in_pieces_while_it_grows(
        self, store: StoreInUse, tmp_path: Path, seed: int
    ) -> None:
        drawn = random.Random(seed)
        source = await opened(f"sqlite:///{tmp_path / 'source.db'}")
        target = await opened(f"sqlite:///{tmp_path / 'target.db'}")
        await grow(Kernel(source, increasing(system_clock)), drawn, 120)
        for _ in range(6):
            with suppress(Cut):
                await copied(source, cutting(target, drawn.randrange(30)))
        await copied(source, target)
        await same(source, target, CATALOG)
        await source.close()
        await target.close()

    @pytest.mark.sqlite
    async def test_a_killed_copy_goes_on_when_called_again(self, store: StoreInUse, tmp_path: Path) -> None:
        source = await opened(f"sqlite:///{tmp_path / 'source.db'}")
        await write_history(Kernel(source, increasing(system_clock)))
        by = Author(Kernel(source, increasing(system_clock)))
        await by.schema("small", "main", PERSON)
        for number in range(1_500):
            await by.commit("small", "main", person(f"n{number % 50}", age=number))
        path = tmp_path / "target.db"
        command = ("-m", "ontomesh.cli.main", "copy", f"sqlite:///{tmp_path / 'source.db'}", f"sqlite:///{path}")
        killed = await asyncio.create_subprocess_exec(
            sys.executable, *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
        while count_commits(path) < 200:
            assert killed.returncode is None
            await asyncio.sleep(0.001)
        killed.send_signal(signal.SIGKILL)
        assert await killed.wait() == -signal.SIGKILL
        assert 200 <= count_commits(path) < 1_500
        again = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=asyncio.subprocess.PIPE)
        out, _ = await again.communicate()
        assert again.returncode == 0
        assert b"were there" in out
        target = await opened(f"sqlite:///{path}")
        for name in (CATALOG, "nothing"):
            await same(source, target, name)
        assert (await plan_copy(source, target, "small")).commits == 0
        await source.close()
        await target.close()


class TestRefused:
    async def test_a_database_with_another_history_is_refused_and_stays_as_it_is(
        self, store: StoreInUse, tmp_path: Path
    ) -> None:
        source = await sources(tmp_path / "source.db", reindexing=False)
        target = await opened(store.url(tmp_path / "target.db"))
        by = Author(Kernel(target, increasing(system_clock)))
        await by.database("small", "Another one")
        before = await everything(target, "small")
        with pytest.raises(DatabaseAlreadyExists, match="'small' with another history: its branch 'main' is at"):
            await copied(source, target)
        assert await everything(target, "small") == before
        await copied(source, target, "nothing")
        head = await by.schema("nothing", "main", PERSON)
        with pytest.raises(DatabaseAlreadyExists, match=f"its branch 'main' is at {head[:12]}"):
            await copied(source, target, "nothing")
        with pytest.raises(DatabaseNotFound):
            await copied(source, target, "unknown")
        await source.close()
        await target.close()

    async def test_another_writer_to_the_target_is_noticed(self, store: StoreInUse, tmp_path: Path) -> None:
        source = await sources(tmp_path / "source.db", reindexing=False)
        target = await opened(store.url(tmp_path / "target.db"))
        with pytest.raises(Cut):
            await copied(source, cutting(target, 5), CATALOG)
        plan = await plan_copy(source, target, CATALOG)
        head = await Author(Kernel(target, increasing(system_clock))).schema(CATALOG, "main", MOODY, MOOD)
        with pytest.raises(StaleHead, match=f"cannot be copied: branch 'main' is at {head[:12]}"):
            await copy_database(source, target, plan, lambda _: None)
        await source.close()
        await target.close()

    async def test_what_the_target_cannot_keep_is_named_with_its_commit(
        self, store: StoreInUse, tmp_path: Path
    ) -> None:
        source = await sources(tmp_path / "source.db", reindexing=False)
        by = Author(Kernel(source, increasing(system_clock)))
        size = "1." + "0" * 20 + "1"
        fault = await by.commit(CATALOG, "main", person("eve", size=Fragment(size)), person("fay"))
        target = await opened(store.url(tmp_path / "target.db"))
        if store.kind == "sqlite":
            # It keeps all that the kernel knows, so that one must stand in for a store that does not.
            violation = Violation("Person/eve.size", "is not kept")
            refusal = UnsupportedByStore("Person/eve.size: is not kept", (violation,))
            target = cast("OpenStore", Refusing(target, fault, refusal))
        with pytest.raises(UnsupportedByStore) as refused:
            await copied(source, target, CATALOG)
        said = f"commit {fault[:12]} of branch 'main' (Person/eve.size) cannot be copied: Person/eve.size: "
        assert refused.value.message.startswith(said)
        assert refused.value.metadata["commit"] == fault
        await source.close()
        await target.close()


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """The command's exit code and what it printed."""
    code = main(["copy", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture
def source_url(store: StoreInUse, tmp_path: Path) -> str:
    """A file with the histories."""

    async def write() -> None:
        await (await sources(tmp_path / "source.db", reindexing=store.kind == "sqlite")).close()

    asyncio.run(write())
    return f"sqlite:///{tmp_path / 'source.db'}"


class TestCommand:
    def test_it_copies_and_tells_what_it_did(
        self, source_url: str, store: StoreInUse, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        target = store.url(tmp_path / "target.db")
        said = "catalog (new): 22 commits to copy; 8 branches\nnothing (new): 1 commit to copy; 1 branch\n"
        assert run(capsys, source_url, target, "--dry-run")[:2] == (
            0,
            said + "small (new): 2 commits to copy; 1 branch\n",
        )
        assert not (tmp_path / "target.db").exists()
        done = "catalog: 22 commits copied; 8 branches: every hash matches\n"
        assert run(capsys, source_url, target, "--database", "catalog")[:2] == (0, done)
        said = "catalog: 0 commits to copy, 22 are there; 8 branches\nsmall (new): 2 commits to copy; 1 branch\n"
        assert run(capsys, source_url, target, "--database=catalog", "--database=small", "--dry-run")[:2] == (0, said)
        code, out, err = run(capsys, source_url, target, "--json")
        assert (code, err) == (0, "")
        told = {one["database"]: one for one in map(json.loads, out.splitlines())}
        assert told.keys() == {"catalog", "nothing", "small"}
        assert [told[name]["commits"] for name in told] == [0, 1, 2]
        assert told["catalog"]["ok"] is True
        assert told["catalog"]["total_commits"] == 22
        assert told["catalog"]["branches"].keys() >= {"main", "team/right"}

    @pytest.mark.sqlite
    def test_it_tells_how_it_gets_on_in_plain_lines(
        self, source_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ontomesh_data_kernel.commands._LINE_SECONDS", 0.0)
        _, _, err = run(capsys, source_url, f"sqlite:///{tmp_path / 'target.db'}", "--database=small")
        assert err.splitlines()[:2] == ["copying small: 1 of 2 commits", "copying small: 2 of 2 commits"]
        assert err.splitlines()[-1] == "verifying small: 2 of 2 commits"

    @pytest.mark.sqlite
    def test_a_bar_is_shown_on_a_terminal(
        self, source_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FORCE_COLOR", "1")
        _, out, _ = run(capsys, source_url, f"sqlite:///{tmp_path / 'target.db'}")
        assert "every hash matches" in out

    @pytest.mark.sqlite
    def test_what_makes_no_sense_is_refused(
        self, source_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        target, absent = f"sqlite:///{tmp_path / 'target.db'}", f"sqlite:///{tmp_path / 'absent.db'}"
        (tmp_path / "text.db").write_text("no database at all" * 100)
        (tmp_path / "empty.db").touch()
        known = "known are sqlite:///path and terminusdb://user@host:port/organization"
        rows = [
            (("mysql://host/db", target), f"SOURCE: 'mysql' is no kind of store; {known}"),
            ((source_url, "target.db"), "TARGET: must be sqlite:///path and terminusdb://user@host:port/organization"),
            ((source_url, "sqlite:///"), f"TARGET: 'sqlite' is no kind of store; {known}"),
            (
                (source_url, "terminusdb://host"),
                "TARGET: must be terminusdb://user[:password]@host[:port]/organization",
            ),
            ((source_url, source_url), "SOURCE and TARGET are the same store"),
            ((absent, target), f"SOURCE: there is no store at {absent}"),
            ((f"sqlite:///{tmp_path / 'empty.db'}", target), f"there is no store at sqlite:///{tmp_path / 'empty.db'}"),
            ((f"sqlite:///{tmp_path / 'text.db'}", target), f"SOURCE: {tmp_path / 'text.db'} is no SQLite database"),
            ((source_url, target, "--target-password-file", str(tmp_path / "no")), "No such file"),
        ]
        for arguments, said in rows:
            code, out, err = run(capsys, *arguments)
            assert (code, out) == (2, ""), arguments
            assert said in err
        assert not (tmp_path / "absent.db").exists()
        assert (tmp_path / "empty.db").stat().st_size == 0

    @pytest.mark.sqlite
    def test_a_refusal_has_its_reason_and_exit_code(
        self, source_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        target = f"sqlite:///{tmp_path / 'target.db'}"
        code, _, err = run(capsys, source_url, target, "--database", "unknown", "--json")
        assert (code, json.loads(err)["error"]["reason"]) == (3, "DATABASE_NOT_FOUND")
        away = "terminusdb://admin:secret@127.0.0.1:1/acme"
        for arguments in ((source_url, away), (away, target)):
            code, _, err = run(capsys, *arguments, "--json")
            assert (code, json.loads(err)["error"]["reason"]) == (4, "STORE_UNAVAILABLE")
            assert "secret" not in err

    @pytest.mark.sqlite
    def test_a_fault_of_the_source_is_found_in_the_target(
        self, source_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with closing(sqlite3.connect(tmp_path / "source.db")) as connection:
            changed = "UPDATE doc SET body=CAST(replace(body, '67890', '67891') AS BLOB) WHERE instr(body, '67890')"
            assert connection.execute(changed).rowcount
            connection.commit()
        code, out, _ = run(capsys, source_url, f"sqlite:///{tmp_path / 'target.db'}", "--database=catalog")
        assert code == 1
        assert re.search(r"problem: commit [0-9a-f]{12} Person/right: its body does not match its hash", out)
