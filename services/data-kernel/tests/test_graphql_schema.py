"""The GraphQL schema that an ontology comes to, odd ones included."""

import re
from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    build_schema,
    print_schema,
    validate_schema,
)
from hypothesis import given
from hypothesis import strategies as st

from ontomesh_data_kernel.domain.ontology import parse_schema
from ontomesh_data_kernel.doors.http.graphql.names import decode, field_name, free, many, one, type_name, value_name
from ontomesh_data_kernel.doors.http.graphql.schema import MAX_CLASSES, Built, build
from ontomesh_data_kernel.errors import TooLarge

NAME = re.compile(r"(?!__)[_A-Za-z][_0-9A-Za-z]*")
NAMES = st.one_of(
    st.from_regex(re.compile(r"[^\W\d][\w-]{0,12}"), fullmatch=True),
    st.from_regex(r"[_u][_u0-9a-f-]{0,12}", fullmatch=True),
    st.sampled_from(["String", "ID", "true", "null", "__type", "_id", "größe", "is-part"]),
)


def schema(*elements: dict[str, Any]) -> Built:
    """The schema of an ontology, found valid by the library."""
    built = build(parse_schema(elements))
    printed = print_schema(built.schema)
    assert validate_schema(built.schema.__class__(**built.schema.to_kwargs() | {"assume_valid": False})) == []
    build_schema(printed)
    return built


def cls(id_: str, /, **members: Any) -> dict[str, Any]:
    """A class; underscores at the front of members stand for @."""
    return {"@type": "Class", "@id": id_} | {re.sub("^_(?=[a-z])", "@", key): part for key, part in members.items()}


def signature(built: Built, type: str, field: str) -> str:
    found = built.schema.type_map[type]
    assert isinstance(found, GraphQLObjectType | GraphQLInterfaceType)
    return str(found.fields[field].type)


@given(NAMES, NAMES)
def test_every_name_becomes_a_valid_one_of_its_own_and_is_given_back(name: str, other: str) -> None:
    for encode in (type_name, field_name, value_name):
        assert NAME.fullmatch(encode(name))
        assert decode(encode(name)) == name
        assert (encode(name) == encode(other)) == (name == other)


@pytest.mark.parametrize(
    ("encode", "name", "encoded"),
    [
        (type_name, "Package", "Package"),
        (type_name, "String", "_u53_tring"),
        (type_name, "__Type", "_u5f__Type"),
        (field_name, "is-part", "is_u2d_part"),
        (field_name, "größe", "gr_uf6__udf_e"),
        (field_name, "_id", "_u5f_id"),
        (field_name, "is_u2d_part", "is_u5f_u2d_part"),
        (value_name, "true", "_u74_rue"),
        (value_name, "1.0", "_u31__u2e_0"),
        (value_name, "very wild", "very_u20_wild"),
    ],
)
def test_names_are_encoded_as_documented(encode: Any, name: str, encoded: str) -> None:
    assert encode(name) == encoded


@pytest.mark.parametrize(
    ("name", "single", "several"),
    [
        ("Package", "package", "packages"),
        ("HTTPServer", "httpServer", "httpServers"),
        ("Address", "address", "addresses"),
        ("Category", "category", "categories"),
        ("Day", "day", "days"),
        ("X", "x", "xes"),
        ("_u53_tring", "_u53_tring", "_u53_trings"),
    ],
)
def test_root_fields_are_named_after_their_class(name: str, single: str, several: str) -> None:
    assert (one(name), many(name)) == (single, several)


def test_what_is_made_up_yields_to_what_is_taken() -> None:
    taken = {"Query", "Query_"}
    assert (free("Query", taken), free("Query", taken), free("Other", taken)) == ("Query__", "Query___", "Other")


def test_every_scalar_and_container_has_a_type_that_keeps_its_values() -> None:
    types = {
        "xsd:string": "String",
        "xsd:boolean": "Boolean",
        "xsd:short": "Int",
        "xsd:double": "Float",
        "xsd:long": "Long",
        "xsd:unsignedInt": "Long",
        "xsd:integer": "Integer",
        "xsd:decimal": "Decimal",
        "xsd:dateTime": "DateTime",
        "xsd:date": "Date",
        "xsd:time": "Time",
        "xsd:duration": "Duration",
        "xsd:gYear": "String",
        "xsd:hexBinary": "String",
        "sys:JSON": "JSON",
    }
    properties = {f"p{index}": name for index, name in enumerate(types)}
    optional = {f"o{index}": {"@type": "Optional", "@class": name} for index, name in enumerate(types)}
    lists = {f"l{index}": {"@type": "List", "@class": name} for index, name in enumerate(types)}
    grid = {"grid": {"@type": "Array", "@class": "xsd:decimal", "@dimensions": 2}}
    built = schema(cls("C", **properties, **optional, **lists, **grid))
    for index, expected in enumerate(types.values()):
        assert signature(built, "C", f"p{index}") == f"{expected}!"
        assert signature(built, "C", f"o{index}") == expected
        assert signature(built, "C", f"l{index}") == f"[{expected}!]!"
    assert signature(built, "C", "grid") == "[[Decimal!]!]!"


def test_classes_with_subclasses_are_interfaces_and_refined_links_stay_valid() -> None:
    built = schema(
        cls("Being", _abstract=[], name="xsd:string"),
        cls("Person", _inherits="Being", friend={"@type": "Optional", "@class": "Person"}),
        cls("Employee", _inherits="Person", friend={"@type": "Optional", "@class": "Employee"}),
        cls("Lonely", _abstract=[]),
    )
    assert set(built.types) == {"Person", "Employee"}
    assert signature(built, "Person", "friend") == "AnyPerson"
    assert signature(built, "Employee", "friend") == "Employee"
    assert [each.name for each in built.types["Employee"].interfaces] == ["Document", "AnyBeing", "AnyPerson"]
    assert signature(built, "Query", "beings") == "BeingConnection"
    assert signature(built, "BeingConnection", "nodes") == "[AnyBeing!]!"
    assert signature(built, "Query", "lonely") == "AnyLonely"
    assert signature(built, "Employee", "_friend_of_Person") == "PersonConnection"
    assert "_friend_of_Employee" not in built.types["Employee"].fields


def test_subdocuments_tagged_unions_and_one_of_are_objects_without_ids() -> None:
    built = schema(
        cls(
            "Place", _subdocument=[], _key={"@type": "Random"}, city="xsd:string", owner={"@type": "Set", "@class": "P"}
        ),
        {"@type": "TaggedUnion", "@id": "Way", "road": "xsd:string", "rail": "xsd:integer"},
        cls("P", places={"@type": "List", "@class": "Place"}, _oneOf={"a": "xsd:string", "b": "Place"}),
    )
    assert signature(built, "P", "places") == "[Place!]!"
    assert (signature(built, "P", "a"), signature(built, "P", "b")) == ("String", "Place")
    assert "_id" not in built.types["Place"].fields
    assert signature(built, "P", "_places_owner_of_P") == "PConnection"
    assert signature(built, "Way", "rail") == "Integer"
    query = built.schema.query_type
    assert query is not None
    assert "ways" in query.fields
    assert "places" not in query.fields


def test_an_ontology_whose_names_are_those_of_the_schema_has_them_all_the_same() -> None:
    taken = ["Query", "PageInfo", "Document", "Referrer", "Long", "JSON", "TextComparison", "String", "AnyPerson"]
    built = schema(
        *(cls(name) for name in [*taken, "PersonFilter", "PersonConnection", "person", "document"]),
        {
            "@type": "Class",
            "@id": "Person",
            "_id": "xsd:long",
            "_json": "Q-1",
            "friend": "Person",
            "_friend_of_Person": "Long",
        },
        cls("Employee", _inherits="Person"),
        {"@type": "Enum", "@id": "Q-1", "@value": ["true", "null", "a b", "A", "ä"]},
    )
    assert built.schema.query_type is not None
    assert built.schema.query_type.name == "Query_"
    assert signature(built, "Person", "_u5f_id") == "Long_!"
    assert signature(built, "Person", "_u5f_friend_of_Person") == "Long"
    enum = built.schema.type_map["Q_u2d_1"]
    assert isinstance(enum, GraphQLEnumType)
    assert set(enum.values) == {"_u74_rue", "_u6e_ull", "a_u20_b", "A", "_ue4_"}
    assert "_friend_of_Person" in built.types["Person"].fields
    assert built.types["String"].name == "_u53_tring"


def test_what_the_ontology_says_of_itself_describes_the_schema() -> None:
    told = {"@comment": "A package.", "@properties": {"name": "Its name."}}
    built = schema(cls("Package", _documentation=told, name="xsd:string"))
    assert built.types["Package"].description == "A package."
    assert built.types["Package"].fields["name"].description == "Its name."


def test_an_ontology_without_classes_has_a_schema() -> None:
    assert schema().schema.query_type is not None


def test_a_long_chain_of_classes_has_a_schema() -> None:
    chain = [cls(f"C{number}", link=f"C{number + 1}") for number in range(1_500)]
    assert len(build(parse_schema([*chain, cls("C1500")])).types) == 1_501


def test_an_ontology_that_is_too_large_for_a_schema_is_refused() -> None:
    with pytest.raises(TooLarge):
        build(parse_schema([cls(f"C{number}") for number in range(MAX_CLASSES + 1)]))
    crowd = [cls(f"C{number}", _inherits="C0", link="C0") for number in range(1, 300)]
    with pytest.raises(TooLarge):
        build(parse_schema([cls("C0"), *crowd]))
