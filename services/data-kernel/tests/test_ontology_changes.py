import time
from typing import Any

import pytest

from ontomesh_data_kernel.domain.ontology import (
    EMPTY,
    ChangeMode,
    Ontology,
    OntologyChange,
    affected_classes,
    apply,
    parse_schema,
)
from ontomesh_data_kernel.errors import InvalidSchema

MOOD = {"@type": "Enum", "@id": "Mood", "@value": ["good", "bad"]}
BASE = {"@type": "Class", "@id": "Base", "@abstract": [], "name": "xsd:string"}
PERSON = {
    "@type": "Class",
    "@id": "Person",
    "@inherits": "Base",
    "mood": {"@type": "Optional", "@class": "Mood"},
    "friends": {"@type": "Set", "@class": "Person"},
}
BOSS = {"@type": "Class", "@id": "Boss", "@inherits": "Person"}
TEAM = {"@type": "Class", "@id": "Team", "lead": "Boss", "motto": "xsd:string"}
OLD = parse_schema([MOOD, BASE, PERSON, BOSS, TEAM])


def changed(*elements: Any, remove: tuple[str, ...] = ()) -> Ontology:
    return apply(OLD, OntologyChange(elements, ChangeMode.UPSERT, remove))


def test_upserting_keeps_and_replacing_removes_what_is_not_named() -> None:
    extra = {"@type": "Class", "@id": "Extra"}
    assert set(changed(extra).classes) == {"Base", "Person", "Boss", "Team", "Extra"}
    assert set(apply(OLD, OntologyChange([extra], ChangeMode.REPLACE)).classes) == {"Extra"}
    assert changed(TEAM) == OLD
    assert changed() == OLD
    assert apply(OLD, OntologyChange([], ChangeMode.REPLACE)) == EMPTY


def test_an_element_is_replaced_as_a_whole() -> None:
    after = changed({"@type": "Class", "@id": "Team", "lead": "Boss"})
    assert set(after.classes["Team"].properties) == {"lead"}


def test_elements_are_removed_by_name() -> None:
    assert set(changed(remove=("Team",)).classes) == {"Base", "Person", "Boss"}


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        (OntologyChange([], remove=("Nobody",)), "remove[0]", "there is no class or enum"),
        (OntologyChange([], remove=("Team", "Team")), "remove[1]", "named twice"),
        (OntologyChange([TEAM], remove=("Team",)), "remove[0]", "declared by the same change"),
        (OntologyChange([], ChangeMode.REPLACE, ("Team",)), "remove", "goes with upserting"),
        (OntologyChange([], remove=("Mood",)), "@schema/Person.mood", "no class or enum 'Mood'"),
        (OntologyChange([], remove=("Person",)), "@schema/Boss.@inherits", "no class 'Person'"),
        (OntologyChange([{**BASE, "@id": "X", "y": "Z"}]), "schema[0].y", "no class or enum 'Z'"),
        (OntologyChange([{**BASE, "mood": "xsd:string"}]), "@schema/Person.mood", "incompatible"),
    ],
)
def test_a_change_that_does_not_fit_is_refused(change: OntologyChange, field: str, said: str) -> None:
    with pytest.raises(InvalidSchema) as caught:
        apply(OLD, change)
    assert caught.value.violations[0].field == field
    assert said in caught.value.violations[0].description


WEAKER: list[tuple[str, Any]] = [
    ("a new class", {"@type": "Class", "@id": "New", "x": "xsd:string"}),
    ("a new subclass", {"@type": "Class", "@id": "New", "@inherits": "Boss", "x": "xsd:string"}),
    ("a new optional property", {**TEAM, "x": {"@type": "Optional", "@class": "xsd:string"}}),
    ("a new set", {**TEAM, "x": {"@type": "Set", "@class": "Person"}}),
    ("a new set, inherited", {**BASE, "x": {"@type": "Set", "@class": "xsd:string"}}),
    ("required to optional", {**TEAM, "motto": {"@type": "Optional", "@class": "xsd:string"}}),
    ("a wider link", {**TEAM, "lead": "Person"}),
    ("a link to an abstract class", {**TEAM, "lead": "Base"}),
    ("a new enum value", {**MOOD, "@value": ["bad", "new", "good"]}),
    ("notes", {**TEAM, "@documentation": "x", "@metadata": {"a": 1}}),
    ("the default key spelt out", {**TEAM, "@key": {"@type": "Random"}}),
    ("an abstract class becoming concrete", {k: v for k, v in BASE.items() if k != "@abstract"}),
    ("a context", {"@type": "@context", "@base": "a", "@schema": "b"}),
]


@pytest.mark.parametrize("element", [element for _, element in WEAKER], ids=[name for name, _ in WEAKER])
def test_a_change_that_only_weakens_asks_for_no_validation(element: Any) -> None:
    affected = affected_classes(OLD, changed(element))
    assert affected.revalidate == frozenset()
    assert affected.rekeyed == frozenset()


STRONGER: list[tuple[str, Any, set[str]]] = [
    ("a new required property", {**TEAM, "x": "xsd:string"}, {"Team"}),
    ("a new list", {**TEAM, "x": {"@type": "List", "@class": "xsd:string"}}, {"Team"}),
    ("a new required property, inherited", {**BASE, "x": "xsd:string"}, {"Person", "Boss"}),
    ("a property less", {"@type": "Class", "@id": "Team", "lead": "Boss"}, {"Team"}),
    ("optional to required", {**PERSON, "mood": "Mood"}, {"Person", "Boss"}),
    ("optional to set", {**PERSON, "mood": {"@type": "Set", "@class": "Mood"}}, {"Person", "Boss"}),
    ("set to list", {**PERSON, "friends": {"@type": "List", "@class": "Person"}}, {"Person", "Boss"}),
    ("a narrower link", {**PERSON, "friends": {"@type": "Set", "@class": "Boss"}}, {"Person", "Boss"}),
    ("another scalar", {**TEAM, "motto": "xsd:token"}, {"Team"}),
    ("an enum value less", {**MOOD, "@value": ["good"]}, {"Person", "Boss"}),
    ("a class becoming abstract", {**TEAM, "@abstract": []}, {"Team"}),
    ("a subclass no longer one", {"@type": "Class", "@id": "Boss", "@inherits": "Base"}, {"Boss", "Person"}),
    ("a link target becoming abstract", {**BOSS, "@abstract": []}, {"Boss", "Team", "Person"}),
]


@pytest.mark.parametrize(("element", "classes"), [case[1:] for case in STRONGER], ids=[case[0] for case in STRONGER])
def test_a_change_that_strengthens_names_the_classes_to_validate(element: Any, classes: set[str]) -> None:
    assert affected_classes(OLD, changed(element)).revalidate == classes


def test_removing_a_class_concerns_its_documents() -> None:
    assert affected_classes(OLD, changed(remove=("Team",))).revalidate == {"Team"}
    assert affected_classes(OLD, EMPTY).revalidate == {"Person", "Boss", "Team"}
    assert affected_classes(EMPTY, OLD).revalidate == frozenset()


def test_removing_a_class_that_links_may_lead_to_concerns_the_holders() -> None:
    friends = {**TEAM, "lead": "Person"}
    old = apply(OLD, OntologyChange([friends]))
    new = apply(old, OntologyChange([], remove=("Boss",)))
    assert affected_classes(old, new).revalidate == {"Boss", "Person", "Team"}


def test_a_property_that_becomes_or_ceases_to_be_a_link_is_indexed_anew() -> None:
    becomes = affected_classes(OLD, changed({**TEAM, "motto": "Person"}))
    assert becomes.reindex == becomes.revalidate == {"Team"}
    ceases = affected_classes(OLD, changed({**TEAM, "lead": "xsd:string"}))
    assert ceases.reindex == ceases.revalidate == {"Team"}
    new_link = affected_classes(OLD, changed({**TEAM, "x": {"@type": "Set", "@class": "Person"}}))
    assert new_link.reindex == frozenset()
    assert affected_classes(OLD, changed({**TEAM, "lead": "Person"})).reindex == frozenset()


def test_another_key_is_told_apart() -> None:
    keyed = changed({**TEAM, "@key": {"@type": "Lexical", "@fields": ["motto"]}})
    assert affected_classes(OLD, keyed).rekeyed == {"Team"}
    assert affected_classes(OLD, keyed).revalidate == frozenset()
    assert affected_classes(keyed, keyed).rekeyed == frozenset()


PART = {"@type": "Class", "@id": "Part", "@subdocument": [], "size": "xsd:integer"}
BIG = {
    "@type": "Class",
    "@id": "Big",
    "@inherits": "Part",
    "@subdocument": [],
    "of": {"@type": "Optional", "@class": "Whole"},
}
WHOLE = {
    "@type": "Class",
    "@id": "Whole",
    "@metadata": {"ontomesh": {"indexed": ["part.size"], "unique": ["code"], "dangling": ["next"]}},
    "@oneOf": {"a": "xsd:string", "b": "xsd:string"},
    "part": {"@type": "Optional", "@class": "Part"},
    "code": {"@type": "Optional", "@class": "xsd:string"},
    "next": {"@type": "Optional", "@class": "Whole"},
    "few": {"@type": "Set", "@class": "xsd:string", "@min_cardinality": 1, "@max_cardinality": 3},
    "grid": {"@type": "Array", "@class": "xsd:integer", "@dimensions": 2},
    "must": "xsd:string",
}
HEIR = {"@type": "Class", "@id": "Heir", "@inherits": "Whole"}
NESTED = parse_schema([PART, BIG, WHOLE, HEIR])
BOTH = {"Whole", "Heir"}


def whole(**changes: Any) -> dict[str, Any]:
    changes = {f"@{name[1:]}" if name.startswith("_") else name: value for name, value in changes.items()}
    return {name: value for name, value in {**WHOLE, **changes}.items() if value is not None}


def marked(**paths: Any) -> dict[str, Any]:
    return whole(_metadata={"ontomesh": {"indexed": ["part.size"], "unique": ["code"], "dangling": ["next"], **paths}})


def few(**bounds: int) -> dict[str, Any]:
    return whole(few={"@type": "Set", "@class": "xsd:string", **{f"@{name}": bound for name, bound in bounds.items()}})


@pytest.mark.parametrize(
    ("elements", "revalidate", "reindex"),
    [
        # What only weakens
        ([few(max_cardinality=4)], set(), set()),
        ([few()], set(), set()),
        ([whole(_oneOf={"a": "xsd:string", "b": "xsd:string", "c": "xsd:string"})], set(), set()),
        (
            [
                whole(
                    _oneOf=None,
                    a={"@type": "Optional", "@class": "xsd:string"},
                    b={"@type": "Set", "@class": "xsd:string"},
                )
            ],
            BOTH,
            set(),
        ),
        (
            [whole(_oneOf=None, **{name: {"@type": "Optional", "@class": "xsd:string"} for name in "ab"})],
            set(),
            set(),
        ),
        ([whole(must=None, _oneOf=[WHOLE["@oneOf"], {"must": "xsd:string", "other": "xsd:string"}])], set(), set()),
        ([{**PART, "more": {"@type": "Optional", "@class": "xsd:string"}}], set(), set()),
        ([{"@type": "Class", "@id": "Small", "@inherits": "Part", "@subdocument": []}], set(), set()),
        ([whole(_unfoldable=[])], set(), set()),
        (
            [
                whole(
                    new={"@type": "Optional", "@class": "Part"},
                    _metadata={
                        "ontomesh": {"indexed": ["part.size", "new.size"], "unique": ["code"], "dangling": ["next"]}
                    },
                )
            ],
            set(),
            set(),
        ),
        # What asks more
        ([few(min_cardinality=2)], BOTH, set()),
        ([few(max_cardinality=2)], BOTH, set()),
        ([whole(_oneOf={"a": "xsd:string"})], BOTH, set()),
        (
            [
                whole(
                    must=None,
                    next=None,
                    _metadata=None,
                    _oneOf=[WHOLE["@oneOf"], {"must": "xsd:string", "next": "Whole"}],
                )
            ],
            BOTH,
            BOTH,
        ),
        ([whole(_oneOf=[WHOLE["@oneOf"], {"x": "xsd:string"}])], BOTH, set()),
        ([whole(grid={"@type": "Array", "@class": "xsd:integer", "@dimensions": 1})], BOTH, set()),
        ([{**PART, "more": "xsd:string"}], BOTH, set()),
        ([{**PART, "@abstract": []}], BOTH, set()),
        ([{**PART, "size": "xsd:decimal"}], BOTH, BOTH),
        ([{**BIG, "of": "Whole"}], BOTH, set()),
        ([{**BIG, "of": {"@type": "Optional", "@class": "xsd:string"}}], BOTH, BOTH),
        ([whole(part={"@type": "Optional", "@class": "sys:JSON"}, _metadata=None)], BOTH, BOTH),
        ([{**PART, "link": {"@type": "Optional", "@class": "Whole"}}], set(), set()),
        # Indexes, uniqueness, links that may dangle
        ([marked(indexed=[])], set(), BOTH),
        ([marked(indexed=["part.size", "must"])], set(), BOTH),
        ([marked(unique=[])], set(), BOTH),
        ([marked(unique=[], indexed=["part.size", "code"])], set(), set()),
        ([marked(unique=["code", "part.size"])], BOTH, set()),
        ([marked(unique=["code", "must"])], BOTH, BOTH),
        ([marked(dangling=[])], BOTH, set()),
    ],
)
def test_what_a_change_of_nested_values_and_paths_asks_for(
    elements: list[Any], revalidate: set[str], reindex: set[str]
) -> None:
    affected = affected_classes(NESTED, apply(NESTED, OntologyChange(elements)))
    assert (set(affected.revalidate), set(affected.reindex), affected.rekeyed) == (revalidate, reindex, frozenset())


def test_a_unique_path_that_widens_to_other_classes_concerns_all_of_them() -> None:
    code = {"@type": "Optional", "@class": "xsd:string"}
    unique = {"ontomesh": {"unique": ["code"]}}
    base = {"@type": "Class", "@id": "Base", "code": code}
    one = {"@type": "Class", "@id": "One", "@inherits": "Base", "@metadata": unique}
    two = {"@type": "Class", "@id": "Two", "@inherits": "Base"}
    old = parse_schema([base, one, two])
    affected = affected_classes(old, apply(old, OntologyChange([{**base, "@metadata": unique}])))
    assert affected.revalidate == {"Base", "One", "Two"}
    assert affected.reindex == {"Base", "Two"}


def test_a_short_schema_costs_no_long_comparison() -> None:
    """A thousand classes hold any of a thousand subdocuments, which lead to each other and to links by many paths."""
    sub: dict[str, Any] = {"@type": "Class", "@subdocument": []}
    into = {name: {"@type": "Optional", "@class": "Sub"} for name in ("left", "right", "up")}
    scalars = {f"p{number}": {"@type": "Optional", "@class": "xsd:int"} for number in range(80)}
    kinds = [{**sub, "@id": f"Sub{number}", "@inherits": "Sub"} for number in range(1_000)]
    holders = [
        {"@type": "Class", "@id": f"C{number}", "of": {"@type": "Optional", "@class": "Sub"}} for number in range(1_000)
    ]
    one = {"@type": "Class", "@id": "One", "deep": into["left"]}
    for links, others in ({}, holders), ({"link": {"@type": "Optional", "@class": "One"}}, []):
        base = {**sub, "@id": "Sub", "@abstract": [], **into, **scalars, **links}
        started = time.process_time()
        old = parse_schema([base, one, *kinds, *others])
        new = apply(old, OntologyChange([{**base, "new": {"@type": "Optional", "@class": "xsd:int"}}]))
        assert affected_classes(old, new).revalidate == frozenset()
        assert time.process_time() - started < 10
