"""Changes of the ontology with the documents that are there: migrations as one commit, and trying them beforehand."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from ontomesh.kernel.v1 import ontology_service_pb2
from ontomesh_data_kernel.domain.checking import OntologyCheck
from ontomesh_data_kernel.domain.kernel import Kernel
from ontomesh_data_kernel.domain.model import Delete, Insert, OntologyEdit, Update
from ontomesh_data_kernel.domain.steps import (
    CastProperty,
    DeleteClass,
    DeleteProperty,
    MoveProperty,
    RenameClass,
    RenameProperty,
    SetDefault,
    Step,
)
from ontomesh_data_kernel.errors import (
    DocumentAlreadyExists,
    InvalidPageToken,
    InvalidRequest,
    PermissionDenied,
    RequestIdReused,
    SchemaViolatedByData,
    UniqueViolation,
)
from tests.contract import calls
from tests.contract.doors import doors_of
from tests.contract.inprocess import ANA, DB, Only, body, commit, documents, head, new_database, open_kernel
from tests.contract.serving import serving

pytestmark = [pytest.mark.live, pytest.mark.usefixtures("store")]

KEY = {"@type": "Lexical", "@fields": ["name"]}
OPTIONAL = "Optional"


def optional(range_: str) -> dict[str, str]:
    return {"@type": OPTIONAL, "@class": range_}


PACKAGE: dict[str, Any] = {
    "@type": "Class",
    "@id": "Package",
    "@key": KEY,
    "name": "xsd:string",
    "version": optional("xsd:string"),
    "licence": optional("xsd:string"),
    "requires": {"@type": "Set", "@class": "Package"},
}
PERSON: dict[str, Any] = {
    "@type": "Class",
    "@id": "Person",
    "@key": KEY,
    "name": "xsd:string",
    "wrote": {"@type": "List", "@class": "Package"},
}


def package(name: str, **rest: Any) -> bytes:
    return body({"@type": "Package", "name": name, **rest})


def edit(*steps: Step, schema: list[dict[str, Any]] | None = None, replace: bool = False) -> OntologyEdit:
    return OntologyEdit(orjson.dumps(schema) if schema else b"", replace, migrations=steps)


@pytest.fixture
async def kernel(tmp_path: Path) -> AsyncIterator[Kernel]:
    made = await open_kernel(tmp_path / "kernel.db")
    await new_database(made, PACKAGE, PERSON)
    await commit(
        made,
        Insert(package("numpy", version="1.5", licence="BSD")),
        Insert(package("scipy", requires=["Package/numpy"], version="2")),
        Insert(body({"@type": "Person", "name": "ana", "wrote": ["Package/scipy", "Package/numpy"]})),
    )
    yield made
    await made.close()


async def problems(kernel: Kernel, ref: str = "main") -> list[Any]:
    return [one async for report in kernel.commits.verify(ANA, DB, ref) for one in report.problems]


async def test_a_class_is_renamed_with_its_documents_and_everything_that_links_to_them(kernel: Kernel) -> None:
    before = await head(kernel)
    made = await commit(kernel, ontology=edit(RenameClass("Package", "Project")), message="rename")
    assert await documents(kernel) == {
        "Person/ana": {
            "@id": "Person/ana",
            "@type": "Person",
            "name": "ana",
            "wrote": ["Project/scipy", "Project/numpy"],
        },
        "Project/numpy": {
            "@id": "Project/numpy",
            "@type": "Project",
            "name": "numpy",
            "version": "1.5",
            "licence": "BSD",
        },
        "Project/scipy": {
            "@id": "Project/scipy",
            "@type": "Project",
            "name": "scipy",
            "requires": ["Project/numpy"],
            "version": "2",
        },
    }
    assert "Package/numpy" in await documents(kernel, f"commit:{before}"), "the past keeps its own names"
    page = await kernel.diffs.diff(ANA, DB, f"commit:{before}", "main", False, 0, "")
    assert {one.id: one.kind.value for one in page.documents} == {
        "@schema/Package": "removed",
        "@schema/Person": "changed",
        "@schema/Project": "added",
        "Package/numpy": "removed",
        "Package/scipy": "removed",
        "Person/ana": "changed",
        "Project/numpy": "added",
        "Project/scipy": "added",
    }
    assert made.commit.change_count == page.total_size
    assert await problems(kernel) == []
    # The links are indexed under the new names.
    with pytest.raises(Exception, match="still linked to by"):
        await commit(kernel, Delete("Project/numpy"))
    await commit(kernel, Insert(body({"@type": "Project", "name": "new", "requires": ["Project/numpy"]})))


async def test_several_steps_and_operations_are_one_commit(kernel: Kernel) -> None:
    steps = (
        RenameProperty("Package", "licence", "license"),
        SetDefault("Package", "license", b'"unknown"'),
        CastProperty("Package", "license", family="Required"),
        CastProperty("Package", "version", "xsd:decimal"),
    )
    await commit(
        kernel,
        Update("Package/scipy", b'{"license":"MIT"}'),
        Insert(package("pip", license="MIT")),
        ontology=edit(*steps),
    )
    found = await documents(kernel, type="Package")
    assert {id: one["license"] for id, one in found.items()} == {
        "Package/numpy": "BSD",
        "Package/pip": "MIT",
        "Package/scipy": "MIT",
    }
    assert {id: one.get("version") for id, one in found.items()} == {
        "Package/numpy": 1.5,
        "Package/pip": None,
        "Package/scipy": 2,
    }
    assert await problems(kernel) == []


async def test_a_property_moves_into_a_subdocument(kernel: Kernel) -> None:
    origin = {"@type": "Class", "@id": "Legal", "@subdocument": [], "@key": {"@type": "Random"}}
    await commit(kernel, ontology=edit(schema=[origin, PACKAGE | {"legal": optional("Legal")}]))
    await commit(kernel, ontology=edit(MoveProperty("Package", "licence", "legal.licence")))
    found = await documents(kernel, type="Package")
    assert found["Package/numpy"]["legal"] == {"@type": "Legal", "licence": "BSD"}
    assert "legal" not in found["Package/scipy"]
    await commit(kernel, ontology=edit(MoveProperty("Package", "legal.licence", "licence")))
    assert (await documents(kernel, type="Package"))["Package/numpy"]["licence"] == "BSD"


async def test_a_class_that_is_linked_to_is_deleted_only_with_its_links(kernel: Kernel) -> None:
    before = await head(kernel)
    with pytest.raises(Exception, match=r"wrote|no class or enum"):
        await commit(kernel, ontology=edit(DeleteClass("Package")))
    assert await head(kernel) == before
    await commit(kernel, ontology=edit(DeleteClass("Package", unlink=True)))
    assert await documents(kernel) == {"Person/ana": {"@id": "Person/ana", "@type": "Person", "name": "ana"}}
    assert await problems(kernel) == []


async def test_what_does_not_fit_refuses_the_whole_migration(kernel: Kernel) -> None:
    await commit(kernel, Insert(package("odd", version="one")))
    before = await head(kernel)
    with pytest.raises(SchemaViolatedByData) as refused:
        await commit(
            kernel,
            ontology=edit(DeleteProperty("Package", "licence"), CastProperty("Package", "version", "xsd:decimal")),
        )
    assert [one.field for one in refused.value.violations] == ["Package/odd.version"]
    assert await head(kernel) == before


async def test_a_dry_run_changes_nothing_and_a_request_id_makes_it_happen_once(kernel: Kernel) -> None:
    before = await head(kernel)
    change = edit(RenameClass("Package", "Project"))
    tried = await commit(kernel, ontology=change, validate_only=True)
    assert (tried.commit.id, tried.commit.change_count) == ("", 8)
    assert await head(kernel) == before
    first = await commit(kernel, ontology=change, request_id="migrate-1")
    again = await commit(kernel, ontology=change, request_id="migrate-1")
    assert again.commit == first.commit
    with pytest.raises(RequestIdReused):
        await commit(kernel, ontology=edit(RenameClass("Package", "Parcel")), request_id="migrate-1")


async def test_operations_do_not_name_what_the_migration_renames(kernel: Kernel) -> None:
    change = edit(RenameClass("Package", "Project"))
    with pytest.raises(InvalidRequest) as refused:
        await commit(kernel, Delete("Package/numpy"), ontology=change)
    assert refused.value.violations[0].field == "operations[0].delete"
    with pytest.raises((SchemaViolatedByData, DocumentAlreadyExists)):
        await commit(kernel, Insert(body({"@type": "Project", "name": "numpy"})), ontology=change)


async def test_documents_written_meanwhile_are_migrated_too(kernel: Kernel) -> None:
    writers = [commit(kernel, Insert(package(f"p{number}", licence="MIT"))) for number in range(5)]
    change = commit(kernel, ontology=edit(SetDefault("Package", "version", b'"0"'), RenameClass("Person", "Author")))
    await asyncio.gather(*writers[:2], change, *writers[2:])
    found = await documents(kernel)
    assert len(found) == 8
    assert "Author/ana" in found
    assert await problems(kernel) == []


async def test_unique_values_stay_unique_under_other_names(kernel: Kernel) -> None:
    unique = PACKAGE | {"@metadata": {"ontomesh": {"unique": ["licence"]}}}
    await commit(kernel, ontology=edit(schema=[unique]))
    await commit(
        kernel, ontology=edit(RenameClass("Package", "Project"), RenameProperty("Project", "licence", "license"))
    )
    with pytest.raises(UniqueViolation):
        await commit(kernel, Insert(body({"@type": "Project", "name": "copy", "license": "BSD"})))
    # A default gives two documents one value.
    with pytest.raises(UniqueViolation):
        await commit(
            kernel,
            Insert(body({"@type": "Project", "name": "more"})),
            ontology=edit(SetDefault("Project", "license", b'"BSD"')),
        )


async def check(
    kernel: Kernel, change: OntologyEdit, ref: str = "main", size: int = 0, token: str = "", **rest: Any
) -> OntologyCheck:
    caller = rest.pop("caller", ANA)
    return await kernel.ontology_checks.check(caller, DB, ref, change, rest.pop("changes_only", False), size, token)


class TestChecking:
    async def test_differences_are_told_by_element_and_property_with_what_they_mean(self, kernel: Kernel) -> None:
        changed = {name: value for name, value in PACKAGE.items() if name != "licence"}
        changed |= {"version": "xsd:string", "homepage": optional("xsd:anyURI"), "size": "xsd:integer"}
        found = await check(kernel, edit(schema=[changed, {"@type": "Class", "@id": "Note"}]), changes_only=True)
        assert [(one.kind.value, one.element, one.property) for one in found.differences] == [
            ("added", "Note", ""),
            ("added", "Package", "homepage"),
            ("removed", "Package", "licence"),
            ("strengthened", "Package", "size"),
            ("strengthened", "Package", "version"),
        ]
        assert found.differences[-1].description == "is xsd:string where it was Optional<xsd:string>"
        assert (found.examined, found.next_page_token, found.classes) == (0, "", ("Package",))

    async def test_violations_come_page_by_page_and_stay_at_one_commit(self, kernel: Kernel) -> None:
        for start in range(0, 60, 20):
            await commit(kernel, *(Insert(package(f"p{number:02}")) for number in range(start, start + 20)))
        change = edit(schema=[PACKAGE | {"licence": "xsd:string"}])
        found: list[str] = []
        token, pages, at = "", 0, ""
        while True:
            page = await check(kernel, change, size=7, token=token)
            at = at or page.commit
            assert page.commit == at
            found += [one.id for one in page.violations]
            assert all((one.field, one.description) == ("licence", "is required") for one in page.violations)
            pages += 1
            if pages == 1:
                await commit(kernel, Insert(package("zzz")))
            token = page.next_page_token
            if not token:
                break
        assert found == [*(f"Package/p{number:02}" for number in range(60)), "Package/scipy"]
        assert (page.examined, page.violating, page.changed) == (62, 61, 0)
        first = await check(kernel, change, size=7)
        with pytest.raises(InvalidPageToken):
            await check(kernel, edit(), size=7, token=first.next_page_token)

    async def test_a_migration_is_tried_with_its_counts(self, kernel: Kernel) -> None:
        found = await check(kernel, edit(RenameClass("Package", "Project")))
        assert (found.examined, found.changed, found.violating) == (3, 3, 0)
        assert [(one.kind.value, one.element) for one in found.differences] == [("migrated", "Project")]
        assert found.ontology.digest != (await kernel.ontologies.get(ANA, DB, "main")).digest

    async def test_links_that_would_lead_nowhere_are_told(self, kernel: Kernel) -> None:
        loose = {"@metadata": {"ontomesh": {"dangling": ["requires"]}}}
        await commit(kernel, ontology=edit(schema=[PACKAGE | loose]))
        await commit(
            kernel,
            Insert(package("a", requires=["Package/gone", "Package/numpy"], licence="Package/scipy")),
            Insert(package("b", licence="Package/numpy")),
            Update("Package/numpy", b'{"licence":"Package/none"}'),
        )

        async def told(change: OntologyEdit) -> list[tuple[str, str]]:
            found = await check(kernel, change)
            assert found.violating == len({one.id for one in found.violations})
            return [(one.id, one.field) for one in found.violations]

        assert await told(edit(schema=[PACKAGE])) == [("Package/a", "requires")]
        step = CastProperty("Package", "licence", "Package")
        assert await told(edit(step)) == [("Package/numpy", "licence")]
        project = PACKAGE | {"@id": "Project", "requires": {"@type": "Set", "@class": "Project"}}
        renamed = edit(RenameClass("Package", "Project"), schema=[project])
        assert await told(renamed) == [("Package/a", "requires")]
        found = await check(
            kernel, edit(RenameClass("Package", "Project"), RenameProperty("Project", "requires", "of"))
        )
        assert found.violations == ()

    async def test_it_needs_read_on_the_branch(self, kernel: Kernel) -> None:
        nobody = type(ANA)(
            ANA.principal, ANA.trace_id, Only(lambda right, _, branch: right == "read" and branch == "x")
        )
        with pytest.raises(PermissionDenied):
            await check(kernel, edit(), caller=nobody)


@pytest.mark.sqlite
async def test_both_doors_take_migrations_and_checks(tmp_path: Path) -> None:
    steps: list[dict[str, Any]] = [
        {"rename_property": {"type": "Package", "property": "licence", "to": "license"}},
        {"set_default": {"type": "Package", "property": "license", "value": "none"}},
        {"cast_property": {"type": "Package", "property": "license", "family": "Required"}},
        {
            "cast_property": {
                "type": "Package",
                "property": "version",
                "range": "xsd:decimal",
                "on_error": "default",
                "default": 0,
            }
        },
        {"delete_property": {"type": "Person", "property": "wrote"}},
        {"rename_class": {"name": "Person", "to": "Author"}},
        {"move_property": {"type": "Package", "path": "version", "to": "release"}},
        {"delete_class": {"name": "Author", "unlink": True}},
    ]
    async with serving(tmp_path, ONTOMESH_LOG_LEVEL="WARNING") as kernel, doors_of(kernel) as doors:
        for door, name in (("grpc", "one"), ("http", "two")):
            await doors.send("http", calls.create_database(name))
            await doors.send("http", calls.create_commit(name, ontology={"schema": [PACKAGE, PERSON]}))
            await doors.send(
                "http", calls.create_commit(name, {"insert": {"body": orjson.loads(package("a", version="x"))}})
            )
            checked = calls.check_ontology(name, {"migrations": steps})
            answer = ontology_service_pb2.CheckOntologyResponse.FromString(await doors.send("grpc", checked))
            told = await doors.read(checked)
            assert [one.description for one in answer.differences] == [
                one["description"] for one in told["differences"]
            ]
            assert (answer.examined, answer.changed) == (told["examined"], told["changed"]) == (1, 1)
            await doors.send(door, calls.create_commit(name, ontology={"migrations": steps}))  # type: ignore[arg-type]
            found = await doors.read(calls.get_document(name, "Package/a"))
            assert found == {"@id": "Package/a", "@type": "Package", "name": "a", "license": "none", "release": 0}
