"""What only happens on a terminal: the pager, questions, and what TAB offers."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from sdk.tests.cli.conftest import Cli, run
from sdk.tests.cli.memory import Database

SHELLS = ("bash", "zsh", "fish")
LOUD = "tr a-z A-Z"


def on_terminal(*arguments: str, answer: bytes = b"", **environment: str) -> tuple[int, str]:
    """The command with a terminal as its input and output: its exit code and all that it shows."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "ontomesh.cli.main", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "NO_COLOR": "1", **environment},
    ) as process:
        os.close(theirs)
        os.write(ours, answer)
        shown = b""
        try:
            while part := os.read(ours, 65_536):
                shown += part
        except OSError:
            pass  # Linux says so when the last of the other side has closed it.
        code = process.wait(60)
    os.close(ours)
    return code, shown.decode()


@pytest.mark.parametrize(
    "arguments", [("log",), ("ls",), ("diff", "main", "feature"), ("query", "Package"), ("show",)], ids=" ".join
)
def test_long_output_goes_through_the_pager(cli: Cli, catalog: Database, arguments: tuple[str, ...]) -> None:
    code, shown = on_terminal(*arguments, PAGER=LOUD)
    assert (code, "NUMPY" in shown, "numpy" in shown) == (0, True, False)


def test_the_pager_can_be_turned_off(cli: Cli, catalog: Database) -> None:
    assert "numpy" in on_terminal("ls", "--no-pager", PAGER=LOUD)[1]
    assert "numpy" in on_terminal("--no-pager", "ls", PAGER=LOUD)[1]
    assert "numpy" in on_terminal("ls", PAGER="")[1]
    assert "numpy" in on_terminal("ls", PAGER="cat")[1]
    assert "numpy" in on_terminal("get", "Package/numpy", PAGER=LOUD)[1]


def test_a_pipe_has_no_pager(cli: Cli, catalog: Database) -> None:
    assert "Package/numpy" in run("ls", env={**os.environ, "PAGER": LOUD}).stdout


def test_a_pager_that_is_not_there_is_named_and_done_without(cli: Cli, catalog: Database) -> None:
    code, shown = on_terminal("ls", PAGER="no-such-pager -x")
    assert code == 0
    assert "PAGER names 'no-such-pager', which cannot be found" in shown
    assert "Package/numpy" in shown


def test_who_leaves_the_pager_has_seen_enough(cli: Cli, catalog: Database) -> None:
    catalog.commit(
        {f"Thing/{number:05}": b"{}" for number in range(20_000)}, parents=(catalog.branches["main"],), message="many"
    )
    code, shown = on_terminal("ls", PAGER="head -n 1")
    assert (code, shown.split()) == (0, ["Thing/00000"])


def test_colours_go_through_the_pager(cli: Cli, catalog: Database) -> None:
    _code, shown = on_terminal("log", "--oneline", PAGER="sed s/numpy/NUMPY/", NO_COLOR="")
    assert "NUMPY" in shown
    assert "\x1b[33m" in shown


def test_a_deletion_by_filter_asks_first(cli: Cli, catalog: Database) -> None:
    code, shown = on_terminal("rm", "--type", "Package", answer=b"n\n")
    assert (code, "Delete 2 documents on main?" in shown) == (2, True)
    assert len(cli.ok("ls").lines) == 2
    code, shown = on_terminal("rm", "--type", "Package", answer=b"y\n")
    assert (code, " 2 documents changed" in shown) == (0, True)
    assert cli.ok("ls").lines == []


def offered(shell: str, words: str) -> list[str]:
    """What TAB offers behind these words."""
    parts = words.split(" ")
    by_shell = {
        "bash": {"COMP_WORDS": words, "COMP_CWORD": str(len(parts) - 1)},
        "zsh": {"_TYPER_COMPLETE_ARGS": words},
        "fish": {"_TYPER_COMPLETE_ARGS": words, "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    }
    environment = {**os.environ, **by_shell[shell], "_ONTOMESH_COMPLETE": f"complete_{shell}"}
    # The command by its own name: the variable is named after it.
    command = Path(sys.executable).with_name("ontomesh")
    done = subprocess.run([command], env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    text = done.stdout.replace("_arguments '*: :((\"", " ").replace('"))', " ").replace('"', " ")
    return [word.partition(":")[0] for word in text.split()]


@pytest.mark.parametrize("shell", SHELLS)
def test_the_shell_offers_commands_classes_branches_and_ids(cli: Cli, catalog: Database, shell: str) -> None:
    cli.ok("commit", "-m", "schema", "--schema", '[{"@id":"Package","@type":"Class"},{"@id":"Place","@type":"Class"}]')
    assert {"query", "referrers", "walk", "rm"} <= set(offered(shell, "ontomesh "))
    assert "query" in offered(shell, "ontomesh qu")
    assert {"Package", "Place"} <= set(offered(shell, "ontomesh query Pa")) | set(offered(shell, "ontomesh query Pl"))
    assert "feature" in offered(shell, "ontomesh merge fe")
    assert "feature" in offered(shell, "ontomesh ls --branch f")
    assert "catalog" in offered(shell, "ontomesh ls --db c")
    assert "Package/numpy" in offered(shell, "ontomesh get Package/n")


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_for_each_shell_asks_the_command_itself(alone: Cli, shell: str) -> None:
    script = run("--show-completion", shell, env={**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"})
    assert script.returncode == 0, script.stderr
    assert "_ONTOMESH_COMPLETE=complete_" in script.stdout


def test_a_kernel_that_is_away_offers_nothing_and_says_nothing(alone: Cli) -> None:
    assert offered("bash", "ontomesh query P") == []
