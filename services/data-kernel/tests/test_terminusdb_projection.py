"""What the server's schema must gain for an ontology, and under which names properties stand in it."""

from copy import deepcopy
from typing import Any

import pytest

from ontomesh_data_kernel.adapters.terminusdb.projection import Native, Schema
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
