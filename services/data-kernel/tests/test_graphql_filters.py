"""Typed filters come to the same queries as the text of the other doors."""

from typing import Any

import pytest
from graphql import coerce_input_value

from ontomesh_data_kernel.domain.ontology import parse_schema
from ontomesh_data_kernel.domain.query.language import compile_query, fingerprint
from ontomesh_data_kernel.doors.http.graphql.compiling import compile_documents
from ontomesh_data_kernel.doors.http.graphql.requests import Digits
from ontomesh_data_kernel.doors.http.graphql.schema import build
from ontomesh_data_kernel.errors import InvalidFilter

ONTOLOGY = parse_schema(
    [
        {"@type": "Enum", "@id": "Mood", "@value": ["calm", "very wild"]},
        {"@type": "Class", "@id": "Place", "@subdocument": [], "@key": {"@type": "Random"}, "city": "xsd:string"},
        {
            "@type": "Class",
            "@id": "Person",
            "name": "xsd:string",
            "age": {"@type": "Optional", "@class": "xsd:integer"},
            "big": {"@type": "Optional", "@class": "xsd:long"},
            "weight": {"@type": "Optional", "@class": "xsd:decimal"},
            "height": {"@type": "Optional", "@class": "xsd:double"},
            "small": {"@type": "Optional", "@class": "xsd:byte"},
            "born": {"@type": "Optional", "@class": "xsd:date"},
            "alive": {"@type": "Optional", "@class": "xsd:boolean"},
            "mood": {"@type": "Optional", "@class": "Mood"},
            "any-thing": {"@type": "Optional", "@class": "sys:JSON"},
            "friend": {"@type": "Set", "@class": "Person"},
            "home": {"@type": "Optional", "@class": "Place"},
        },
        {"@type": "Class", "@id": "Employee", "@inherits": "Person"},
    ]
)
FILTERS = build(ONTOLOGY).filters.of("Person")


def compiled(given: dict[str, Any], **texts: str) -> str:
    coerced = coerce_input_value(given, FILTERS)
    return fingerprint(compile_documents(ONTOLOGY, "Person", {"filter": coerced, **texts}, FILTERS))


def written(filter: str, order_by: str = "") -> str:
    return fingerprint(compile_query(ONTOLOGY, "Person", False, filter, order_by))


def refused(given: dict[str, Any], **texts: str) -> InvalidFilter:
    with pytest.raises(InvalidFilter) as caught:
        compiled(given, **texts)
    return caught.value


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({}, ""),
        ({"name": {"eq": "a*"}}, r'name = "a\*"'),
        ({"name": {"startsWith": "a*"}}, r'name = "a\**"'),
        ({"name": {"ne": "a"}}, 'name != "a"'),
        ({"name": {"in": ["a", "b"]}}, 'name in ("a", "b")'),
        ({"name": {"gt": "a", "le": "b"}}, 'name <= "b" AND name > "a"'),
        ({"name": {"present": True}}, "name:*"),
        ({"age": {"present": False}}, "NOT age:*"),
        ({"age": {"eq": "123456789012345678901234567890"}}, "age = 123456789012345678901234567890"),
        ({"big": {"lt": 7}}, "big < 7"),
        (
            {"weight": {"eq": Digits("0.10000000000000000000000000000000000001")}},
            "weight = 0.10000000000000000000000000000000000001",
        ),
        ({"height": {"ge": 1.5}}, "height >= 1.5"),
        ({"small": {"eq": -3}}, "small = -3"),
        ({"born": {"lt": "2000-01-01"}}, 'born < "2000-01-01"'),
        ({"alive": {"eq": True}}, "alive = true"),
        ({"mood": {"eq": "very_u20_wild"}}, 'mood = "very wild"'),
        ({"any_u2d_thing": {"present": True}}, "any-thing:*"),
        ({"_id": {"eq": "Person/a"}}, '@id = "Person/a"'),
        ({"_type": {"in": ["Employee"]}}, '@type in ("Employee")'),
        ({"friend": {"_id": {"eq": "Person/a"}}}, 'friend.@id = "Person/a"'),
        ({"friend": {"_present": True}}, "friend:*"),
        ({"friend": {"home": {"city": {"eq": "Rome"}}}}, 'friend.home.city = "Rome"'),
        ({"friend": {"_or": [{"name": {"eq": "a"}}, {"age": {"gt": 1}}]}}, 'friend.name = "a" OR friend.age > 1'),
        ({"_not": {"name": {"eq": "a"}, "age": {"eq": 1}}}, 'NOT (name = "a" AND age = 1)'),
        ({"_and": [{"name": {"eq": "a"}}], "age": {"eq": 1}}, 'name = "a" AND age = 1'),
        ({"_or": [{"name": {"eq": "a"}}]}, 'name = "a"'),
    ],
)
def test_a_typed_filter_is_the_text_that_says_the_same(given: dict[str, Any], text: str) -> None:
    assert compiled(given) == written(text)


def test_a_typed_filter_and_a_text_hold_both() -> None:
    found = compiled({"name": {"eq": "a"}}, where="age > 1", orderBy="age desc, name")
    assert found == written('name = "a" AND age > 1', "age desc, name")


@pytest.mark.parametrize(
    ("given", "place", "part"),
    [
        ({"born": {"lt": "yesterday"}}, "filter.born.lt", "a date"),
        ({"friend": {"friend": {"small": {"in": [1, 200]}}}}, "filter.friend.friend.small.in[1]", "-128"),
        ({"friend": {"_id": {"eq": "Place/a"}}}, "filter.friend._id.eq", "is not the id"),
        ({"_type": {"eq": "Place"}}, "filter._type.eq", "is not a class"),
        ({"big": {"eq": "1.5"}}, "filter.big.eq", "due"),
        ({"name": {}}, "filter.name", "is empty"),
        ({"friend": {}}, "filter.friend", "is empty"),
        ({"_or": []}, "filter._or", "is empty"),
        ({"_or": [{"name": {"eq": "a"}}, {}]}, "filter._or[1]", "is empty"),
        ({"_not": {}}, "filter._not", "is empty"),
        ({"name": None}, "filter.name", "is null"),
        ({"name": {"eq": None}}, "filter.name.eq", "is null"),
        ({"name": {"in": []}}, "filter.name.in", "1 to 1,000"),
        ({"name": {"in": ["a"] * 1_001}}, "filter.name.in", "1 to 1,000"),
        ({"_present": True}, "filter._present", "not of the documents"),
        ({"_and": [{"name": {"eq": "a"}}] * 101}, "filter._and[100].name.eq", "at most 100"),
    ],
)
def test_what_is_wrong_with_a_typed_filter_is_told_at_its_place(given: dict[str, Any], place: str, part: str) -> None:
    error = refused(given)
    assert [violation.field for violation in error.violations] == [place]
    assert part in error.violations[0].description


def test_a_filter_nested_too_deeply_is_refused() -> None:
    given: dict[str, Any] = {"name": {"eq": "a"}}
    for _ in range(40):
        given = {"_not": given}
    assert "nested deeper" in refused(given).message
    far: dict[str, Any] = {"name": {"eq": "a"}}
    for _ in range(9):
        far = {"friend": far}
    assert "at most 8 names" in refused(far).message


@pytest.mark.parametrize(
    ("argument", "text"), [("where", "nam = 1"), ("where", "\x1e"), ("where", "x" * 9_000), ("orderBy", "friend")]
)
def test_what_is_wrong_with_a_text_is_told_of_its_argument(argument: str, text: str) -> None:
    error = refused({}, **{argument: text})
    assert [violation.field for violation in error.violations] == [argument]
    assert error.message.startswith(argument)
