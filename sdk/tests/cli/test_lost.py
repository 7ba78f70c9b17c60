"""What a change of an ontology takes away."""

from typing import Any

import pytest

from ontomesh.cli.lost import lost

ADDRESS = {"@type": "Class", "@id": "Address", "@subdocument": [], "city": "xsd:string", "zip": "xsd:string"}
ANIMAL = {"@type": "Class", "@id": "Animal", "@abstract": [], "name": "xsd:string"}
DOG = {"@type": "Class", "@id": "Dog", "@inherits": "Animal", "bark": "xsd:string", "home": "Address"}
CAT = {"@type": "Class", "@id": "Cat", "@inherits": ["Animal"], "home": {"@type": "Set", "@class": "Address"}}
MOOD = {"@type": "Enum", "@id": "Mood", "@value": ["good"]}
BEFORE: list[dict[str, Any]] = [ADDRESS, ANIMAL, DOG, CAT, MOOD]


def without(element: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: part for name, part in element.items() if name not in names}


@pytest.mark.parametrize(
    ("after", "classes", "paths"),
    [
        (BEFORE, [], []),
        ([*BEFORE, {"@type": "Class", "@id": "New"}], [], []),
        ([ADDRESS, ANIMAL, DOG, CAT], [], []),
        ([ADDRESS, ANIMAL, CAT, {**DOG, "@id": "Hound"}], ["Dog"], []),
        ([ADDRESS, ANIMAL, CAT], ["Dog"], ["Animal.bark", "*.bark"]),
        ([ADDRESS, ANIMAL, without(DOG, "bark"), CAT], [], ["Animal.bark", "Dog.bark", "*.bark"]),
        ([ADDRESS, ANIMAL, without(DOG, "bark"), {**CAT, "bark": "xsd:string"}], [], ["Dog.bark"]),
        (
            [ADDRESS, without(ANIMAL, "name"), {**DOG, "name": "xsd:string"}, CAT],
            [],
            ["Cat.name"],
        ),
        (
            [without(ADDRESS, "zip"), ANIMAL, DOG, CAT],
            [],
            ["Address.zip", "Animal.home.zip", "Cat.home.zip", "Dog.home.zip", "*.home.zip"],
        ),
        ([ADDRESS, ANIMAL, {**DOG, "home": "xsd:string"}, CAT], [], ["Dog.home.city", "Dog.home.zip"]),
        ([ADDRESS, ANIMAL, {**without(DOG, "bark"), "@oneOf": {"bark": "xsd:string", "b": "sys:Unit"}}, CAT], [], []),
    ],
)
def test_classes_and_paths_that_no_document_has_any_more_are_lost(
    after: list[dict[str, Any]], classes: list[str], paths: list[str]
) -> None:
    assert lost(BEFORE, after) == (classes, paths)


def test_subdocuments_that_hold_themselves_end() -> None:
    tree = {"@type": "Class", "@id": "Tree", "@subdocument": [], "left": "Tree", "leaf": "xsd:string"}
    wood = {"@type": "Class", "@id": "Wood", "tree": "Tree"}
    classes, paths = lost([tree, wood], [without(tree, "leaf"), wood])
    assert classes == []
    assert paths == ["Tree.leaf", "Wood.tree.leaf", "*.tree.leaf"]
