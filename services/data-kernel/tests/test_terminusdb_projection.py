"""What the server's schema must gain for an ontology, and under which names properties stand in it."""

import json
from copy import deepcopy
from typing import Any

import pytest

from ontomesh_data_kernel.adapters.terminusdb.projection import Documents, Native, Schema
from ontomesh_data_kernel.domain.canonical import parse_body
from ontomesh_data_kernel.domain.ontology import Ontology, parse_schema
from ontomesh_data_kernel.errors import UnsupportedByStore


def ontology(*classes: dict[str, Any]) -> Ontology:
    return parse_schema([{"@type": "Class", **each} for each in classes])


def holding(*ontologies: Ontology) -> Schema:
    """A schema that was brought ahead for each, one after another."""
    native: Native = {}
    for each in ontologies:
        native |= Schema(native).gained(each)
    return Schema(native)


TEXT = ontology({"@id": "Item", "price": "xsd:string"})
NUMBER = ontology({"@id": "Item", "price": "xsd:integer"})
HEIRS = ontology({"@id": "A"}, {"@id": "B"}, {"@id": "C"}, {"@id": "Heir", "@inherits": ["A", "B", "C"]})


@pytest.mark.parametrize("each", [TEXT, HEIRS])
def test_a_schema_that_holds_an_ontology_gains_nothing(each: Ontology) -> None:
    assert holding(each).gained(each) == {}


def test_the_order_in_which_the_server_tells_parents_is_no_difference() -> None:
    told = deepcopy(list(holding(HEIRS).native.values()))
    for element in told:
        element.get("@inherits", []).reverse()
    assert Schema.read(told).gained(HEIRS) == {}


def test_a_property_whose_type_changes_gets_another_name_and_its_own_again_when_it_changes_back() -> None:
    schema = holding(TEXT, NUMBER)
    assert schema.names(TEXT)["Item"] == {}
    assert schema.names(NUMBER)["Item"] == {"price": "price.2"}
    assert schema.variants("Item", "price") == ["price", "price.2"]
    assert schema.gained(TEXT) == schema.gained(NUMBER) == {}


def test_classes_that_inherit_from_one_another_share_the_names() -> None:
    apart = ontology({"@id": "Base"}, {"@id": "Sub", "@inherits": "Base", "price": "xsd:string"})
    moved = ontology({"@id": "Base", "price": "xsd:integer"}, {"@id": "Sub", "@inherits": "Base"})
    schema = holding(apart, moved)
    assert schema.names(moved) == {"Base": {"price": "price.2"}, "Sub": {"price": "price.2"}}


def test_a_class_that_leaves_its_parent_keeps_what_its_documents_may_have() -> None:
    within = ontology({"@id": "Base", "price": "xsd:string"}, {"@id": "Sub", "@inherits": "Base"})
    apart = ontology({"@id": "Base", "price": "xsd:string"}, {"@id": "Sub"})
    assert holding(within, apart).variants("Sub", "price") == ["price"]


def test_names_of_the_stores_own_are_refused() -> None:
    with pytest.raises(UnsupportedByStore, match="Ontomesh_Head"):
        Schema({}).gained(ontology({"@id": "Ontomesh_Head"}))


NESTED = parse_schema(
    [
        {"@type": "Class", "@id": "Place"},
        {
            "@type": "Class",
            "@id": "Address",
            "@subdocument": [],
            "city": "xsd:string",
            "rent": {"@type": "Optional", "@class": "xsd:decimal"},
            "at": {"@type": "Set", "@class": "Place"},
            "inner": {"@type": "Optional", "@class": "Address"},
        },
        {"@type": "TaggedUnion", "@id": "Contact", "mail": "xsd:string", "none": "sys:Unit"},
        {
            "@type": "Class",
            "@id": "Person",
            "@metadata": {"ontomesh": {"dangling": ["idol"]}},
            "home": "Address",
            "others": {"@type": "List", "@class": "Address"},
            "grid": {"@type": "Array", "@class": "xsd:double", "@dimensions": 2},
            "seats": {"@type": "Array", "@class": "Place"},
            "any": {"@type": "Optional", "@class": "sys:JSON"},
            "idol": {"@type": "Optional", "@class": "Person"},
            "nicks": {"@type": "Set", "@class": "xsd:string", "@max_cardinality": 2},
            "@oneOf": {"age": "xsd:integer", "born": "xsd:date"},
        },
    ]
)


def test_what_is_nested_is_a_string_beside_the_links_that_are_in_it() -> None:
    schema = holding(NESTED)
    person = schema.native["Person"]
    text = {"@type": "Optional", "@class": "xsd:string"}
    assert "Address" not in schema.native
    assert person["home"] == person["others"] == person["grid"] == person["any"] == text
    assert person["idol"] == {"@type": "Optional", "@class": "xsd:anyURI"}
    assert person["home.at"] == person["home.inner.at"] == person["seats.links"] == {"@type": "Set", "@class": "Place"}
    assert person["age"] == {"@type": "Optional", "@class": "xsd:integer"}
    assert person["nicks"] == {"@type": "Set", "@class": "xsd:string"}
    assert schema.variants("Person", "home.at") == ["home.at"]
    assert schema.variants("Person", "seats") == ["seats", "seats.links"]
    assert schema.variants("Person", "home") == ["home"]
    assert schema.gained(NESTED) == {}


def test_what_is_nested_comes_back_byte_for_byte() -> None:
    documents = Documents(NESTED)
    address = {"@type": "Address", "city": "a", "rent": 1.5, "at": ["Place/b", "Place/a"]}
    sent = {
        "@type": "Person",
        "@id": "Person/1",
        "home": address | {"inner": address | {"at": ["Place/c"]}},
        "others": [address],
        "grid": [[1, 2.5], [], [1e22]],
        "seats": ["Place/a", "Place/d", "Place/a"],
        "any": {"b": [None, 1.10, {"@id": "x"}], "a": "\u0001 é"},
        "idol": "Person/none",
        "nicks": ["b", "a"],
        "age": 3,
    }
    body = (
        NESTED.compile()
        .prepare(parse_body(json.dumps(sent).encode(), limit=9_999), document_id=None, random_id=str)
        .body
    )
    native = json.loads(documents.to_native(body, holding(NESTED).names(NESTED)))
    assert native["home.at"] == ["Place/a", "Place/b"]
    assert native["home.inner.at"] == ["Place/c"]
    assert native["seats.links"] == ["Place/a", "Place/d"]
    assert documents.from_native(native)[0] == body


def test_links_within_a_property_whose_range_changes_get_another_name() -> None:
    def linking(range_: str) -> Ontology:
        part = {"@id": "Part", "@subdocument": [], "to": {"@type": "Optional", "@class": range_}}
        return ontology({"@id": "A"}, {"@id": "B"}, part, {"@id": "Whole", "part": "Part"})

    schema = holding(linking("A"), linking("B"))
    assert schema.names(linking("B"))["Whole"] == {"part.to": "part.to.2"}
    assert schema.variants("Whole", "part.to") == ["part.to", "part.to.2"]
