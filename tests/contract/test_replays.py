"""Requests that were answered before get the same answer, whatever has gone since; what is too large never gets in."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ontomesh_data_kernel.domain.kernel import Kernel
from ontomesh_data_kernel.domain.model import (
    Delete,
    Insert,
    MergeOutcome,
    MergeRequest,
    Operation,
    Put,
    Update,
)
from ontomesh_data_kernel.errors import (
    BranchNotFound,
    CommitNotFound,
    DatabaseNotFound,
    InvalidRequest,
    InvalidSchema,
    RequestIdReused,
    SchemaViolatedByData,
    SchemaViolation,
    TooLarge,
    UnknownClass,
    UnrelatedHistories,
)
from tests.contract.inprocess import (
    ANA,
    DB,
    body,
    commit,
    documents,
    head,
    new_database,
    open_kernel,
    schema_edit,
)

pytestmark = pytest.mark.usefixtures("store")

MIB = 1 << 20
NOTE = {
    "@type": "Class",
    "@id": "Note",
    "text": {"@type": "Optional", "@class": "xsd:string"},
    "more": {"@type": "Optional", "@class": "xsd:string"},
}
STRICT_NOTE = {**NOTE, "more": "xsd:string"}


def note(name: str, **rest: object) -> Put:
    return Put(body({"@type": "Note", "@id": f"Note/{name}", **rest}))


@pytest.fixture
async def kernel(tmp_path: Path) -> AsyncIterator[Kernel]:
    made = await open_kernel(tmp_path / "kernel.db")
    await new_database(made, NOTE)
    yield made
    await made.close()


@pytest.fixture
async def restarted(tmp_path: Path, kernel: Kernel) -> AsyncIterator[Kernel]:
    """A second kernel on the file, which has met no branch yet and so has no guess at an ontology in force."""
    made = await open_kernel(tmp_path / "kernel.db")
    yield made
    await made.close()


async def branch(kernel: Kernel, name: str, start: str = "", *, empty: bool = False) -> None:
    await kernel.branches.create(ANA, DB, name, start, empty, "")


async def drop(kernel: Kernel, name: str) -> None:
    await kernel.branches.delete(ANA, DB, name, "")


class TestCommits:
    @pytest.mark.parametrize("knows_the_branch", [True, False])
    async def test_a_commit_keeps_its_answer_when_its_branch_is_deleted(
        self, kernel: Kernel, restarted: Kernel, knows_the_branch: bool
    ) -> None:
        await branch(kernel, "side")
        first = await commit(kernel, note("a"), branch="side", request_id="r1")
        await drop(kernel, "side")
        asked = kernel if knows_the_branch else restarted
        assert await commit(asked, note("a"), branch="side", request_id="r1") == first
        with pytest.raises(RequestIdReused):
            await commit(asked, note("b"), branch="side", request_id="r1")
        for request_id in ("", "r2"):
            with pytest.raises(BranchNotFound):
                await commit(asked, note("a"), branch="side", request_id=request_id)

    async def test_a_change_of_the_ontology_keeps_its_answer_when_its_branch_is_deleted(self, kernel: Kernel) -> None:
        await branch(kernel, "side")
        first = await commit(kernel, branch="side", ontology=schema_edit(STRICT_NOTE), request_id="r1")
        await drop(kernel, "side")
        assert await commit(kernel, branch="side", ontology=schema_edit(STRICT_NOTE), request_id="r1") == first
        with pytest.raises(BranchNotFound):
            await commit(kernel, branch="side", ontology=schema_edit(STRICT_NOTE))

    async def test_a_commit_keeps_its_answer_when_its_branch_began_anew(self, kernel: Kernel) -> None:
        await branch(kernel, "side")
        first = await commit(kernel, note("a"), branch="side", request_id="r1")
        await drop(kernel, "side")
        await branch(kernel, "side")
        assert await commit(kernel, note("a"), branch="side", request_id="r1") == first
        assert await documents(kernel, "side") == {}

    @pytest.mark.parametrize("knows_the_ontology", [True, False])
    async def test_a_commit_keeps_its_answer_when_the_ontology_would_refuse_it_now(
        self, kernel: Kernel, restarted: Kernel, knows_the_ontology: bool
    ) -> None:
        first = await commit(kernel, note("a", text="x"), request_id="r1")
        await commit(kernel, Delete("Note/a"), ontology=schema_edit(STRICT_NOTE))
        asked = kernel if knows_the_ontology else restarted
        if knows_the_ontology:
            await commit(asked, note("b", more="y"))
        before = await head(asked)
        assert await commit(asked, note("a", text="x"), request_id="r1") == first
        for request_id in ("", "r2"):
            with pytest.raises(SchemaViolation):
                await commit(asked, note("a", text="x"), request_id=request_id)
        assert await head(asked) == before

    async def test_a_commit_keeps_its_answer_when_its_class_is_gone(self, kernel: Kernel, restarted: Kernel) -> None:
        first = await commit(kernel, note("a"), request_id="r1")
        await commit(kernel, Delete("Note/a"), ontology=schema_edit(remove=("Note",)))
        for asked in (restarted, kernel):
            assert await commit(asked, note("a"), request_id="r1") == first
            with pytest.raises(UnknownClass):
                await commit(asked, note("a"))

    async def test_a_change_of_the_ontology_keeps_its_answer_when_it_would_be_refused_now(self, kernel: Kernel) -> None:
        removal = schema_edit(remove=("Note",))
        removed = await commit(kernel, ontology=removal, request_id="r1")
        assert await commit(kernel, ontology=removal, request_id="r1") == removed
        with pytest.raises(InvalidSchema):
            await commit(kernel, ontology=removal)
        await commit(kernel, ontology=schema_edit(NOTE))
        tightened = await commit(kernel, ontology=schema_edit(STRICT_NOTE), request_id="r2")
        await commit(kernel, note("a"), ontology=schema_edit(NOTE))
        assert await commit(kernel, ontology=schema_edit(STRICT_NOTE), request_id="r2") == tightened
        with pytest.raises(SchemaViolatedByData):
            await commit(kernel, ontology=schema_edit(STRICT_NOTE))


class TestMerges:
    async def test_a_merge_keeps_its_answer_when_its_source_is_deleted(self, kernel: Kernel) -> None:
        await branch(kernel, "side")
        await commit(kernel, note("a"), branch="side")
        request = MergeRequest(DB, "main", "side", request_id="r1")
        first = await kernel.merges.merge(ANA, request)
        assert first.outcome is MergeOutcome.MERGED
        await drop(kernel, "side")
        assert await kernel.merges.merge(ANA, request) == first
        for other in ("", "r2"):
            with pytest.raises(BranchNotFound):
                await kernel.merges.merge(ANA, MergeRequest(DB, "main", "side", request_id=other))
        assert await head(kernel) == (first.commit.id if first.commit else "")

    async def test_a_merge_keeps_its_answer_when_its_target_is_deleted(self, kernel: Kernel) -> None:
        await branch(kernel, "target")
        await commit(kernel, note("a"))
        request = MergeRequest(DB, "target", "main", request_id="r1")
        first = await kernel.merges.merge(ANA, request)
        assert first.outcome is MergeOutcome.MERGED
        await drop(kernel, "target")
        assert await kernel.merges.merge(ANA, request) == first
        for other in ("", "r2"):
            with pytest.raises(BranchNotFound):
                await kernel.merges.merge(ANA, MergeRequest(DB, "target", "main", request_id=other))

    async def test_a_merge_keeps_its_answer_when_both_its_branches_are_deleted(
        self, kernel: Kernel, restarted: Kernel
    ) -> None:
        await branch(kernel, "target")
        await branch(kernel, "side")
        await commit(kernel, note("a"), branch="target")
        await commit(kernel, note("b"), branch="side")
        request = MergeRequest(DB, "target", "side", request_id="r1")
        first = await kernel.merges.merge(ANA, request)
        await drop(kernel, "target")
        await drop(kernel, "side")
        assert await restarted.merges.merge(ANA, request) == first

    async def test_a_merge_keeps_its_answer_when_its_source_goes_back_so_far_no_more(self, kernel: Kernel) -> None:
        await branch(kernel, "side")
        await commit(kernel, note("a"), branch="side")
        await commit(kernel, note("b"), branch="side")
        request = MergeRequest(DB, "main", "side~1", request_id="r1")
        first = await kernel.merges.merge(ANA, request)
        assert first.outcome is MergeOutcome.MERGED
        await drop(kernel, "side")
        await branch(kernel, "side", empty=True)
        assert await kernel.merges.merge(ANA, request) == first
        for other in ("", "r2"):
            with pytest.raises(CommitNotFound):
                await kernel.merges.merge(ANA, MergeRequest(DB, "main", "side~1", request_id=other))

    async def test_a_merge_keeps_its_answer_when_its_target_has_another_origin_now(self, kernel: Kernel) -> None:
        await branch(kernel, "target")
        await commit(kernel, note("a"))
        request = MergeRequest(DB, "target", "main", request_id="r1")
        first = await kernel.merges.merge(ANA, request)
        await drop(kernel, "target")
        await branch(kernel, "target", empty=True)
        assert await kernel.merges.merge(ANA, request) == first
        for other in ("", "r2"):
            with pytest.raises(UnrelatedHistories):
                await kernel.merges.merge(ANA, MergeRequest(DB, "target", "main", request_id=other))


class TestCreations:
    async def test_a_branch_keeps_its_answer_when_its_start_is_deleted(self, kernel: Kernel) -> None:
        await branch(kernel, "start")
        await commit(kernel, note("a"), branch="start")
        first = await kernel.branches.create(ANA, DB, "b", "start", False, "r1")
        await drop(kernel, "start")
        assert await kernel.branches.create(ANA, DB, "b", "start", False, "r1") == first
        for request_id in ("", "r2"):
            with pytest.raises(BranchNotFound):
                await kernel.branches.create(ANA, DB, "b", "start", False, request_id)

    async def test_a_branch_keeps_its_answer_when_its_start_goes_back_so_far_no_more(self, kernel: Kernel) -> None:
        await branch(kernel, "start")
        await commit(kernel, note("a"), branch="start")
        first = await kernel.branches.create(ANA, DB, "b", "start~1", False, "r1")
        await drop(kernel, "start")
        await branch(kernel, "start", empty=True)
        assert await kernel.branches.create(ANA, DB, "b", "start~1", False, "r1") == first
        for request_id in ("", "r2"):
            with pytest.raises(CommitNotFound):
                await kernel.branches.create(ANA, DB, "b", "start~1", False, request_id)

    async def test_a_branch_keeps_its_answer_when_it_moved_and_when_it_is_deleted(self, kernel: Kernel) -> None:
        first = await kernel.branches.create(ANA, DB, "b", "", False, "r1")
        await commit(kernel, note("a"), branch="b")
        assert await kernel.branches.create(ANA, DB, "b", "", False, "r1") == first
        await drop(kernel, "b")
        assert await kernel.branches.create(ANA, DB, "b", "", False, "r1") == first
        with pytest.raises(BranchNotFound):
            await kernel.branches.get(ANA, DB, "b")

    async def test_a_database_keeps_its_answer_when_it_is_changed_and_when_it_is_deleted(self, kernel: Kernel) -> None:
        first = await kernel.databases.create(ANA, "other", 'as it "was" – first', "r1")
        changed = await kernel.databases.update(ANA, "other", "as it is", "")
        assert (changed.description, changed.etag) != (first.description, first.etag)
        assert await kernel.databases.create(ANA, "other", 'as it "was" – first', "r1") == first
        assert await kernel.databases.get(ANA, "other") == changed
        await kernel.databases.delete(ANA, "other", "")
        assert await kernel.databases.create(ANA, "other", 'as it "was" – first', "r1") == first
        with pytest.raises(DatabaseNotFound):
            await kernel.databases.get(ANA, "other")


class TestOperations:
    @pytest.mark.parametrize(
        ("operation", "field"),
        [
            (Update("@schema/Note", b'{"@documentation":"x"}'), "operations[0].update.id"),
            (Delete("@schema/Note"), "operations[0].delete.id"),
        ],
    )
    async def test_an_operation_on_an_element_of_the_ontology_is_refused(
        self, kernel: Kernel, operation: Operation, field: str
    ) -> None:
        before = await head(kernel)
        with pytest.raises(InvalidRequest) as refused:
            await commit(kernel, operation)
        assert [violation.field for violation in refused.value.violations] == [field]
        assert await head(kernel) == before

    @pytest.mark.live
    async def test_an_update_that_makes_a_document_larger_than_a_mebibyte_is_refused(self, kernel: Kernel) -> None:
        await commit(kernel, note("a", text="x" * (MIB // 2)))
        before = await head(kernel)
        (kept,) = (await documents(kernel)).values()
        room = MIB - len(body({**kept, "more": ""}))
        with pytest.raises(TooLarge) as refused:
            await commit(kernel, Update("Note/a", body({"more": "y" * (room + 1)})))
        assert refused.value.metadata == {"size": str(MIB + 1), "limit": str(MIB)}
        assert [violation.field for violation in refused.value.violations] == ["operations[0].update.patch"]
        assert await head(kernel) == before
        await commit(kernel, Update("Note/a", body({"more": "y" * room})))
        (grown,) = (await documents(kernel)).values()
        assert len(body(grown)) == MIB

    async def test_a_number_whose_canonical_form_is_larger_than_a_mebibyte_is_refused(self, kernel: Kernel) -> None:
        wide = {"@type": "Class", "@id": "Wide", "values": {"@type": "List", "@class": "xsd:decimal"}}
        before = (await commit(kernel, ontology=schema_edit(wide))).commit.id
        digits = b",".join([b"1e300"] * 4_000)
        with pytest.raises(TooLarge):
            await commit(kernel, Insert(b'{"@type":"Wide","@id":"Wide/1","values":[' + digits + b"]}"))
        assert await head(kernel) == before

    @pytest.mark.live
    async def test_an_ontology_that_grows_beyond_a_mebibyte_class_by_class_is_refused(self, kernel: Kernel) -> None:
        def large(name: str) -> dict[str, str]:
            return {"@type": "Class", "@id": name, "@documentation": "x" * (MIB * 2 // 5)}

        for name in ("A", "B"):
            await commit(kernel, ontology=schema_edit(large(name)))
        before = await kernel.ontologies.get(ANA, DB, "")
        with pytest.raises(TooLarge) as refused:
            await commit(kernel, note("a"), ontology=schema_edit(large("C")))
        assert refused.value.metadata["limit"] == str(MIB)
        assert [violation.field for violation in refused.value.violations] == ["ontology.schema"]
        assert await kernel.ontologies.get(ANA, DB, "") == before
        assert await documents(kernel) == {}
        await commit(kernel, note("a"), ontology=schema_edit(large("C"), remove=("B",)))
