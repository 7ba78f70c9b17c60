import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field, ValidationError, create_model
from sdk.tests.client.kernel import Kernel, document

from ontomesh.kernel.v1 import document_service_pb2
from ontomesh.sdk import AsyncMesh, Document
from ontomesh.sdk.encoding import encode
from ontomesh.sdk.models import DocumentModel, Link, Xsd, hashed, lexical, ontology_of, random_key, value_hash


class Licence(Enum):
    """What one may do."""

    FREE = "free"
    OTHER = "other"


class Thing(DocumentModel, abstract=True):
    """Whatever has a name."""

    name: str = Field(description="What it is called.")


class Person(Thing, key=lexical("name")):
    born: date | None = None


class Package(Thing, key=lexical("name", "version")):
    """A distribution.

    It can be installed.
    """

    version: str
    author: Link[Person] | None = None
    requires: set[Link["Package"]] = Field(default_factory=set)
    licence: Licence = Licence.FREE
    tags: list[str] = Field(default_factory=list)
    size: Decimal = Decimal("1.50")
    stars: int = 0
    score: float | None = None
    stable: bool = True
    released: datetime | None = None
    daily: time | None = None
    digest: bytes = b""
    parts: list[bytes] = Field(default_factory=list)
    home: Annotated[str | None, Xsd("xsd:anyURI")] = None
    summary: str | None = Field(default=None, alias="short-summary")


PACKAGE = {
    "@type": "Class",
    "@id": "Package",
    "@inherits": "Thing",
    "@key": {"@type": "Lexical", "@fields": ["name", "version"]},
    "@documentation": {"@comment": "A distribution.\n\nIt can be installed."},
    "version": "xsd:string",
    "author": {"@type": "Optional", "@class": "Person"},
    "requires": {"@type": "Set", "@class": "Package"},
    "licence": "Licence",
    "tags": {"@type": "List", "@class": "xsd:string"},
    "size": "xsd:decimal",
    "stars": "xsd:integer",
    "score": {"@type": "Optional", "@class": "xsd:double"},
    "stable": "xsd:boolean",
    "released": {"@type": "Optional", "@class": "xsd:dateTime"},
    "daily": {"@type": "Optional", "@class": "xsd:time"},
    "digest": "xsd:base64Binary",
    "parts": {"@type": "List", "@class": "xsd:base64Binary"},
    "home": {"@type": "Optional", "@class": "xsd:anyURI"},
    "short-summary": {"@type": "Optional", "@class": "xsd:string"},
}


def full() -> Package:
    package = Package(
        id="Package/numpy,1",
        name="numpy",
        version="1",
        author=Link("Person/travis"),
        requires={Link("Package/b,1"), Link("Package/a,1")},
        licence=Licence.OTHER,
        tags=["z", "a"],
        size=Decimal("1.10"),
        stars=2**70,
        score=0.5,
        released=datetime(2026, 11, 20, 12, tzinfo=UTC),
        daily=time(12, 30),
        digest=b"\xff\x00",
        parts=[b"a", b"b"],
        home="https://numpy.example",
    )
    package.summary = "arrays"
    return package


def make(name: str, module: str = __name__, **fields: Any) -> type[DocumentModel]:
    """A model that is put together at run time."""
    definitions: dict[str, Any] = {field: (annotation, ...) for field, annotation in fields.items()}
    return create_model(name, __base__=DocumentModel, __module__=module, **definitions)


def test_a_model_is_a_class_of_the_ontology_with_all_it_builds_on() -> None:
    assert ontology_of(Package) == [
        {
            "@type": "Class",
            "@id": "Thing",
            "@abstract": [],
            "@documentation": {
                "@comment": "Whatever has a name.",
                "@properties": {"name": "What it is called."},
            },
            "name": "xsd:string",
        },
        PACKAGE,
        {
            "@type": "Class",
            "@id": "Person",
            "@inherits": "Thing",
            "@key": {"@type": "Lexical", "@fields": ["name"]},
            "born": {"@type": "Optional", "@class": "xsd:date"},
        },
        {
            "@type": "Enum",
            "@id": "Licence",
            "@value": ["free", "other"],
            "@documentation": {"@comment": "What one may do."},
        },
    ]


def test_a_model_that_is_given_twice_appears_once() -> None:
    assert ontology_of(Package, Thing, Package) == ontology_of(Package)


def test_keys_are_those_of_the_schema_language() -> None:
    class Hashed(DocumentModel, key=hashed("a")):
        a: str = Field(alias="b")

    class ByValue(DocumentModel, key=value_hash()):
        pass

    class Drawn(DocumentModel, key=random_key()):
        pass

    class Child(Hashed):
        pass

    keys = [each.get("@key") for each in ontology_of(Hashed, ByValue, Drawn, Child)]
    assert keys == [{"@type": "Hash", "@fields": ["b"]}, {"@type": "ValueHash"}, {"@type": "Random"}, None]


def test_several_parents_and_mixins_are_told_apart() -> None:
    class Dated(BaseModel):
        on: date

    class Owned(DocumentModel, abstract=True):
        owner: Link["Person"]

    class Car(Dated, Thing, Owned):
        seats: int

    (*_, car) = (each for each in ontology_of(Car) if each["@id"] == "Car")
    assert car == {
        "@type": "Class",
        "@id": "Car",
        "@inherits": ["Thing", "Owned"],
        "on": "xsd:date",
        "seats": "xsd:integer",
    }


@pytest.mark.parametrize(
    "annotation",
    [
        dict[str, int],
        object,
        str | int,
        list[str] | None,
        tuple[int, str],
        set[str | None],
        complex,
        Person,
        Person | None,
    ],
)
def test_a_type_that_the_schema_language_lacks_is_named_with_its_field(annotation: Any) -> None:
    model = make("Odd", field=annotation)
    with pytest.raises(TypeError, match=r"^Odd\.field: the schema language has no type for"):
        ontology_of(model)


def test_a_nested_model_is_answered_with_the_link_it_should_be() -> None:
    class Team(DocumentModel):
        lead: Person

    with pytest.raises(TypeError, match=r"link to it with Link\[Person\]"):
        ontology_of(Team)


def test_an_unknown_key_field_or_an_enum_of_numbers_is_refused() -> None:
    class Keyed(DocumentModel, key=lexical("absent")):
        pass

    class Level(Enum):
        ONE = 1

    class Leveled(DocumentModel):
        level: Level

    with pytest.raises(TypeError, match="absent"):
        ontology_of(Keyed)
    with pytest.raises(TypeError, match="values of Level must be strings"):
        ontology_of(Leveled)


def test_two_classes_of_one_name_are_refused() -> None:
    first, second = make("Twin", "one"), make("Twin", "two")
    with pytest.raises(TypeError, match="one and two both define Twin"):
        ontology_of(first, second)


def test_an_instance_is_a_document() -> None:
    assert full().to_document() == {
        "@type": "Package",
        "@id": "Package/numpy,1",
        "name": "numpy",
        "version": "1",
        "author": "Person/travis",
        "requires": ["Package/a,1", "Package/b,1"],
        "licence": "other",
        "tags": ["z", "a"],
        "size": Decimal("1.10"),
        "stars": 2**70,
        "score": 0.5,
        "stable": True,
        "released": "2026-11-20T12:00:00Z",
        "daily": "12:30:00",
        "digest": "/wA=",
        "parts": ["YQ==", "Yg=="],
        "home": "https://numpy.example",
        "short-summary": "arrays",
    }


def test_an_instance_comes_back_from_its_document() -> None:
    package = full()
    body = encode(package)
    assert b'"size":1.10,' in body
    assert Document("Package/numpy,1", "", "", body).as_model(Package) == package
    assert Package.from_document(package.to_document()) == package


def test_without_an_id_the_kernel_is_left_to_make_one() -> None:
    person = Person(name="ana")
    assert person.to_document() == {"@type": "Person", "name": "ana"}
    with pytest.raises(ValueError, match="no id yet"):
        person.link()
    assert Person(id="Person/ana", name="ana").link() == "Person/ana"


def test_what_a_document_lacks_is_not_made_up_from_defaults() -> None:
    class Stamped(DocumentModel):
        version: str | None = "1.0"
        tags: set[str] = Field(default={"new"})
        many: list[int]

    stamped = Stamped.from_document({"@id": "Stamped/1", "@type": "Stamped"})
    assert (stamped.version, stamped.tags, stamped.many) == (None, set(), [])


def test_properties_without_a_field_survive_a_round_trip() -> None:
    data = {"@id": "Person/ana", "@type": "Person", "name": "ana", "height": 1.7}
    assert Person.from_document(data).to_document() == data
    with pytest.raises(ValidationError):
        Person(name="ana", height=1.7)  # type: ignore[call-arg]


def test_a_document_becomes_the_subclass_that_it_is() -> None:
    found = Thing.from_document({"@id": "Person/ana", "@type": "Person", "name": "ana"})
    assert type(found) is Person
    with pytest.raises(TypeError, match="Package/a is of class Package, which is no Person"):
        Person.from_document({"@id": "Package/a", "@type": "Package"})


def test_a_link_is_a_class_and_a_key() -> None:
    with pytest.raises(ValidationError, match="a class, a slash and a key"):
        Package(name="a", version="1", author=Link("travis"))
    checked = Package.model_validate({"name": "a", "version": "1", "author": "Person/travis"})
    assert isinstance(checked.author, Link)
    assert json.loads(checked.model_dump_json())["author"] == "Person/travis"


async def test_models_go_through_the_client(mesh: AsyncMesh, kernel: Kernel) -> None:
    database = mesh.database("catalog")
    await database.apply_ontology([Person, {"@type": "Class", "@id": "Other"}])
    names = [each["@id"] for each in json.loads(kernel.seen[-1].request.ontology.schema)]
    assert names == ["Other", "Thing", "Person"]
    await database.insert(full())
    assert json.loads(kernel.seen[-1].request.operations[0].insert.body)["@type"] == "Package"
    kernel.answer("GetDocument", document("Person/ana", b'{"@id":"Person/ana","@type":"Person","name":"ana"}'))
    person = await database.get("Person/ana", model=Person)
    assert person == Person(id="Person/ana", name="ana")
    kernel.answer("ListDocuments", document_service_pb2.ListDocumentsResponse())
    assert [each async for each in database.documents(Person)] == []
    assert kernel.seen[-1].request.type == "Person"
