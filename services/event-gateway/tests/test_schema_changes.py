"""What would break if classes and properties were gone."""

from dataclasses import replace
from typing import Any

import pytest

from ontomesh_event_gateway.domain.caller import Caller
from ontomesh_event_gateway.domain.event_types import EventType
from ontomesh_event_gateway.domain.filters import Filter
from ontomesh_event_gateway.domain.model import ClassName
from ontomesh_event_gateway.domain.schema_changes import Gone, SchemaChanges
from ontomesh_event_gateway.domain.subscription import Subscription
from ontomesh_event_gateway.errors import InvalidRequest, PermissionDenied
from tests.events.memory import ANA, BOB, Someone

GONE = Gone("catalog", "main", ("Person", "Pet"), ("Place.city", "Place.address.zip", "*.nick"))


def broken(filter: Filter, gone: Gone = GONE) -> list[tuple[str, str]]:
    one = Subscription("billing", filter=filter, owner="user:bob")
    found = SchemaChanges(lambda: [one], list).check(ANA, gone)
    assert all((each.subscription, each.event_type, each.owner) == ("billing", "", "user:bob") for each in found)
    return [(each.field, each.missing) for each in found]


@pytest.mark.parametrize(
    ("filter", "found"),
    [
        (Filter(), []),
        (Filter(classes=("Place",)), []),
        (Filter(classes=("Place", "Person")), [("filter.classes[1]", "Person")]),
        (Filter(types=("ontomesh.document.Pet", "shop.*")), [("filter.types[0]", "Pet")]),
        (Filter(types=("ontomesh.document.*", "ontomesh.document.P*", "Person")), []),
        (Filter(classes=("Person",), databases=("cat*",), branches=("main",)), [("filter.classes[0]", "Person")]),
        (Filter(classes=("Person",), databases=("other",)), []),
        (Filter(classes=("Person",), branches=("feature/*",)), []),
        (Filter(classes=("Place",), paths=("name", "city")), [("filter.paths[1]", "Place.city")]),
        (Filter(classes=("Place",), paths=("city.part",)), [("filter.paths[0]", "Place.city")]),
        (Filter(classes=("Place",), paths=("address", "citysize")), []),
        (Filter(classes=("Place",), paths=("address.zip",)), [("filter.paths[0]", "Place.address.zip")]),
        (Filter(types=("ontomesh.document.Place",), paths=("city",)), [("filter.paths[0]", "Place.city")]),
        (Filter(paths=("city", "nick")), [("filter.paths[1]", "nick")]),
        (Filter(classes=("Person",), paths=("name",)), [("filter.classes[0]", "Person")]),
    ],
)
def test_a_subscription_breaks_where_it_names_what_would_be_gone(filter: Filter, found: list[tuple[str, str]]) -> None:
    assert broken(filter) == found


def test_an_event_type_breaks_where_its_class_would_be_gone() -> None:
    types = [
        EventType("shop.pet", ontology_class=ClassName("catalog", "main", "Pet"), author="user:ana"),
        EventType("shop.other", ontology_class=ClassName("catalog", "feature", "Pet")),
        EventType("shop.place", ontology_class=ClassName("catalog", "main", "Place")),
        EventType("shop.order", json_schema="true"),
    ]
    (found,) = SchemaChanges(list, lambda: types).check(ANA, GONE)
    assert (found.subscription, found.event_type, found.owner) == ("", "shop.pet", "user:ana")
    assert (found.field, found.missing) == ("ontology_class.name", "Pet")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"database": ""}, "database"),
        ({"branch": ""}, "branch"),
        ({"classes": ("x",) * 10_001}, "classes"),
        ({"properties": ("name",)}, "properties[0]"),
        ({"properties": ("A.b", "A.")}, "properties[1]"),
    ],
)
def test_a_question_that_is_none_is_refused(change: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        SchemaChanges(list, list).check(ANA, replace(GONE, **change))
    assert [violation.field for violation in refused.value.violations] == [field]


def test_whoever_may_read_the_branch_may_ask() -> None:
    assert SchemaChanges(list, list).check(BOB, GONE) == ()
    with pytest.raises(PermissionDenied) as refused:
        SchemaChanges(list, list).check(Caller(Someone("user:eve", "consume")), GONE)
    assert refused.value.metadata["branch"] == "main"
