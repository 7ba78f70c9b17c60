"""Changes of the ontology against what else is written, branched and merged: nothing unsound is ever stored."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import orjson
import pytest

from ontomesh_data_kernel.domain.kernel import Kernel
from ontomesh_data_kernel.domain.model import Delete, Insert, MergeRequest, OntologyEdit, Put, Update
from ontomesh_data_kernel.domain.query.asking import QueryRequest, ReferrersRequest
from ontomesh_data_kernel.domain.steps import (
    CastProperty,
    MoveProperty,
    RenameClass,
    SetDefault,
    Step,
)
from ontomesh_data_kernel.errors import (
    DanglingLink,
    KernelError,
    MergeViolation,
    SchemaViolatedByData,
    SchemaViolation,
    StillReferenced,
    UniqueViolation,
    UnknownClass,
)
from tests.contract.inprocess import ANA, DB, body, commit, documents, new_database, open_kernel

pytestmark = [pytest.mark.live, pytest.mark.usefixtures("store")]

Json = dict[str, Any]
KEY = {"@type": "Lexical", "@fields": ["name"]}


def optional(range_: str) -> Json:
    return {"@type": "Optional", "@class": range_}


def edit(*steps: Step, schema: list[Json] | None = None) -> OntologyEdit:
    return OntologyEdit(orjson.dumps(schema) if schema else b"", migrations=steps)


def insert(cls: str, name: str, **rest: Any) -> Insert:
    return Insert(body({"@type": cls, "name": name, **rest}))


def declared(name: str, /, *, unique: tuple[str, ...] = (), indexed: tuple[str, ...] = (), **properties: Any) -> Json:
    notes = {"ontomesh": {"unique": list(unique), "indexed": list(indexed)}}
    return {"@type": "Class", "@id": name, "@key": KEY, "@metadata": notes, "name": "xsd:string", **properties}


@pytest.fixture
async def kernel(tmp_path: Path) -> AsyncIterator[Kernel]:
    made = await open_kernel(tmp_path / "kernel.db")
    yield made
    await made.close()


async def matches(kernel: Kernel, type_: str, filter_: str, ref: str = "main") -> list[str]:
    page = await kernel.queries.page(ANA, QueryRequest(DB, ref, type_, filter=filter_), 100, "")
    return sorted(one.id for one in page.documents)


async def referrers(kernel: Kernel, id: str, ref: str = "main") -> list[tuple[str, str]]:
    page = await kernel.links.referrers(ANA, ReferrersRequest(DB, ref, id), 100, "")
    return [(one.id, one.property) for one in page.referrers]


ADDRESS: Json = {
    "@type": "Class",
    "@id": "Address",
    "@subdocument": [],
    "@key": {"@type": "Random"},
    "city": optional("xsd:string"),
    "number": optional("xsd:string"),
}


async def test_a_property_that_leaves_a_subdocument_is_missed_in_every_class_that_holds_one(kernel: Kernel) -> None:
    await new_database(kernel, ADDRESS, *(declared(name, address=optional("Address")) for name in ("Firm", "Person")))
    await commit(kernel, insert("Firm", "x", address={"city": "Bonn"}), insert("Person", "x", address={"city": "Bonn"}))
    with pytest.raises(SchemaViolatedByData) as refused:
        await commit(kernel, ontology=edit(MoveProperty("Person", "address.city", "city")))
    assert [one.field for one in refused.value.violations] == ["Firm/x.address.city"]


async def test_a_property_that_enters_a_subdocument_is_required_in_every_class_that_holds_one(kernel: Kernel) -> None:
    firm, person = declared("Firm", address=optional("Address")), declared("Person", address=optional("Address"))
    await new_database(kernel, ADDRESS, firm, person | {"street": "xsd:string"})
    await commit(kernel, insert("Firm", "x", address={}), insert("Person", "x", street="A"))
    with pytest.raises(SchemaViolatedByData) as refused:
        await commit(kernel, ontology=edit(MoveProperty("Person", "street", "address.street")))
    assert [one.field for one in refused.value.violations] == ["Firm/x.address.street"]


async def test_a_cast_that_leaves_the_text_indexes_it_anew(kernel: Kernel) -> None:
    thing = declared("Thing", indexed=("day",), day=optional("xsd:string"), to=optional("xsd:string"))
    await new_database(kernel, thing)
    await commit(kernel, insert("Thing", "a", day="2026-01-02"), insert("Thing", "b", day="2027-01-02", to="Thing/a"))
    await commit(kernel, ontology=edit(CastProperty("Thing", "day", "xsd:date"), CastProperty("Thing", "to", "Thing")))
    assert await matches(kernel, "Thing", 'day = "2026-01-02"') == ["Thing/a"]
    assert await matches(kernel, "Thing", 'day > "2026-06-01"') == ["Thing/b"]
    assert await referrers(kernel, "Thing/a") == [("Thing/b", "to")]
    with pytest.raises(StillReferenced):
        await commit(kernel, Delete("Thing/a"))
    await commit(kernel, ontology=edit(CastProperty("Thing", "to", "xsd:string")))
    await commit(kernel, Delete("Thing/a"))
    with pytest.raises(DanglingLink) as refused:
        await commit(kernel, ontology=edit(CastProperty("Thing", "to", "Thing")))
    assert [one.field for one in refused.value.violations] == ["Thing/b.to"]


async def test_links_within_what_becomes_json_are_links_no_more(kernel: Kernel) -> None:
    address = ADDRESS | {"mayor": optional("Person")}
    person = declared("Person", address=optional("Address"))
    await new_database(kernel, address, person)
    await commit(kernel, insert("Person", "a"), insert("Person", "b", address={"mayor": "Person/a"}))
    await commit(kernel, ontology=edit(schema=[person | {"address": optional("sys:JSON")}]))
    await commit(kernel, Delete("Person/a"))
    with pytest.raises(DanglingLink):
        await commit(kernel, ontology=edit(schema=[person]))
    await commit(kernel, insert("Person", "a"))
    await commit(kernel, ontology=edit(CastProperty("Person", "address", "Address")))
    assert await referrers(kernel, "Person/a") == [("Person/b", "address.mayor")]
    with pytest.raises(StillReferenced):
        await commit(kernel, Delete("Person/a"))


@pytest.mark.parametrize(
    "step",
    [
        CastProperty("Address", "number", "xsd:integer"),
        CastProperty("Address", "number", family="List"),
        MoveProperty("Person", "address.number", "number"),
    ],
)
async def test_a_default_is_each_documents_own(kernel: Kernel, step: Step) -> None:
    await new_database(kernel, ADDRESS, declared("Person", address=optional("Address")))
    await commit(kernel, insert("Person", "a"), insert("Person", "b"))
    default = SetDefault("Person", "address", b'{"@type":"Address","number":"5"}')
    await commit(kernel, ontology=edit(default, step))
    found = [{**one, "@id": "", "name": ""} for one in (await documents(kernel)).values()]
    assert found[0] == found[1]
    assert "5" in str(found[0])


@pytest.fixture(params=["one kernel", "two kernels on one file"])
async def kernels(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Kernel, Kernel]]:
    first = await open_kernel(tmp_path / "kernel.db")
    second = first if request.param == "one kernel" else await open_kernel(tmp_path / "kernel.db")
    yield first, second
    await first.close()
    if second is not first:
        await second.close()


async def made(work: Awaitable[object], *refusals: type[KernelError]) -> bool:
    """Whether it was done; any refusal but those named is an error."""
    try:
        await work
    except refusals:
        return False
    return True


async def test_of_many_who_want_one_unique_value_one_gets_it(kernels: tuple[Kernel, Kernel]) -> None:
    one, other = kernels
    mail = {"@type": "Set", "@class": "Address"}
    being: Json = {"@abstract": []} | declared("Being", unique=("addresses.city",), addresses=mail)
    del being["@key"]
    kinds = [{"@type": "Class", "@id": name, "@inherits": "Being", "@key": KEY} for name in ("Firm", "Person")]
    await new_database(one, ADDRESS, being, *kinds)
    await commit(one, *(insert("Person", f"old{number}") for number in range(4)))
    await one.branches.create(ANA, DB, "side", "main", False, "")
    bonn = {"addresses": [{"city": "Rome" * 100}, {"city": "Bonn" * 100}]}
    await commit(one, insert("Firm", "side", **bonn), branch="side")
    patch, again = body(bonn), body({"@type": "Person", "name": "old1", **bonn})
    done = await asyncio.gather(
        made(commit(one, insert("Firm", "new", **bonn)), UniqueViolation),
        made(commit(other, insert("Person", "new", **bonn)), UniqueViolation),
        made(commit(other, Update("Person/old0", patch)), UniqueViolation),
        made(commit(one, Put(again)), UniqueViolation),
        made(other.merges.merge(ANA, MergeRequest(DB, "main", "side")), MergeViolation),
    )
    assert sum(done) == 1
    found = await documents(one)
    assert len([one for one in found.values() if one.get("addresses")]) == 1


async def test_a_class_is_renamed_amid_those_who_write_and_link(kernels: tuple[Kernel, Kernel]) -> None:
    """What is written before is renamed, what is written after is refused: nothing is left under the old name."""
    one, other = kernels
    await new_database(one, declared("Person", to=optional("Person")), declared("Firm", boss=optional("Person")))
    await commit(one, insert("Person", "a"))
    done = await asyncio.gather(
        *(made(commit(one, insert("Person", f"p{n}", to="Person/a")), UnknownClass) for n in range(10)),
        *(made(commit(other, insert("Firm", f"f{n}", boss="Person/a")), SchemaViolation) for n in range(10)),
        made(commit(other, ontology=edit(RenameClass("Person", "Human")))),
        *(made(commit(other, insert("Person", f"q{n}")), UnknownClass) for n in range(10)),
    )
    found = await documents(other)
    assert len(found) == sum(done)  # one of those done is the migration, and one document was there before
    assert "Person/" not in str(found)
    assert len(await referrers(one, "Human/a")) == len([one for one in found.values() if "to" in one or "boss" in one])


async def test_a_branch_that_knows_the_old_class_only_is_not_merged(kernel: Kernel) -> None:
    await new_database(kernel, declared("Person", to=optional("Person")))
    await commit(kernel, insert("Person", "a"))
    await kernel.branches.create(ANA, DB, "side", "main", False, "")
    await commit(kernel, insert("Person", "b", to="Person/a"), branch="side")
    await commit(kernel, ontology=edit(RenameClass("Person", "Human")))
    before = await documents(kernel), await documents(kernel, "side")
    with pytest.raises(MergeViolation) as refused:
        await kernel.merges.merge(ANA, MergeRequest(DB, "main", "side"))
    assert "Person/b" in str(refused.value)
    with pytest.raises(SchemaViolatedByData) as unfit:
        await kernel.merges.merge(ANA, MergeRequest(DB, "side", "main"))
    assert [one.field.partition(".")[0] for one in unfit.value.violations] == ["Person/b"]
    assert (await documents(kernel), await documents(kernel, "side")) == before
