"""Queries against a naive evaluator over all documents, at any commit of whatever history hypothesis thinks of."""

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine, Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import hypothesis.strategies as st
import orjson
import pytest
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from ontomesh_data_kernel.domain.model import Delete, MergeOutcome, MergeRequest, MergeSide, Operation, Put
from ontomesh_data_kernel.domain.ontology import Ontology
from ontomesh_data_kernel.domain.query.language import compile_query
from ontomesh_data_kernel.domain.query.tree import Query
from ontomesh_data_kernel.domain.refs import parse_ref
from ontomesh_data_kernel.errors import DanglingLink, EmptyCommit, InvalidFilter, KernelError, StillReferenced
from ontomesh_data_kernel.ports import Point
from tests.contract.inprocess import ANA, DB, body, commit, kernel_on, machine_settings, schema_edit
from tests.contract.naive_queries import (
    COMPARISONS,
    Document,
    Filter,
    Snapshot,
    among,
    beginning,
    both,
    compared,
    either,
    negated,
    present,
    rank,
    some,
)
from tests.contract.stores import store_in_use

pytestmark = [pytest.mark.usefixtures("store"), pytest.mark.live]

T = TypeVar("T")

INDEXABLE = ("name", "size", "price", "tags", "kind", "address.city")
LONG = "x" * 300
NAMES = ("a", "ab", "abc", "b", "ba", "c", LONG + "1", LONG + "2")
CITIES = ("Bonn", "Oslo", "Rome")


def schema(indexed: Iterable[str], of_special: Iterable[str] = ()) -> tuple[Document, ...]:
    """The classes, with these indexes."""

    def optional(range_: str) -> Document:
        return {"@type": "Optional", "@class": range_}

    return (
        {"@type": "Enum", "@id": "Kind", "@value": ["dull", "fine"]},
        {"@type": "Class", "@id": "Address", "@subdocument": [], "@key": {"@type": "Random"}, "city": "xsd:string"},
        {
            "@type": "Class",
            "@id": "Item",
            "@metadata": {"ontomesh": {"indexed": sorted(indexed)}},
            "name": "xsd:string",
            "size": optional("xsd:integer"),
            "price": optional("xsd:decimal"),
            "tags": {"@type": "Set", "@class": "xsd:string"},
            "kind": optional("Kind"),
            "address": optional("Address"),
            "owner": optional("Item"),
            "friends": {"@type": "Set", "@class": "Item"},
        },
        {
            "@type": "Class",
            "@id": "Special",
            "@inherits": "Item",
            "@metadata": {"ontomesh": {"indexed": sorted(of_special)}},
        },
    )


sizes = st.integers(-2, 3)
prices = st.sampled_from([Decimal(text) for text in ("-1.5", "0", "0.1", "12345678901234567890.5", "2")])
texts = st.sampled_from(NAMES)
operators = st.sampled_from([*sorted(COMPARISONS), "!="])
link_prefixes = st.sampled_from(("", "", "", "owner.", "friends.", "owner.friends.", "friends.owner."))
ids = st.builds("{}/{}".format, st.sampled_from(("Item", "Special")), st.sampled_from("abcdefg"))


@st.composite
def atoms(draw: st.DrawFn) -> Filter:
    way = draw(link_prefixes)
    field = draw(st.sampled_from(("name", "size", "price", "tags", "kind", "address.city", "owner", "friends", "@id")))
    path = way + field
    if field == "@id":
        own = "@id" if not way else way + "@id"
        id = draw(ids)
        reach = way.rstrip(".") if way else "@id"
        return Filter(f'{own} = "{id}"', some(reach, lambda one: one == id))
    values = {
        "size": sizes,
        "price": prices,
        "kind": st.sampled_from(("dull", "fine")),
        "address.city": st.sampled_from(CITIES),
        "owner": ids,
        "friends": ids,
    }.get(field, texts)
    form = draw(st.sampled_from(("compare", "compare", "compare", "in", "prefix", "present")))
    if form == "in":
        return among(path, draw(st.lists(values, min_size=1, max_size=4, unique=True)))
    if form == "present":
        return present(path)
    if form == "prefix" and field in ("name", "tags", "address.city"):
        return beginning(path, draw(st.sampled_from(("", "a", "ab", "B", LONG, LONG + "1"))))
    operator = draw(operators)
    if field in ("kind", "owner", "friends"):
        operator = draw(st.sampled_from(("=", "!=")))
    return compared(path, operator, draw(values))


several_values = st.one_of(
    st.builds(compared, st.sampled_from(("tags", "friends.tags")), st.sampled_from((">", ">=")), texts),
    st.builds(compared, st.just("friends.size"), st.just("="), st.integers(0, 1)),
)


filters = st.recursive(
    atoms(),
    lambda inner: st.one_of(st.builds(both, inner, inner), st.builds(either, inner, inner), st.builds(negated, inner)),
    max_leaves=4,
)
orders = st.lists(
    st.tuples(st.sampled_from(("size", "name", "kind", "price", "address.city", "@id")), st.booleans()),
    max_size=3,
    unique_by=lambda one: one[0],
)


TYPES = {"size": "xsd:integer", "price": "xsd:decimal", "kind": "enum", "@id": "@id"}


class QueriesAgainstModel(RuleBasedStateMachine):
    """Commits, forks, merges and changes of the indexes; and queries at any of the commits."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.runner = asyncio.Runner()
        self.store = self.do(store_in_use().open(self.folder / "kernel.db"))
        self.kernel = kernel_on(self.store)
        self.snapshots: dict[str, Snapshot] = {}
        self.heads: dict[str, str] = {}

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def teardown(self) -> None:
        self.do(self.store.close())
        self.runner.close()
        shutil.rmtree(self.folder)

    @initialize(indexed=st.just(set(INDEXABLE)) | st.sets(st.sampled_from(INDEXABLE)))
    def begin(self, indexed: set[str]) -> None:
        self.do(self.kernel.databases.create(ANA, DB, "", ""))
        made = self.do(commit(self.kernel, ontology=schema_edit(*schema(indexed))))
        self.record("main", made.commit.id, {})
        seeds = {
            f"Item/{id}": {
                "@type": "Item",
                "@id": f"Item/{id}",
                "name": NAMES[number],
                "size": number // 2,
                "tags": list(NAMES[: number % 3]),
                "owner": f"Item/{'bcdefga'[number]}",
                "friends": [f"Item/{friend}" for friend in ("ac", "bd", "ab", "cg", "f", "ef", "abc")[number]],
            }
            for number, id in enumerate("abcdefg")
        }
        self.attempt("main", [Put(body(one)) for one in seeds.values()], seeds)

    def record(self, branch: str, commit: str, snapshot: Snapshot) -> None:
        self.snapshots[commit] = snapshot
        self.heads[branch] = commit

    def branch(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from(sorted(self.heads)), label="branch")

    @rule(data=st.data())
    def write(self, data: st.DataObject) -> None:
        branch = self.branch(data)
        snapshot = self.snapshots[self.heads[branch]]
        documents = {}
        for id in data.draw(st.lists(ids, min_size=1, max_size=5, unique=True), label="ids"):
            targets = st.sampled_from(sorted(snapshot) or [id])
            fields: dict[str, st.SearchStrategy[Any]] = {
                "size": sizes,
                "price": prices,
                "tags": st.lists(texts, max_size=3, unique=True),
                "kind": st.sampled_from(("dull", "fine")),
                "address": st.builds(lambda city: {"@type": "Address", "city": city}, st.sampled_from(CITIES)),
                "owner": targets,
                "friends": st.lists(targets, max_size=3, unique=True),
            }
            drawn = data.draw(st.fixed_dictionaries({"name": texts}, optional=fields), label=id)
            documents[id] = {"@type": id.partition("/")[0], "@id": id, **drawn}
        operations: list[Operation] = [
            Put(body(one | ({"price": orjson.Fragment(str(one["price"]))} if "price" in one else {})))
            for one in documents.values()
        ]
        self.attempt(branch, operations, {**snapshot, **documents})

    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        branch = self.branch(data)
        snapshot = self.snapshots[self.heads[branch]]
        if snapshot:
            id = data.draw(st.sampled_from(sorted(snapshot)), label="deleted")
            rest = {other: one for other, one in snapshot.items() if other != id}
            self.attempt(branch, [Delete(id)], rest)

    def attempt(self, branch: str, operations: list[Operation], outcome: Snapshot) -> None:
        try:
            made = self.do(commit(self.kernel, *operations, branch=branch))
        except KernelError as error:
            if not isinstance(error, EmptyCommit | StillReferenced | DanglingLink):
                raise
        else:
            self.record(branch, made.commit.id, outcome)

    @rule(
        data=st.data(),
        indexed=st.sets(st.sampled_from(INDEXABLE)),
        of_special=st.sets(st.sampled_from(INDEXABLE), max_size=1),
    )
    def declare(self, data: st.DataObject, indexed: set[str], of_special: set[str]) -> None:
        branch = self.branch(data)
        try:
            edit = schema_edit(*schema(indexed, of_special))
            made = self.do(commit(self.kernel, branch=branch, ontology=edit))
        except KernelError as error:
            if not isinstance(error, EmptyCommit):
                raise
        else:
            self.record(branch, made.commit.id, self.snapshots[self.heads[branch]])

    @precondition(lambda self: len(self.heads) < 6)
    @rule(data=st.data())
    def fork(self, data: st.DataObject) -> None:
        name = f"b{len(self.heads)}"
        start = data.draw(st.sampled_from(list(self.snapshots)), label="start")
        self.do(self.kernel.branches.create(ANA, DB, name, f"commit:{start}", False, ""))
        self.heads[name] = start

    @precondition(lambda self: len(self.heads) > 1)
    @rule(data=st.data())
    def merge(self, data: st.DataObject) -> None:
        into, source = self.branch(data), self.branch(data)
        try:
            made = self.do(self.kernel.merges.merge(ANA, MergeRequest(DB, into, source, MergeSide.OURS)))
        except KernelError:
            return
        if made.outcome is MergeOutcome.MERGED and made.commit is not None:
            self.record(into, made.commit.id, self.do(self.documents(f"commit:{made.commit.id}")))

    async def documents(self, ref: str) -> Snapshot:
        """What is there by the listing, which other tests hold to be right."""
        page = await self.kernel.documents.list(ANA, DB, ref, "", False, 1_000, "")
        found = {one.id: orjson.loads(one.body) for one in page.documents}
        for one in found.values():
            if "price" in one:
                text = next(each.body for each in page.documents if each.id == one["@id"]).decode()
                one["price"] = Decimal(text.partition('"price":')[2].partition(",")[0].rstrip("}"))
        return found

    @rule(data=st.data(), order=orders, page=st.integers(1, 4))
    def query(self, data: st.DataObject, order: list[tuple[str, bool]], page: int) -> None:
        at = data.draw(st.sampled_from(list(self.snapshots)), label="commit")
        filter_ = data.draw(st.none() | filters, label="filter")
        type = data.draw(st.sampled_from(("Item", "Item", "Special", "")), label="type")
        exact = data.draw(st.booleans(), label="exact") if type else False
        self.do(self.check(at, filter_, type, exact, order, page))

    @rule(data=st.data(), atom=atoms() | several_values)
    def page_by_page(self, data: st.DataObject, atom: Filter) -> None:
        at = self.heads[self.branch(data)]
        self.do(self.check(at, atom, "Item", False, [], 1))

    async def check(
        self, at: str, filter_: Filter | None, type: str, exact: bool, order: list[tuple[str, bool]], page: int
    ) -> None:
        snapshot = self.snapshots[at]
        classes = {"": ("Item", "Special"), "Item": ("Item",) if exact else ("Item", "Special")}.get(type, ("Special",))
        expected = {
            id
            for id, one in snapshot.items()
            if one["@type"] in classes and (filter_ is None or filter_.holds(one, snapshot))
        }
        point = await self.store.resolve(DB, parse_ref(f"commit:{at}"))
        ontology = Ontology.from_documents(await self.store.read_ontology(point))
        order_by = ", ".join(f"{path} desc" if descending else path for path, descending in order)
        try:
            query = compile_query(ontology, type, exact, filter_.text if filter_ else "", order_by)
        except InvalidFilter as error:
            # An id of a class that is not asked for.
            if "is not the id of" not in error.message:
                raise
            return
        whole = await self.pages(point, query, 1_000)
        assert len(whole) == len(set(whole))
        assert set(whole) == expected
        assert await self.pages(point, query, page) == whole
        assert await self.store.count(point, query) == len(expected)
        ranks = [rank(snapshot[id], order, TYPES) for id in whole]
        assert ranks == sorted(ranks)
        plan = await self.store.explain(point, query)
        assert plan.access or not query.classes

    async def pages(self, point: Point, query: Query, size: int) -> list[str]:
        found: list[str] = []
        position = ""
        while True:
            part = await self.store.select(point, query, position, size, 1 << 20)
            assert len(part.documents) <= size
            found += [one.id for one in part.documents]
            position = part.position
            assert position.isascii()
            assert position.isprintable()
            assert len(position) <= 4_096
            if not position:
                return found


def test_queries_find_what_a_naive_evaluator_finds() -> None:
    run_state_machine_as_test(QueriesAgainstModel, settings=machine_settings(40))
