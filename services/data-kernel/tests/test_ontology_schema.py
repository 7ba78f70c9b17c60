import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ontomesh_data_kernel.domain.ontology import (
    EMPTY,
    ClassDef,
    Family,
    KeyKind,
    Ontology,
    parse_schema,
    parse_schema_text,
)
from ontomesh_data_kernel.domain.ontology.resolve import MAX_ANCESTORS
from ontomesh_data_kernel.domain.ontology.types import SCALARS
from ontomesh_data_kernel.errors import InvalidSchema, MalformedBody, TooLarge

CONTEXT = {"@type": "@context", "@base": "terminusdb:///data/", "@schema": "terminusdb:///schema#"}
NAMED = {"@type": "Class", "@id": "Named", "@abstract": [], "name": "xsd:string"}
PERSON = {
    "@type": "Class",
    "@id": "Person",
    "@inherits": "Named",
    "@key": {"@type": "Lexical", "@fields": ["name"]},
    "@documentation": {"@comment": "Somebody.", "@properties": {"age": "In years."}},
    "@metadata": {"indexed": ["age"], "weight": 1},
    "age": {"@type": "Optional", "@class": "xsd:integer"},
    "moods": {"@type": "Set", "@class": "Mood"},
    "friends": {"@type": "List", "@class": "Person"},
}
MOOD = {"@type": "Enum", "@id": "Mood", "@value": ["good", "bad"]}
TEAM = {"@type": "Class", "@id": "Team", "lead": "Named", "members": {"@type": "Set", "@class": "Person"}}
SCHEMA: list[Any] = [CONTEXT, NAMED, PERSON, MOOD, TEAM]


def a_class(**properties: Any) -> dict[str, Any]:
    keywords = {f"@{name[1:]}" if name.startswith("_") else name: value for name, value in properties.items()}
    return {"@type": "Class", "@id": "A", **keywords}


BAD_FAMILIES: list[tuple[dict[str, Any], str, str]] = [
    ({"@type": "Array", "@dimensions": 0}, "@dimensions", "is an integer of 1 to 8"),
    ({"@type": "Array", "@dimensions": 9}, "@dimensions", "is an integer of 1 to 8"),
    ({"@type": "Array", "@dimensions": True}, "@dimensions", "is an integer of 1 to 8"),
    ({"@type": "List", "@dimensions": 1}, "@dimensions", "not part of List"),
    ({"@type": "Optional", "@cardinality": 1}, "@cardinality", "not part of Optional"),
    ({"@type": "Cardinality"}, "@cardinality", "is required with Cardinality"),
    ({"@type": "Set", "@cardinality": 0}, "@cardinality", "is an integer of 1 to"),
    ({"@type": "Set", "@cardinality": "1"}, "@cardinality", "is an integer of 1 to"),
    ({"@type": "Set", "@min_cardinality": -1}, "@min_cardinality", "is an integer of 0 to"),
    ({"@type": "Set", "@min_cardinality": 3, "@max_cardinality": 2}, "@max_cardinality", "2 is less than"),
    ({"@type": "Set", "@cardinality": 3, "@max_cardinality": 3}, "@max_cardinality", "does not go with"),
]
BAD_SCHEMAS: list[tuple[list[Any], str, str]] = [
    ([1], "schema[0]", "an integer where an object"),
    ([{}], "schema[0].@type", "one of Class, TaggedUnion, Enum and @context"),
    ([{"@type": "class", "@id": "A"}], "schema[0].@type", "one of Class"),
    ([{"@type": ["Class"], "@id": "A"}], "schema[0].@type", "one of Class"),
    ([{"@type": "TaggedUnion", "@id": "A"}], "schema[0]", "has one alternative or more"),
    ([{"@type": "TaggedUnion", "@id": "A", "a": 1}], "schema[0].a", "an integer where a type"),
    (
        [{"@type": "TaggedUnion", "@id": "A", "a": "xsd:string", "@oneOf": {}}],
        "schema[0].@oneOf",
        "does not go with TaggedUnion",
    ),
    ([{"@type": "Foreign", "@id": "A"}], "schema[0].@type", "Foreign is not supported: a link's target"),
    ([{"@type": "Class"}], "schema[0].@id", "is required"),
    ([{"@type": "Class", "@id": 1}], "schema[0].@id", "an integer where a name"),
    ([{"@type": "Class", "@id": "a/b"}], "schema[0].@id", "is no name"),
    ([{"@type": "Class", "@id": ""}], "schema[0].@id", "is no name"),
    ([{"@type": "Class", "@id": "A" * 129}], "schema[0].@id", "is no name"),
    ([{"@type": "Enum", "@id": "xsd:string", "@value": ["a"]}], "schema[0].@id", "is no name"),
    ([NAMED, a_class(), a_class()], "schema[2].@id", "declared twice, first in schema[1]"),
    ([a_class(), {**MOOD, "@id": "A"}], "schema[1].@id", "declared twice"),
    ([CONTEXT, CONTEXT], "schema[1]", "declared twice"),
    ([{"@type": "@context", "@schema": "x"}], "schema[0].@base", "is required"),
    ([{**CONTEXT, "@schema": 1}], "schema[0].@schema", "is required"),
    ([{**CONTEXT, "@other": "x"}], "schema[0].@other", "a context holds"),
    ([{**CONTEXT, "ex": {}}], "schema[0].ex", "a context holds"),
    ([a_class(_inherits="B")], "schema[0].@inherits", "no class 'B'"),
    ([NAMED, a_class(_inherits=["Named", "Namde"])], "schema[1].@inherits", "did you mean Named?"),
    ([MOOD, a_class(_inherits="Mood")], "schema[1].@inherits", "Mood is an enum"),
    ([a_class(_inherits=[1])], "schema[0].@inherits[0]", "an integer where a name"),
    ([a_class(_inherits="A")], "schema[0].@inherits", "A -> A"),
    ([a_class(_inherits="B"), {"@type": "Class", "@id": "B", "@inherits": "A"}], "schema[0].@inherits", "A -> B -> A"),
    ([a_class(_abstract=True)], "schema[0].@abstract", "is [] or absent"),
    ([a_class(_subdocument=True)], "schema[0].@subdocument", "is [] or absent"),
    ([a_class(_unfoldable={})], "schema[0].@unfoldable", "is [] or absent"),
    ([a_class(_oneOf={})], "schema[0].@oneOf", "is an object of one or more alternatives"),
    ([a_class(_oneOf=[{"a": "xsd:string"}, 1])], "schema[0].@oneOf[1]", "is an object of one or more alternatives"),
    ([a_class(_oneOf={"a": {"@type": "List", "@class": "A"}})], "schema[0].@oneOf.a", "it is no alternative"),
    (
        [a_class(_oneOf={"a": {"@type": "Set", "@class": "A", "@min_cardinality": 1}})],
        "schema[0].@oneOf.a",
        "an alternative has no minimum",
    ),
    ([a_class(a="xsd:string", _oneOf={"a": "xsd:string"})], "schema[0].@oneOf.a", "a property of the class already"),
    (
        [a_class(_oneOf=[{"a": "xsd:string"}, {"a": "xsd:string"}])],
        "schema[0].@oneOf[1].a",
        "an alternative already",
    ),
    ([a_class(_oneOf={"a": "xsd:strin"})], "schema[0].@oneOf.a", "did you mean xsd:string?"),
    ([a_class(_oneOf={"a": "Missing"})], "schema[0].a", "no class or enum 'Missing'"),
    ([a_class(_subdocument=[]), {"@type": "Class", "@id": "B", "@inherits": "A"}], "schema[1].@subdocument", "one too"),
    (
        [a_class(), {"@type": "Class", "@id": "B", "@inherits": "A", "@subdocument": []}],
        "schema[1].@inherits",
        "A has documents of its own",
    ),
    ([a_class(_keys={})], "schema[0].@keys", "did you mean @key?"),
    ([a_class(_key="Random")], "schema[0].@key", "a string where an object"),
    ([a_class(_key={"@type": "Lex"})], "schema[0].@key.@type", "is one of Random, Lexical, Hash, ValueHash"),
    ([a_class(_key={"@type": "Lexical"})], "schema[0].@key.@fields", "is required with Lexical"),
    ([a_class(_key={"@type": "Hash", "@fields": []})], "schema[0].@key.@fields", "is required with Hash"),
    ([a_class(_key={"@type": "Random", "@fields": ["a"]})], "schema[0].@key.@fields", "does not go with Random"),
    ([a_class(_key={"@type": "Hash", "@fields": "a"})], "schema[0].@key.@fields", "an array of names"),
    ([a_class(_key={"@type": "Hash", "@fields": ["a"], "@x": 1})], "schema[0].@key.@x", "not part of a @key"),
    (
        [a_class(a="xsd:string", _key={"@type": "Lexical", "@fields": ["a", "a"]})],
        "schema[0].@key.@fields",
        "names a property twice",
    ),
    (
        [a_class(name="xsd:string", _key={"@type": "Lexical", "@fields": ["nam"]})],
        "schema[0].@key.@fields[0]",
        "did you mean name?",
    ),
    (
        [a_class(a={"@type": "Optional", "@class": "xsd:string"}, _key={"@type": "Hash", "@fields": ["a"]})],
        "schema[0].@key.@fields[0]",
        "a key's property is required",
    ),
    ([a_class(_metadata=[])], "schema[0].@metadata", "an array where an object"),
    *(
        ([a_class(_documentation=sent)], f"schema[0].@documentation{at}", said)
        for sent, at, said in [
            (1, "", "is a string, an object"),
            (["x"], "[0]", "a string where an object"),
            ({"@coment": "x"}, ".@coment", "did you mean @comment?"),
            ({"@values": {}}, ".@values", "is not part of documentation"),
            ({"@comment": 1}, ".@comment", "an integer where a string"),
            ({"@properties": "x"}, ".@properties", "a string where an object"),
            ({"@properties": {"a": 1}}, ".@properties.a", "an integer where a string or an object"),
            ({"@properties": {"a": {"@comment": 1}}}, ".@properties.a.@comment", "is @comment or @label"),
            ({"@language": "e n"}, ".@language", "a language tag"),
            ([{"@comment": "x"}], "[0].@language", "is required in documentation of several"),
            ([{"@language": "en"}, {"@language": "en"}], "[1].@language", "documented twice"),
        ]
    ),
    ([a_class(a="xsd:strin")], "schema[0].a", "did you mean xsd:string?"),
    ([a_class(a="xdd:coordinate")], "schema[0].a", "there is no type 'xdd:coordinate'"),
    ([a_class(a="sys:JSONDocument")], "schema[0].a", "sys:JSONDocument is not supported: a document's id begins"),
    ([a_class(a="sys:JSN")], "schema[0].a", "did you mean sys:JSON?"),
    ([a_class(author="Persn"), NAMED, PERSON, MOOD], "schema[0].author", "did you mean Person?"),
    ([a_class(a={"@type": "Set", "@class": "Missing"})], "schema[0].a", "no class or enum 'Missing'"),
    ([a_class(a=1)], "schema[0].a", "an integer where a type"),
    ([a_class(a={"@class": "xsd:string"})], "schema[0].a.@type", "is one of Optional, List, Set"),
    ([a_class(a={"@type": "Table", "@class": "xsd:string"})], "schema[0].a.@type", "Table is not supported: declare"),
    ([a_class(a={"@type": "OneOf", "@class": "xsd:string"})], "schema[0].a.@type", "in the class's @oneOf"),
    *(
        ([a_class(a={"@class": "xsd:string", **family})], f"schema[0].a.{key}", said)
        for family, key, said in BAD_FAMILIES
    ),
    ([a_class(a={"@type": "Set", "@class": "xsd:string", "x": 1})], "schema[0].a.x", "not part of Set"),
    ([a_class(a={"@type": "Set"})], "schema[0].a.@class", "is required"),
    (
        [a_class(a={"@type": "Set", "@class": {"@class": "A", "@subdocument": []}})],
        "schema[0].a.@class",
        "a type within a type is not supported",
    ),
    ([{**a_class(), "a b": "xsd:string"}], "schema[0].a b", "is no name"),
    ([NAMED, a_class(_inherits="Named", name="xsd:integer")], "schema[1].name", "of the parent Named"),
    (
        [NAMED, a_class(_inherits="Named", name={"@type": "Optional", "@class": "xsd:string"})],
        "schema[1].name",
        "of the parent Named",
    ),
    (
        [
            a_class(x="xsd:string"),
            {"@type": "Class", "@id": "B", "x": "xsd:integer"},
            {"@type": "Class", "@id": "C", "@inherits": ["A", "B"]},
        ],
        "schema[2].x",
        "incompatible",
    ),
    ([{"@type": "Enum", "@id": "E"}], "schema[0].@value", "is required"),
    ([{"@type": "Enum", "@id": "E", "@value": []}], "schema[0].@value", "is required"),
    ([{"@type": "Enum", "@id": "E", "@value": ["a", 1]}], "schema[0].@value[1]", "is a string"),
    ([{"@type": "Enum", "@id": "E", "@value": ["a", "b", "a"]}], "schema[0].@value[2]", "listed twice"),
    ([{"@type": "Enum", "@id": "E", "@value": ["a"], "a": "xsd:string"}], "schema[0].a", "not part of an Enum"),
]


@pytest.mark.parametrize(("schema", "field", "said"), BAD_SCHEMAS, ids=lambda value: str(value)[:60])
def test_a_bad_schema_is_refused_with_the_place_of_its_fault(schema: list[Any], field: str, said: str) -> None:
    with pytest.raises(InvalidSchema) as caught:
        parse_schema(schema)
    assert [violation.field for violation in caught.value.violations] == [field]
    assert said in caught.value.violations[0].description


def test_every_fault_of_a_schema_is_told() -> None:
    with pytest.raises(InvalidSchema) as caught:
        parse_schema([a_class(a="xsd:x", _abstract=1), {"@type": "Enum", "@id": "E"}])
    fields = {violation.field for violation in caught.value.violations}
    assert fields == {"schema[0].a", "schema[0].@abstract", "schema[1].@value"}


def test_every_part_of_the_language_is_printed_as_it_was_declared() -> None:
    languages = [
        {"@language": "en", "@comment": "Where.", "@label": "Place", "@properties": {"city": {"@label": "City"}}},
        {"@language": "ka", "@comment": "სად.", "@properties": {"city": "ქალაქი"}},
    ]
    schema: list[Any] = [
        {**CONTEXT, "@documentation": {"@title": "All", "@authors": ["a"], "@description": "b"}},
        {**MOOD, "@documentation": [{"@language": "en-GB", "@values": {"good": "Well.", "bad": {"@label": "Bad"}}}]},
        {"@type": "Class", "@id": "Place", "@subdocument": [], "@documentation": languages, "city": "xsd:string"},
        {"@type": "TaggedUnion", "@id": "Shape", "@subdocument": [], "circle": "xsd:double", "none": "sys:Unit"},
        {
            "@type": "Class",
            "@id": "Thing",
            "@unfoldable": [],
            "@key": {"@type": "Random"},
            "@oneOf": [{"a": "xsd:string", "b": {"@type": "Set", "@class": "Place"}}, {"c": "Thing", "d": "Shape"}],
            "any": "sys:JSON",
            "grid": {"@type": "Array", "@class": "xsd:decimal", "@dimensions": 2},
            "row": {"@type": "Array", "@class": "Place"},
            "few": {"@type": "Set", "@class": "Mood", "@max_cardinality": 2},
            "many": {"@type": "Set", "@class": "Mood", "@min_cardinality": 2, "@max_cardinality": 9},
            "three": {"@type": "Set", "@class": "Mood", "@cardinality": 3},
        },
    ]
    ontology = parse_schema(schema)
    assert json.loads(ontology.to_json()) == [schema[0], schema[1], *schema[2:]]
    assert Ontology.from_documents(ontology.element_bodies()) == ontology
    one = parse_schema([a_class(a={"@type": "Cardinality", "@class": "A", "@cardinality": 3})])
    assert one == parse_schema(
        [a_class(a={"@type": "Set", "@class": "A", "@min_cardinality": 3, "@max_cardinality": 3})]
    )
    assert parse_schema([a_class(_oneOf=[{"a": "xsd:string"}])]) == parse_schema([a_class(_oneOf={"a": "xsd:string"})])


def test_an_ontology_with_documentation_of_another_time_stays_readable() -> None:
    body = json.dumps(a_class(_documentation={"about": 1})).encode()
    assert Ontology.from_documents({"@schema/A": body}).classes["A"].notes.documentation == {"about": 1}


def test_inheritance_flattens_and_orders_nothing() -> None:
    ontology = parse_schema(list(reversed(SCHEMA)))
    assert ontology == parse_schema(SCHEMA)
    assert set(ontology.hierarchy.properties["Person"]) == {"name", "age", "moods", "friends"}
    assert ontology.ancestors("Person") == {"Person", "Named"}
    assert ontology.subclasses("Named") == {"Person", "Named"}
    assert ontology.subclasses("Nobody") == ontology.ancestors("Nobody") == frozenset()
    assert ontology.classes["Person"].effective_key.kind is KeyKind.LEXICAL
    assert ontology.classes["Team"].effective_key.kind is KeyKind.RANDOM
    assert ontology.is_set("Person", "moods")
    assert not ontology.is_set("Person", "friends")
    assert not ontology.is_set("Nobody", "moods")


def test_links_to_a_class_are_found_through_its_ancestors() -> None:
    ontology = parse_schema(SCHEMA)
    assert ontology.link_paths_to("Person") == (("Person", "friends"), ("Team", "lead"), ("Team", "members"))
    assert ontology.link_paths_to("Team") == ()
    assert ontology.link_paths_to("Nobody") == ()


def test_a_diamond_takes_the_narrower_of_two_compatible_properties() -> None:
    base = {"@type": "Class", "@id": "Base"}
    wide = {"@type": "Class", "@id": "Wide", "to": {"@type": "Optional", "@class": "Base"}}
    narrow = {"@type": "Class", "@id": "Narrow", "to": "Both"}
    both = {"@type": "Class", "@id": "Both", "@inherits": ["Wide", "Narrow", "Base"]}
    for parents in (["Wide", "Narrow", "Base"], ["Base", "Narrow", "Wide"]):
        ontology = parse_schema([base, wide, narrow, {**both, "@inherits": parents}])
        declared = ontology.hierarchy.properties["Both"]["to"]
        assert (declared.family, declared.range) == (Family.REQUIRED, "Both")


def test_an_ontology_is_printed_as_it_was_declared() -> None:
    ontology = parse_schema(SCHEMA)
    printed = json.loads(ontology.to_json())
    assert printed == [CONTEXT, MOOD, NAMED, PERSON, TEAM]
    assert parse_schema(printed) == ontology
    assert json.loads(EMPTY.to_json()) == []


def test_an_ontology_survives_as_documents() -> None:
    ontology = parse_schema(SCHEMA)
    bodies = ontology.element_bodies()
    assert set(bodies) == {"@schema/@context", "@schema/Named", "@schema/Person", "@schema/Mood", "@schema/Team"}
    assert Ontology.from_documents(bodies) == ontology
    assert Ontology.from_documents({}) == EMPTY
    assert Ontology.from_documents(bodies).element_bodies() == bodies


def test_documents_that_do_not_fit_are_named_by_their_id() -> None:
    bodies = parse_schema(SCHEMA).element_bodies()
    del bodies["@schema/Mood"]
    with pytest.raises(InvalidSchema) as caught:
        Ontology.from_documents(bodies)
    assert [violation.field for violation in caught.value.violations] == ["@schema/Person.moods"]
    with pytest.raises(InvalidSchema) as caught:
        Ontology.from_documents({"@schema/Other": json.dumps(NAMED).encode()})
    assert [violation.field for violation in caught.value.violations] == ["@schema/Other.@id"]


def test_digests_tell_ontologies_apart() -> None:
    digests = {EMPTY.digest, parse_schema(SCHEMA).digest, parse_schema(SCHEMA[:4]).digest, parse_schema([NAMED]).digest}
    assert len(digests) == 4
    assert all(len(digest) == 64 for digest in digests)
    assert EMPTY.digest == "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8"


def test_a_list_of_one_parent_is_that_parent() -> None:
    assert parse_schema([NAMED, a_class(_inherits=["Named"])]) == parse_schema([NAMED, a_class(_inherits="Named")])


def test_a_schema_text_is_an_array_or_ndjson() -> None:
    array = json.dumps(SCHEMA).encode()
    lines = b"\n".join(json.dumps(element).encode() for element in SCHEMA)
    assert parse_schema(parse_schema_text(array, limit=10_000)) == parse_schema(SCHEMA)
    assert parse_schema(parse_schema_text(lines, limit=10_000)) == parse_schema(SCHEMA)
    assert parse_schema_text(b"[]", limit=10) == parse_schema_text(b"", limit=10) == []
    with pytest.raises(MalformedBody):
        parse_schema_text(b"[", limit=10)
    with pytest.raises(TooLarge):
        parse_schema_text(array, limit=10)


def chain(length: int) -> list[dict[str, Any]]:
    classes: list[dict[str, Any]] = [{"@type": "Class", "@id": "C0", "p": "xsd:string"}]
    classes.extend({"@type": "Class", "@id": f"C{i}", "@inherits": f"C{i - 1}"} for i in range(1, length))
    return classes


def test_long_chains_of_parents_are_refused_and_short_ones_not() -> None:
    ontology = parse_schema(chain(MAX_ANCESTORS))
    assert len(ontology.ancestors(f"C{MAX_ANCESTORS - 1}")) == MAX_ANCESTORS
    with pytest.raises(InvalidSchema, match="more than 64 ancestors"):
        parse_schema(chain(5_000))


def test_a_short_schema_cannot_become_a_large_ontology() -> None:
    wide = {"@type": "Class", "@id": "Wide", **{f"p{i}": "xsd:string" for i in range(1_000)}}
    heirs = [{"@type": "Class", "@id": f"H{i}", "@inherits": "Wide"} for i in range(101)]
    with pytest.raises(InvalidSchema, match="properties in all"):
        parse_schema([wide, *heirs])


names = st.from_regex(r"[A-Z][a-z]{1,6}", fullmatch=True)


@st.composite
def schemas(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Consistent schemas: parents come earlier, and each property's name belongs to one class."""
    class_names = draw(st.lists(names, min_size=1, max_size=6, unique=True))
    enum_names = [f"{name}_e" for name in draw(st.lists(names, max_size=2, unique=True))]
    ranges = st.sampled_from([*SCALARS, *class_names, *enum_names])
    elements: list[dict[str, Any]] = [
        {"@type": "Enum", "@id": name, "@value": draw(st.lists(st.text(min_size=1), min_size=1, unique=True))}
        for name in enum_names
    ]
    for index, name in enumerate(class_names):
        element: dict[str, Any] = {"@type": "Class", "@id": name}
        if index and draw(st.booleans()):
            element["@inherits"] = draw(st.lists(st.sampled_from(class_names[:index]), min_size=1, unique=True))
        if draw(st.booleans()):
            element["@abstract"] = []
        for number in range(draw(st.integers(0, 3))):
            family = draw(st.sampled_from(["", "Optional", "List", "Set"]))
            range_ = draw(ranges)
            element[f"{name}_{number}"] = {"@type": family, "@class": range_} if family else range_
        if f"{name}_0" in element and isinstance(element[f"{name}_0"], str):
            element["@key"] = {"@type": draw(st.sampled_from(["Lexical", "Hash"])), "@fields": [f"{name}_0"]}
        if draw(st.booleans()):
            element["@metadata"] = draw(st.dictionaries(st.text(), st.integers() | st.text(), max_size=2))
        elements.append(element)
    return elements


@given(schemas(), st.randoms())
def test_any_schema_survives_printing_and_documents(elements: list[dict[str, Any]], random: Any) -> None:
    ontology = parse_schema(elements)
    random.shuffle(elements)
    assert parse_schema(elements).digest == ontology.digest
    assert parse_schema(json.loads(ontology.to_json())).to_json() == ontology.to_json()
    assert Ontology.from_documents(ontology.element_bodies()).digest == ontology.digest
    assert all(isinstance(cls, ClassDef) for cls in ontology.classes.values())
    ontology.compile()
