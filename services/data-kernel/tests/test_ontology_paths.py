"""Indexed and unique paths, links that may dangle, and links within subdocuments."""

from typing import Any

import pytest

from ontomesh_data_kernel.domain.comparing import DifferenceKind, compare
from ontomesh_data_kernel.domain.ontology import Ontology, parse_schema
from ontomesh_data_kernel.domain.ontology.paths import MAX_INDEXED
from ontomesh_data_kernel.errors import InvalidSchema

MOOD = {"@type": "Enum", "@id": "Mood", "@value": ["good", "bad"]}
ADDRESS = {
    "@type": "Class",
    "@id": "Address",
    "@subdocument": [],
    "city": "xsd:string",
    "country": {"@type": "Optional", "@class": "Country"},
    "blob": {"@type": "Optional", "@class": "sys:JSON"},
    "within": {"@type": "Optional", "@class": "Address"},
}
COUNTRY = {"@type": "Class", "@id": "Country"}
BASE: list[Any] = [MOOD, ADDRESS, COUNTRY]


def person(**paths: Any) -> dict[str, Any]:
    return {
        "@type": "Class",
        "@id": "Person",
        "@metadata": {"ontomesh": paths, "other": 1},
        "email": "xsd:string",
        "mood": {"@type": "Optional", "@class": "Mood"},
        "home": "Address",
        "others": {"@type": "Set", "@class": "Address"},
        "friend": {"@type": "Optional", "@class": "Person"},
    }


def ontology(*elements: Any) -> Ontology:
    return parse_schema([*BASE, *elements])


def test_paths_are_inherited_and_lead_through_subdocuments() -> None:
    found = ontology(
        person(indexed=["home.city", "others.within.city"], unique=["email", "mood"], dangling=["friend"]),
        {
            "@type": "Class",
            "@id": "Boss",
            "@inherits": "Person",
            "@metadata": {"ontomesh": {"indexed": ["rank"], "unique": ["email"], "dangling": ["home.country"]}},
            "rank": "xsd:integer",
        },
    ).hierarchy
    of_person = {"home.city": "xsd:string", "others.within.city": "xsd:string", "email": "xsd:string", "mood": "enum"}
    assert found.indexed["Person"] == of_person
    assert found.indexed["Boss"] == of_person | {"rank": "xsd:integer"}
    assert found.unique["Boss"] == {"email": "Person", "mood": "Person"}
    assert found.dangling["Person"] == {"friend"}
    assert found.dangling["Boss"] == {"friend", "home.country"}
    assert found.indexed["Country"] == found.unique["Country"] == {}


@pytest.mark.parametrize(
    ("paths", "at", "said"),
    [
        ({"indexd": []}, "indexd", "did you mean indexed?"),
        ({"indexed": "email"}, "indexed", "a string where an array"),
        ({"indexed": [1]}, "indexed[0]", "an integer where a path"),
        ({"indexed": ["email", "email"]}, "indexed[1]", "listed twice"),
        ({"indexed": ["emial"]}, "indexed[0]", "Person has no property 'emial'; did you mean email?"),
        ({"unique": ["home.cty"]}, "unique[0]", "Address has no property 'cty'; did you mean city?"),
        ({"indexed": ["home"]}, "indexed[0]", "home is a subdocument"),
        ({"indexed": ["friend"]}, "indexed[0]", "links have an index always"),
        ({"indexed": ["friend.email"]}, "indexed[0]", "friend leads to other documents"),
        ({"indexed": ["email.x"]}, "indexed[0]", "email is of xsd:string"),
        ({"indexed": ["home.blob"]}, "indexed[0]", "blob is of sys:JSON, which has no index"),
        ({"indexed": [""]}, "indexed[0]", "no property ''"),
        ({"indexed": ["home" + ".within" * 7 + ".city"]}, "indexed[0]", "more than 8 properties"),
        ({"events": "no"}, "events", "a string where true or false is due"),
        ({"events": None}, "events", "null where true or false is due"),
        ({"dangling": ["email"]}, "dangling[0]", "email is no link"),
        ({"dangling": ["fried"]}, "dangling[0]", "did you mean friend?"),
    ],
)
def test_bad_paths_are_refused(paths: dict[str, Any], at: str, said: str) -> None:
    with pytest.raises(InvalidSchema) as caught:
        ontology(person(**paths))
    assert [violation.field for violation in caught.value.violations] == [f"schema[3].@metadata.ontomesh.{at}"]
    assert said in caught.value.violations[0].description


def test_a_class_without_events_has_subclasses_without_them_unless_they_say_otherwise() -> None:
    def cls(name: str, parents: list[str], **notes: bool) -> dict[str, Any]:
        return {"@type": "Class", "@id": name, "@inherits": parents, "@metadata": {"ontomesh": notes}}

    found = ontology(
        cls("Log", [], events=False),
        cls("Told", [], events=True),
        cls("AccessLog", ["Log"]),
        cls("Audit", ["Log"], events=True),
        cls("AuditOfAudits", ["Audit"]),
        cls("Both", ["Audit", "AccessLog"]),
    ).hierarchy
    assert found.silent == {"Log", "AccessLog", "Both"}
    assert ontology().hierarchy.silent == frozenset()


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ({}, {"events": False}, ["makes no events now"]),
        ({"events": False}, {"events": True}, ["makes events now"]),
        ({"events": True}, {}, ["makes events as its parents do now"]),
        ({"events": True}, {"events": True}, []),
    ],
)
def test_a_comparison_notes_whether_a_class_makes_events(
    before: dict[str, Any], after: dict[str, Any], told: list[str]
) -> None:
    found = compare(ontology(person(**before)).elements, ontology(person(**after)).elements)
    assert [(one.kind, one.description) for one in found] == [(DifferenceKind.NOTED, words) for words in told]


def test_a_subdocument_says_nothing_of_events() -> None:
    with pytest.raises(InvalidSchema, match="a subdocument has no events of its own"):
        ontology({**ADDRESS, "@id": "B", "@metadata": {"ontomesh": {"events": False}}})


def test_settings_that_are_no_object_are_refused() -> None:
    with pytest.raises(InvalidSchema, match="an array where an object of indexed, unique, dangling"):
        parse_schema([{"@type": "Class", "@id": "A", "@metadata": {"ontomesh": []}}])


def test_a_subdocument_declares_no_paths() -> None:
    with pytest.raises(InvalidSchema, match="indexed by the classes that hold it"):
        ontology({**ADDRESS, "@id": "B", "@metadata": {"ontomesh": {"indexed": ["city"]}}})


def test_two_parents_do_not_share_a_unique_path() -> None:
    def unique(name: str) -> dict[str, Any]:
        return {"@type": "Class", "@id": name, "@metadata": {"ontomesh": {"unique": ["p"]}}, "p": "xsd:string"}

    with pytest.raises(InvalidSchema, match="A and B both declare p unique"):
        parse_schema([unique("A"), unique("B"), {"@type": "Class", "@id": "C", "@inherits": ["A", "B"]}])


def test_a_class_has_not_more_indexes_than_a_write_can_bear() -> None:
    many = [f"p{index}" for index in range(MAX_INDEXED + 1)]
    with pytest.raises(InvalidSchema, match="more than 64 indexed paths"):
        parse_schema(
            [
                {
                    "@type": "Class",
                    "@id": "A",
                    "@metadata": {"ontomesh": {"indexed": many}},
                    **dict.fromkeys(many, "xsd:string"),
                }
            ]
        )


def test_links_are_found_within_subdocuments_and_those_that_dangle_are_left_out() -> None:
    found = ontology(person(dangling=["friend", "others.country"]))
    held = found.link_paths_to("Country")
    assert held[0] == ("Person", "home.country")
    assert len(held) == 13
    assert ("Person", "home" + ".within" * 6 + ".country") in held
    assert ("Person", "others.country") not in held
    assert ("Person", "others.country") in found.link_paths_to("Country", with_dangling=True)
    assert found.link_paths_to("Person") == ()
    assert found.link_paths_to("Person", with_dangling=True) == (("Person", "friend"),)


def test_subdocuments_that_contain_each_other_without_end_are_refused_if_they_hold_links() -> None:
    node = {
        "@type": "Class",
        "@id": "Node",
        "@subdocument": [],
        **{f"part{index}": {"@type": "Set", "@class": "Node"} for index in range(9)},
    }
    tree = {"@type": "Class", "@id": "Tree", "root": "Node"}
    parse_schema([node, tree])
    with pytest.raises(InvalidSchema, match="more than 10,000 paths"):
        parse_schema([{**node, "of": "Tree"}, tree])


def test_a_subclass_of_a_subdocument_has_links_of_its_own() -> None:
    sub = {"@type": "Class", "@id": "Abroad", "@inherits": "Address", "@subdocument": [], "visa": "Country"}
    found = ontology(sub, {"@type": "Class", "@id": "Person", "home": "Address"})
    assert ("Person", "home.visa") in found.link_paths_to("Country")
    assert found.hierarchy.concrete("Address") == {"Address", "Abroad"}
