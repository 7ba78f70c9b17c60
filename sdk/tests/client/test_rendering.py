"""Ontologies as models and back."""

import sys
from collections.abc import Iterator
from datetime import timedelta
from types import ModuleType
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, JsonValue

from ontomesh.sdk.models import (
    Dangling,
    DocumentModel,
    Indexed,
    Link,
    OneOf,
    Unique,
    lexical,
    ontology_of,
    render,
)

Json = dict[str, Any]

KEY = {"@type": "Lexical", "@fields": ["name"]}


def optional(range_: str) -> Json:
    return {"@type": "Optional", "@class": range_}


SCHEMA: list[Json] = [
    {"@type": "Class", "@id": "Being", "@abstract": [], "@documentation": {"@comment": "Whoever\nlives."}},
    {
        "@type": "Class",
        "@id": "Person",
        "@inherits": "Being",
        "@key": KEY,
        "@documentation": {"@comment": "Somebody", "@properties": {"born": "The day"}},
        "@metadata": {
            "ontomesh": {
                "indexed": ["age", "home.city"],
                "unique": ["email"],
                "dangling": ["friend"],
                "events": False,
            },
            "x": 1,
        },
        "name": "xsd:string",
        "email": optional("xsd:string"),
        "age": optional("xsd:byte"),
        "born": optional("xsd:date"),
        "height": optional("xsd:decimal"),
        "page": optional("xsd:anyURI"),
        "nap": optional("xsd:dayTimeDuration"),
        "anything": optional("sys:JSON"),
        "mood": optional("Mood"),
        "home": optional("Address"),
        "past": {"@type": "List", "@class": "Address"},
        "friend": optional("Person"),
        "friends": {"@type": "Set", "@class": "Person", "@max_cardinality": 3},
        "names": {"@type": "Set", "@class": "xsd:string", "@cardinality": 2},
        "tags": {"@type": "Set", "@class": "xsd:string"},
        "grid": {"@type": "Array", "@class": "xsd:double", "@dimensions": 2},
        "class": "xsd:boolean",
    },
    {"@type": "Class", "@id": "Pilot", "@inherits": ["Being", "Person"], "@unfoldable": [], "hours": "xsd:double"},
    {
        "@type": "Class",
        "@id": "Address",
        "@subdocument": [],
        "@key": {"@type": "Random"},
        "city": "xsd:string",
        "@oneOf": {"box": "xsd:integer", "street": "xsd:string"},
    },
    {
        "@type": "TaggedUnion",
        "@id": "Contact",
        "@subdocument": [],
        "@key": {"@type": "Random"},
        "mail": "xsd:string",
        "person": "Person",
    },
    {
        "@type": "Class",
        "@id": "Card",
        "@documentation": [{"@language": "de", "@comment": "Karte"}],
        "contact": "Contact",
    },
    {"@type": "Enum", "@id": "Mood", "@value": ["calm", "very-wild", "1st"], "@documentation": {"@comment": "How"}},
]


@pytest.fixture
def module() -> Iterator[ModuleType]:
    """A module to define printed models in."""
    made = ModuleType("printed_models")
    sys.modules[made.__name__] = made
    yield made
    del sys.modules[made.__name__]


def models_in(module: ModuleType, source: str) -> dict[str, type]:
    exec(compile(source, "printed_models.py", "exec"), module.__dict__)
    return {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, type) and value.__module__ == module.__name__
    }


def by_name(schema: list[Json]) -> dict[str, Json]:
    # The order of parents means nothing.
    for element in schema:
        if isinstance(element.get("@inherits"), list):
            element["@inherits"] = sorted(element["@inherits"])
    return {element["@id"]: element for element in schema}


def test_an_ontology_printed_as_models_is_the_same_ontology(module: ModuleType) -> None:
    source = render(SCHEMA)
    assert "Not in these models" not in source
    models = [each for each in models_in(module, source).values() if issubclass(each, DocumentModel)]
    assert by_name(ontology_of(*models)) == by_name(SCHEMA)
    assert render(ontology_of(*models)) == source


def test_documents_go_through_printed_models_and_back(module: ModuleType) -> None:
    person: Any = models_in(module, render(SCHEMA))["Person"]
    document = {
        "@id": "Person/ada",
        "@type": "Person",
        "name": "ada",
        "class": True,
        "home": {"@type": "Address", "city": "Rome", "box": 3},
        "past": [{"@type": "Address", "city": "Oslo", "street": "A"}],
        "nap": "PT20M",
        "anything": {"a": [1, None]},
        "grid": [[1.0, 2.0], [3.0]],
        "names": ["a", "b"],
        "friends": [],
        "tags": [],
    }
    read = person.from_document(document)
    assert (read.home.city, read.nap, read.class_) == ("Rome", timedelta(minutes=20), True)
    assert read.to_document() == document


def test_what_models_cannot_say_stands_in_a_comment(module: ModuleType) -> None:
    schema: list[Json] = [
        {"@type": "@context", "@base": "iri://data/", "@schema": "iri://schema#"},
        {"@type": "Class", "@id": "My-Class", "p": "xsd:string"},
        {"@type": "Class", "@id": "Plain", "p": "My-Class", "q": "xsd:string", "id": "xsd:string"},
        {"@type": "Enum", "@id": "E", "@value": ["a"], "@metadata": {"x": 1}},
    ]
    source = render(schema)
    left_out = [line.strip() for line in source.splitlines() if "Not in these models" in line]
    assert [line.split(": ")[1].partition(",")[0] for line in left_out] == [
        "the context",
        "My-Class",
        "its metadata",
        "p",
        "id",
    ]
    models = models_in(module, source)
    assert by_name(ontology_of(models["Plain"])) == {"Plain": {"@type": "Class", "@id": "Plain", "q": "xsd:string"}}


class Place(DocumentModel, subdocument=True):
    city: Annotated[str, Indexed()]
    near: "Place | None" = None


class Release(DocumentModel, key=lexical("name"), indexed=("place.city",), events=True):
    name: Annotated[str, Unique()]
    build_state: Literal["green", "red"] = "green"
    place: Place | None = None
    places: list[Place] = Field(default_factory=list)
    tags: Annotated[set[str], Field(min_length=1, max_length=3)]
    took: timedelta | None = None
    notes: JsonValue | None = None
    other: Annotated[Link["Release"] | None, Dangling()] = None
    mail: Annotated[str | None, OneOf()] = None
    phone: Annotated[int | None, OneOf()] = None


def test_models_give_subdocuments_enums_markers_cardinalities_and_alternatives() -> None:
    found = by_name(ontology_of(Release))
    assert found["ReleaseBuildState"] == {"@type": "Enum", "@id": "ReleaseBuildState", "@value": ["green", "red"]}
    assert found["Place"] == {
        "@type": "Class",
        "@id": "Place",
        "@subdocument": [],
        "@metadata": {"ontomesh": {"indexed": ["city"]}},
        "city": "xsd:string",
        "near": optional("Place"),
    }
    assert found["Release"] == {
        "@type": "Class",
        "@id": "Release",
        "@key": KEY,
        "@metadata": {
            "ontomesh": {"indexed": ["place.city"], "unique": ["name"], "dangling": ["other"], "events": True}
        },
        "name": "xsd:string",
        "build_state": "ReleaseBuildState",
        "place": optional("Place"),
        "places": {"@type": "List", "@class": "Place"},
        "tags": {"@type": "Set", "@class": "xsd:string", "@min_cardinality": 1, "@max_cardinality": 3},
        "took": optional("xsd:dayTimeDuration"),
        "notes": optional("sys:JSON"),
        "other": optional("Release"),
        "@oneOf": {"mail": "xsd:string", "phone": "xsd:integer"},
    }


def test_a_union_without_names_is_refused_with_what_to_do() -> None:
    class Odd(DocumentModel):
        value: int | str

    with pytest.raises(TypeError, match="marked OneOf"):
        ontology_of(Odd)
