"""Commits in process: idempotency, ontology changes with data, refs, and the store's own failures."""

import asyncio
import hashlib
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest

from ontomesh_data_kernel.adapters.sqlite import UnknownFormat, open_store
from ontomesh_data_kernel.domain.kernel import Kernel
from ontomesh_data_kernel.domain.model import (
    CommitRequest,
    Delete,
    Insert,
    MergeOutcome,
    MergeRequest,
    MergeSide,
    Put,
    Update,
)
from ontomesh_data_kernel.errors import (
    CommitNotFound,
    InvalidPageToken,
    MergeViolation,
    RequestIdReused,
    SchemaViolatedByData,
    StillReferenced,
    StoreFull,
    UnrelatedHistories,
)
from tests.contract.inprocess import (
    ANA,
    DB,
    Only,
    body,
    commit,
    documents,
    head,
    kernel_on,
    new_database,
    open_kernel,
    schema_edit,
)
from tests.contract.stores import START

pytestmark = pytest.mark.usefixtures("store")

WEEK = 7 * 86_400 * 1_000_000
NOTE = {"@type": "Class", "@id": "Note", "text": {"@type": "Optional", "@class": "xsd:string"}}
PERSON = {
    "@type": "Class",
    "@id": "Person",
    "@key": {"@type": "Lexical", "@fields": ["name"]},
    "name": "xsd:string",
    "boss": {"@type": "Optional", "@class": "xsd:string"},
    "level": {"@type": "Optional", "@class": "xsd:integer"},
}


def person(name: str, **rest: object) -> bytes:
    return body({"@type": "Person", "name": name, **rest})


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def kernel(tmp_path: Path, clock: Clock) -> AsyncIterator[Kernel]:
    made = await open_kernel(tmp_path / "kernel.db", clock)
    await new_database(made, NOTE, PERSON)
    yield made
    await made.close()


class TestIdempotency:
    @pytest.mark.live
    async def test_the_same_request_sent_at_once_64_times_commits_once(self, kernel: Kernel) -> None:
        request = CommitRequest(DB, "main", (Insert(body({"@type": "Note"})),), request_id="r1")
        answers = await asyncio.gather(*(kernel.commits.create(ANA, request) for _ in range(64)))
        assert len({(one.commit.id, one.results) for one in answers}) == 1
        assert len(await documents(kernel)) == 1

    async def test_another_body_is_refused_and_another_principal_has_ids_of_its_own(self, kernel: Kernel) -> None:
        await commit(kernel, Put(person("a")), request_id="r1")
        with pytest.raises(RequestIdReused):
            await commit(kernel, Put(person("b")), request_id="r1")
        bob = replace(ANA, principal="user:bob")
        await kernel.commits.create(bob, CommitRequest(DB, "main", (Put(person("b")),), request_id="r1"))
        assert sorted(await documents(kernel)) == ["Person/a", "Person/b"]

    async def test_an_answer_is_kept_for_seven_days_and_over_a_restart(
        self, kernel: Kernel, clock: Clock, tmp_path: Path
    ) -> None:
        first = await commit(kernel, Insert(body({"@type": "Note"})), request_id="r1")
        await kernel.close()
        again = await open_kernel(tmp_path / "kernel.db", clock)
        request = CommitRequest(DB, "main", (Insert(body({"@type": "Note"})),), request_id="r1")
        clock.now += WEEK - 1_000_000
        assert (await again.commits.create(ANA, request)) == first
        clock.now += 2_000_000
        assert (await again.commits.create(ANA, request)) != first
        assert len(await documents(again)) == 2
        await again.close()

    async def test_an_answer_stands_even_if_the_ontology_would_refuse_the_body_now(self, kernel: Kernel) -> None:
        first = await commit(kernel, Put(person("a", level=1)), request_id="r1")
        await commit(kernel, Delete("Person/a"), ontology=None)
        await commit(kernel, ontology=schema_edit(remove=("Person",)))
        assert await commit(kernel, Put(person("a", level=1)), request_id="r1") == first

    async def test_branches_databases_and_merges_are_made_once(self, kernel: Kernel) -> None:
        branches = [await kernel.branches.create(ANA, DB, "b", "", False, "r2") for _ in range(2)]
        assert branches[0] == branches[1]
        databases = [await kernel.databases.create(ANA, "other", "x", "r3") for _ in range(2)]
        assert databases[0] == databases[1]
        await commit(kernel, Put(person("a")), branch="b")
        merges = [await kernel.merges.merge(ANA, MergeRequest(DB, "main", "b", request_id="r4")) for _ in range(2)]
        assert merges[0] == merges[1]
        assert merges[0].outcome is MergeOutcome.MERGED


class TestOntologyChanges:
    async def test_documents_and_the_classes_they_need_arrive_in_one_commit(self, kernel: Kernel) -> None:
        pet = {"@type": "Class", "@id": "Pet", "owner": "Person"}
        operations = (Insert(body({"@type": "Pet", "@id": "Pet/1", "owner": "Person/a"})), Insert(person("a")))
        await commit(kernel, *operations, ontology=schema_edit(pet))
        assert set(await documents(kernel)) == {"Pet/1", "Person/a"}
        assert "Pet" not in (await kernel.ontologies.get(ANA, DB, "main~1")).schema.decode()

    async def test_strengthening_names_the_documents_that_do_not_fit_and_changes_nothing(self, kernel: Kernel) -> None:
        await commit(kernel, *(Put(person(f"p{number}")) for number in range(150)))
        before = await head(kernel)
        strict = {**PERSON, "level": "xsd:integer"}
        with pytest.raises(SchemaViolatedByData) as refused:
            await commit(kernel, ontology=schema_edit(strict))
        assert len(refused.value.violations) == 100
        assert refused.value.metadata["violations"] == "150"
        assert refused.value.violations[0].field == "Person/p0.level"
        assert await head(kernel) == before
        fixed = [Update(f"Person/p{number}", b'{"level":1}') for number in range(150)]
        await commit(kernel, *fixed, ontology=schema_edit(strict))

    async def test_a_property_that_becomes_a_link_is_indexed_as_one(self, kernel: Kernel) -> None:
        await commit(kernel, Put(person("a")), Put(person("b", boss="Person/a")))
        await kernel.branches.create(ANA, DB, "side", "", False, "")
        linked = {**PERSON, "boss": {"@type": "Optional", "@class": "Person"}}
        for branch in ("main", "side"):
            await commit(kernel, branch=branch, ontology=schema_edit(linked))
            with pytest.raises(StillReferenced):
                await commit(kernel, Delete("Person/a"), branch=branch)
            await commit(kernel, Update("Person/b", b'{"boss":null}'), branch=branch)
            await commit(kernel, Delete("Person/a"), branch=branch)
            assert list(await documents(kernel, branch)) == ["Person/b"]

    async def test_a_class_with_documents_cannot_go_nor_get_another_key(self, kernel: Kernel) -> None:
        await commit(kernel, Put(person("a")))
        for change in (schema_edit(remove=("Person",)), schema_edit({**PERSON, "@key": {"@type": "Random"}})):
            with pytest.raises(SchemaViolatedByData):
                await commit(kernel, ontology=change)
        await commit(kernel, Delete("Person/a"), ontology=schema_edit(remove=("Person",)))
        assert await documents(kernel) == {}

    async def test_a_change_of_canonical_form_rewrites_the_documents(self, kernel: Kernel) -> None:
        listed = {"@type": "Class", "@id": "Bag", "items": {"@type": "List", "@class": "xsd:string"}}
        await commit(
            kernel, Put(body({"@type": "Bag", "@id": "Bag/1", "items": ["b", "a", "b"]})), ontology=schema_edit(listed)
        )
        made = await commit(kernel, ontology=schema_edit({**listed, "items": {"@type": "Set", "@class": "xsd:string"}}))
        assert (await documents(kernel))["Bag/1"]["items"] == ["a", "b"]
        assert made.commit.change_count == 2
        reports = [report async for report in kernel.commits.verify(ANA, DB, "main")]
        assert reports[-1].problems == ()


class TestMerges:
    async def test_a_link_to_what_the_other_side_deleted_is_refused(self, kernel: Kernel) -> None:
        linked = {**PERSON, "boss": {"@type": "Optional", "@class": "Person"}}
        await commit(kernel, Put(person("a")), ontology=schema_edit(linked))
        await kernel.branches.create(ANA, DB, "side", "", False, "")
        await commit(kernel, Put(person("b", boss="Person/a")))
        await commit(kernel, Delete("Person/a"), branch="side")
        for into, source in (("main", "side"), ("side", "main")):
            with pytest.raises(MergeViolation):
                await kernel.merges.merge(ANA, MergeRequest(DB, into, source))

    async def test_both_sides_classes_come_together_and_a_tightened_class_is_checked(self, kernel: Kernel) -> None:
        await kernel.branches.create(ANA, DB, "side", "", False, "")
        await commit(kernel, ontology=schema_edit({"@type": "Class", "@id": "A"}))
        await commit(kernel, branch="side", ontology=schema_edit({"@type": "Class", "@id": "B"}))
        merged = await kernel.merges.merge(ANA, MergeRequest(DB, "main", "side"))
        assert merged.outcome is MergeOutcome.MERGED
        classes = [element["@id"] for element in orjson.loads((await kernel.ontologies.get(ANA, DB, "")).schema)]
        assert classes == ["A", "B", "Note", "Person"]
        await commit(kernel, branch="side", ontology=schema_edit({**PERSON, "level": "xsd:integer"}))
        await commit(kernel, Put(person("new")))
        with pytest.raises(SchemaViolatedByData):
            await kernel.merges.merge(ANA, MergeRequest(DB, "main", "side"))

    async def test_the_ontologies_themselves_conflict_by_property(self, kernel: Kernel) -> None:
        await kernel.branches.create(ANA, DB, "side", "", False, "")
        await commit(kernel, ontology=schema_edit({**NOTE, "text": "xsd:string"}))
        await commit(
            kernel, branch="side", ontology=schema_edit({**NOTE, "text": {"@type": "Set", "@class": "xsd:string"}})
        )
        found = await kernel.merges.merge(ANA, MergeRequest(DB, "main", "side"))
        assert [(one.id, one.property) for one in found.conflicts] == [("@schema/Note", "text")]
        taken = await kernel.merges.merge(ANA, MergeRequest(DB, "main", "side", MergeSide.OURS))
        assert taken.outcome is MergeOutcome.MERGED

    async def test_branches_of_other_origin_do_not_merge(self, kernel: Kernel) -> None:
        await kernel.branches.create(ANA, DB, "alone", "", True, "")
        with pytest.raises(UnrelatedHistories):
            await kernel.merges.merge(ANA, MergeRequest(DB, "main", "alone"))

    @pytest.mark.live
    async def test_a_merge_amid_other_writers_loses_nothing(self, kernel: Kernel) -> None:
        await commit(kernel, *(Put(person(f"p{number}")) for number in range(40)))
        await kernel.branches.create(ANA, DB, "side", "", False, "")
        await commit(kernel, *(Update(f"Person/p{n}", b'{"level":1}') for n in range(40)), branch="side")
        writers = [commit(kernel, Update(f"Person/p{n}", orjson.dumps({"boss": f"b{n}"}))) for n in range(40)]
        merging = asyncio.create_task(kernel.merges.merge(ANA, MergeRequest(DB, "main", "side")))
        await asyncio.gather(*writers)
        merged = await merging
        assert merged.outcome is MergeOutcome.MERGED
        found = await documents(kernel)
        assert all(found[f"Person/p{n}"]["level"] == 1 and found[f"Person/p{n}"]["boss"] == f"b{n}" for n in range(40))


class TestRefs:
    async def test_every_form_names_the_commit_it_should(self, kernel: Kernel, clock: Clock) -> None:
        ids = []
        for number in range(4):
            clock.now += 1_000_000
            ids.append((await commit(kernel, Put(person("a", level=number)))).commit)
        await kernel.branches.create(ANA, DB, "team/x", f"commit:{ids[1].id}", False, "")
        clock.now += 1_000_000
        own = (await commit(kernel, Put(person("a", level=9)), branch="team/x")).commit

        async def named(ref: str) -> str:
            return (await kernel.refs.resolve(ANA, DB, ref)).commit.id

        assert await named("main") == ids[3].id
        assert await named("main~") == ids[2].id
        assert await named("main~3") == ids[0].id
        assert await named("team/x") == own.id
        assert await named("team/x~1") == ids[1].id
        assert await named("team/x~2") == ids[0].id
        assert await named(f"commit:{ids[2].id[:12]}") == ids[2].id
        assert await named(f"commit:{ids[2].id}~2") == ids[0].id
        moment = _rfc3339(ids[2].time)
        assert await named(f"main@{moment}") == ids[2].id
        assert await named(f"main@{_rfc3339(ids[2].time - 1)}") == ids[1].id
        assert await named(f"team/x@{moment}") == ids[1].id
        for beyond in ("main~99", f"main@{_rfc3339(1)}", "commit:" + "0" * 64):
            with pytest.raises(CommitNotFound):
                await named(beyond)

    async def test_a_page_token_gives_no_way_into_another_branch(self, kernel: Kernel) -> None:
        await commit(kernel, *(Put(person(f"p{number}")) for number in range(5)))
        await kernel.branches.create(ANA, DB, "secret", "", False, "")
        await commit(kernel, Put(person("s")), branch="secret")
        eve = replace(ANA, principal="user:eve", rights=Only(lambda right, database, branch: branch in ("main", "")))
        page = await kernel.documents.list(ANA, DB, "secret", "", False, 2, "")
        for ref in ("main", "secret"):
            with pytest.raises(Exception, match=r"page_token|no right"):
                await kernel.documents.list(eve, DB, ref, "", False, 2, page.next_page_token)
        own = await kernel.documents.list(eve, DB, "main", "", False, 2, "")
        await commit(kernel, Delete("Person/p3"))
        rest = await kernel.documents.list(eve, DB, "main", "", False, 9, own.next_page_token)
        assert [one.id for one in rest.documents] == ["Person/p2", "Person/p3", "Person/p4"]
        with pytest.raises(InvalidPageToken):
            await kernel.documents.list(eve, DB, "main", "Person", False, 9, own.next_page_token)


@pytest.mark.sqlite
class TestFile:
    @pytest.mark.parametrize("damage", ["newer format", "another database", "no database"])
    async def test_a_file_of_another_kind_is_refused_and_left_as_it_was(self, tmp_path: Path, damage: str) -> None:
        path = tmp_path / "kernel.db"
        if damage == "no database":
            path.write_bytes(b"not a database, " * 300)
        else:
            connection = sqlite3.connect(path)
            if damage == "newer format":
                connection.execute("PRAGMA application_id=1330533455")
                connection.execute("PRAGMA user_version=99")
            connection.execute("CREATE TABLE other (id INTEGER)")
            connection.close()
        before = hashlib.sha256(path.read_bytes()).hexdigest()
        with pytest.raises(UnknownFormat):
            await open_store(path)
        assert hashlib.sha256(path.read_bytes()).hexdigest() == before

    async def test_a_full_store_refuses_keeps_what_it_has_and_goes_on_once_there_is_room(self, tmp_path: Path) -> None:
        store = await open_store(tmp_path / "kernel.db")
        kernel = kernel_on(store)
        await new_database(kernel, NOTE)
        connection = store._writer._connection
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count={pages + 12}")
        note = Insert(body({"@type": "Note", "text": "x" * 3_000}))
        made = await asyncio.gather(*(commit(kernel, note) for _ in range(40)), return_exceptions=True)
        kept = [one for one in made if not isinstance(one, BaseException)]
        assert 0 < len(kept) < 40
        assert all(isinstance(one, StoreFull) for one in made if isinstance(one, BaseException))
        assert len(await documents(kernel)) == len(kept)
        connection.execute("PRAGMA max_page_count=1000000")
        await commit(kernel, note)
        reports = [report async for report in kernel.commits.verify(ANA, DB, "main")]
        assert reports[-1].problems == ()
        await kernel.close()

    async def test_another_process_that_holds_the_lock_delays_a_commit_and_no_read(self, tmp_path: Path) -> None:
        kernel = await open_kernel(tmp_path / "kernel.db")
        await new_database(kernel, NOTE)
        other = sqlite3.connect(tmp_path / "kernel.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(commit(kernel, Insert(body({"@type": "Note"}))))
        assert await documents(kernel) == {}
        assert not waiting.done()
        other.execute("ROLLBACK")
        other.close()
        await waiting
        assert len(await documents(kernel)) == 1
        await kernel.close()

    async def test_a_changed_byte_is_found_by_verify(self, tmp_path: Path) -> None:
        kernel = await open_kernel(tmp_path / "kernel.db")
        await new_database(kernel, NOTE)
        made = await commit(kernel, Insert(body({"@type": "Note", "@id": "Note/1", "text": "true"})))
        await commit(kernel, Insert(body({"@type": "Note", "@id": "Note/2"})))
        await kernel.close()
        connection = sqlite3.connect(tmp_path / "kernel.db")
        connection.execute(
            "UPDATE doc SET body=CAST(replace(CAST(body AS TEXT), 'true', 'fals') AS BLOB) WHERE body IS NOT NULL"
        )
        connection.execute("UPDATE commits SET message='forged' WHERE hash=?", (bytes.fromhex(made.commit.id),))
        connection.commit()
        connection.close()
        again = await open_kernel(tmp_path / "kernel.db")
        reports = [report async for report in again.commits.verify(ANA, DB, "main")]
        found = {(problem.commit, problem.id) for report in reports for problem in report.problems}
        assert found == {(made.commit.id, "Note/1"), (made.commit.id, "")}
        await again.close()


def _rfc3339(microseconds: int) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    return moment.isoformat().replace("+00:00", "Z")


class TestPages:
    @pytest.mark.live
    async def test_a_page_of_a_log_ends_before_it_is_too_large_to_send(self, kernel: Kernel) -> None:
        ids = [(await commit(kernel, Put(person("a", level=n)), message="m" * 65_000)).commit.id for n in range(60)]
        listed: list[str] = []
        token = ""
        while token or not listed:
            page = await kernel.commits.list(ANA, DB, "main", False, 1000, token)
            assert sum(len(one.message) for one in page.commits) <= 3 << 20
            listed += [one.id for one in page.commits]
            token = page.next_page_token
        assert listed[:60] == ids[::-1]
        assert len(listed) == len(set(listed)) == 62
