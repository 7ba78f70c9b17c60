"""Merges into a branch that moves between their plan and their decision, and processes that open a new store at once."""

import asyncio
import fcntl
import sqlite3
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from ontomesh_data_kernel.adapters.sqlite import connection
from ontomesh_data_kernel.adapters.sqlite import open_store as open_file
from ontomesh_data_kernel.domain.kernel import Kernel
from ontomesh_data_kernel.domain.model import (
    MergeOutcome,
    MergeRequest,
    MergeResult,
    MergeSide,
    Put,
    Resolution,
    Update,
)
from ontomesh_data_kernel.errors import (
    BranchNotFound,
    MergeViolation,
    SchemaViolatedByData,
    UnknownConflict,
)
from ontomesh_data_kernel.ports import Decision, Head, RequestKey, Store, Stored
from tests.contract.inprocess import (
    ANA,
    DB,
    body,
    commit,
    documents,
    head,
    kernel_on,
    new_database,
    open_kernel,
    schema_edit,
)
from tests.contract.stores import StoreInUse

pytestmark = pytest.mark.usefixtures("store")

Decide = Callable[[Head], Decision]
Move = Callable[[Decide], Awaitable[object]]

PERSON = {
    "@type": "Class",
    "@id": "Person",
    "@key": {"@type": "Lexical", "@fields": ["name"]},
    "name": "xsd:string",
    "boss": {"@type": "Optional", "@class": "xsd:string"},
    "level": {"@type": "Optional", "@class": "xsd:integer"},
}
BAG = {"@type": "Class", "@id": "Bag", "items": {"@type": "List", "@class": "xsd:string"}}
BAG_OF_A_SET = {**BAG, "items": {"@type": "Set", "@class": "xsd:string"}}


def person(name: str, **rest: object) -> Put:
    return Put(body({"@type": "Person", "name": name, **rest}))


def change(id: str, **properties: object) -> Update:
    return Update(id, orjson.dumps(properties))


class Race:
    """A kernel whose commits find that the branch moved: before each, the next of `moves` happens.

    The moves are made by `other`, a kernel of its own on the same file.
    """

    def __init__(self, store: Store, other: Kernel, moves: list[Move]) -> None:
        self.store = store
        self.kernel = kernel_on(store)
        self.other = other
        self._moves = moves

    def meanwhile(self, *moves: Move) -> None:
        """Say what happens before each of the next commits."""
        self._moves.extend(moves)

    async def merge(self, target: str = "main", *resolutions: Resolution, **rest: Any) -> MergeResult:
        """Merge `side`; everything that was to happen meanwhile has happened."""
        try:
            return await self.kernel.merges.merge(
                ANA, MergeRequest(DB, target, "side", resolutions=resolutions, **rest)
            )
        finally:
            assert not self._moves


@pytest.fixture
async def race(tmp_path: Path, store: StoreInUse, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Race]:
    opened = await store.open(tmp_path / "kernel.db")
    store_commit, moves = opened.commit, list[Move]()

    async def commit_after_move(
        database: str,
        branch: str,
        decide: Decide,
        *,
        request: RequestKey | None,
        weight: int,
        dry_run: bool = False,
    ) -> Stored:
        if moves:
            await moves.pop(0)(decide)
        return await store_commit(database, branch, decide, request=request, weight=weight, dry_run=dry_run)

    monkeypatch.setattr(opened, "commit", commit_after_move)
    made = Race(opened, await open_kernel(tmp_path / "kernel.db"), moves)
    await new_database(made.other, PERSON, BAG)
    yield made
    await made.kernel.close()
    await made.other.close()


async def branch(kernel: Kernel, name: str, start: str = "") -> None:
    await kernel.branches.create(ANA, DB, name, start, False, "")


async def verified(kernel: Kernel, ref: str = "main") -> bool:
    return not [problem async for report in kernel.commits.verify(ANA, DB, ref) for problem in report.problems]


class TestVanishedConflicts:
    async def test_a_conflict_that_vanishes_leads_to_a_plan_that_looks_at_the_targets_own_documents(
        self, race: Race
    ) -> None:
        await commit(race.other, person("a"))
        await branch(race.other, "side")
        await commit(race.other, change("Person/a", boss="theirs"), branch="side", ontology=schema_edit(BAG_OF_A_SET))
        bag = Put(body({"@type": "Bag", "@id": "Bag/1", "items": ["b", "a", "b"]}))
        await commit(race.other, change("Person/a", boss="ours"), bag)
        assert (await race.merge()).outcome is MergeOutcome.CONFLICTS

        async def agree(_: Decide) -> None:
            await commit(race.other, change("Person/a", boss="theirs"))

        race.meanwhile(agree)
        assert (await race.merge()).outcome is MergeOutcome.MERGED
        found = await documents(race.other)
        assert found["Person/a"]["boss"] == "theirs"
        assert found["Bag/1"]["items"] == ["a", "b"]
        assert await verified(race.other)

    async def test_a_conflict_that_vanishes_lets_no_document_in_that_the_merged_ontology_refuses(
        self, race: Race
    ) -> None:
        await commit(race.other, person("a", level=1))
        await branch(race.other, "side")
        strict = schema_edit({**PERSON, "level": "xsd:integer"})
        await commit(race.other, change("Person/a", boss="theirs"), branch="side", ontology=strict)
        await commit(race.other, change("Person/a", boss="ours"), person("without level"))

        async def agree(_: Decide) -> None:
            await commit(race.other, change("Person/a", boss="theirs"))

        race.meanwhile(agree)
        with pytest.raises(SchemaViolatedByData):
            await race.merge()

    async def test_a_conflict_that_the_target_makes_meanwhile_is_reported(self, race: Race) -> None:
        await commit(race.other, person("a"))
        await branch(race.other, "side")
        await commit(race.other, change("Person/a", boss="theirs"), branch="side")

        async def disagree(_: Decide) -> None:
            await commit(race.other, change("Person/a", boss="ours"))

        race.meanwhile(disagree)
        merged = await race.merge()
        assert [(one.id, one.property, one.ours) for one in merged.conflicts] == [("Person/a", "boss", b'"ours"')]
        assert merged.ours_commit == await head(race.other)


class TestOntologyMeanwhile:
    async def test_an_ontology_that_changes_and_changes_back_meanwhile_is_merged_as_if_it_never_had(
        self, race: Race
    ) -> None:
        await commit(race.other, Put(body({"@type": "Bag", "@id": "Bag/1", "items": ["b", "a", "b"]})))
        await branch(race.other, "side")
        theirs = {**BAG, "label": {"@type": "Optional", "@class": "xsd:string"}}
        await commit(race.other, change("Bag/1", label="x"), branch="side", ontology=schema_edit(theirs))

        async def there_and_back(_: Decide) -> None:
            await commit(race.other, ontology=schema_edit({**BAG, "@documentation": "for a while"}))
            await commit(race.other, ontology=schema_edit(BAG))

        race.meanwhile(there_and_back)
        assert (await race.merge()).outcome is MergeOutcome.MERGED
        ontologies = [await race.other.ontologies.get(ANA, DB, ref) for ref in ("main", "side")]
        assert ontologies[0].digest == ontologies[1].digest
        assert (await documents(race.other))["Bag/1"] == (await documents(race.other, "side"))["Bag/1"]
        assert await verified(race.other)

    async def test_documents_that_a_passing_ontology_rewrote_are_merged_as_they_are_now(self, race: Race) -> None:
        await commit(race.other, Put(body({"@type": "Bag", "@id": "Bag/1", "items": ["b", "a", "b"]})))
        await branch(race.other, "side")
        theirs = {**BAG, "label": {"@type": "Optional", "@class": "xsd:string"}}
        await commit(race.other, change("Bag/1", label="x"), branch="side", ontology=schema_edit(theirs))

        async def there_and_back(_: Decide) -> None:
            await commit(race.other, ontology=schema_edit(BAG_OF_A_SET))
            await commit(race.other, ontology=schema_edit(BAG))

        race.meanwhile(there_and_back)
        assert (await race.merge()).outcome is MergeOutcome.MERGED
        assert (await documents(race.other))["Bag/1"] == {
            "@type": "Bag",
            "@id": "Bag/1",
            "items": ["a", "b"],
            "label": "x",
        }
        assert await verified(race.other)

    async def test_an_ontology_that_changes_meanwhile_is_merged_as_it_is_now(self, race: Race) -> None:
        await branch(race.other, "side")
        await commit(race.other, person("a", level=1), branch="side")

        async def change_ontology(_: Decide) -> None:
            await commit(race.other, ontology=schema_edit({**PERSON, "level": "xsd:string"}))

        race.meanwhile(change_ontology)
        with pytest.raises(MergeViolation) as refused:
            await race.merge()
        assert [violation.field for violation in refused.value.violations] == ["Person/a.level"]


class TestTargetMadeAnew:
    @pytest.fixture
    async def forked(self, race: Race) -> str:
        """The commit that `target` had before what `side` and it have in common: it lacks b."""
        await commit(race.other, person("a"))
        await branch(race.other, "target")
        first = (await commit(race.other, person("first"), branch="target")).commit.id
        await commit(race.other, person("b"), branch="target")
        await branch(race.other, "side", "target")
        await commit(race.other, person("theirs"), branch="side")
        await commit(race.other, person("ours"), branch="target")
        return first

    async def test_a_target_made_anew_further_back_gets_all_that_it_lacks_there(self, race: Race, forked: str) -> None:
        async def rewind(_: Decide) -> None:
            await race.other.branches.delete(ANA, DB, "target", "")
            await branch(race.other, "target", f"commit:{forked}")

        race.meanwhile(rewind)
        merged = await race.merge("target")
        assert merged.outcome is MergeOutcome.MERGED
        assert (merged.ours_commit, merged.base_commits) == (forked, (forked,))
        assert set(await documents(race.other, "target")) == {"Person/a", "Person/first", "Person/b", "Person/theirs"}

    async def test_a_target_made_anew_on_another_line_gets_all_that_it_lacks_there(
        self, race: Race, forked: str
    ) -> None:
        async def move_to_main(_: Decide) -> None:
            await race.other.branches.delete(ANA, DB, "target", "")
            await branch(race.other, "target", "main")
            await commit(race.other, person("anew"), branch="target")

        race.meanwhile(move_to_main)
        merged = await race.merge("target")
        assert merged.outcome is MergeOutcome.MERGED
        assert merged.base_commits == (await head(race.other),)
        found = set(await documents(race.other, "target"))
        assert found == {"Person/a", "Person/first", "Person/b", "Person/theirs", "Person/anew"}

    async def test_a_target_deleted_meanwhile_is_not_found(self, race: Race, forked: str) -> None:
        race.meanwhile(lambda _: race.other.branches.delete(ANA, DB, "target", ""))
        with pytest.raises(BranchNotFound):
            await race.merge("target")

    async def test_a_decision_run_again_where_the_target_stood_before_forgets_what_it_saw_elsewhere(
        self, race: Race
    ) -> None:
        await commit(race.other, person("a"))
        await branch(race.other, "target")
        await branch(race.other, "side")
        await commit(race.other, change("Person/a", level=1), branch="side")

        async def run_elsewhere(decide: Decide) -> None:
            await commit(race.other, change("Person/a", boss="undone"), branch="target")
            await race.store.commit(DB, "target", decide, request=None, weight=1, dry_run=True)
            await race.other.branches.delete(ANA, DB, "target", "")
            await branch(race.other, "target")

        race.meanwhile(run_elsewhere)
        assert (await race.merge("target")).outcome is MergeOutcome.MERGED
        merged = (await documents(race.other, "target"))["Person/a"]
        assert merged == (await documents(race.other, "side"))["Person/a"]
        assert await verified(race.other, "target")


class TestConflictsBeforeViolations:
    async def test_a_conflict_of_the_ontology_comes_before_a_document_that_fits_only_once_it_is_settled(
        self, race: Race
    ) -> None:
        await branch(race.other, "side")
        await commit(race.other, ontology=schema_edit({**PERSON, "level": "xsd:integer"}))
        optional = {**PERSON, "level": {"@type": "Optional", "@class": "xsd:decimal"}}
        await commit(race.other, person("a"), branch="side", ontology=schema_edit(optional))
        found = await race.merge()
        assert [(one.id, one.property) for one in found.conflicts] == [("@schema/Person", "level")]
        with pytest.raises(MergeViolation) as refused:
            await race.merge("main", Resolution("@schema/Person", "level", MergeSide.OURS))
        assert [violation.field for violation in refused.value.violations] == ["Person/a.level"]
        settled = await race.merge("main", Resolution("@schema/Person", "level", MergeSide.THEIRS))
        assert settled.outcome is MergeOutcome.MERGED
        assert await documents(race.other) == await documents(race.other, "side")

    async def test_a_conflict_comes_before_an_ontology_that_is_valid_only_once_it_is_settled(self, race: Race) -> None:
        await branch(race.other, "side")
        await commit(race.other, ontology=schema_edit(remove=("Bag",)))
        linking = {"@type": "Class", "@id": "Shelf", "bag": "Bag"}
        await commit(race.other, branch="side", ontology=schema_edit(BAG_OF_A_SET, linking))
        found = await race.merge()
        assert [(one.id, one.property) for one in found.conflicts] == [("@schema/Bag", "")]
        with pytest.raises(MergeViolation):
            await race.merge("main", Resolution("@schema/Bag", "", MergeSide.OURS))
        settled = await race.merge("main", Resolution("@schema/Bag", "", MergeSide.THEIRS))
        assert settled.outcome is MergeOutcome.MERGED

    async def test_a_merged_document_that_does_not_fit_is_a_violation_where_nothing_conflicts(self, race: Race) -> None:
        await branch(race.other, "side")
        await commit(race.other, ontology=schema_edit({**PERSON, "level": "xsd:integer"}))
        await commit(race.other, person("a"), branch="side")
        with pytest.raises(MergeViolation) as refused:
            await race.merge()
        assert [violation.field for violation in refused.value.violations] == ["Person/a.level"]

    async def test_a_violation_that_the_target_mends_meanwhile_is_none(self, race: Race) -> None:
        await branch(race.other, "side")
        await commit(race.other, ontology=schema_edit({**PERSON, "level": "xsd:integer"}))
        await commit(race.other, person("a", boss="b"), branch="side")
        race.meanwhile(lambda _: commit(race.other, person("a", level=1)))
        assert (await race.merge()).outcome is MergeOutcome.MERGED
        assert await documents(race.other) == {
            "Person/a": {"@type": "Person", "@id": "Person/a", "name": "a", "boss": "b", "level": 1}
        }

    @pytest.mark.live
    async def test_a_merged_ontology_larger_than_a_mebibyte_is_a_violation(self, race: Race) -> None:
        def large(name: str) -> dict[str, str]:
            return {"@type": "Class", "@id": name, "@documentation": "x" * 600_000}

        await branch(race.other, "side")
        await commit(race.other, ontology=schema_edit(large("A")))
        await commit(race.other, branch="side", ontology=schema_edit(large("B")))
        before = await head(race.other)
        with pytest.raises(MergeViolation):
            await race.merge()
        assert await head(race.other) == before


class TestResolutions:
    @pytest.fixture
    async def conflicting(self, race: Race) -> None:
        await commit(race.other, person("a", boss="base", level=0))
        await branch(race.other, "side")
        await commit(race.other, change("Person/a", level=1))
        await commit(race.other, change("Person/a", level=2), branch="side")

    @pytest.mark.usefixtures("conflicting")
    async def test_a_documents_resolution_beside_one_for_its_only_conflict_counts_as_used(self, race: Race) -> None:
        settled = await race.merge(
            "main",
            Resolution("Person/a", "", MergeSide.OURS),
            Resolution("Person/a", "level", MergeSide.THEIRS),
        )
        assert settled.outcome is MergeOutcome.MERGED
        assert (await documents(race.other))["Person/a"]["level"] == 2

    @pytest.mark.usefixtures("conflicting")
    async def test_a_documents_resolution_settles_what_no_property_resolution_does(self, race: Race) -> None:
        await commit(race.other, change("Person/a", boss="ours"))
        await commit(race.other, change("Person/a", boss="theirs"), branch="side")
        await race.merge(
            "main",
            Resolution("Person/a", "level", b"7"),
            Resolution("Person/a", "", MergeSide.THEIRS),
            strategy=MergeSide.OURS,
        )
        merged = (await documents(race.other))["Person/a"]
        assert (merged["level"], merged["boss"]) == (7, "theirs")

    @pytest.mark.usefixtures("conflicting")
    async def test_a_resolution_that_no_conflict_asks_for_is_unknown(self, race: Race) -> None:
        level = Resolution("Person/a", "level", MergeSide.THEIRS)
        for other in (
            Resolution("Person/a", "boss", MergeSide.OURS),
            Resolution("Person/a", "", b'{"@type":"Person","name":"a"}'),
            Resolution("Person/b", "", MergeSide.OURS),
        ):
            with pytest.raises(UnknownConflict) as refused:
                await race.merge("main", level, other)
            assert [violation.field for violation in refused.value.violations] == ["resolutions[1]"]

    @pytest.mark.usefixtures("conflicting")
    async def test_a_resolution_of_a_conflict_that_vanishes_meanwhile_is_unknown(self, race: Race) -> None:
        race.meanwhile(lambda _: commit(race.other, change("Person/a", level=2)))
        with pytest.raises(UnknownConflict):
            await race.merge("main", Resolution("Person/a", "level", MergeSide.THEIRS), strategy=MergeSide.OURS)


OPENER = """
import asyncio, fcntl, sys
from pathlib import Path
from ontomesh_data_kernel.adapters.sqlite import open_store
from ontomesh_data_kernel.domain.kernel import Kernel
from tests.contract.inprocess import ANA

async def main():
    print("ready", flush=True)
    for line in sys.stdin:
        path = Path(line.strip())
        with path.with_suffix(".gate").open() as gate:
            print("waiting", flush=True)
            fcntl.flock(gate, fcntl.LOCK_SH)
        kernel = Kernel(await open_store(path))
        await kernel.databases.create(ANA, sys.argv[1], "", "")
        await kernel.close()
        print("used", flush=True)

asyncio.run(main())
"""
"""Opens each store that it is told of as soon as a gate beside it opens, and leaves a database of its own there."""


@pytest.mark.sqlite
class TestNewFile:
    async def test_processes_that_open_a_new_store_at_once_all_get_it(self, tmp_path: Path) -> None:
        names = [f"p{number}" for number in range(6)]
        openers = [
            await asyncio.create_subprocess_exec(
                sys.executable, "-c", OPENER, name, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
            )
            for name in names
        ]
        try:
            assert await _said(openers) == ["ready"] * 6
            for number in range(5):
                path = tmp_path / f"kernel{number}.db"
                with path.with_suffix(".gate").open("w") as gate:
                    fcntl.flock(gate, fcntl.LOCK_EX)
                    for opener in openers:
                        assert opener.stdin is not None
                        opener.stdin.write(f"{path}\n".encode())
                    assert await _said(openers) == ["waiting"] * 6
                assert await _said(openers) == ["used"] * 6
                kernel = await open_kernel(path)
                page = await kernel.databases.list(ANA, 0, "")
                assert [database.name for database in page.databases] == names
                await kernel.close()
        finally:
            for opener in openers:
                assert opener.stdin is not None
                opener.stdin.close()
            await asyncio.gather(*(opener.wait() for opener in openers))

    async def test_a_store_that_another_process_finishes_creating_at_any_moment_of_the_opening_is_opened(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        statements = await _creation(tmp_path / "template.db")
        moment = 0
        while await _created_meanwhile(tmp_path / f"kernel{moment}.db", statements, moment, monkeypatch):
            moment += 1
        assert moment > 4

    async def test_a_store_that_another_process_writes_while_it_gets_its_log_is_opened_once_that_is_done(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "kernel.db"
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        tries = 0

        def finish(statement: str) -> None:
            nonlocal tries
            tries += "journal_mode" in statement
            if tries == 2 and other.in_transaction:
                other.execute("ROLLBACK")

        await _open(path, finish, monkeypatch)
        other.close()
        await _use(path)


async def _created_meanwhile(
    path: Path, statements: Sequence[str], moment: int, monkeypatch: pytest.MonkeyPatch
) -> bool:
    """Open a store whose creation by another process ends before this statement of the opening.

    Returns whether it was before the opening began to create it too.
    """
    creator = sqlite3.connect(path, isolation_level=None)
    for statement in ("PRAGMA journal_mode=WAL", "BEGIN IMMEDIATE", *statements):
        creator.execute(statement)
    seen: list[str] = []

    def finish(statement: str) -> None:
        seen.append(statement)
        if creator.in_transaction and (len(seen) > moment or statement == "BEGIN IMMEDIATE"):
            creator.execute("COMMIT")

    await _open(path, finish, monkeypatch)
    creator.close()
    await _use(path)
    return "BEGIN IMMEDIATE" not in seen


async def _open(path: Path, before: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Open a store and close it; what it writes with tells of each statement before it runs."""
    connect = connection.connect

    def traced(path: Path) -> sqlite3.Connection:
        made = connect(path)
        made.set_trace_callback(before)
        return made

    with monkeypatch.context() as patch:
        patch.setattr(connection, "connect", traced)
        await (await open_file(path)).close()


async def _use(path: Path) -> None:
    kernel = await open_kernel(path)
    await new_database(kernel, PERSON)
    await commit(kernel, person("a"))
    assert set(await documents(kernel)) == {"Person/a"}
    await kernel.close()


async def _creation(path: Path) -> list[str]:
    """The statements that create a store."""
    await (await open_file(path)).close()
    template = sqlite3.connect(path)
    tables = template.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL").fetchall()
    marks = [(name, *template.execute(f"PRAGMA {name}").fetchone()) for name in ("application_id", "user_version")]
    template.close()
    return [sql for (sql,) in tables] + [f"PRAGMA {name}={value}" for name, value in marks]


async def _said(processes: Sequence[asyncio.subprocess.Process]) -> list[str]:
    """The next line of each."""

    async def line(process: asyncio.subprocess.Process) -> str:
        assert process.stdout is not None
        return (await process.stdout.readline()).decode().strip()

    return await asyncio.gather(*(line(process) for process in processes))
