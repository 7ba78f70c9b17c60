"""Changes of the ontology."""

from collections.abc import Callable, Iterator

from tests.contract.calls import (
    create_commit,
)
from tests.contract.refusals.row import Row, schema_of
from tests.contract.world import BEING, DB, MOOD, NOTE, PERSON, flawed


def schemas() -> Iterator[Row]:
    def refused(name: str, element: object, *at: str) -> Row:
        return Row(
            f"schema: {name}", "INVALID_SCHEMA", schema_of(element), tuple(f"ontology.schema[0]{part}" for part in at)
        )

    yield refused("a string", "Person", "")
    yield refused("no @type", {"@id": "A"}, ".@type")
    yield refused("unknown @type", {"@type": "Klass", "@id": "A"}, ".@type")
    yield refused("a foreign class", {"@type": "Foreign", "@id": "A"}, ".@type")
    yield refused("no name", {"@type": "Class"}, ".@id")
    yield refused("malformed name", {"@type": "Class", "@id": "a b"}, ".@id")
    yield refused("unknown scalar", {"@type": "Class", "@id": "A", "p": "xsd:strin"}, ".p")
    yield refused("unknown range", {"@type": "Class", "@id": "A", "p": "Persn"}, ".p")
    yield refused(
        "unknown family", {"@type": "Class", "@id": "A", "p": {"@type": "Bag", "@class": "Person"}}, ".p.@type"
    )
    yield refused("no range", {"@type": "Class", "@id": "A", "p": {"@type": "Set"}}, ".p.@class")
    yield refused("unknown parent", {"@type": "Class", "@id": "A", "@inherits": "Persn"}, ".@inherits")
    yield refused("an enum as parent", {"@type": "Class", "@id": "A", "@inherits": "Mood"}, ".@inherits")
    yield refused("its own parent", {"@type": "Class", "@id": "A", "@inherits": "A"}, ".@inherits")
    yield refused(
        "key of an unknown property",
        {"@type": "Class", "@id": "A", "@key": {"@type": "Lexical", "@fields": ["p"]}},
        ".@key.@fields[0]",
    )
    yield refused(
        "key without properties", {"@type": "Class", "@id": "A", "@key": {"@type": "Lexical"}}, ".@key.@fields"
    )
    yield refused("unknown key", {"@type": "Class", "@id": "A", "@key": {"@type": "Serial"}}, ".@key.@type")
    yield refused("empty enum", {"@type": "Enum", "@id": "A", "@value": []}, ".@value")
    yield refused("enum with a value twice", {"@type": "Enum", "@id": "A", "@value": ["a", "a"]}, ".@value[1]")
    yield from _declarations(refused)
    yield from _paths(refused)
    yield refused("two faults", {"@type": "Class", "@id": "A", "p": 1, "q": "xsd:no"}, ".p", ".q")
    yield Row("schema: a class twice", "INVALID_SCHEMA", schema_of(NOTE, NOTE), ("ontology.schema[1].@id",))
    yield Row("schema: removes what is unknown", "INVALID_SCHEMA", schema_of(remove=["Persn"]), ("ontology.remove[0]",))
    yield Row(
        "schema: removes what is linked to",
        "INVALID_SCHEMA",
        schema_of(remove=["Mood"]),
        ("ontology.@schema/Person.mood",),
    )
    yield Row(
        "schema: replaces and removes",
        "INVALID_SCHEMA",
        schema_of(BEING, mode="replace", remove=["Note"]),
        ("ontology.remove",),
    )
    yield Row(
        "schema: not JSON",
        "MALFORMED_BODY",
        lambda _: create_commit(DB, ontology={"schema": b"[{"}),
        ("ontology.schema",),
        ("body",),
    )
    yield Row(
        "schema: a key twice",
        "MALFORMED_BODY",
        lambda _: create_commit(DB, ontology={"schema": b'[{"@id":"A","@id":"B"}]'}),
        ("ontology.schema",),
        ("body",),
    )
    yield Row(
        "schema: not UTF-8",
        "MALFORMED_BODY",
        lambda _: create_commit(DB, ontology={"schema": b'[{"@id":"\xff"}]'}),
        ("ontology.schema",),
        ("body",),
    )
    broken = "SCHEMA_VIOLATED_BY_DATA"
    yield Row(
        "schema: a new required property",
        broken,
        schema_of(flawed(NOTE, lang="xsd:string")),
        ("Note/one.lang",),
        metadata=lambda w: {"violations": "1"},
    )
    yield Row("schema: a narrower type", broken, schema_of(flawed(NOTE, text="xsd:integer")), ("Note/one.text",))
    yield Row("schema: fewer values", "EMPTY_COMMIT", schema_of(MOOD))
    yield Row("schema: a class with documents goes", broken, schema_of(remove=["Note"]), ("Note/one.@type",))
    yield Row("schema: another key", broken, schema_of(flawed(NOTE, _key={"@type": "ValueHash"})), ("Note/one",))
    yield Row("schema: abstract with documents", broken, schema_of(flawed(NOTE, _abstract=[])), ("Note/one.@type",))
    yield Row(
        "schema: an optional becomes required",
        broken,
        schema_of(flawed(PERSON, age="xsd:integer")),
        ("Person/bob.age", "Person/cy.age"),
        metadata=lambda w: {"violations": "2"},
    )


def _declarations(refused: Callable[..., Row]) -> Iterator[Row]:
    """Subdocuments, alternatives, cardinalities, Arrays, JSON and documentation."""
    a_class = {"@type": "Class", "@id": "A"}
    yield refused("a union of nothing", {"@type": "TaggedUnion", "@id": "A"}, "")
    yield refused("a union with oneOf", {"@type": "TaggedUnion", "@id": "A", "p": "Mood", "@oneOf": {}}, ".@oneOf")
    yield refused("a flag that is no []", a_class | {"@subdocument": True}, ".@subdocument")
    yield refused("a subdocument of a class", a_class | {"@subdocument": [], "@inherits": "Note"}, ".@inherits")
    yield Row(
        "schema: a class of a subdocument",
        "INVALID_SCHEMA",
        schema_of(a_class | {"@subdocument": []}, {"@type": "Class", "@id": "B", "@inherits": "A"}),
        ("ontology.schema[1].@subdocument",),
    )
    yield refused("no alternative", a_class | {"@oneOf": {}}, ".@oneOf")
    yield refused("an alternative twice", a_class | {"@oneOf": [{"p": "Mood"}, {"p": "Mood"}]}, ".@oneOf[1].p")
    alternative = {"@type": "List", "@class": "Mood"}
    yield refused("a list as alternative", a_class | {"@oneOf": {"p": alternative}}, ".@oneOf.p")
    families: list[tuple[str, dict[str, object], str]] = [
        ("no dimensions", {"@type": "Array", "@dimensions": 0}, "@dimensions"),
        ("too many dimensions", {"@type": "Array", "@dimensions": 9}, "@dimensions"),
        ("a list with dimensions", {"@type": "List", "@dimensions": 1}, "@dimensions"),
        ("a cardinality without number", {"@type": "Cardinality"}, "@cardinality"),
        ("a cardinality that is a string", {"@type": "Set", "@cardinality": "1"}, "@cardinality"),
        ("a set without values", {"@type": "Set", "@max_cardinality": 0}, "@max_cardinality"),
        (
            "fewer at most than at least",
            {"@type": "Set", "@min_cardinality": 2, "@max_cardinality": 1},
            "@max_cardinality",
        ),
        ("a table", {"@type": "Table"}, "@type"),
    ]
    for name, family, at in families:
        yield refused(name, a_class | {"p": {"@class": "xsd:string", **family}}, f".p.{at}")
    yield refused("a class-less document", a_class | {"p": "sys:JSONDocument"}, ".p")
    yield refused("documentation in no language", a_class | {"@documentation": [{}]}, ".@documentation[0].@language")
    yield refused("unknown documentation", a_class | {"@documentation": {"@coment": ""}}, ".@documentation.@coment")


def _paths(refused: Callable[..., Row]) -> Iterator[Row]:
    """Indexed and unique paths, and links that may dangle."""
    for name, own, at in [
        ("unknown setting", {"indexd": []}, ".indexd"),
        ("paths that are a string", {"indexed": "text"}, ".indexed"),
        ("a path that is a number", {"indexed": [1]}, ".indexed[0]"),
        ("a path twice", {"unique": ["text", "text"]}, ".unique[1]"),
        ("index of an unknown property", {"indexed": ["txt"]}, ".indexed[0]"),
        ("index of a link", {"indexed": ["to"]}, ".indexed[0]"),
        ("index through a link", {"unique": ["to.text"]}, ".unique[0]"),
        ("index of JSON", {"indexed": ["any"]}, ".indexed[0]"),
        ("a long path", {"indexed": [".".join(["text"] * 9)]}, ".indexed[0]"),
        ("dangling of no link", {"dangling": ["text"]}, ".dangling[0]"),
        ("settings that are a list", [], ""),
    ]:
        element = flawed(NOTE, to="Note", any="sys:JSON", _metadata={"ontomesh": own})
        yield refused(name, element, f".@metadata.ontomesh{at}")
