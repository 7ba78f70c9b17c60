import json
from pathlib import Path

import pytest
from sdk.tests.cli.conftest import Cli
from sdk.tests.cli.memory import Database
from sdk.tests.cli.servicers import Store

from ontomesh.kernel.v1.commit_service_pb2 import CreateCommitRequest

ONE = '{"@type":"Package","name":"one"}'
TWO = '{"@type":"Package","name":"two"}'


@pytest.mark.parametrize(
    "text", [f"[{ONE}, {TWO}]", f"{ONE}\n{TWO}\n", f" [ {ONE}\n]\n{TWO}", f"\ufeff{ONE}{TWO}"], ids=repr
)
def test_documents_come_as_an_array_or_one_after_another(
    cli: Cli, catalog: Database, tmp_path: Path, text: str
) -> None:
    file = tmp_path / "documents.json"
    file.write_text(text)
    result = cli.ok("put", str(file), "-m", "two")
    assert "2 documents changed" in result.out
    assert {"Package/one", "Package/two"} <= set(cli.ok("ls").lines)


def test_documents_come_from_arguments_and_standard_input_too(cli: Cli, catalog: Database) -> None:
    committed = cli.ok("put", ONE, "-", "-m", "both", "--json", stdin=TWO).json()
    assert [result["id"] for result in committed["results"]] == ["Package/one", "Package/two"]
    assert committed["commit"]["id"] == catalog.branches["main"]


def test_no_digit_of_a_number_is_lost_on_the_way_in_and_out(cli: Cli, catalog: Database) -> None:
    body = '{"@id":"Package/pi","@type":"Package","n":3.14159265358979323846264338327950288,"m":1e400}'
    cli.ok("put", body)
    assert cli.ok("get", "Package/pi", "--json").out == body + "\n"
    assert "3.14159265358979323846264338327950288" in cli.ok("get", "Package/pi").out
    assert '"n":3.14159265358979323846264338327950288' in cli.ok("ls", "-l", "--json").out


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("[1]", "standard input:1:2: expected a JSON object"),
        ('[{"a":1},\n]', "standard input:2:1: a comma with nothing behind it"),
        ('[{"a":1}\n {}]', "standard input:2:2: expected ',' or ']'"),
        ('{"a":1', "standard input:1:7: Expecting"),
        ('[{"a":1},', "standard input:1:10: it ends too early"),
        ("", "no documents in -"),
    ],
)
def test_what_is_no_document_is_named_with_its_place(cli: Cli, catalog: Database, text: str, where: str) -> None:
    result = cli("put", "-", stdin=text)
    assert result.code == 2
    assert where in result.err


def test_a_missing_file_is_told_in_a_line(cli: Cli, catalog: Database) -> None:
    result = cli("put", "nowhere.json")
    assert (result.code, result.out) == (2, "")
    assert result.err.splitlines()[0] == "error: cannot read nowhere.json: No such file or directory"


def test_more_documents_than_a_commit_holds_are_refused_before_they_are_sent(
    cli: Cli, catalog: Database, store: Store
) -> None:
    text = "\n".join(json.dumps({"@type": "Package", "name": str(number)}) for number in range(10_001))
    result = cli("put", "-", stdin=text)
    assert result.code == 2
    assert "10,001 documents are more than one commit holds (10,000)" in result.err
    assert not store.requests


def test_a_dry_run_commits_nothing(cli: Cli, catalog: Database) -> None:
    head = catalog.branches["main"]
    assert cli.ok("put", ONE, "--dry-run").lines[1] == " 1 document would change"
    assert catalog.branches["main"] == head


def test_a_violation_names_the_document_it_concerns(cli: Cli, catalog: Database) -> None:
    result = cli("put", ONE, '{"@type":"Package","name":"a name that is much too long"}')
    assert result.code == 3
    assert "error: 1 document does not fit its class (SCHEMA_VIOLATION)" in result.err
    assert "  operations[1].put.body.name: is longer than 20 [document 2: a name that is much too long]" in result.err


def test_documents_are_read_at_any_ref(cli: Cli, catalog: Database) -> None:
    assert json.loads(cli.ok("get", "Package/numpy").out)["version"] == "1.1"
    assert cli.ok("get", "Package/numpy", "--ref", "main~1", "--json").json()["version"] == "1.0"
    assert cli.ok("-r", "feature", "get", "Package/numpy", "--json").json()["version"] == "2.0"
    assert cli.ok("get", "Package/numpy", "-b", "feature", "--json").json()["version"] == "2.0"


def test_several_documents_come_in_order_and_missing_ones_are_named(cli: Cli, catalog: Database) -> None:
    result = cli("get", "Package/requests", "Package/nothing", "Package/numpy", "--json")
    assert result.code == 3
    assert [json.loads(line)["name"] for line in result.lines] == ["requests", "numpy"]
    assert result.error()["message"] == "1 of 3 documents do not exist: Package/nothing"


def test_listing_goes_through_all_pages_and_stops_at_the_limit(cli: Cli, catalog: Database) -> None:
    cli.ok("put", "-", stdin="\n".join(json.dumps({"@type": "Thing", "name": f"{n:04}"}) for n in range(1_500)))
    assert len(cli.ok("ls").lines) == 1_502
    assert cli.ok("ls", "Thing", "--limit", "2").lines == ["Thing/0000", "Thing/0001"]
    first = cli.ok("ls", "Thing", "-n", "1", "--long", "--json").json()
    assert first["id"] == "Thing/0000"
    assert first["commit"] == catalog.branches["main"]
    assert first["body"]["name"] == "0000"


def test_a_listing_as_json_can_be_put_again(cli: Cli, catalog: Database) -> None:
    cli.ok("branch", "copy", "main~2")
    cli.ok("put", "-", "-b", "copy", stdin=cli.ok("ls", "--json").out)
    assert cli.ok("diff", "main..copy").lines == ["0 documents differ"]


def test_several_operations_are_one_commit(cli: Cli, catalog: Database, store: Store, tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text('[{"@id":"Package","@type":"Class"}]')
    head = catalog.branches["main"]
    arguments = ["--insert", ONE, "--put", TWO, "--update", 'Package/numpy={"version":"3.0"}']
    arguments += ["--delete", "Package/requests", "--schema", str(schema), "--author", "user:bob", "--meta", "why=test"]
    committed = cli.ok("commit", "-m", "several", *arguments, "--expect", head, "--json").json()["commit"]
    assert committed["parents"] == [head]
    assert committed["author"] == "user:bob"
    assert committed["metadata"] == {"why": "test"}
    assert cli.ok("ls").lines == ["Package/numpy", "Package/one", "Package/two"]
    (request,) = store.requests
    assert isinstance(request, CreateCommitRequest)
    assert request.expected_head == head


def test_a_stale_head_tells_what_to_do(cli: Cli, catalog: Database) -> None:
    result = cli("commit", "-m", "late", "--put", ONE, "--expect", "0" * 64)
    head = catalog.branches["main"]
    assert result.code == 3
    assert "(STALE_HEAD)" in result.err
    assert f"retry with --expect {head}" in result.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to commit"),
        (["--update", "Package/numpy"], "expected ID={JSON object}"),
        (["--update", "Package/numpy={1}"], "not JSON"),
        (["--put", ONE, "--meta", "nothing"], "expected KEY=VALUE"),
    ],
)
def test_operations_that_make_no_sense_are_refused_here(
    cli: Cli, catalog: Database, arguments: list[str], message: str
) -> None:
    result = cli("commit", "-m", "x", *arguments)
    assert result.code == 2
    assert message in result.err
