"""Migrations and checks of the ontology."""

from collections.abc import Iterator, Mapping
from typing import Any

from tests.contract.calls import Call, HttpCall, check_ontology, class_schema, create_commit, delete, spliced
from tests.contract.refusals.row import Make, Row, always
from tests.contract.world import DB, NOTE, flawed


def migrations() -> Iterator[Row]:
    """Every step's bad input; the same steps are refused by the check."""
    for name, step, at in _steps():
        ((kind, _),) = step.items()
        where = f"migrations[0].{kind}{at and f'.{at}'}"
        reason = "INVALID_REQUEST" if name.startswith("nothing") else "INVALID_SCHEMA"
        yield Row(f"migration: {name}", reason, _migrated(step), (f"ontology.{where}",))
        yield Row(f"check: {name}", reason, always(check_ontology(DB, {"migrations": [step]})), (f"change.{where}",))
    rename = {"rename_class": {"name": "Person", "to": "Human"}}
    cast = {"cast_property": {"type": "Person", "property": "name", "range": "xsd:integer"}}
    yield Row(
        "migration: values that cannot be cast",
        "SCHEMA_VIOLATED_BY_DATA",
        _migrated(cast),
        ("Person/ada.name", "Person/bob.name", "Person/cy.name"),
        metadata=lambda w: {"violations": "3"},
    )
    yield Row(
        "migration: a second step that does not know the new name",
        "INVALID_SCHEMA",
        _migrated(rename, {"delete_property": {"type": "Person", "property": "age"}}),
        ("ontology.migrations[1].delete_property.type",),
    )
    yield Row(
        "migration: steps that lead to no ontology",
        "INVALID_SCHEMA",
        _migrated({"delete_class": {"name": "Mood"}}),
        ("ontology.@schema/Person.mood",),
    )
    yield Row(
        "migration: an operation on what it renames",
        "INVALID_REQUEST",
        always(create_commit(DB, delete("Person/cy"), ontology={"migrations": [rename]})),
        ("operations[0].delete",),
    )
    yield Row(
        "migration: a step that says nothing",
        "INVALID_REQUEST",
        _migrated({}),
        ("ontology.migrations[0]",),
    )
    yield Row(
        "migration: 101 steps",
        "TOO_LARGE",
        _migrated(*[{"set_default": {"type": "Person", "property": "age", "value": 1}}] * 101),
        ("ontology.migrations",),
        metadata=lambda w: {"size": "101", "limit": "100"},
    )
    yield Row(
        "migration: an unknown way with errors",
        "INVALID_REQUEST",
        always(_posted({"migrations": [{"cast_property": {"on_error": "ignore"}}]})),
        ("ontology.migrations[0].cast_property.on_error",),
        doors=("http",),
    )
    yield Row(
        "migration: two steps in one",
        "INVALID_REQUEST",
        always(_posted({"migrations": [rename | cast]})),
        ("ontology.migrations[0]",),
        doors=("http",),
    )
    yield Row(
        "check: an element that is wrong",
        "INVALID_SCHEMA",
        always(check_ontology(DB, {"schema": [flawed(NOTE, text="xsd:strin")]})),
        ("change.schema[0].text",),
    )
    yield Row(
        "check: an unknown branch",
        "BRANCH_NOT_FOUND",
        always(check_ontology(DB, {}, "none")),
        metadata=lambda w: {"branch": "none"},
    )
    yield Row(
        "check: page size", "INVALID_REQUEST", always(check_ontology(DB, {}, "main", page_size=1001)), ("page_size",)
    )
    yield Row(
        "check: page token of another listing",
        "INVALID_PAGE_TOKEN",
        lambda w: check_ontology(DB, {}, "main", page_token=w.pages["documents"]),
        ("page_token",),
    )
    yield Row("class schema: no such class", "UNKNOWN_CLASS", always(class_schema(DB, "Persn")), ("class_name",))
    yield Row(
        "class schema: an unknown branch",
        "BRANCH_NOT_FOUND",
        always(class_schema(DB, "Person", "none")),
        metadata=lambda w: {"branch": "none"},
    )
    yield Row(
        "class schema: without the right to read",
        "PERMISSION_DENIED",
        always(class_schema(DB, "Person", "main")),
        token="feature reader",
        metadata=lambda w: {"right": "read", "branch": "main"},
    )
    yield Row(
        "check: without the right to read",
        "PERMISSION_DENIED",
        always(check_ontology(DB, {}, "main")),
        token="feature reader",
        metadata=lambda w: {"right": "read", "branch": "main"},
    )


def _steps() -> Iterator[tuple[str, Mapping[str, Any], str]]:
    """What is wrong, the step, and its member at fault."""
    yield "unknown class", {"rename_class": {"name": "Persn", "to": "X"}}, "name"
    yield "a name that is taken", {"rename_class": {"name": "Person", "to": "Note"}}, "to"
    yield "a name that is none", {"rename_class": {"name": "Person", "to": "a b"}}, "to"
    yield "unknown property", {"rename_property": {"type": "Person", "property": "agee", "to": "x"}}, "property"
    yield "property that is taken", {"rename_property": {"type": "Person", "property": "age", "to": "mood"}}, "to"
    yield "default of another type", {"set_default": {"type": "Person", "property": "age", "value": "x"}}, "value"
    yield "default that is null", {"set_default": {"type": "Person", "property": "age", "value": None}}, "value"
    yield "default of no property", {"set_default": {"type": "Person", "property": "size", "value": 1}}, "property"
    yield "cast to no type", {"cast_property": {"type": "Person", "property": "age", "range": "xsd:integr"}}, "range"
    yield (
        "cast that never works",
        {"cast_property": {"type": "Person", "property": "age", "range": "xsd:date"}},
        "range",
    )
    yield "no family", {"cast_property": {"type": "Person", "property": "age", "family": "Bag"}}, "family"
    yield "nothing to cast to", {"cast_property": {"type": "Person", "property": "age"}}, "range"
    default = {"range": "xsd:string", "on_error": "default", "default": 1}
    yield "cast's default", {"cast_property": {"type": "Person", "property": "age", **default}}, "default"
    yield "move through no subdocument", {"move_property": {"type": "Person", "path": "age", "to": "friend.age"}}, "to"
    yield "move from nowhere", {"move_property": {"type": "Person", "path": "size", "to": "x"}}, "path"
    yield "nothing to move to", {"move_property": {"type": "Person", "path": "age"}}, "to"
    yield "move aside", {"move_property": {"type": "Person", "path": "age", "to_type": "Note"}}, "to_type"
    yield "delete no property", {"delete_property": {"type": "Person", "property": "agee"}}, "property"
    yield "delete no class", {"delete_class": {"name": "Peson"}}, "name"


def _migrated(*steps: Mapping[str, Any]) -> Make:
    return lambda _: create_commit(DB, ontology={"migrations": list(steps)})


def _posted(ontology: Mapping[str, Any]) -> Call:
    """A commit as the HTTP door alone can say it."""
    return Call("", b"", HttpCall("POST", f"/v1/databases/{DB}/commits", {}, spliced({"ontology": ontology})))
