from typing import Any

import pytest

from ontomesh_data_kernel.domain.canonical import parse_body
from ontomesh_data_kernel.domain.ontology import MAX_VIOLATIONS, Compiled, Prepared, parse_schema
from ontomesh_data_kernel.errors import InvalidDocumentId, KernelError, SchemaViolation, UnknownClass

SCHEMA: list[Any] = [
    {"@type": "Enum", "@id": "Mood", "@value": ["good", "bad"]},
    {"@type": "Class", "@id": "Named", "@abstract": [], "name": "xsd:string"},
    {
        "@type": "Class",
        "@id": "Person",
        "@inherits": "Named",
        "@key": {"@type": "Lexical", "@fields": ["name"]},
        "age": {"@type": "Optional", "@class": "xsd:nonNegativeInteger"},
        "mood": {"@type": "Optional", "@class": "Mood"},
        "nicknames": {"@type": "Set", "@class": "xsd:string"},
        "friends": {"@type": "Set", "@class": "Person"},
    },
    {"@type": "Class", "@id": "Boss", "@inherits": "Person"},
    {
        "@type": "Class",
        "@id": "Team",
        "lead": "Named",
        "ranking": {"@type": "List", "@class": "Person"},
        "motto": {"@type": "Optional", "@class": "xsd:string"},
    },
    {"@type": "Class", "@id": "Fact", "@key": {"@type": "ValueHash"}, "text": "xsd:string"},
]
COMPILED: Compiled = parse_schema(SCHEMA).compile()


def prepare(document_id: str | None = None, **body: Any) -> Prepared:
    names = {"type_": "@type", "id_": "@id"}
    document = {names.get(name, name): value for name, value in body.items()}
    return COMPILED.prepare(document, document_id=document_id, random_id=lambda: "drawn")


def person(**body: Any) -> dict[str, Any]:
    return {"type_": "Person", "name": "ann", **body}


def team(**body: Any) -> dict[str, Any]:
    return {"type_": "Team", "lead": "Boss/1", "ranking": [], **body}


BAD: list[tuple[dict[str, Any], type[KernelError], str, str]] = [
    ({"name": "ann"}, UnknownClass, "@type", "is required"),
    ({"type_": None}, UnknownClass, "@type", "is required"),
    ({"type_": 1}, UnknownClass, "@type", "an integer where the name of a class"),
    ({"type_": ["Person"]}, UnknownClass, "@type", "an array where the name of a class"),
    ({"type_": "Persn"}, UnknownClass, "@type", "did you mean Person?"),
    ({"type_": "Named", "name": "ann"}, UnknownClass, "@type", "is abstract"),
    ({"type_": "Mood"}, UnknownClass, "@type", "no class 'Mood'"),
    ({"type_": "Person"}, SchemaViolation, "name", "is required"),
    (person(name=None), SchemaViolation, "name", "must not be null"),
    (person(nickname="x"), SchemaViolation, "nickname", "did you mean nicknames"),
    ({**person(), "@base": "x"}, SchemaViolation, "@base", "no such property"),
    ({**person(), "@base": None}, SchemaViolation, "@base", "no such property"),
    (person(name=1), SchemaViolation, "name", "an integer where a string"),
    (person(name=True), SchemaViolation, "name", "a boolean where a string"),
    (person(name={}), SchemaViolation, "name", "an object where a string"),
    (person(age="1"), SchemaViolation, "age", "'1' where an integer of at least 0"),
    (person(age=-1), SchemaViolation, "age", "-1 where an integer"),
    (person(age=True), SchemaViolation, "age", "a boolean where an integer"),
    (person(mood="godd"), SchemaViolation, "mood", "did you mean good?"),
    (person(mood=1), SchemaViolation, "mood", "an integer where a value of Mood"),
    (person(nicknames="x"), SchemaViolation, "nicknames", "a string where an array"),
    (person(nicknames=["a", 1]), SchemaViolation, "nicknames[1]", "an integer where a string"),
    (person(nicknames=[None]), SchemaViolation, "nicknames[0]", "null where a string"),
    (person(friends=["Person/a", "Team/b"]), SchemaViolation, "friends[1]", "'Team/b' is not the id of a Person"),
    (person(friends=["a"]), SchemaViolation, "friends[0]", "not of the form Class/key"),
    (person(friends=["Person/a b"]), SchemaViolation, "friends[0]", "white space"),
    (person(friends=["Person/" + "é" * 600]), SchemaViolation, "friends[0]", "longer than 1,024 bytes"),
    (person(friends=[1]), SchemaViolation, "friends[0]", "an integer where a link"),
    (person(friends=[{"@type": "Person", "name": "x"}]), SchemaViolation, "friends[0]", "an object where a link"),
    (person(friends=[{"@id": 1}]), SchemaViolation, "friends[0]", "an integer where a link"),
    (team(lead="Named/x"), SchemaViolation, "lead", "'Named/x' is not the id of a Named"),
    (team(lead=["Person/x"]), SchemaViolation, "lead", "an array where a link"),
    (team(ranking=None), SchemaViolation, "ranking", "must not be null"),
    ({"type_": "Team", "lead": "Boss/1"}, SchemaViolation, "ranking", "is required"),
    (person(id_="Person/bob"), InvalidDocumentId, "@id", "the key of Person makes it 'Person/ann'"),
    (person(id_=1), InvalidDocumentId, "@id", "an integer where a string"),
    (person(name=""), InvalidDocumentId, "@id", "not of the form Class/key"),
    (person(name="x" * 1020), InvalidDocumentId, "@id", "longer than 1,024 bytes"),
    (person(document_id="Person/bob"), InvalidDocumentId, "@id", "a document's id does not change"),
    (team(id_="Team/a", document_id="Team/b"), InvalidDocumentId, "@id", "a document's id does not change"),
    (team(id_="Person/a"), InvalidDocumentId, "@id", "does not begin with its class"),
    (team(id_="Teams/a"), InvalidDocumentId, "@id", "does not begin with its class"),
    (team(document_id="Boss/a"), InvalidDocumentId, "@id", "does not begin with its class"),
    (team(id_="Team/"), InvalidDocumentId, "@id", "not of the form Class/key"),
    (team(id_="Team"), InvalidDocumentId, "@id", "not of the form Class/key"),
    (team(id_=""), InvalidDocumentId, "@id", "not of the form Class/key"),
    *((team(id_=f"Team/a{bad}b"), InvalidDocumentId, "@id", "") for bad in ' \t\n\x00\x7f\x85\u00a0\u2028<>"{}|\\^`'),
    (team(id_="Team/" + "a" * 1020), InvalidDocumentId, "@id", "longer than 1,024 bytes"),
    ({"type_": "Fact", "id_": "Fact/1", "text": "x"}, InvalidDocumentId, "@id", "the key of Fact makes it"),
]


@pytest.mark.parametrize(("body", "error", "field", "said"), BAD, ids=lambda value: str(value)[:50])
def test_a_bad_document_is_refused_with_the_place_of_its_fault(
    body: dict[str, Any], error: type[KernelError], field: str, said: str
) -> None:
    with pytest.raises(KernelError) as caught:
        prepare(**body)
    assert type(caught.value) is error
    assert [violation.field for violation in caught.value.violations] == [field]
    assert said in caught.value.violations[0].description


def test_every_fault_of_a_document_is_told() -> None:
    with pytest.raises(SchemaViolation) as caught:
        prepare(type_="Person", age="x", friends=["a", "Person/b", 1], other=1)
    fields = {violation.field for violation in caught.value.violations}
    assert fields == {"age", "friends[0]", "friends[2]", "other", "name"}
    assert "(and 4 more)" in caught.value.message


def test_no_more_faults_are_told_than_the_limit() -> None:
    with pytest.raises(SchemaViolation) as caught:
        prepare(**person(nicknames=[1] * 1_000, **{f"x{i}": i for i in range(1_000)}))
    assert len(caught.value.violations) == MAX_VIOLATIONS
    with pytest.raises(SchemaViolation) as caught:
        prepare(**person(**{"x" * 1_000_000: 1}))
    assert len(caught.value.violations[0].field) < 200


def test_a_generated_id_is_reported_and_may_be_given() -> None:
    prepared = prepare(**person(name="Ann Lee"))
    assert (prepared.id, prepared.cls) == ("Person/Ann%20Lee", "Person")
    assert prepare(**person(name="Ann Lee", id_="Person/Ann%20Lee")) == prepared
    assert prepare(**person(name="Ann Lee"), document_id="Person/Ann%20Lee") == prepared


def test_a_random_id_is_the_given_the_known_or_a_drawn_one() -> None:
    assert prepare(**team()).id == "Team/drawn"
    assert prepare(**team(id_="Team/a/b")).id == "Team/a/b"
    assert prepare(**team(), document_id="Team/x").id == "Team/x"
    assert prepare(**team(id_=None)).id == "Team/drawn"


def test_links_are_told_once_each_and_may_be_to_subclasses() -> None:
    prepared = prepare(**team(ranking=["Person/b", "Boss/a", {"@id": "Person/b"}]))
    assert prepared.links == (("lead", "Boss/1"), ("ranking", "Person/b"), ("ranking", "Boss/a"))
    assert b'"ranking":["Person/b","Boss/a","Person/b"]' in prepared.body
    assert COMPILED.index(prepared.body) == (prepared.links, prepared.values)
    assert prepare(**person()).links == ()


def test_preparing_leaves_the_body_as_it_was() -> None:
    body = {"@type": "Person", "name": "ann", "nicknames": ["b", "a", "b"], "friends": [{"@id": "Person/x"}]}
    before = repr(body)
    COMPILED.prepare(body, document_id=None, random_id=str)
    assert repr(body) == before


def test_a_prepared_body_prepares_to_itself() -> None:
    prepared = prepare(**team(ranking=["Person/b"], motto="é"))
    body = parse_body(prepared.body, limit=1_000)
    assert COMPILED.prepare(body, document_id=prepared.id, random_id=str) == prepared
