"""Imports: hidden until they end, then one commit on the branch's head, whatever others did meanwhile."""

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from ontomesh_data_kernel.adapters.sqlite.store import open_store
from ontomesh_data_kernel.domain import finishing
from ontomesh_data_kernel.domain.identity import ChangesHash, commit_id
from ontomesh_data_kernel.domain.importing import Piece
from ontomesh_data_kernel.domain.kernel import Kernel
from ontomesh_data_kernel.domain.model import (
    Commit,
    Delete,
    FinishRequest,
    Import,
    Insert,
    MergeRequest,
    Operation,
    Put,
)
from ontomesh_data_kernel.errors import (
    BranchNotFound,
    DanglingLink,
    DocumentAlreadyExists,
    EmptyCommit,
    ImportConflict,
    ImportInvalid,
    ImportNotFound,
    ImportOutOfStep,
    RequestIdReused,
    TooLarge,
    UniqueViolation,
    UnsupportedByStore,
)
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
from tests.contract.serving import serving, until
from tests.contract.stores import StoreInUse

pytestmark = pytest.mark.sqlite

LINKS = {"@type": "Set", "@class": "Node"}
NODE: dict[str, Any] = {
    "@type": "Class",
    "@id": "Node",
    "@key": {"@type": "Lexical", "@fields": ["name"]},
    "name": "xsd:string",
    "value": {"@type": "Optional", "@class": "xsd:integer"},
    "to": LINKS,
    "loose": LINKS,
    "mail": {"@type": "Optional", "@class": "xsd:string"},
    "@metadata": {"ontomesh": {"dangling": ["loose"], "unique": ["mail"]}},
}
LEAF = {"@type": "Class", "@id": "Leaf", "@inherits": "Node", "@key": {"@type": "Lexical", "@fields": ["name"]}}


def node(name: str, **rest: Any) -> dict[str, Any]:
    return {"@type": "Node", "name": name, **rest}


def lines(*documents: Mapping[str, Any]) -> bytes:
    return b"".join(orjson.dumps(one) + b"\n" for one in documents)


@pytest.fixture
async def kernel(store: StoreInUse, tmp_path: Path) -> AsyncIterator[Kernel]:
    kernel = await open_kernel(tmp_path / "kernel.db")
    await new_database(kernel, NODE, LEAF)
    yield kernel
    await kernel.close()


async def begin(kernel: Kernel, branch: str = "main", request_id: str = "") -> Import:
    return await kernel.imports.begin(ANA, DB, branch, request_id)


async def upload(kernel: Kernel, one: Import, data: bytes, *, piece: int = 1_000, is_last: bool = True) -> Import:
    async def pieces() -> AsyncIterator[Piece]:
        for start in range(0, len(data), piece):
            yield Piece(one.offset + start, data[start : start + piece])
        if is_last:
            yield Piece(one.offset + len(data), b"", is_last=True)

    state = one
    async for told in kernel.imports.upload(ANA, DB, one.id, pieces()):
        state = told
    return state


async def finish(kernel: Kernel, one: Import, **rest: Any) -> Commit:
    return await kernel.imports.finish(ANA, FinishRequest(DB, one.id, **rest))


async def imported(kernel: Kernel, *documents: Mapping[str, Any], branch: str = "main", **rest: Any) -> Commit:
    one = await begin(kernel, branch)
    await upload(kernel, one, lines(*documents))
    return await finish(kernel, one, **rest)


async def verified(kernel: Kernel, ref: str = "main") -> None:
    reports = [report async for report in kernel.commits.verify(ANA, DB, ref)]
    assert [problem for report in reports for problem in report.problems] == []
    assert reports[-1].done


async def log(kernel: Kernel, ref: str = "main") -> list[str]:
    page = await kernel.commits.list(ANA, DB, ref, True, 1_000, "")
    return [one.id for one in page.commits]


class TestVisibility:
    async def test_nothing_is_seen_before_the_end_and_all_of_it_after(self, kernel: Kernel) -> None:
        before = await head(kernel)
        one = await begin(kernel)
        state = await upload(kernel, one, lines(*(node(f"n{number}") for number in range(1_000))))
        assert (state.documents, state.lines) == (1_000, 1_000)
        assert await documents(kernel) == {}
        assert await head(kernel) == before
        made = await finish(kernel, one, message="all", metadata={"a": "b"})
        assert (made.change_count, made.parents, made.message, made.metadata) == (1_000, (before,), "all", {"a": "b"})
        assert len(await documents(kernel)) == 1_000
        assert await head(kernel) == made.id
        await verified(kernel)

    async def test_it_is_one_commit_on_what_the_head_is_by_then(self, kernel: Kernel) -> None:
        await commit(kernel, Insert(body(node("old"))))
        one = await begin(kernel)
        await upload(kernel, one, lines(node("a", to=["Node/old", "Node/b"]), node("b")))
        others = [(await commit(kernel, Insert(body(node(f"other{number}"))))).commit.id for number in range(5)]
        made = await finish(kernel, one)
        assert made.parents == (others[-1],)
        assert set(await documents(kernel)) == {"Node/old", "Node/a", "Node/b", *(f"Node/other{n}" for n in range(5))}
        last = (await commit(kernel, Put(body(node("a", value=1))))).commit.id
        assert (await log(kernel))[:7] == [last, made.id, *reversed(others)]
        for steps, expected in enumerate([last, made.id, *reversed(others)]):
            assert (await kernel.refs.resolve(ANA, DB, f"main~{steps}")).commit.id == expected
        assert "Node/a" not in await documents(kernel, "main~2")
        diff = await kernel.diffs.diff(ANA, DB, "main~2", "main~1", False, 100, "")
        assert [one.id for one in diff.documents] == ["Node/a", "Node/b"]
        await verified(kernel)

    async def test_branches_merge_across_imports(self, kernel: Kernel) -> None:
        await imported(kernel, node("base"), node("gone"))
        await kernel.branches.create(ANA, DB, "side", "main", False, "")
        await imported(kernel, node("base", value=1), node("main"))
        await commit(kernel, Delete("Node/gone"), branch="side")
        await imported(kernel, node("side"), branch="side")
        merged = await kernel.merges.merge(ANA, MergeRequest(DB, "main", "side"))
        assert merged.commit is not None
        assert set(await documents(kernel)) == {"Node/base", "Node/main", "Node/side"}
        await imported(kernel, node("after"))
        assert (await log(kernel))[1] == merged.commit.id
        await verified(kernel)
        await verified(kernel, "side")

    async def test_an_import_to_a_branch_without_commits_of_its_own(self, kernel: Kernel) -> None:
        await commit(kernel, Insert(body(node("old"))))
        await kernel.branches.create(ANA, DB, "fresh", "main", False, "")
        await imported(kernel, node("new", to=["Node/old"]), branch="fresh")
        await imported(kernel, node("newer", to=["Node/new"]), branch="fresh")
        assert set(await documents(kernel, "fresh")) == {"Node/old", "Node/new", "Node/newer"}
        assert set(await documents(kernel)) == {"Node/old"}
        assert set(await documents(kernel, "fresh~1")) == {"Node/old", "Node/new"}
        await verified(kernel, "fresh")

    async def test_subclasses_come_out_in_the_order_that_the_commits_id_needs(self, kernel: Kernel) -> None:
        made = await imported(kernel, node("z"), {"@type": "Leaf", "name": "a"}, node("b"))
        assert made.change_count == 3
        await verified(kernel)


class TestStream:
    async def test_pieces_may_be_cut_anywhere_and_lines_be_blank(self, kernel: Kernel) -> None:
        data = b"\n" + lines(node("a"), node("b\u00e9")) + b"  \n" + lines(node("c")).rstrip()
        for size in (1, 7, len(data)):
            one = await begin(kernel)
            state = await upload(kernel, one, data, piece=size)
            assert (state.documents, state.offset, state.lines) == (3, len(data), 5)
            await kernel.imports.abort(ANA, DB, one.id)

    async def test_it_goes_on_at_the_last_whole_line(self, kernel: Kernel) -> None:
        one = await begin(kernel)
        first = lines(node("a"), node("b"))
        state = await upload(kernel, one, first + b'{"@type":"No', is_last=False)
        assert (state.offset, state.documents) == (len(first), 2)
        state = await upload(kernel, state, lines(node("c")))
        assert state.documents == 3
        assert (await finish(kernel, one, expected_offset=state.offset)).change_count == 3

    async def test_a_piece_out_of_place_is_refused_with_the_place(self, kernel: Kernel) -> None:
        one = await begin(kernel)
        state = await upload(kernel, one, lines(node("a")))
        with pytest.raises(ImportOutOfStep) as refused:
            await upload(kernel, replace(state, offset=state.offset + 1), lines(node("b")))
        assert refused.value.metadata == {"offset": str(state.offset)}
        with pytest.raises(ImportOutOfStep):
            await finish(kernel, one, expected_offset=state.offset + 1)

    async def test_of_two_uploads_at_once_one_wins(self, kernel: Kernel) -> None:
        one = await begin(kernel)
        data = lines(*(node(f"n{number}") for number in range(600)))
        outcomes = await asyncio.gather(*(upload(kernel, one, data) for _ in range(2)), return_exceptions=True)
        assert sum(isinstance(outcome, ImportOutOfStep) for outcome in outcomes) >= 1
        state = await kernel.imports.get(ANA, DB, one.id)
        await upload(kernel, state, data[state.offset :])
        assert (await finish(kernel, one)).change_count == 600

    async def test_a_line_without_an_end_is_refused(self, kernel: Kernel) -> None:
        one = await begin(kernel)
        with pytest.raises(TooLarge) as refused:
            await upload(kernel, one, lines(node("a")) + b"x" * (3 << 20), piece=1 << 20)
        assert refused.value.violations[0].field == "line 2"

    async def test_documents_as_terminusdb_exports_them_come_in(self, kernel: Kernel) -> None:
        base, schema = "terminusdb:///data/", "terminusdb:///schema#"
        full = {
            "@id": f"{base}Node/a",
            "@type": f"{schema}Node",
            f"{schema}name": "a",
            f"{schema}to": [f"{base}Node/b"],
            f"{schema}mail": f"{base}stays",
        }
        await imported(kernel, full, {"@id": "Node/b", "@type": "Node", "name": "b"})
        found = await documents(kernel)
        assert (found["Node/a"]["to"], found["Node/a"]["mail"]) == (["Node/b"], f"{base}stays")


class TestFaults:
    async def test_they_are_told_by_line_and_refuse_the_end(self, kernel: Kernel) -> None:
        one = await begin(kernel)
        data = lines(node("a"), node("b", value="x"), {"@type": "Nod", "name": "c"}, node("d")) + b"{\n" + lines(NODE)
        state = await upload(kernel, one, data)
        assert (state.documents, state.fault_count, state.lines) == (2, 4, 6)
        assert [(fault.line, fault.field) for fault in state.faults] == [
            (2, "value"),
            (3, "@type"),
            (5, ""),
            (6, "@type"),
        ]
        assert "schema apply" in state.faults[3].description
        with pytest.raises(ImportInvalid) as refused:
            await finish(kernel, one)
        assert [violation.field for violation in refused.value.violations] == [
            "line 2.value",
            "line 3.@type",
            "line 5",
            "line 6.@type",
        ]
        assert await documents(kernel) == {}

    async def test_a_document_that_comes_twice_names_both_lines(self, kernel: Kernel) -> None:
        one = await begin(kernel)
        state = await upload(kernel, one, lines(node("a"), node("b"), node("a", value=1)))
        state = await upload(kernel, state, lines(*(node(f"n{number}") for number in range(300)), node("b")))
        told = [(fault.line, fault.description) for fault in state.faults]
        assert told == [
            (3, "'Node/a' comes twice: it was on line 1 already"),
            (304, "'Node/b' comes twice: it was on line 2 already"),
        ]

    async def test_a_hundred_of_them_end_the_upload(self, kernel: Kernel) -> None:
        one = await begin(kernel)
        with pytest.raises(ImportInvalid) as refused:
            await upload(kernel, one, lines(*(node(f"n{number}", value="x") for number in range(5_000))))
        assert len(refused.value.violations) == 100
        assert (await kernel.imports.get(ANA, DB, one.id)).lines < 1_000

    async def test_links_must_lead_somewhere_unless_they_may_dangle(self, kernel: Kernel) -> None:
        await commit(kernel, Insert(body(node("there"))))
        one = await begin(kernel)
        data = lines(node("a", to=["Node/there", "Node/z"]), node("b", to=["Node/y"], loose=["Node/x"]), node("z"))
        await upload(kernel, one, data)
        with pytest.raises(DanglingLink) as refused:
            await finish(kernel, one)
        assert [(one.field, one.description) for one in refused.value.violations] == [
            ("line 2.to", "links to 'Node/y', which does not exist")
        ]
        await commit(kernel, Insert(body(node("y"))))
        assert (await finish(kernel, one)).change_count == 3

    @pytest.mark.parametrize("where", ["in the import", "at the head", "meanwhile"])
    async def test_unique_values_are_held(self, kernel: Kernel, where: str) -> None:
        leaf = {"@type": "Leaf", "name": "l", "mail": "x@y"}
        if where == "at the head":
            await commit(kernel, Insert(body(leaf)))
        one = await begin(kernel)
        await upload(kernel, one, lines(node("a", mail="x@y"), *([leaf] if where == "in the import" else [])))
        if where == "meanwhile":
            await commit(kernel, Insert(body(leaf)))
        with pytest.raises(UniqueViolation) as refused:
            await finish(kernel, one)
        assert refused.value.metadata["property"] == "mail"
        if where != "in the import":
            await commit(kernel, Put(body({"@type": "Leaf", "name": "l"})))
            assert (await finish(kernel, one)).change_count == 1

    async def test_a_unique_value_may_move_within_the_import(self, kernel: Kernel) -> None:
        await commit(kernel, Insert(body(node("a", mail="x@y"))), Insert(body(node("b"))))
        await imported(kernel, node("a"), node("b", mail="x@y"))
        assert (await documents(kernel))["Node/b"]["mail"] == "x@y"
        await verified(kernel)


class TestOthersMeanwhile:
    async def test_what_others_changed_refuses_it_unless_it_is_to_be_overwritten(self, kernel: Kernel) -> None:
        await commit(kernel, *(Insert(body(node(name, value=0))) for name in "abcd"))
        one = await begin(kernel)
        await upload(kernel, one, lines(*(node(name, value=1) for name in "abc"), node("d", value=0)))
        await commit(kernel, Put(body(node("a", value=2))), Put(body(node("b", value=1))), Delete("Node/c"))
        with pytest.raises(ImportConflict) as refused:
            await finish(kernel, one)
        assert [violation.field for violation in refused.value.violations] == ["line 1", "line 3"]
        made = await finish(kernel, one, overwrite=True)
        assert made.change_count == 2
        found = await documents(kernel)
        assert [found[f"Node/{name}"]["value"] for name in "abcd"] == [1, 1, 1, 0]
        await verified(kernel)

    async def test_what_was_the_same_and_is_changed_before_the_end_is_seen(self, kernel: Kernel) -> None:
        await commit(kernel, Insert(body(node("a", value=0))), Insert(body(node("b", value=0))))
        one = await begin(kernel)
        await upload(kernel, one, lines(node("a", value=0), node("b", value=1), node("c", to=["Node/missing"])))
        with pytest.raises(DanglingLink):
            await finish(kernel, one)
        await commit(kernel, Put(body(node("a", value=5))), Insert(body(node("missing"))))
        with pytest.raises(ImportConflict):
            await finish(kernel, one)
        assert (await finish(kernel, one, overwrite=True)).change_count == 3
        assert (await documents(kernel))["Node/a"]["value"] == 0
        await verified(kernel)

    async def test_a_change_between_the_review_and_the_end_is_reviewed_again(
        self, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await commit(kernel, Insert(body(node("target"))), Insert(body(node("a", value=0))))
        one = await begin(kernel)
        await upload(kernel, one, lines(node("a", value=1), node("b", to=["Node/target"]), node("c", mail="m")))
        meanwhile: list[list[Operation]] = [
            [Put(body(node("other")))],
            [Put(body(node("a", value=2)))],
            [Put(body(node("d", mail="n")))],
            [Delete("Node/other")],
        ]
        run, runs = finishing._Review.run, 0

        async def reviewed(self: Any, *rest: Any) -> Any:
            nonlocal runs
            found = await run(self, *rest)
            runs += 1
            if meanwhile:
                await commit(kernel, *meanwhile.pop(0))
            return found

        monkeypatch.setattr(finishing._Review, "run", reviewed)
        made = await finish(kernel, one, overwrite=True)
        assert runs == 1, "what does not concern the import does not put its end off"
        assert made.change_count == 3
        one = await begin(kernel)
        await upload(kernel, one, lines(node("a", value=3), node("e", to=["Node/b"]), node("f", mail="o")))
        runs = 0
        assert (await finish(kernel, one, overwrite=True)).change_count == 3
        assert runs == 2
        await verified(kernel)

    async def test_a_target_deleted_between_the_review_and_the_end_refuses_it(
        self, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await commit(kernel, Insert(body(node("target"))))
        one = await begin(kernel)
        await upload(kernel, one, lines(node("b", to=["Node/target"])))
        run = finishing._Review.run

        async def reviewed(self: Any, *rest: Any) -> Any:
            found = await run(self, *rest)
            await commit(kernel, Delete("Node/target"))
            return found

        monkeypatch.setattr(finishing._Review, "run", reviewed)
        with pytest.raises(DanglingLink):
            await finish(kernel, one)

    async def test_documents_are_checked_again_under_another_ontology(self, kernel: Kernel) -> None:
        one = await begin(kernel)
        await upload(kernel, one, lines(node("a", value=1), *(node(f"n{number}") for number in range(1_200))))
        await commit(kernel, ontology=schema_edit(NODE | {"value": "xsd:integer"}))
        with pytest.raises(ImportInvalid) as refused:
            await finish(kernel, one)
        assert len(refused.value.violations) == 100
        await commit(kernel, ontology=schema_edit(NODE | {"value": {"@type": "Optional", "@class": "xsd:decimal"}}))
        assert (await finish(kernel, one)).change_count == 1_201
        await verified(kernel)
        one = await begin(kernel)
        await upload(kernel, one, lines(node("b", to=["Node/a"])))
        metadata = {"ontomesh": {"indexed": ["value"], "unique": ["mail"], "dangling": ["to"]}}
        await commit(kernel, ontology=schema_edit(NODE | {"@metadata": metadata}))
        await finish(kernel, one)
        await commit(kernel, Delete("Node/a"))
        await verified(kernel)

    async def test_a_branch_deleted_meanwhile_is_not_found(self, kernel: Kernel) -> None:
        await kernel.branches.create(ANA, DB, "side", "main", False, "")
        one = await begin(kernel, "side")
        await upload(kernel, one, lines(node("a")))
        await kernel.branches.delete(ANA, DB, "side", "")
        with pytest.raises(BranchNotFound):
            await finish(kernel, one)


class TestOutcome:
    async def test_what_the_branch_has_already_is_no_change(self, kernel: Kernel) -> None:
        await imported(kernel, *(node(f"n{number}", to=["Node/n0"]) for number in range(700)))
        with pytest.raises(EmptyCommit):
            await imported(kernel, *(node(f"n{number}", to=["Node/n0"]) for number in range(700)))
        made = await imported(kernel, *(node(f"n{number}", to=["Node/n0"]) for number in range(1, 701)))
        assert made.change_count == 1
        diff = await kernel.diffs.diff(ANA, DB, "", "main", False, 100, "")
        assert [one.id for one in diff.documents] == ["Node/n700"]
        assert len(await documents(kernel)) == 701
        await verified(kernel)

    async def test_only_new_documents_if_so_asked(self, kernel: Kernel) -> None:
        await imported(kernel, node("a"))
        one = await begin(kernel)
        await upload(kernel, one, lines(node("b"), node("a")))
        with pytest.raises(DocumentAlreadyExists) as refused:
            await finish(kernel, one, insert_only=True)
        assert [violation.field for violation in refused.value.violations] == ["line 2"]
        assert (await finish(kernel, one)).change_count == 1

    async def test_finishing_and_beginning_again_give_the_same(self, kernel: Kernel) -> None:
        one = await begin(kernel, request_id="nightly")
        assert await begin(kernel, request_id="nightly") == one
        await kernel.branches.create(ANA, DB, "other", "main", False, "")
        with pytest.raises(RequestIdReused):
            await begin(kernel, "other", request_id="nightly")
        await upload(kernel, one, lines(node("a")))
        made = await finish(kernel, one)
        assert await finish(kernel, one, message="another") == made
        assert (await begin(kernel, request_id="nightly")).commit == made.id
        with pytest.raises(ImportOutOfStep):
            await upload(kernel, one, lines(node("b")))
        with pytest.raises(ImportOutOfStep):
            await kernel.imports.abort(ANA, DB, one.id)

    async def test_given_up_it_is_gone_and_leaves_no_rows(self, kernel: Kernel, tmp_path: Path) -> None:
        one = await begin(kernel, request_id="r")
        await upload(kernel, one, lines(*(node(f"n{number}") for number in range(1_500))))
        await kernel.imports.abort(ANA, DB, one.id)
        with pytest.raises(ImportNotFound):
            await kernel.imports.get(ANA, DB, one.id)
        assert (await begin(kernel, request_id="r")).id != one.id
        connection = sqlite3.connect(tmp_path / "kernel.db")
        await until(lambda: connection.execute("SELECT count(*) FROM import").fetchone() == (1,), 20)
        assert connection.execute("SELECT count(*) FROM doc WHERE body LIKE '%Node/n%'").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM staged").fetchone() == (0,)
        connection.close()

    async def test_another_principal_has_none_of_it(self, kernel: Kernel) -> None:
        one = await begin(kernel)
        with pytest.raises(ImportNotFound):
            await kernel.imports.get(replace(ANA, principal="user:eve"), DB, one.id)

    async def test_a_deleted_database_takes_its_imports_along(self, kernel: Kernel, tmp_path: Path) -> None:
        one = await begin(kernel)
        await upload(kernel, one, lines(node("a")))
        await kernel.databases.delete(ANA, DB, "")
        connection = sqlite3.connect(tmp_path / "kernel.db")
        for table in ("import", "staged", "lineage", "doc", "prop"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
        connection.close()

    async def test_a_day_without_an_upload_drops_it(self, store: StoreInUse, tmp_path: Path) -> None:
        now = [store.clock()]
        kernel = await open_kernel(tmp_path / "kernel.db", lambda: now[0])
        await new_database(kernel, NODE)
        one = await begin(kernel)
        await upload(kernel, one, lines(node("a")))
        now[0] += 24 * 3_600 * 1_000_000 + 10
        await begin(kernel)
        with pytest.raises(ImportNotFound):
            await kernel.imports.get(ANA, DB, one.id)
        await kernel.close()


class TestExport:
    async def test_it_gives_what_an_import_takes_in_any_order(self, kernel: Kernel) -> None:
        made = [node(f"n{number}", to=[f"Node/n{(number * 7) % 900}"]) for number in range(900)]
        await imported(kernel, *made, {"@type": "Leaf", "name": "leaf"})
        pieces = [piece async for piece in kernel.exports.export(ANA, DB, "main", "", False, "")]
        data = b"".join(piece.data for piece in pieces)
        assert sum(piece.documents for piece in pieces) == 901
        rows = data.splitlines(keepends=True)
        random.Random(1).shuffle(rows)
        await kernel.branches.create(ANA, DB, "copy", "main~1", False, "")
        one = await begin(kernel, "copy")
        await upload(kernel, one, b"".join(rows), piece=50_000)
        await finish(kernel, one)
        assert await documents(kernel, "copy") == await documents(kernel)

    async def test_it_goes_on_after_an_id_at_the_same_commit(self, kernel: Kernel) -> None:
        await imported(kernel, *(node(f"n{number:04}", mail="x" * 900 + str(number)) for number in range(1_000)))
        pieces = kernel.exports.export(ANA, DB, "main", "Node", True, "")
        first, second = await anext(pieces), await anext(pieces)
        assert (first.documents, first.data) == (0, b"")
        assert 0 < second.documents < 1_000
        await commit(kernel, Put(body(node("n0999"))))
        rest = [
            piece async for piece in kernel.exports.export(ANA, DB, f"commit:{first.commit}", "", False, second.last_id)
        ]
        assert second.documents + sum(piece.documents for piece in rest) == 1_000
        assert b"x999" in rest[-1].data
        await pieces.aclose()


def test_a_commits_id_is_the_same_in_one_pass_and_whole() -> None:
    record = Commit("", ("a" * 64,), "main", "user:ä", "user:b", "m\n", 7, {"k": "v"}, "t", "d" * 64, 0)
    for changes in ([], [("A/1", "e1")], [(f"A/{number:03}", f"{number}") for number in range(100)]):
        hash_ = ChangesHash(record.author, record.branch)
        for start in range(0, len(changes), 7):
            hash_.add(changes[start : start + 7])
        assert hash_.identified(record) == replace(record, id=commit_id(record, changes), change_count=len(changes))


class TestUpgrade:
    SCHEMA = Path(__file__).parent / "data" / "sqlite_format_1.sql"

    def _older(self, path: Path) -> None:
        """A store as the first format made it, with a database of two commits in it."""
        connection = sqlite3.connect(path)
        connection.executescript(self.SCHEMA.read_text("utf-8"))
        connection.execute("PRAGMA application_id=1330533455")
        connection.execute("PRAGMA user_version=1")
        connection.commit()
        connection.close()

    async def test_a_file_of_the_first_format_is_brought_up_to_date_and_kept(
        self, store: StoreInUse, tmp_path: Path
    ) -> None:
        path, newer = tmp_path / "old.db", tmp_path / "new.db"
        kernel = await open_kernel(newer)
        await new_database(kernel, NODE)
        await commit(kernel, Insert(body(node("a"))))
        await kernel.branches.create(ANA, DB, "side", "main", False, "")
        await commit(kernel, Insert(body(node("b"))), branch="side")
        await kernel.close()
        self._older(path)
        connection = sqlite3.connect(path)
        connection.execute("ATTACH ? AS new", (str(newer),))
        for (table,) in connection.execute("SELECT name FROM main.sqlite_schema WHERE type='table'").fetchall():
            columns = ", ".join(f'"{row[1]}"' for row in connection.execute(f"PRAGMA main.table_info({table})"))
            connection.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM new.{table}")
        connection.commit()
        connection.close()
        opened = await asyncio.gather(*(open_store(path, store.clock) for _ in range(4)))
        kernel = kernel_on(opened[0])
        assert set(await documents(kernel)) == {"Node/a"}
        assert set(await documents(kernel, "side")) == {"Node/a", "Node/b"}
        assert len(await log(kernel, "side")) == 4
        await imported(kernel, node("c", to=["Node/b"]), branch="side")
        await verified(kernel, "side")
        for one in opened:
            await one.close()


class TestWithoutStaging:
    """Where the store has none, an import is an ordinary commit."""

    @pytest.fixture
    async def kernel(self, store: StoreInUse, tmp_path: Path) -> AsyncIterator[Kernel]:
        opened = await open_store(tmp_path / "kernel.db", store.clock)
        monkeypatched: Any = opened
        monkeypatched.staging, staging = None, opened.staging
        kernel = kernel_on(opened)
        await new_database(kernel, NODE, LEAF)
        yield kernel
        monkeypatched.staging = staging
        await kernel.close()

    async def test_it_keeps_what_the_others_keep(self, kernel: Kernel) -> None:
        await commit(kernel, Insert(body(node("a", value=0))), Insert(body(node("b", value=0))))
        one = await begin(kernel, request_id="r")
        assert await begin(kernel, request_id="r") == one
        state = await upload(kernel, one, lines(node("a", value=1), node("b", value=0), node("c", to=["Node/d"])))
        assert state.documents == 3
        with pytest.raises(DanglingLink) as dangling:
            await finish(kernel, one)
        assert dangling.value.violations[0].field == "line 3.to"
        await commit(kernel, Insert(body(node("d"))), Put(body(node("a", value=2))))
        with pytest.raises(ImportConflict):
            await finish(kernel, one)
        with pytest.raises(DocumentAlreadyExists):
            await finish(kernel, one, insert_only=True)
        made = await finish(kernel, one, overwrite=True)
        assert made.change_count == 2
        assert await finish(kernel, one) == made
        assert (await documents(kernel))["Node/a"]["value"] == 1
        with pytest.raises(EmptyCommit):
            await imported(kernel, node("a", value=1))
        await verified(kernel)

    async def test_faults_uniqueness_and_its_limits(self, kernel: Kernel) -> None:
        one = await begin(kernel)
        state = await upload(kernel, one, lines(node("a"), node("a"), node("b", value="x")))
        assert [fault.line for fault in state.faults] == [2, 3]
        await kernel.imports.abort(ANA, DB, one.id)
        with pytest.raises(UniqueViolation):
            await imported(kernel, node("a", mail="x"), node("b", mail="x"))
        one = await begin(kernel)
        with pytest.raises(UnsupportedByStore):
            await upload(kernel, one, lines(*(node(f"n{number}") for number in range(10_500))), piece=100_000)


async def test_a_whole_import_and_export_over_http(tmp_path: Path) -> None:
    async with serving(tmp_path) as kernel:
        headers = {"authorization": f"Bearer {kernel.token()}"}
        async with httpx.AsyncClient(base_url=f"{kernel.http}/v1", headers=headers, timeout=20) as http:
            await http.post("/databases", json={"name": DB})
            await http.post(f"/databases/{DB}/commits", json={"ontology": {"schema": [NODE, LEAF]}})
            data = lines(*(node(f"n{number}") for number in range(1_000)))

            async def chunks() -> AsyncIterator[bytes]:
                for start in range(0, len(data), 5_000):
                    yield data[start : start + 5_000]

            key = {"Idempotency-Key": "nightly"}
            made = await http.post(f"/databases/{DB}/imports", params={"message": "all"}, content=chunks(), headers=key)
            assert (made.status_code, made.json()["documents"]) == (201, 1_000)
            again = await http.post(
                f"/databases/{DB}/imports", params={"message": "all"}, content=chunks(), headers=key
            )
            assert again.json()["commit"] == made.json()["commit"]
            refused = await http.post(f"/databases/{DB}/imports", content=lines(node("x", value="y")))
            assert (refused.status_code, refused.json()["reason"]) == (409, "IMPORT_INVALID")
            told = await http.get(f"/databases/{DB}/export", params={"type": "Node"})
            assert told.headers["Ontomesh-Commit"] == made.json()["commit"]["id"]
            assert len(told.content.splitlines()) == 1_000
            rest = await http.get(f"/databases/{DB}/export", params={"after": "Node/n990"})
            assert len(rest.content.splitlines()) == 9
