"""The kernel on its store against a naive model, over whatever hypothesis thinks of."""

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine, Iterable
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeVar

import hypothesis.strategies as st
import orjson
import pytest
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ontomesh_data_kernel.domain.model import (
    Delete,
    Insert,
    MergeOutcome,
    MergeRequest,
    MergeSide,
    Operation,
    Put,
    Replace,
    Update,
)
from ontomesh_data_kernel.errors import KernelError
from tests.contract.inprocess import (
    ANA,
    DB,
    body,
    commit,
    documents,
    machine_settings,
    new_database,
    open_kernel,
)
from tests.contract.naive import Document, NaiveStore, Refused, Snapshot, apply, canonical, difference, merge

T = TypeVar("T")
SCHEMA = (
    {"@type": "Class", "@id": "Named", "@abstract": [], "name": "xsd:string"},
    {
        "@type": "Class",
        "@id": "Item",
        "@inherits": "Named",
        "@key": {"@type": "Lexical", "@fields": ["name"]},
        "title": {"@type": "Optional", "@class": "xsd:string"},
        "size": {"@type": "Optional", "@class": "xsd:integer"},
        "tags": {"@type": "Set", "@class": "xsd:string"},
        "next": {"@type": "Optional", "@class": "Item"},
        "friends": {"@type": "Set", "@class": "Named"},
    },
    {"@type": "Class", "@id": "Special", "@inherits": "Item", "@key": {"@type": "Lexical", "@fields": ["name"]}},
)
BRANCHES = ("main", "left", "right", "team/deep")

classes = st.sampled_from(("Item", "Special"))
every_id = st.builds("{}/{}".format, classes, st.sampled_from("abcde"))


def mostly(existing: Iterable[str]) -> st.SearchStrategy[str]:
    """Ids that exist, and now and then one that may not."""
    known = sorted(existing)
    return st.one_of(*[st.sampled_from(known)] * 9, every_id) if known else every_id


@st.composite
def change(draw: st.DrawFn, snapshot: Snapshot) -> tuple[str, str, Document]:
    """An operation that mostly fits the snapshot."""
    kinds = ("put", "put", "update", "update", "delete", "replace", "insert") if snapshot else ("put", "insert")
    kind = draw(st.sampled_from(kinds))
    id = draw(every_id if kind in ("put", "insert") else mostly(snapshot))
    target = mostly(snapshot) if snapshot else st.just(id)
    value = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "title": st.sampled_from(("one", "two", "three")),
                "size": st.integers(0, 2),
                "tags": st.lists(st.sampled_from("xyz"), max_size=3),
                "next": target,
                "friends": st.lists(target, max_size=2),
            },
        )
    )
    if kind == "update":
        removed = draw(st.sampled_from(("", "title", "size", "next")))
        return kind, id, {**value, **({removed: None} if removed else {})}
    cls, name = id.split("/")
    return kind, id, {"@type": cls, "@id": id, "name": name, **value}


def operation(kind: str, id: str, value: Document) -> Operation:
    match kind:
        case "insert":
            return Insert(body(value))
        case "put":
            return Put(body(value))
        case "replace":
            return Replace(body(value))
        case "update":
            return Update(id, body(value))
    return Delete(id)


class KernelAgainstModel(RuleBasedStateMachine):
    """Commits, forks, deletes, merges and reads, each tried on both sides."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.runner = asyncio.Runner()
        self.naive = NaiveStore()
        self.kernel = self.do(open_kernel(self.folder / "kernel.db"))

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    @initialize()
    def begin(self) -> None:
        made = self.do(new_database(self.kernel, *SCHEMA))
        self.naive.record("main", made.commit.id, {})
        seeds = [
            ("put", f"Item/{name}", {"@type": "Item", "@id": f"Item/{name}", "name": name, "next": f"Item/{after}"})
            for name, after in zip("abcd", "bcda", strict=True)
        ]
        self.attempt("main", seeds)

    def branch(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from(sorted(self.naive.branches)), label="branch")

    @rule(data=st.data())
    def commit(self, data: st.DataObject) -> None:
        for _ in range(data.draw(st.integers(1, 4), label="commits")):
            branch = self.branch(data)
            changes = st.lists(change(self.naive.snapshot(branch)), min_size=1, max_size=3, unique_by=itemgetter(1))
            self.attempt(branch, data.draw(changes, label="operations"))

    @rule(data=st.data(), id=every_id)
    def name_a_document_twice(self, data: st.DataObject, id: str) -> None:
        document = {"@type": id[:-2], "@id": id, "name": id[-1]}
        self.attempt(self.branch(data), [("put", id, document), ("delete", id, {})])

    def attempt(self, branch: str, asked: list[tuple[str, str, Document]]) -> None:
        try:
            expected = apply(self.naive.snapshot(branch), asked)
        except Refused as refused:
            expected_error = refused.error
        else:
            expected_error = ""
        try:
            made = self.do(commit(self.kernel, *(operation(*one) for one in asked), branch=branch))
        except KernelError as error:
            if type(error).__name__ != expected_error:
                raise AssertionError(f"the model says {expected_error or 'committed'}") from error
        else:
            assert expected_error == ""
            assert [result.id for result in made.results] == [id for _, id, _ in asked]
            self.naive.record(branch, made.commit.id, expected)

    @precondition(lambda self: len(self.naive.branches) < len(BRANCHES))
    @rule(data=st.data())
    def fork(self, data: st.DataObject) -> None:
        new = data.draw(st.sampled_from([name for name in BRANCHES if name not in self.naive.branches]))
        start = data.draw(st.sampled_from(list(self.naive.commits)))
        made = self.do(self.kernel.branches.create(ANA, DB, new, f"commit:{start}", False, ""))
        assert made.head == start
        self.naive.branches[new] = start

    @precondition(lambda self: len(self.naive.branches) > 2)
    @rule(data=st.data())
    def delete_branch(self, data: st.DataObject) -> None:
        branch = data.draw(st.sampled_from(sorted(self.naive.branches.keys() - {"main"})))
        self.do(self.kernel.branches.delete(ANA, DB, branch, self.naive.branches.pop(branch)))

    @precondition(lambda self: len(self.naive.branches) > 1)
    @rule(data=st.data(), strategy=st.sampled_from((None, "ours", "theirs")))
    def merge(self, data: st.DataObject, strategy: str | None) -> None:
        into = self.branch(data)
        source = data.draw(st.sampled_from(sorted(self.naive.branches.keys() - {into})))
        self.attempt_merge(into, source, strategy)

    @precondition(lambda self: "scratch" not in self.naive.branches)
    @rule(data=st.data(), strategy=st.sampled_from((None, "ours", "theirs")), back=st.booleans())
    def diverge_and_merge(self, data: st.DataObject, strategy: str | None, back: bool) -> None:
        branch = self.branch(data)
        start = self.naive.branches[branch]
        self.do(self.kernel.branches.create(ANA, DB, "scratch", branch, False, ""))
        self.naive.branches["scratch"] = start
        for side in (branch, "scratch", "scratch"):
            changes = st.lists(change(self.naive.snapshot(side)), min_size=1, max_size=2, unique_by=itemgetter(1))
            self.attempt(side, data.draw(changes, label=f"operations on {side}"))
        if back:
            # Merged crosswise, so that the next merge has two best common ancestors.
            self.attempt_merge("scratch", branch, "ours")
            self.attempt(side, [("put", "Item/e", {"@type": "Item", "@id": "Item/e", "name": "e"})])
        self.attempt_merge(branch, "scratch", None)
        self.attempt_merge(branch, "scratch", strategy)
        self.do(self.kernel.branches.delete(ANA, DB, "scratch", self.naive.branches.pop("scratch")))

    def attempt_merge(self, into: str, source: str, strategy: str | None) -> None:
        naive = self.naive
        ours, theirs = naive.branches[into], naive.branches[source]
        request = MergeRequest(DB, into, source, MergeSide(strategy) if strategy else None)
        if theirs in naive.ancestors(ours):
            assert self.do(self.kernel.merges.merge(ANA, request)).outcome is MergeOutcome.UP_TO_DATE
            return
        bases = [naive.commits[base].snapshot for base in naive.merge_bases(ours, theirs)]
        try:
            expected = merge(bases, naive.snapshot(into), naive.snapshot(source), strategy)
        except Refused as refused:
            try:
                self.do(self.kernel.merges.merge(ANA, request))
            except KernelError as error:
                if type(error).__name__ != refused.error:
                    raise AssertionError(f"the model says {refused.error}") from error
            else:
                raise AssertionError(f"the kernel merged what must be refused: {refused.error}") from None
            return
        result = self.do(self.kernel.merges.merge(ANA, request))
        assert [(one.id, one.property) for one in result.conflicts] == expected.conflicts
        if expected.conflicts:
            assert result.outcome is MergeOutcome.CONFLICTS
            return
        assert result.outcome is MergeOutcome.MERGED
        assert result.commit is not None
        assert result.commit.parents == (ours, theirs)
        naive.record(into, result.commit.id, expected.snapshot, theirs)

    @precondition(lambda self: self.naive.commits)
    @rule(data=st.data(), id=every_id)
    def read_the_past(self, data: st.DataObject, id: str) -> None:
        one, other = (data.draw(st.sampled_from(list(self.naive.commits))) for _ in range(2))
        old, new = self.naive.commits[one].snapshot, self.naive.commits[other].snapshot
        batch = self.do(self.kernel.documents.batch_get(ANA, DB, f"commit:{one}", [id, "Item/a"]))
        assert {found.id: orjson.loads(found.body) for found in batch.documents} == {
            name: old[name] for name in (id, "Item/a") if name in old
        }
        special = self.do(documents(self.kernel, f"commit:{one}", "Special"))
        assert special == {name: value for name, value in old.items() if name.startswith("Special/")}
        page = self.do(self.kernel.diffs.diff(ANA, DB, f"commit:{one}", f"commit:{other}", False, 0, ""))
        assert {found.id: found.kind.value for found in page.documents if "@" not in found.id} == difference(old, new)

    @rule(data=st.data())
    def read_the_log(self, data: st.DataObject) -> None:
        branch = self.branch(data)
        head = self.naive.branches[branch]
        page = self.do(self.kernel.commits.list(ANA, DB, branch, False, 1000, ""))
        listed = [one.id for one in page.commits]
        reached = self.naive.ancestors(head)
        assert set(listed) >= reached
        assert len(listed) == len(reached) + 1  # the first, which made the database, is not in the model
        place = {id: index for index, id in enumerate(listed)}
        assert all(place[id] < place[parent] for id in reached for parent in self.naive.commits[id].parents)

    @rule()
    def reopen(self) -> None:
        self.do(self.kernel.close())
        self.kernel = self.do(open_kernel(self.folder / "kernel.db"))

    @invariant()
    def heads_are_as_modelled(self) -> None:
        for branch, head in self.naive.branches.items():
            assert self.do(self.kernel.branches.get(ANA, DB, branch)).head == head
            assert self.do(documents(self.kernel, branch)) == self.naive.snapshot(branch)

    def teardown(self) -> None:
        try:
            for id, known in self.naive.commits.items():
                assert self.do(documents(self.kernel, f"commit:{id}")) == known.snapshot
            for branch in self.naive.branches:
                assert self.do(self._verified(branch)) == []
            self.do(self.kernel.close())
        finally:
            self.runner.close()
            shutil.rmtree(self.folder)

    async def _verified(self, branch: str) -> list[Any]:
        return [problem async for report in self.kernel.commits.verify(ANA, DB, branch) for problem in report.problems]


@pytest.mark.live
@pytest.mark.usefixtures("store")
def test_kernel_against_model() -> None:
    run_state_machine_as_test(KernelAgainstModel, settings=machine_settings(50))


def test_the_model_itself_tells_a_lost_change() -> None:
    base = {"Item/a": canonical({"@id": "Item/a", "title": "one", "tags": ["x"]})}
    ours = {"Item/a": {**base["Item/a"], "title": "two"}}
    theirs = {"Item/a": {**base["Item/a"], "tags": ["x", "y"]}}
    assert merge([base], ours, theirs, None).snapshot == {"Item/a": {**ours["Item/a"], "tags": ["x", "y"]}}
