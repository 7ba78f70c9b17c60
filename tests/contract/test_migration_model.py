"""Migrations, changes of the ontology, imports and queries against a naive model, on branches and in the past."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import hypothesis.strategies as st
import orjson
import pytest
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from ontomesh_data_kernel.adapters.sqlite import overlay
from ontomesh_data_kernel.domain.importing import Piece
from ontomesh_data_kernel.domain.model import (
    Commit,
    Delete,
    FinishRequest,
    MergeOutcome,
    MergeRequest,
    MergeSide,
    OntologyEdit,
    Put,
)
from ontomesh_data_kernel.domain.query.asking import QueryRequest, ReferrersRequest
from ontomesh_data_kernel.domain.steps import (
    SetDefault,
    Step,
)
from ontomesh_data_kernel.errors import EmptyCommit, KernelError, StillReferenced
from tests.contract.inprocess import ANA, DB, commit, machine_settings, open_kernel
from tests.contract.migration_strategies import (
    BEGINNING,
    FAMILIES,
    NEW,
    SEEDS,
    atoms,
    filters,
    is_within,
    object_of,
    order_paths,
    paths,
    received,
    roots,
    sent,
    steps,
    value_of,
)
from tests.contract.naive_migrations import migrate
from tests.contract.naive_ontologies import (
    SCALARS,
    UNFORESEEN,
    VIOLATED,
    Document,
    Refused,
    Schema,
    Snapshot,
    below,
    check_sound,
    declared_as,
    fit,
    is_class,
    is_redeclared,
    links,
    own,
    range_of,
    settled,
    shapes,
    with_index,
)
from tests.contract.naive_queries import (
    rank,
)

pytestmark = [pytest.mark.usefixtures("store"), pytest.mark.sqlite]

T = TypeVar("T")


class MigrationsAgainstModel(RuleBasedStateMachine):
    """Commits of every kind on several branches, and reads of all that there ever was."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.runner = asyncio.Runner()
        self.kernel = self.do(open_kernel(self.folder / "kernel.db"))
        self.commits: dict[str, tuple[Schema, Snapshot]] = {}
        self.heads: dict[str, str] = {}
        self.ids = 0

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def teardown(self) -> None:
        self.do(self.kernel.close())
        self.runner.close()
        shutil.rmtree(self.folder)

    @initialize()
    def begin(self) -> None:
        self.do(self.kernel.databases.create(ANA, DB, "", ""))
        made = self.do(commit(self.kernel, ontology=OntologyEdit(orjson.dumps(list(BEGINNING.values())))))
        self.record("main", made.commit, BEGINNING, {})
        self.put("main", *SEEDS)

    def at(self, branch: str) -> tuple[Schema, Snapshot]:
        return self.commits[self.heads[branch]]

    def branch(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from(sorted(self.heads)), label="branch")

    def record(self, branch: str, made: Commit, schema: Schema, documents: Snapshot) -> None:
        self.commits[made.id] = schema, documents
        self.heads[branch] = made.id
        self.do(self.same(branch))

    def known(self, ref: str) -> tuple[Schema, Snapshot]:
        return self.commits[ref.removeprefix("commit:")] if ":" in ref else self.at(ref)

    async def same(self, ref: str) -> None:
        """What is there is what the model has."""
        schema, expected = self.known(ref)
        page = await self.kernel.documents.list(ANA, DB, ref, "", False, 1_000, "")
        assert settled(schema, {one.id: received(one.body) for one in page.documents}) == settled(schema, expected)
        assert shapes(await self.schema(ref)) == shapes(schema)

    async def schema(self, ref: str) -> Schema:
        elements = orjson.loads((await self.kernel.ontologies.get(ANA, DB, ref)).schema)
        return {one["@id"]: one for one in elements}

    async def verified(self, branch: str) -> None:
        reports = [one async for one in self.kernel.commits.verify(ANA, DB, branch)]
        assert [problem for one in reports for problem in one.problems] == []

    def change(self, branch: str, edit: OntologyEdit, after: Schema, taken: list[Step]) -> None:
        """Commit a change of the ontology, which the model takes or refuses."""
        schema, documents = self.at(branch)
        expected: tuple[Schema, Snapshot] | None = None
        refusals: tuple[str, ...] = ()
        try:
            if taken:
                explicit = {one["@id"]: one for one in orjson.loads(edit.schema or b"[]")}
                expected = migrate(schema, documents, taken, explicit)
            else:
                check_sound(after)
                expected = after, fit(after, documents)
        except Refused as refused:
            refusals = refused.errors
            if refusals == UNFORESEEN:
                return
        try:
            made = self.do(commit(self.kernel, branch=branch, ontology=edit))
        except EmptyCommit:
            assert expected is not None
            assert settled(*expected) == settled(schema, documents)
            assert shapes(expected[0]) == shapes(schema)
        except KernelError as error:
            if type(error).__name__ not in refusals:
                raise AssertionError(f"the model says {refusals or 'committed'}") from error
        else:
            assert expected is not None, f"the model says {refusals}"
            self.record(branch, made.commit, *expected)

    @rule(data=st.data())
    def migrate(self, data: st.DataObject) -> None:
        for _ in range(data.draw(st.integers(1, 3), label="migrations")):
            self.migrate_on(data, self.branch(data))

    def migrate_on(self, data: st.DataObject, branch: str) -> None:
        schema, documents = self.at(branch)
        taken: list[Step] = []
        for _ in range(data.draw(st.integers(1, 3), label="steps")):
            if not any(is_class(schema, name) for name in schema):
                break
            taken.append(data.draw(steps(schema, documents), label="step"))
            try:
                schema, documents = migrate(schema, documents, taken[-1:], {})
            except Refused:
                break
        if taken:
            self.change(branch, OntologyEdit(b"", False, migrations=tuple(taken)), {}, taken)

    @rule(data=st.data(), name=st.sampled_from(NEW), kind=st.sampled_from(FAMILIES))
    def reshape(self, data: st.DataObject, name: str, kind: str) -> None:
        """Declare a property anew, or another, or withdraw one; perhaps with a value for those without."""
        branch = self.branch(data)
        schema, documents = self.at(branch)
        cls = data.draw(st.sampled_from([one for one in schema if is_class(schema, one)]), label="class")
        name = data.draw(st.sampled_from([name, *own(schema, cls)]), label="property")
        range_ = data.draw(st.sampled_from((*SCALARS, *schema)), label="range")
        if name in schema[cls] and data.draw(st.booleans(), label="same range"):
            range_ = range_of(schema[cls][name])
        element = {**schema[cls], name: declared_as(kind, range_)}
        if data.draw(st.sampled_from((False, False, False, True)), label="withdraw"):
            element.pop(name)
        after = {**schema, cls: element}
        taken: list[Step] = []
        values = value_of(after, documents, element.get(name, "xsd:string"))
        if name in element and not values.is_empty and data.draw(st.booleans(), label="default"):
            taken = [SetDefault(cls, name, sent(data.draw(values)))]
        self.change(branch, OntologyEdit(orjson.dumps([element]), False, migrations=tuple(taken)), after, taken)

    @rule(data=st.data())
    def index(self, data: st.DataObject) -> None:
        branch = self.branch(data)
        schema, _ = self.at(branch)
        cls = data.draw(st.sampled_from([one for one in schema if is_class(schema, one)]), label="class")
        able = [path for path, declared in paths(schema, cls) if not is_class(schema, range_of(declared))]
        within = [path for path in able if is_within(schema, cls, path)]
        element = with_index(schema[cls], data.draw(st.lists(st.sampled_from(within), unique=True)) if within else [])
        self.change(branch, OntologyEdit(orjson.dumps([element])), {**schema, cls: element}, [])

    def drawn(self, data: st.DataObject, branch: str) -> Document | None:
        """A document that fits, if there is a class that can have one."""
        schema, documents = self.at(branch)
        able = [one for cls in roots(schema) if not (one := object_of(schema, documents, cls)).is_empty]
        return data.draw(st.sampled_from(able).flatmap(lambda one: one), label="document") if able else None

    def put(self, branch: str, *documents: Document) -> None:
        schema, before = self.at(branch)
        after = before | {one["@id"]: one for one in documents}
        with suppress(EmptyCommit):
            made = self.do(commit(self.kernel, *(Put(sent(one)) for one in documents), branch=branch))
            self.record(branch, made.commit, schema, fit(schema, after))

    @rule(data=st.data())
    def write(self, data: st.DataObject) -> None:
        self.write_on(data, self.branch(data))

    def write_on(self, data: st.DataObject, branch: str) -> None:
        if (one := self.drawn(data, branch)) is not None:
            self.put(branch, {**one, "@id": f"{one['@type']}/{data.draw(st.sampled_from('abcd'), label='id')}"})

    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        branch = self.branch(data)
        schema, documents = self.at(branch)
        if not documents:
            return
        id = data.draw(st.sampled_from(sorted(documents)), label="deleted")
        rest = {other: one for other, one in documents.items() if other != id}
        is_held = any(target == id for one in rest.values() for _, target in links(schema, one))
        try:
            made = self.do(commit(self.kernel, Delete(id), branch=branch))
        except StillReferenced:
            assert is_held
        else:
            assert not is_held
            self.record(branch, made.commit, schema, rest)

    @rule(data=st.data(), meanwhile=st.booleans())
    def bring_in(self, data: st.DataObject, meanwhile: bool) -> None:
        """Import documents; perhaps another is written before the end."""
        branch = self.branch(data)
        documents: Snapshot = {}
        for _ in range(data.draw(st.integers(1, 3), label="documents")):
            if (one := self.drawn(data, branch)) is not None:
                self.ids += 1
                id = f"{one['@type']}/i{self.ids}"
                documents[id] = {**one, "@id": id}
        if not documents:
            return
        lines = b"".join(sent(one) + b"\n" for one in documents.values())
        id = self.do(self.upload(branch, lines))
        self.do(self.same(branch))
        if meanwhile:
            self.write_on(data, branch)
        made = self.do(self.kernel.imports.finish(ANA, FinishRequest(DB, id)))
        schema, before = self.at(branch)
        self.record(branch, made, schema, fit(schema, before | documents))

    async def upload(self, branch: str, lines: bytes) -> str:
        async def pieces() -> AsyncIterator[Piece]:
            yield Piece(0, lines, is_last=True)

        one = await self.kernel.imports.begin(ANA, DB, branch, "")
        async for _ in self.kernel.imports.upload(ANA, DB, one.id, pieces()):
            pass
        return one.id

    @precondition(lambda self: len(self.heads) < 4)
    @rule(data=st.data())
    def fork(self, data: st.DataObject) -> None:
        self.fork_at(f"b{len(self.heads)}", data.draw(st.sampled_from(list(self.commits)), label="start"))

    def fork_at(self, name: str, start: str) -> None:
        self.do(self.kernel.branches.create(ANA, DB, name, f"commit:{start}", False, ""))
        self.heads[name] = start

    @rule(data=st.data(), strategy=st.sampled_from((None, *MergeSide)), back=st.booleans())
    def merge(self, data: st.DataObject, strategy: MergeSide | None, back: bool) -> None:
        """Migrate on one side and write on the other: refused, in conflict, or an outcome that fits together."""
        branch = self.branch(data)
        self.fork_at("side", self.heads[branch])
        self.migrate_on(data, "side")
        for _ in range(data.draw(st.integers(0, 2), label="writes")):
            self.write_on(data, branch)
        into, source = ("side", branch) if back else (branch, "side")
        untouched = self.heads[branch] == self.heads["side"]
        try:
            made = self.do(self.kernel.merges.merge(ANA, MergeRequest(DB, into, source, strategy)))
        except KernelError as error:
            if untouched or type(error).__name__ not in ("MergeViolation", *VIOLATED):
                raise
        else:
            if made.outcome is MergeOutcome.MERGED:
                assert made.commit is not None
                self.do(self.merged(into, made.commit))
        self.do(self.verified(into))
        self.do(self.kernel.branches.delete(ANA, DB, "side", self.heads.pop("side")))

    async def merged(self, into: str, made: Commit) -> None:
        schema = await self.schema(into)
        page = await self.kernel.documents.list(ANA, DB, into, "", False, 1_000, "")
        documents = {one.id: received(one.body) for one in page.documents}
        if not is_redeclared(schema):
            check_sound(schema)
        assert settled(schema, fit(schema, documents)) == settled(schema, documents)
        self.commits[made.id] = schema, documents
        self.heads[into] = made.id

    @rule(data=st.data(), sizes=st.lists(st.integers(1, 3), min_size=1, max_size=8))
    def query(self, data: st.DataObject, sizes: list[int]) -> None:
        for size in sizes:
            self.query_once(data, size)

    def query_once(self, data: st.DataObject, size: int) -> None:
        ref = data.draw(st.sampled_from([*(f"commit:{id}" for id in self.commits), *self.heads]), label="ref")
        schema, documents = self.known(ref)
        if not roots(schema):
            return
        cls = data.draw(st.sampled_from(roots(schema)), label="class")
        filter_ = None
        if list(paths(schema, cls)):
            one = atoms(schema, documents, cls)
            filter_ = data.draw(st.none() | one | one | filters(schema, documents, cls), label="filter")
        able = [("@id", "@id"), *order_paths(schema, cls)]
        order = []
        if data.draw(st.booleans(), label="ordered"):
            places = st.tuples(st.sampled_from(able), st.booleans())
            order = data.draw(st.lists(places, max_size=2, unique_by=lambda one: one[0]), label="order")
        found = [
            one
            for one in documents.values()
            if one["@type"] in below(schema, cls) and (filter_ is None or filter_.holds(one, documents))
        ]
        order_by = ", ".join(f"{path} desc" if descending else path for (path, _), descending in order)
        asked = QueryRequest(DB, ref, cls, False, filter_.text if filter_ else "", order_by)
        whole = self.do(self.pages(asked, 1_000))
        assert sorted(whole) == sorted(one["@id"] for one in found)
        assert self.do(self.pages(asked, size)) == whole
        assert self.do(self.kernel.queries.count(ANA, asked)).count == len(found)
        ways = [(path, descending) for (path, _), descending in order]
        ranks = [rank(documents[id], ways, dict(able)) for id in whole]
        assert ranks == sorted(ranks)

    async def pages(self, asked: QueryRequest, size: int) -> list[str]:
        found, token = [], ""
        while True:
            page = await self.kernel.queries.page(ANA, asked, size, token)
            found += [one.id for one in page.documents]
            assert page.next_page_token != token or not token, "a page leads on"
            token = page.next_page_token
            assert len(found) == len(set(found))
            if not token:
                return found

    @rule(data=st.data())
    def ask_who_links(self, data: st.DataObject) -> None:
        at = data.draw(st.sampled_from(list(self.commits)), label="commit")
        schema, documents = self.commits[at]
        if documents:
            target = data.draw(st.sampled_from(sorted(documents)), label="target")
            asked = ReferrersRequest(DB, f"commit:{at}", target)
            page = self.do(self.kernel.links.referrers(ANA, asked, 1_000, ""))
            expected = {(id, way) for id, one in documents.items() for way, to in links(schema, one) if to == target}
            assert [(one.id, one.property) for one in page.referrers] == sorted(expected)

    @rule(data=st.data())
    def reopen(self, data: st.DataObject) -> None:
        for branch in self.heads:
            self.do(self.verified(branch))
        self.do(self.kernel.close())
        self.kernel = self.do(open_kernel(self.folder / "kernel.db"))
        self.do(self.same(f"commit:{data.draw(st.sampled_from(list(self.commits)), label='past')}"))


def test_migrations_do_what_a_naive_model_does(monkeypatch: pytest.MonkeyPatch) -> None:
    # So that chains of lineages are read by either of their two ways.
    monkeypatch.setattr(overlay, "_FEW", 8)
    run_state_machine_as_test(MigrationsAgainstModel, settings=machine_settings(60))
