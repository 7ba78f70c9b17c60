"""The kernel on its store against a naive model, while the ontology changes under the documents."""

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime, timedelta
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
    Commit,
    Delete,
    Insert,
    MergeOutcome,
    MergeRequest,
    MergeResult,
    MergeSide,
    OntologyEdit,
    Operation,
    Put,
    Replace,
    Resolution,
    Update,
)
from ontomesh_data_kernel.errors import KernelError
from tests.contract.evolving import (
    SCHEMA,
    Document,
    Merge,
    NaiveStore,
    Snapshot,
    apply,
    documents_of,
    elements_of,
    is_class,
    is_sound,
    line_of,
    merge,
    names_of,
)
from tests.contract.evolving_strategies import (
    BEGINNING,
    CLASSES,
    PROPERTIES,
    Asked,
    change,
    class_of,
    declaration,
    migration,
    optional,
    schema_after,
)
from tests.contract.inprocess import (
    ANA,
    DB,
    body,
    commit,
    documents,
    machine_settings,
    open_kernel,
    schema_edit,
)
from tests.contract.naive import difference

T = TypeVar("T")

BRANCHES = ("main", "left", "right", "team/deep")
SIDES = ("ours", "theirs", "base")


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


def edit_of(before: Snapshot, after: Snapshot, replace: bool) -> OntologyEdit:
    """How a caller asks for the elements `after`."""
    if replace:
        return schema_edit(*after.values(), replace=True)
    added = [element for id, element in after.items() if before.get(id) != element]
    return schema_edit(*added, remove=tuple(name for name in names_of(before) if SCHEMA + name not in after))


class EvolvingKernelAgainstModel(RuleBasedStateMachine):
    """Commits of documents and ontology together and apart, forks, merges and reads, each tried on both sides."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.runner = asyncio.Runner()
        self.naive = NaiveStore()
        self.seen: dict[str, str] = {}
        self.kernel = self.do(open_kernel(self.folder / "kernel.db"))

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    @initialize()
    def begin(self) -> None:
        self.do(self.kernel.databases.create(ANA, DB, "", ""))
        root = self.do(self.kernel.commits.get(ANA, DB, "main"))
        self.naive.record("main", root.id, root.time, {})
        schema = {f"{SCHEMA}{element['@id']}": element for element in BEGINNING}
        made: Asked = [
            ("put", "Item/a", {"@type": "Item", "name": "a", "p": "Item/b", "q": "Item/b", "r": ["odd", "text"]}),
            ("put", "Item/b", {"@type": "Item", "name": "b", "p": "Item/a"}),
            ("put", "Special/a", {"@type": "Special", "name": "a", "p": "Item/a", "q": "Special/a"}),
            (
                "put",
                "Other/a",
                {"@type": "Other", "name": "a", "p": "Item/a", "q": "Item/b", "r": "good", "s": ["b", "a", "b"]},
            ),
        ]
        self.attempt("main", made, schema)

    def branch(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from(sorted(self.naive.branches)), label="branch")

    def change(self, data: st.DataObject, branch: str) -> None:
        """Commit documents, ontology or both on a branch."""
        snapshot = self.naive.snapshot(branch)
        schema, asked = None, []
        if data.draw(st.sampled_from((True, True, False)), label="evolve"):
            schema = data.draw(schema_after(snapshot), label="schema")
        target = documents_of(snapshot) | schema if schema is not None and is_sound(schema) else snapshot
        if schema is not None and data.draw(st.booleans(), label="migrate"):
            asked = data.draw(migration(snapshot, target), label="migration")
        if schema is None or data.draw(st.booleans(), label="more"):
            named = {id for _, id, _ in asked}
            more = st.lists(change(snapshot, target), min_size=1, max_size=2, unique_by=itemgetter(1))
            asked += [one for one in data.draw(more, label="operations") if one[1] not in named]
        self.attempt(branch, asked, schema, replace=schema is not None and data.draw(st.booleans(), label="replace"))

    def attempt(self, branch: str, asked: Asked, schema: Snapshot | None = None, *, replace: bool = False) -> None:
        snapshot = self.naive.snapshot(branch)
        expected = apply(snapshot, schema, asked)
        edit = None if schema is None else edit_of(elements_of(snapshot), schema, replace)
        try:
            made = self.do(commit(self.kernel, *(operation(*one) for one in asked), branch=branch, ontology=edit))
        except KernelError as error:
            if type(error).__name__ not in expected.refusals:
                raise AssertionError(f"the model says {expected.refusals or 'committed'}") from error
            return
        assert not expected.refusals
        assert [result.id for result in made.results] == [id for _, id, _ in asked]
        self.record(branch, made.commit, expected.snapshot)

    def record(self, branch: str, made: Commit, snapshot: Snapshot, *more_parents: str) -> None:
        before = self.naive.branches[branch]
        assert made.parents == (before, *more_parents)
        assert made.change_count == len(difference(self.naive.snapshot(branch), snapshot))
        assert made.time > max(self.naive.commits[parent].time for parent in made.parents)
        self.naive.record(branch, made.id, made.time, snapshot, *more_parents)

    @rule(data=st.data())
    def commit(self, data: st.DataObject) -> None:
        for _ in range(data.draw(st.integers(1, 3), label="commits")):
            self.change(data, self.branch(data))

    @precondition(lambda self: len(self.naive.branches) < len(BRANCHES))
    @rule(data=st.data())
    def fork(self, data: st.DataObject) -> None:
        new = data.draw(st.sampled_from([name for name in BRANCHES if name not in self.naive.branches]))
        self.fork_at(new, data.draw(st.sampled_from(list(self.naive.commits))))

    def fork_at(self, new: str, start: str) -> None:
        made = self.do(self.kernel.branches.create(ANA, DB, new, f"commit:{start}", False, ""))
        assert made.head == start
        self.naive.branches[new] = start

    def delete(self, branch: str) -> None:
        self.do(self.kernel.branches.delete(ANA, DB, branch, self.naive.branches.pop(branch)))

    @precondition(lambda self: len(self.naive.branches) > 2)
    @rule(data=st.data())
    def delete_branch(self, data: st.DataObject) -> None:
        self.delete(data.draw(st.sampled_from(sorted(self.naive.branches.keys() - {"main"}))))

    @rule(data=st.data())
    def merge(self, data: st.DataObject) -> None:
        into = self.branch(data)
        others = sorted(self.naive.branches.keys() - {into})
        old = [f"commit:{id}" for id in self.naive.commits]
        self.merge_into(data, into, data.draw(st.one_of(*[st.sampled_from(one) for one in (others, old) if one])))

    @rule(data=st.data(), again=st.booleans())
    def diverge_and_merge(self, data: st.DataObject, again: bool) -> None:
        branch = self.branch(data)
        self.fork_at("scratch", self.naive.branches[branch])
        for side in (branch, "scratch", "scratch"):
            self.change(data, side)
        if again:
            # Merged crosswise, so that the next merge has two best common ancestors.
            ours = self.naive.branches[branch]
            self.merge_into(data, branch, "scratch")
            self.merge_into(data, "scratch", f"commit:{ours}")
            self.change(data, branch)
        self.merge_into(data, branch, "scratch")
        self.delete("scratch")

    @rule(data=st.data(), property=st.sampled_from(PROPERTIES))
    def declare_on_both_sides(self, data: st.DataObject, property: str) -> None:
        """Declare a property twice, each fit by itself, and perhaps one in a class that inherits the other."""
        branch = self.branch(data)
        self.fork_at("scratch", self.naive.branches[branch])
        for side in (branch, "scratch"):
            schema = elements_of(self.naive.snapshot(side))
            if classes := [name for name in names_of(schema) if is_class(schema, name)]:
                id = SCHEMA + data.draw(st.sampled_from(classes), label=f"class on {side}")
                declared = data.draw(declaration(names_of(schema)), label="declaration")
                self.attempt(side, [], {**schema, id: {**schema[id], property: declared}})
        self.merge_into(data, branch, "scratch")
        self.delete("scratch")

    def merge_into(self, data: st.DataObject, into: str, source: str) -> None:
        """Merge, and if there are conflicts, again with some way to settle them."""
        result = self.attempt_merge(into, source, {}, "", [])
        for _ in range(2):
            if result is None or result.outcome is not MergeOutcome.CONFLICTS:
                return
            places = sorted({(one.id, one.property) for one in result.conflicts} | {(result.conflicts[0].id, "")})
            settled = data.draw(st.lists(st.sampled_from(places), unique=True, max_size=len(places)), label="settled")
            choose = {place: data.draw(st.sampled_from(SIDES)) for place in settled}
            strategy = data.draw(st.sampled_from(("", *SIDES)), label="strategy")
            result = self.attempt_merge(into, source, choose, strategy, result.base_commits)

    def attempt_merge(
        self, into: str, source: str, choose: dict[tuple[str, str], str], strategy: str, order: Sequence[str]
    ) -> MergeResult | None:
        """Merge on both sides; `order` is that of several bases, if it is known. None if it was refused."""
        naive = self.naive
        ours = naive.branches[into]
        theirs = source.removeprefix("commit:") if source.startswith("commit:") else naive.branches[source]
        bases = sorted(naive.merge_bases(ours, theirs), key=list(order).index if order else None)
        snapshots = [naive.commits[base].snapshot for base in bases]
        expected = merge(snapshots, naive.snapshot(into), naive.commits[theirs].snapshot, choose, strategy)
        resolutions = tuple(Resolution(*place, MergeSide(side)) for place, side in choose.items())
        request = MergeRequest(DB, into, source, MergeSide(strategy) if strategy else None, resolutions)
        try:
            result = self.do(self.kernel.merges.merge(ANA, request))
        except KernelError as error:
            if type(error).__name__ not in expected.refusals:
                raise AssertionError(f"the model says {expected.refusals or 'merged'}") from error
            return None
        assert (result.outcome is MergeOutcome.UP_TO_DATE) == (theirs in naive.ancestors(ours))
        if result.outcome is not MergeOutcome.UP_TO_DATE:
            assert set(result.base_commits) == set(bases)
            self.compare_merge(into, result, expected, theirs)
        return result

    def compare_merge(self, into: str, result: MergeResult, expected: Merge, theirs: str) -> None:
        assert [(one.id, one.property) for one in result.conflicts] == expected.conflicts
        if expected.conflicts:
            assert result.outcome is MergeOutcome.CONFLICTS
            return
        assert not expected.refusals
        assert result.outcome is MergeOutcome.MERGED
        assert result.commit is not None
        self.record(into, result.commit, expected.snapshot, theirs)

    @rule(data=st.data(), cls=st.sampled_from(CLASSES), reopen=st.booleans())
    def look_back(self, data: st.DataObject, cls: str, reopen: bool) -> None:
        if reopen:
            self.do(self.kernel.close())
            self.kernel = self.do(open_kernel(self.folder / "kernel.db"))
            self.seen.clear()
        commits = st.sampled_from(list(self.naive.commits))
        one, other = data.draw(commits), data.draw(commits)
        old, new = self.naive.commits[one].snapshot, self.naive.commits[other].snapshot
        self.do(self.compare(f"commit:{one}", old))
        page = self.do(self.kernel.diffs.diff(ANA, DB, f"commit:{one}", f"commit:{other}", False, 0, ""))
        assert {found.id: found.kind.value for found in page.documents} == difference(old, new)
        if is_class(old, cls):
            assert self.do(documents(self.kernel, f"commit:{one}", cls)) == {
                id: value for id, value in documents_of(old).items() if cls in line_of(old, id.split("/")[0])
            }
        branch = self.branch(data)
        line = self.naive.line(self.naive.branches[branch])
        steps = data.draw(st.integers(0, len(line) - 1), label="steps")
        known = self.naive.commits[line[steps]]
        self.do(self.compare(f"{branch}~{steps}", known.snapshot))
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=known.time)
        self.do(self.compare(f"{branch}@{moment.isoformat()}", known.snapshot))

    async def compare(self, ref: str, snapshot: Snapshot) -> None:
        assert await documents(self.kernel, ref) == documents_of(snapshot)
        schema = orjson.loads((await self.kernel.ontologies.get(ANA, DB, ref)).schema)
        assert {f"{SCHEMA}{element['@id']}": element for element in schema} == elements_of(snapshot)

    async def compare_links(self, branch: str, snapshot: Snapshot) -> None:
        """Try to delete each document: whether it is refused tells who is known to link to it."""
        for id in documents_of(snapshot):
            refusals = apply(snapshot, None, [("delete", id, {})]).refusals
            try:
                await commit(self.kernel, Delete(id), branch=branch, validate_only=True)
            except KernelError as error:
                if {type(error).__name__} != refusals:
                    raise AssertionError(f"the model says {refusals or 'deleted'} of {id}") from error
            else:
                assert not refusals, id

    async def compare_heads(self) -> None:
        for branch, head in self.naive.branches.items():
            assert (await self.kernel.branches.get(ANA, DB, branch)).head == head
            if self.seen.get(branch) != head:
                self.seen[branch] = head
                await self.compare(branch, self.naive.snapshot(branch))
                await self.compare_links(branch, self.naive.snapshot(branch))

    @invariant()
    def heads_are_as_modelled(self) -> None:
        self.do(self.compare_heads())

    def teardown(self) -> None:
        try:
            for id, known in self.naive.commits.items():
                self.do(self.compare(f"commit:{id}", known.snapshot))
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
def test_evolving_kernel_against_model() -> None:
    run_state_machine_as_test(EvolvingKernelAgainstModel, settings=machine_settings(30))


def test_the_model_itself_tells_elements_that_do_not_fit_together() -> None:
    base = {SCHEMA + name: class_of(name) for name in ("Item", "Other")}
    ours = {**base, SCHEMA + "Item": class_of("Item", p=optional("Other"))}
    theirs = {SCHEMA + "Item": base[SCHEMA + "Item"]}
    assert merge([base], ours, theirs, {}, "").refusals == {"MergeViolation"}


def test_the_model_itself_tells_a_document_that_a_change_leaves_behind() -> None:
    before = {SCHEMA + "Item": class_of("Item"), "Item/a": {"@type": "Item", "@id": "Item/a", "name": "a"}}
    stronger = {SCHEMA + "Item": class_of("Item", p="xsd:string")}
    assert apply(before, stronger, []).refusals == {"SchemaViolatedByData"}
    assert not apply(before, stronger, [("update", "Item/a", {"p": "text"})]).refusals
