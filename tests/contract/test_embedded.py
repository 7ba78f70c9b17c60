"""The kernel as a library: files shared with a server, refusals on entering, and who the calls are by."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from ontomesh.sdk import connect
from ontomesh.sdk.errors import DocumentNotFound, Unavailable
from ontomesh_chassis.startup import ConfigError
from ontomesh_data_kernel import embedded
from tests.contract.serving import OWNER, serving

pytestmark = [pytest.mark.sqlite, pytest.mark.xdist_group("contract-embedded")]

PERSON = {"@type": "Class", "@id": "Person", "@key": {"@type": "Lexical", "@fields": ["name"]}, "name": "xsd:string"}


async def test_a_file_is_shared_with_a_server(tmp_path: Path) -> None:
    file = tmp_path / "data" / "kernel.db"
    async with (
        serving(tmp_path) as kernel,
        connect(kernel.grpc, token=kernel.token(), home=tmp_path) as served,
        embedded.open(file, principal="user:bob") as mine,
    ):
        await served.databases.create("catalog")
        await mine.database("catalog").apply_ontology([PERSON])
        writes = [
            place.database("catalog").insert({"@type": "Person", "name": f"{name}{number}"})
            for name, place in (("theirs", served), ("mine", mine))
            for number in range(50)
        ]
        made = await asyncio.gather(*writes)
        assert {each.commit.author for each in made} == {OWNER, "user:bob"}
        there, here = [
            [document.id async for document in place.database("catalog").documents()] for place in (served, mine)
        ]
        assert (there, len(there)) == (here, 100)


def test_the_blocking_form_needs_no_loop_and_no_server(tmp_path: Path) -> None:
    with embedded.open(tmp_path / "facts.db", branch="main") as mesh:
        mesh.databases.create("catalog")
        catalog = mesh.database("catalog")
        catalog.apply_ontology([PERSON])
        head = catalog.insert({"@type": "Person", "name": "ada"}).commit
        assert head.author.startswith("user:")
        with pytest.raises(DocumentNotFound):
            catalog.get("Person/bob")
    with embedded.open(str(tmp_path / "facts.db")) as mesh:
        assert mesh.database("catalog").show("main") == head


async def test_what_is_no_store_is_refused_on_entering(tmp_path: Path) -> None:
    other = tmp_path / "notes.txt"
    other.write_text("no database " * 100)
    for store in (other, "mysql://localhost/x"):
        with pytest.raises(ConfigError):
            async with embedded.open(store):
                pass
    assert other.read_text().startswith("no database")


async def test_a_store_that_is_away_is_refused_by_its_calls() -> None:
    async with embedded.open("terminusdb://admin@127.0.0.1:9/admin", password="none") as mesh:
        with pytest.raises(Unavailable):
            await mesh.databases.get("catalog")


async def test_a_set_author_is_whom_commits_are_by(tmp_path: Path) -> None:
    async with embedded.open(tmp_path / "facts.db", author="user:ana") as mesh:
        await mesh.databases.create("catalog")
        made = await mesh.database("catalog").apply_ontology([PERSON])
        assert made.commit.author == "user:ana"


def test_a_script_that_forgets_to_close_ends_and_loses_nothing(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from ontomesh_data_kernel import embedded\n"
        "mesh = embedded.open(sys.argv[1]).open()\n"
        "mesh.databases.create('catalog')\n"
    )
    file = tmp_path / "facts.db"
    subprocess.run([sys.executable, "-c", script, str(file)], check=True, timeout=30)
    with embedded.open(file) as mesh:
        assert [each.name for each in mesh.databases.list()] == ["catalog"]
