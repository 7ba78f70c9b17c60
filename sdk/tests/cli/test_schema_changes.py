"""`schema diff`, `schema check` and `migrate`: what they ask for, and what people see."""

import json
from pathlib import Path
from typing import Any

import pytest
from sdk.tests.cli.conftest import Cli
from sdk.tests.cli.memory import Database
from sdk.tests.cli.servicers import Store

from ontomesh.kernel.v1.ontology_pb2 import CastProperty as CastMessage
from ontomesh.kernel.v1.ontology_pb2 import Migration, OntologyChange

NOTE = '{"@type": "Class", "@id": "Note"}'
DIFFERENCES = [
    "Note",
    "  + (itself)  added         a new class",
    "Package",
    "  ~ version   strengthened  is required",
    "  - size      removed       was xsd:integer",
    "3 differences: 1 added, 1 removed, 1 strengthened",
]


@pytest.fixture
def odd(catalog: Database) -> Database:
    """The catalog with two documents that no change fits."""
    head = catalog.head("main")
    more = {f"Package/odd{number}": b'{"@type":"Package"}' for number in (1, 2)}
    catalog.commit(head.documents | more, parents=(head.id,), message="odd ones")
    return catalog


def steps_of(store: Store) -> list[Migration]:
    """The steps of the last request."""
    request: Any = store.requests[-1]
    change = request.change if hasattr(request, "change") else request.ontology
    return list(change.migrations)


def test_schema_diff_compares_two_refs_or_a_ref_and_a_file(
    cli: Cli, catalog: Database, store: Store, tmp_path: Path
) -> None:
    assert cli.ok("schema", "diff", "main", "feature").lines == DIFFERENCES
    request: Any = store.requests[-1]
    assert (request.ref, request.changes_only) == ("main", True)
    assert request.change.mode == OntologyChange.MODE_REPLACE
    file = tmp_path / "schema.json"
    file.write_text(NOTE)
    for arguments in (("main", str(file)), (str(file),)):
        cli.ok("schema", "diff", *arguments)
        asked: Any = store.requests[-1]
        assert (asked.ref, json.loads(asked.change.schema)) == ("main", [json.loads(NOTE)])
    assert cli("schema", "diff", "main", "feature", "--exit-code").code == 1
    first = json.loads(cli.ok("schema", "diff", "main", "feature", "--json").lines[0])
    assert first == {"kind": "added", "element": "Note", "property": "", "description": "a new class"}
    assert cli("schema", "diff").code == 2


def test_schema_check_shows_differences_and_pages_through_what_would_not_fit(cli: Cli, odd: Database) -> None:
    result = cli("schema", "check", NOTE)
    assert result.code == 1
    assert result.lines == [
        *DIFFERENCES,
        "! Package/odd1 version: is required",
        "! Package/odd2 version: is required",
        "4 documents examined: 1 would change, 2 would not fit",
    ]
    pages = [json.loads(line) for line in cli("schema", "check", NOTE, "--json").lines]
    assert [each["violations"][0]["id"] for each in pages] == ["Package/odd1", "Package/odd2"]


def test_schema_check_ends_well_where_all_fits(cli: Cli, catalog: Database) -> None:
    result = cli.ok("schema", "check", NOTE, "--replace")
    assert result.lines[-1] == "2 documents examined: 1 would change, all would fit"


def test_migrate_takes_steps_by_options_in_the_order_of_its_help(cli: Cli, catalog: Database, store: Store) -> None:
    result = cli.ok(
        *("migrate", "--delete-class", "Old", "--unlink", "--delete-property", "Package.size"),
        *("--default", 'Package.stars={"a":1.5}', "--cast", "Package.version=xsd:decimal?"),
        *("--cast", "Package.tags=Set<xsd:string>", "--cast", "Package.name=Required", "--on-error", "remove"),
        *("--move-to", "Package.x=Thing", "--move", "Package.city=address.city"),
        *("--rename-property", "Package.licence=license", "--rename-class", "Pkg=Package"),
        *("--schema", NOTE, "-m", "tidy up"),
    )
    assert "tidy up" in result.out
    steps = steps_of(store)
    assert [step.WhichOneof("step") for step in steps] == [
        "rename_class",
        "rename_property",
        "move_property",
        "move_property",
        "cast_property",
        "cast_property",
        "cast_property",
        "set_default",
        "delete_property",
        "delete_class",
    ]
    casts = [step.cast_property for step in steps[4:7]]
    assert [(cast.property, cast.range, cast.family) for cast in casts] == [
        ("version", "xsd:decimal", "Optional"),
        ("tags", "xsd:string", "Set"),
        ("name", "", "Required"),
    ]
    assert {cast.on_error for cast in casts} == {CastMessage.ON_ERROR_REMOVE}
    assert steps[7].set_default.value == b'{"a":1.5}'
    assert (steps[2].move_property.to, steps[3].move_property.to_type) == ("address.city", "Thing")
    assert steps[9].delete_class.unlink


def test_migrate_takes_steps_from_a_file_before_those_of_options(
    cli: Cli, catalog: Database, store: Store, tmp_path: Path
) -> None:
    file = tmp_path / "steps.json"
    cast = {"type": "A", "property": "n", "range": "xsd:integer", "on_error": "default", "default": 0}
    file.write_text(json.dumps([{"cast_property": cast}, {"delete_class": {"name": "B"}}]))
    cli.ok("migrate", str(file), "--rename-class", "A=C", "--schema", NOTE)
    steps = steps_of(store)
    assert [step.WhichOneof("step") for step in steps] == ["cast_property", "delete_class", "rename_class"]
    assert (steps[0].cast_property.default, steps[0].cast_property.on_error) == (b"0", CastMessage.ON_ERROR_DEFAULT)


def test_migrate_shows_a_dry_run_and_changes_nothing(cli: Cli, odd: Database) -> None:
    head = odd.head("main").id
    result = cli("migrate", "--rename-class", "Package=Project", "--dry-run", "--schema", NOTE)
    assert result.code == 1
    assert result.lines[: len(DIFFERENCES)] == DIFFERENCES
    assert "! Package/odd2 version: is required" in result.lines
    assert odd.head("main").id == head


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "nothing to migrate"),
        (("--rename-class", "A"), "--rename-class A: expected NAME=VALUE"),
        (("--rename-property", "A=b"), "expected a class and a property"),
        (("--cast", "A.b=Set<"), "expected a type such as"),
        (("--default", "A.b={"), "not JSON"),
        (("--delete-property", "A"), "expected a class and a property"),
        (("--cast", "A.b=xsd:date", "--on-error", "default"), "expected refuse or remove"),
        (('[{"rename_clas": {}}]',), "step 1: a step has one of the members rename_class"),
        (('[{"rename_class": {"name": "A"}}]',), "step 1: rename_class lacks to"),
        (('[{"rename_class": {"name": "A", "too": "B"}}]',), "step 1: rename_class has no member too"),
    ],
)
def test_what_makes_no_sense_is_refused_before_it_is_sent(
    cli: Cli, catalog: Database, arguments: tuple[str, ...], says: str
) -> None:
    result = cli("migrate", *arguments)
    assert result.code == 2
    assert says in result.err
