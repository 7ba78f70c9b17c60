"""Documents of nested values: subdocuments, alternatives, Arrays, cardinalities, JSON; and what is indexed of them."""

from decimal import Decimal
from typing import Any

import pytest

from ontomesh_data_kernel.domain.canonical import encode_exactly, parse_body
from ontomesh_data_kernel.domain.ontology import Prepared, parse_schema
from ontomesh_data_kernel.domain.query.sorting import sort_key
from ontomesh_data_kernel.errors import KernelError, SchemaViolation, UnknownClass

SCHEMA: list[Any] = [
    {"@type": "Class", "@id": "Place", "@abstract": [], "@subdocument": [], "city": "xsd:string"},
    {"@type": "Class", "@id": "Home", "@inherits": "Place", "@subdocument": [], "rooms": "xsd:integer"},
    {
        "@type": "Class",
        "@id": "Work",
        "@inherits": "Place",
        "@subdocument": [],
        "@key": {"@type": "Lexical", "@fields": ["city"]},
        "boss": {"@type": "Optional", "@class": "Person"},
        "rent": {"@type": "Optional", "@class": "xsd:decimal"},
    },
    {
        "@type": "Class",
        "@id": "Node",
        "@subdocument": [],
        "of": {"@type": "Optional", "@class": "Person"},
        "next": {"@type": "Optional", "@class": "Node"},
    },
    {"@type": "TaggedUnion", "@id": "Contact", "@subdocument": [], "mail": "xsd:string", "none": "sys:Unit"},
    {
        "@type": "Class",
        "@id": "Person",
        "@metadata": {"ontomesh": {"indexed": ["home.city", "places.city", "grid", "contact.mail"], "unique": ["big"]}},
        "@oneOf": [
            {"born": "xsd:date", "aliases": {"@type": "Set", "@class": "xsd:string"}},
        ],
        "home": {"@type": "Optional", "@class": "Home"},
        "places": {"@type": "Set", "@class": "Place"},
        "route": {"@type": "Optional", "@class": "Node"},
        "contact": {"@type": "Optional", "@class": "Contact"},
        "grid": {"@type": "Array", "@class": "xsd:integer", "@dimensions": 2},
        "peers": {"@type": "Array", "@class": "Person"},
        "any": {"@type": "Optional", "@class": "sys:JSON"},
        "anys": {"@type": "Set", "@class": "sys:JSON"},
        "big": {"@type": "Optional", "@class": "xsd:decimal"},
        "few": {"@type": "Set", "@class": "xsd:string", "@max_cardinality": 2},
    },
    {
        "@type": "Class",
        "@id": "Pair",
        "two": {"@type": "Cardinality", "@class": "xsd:string", "@cardinality": 2},
        "some": {"@type": "Set", "@class": "xsd:string", "@min_cardinality": 1},
        "steps": {"@type": "List", "@class": "Place"},
    },
]
COMPILED = parse_schema(SCHEMA).compile()


def prepare(body: dict[str, Any]) -> Prepared:
    parsed = parse_body(encode_exactly(body), limit=1 << 20)
    return COMPILED.prepare(parsed, document_id=None, random_id=lambda: "drawn")


def person(**body: Any) -> dict[str, Any]:
    return {"@type": "Person", "born": "2000-01-01", **body}


def pair(**body: Any) -> dict[str, Any]:
    return {"@type": "Pair", "two": ["a", "b"], "some": ["a"], "steps": [], **body}


HOME = {"city": "Bath", "rooms": 3}

BAD: list[tuple[dict[str, Any], str, str]] = [
    (person(home=1), "home", "an integer where a subdocument is due: an object of the class Home"),
    (person(home="Home/1"), "home", "a string where a subdocument"),
    (person(home={"city": "Bath"}), "home.rooms", "is required"),
    (person(home={**HOME, "rooms": None}), "home.rooms", "must not be null"),
    (person(home={**HOME, "city": 1}), "home.city", "an integer where a string"),
    (person(home={**HOME, "town": "x"}), "home.town", "Home has no such property"),
    (person(home={**HOME, "@type": "Work"}), "home.@type", "'Work' where one of Home is due"),
    (person(home={**HOME, "@type": 1}), "home.@type", "where one of Home"),
    (person(home={**HOME, "@id": 1}), "home.@id", "an integer where a string"),
    (person(places=[HOME]), "places[0].@type", "is required: one of Home, Work"),
    (
        person(places=[{"@type": "Home", **HOME}, {"@type": "Hme", **HOME}]),
        "places[1].@type",
        "did you mean Home?",
    ),
    (person(places=[{"@type": "Work", "city": "x", "boss": "Pair/1"}]), "places[0].boss", "not the id of a Person"),
    (person(route={"next": {"next": {"of": 1}}}), "route.next.next.of", "an integer where a link"),
    (person(contact={}), "contact.mail", "is required, or another in its place: a Contact has exactly one"),
    (person(contact={"mail": "a", "none": []}), "contact.none", "does not go with mail"),
    (person(contact={"none": {}}), "contact.none", "where [], the one value of sys:Unit"),
    ({"@type": "Person"}, "aliases", "a Person has exactly one of aliases, born"),
    ({"@type": "Person", "aliases": []}, "aliases", "exactly one of"),
    (person(aliases=["a"]), "born", "does not go with aliases"),
    (person(grid=[1]), "grid[0]", "an integer where an array"),
    (person(grid=[[1], [2, "3"]]), "grid[1][1]", "a string where an integer"),
    (person(grid=[[1, None]]), "grid[0][1]", "an Array has no gaps"),
    (person(grid=[None]), "grid[0]", "null where an array"),
    (person(any=10**1_001), "any", "more than 1,000 digits"),
    (person(few=["a", "b", "c"]), "few", "has 3 different values where at most 2 are due"),
    (pair(two=["a"]), "two", "has 1 different values where exactly 2 are due"),
    (pair(two=["a", "a"]), "two", "has 1 different values where exactly 2"),
    (pair(some=[]), "some", "has 0 different values where at least 1"),
    (pair(some=None), "some", "must not be null"),
    ({"@type": "Pair", "two": ["a", "b"], "steps": []}, "some", "is required"),
    (pair(steps=[{"@type": "Home", **HOME}, HOME]), "steps[1].@type", "is required"),
    (person(route={"of": "Person/1", **dict.fromkeys(["x", "y"], 1)}), "route.x,route.y", "no such property"),
]


@pytest.mark.parametrize(("body", "fields", "said"), BAD, ids=lambda value: str(value)[:60])
def test_what_does_not_fit_is_refused_with_its_path(body: dict[str, Any], fields: str, said: str) -> None:
    with pytest.raises(SchemaViolation) as caught:
        COMPILED.prepare(body, document_id=None, random_id=lambda: "drawn")
    assert ",".join(violation.field for violation in caught.value.violations) == fields
    assert said in caught.value.violations[0].description


def test_a_subdocument_is_no_document_of_its_own() -> None:
    with pytest.raises(UnknownClass, match="Home is a subdocument"):
        prepare({"@type": "Home", **HOME})


def test_a_subdocument_has_its_class_and_no_id() -> None:
    body = prepare(person(home={**HOME, "@id": "Person/1/home/Home/2"})).body
    home = parse_body(body, limit=1_000)["home"]
    assert home == {"@type": "Home", "city": "Bath", "rooms": 3}


def test_sets_of_subdocuments_and_of_json_have_each_value_once_and_in_one_order() -> None:
    work = {"@type": "Work", "city": "a", "rent": 1}
    home = {"@type": "Home", **HOME}
    one = prepare(
        person(places=[work, home, {**work, "rent": Decimal("1.0")}], anys=[1, None, Decimal("1.0"), {"a": []}])
    )
    other = prepare(person(places=[home, work], anys=[{"a": []}, None, 1]))
    assert one.body == other.body
    assert len(parse_body(one.body, limit=1_000)["places"]) == 2


def test_json_is_kept_whatever_it_is() -> None:
    value = {"@id": 1, "b": [None, True, "x", Decimal("1.50"), 10**30], "a": {}}
    body = parse_body(prepare(person(any=value)).body, limit=1_000)
    assert body["any"] == {"@id": 1, "b": [None, True, "x", Decimal("1.5"), 10**30], "a": {}}
    assert "any" not in parse_body(prepare(person(any=None)).body, limit=1_000)


def test_an_empty_array_is_a_value_and_a_set_that_is_empty_is_none() -> None:
    body = parse_body(prepare(person(grid=[], few=[])).body, limit=1_000)
    assert body["grid"] == []
    assert "few" not in body


def test_links_and_values_within_subdocuments_are_indexed() -> None:
    prepared = prepare(
        person(
            home=HOME,
            places=[
                {"@type": "Work", "city": "Bath", "boss": "Person/1"},
                {"@type": "Work", "city": "Rome", "boss": "Person/1"},
                {"@type": "Home", "city": "Rome", "rooms": 1},
            ],
            route={"of": "Person/2", "next": {"next": {"of": "Person/3"}}},
            peers=["Person/4", "Person/4"],
            grid=[[1, 2], [2]],
            contact={"mail": "a@b"},
            big=Decimal("1.00000000000000000000000000001"),
        )
    )
    assert set(prepared.links) == {
        ("places.boss", "Person/1"),
        ("route.of", "Person/2"),
        ("route.next.next.of", "Person/3"),
        ("peers", "Person/4"),
    }
    assert len(prepared.links) == 4
    assert set(prepared.values) == {
        ("home.city", sort_key("xsd:string", "Bath")),
        ("places.city", sort_key("xsd:string", "Bath")),
        ("places.city", sort_key("xsd:string", "Rome")),
        ("grid", sort_key("xsd:integer", 1)),
        ("grid", sort_key("xsd:integer", 2)),
        ("contact.mail", sort_key("xsd:string", "a@b")),
        ("big", sort_key("xsd:decimal", Decimal("1.00000000000000000000000000001"))),
    }
    assert len(prepared.values) == 7
    assert COMPILED.index(prepared.body) == (prepared.links, prepared.values)
    assert [(one.declarer, one.path) for one in COMPILED.unique("Person", prepared.body)] == [("Person", "big")]


def test_a_link_too_deep_to_be_found_is_refused() -> None:
    node: dict[str, Any] = {"of": "Person/1"}
    for _ in range(6):
        node = {"next": node}
    assert prepare(person(route=node)).links == (("route" + ".next" * 6 + ".of", "Person/1"),)
    with pytest.raises(KernelError, match="at most 8 properties deep"):
        prepare(person(route={"next": node}))


def test_what_is_wrong_deep_within_is_told_as_fast_as_what_is_not() -> None:
    node: dict[str, Any] = {"of": "Person/1", "next": {"odd": 1}}
    for _ in range(50):
        node = {"next": node, "of": 2}
    with pytest.raises(SchemaViolation) as refused:
        prepare(person(route=node))
    deepest = refused.value.violations[0]
    assert deepest.field == "route" + ".next" * 51 + ".odd"
    assert len(refused.value.violations) == 20


def test_a_fault_in_a_list_within_lists_keeps_its_place() -> None:
    with pytest.raises(SchemaViolation) as refused:
        prepare(person(grid=[[1, 2], [3, "x", 4, "y"], [None]]))
    assert [one.field for one in refused.value.violations] == ["grid[1][1]", "grid[1][3]", "grid[2][0]"]
