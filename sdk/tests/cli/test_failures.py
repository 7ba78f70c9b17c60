import json

import pytest
from sdk.tests.cli.conftest import Cli, Home
from sdk.tests.cli.memory import Database
from sdk.tests.cli.servicers import TRACE

from ontomesh.cli.hints import hint_for
from ontomesh.kernel.v1.error_reason_pb2 import ErrorReason

SELF_EXPLAINING = {
    "UNSPECIFIED",
    "INVALID_REQUEST",
    "INVALID_PAGE_TOKEN",
    "INVALID_FILTER",
    "MALFORMED_BODY",
    "SCHEMA_VIOLATION",
    "INVALID_SCHEMA",
    "REQUEST_ID_REUSED",
}
"""Reasons whose message and violations say what to change."""


def test_a_refusal_is_told_in_a_few_lines_with_a_hint_and_the_trace(cli: Cli, catalog: Database) -> None:
    result = cli("log", "nowhere")
    assert (result.code, result.out) == (3, "")
    assert result.err.splitlines() == [
        "error: no branch 'nowhere' (BRANCH_NOT_FOUND)",
        "hint: `ontomesh branch` lists what exists, `ontomesh branch NAME` makes one",
        f"trace {TRACE}",
    ]


def test_a_refusal_as_json_is_one_object(cli: Cli, catalog: Database) -> None:
    error = cli("log", "nowhere", "--json").error()
    assert error["reason"] == "BRANCH_NOT_FOUND"
    assert error["code"] == "NOT_FOUND"
    assert error["metadata"]["branch"] == "nowhere"
    assert (error["trace_id"], error["exit_code"]) == (TRACE, 3)
    assert cli("--json", "put", '{"name":"x"}').error()["violations"][0]["field"] == "operations[0].put.body.@type"


def test_no_server_is_told_with_what_to_do(alone: Cli) -> None:
    result = alone("db", "ls", "--timeout", "5")
    assert (result.code, result.out) == (4, "")
    assert "127.0.0.1:1" in result.err
    assert "`make up`" in result.err
    assert "Traceback" not in result.err


def test_status_says_what_it_knows_when_there_is_no_server(alone: Cli) -> None:
    result = alone("status")
    assert result.code == 4
    assert result.lines[0].split() == ["address", "127.0.0.1:1"]
    assert alone("status", "--json").json()["healthy"] is False


def test_no_token_is_told_with_where_one_is_looked_for(cli: Cli, catalog: Database, home: Home) -> None:
    (home.path / "token").unlink()
    result = cli("ls")
    assert result.code == 3
    assert "(TOKEN_MISSING)" in result.err
    assert "ONTOMESH_TOKEN_FILE" in result.err


@pytest.mark.parametrize(
    "arguments",
    [["lgo"], ["log", "--nope"], ["get"], ["commit"], ["put", "{}", "--ref", "x"], ["ls", "--timeout", "0"]],
)
def test_usage_errors_are_short_and_exit_with_2(cli: Cli, catalog: Database, arguments: list[str]) -> None:
    result = cli(*arguments)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("error: ")
    assert len(result.err.splitlines()) <= 2
    assert "exit_code" in json.loads(cli(*arguments, "--json").err)["error"]


def test_a_ref_for_a_command_that_writes_is_refused(cli: Cli, catalog: Database) -> None:
    result = cli("--ref", "feature", "put", "{}")
    assert result.code == 2
    assert "use --branch, not --ref" in result.err


def test_alone_the_command_and_its_groups_show_their_help(alone: Cli) -> None:
    assert "Exit codes:" in alone.ok().out
    assert "create" in alone.ok("db").out
    assert alone.ok("--version").out.startswith("ontomesh ")


def test_every_command_has_an_example(alone: Cli) -> None:
    names = ["status", "put", "get", "ls", "commit", "branch", "log", "show", "diff", "merge", "verify"]
    commands = [[name] for name in names]
    commands += [["db", name] for name in ("create", "ls", "show", "delete")]
    commands += [["schema", name] for name in ("show", "apply")] + [["token", name] for name in ("create", "show")]
    for command in commands:
        text = alone.ok(*command, "--help").out
        assert f"  ontomesh {' '.join(command)}" in text
        assert "--json" in text


def test_every_reason_has_a_hint_or_explains_itself() -> None:
    reasons = {name.removeprefix("ERROR_REASON_") for name in ErrorReason.keys()}  # noqa: SIM118 - an enum, no dict
    assert {reason for reason in reasons if not hint_for(reason, {})} == SELF_EXPLAINING


def test_a_missing_right_is_named() -> None:
    metadata = {"principal": "user:bob", "right": "write", "database": "catalog", "branch": "main"}
    assert "user:bob lacks `write` on catalog/main" in hint_for("PERMISSION_DENIED", metadata)
    assert "--right write:catalog/main" in hint_for("PERMISSION_DENIED", metadata)
