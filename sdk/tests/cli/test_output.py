import io
import json
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sdk.tests.cli.conftest import Cli
from sdk.tests.cli.memory import Database

from ontomesh.cli.output import Output, count, indented, local_time, visible

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON)
def test_indented_json_is_what_the_standard_library_writes(value: object) -> None:
    assert indented(json.dumps(value)) == json.dumps(value, indent=2)
    assert indented(json.dumps(value, indent=4)) == json.dumps(value, indent=2)


def test_control_characters_of_others_do_not_reach_the_terminal(cli: Cli, catalog: Database) -> None:
    cli.ok("put", '{"@type":"Package","name":"x","t":"\\u009b31m"}', "-m", "evil \x1b[2J\x9b31m\rmessage")
    for arguments in (["log"], ["log", "--oneline"], ["show"], ["ls", "-l"]):
        assert not {"\x1b", "\x9b", "\r"} & set(cli.ok(*arguments).out)
    assert visible("a\x1b[0m\n\tß") == "a\\x1b[0m\n\tß"


@pytest.mark.parametrize(
    ("environment", "terminal", "coloured"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"TERM": "dumb"}, True, False),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, True, False),
    ],
)
def test_colours_are_for_terminals_that_want_them(
    monkeypatch: pytest.MonkeyPatch, environment: Mapping[str, str], terminal: bool, coloured: bool
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: terminal)
    monkeypatch.setattr(sys, "stdout", stream)
    Output().line(("red", "red"), " and plain")
    assert ("\x1b[31m" in stream.getvalue()) is coloured
    assert "and plain" in stream.getvalue()


def test_a_difference_is_coloured_as_git_does(cli: Cli, catalog: Database) -> None:
    cli.patch.setenv("FORCE_COLOR", "1")
    cli.patch.setenv("TERM", "xterm-256color")
    cli.patch.delenv("NO_COLOR", raising=False)
    text = cli.ok("diff", "main..feature").out
    assert '\x1b[31m-   version: "1.1"\x1b[0m' in text
    assert '\x1b[32m+   version: "2.0"\x1b[0m' in text
    assert "Package/numpy" in cli.ok("get", "Package/numpy").out


def test_times_are_local_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "XYZ-05:30")
        time.tzset()
        shown = local_time(datetime(2026, 11, 20, 10, 0, tzinfo=UTC))
    time.tzset()
    assert shown == "2026-11-20 15:30:00 +0530"


def test_numbers_go_with_their_nouns() -> None:
    assert [count(1, "commit"), count(2_000, "commit"), count(0, "branch", "branches")] == [
        "1 commit",
        "2,000 commits",
        "0 branches",
    ]
