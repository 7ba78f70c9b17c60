import json
import re
import shlex

import pytest
from sdk.tests.cli.conftest import Cli
from sdk.tests.cli.memory import Database
from sdk.tests.cli.servicers import Store

from ontomesh.cli.resolutions import parse
from ontomesh.kernel.v1.merge_service_pb2 import MergeRequest

CONFLICT = """\
conflict Package/numpy#version  (both changed it)
  base    "1.0"
  ours    "1.1"
  theirs  "2.0"
    --resolve 'Package/numpy#version=ours'
    --resolve 'Package/numpy#version=theirs'
    --resolve 'Package/numpy#version=base'
"""


def test_a_conflict_is_shown_with_what_settles_it(cli: Cli, catalog: Database) -> None:
    head = catalog.branches["main"]
    result = cli("merge", "feature", "-m", "take it")
    assert result.code == 1
    assert result.out.startswith(CONFLICT)
    assert "1 conflict; nothing was committed." in result.lines
    assert catalog.branches["main"] == head


def test_the_command_that_is_proposed_settles_the_conflict(cli: Cli, catalog: Database) -> None:
    proposed = cli("merge", "feature", "-m", "it's better").lines[-1].strip()
    assert shlex.split(proposed)[:2] == ["ontomesh", "merge"]
    result = cli.ok(*shlex.split(proposed)[1:])
    assert re.fullmatch(r"\[main [0-9a-f]{12}\] it's better", result.lines[0])
    assert cli.ok("get", "Package/numpy", "--json").json()["version"] == "2.0"


@pytest.mark.parametrize(
    ("arguments", "version"),
    [
        (["--strategy", "theirs"], "2.0"),
        (["--strategy", "base"], "1.0"),
        (["--resolve", "Package/numpy#version=ours"], "1.1"),
        (["--resolve", "Package/numpy=theirs"], "2.0"),
        (["--resolve", 'Package/numpy#version:="3=ours"'], "3=ours"),
        (["--strategy", "theirs", "--resolve", "Package/numpy#version=ours"], "1.1"),
    ],
)
def test_conflicts_are_settled_by_side_or_value(
    cli: Cli, catalog: Database, arguments: list[str], version: str
) -> None:
    cli.ok("merge", "feature", *arguments)
    assert cli.ok("get", "Package/numpy", "--json").json()["version"] == version
    assert cli.ok("get", "Package/requests", "--json").json()["requires"] == ["a", "c"]


def test_a_merge_goes_into_the_branch_that_is_named(cli: Cli, catalog: Database, store: Store) -> None:
    cli.ok("branch", "release", "main~1")
    merged = cli.ok("merge", "main", "--into", "release", "--meta", "a=b", "--json").json()
    assert merged["outcome"] == "merged"
    assert merged["commit"]["branch"] == "release"
    (request,) = store.requests
    assert isinstance(request, MergeRequest)
    assert dict(request.metadata) == {"a": "b"}
    assert cli("merge", "main", "--into", "release", "-b", "feature").code == 2


def test_a_dry_run_finds_conflicts_and_commits_nothing(cli: Cli, catalog: Database) -> None:
    head = catalog.branches["main"]
    assert cli("merge", "feature", "--dry-run").code == 1
    assert cli.ok("merge", "feature", "--dry-run", "--strategy", "ours").lines[0].startswith("[main dry run]")
    assert catalog.branches["main"] == head


def test_merging_what_is_there_already_says_so(cli: Cli, catalog: Database) -> None:
    assert cli.ok("merge", "main~1").out == "main already holds all of main~1; nothing to merge\n"
    assert cli.ok("merge", "main~1", "--json").json()["outcome"] == "up_to_date"


def test_a_document_that_one_side_deleted_is_a_conflict_as_a_whole(cli: Cli, catalog: Database) -> None:
    cli.ok("commit", "-b", "feature", "-m", "delete", "--delete", "Package/numpy")
    result = cli("merge", "feature")
    assert result.lines[0] == "conflict Package/numpy  (theirs deleted the document, ours changed it)"
    assert "  theirs  (none)" in result.lines
    cli.ok("merge", "feature", "--resolve", "Package/numpy=theirs")
    assert cli.ok("ls").lines == ["Package/requests"]


def test_all_conflicts_are_told_though_an_answer_holds_a_hundred(cli: Cli, catalog: Database) -> None:
    def versions(number: int) -> str:
        return "\n".join(json.dumps({"@type": "Thing", "name": f"{n:03}", "n": number}) for n in range(150))

    cli.ok("put", "-", "-b", "main", stdin=versions(0))
    cli.ok("branch", "other")
    cli.ok("put", "-", "-b", "main", stdin=versions(1))
    cli.ok("put", "-", "-b", "other", stdin=versions(2))
    result = cli("merge", "other", "--json", "--resolve", "Thing/000=ours")
    assert result.code == 1
    assert result.json()["conflict_count"] == 149
    assert [conflict["id"] for conflict in result.json()["conflicts"]][::148] == ["Thing/001", "Thing/149"]


def test_histories_of_other_origin_are_refused(cli: Cli, catalog: Database) -> None:
    cli.ok("branch", "apart", "--empty")
    result = cli("merge", "apart")
    assert result.code == 3
    assert "(UNRELATED_HISTORIES)" in result.err


@pytest.mark.parametrize("text", ["Package/numpy", "Package/numpy#version", "Package/numpy#version=mine", "=ours"])
def test_a_resolution_that_cannot_be_read_is_refused(cli: Cli, catalog: Database, text: str) -> None:
    assert cli("merge", "feature", "--resolve", text).code == 2


def test_a_resolution_keeps_its_value_byte_for_byte() -> None:
    resolution = parse("Package/a=b#size:=1.10")
    assert (resolution.id, resolution.property, resolution.value) == ("Package/a=b", "size", b"1.10")
