"""Documents that do not fit the ontology or each other."""

from collections.abc import Iterator

from tests.contract import calls
from tests.contract.calls import delete, insert, update
from tests.contract.refusals.row import BODY, Row, commit_of
from tests.contract.world import NOTE, flawed, person


def documents() -> Iterator[Row]:
    def refused(name: str, reason: str, body: calls.Json | bytes, *at: str) -> Row:
        return Row(f"document: {name}", reason, commit_of(insert(body)), tuple(f"{BODY}.{part}" for part in at))

    yield refused("no class", "UNKNOWN_CLASS", {"name": "x"}, "@type")
    yield refused("unknown class", "UNKNOWN_CLASS", {"@type": "Persn", "name": "x"}, "@type")
    yield refused("abstract class", "UNKNOWN_CLASS", {"@type": "Being"}, "@type")
    yield refused("class that is a number", "UNKNOWN_CLASS", {"@type": 7}, "@type")
    yield refused("an enum as class", "UNKNOWN_CLASS", {"@type": "Mood"}, "@type")
    yield refused(
        "an id of another class", "INVALID_DOCUMENT_ID", {"@type": "Note", "@id": "Person/x", "text": ""}, "@id"
    )
    yield refused("an id with a blank", "INVALID_DOCUMENT_ID", {"@type": "Note", "@id": "Note/a b", "text": ""}, "@id")
    yield refused("an id with NUL", "INVALID_DOCUMENT_ID", {"@type": "Note", "@id": "Note/a\0", "text": ""}, "@id")
    yield refused("an id without key", "INVALID_DOCUMENT_ID", {"@type": "Note", "@id": "Note/", "text": ""}, "@id")
    yield refused(
        "an id too long", "INVALID_DOCUMENT_ID", {"@type": "Note", "@id": "Note/" + "x" * 1020, "text": ""}, "@id"
    )
    yield refused("an id that is a number", "INVALID_DOCUMENT_ID", {"@type": "Note", "@id": 7, "text": ""}, "@id")
    yield refused("not the id of its key", "INVALID_DOCUMENT_ID", person("x", **{"@id": "Person/y"}), "@id")
    yield refused("a generated id too long", "INVALID_DOCUMENT_ID", person("x" * 1020), "@id")
    yield refused("a property missing", "SCHEMA_VIOLATION", {"@type": "Note"}, "text")
    yield refused("a required null", "SCHEMA_VIOLATION", {"@type": "Note", "text": None}, "text")
    yield refused("an unknown property", "SCHEMA_VIOLATION", person("x", agee=1), "agee")
    yield refused("a string where an integer is due", "SCHEMA_VIOLATION", person("x", age="1"), "age")
    yield refused(
        "1.0 where an integer is due", "SCHEMA_VIOLATION", b'{"@type":"Person","name":"x","scores":[],"age":1.0}', "age"
    )
    yield refused(
        "1e2 where an integer is due", "SCHEMA_VIOLATION", b'{"@type":"Person","name":"x","scores":[],"age":1e2}', "age"
    )
    yield refused(
        "1e2000 where an integer is due",
        "SCHEMA_VIOLATION",
        b'{"@type":"Person","name":"x","scores":[],"age":1e2000}',
        "age",
    )
    yield refused(
        "2,000 digits",
        "SCHEMA_VIOLATION",
        b'{"@type":"Person","name":"x","scores":[],"age":' + b"1" * 2_000 + b"}",
        "age",
    )
    yield refused("a boolean where an integer is due", "SCHEMA_VIOLATION", person("x", age=True), "age")
    yield refused("a string where a list is due", "SCHEMA_VIOLATION", person("x") | {"scores": "1"}, "scores")
    yield refused("a string in a list of integers", "SCHEMA_VIOLATION", person("x") | {"scores": [1, "2"]}, "scores[1]")
    yield refused("a number in a set of strings", "SCHEMA_VIOLATION", person("x", tags=["a", 2]), "tags[1]")
    yield refused("no value of the enum", "SCHEMA_VIOLATION", person("x", mood="Calm"), "mood")
    yield refused("a link to another class", "SCHEMA_VIOLATION", person("x", friend="Note/one"), "friend")
    yield refused("a link that is no id", "SCHEMA_VIOLATION", person("x", friend="ada"), "friend")
    yield refused("a document where a link is due", "SCHEMA_VIOLATION", person("x", friend=person("y")), "friend")
    yield refused("two faults", "SCHEMA_VIOLATION", person("x", age="1", mood=1), "age", "mood")
    yield refused("a dangling link", "DANGLING_LINK", person("x", friend="Person/none"), "friend")
    yield from _nested()
    yield Row(
        "update to a wrong type",
        "SCHEMA_VIOLATION",
        commit_of(update("Person/ada", {"age": "x"})),
        ("operations[0].update.patch.age",),
    )
    yield Row(
        "update of a key's property",
        "INVALID_DOCUMENT_ID",
        commit_of(update("Person/ada", {"name": "eve"})),
        ("operations[0].update.patch.@id",),
    )
    yield Row(
        "update of the class",
        "INVALID_DOCUMENT_ID",
        commit_of(update("Person/ada", {"@type": "Note", "text": "x", "name": None, "age": None, "scores": None})),
        ("operations[0].update.patch.@id",),
    )
    yield Row(
        "update that dangles",
        "DANGLING_LINK",
        commit_of(update("Person/ada", {"friend": "Person/none"})),
        ("operations[0].update.patch.friend",),
        metadata=lambda w: {"targets": "Person/none"},
    )
    yield Row(
        "link to a document deleted with it",
        "DANGLING_LINK",
        commit_of(update("Person/ada", {"friend": "Person/cy"}), delete("Person/cy")),
        ("operations[0].update.patch.friend",),
    )
    yield Row(
        "still linked to",
        "STILL_REFERENCED",
        commit_of(delete("Person/ada")),
        metadata=lambda w: {"id": "Person/ada", "referrers": "Person/bob"},
    )
    yield Row(
        "mask of a path",
        "INVALID_REQUEST",
        commit_of(update("Person/ada", {}, mask=["a.b"])),
        ("operations[0].update.update_mask",),
    )
    yield Row(
        "mask of the id",
        "INVALID_REQUEST",
        commit_of(update("Person/ada", {}, mask=["@id"])),
        ("operations[0].update.update_mask",),
    )
    yield Row(
        "mask of an unknown property",
        "SCHEMA_VIOLATION",
        commit_of(update("Person/ada", {"agee": 1}, mask=["agee"])),
        ("operations[0].update.patch.agee",),
    )


PLACE = {"@type": "Class", "@id": "Place", "@subdocument": [], "city": "xsd:string"}
VISIT = {
    "@type": "Class",
    "@id": "Visit",
    "@metadata": {"ontomesh": {"unique": ["code"]}},
    "@oneOf": {"day": "xsd:date", "year": "xsd:gYear"},
    "at": "Place",
    "stops": {"@type": "Set", "@class": "Place", "@max_cardinality": 2},
    "grid": {"@type": "Array", "@class": "xsd:integer", "@dimensions": 2},
    "code": {"@type": "Optional", "@class": "xsd:string"},
}


def _nested() -> Iterator[Row]:
    """Documents of classes that their commit declares."""

    def visit(**changed: object) -> calls.Json:
        body = {"@type": "Visit", "at": {"city": "Bath"}, "day": "2026-11-20", **changed}
        return {name: value for name, value in body.items() if value is not None}

    def refused(name: str, reason: str, at: str, *bodies: calls.Json) -> Row:
        inserts = [insert(body) for body in bodies]
        return Row(f"document: {name}", reason, commit_of(*inserts, ontology={"schema": [PLACE, VISIT]}), (at,))

    misfit = "SCHEMA_VIOLATION"
    yield refused("a subdocument by itself", "UNKNOWN_CLASS", f"{BODY}.@type", {"@type": "Place", "city": "Bath"})
    yield refused("a subdocument that is a string", misfit, f"{BODY}.at", visit(at="Bath"))
    yield refused("a property of a subdocument missing", misfit, f"{BODY}.at.city", visit(at={}))
    yield refused("a subdocument of another class", misfit, f"{BODY}.at.@type", visit(at={"@type": "Note", "city": ""}))
    yield refused(
        "an unknown property of a subdocument", misfit, f"{BODY}.stops[0].x", visit(stops=[{"city": "", "x": 1}])
    )
    yield refused("no alternative", misfit, f"{BODY}.day", visit(day=None))
    yield refused("two alternatives", misfit, f"{BODY}.year", visit(year="2026"))
    yield refused("more values than a set may have", misfit, f"{BODY}.stops", visit(stops=[{"city": c} for c in "abc"]))
    yield refused("an array of too few dimensions", misfit, f"{BODY}.grid[0]", visit(grid=[1]))
    yield refused("an array with a gap", misfit, f"{BODY}.grid[0][1]", visit(grid=[[1, None]]))
    second = "operations[1].insert.body.code"
    yield refused("a value twice that is unique", "UNIQUE_VIOLATION", second, visit(code="a"), visit(code="a"))
    unique = flawed(NOTE, _metadata={"ontomesh": {"unique": ["text"]}})
    yield Row(
        "document: a value that another document has",
        "UNIQUE_VIOLATION",
        commit_of(insert({"@type": "Note", "@id": "Note/x", "text": "hello"}), ontology={"schema": [unique]}),
        (f"{BODY}.text",),
        metadata=lambda w: {"id": "Note/x", "property": "text", "holder": "Note/one"},
    )
