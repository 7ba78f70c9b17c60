"""Subdocuments, alternatives, Arrays, JSON, unique values and links that may dangle, on every store."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ontomesh_data_kernel.domain.canonical import document_hash, parse_body
from ontomesh_data_kernel.domain.kernel import Kernel
from ontomesh_data_kernel.domain.model import Delete, Insert, MergeOutcome, MergeRequest, Replace
from ontomesh_data_kernel.domain.ontology import parse_schema
from ontomesh_data_kernel.errors import (
    DanglingLink,
    SchemaViolatedByData,
    StillReferenced,
    UniqueViolation,
)
from tests.contract.inprocess import ANA, DB, body, commit, documents, new_database, open_kernel, schema_edit

pytestmark = [pytest.mark.live, pytest.mark.usefixtures("store")]


def optional(range_: str) -> dict[str, str]:
    return {"@type": "Optional", "@class": range_}


SCHEMA: list[dict[str, Any]] = [
    {"@type": "Class", "@id": "Country"},
    {"@type": "Class", "@id": "Place", "@abstract": [], "@subdocument": [], "in": optional("Country")},
    {"@type": "Class", "@id": "City", "@inherits": "Place", "@subdocument": [], "name": "xsd:string"},
    {
        "@type": "Class",
        "@id": "Farm",
        "@inherits": "Place",
        "@subdocument": [],
        "size": optional("xsd:decimal"),
        "near": {"@type": "List", "@class": "Place"},
    },
    {"@type": "TaggedUnion", "@id": "Contact", "@subdocument": [], "mail": "xsd:string", "none": "sys:Unit"},
    {
        "@type": "Class",
        "@id": "Person",
        "@key": {"@type": "Lexical", "@fields": ["name"]},
        "@metadata": {"ontomesh": {"indexed": ["home.name"], "unique": ["codes"], "dangling": ["idol"]}},
        "@oneOf": {"age": "xsd:integer", "born": "xsd:date"},
        "name": "xsd:string",
        "home": optional("City"),
        "places": {"@type": "Set", "@class": "Place"},
        "path": {"@type": "Array", "@class": "Person"},
        "grid": {"@type": "Array", "@class": "xsd:double", "@dimensions": 2},
        "contact": optional("Contact"),
        "codes": {"@type": "Set", "@class": "xsd:string", "@max_cardinality": 3},
        "any": optional("sys:JSON"),
        "idol": optional("Person"),
    },
    {"@type": "Class", "@id": "Boss", "@inherits": "Person"},
]
COMPILED = parse_schema(SCHEMA).compile()


@pytest.fixture
async def kernel(tmp_path: Path) -> AsyncIterator[Kernel]:
    opened = await open_kernel(tmp_path / "kernel.db")
    await new_database(opened, *SCHEMA)
    yield opened
    await opened.close()


def person(name: str, **rest: Any) -> dict[str, Any]:
    return {"@type": "Person", "name": name, "age": 1, **rest}


def put(document: dict[str, Any]) -> Insert:
    return Insert(body(document))


async def test_what_is_nested_comes_back_byte_for_byte(kernel: Kernel) -> None:
    farm = {"@type": "Farm", "size": 1.5, "in": "Country/x", "near": [{"@type": "City", "name": "é\u0001"}]}
    written = [
        person("a", home={"name": "Bath", "in": "Country/x"}, places=[farm, {"@type": "City", "name": ""}]),
        person("b", path=["Person/a", "Person/b", "Person/a"], grid=[[1, 0.1], [], [1e22]], contact={"none": []}),
        person("c", any={"@id": "y", "": [None, True, 1.50, {"a": {}}]}, contact={"mail": "m"}, codes=["z", "y"]),
        person("d", any="", path=[], grid=[], idol="Person/nobody"),
        person("e", any=[[]], places=[{"@type": "Farm", "near": [farm]}], idol="Person/a"),
    ]
    made = await commit(kernel, put({"@type": "Country", "@id": "Country/x"}), *map(put, written))
    ids = [result.id for result in made.results[1:]]
    batch = await kernel.documents.batch_get(ANA, DB, "main", ids)
    for document, found in zip(written, batch.documents, strict=True):
        sent = parse_body(json.dumps(document).encode(), limit=1 << 20)
        prepared = COMPILED.prepare(sent, document_id=None, random_id=str)
        assert found.body == prepared.body
        assert found.etag == document_hash(prepared.body).hex()


async def test_links_within_subdocuments_and_arrays_are_held(kernel: Kernel) -> None:
    with pytest.raises(DanglingLink) as dangling:
        await commit(kernel, put(person("a", home={"name": "Bath", "in": "Country/x"}, path=["Person/b"])))
    fields = {violation.field for violation in dangling.value.violations}
    assert fields == {"operations[0].insert.body.home.in", "operations[0].insert.body.path"}
    country = put({"@type": "Country", "@id": "Country/x"})
    deep = [{"@type": "Farm", "near": [{"@type": "City", "name": "", "in": "Country/x"}]}]
    await commit(kernel, country, put(person("a", places=deep)), put(person("b", path=["Person/a"])))
    for target, holder in (("Country/x", "Person/a"), ("Person/a", "Person/b")):
        with pytest.raises(StillReferenced) as held:
            await commit(kernel, Delete(target))
        assert held.value.metadata["referrers"] == holder
    await commit(kernel, Replace(body(person("a")), ""))
    await commit(kernel, Delete("Country/x"))


async def test_links_that_may_dangle_do_and_are_checked_once_they_may_not(kernel: Kernel) -> None:
    await commit(kernel, put(person("a", idol="Person/b")), put(person("b", idol="Person/c")))
    await commit(kernel, Delete("Person/b"))
    held = {**SCHEMA[5], "@metadata": {"ontomesh": {"indexed": ["home.name"], "unique": ["codes"]}}}
    with pytest.raises(SchemaViolatedByData) as violated:
        await commit(kernel, ontology=schema_edit(held))
    assert [violation.field for violation in violated.value.violations] == ["Person/a.idol"]
    await commit(kernel, put(person("b")), ontology=schema_edit(held))
    with pytest.raises(StillReferenced):
        await commit(kernel, Delete("Person/b"))
    assert (await documents(kernel))["Person/a"]["idol"] == "Person/b"


async def test_a_unique_value_has_one_document(kernel: Kernel) -> None:
    long = "x" * 300
    await commit(kernel, put(person("a", codes=["1", "2"])), put(person("b", codes=[long + "b"])))
    boss = {**person("c", codes=["3", "2"]), "@type": "Boss", "@id": "Boss/c"}
    with pytest.raises(UniqueViolation) as clash:
        await commit(kernel, put(boss))
    assert clash.value.metadata == {"id": "Boss/c", "property": "codes", "holder": "Person/a"}
    with pytest.raises(UniqueViolation):
        await commit(kernel, put(person("c", codes=[long + "b"])))
    await commit(kernel, put(person("c", codes=[long + "c"])), Replace(body(person("a", codes=["1"])), ""))
    await commit(kernel, put(boss))
    await kernel.branches.create(ANA, DB, "side", "main", False, "")
    await commit(kernel, put(person("d", codes=["9"])), branch="side")
    await commit(kernel, put(person("e", codes=["9"])))
    with pytest.raises(UniqueViolation):
        await commit(kernel, put(person("f", codes=["9"])))


async def test_a_value_that_becomes_unique_must_be(kernel: Kernel) -> None:
    await commit(kernel, put(person("a", home={"name": "Bath"})), put(person("b", home={"name": "Bath"})))
    unique = {**SCHEMA[5], "@metadata": {"ontomesh": {"unique": ["codes", "home.name"]}}}
    with pytest.raises(SchemaViolatedByData) as violated:
        await commit(kernel, ontology=schema_edit(unique))
    assert [violation.field for violation in violated.value.violations] == ["Person/b.home.name"]
    await commit(kernel, Delete("Person/a"), ontology=schema_edit(unique))
    with pytest.raises(UniqueViolation):
        await commit(kernel, put(person("a", home={"name": "Bath"})))


async def test_subdocuments_merge_by_property(kernel: Kernel) -> None:
    await commit(kernel, put(person("a", home={"name": "Bath"})), put({"@type": "Country", "@id": "Country/x"}))
    await kernel.branches.create(ANA, DB, "side", "main", False, "")
    await commit(kernel, Replace(body(person("a", home={"name": "Rome"})), ""), branch="side")
    await commit(kernel, Replace(body(person("a", home={"name": "Bath", "in": "Country/x"})), ""))
    merged = await kernel.merges.merge(ANA, MergeRequest(DB, "main", "side"))
    assert merged.outcome is MergeOutcome.MERGED
    assert (await documents(kernel))["Person/a"]["home"] == {"@type": "City", "name": "Rome", "in": "Country/x"}
