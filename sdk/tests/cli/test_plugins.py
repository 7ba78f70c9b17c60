from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest
from sdk.tests.cli.conftest import Cli

CODE = '''
import typer

app = typer.Typer()

@app.command()
def one() -> None:
    """The first."""
    print("one")

@app.command()
def two() -> None:
    """The second."""

def greet(name: str) -> None:
    """Greets somebody."""
    print(f"hello {name}")

def fail() -> None:
    """Fails."""
    raise typer.Exit(7)

number = 7
'''
METADATA = "Metadata-Version: 2.1\nName: brought\nVersion: 1.0\n"
POINTS = """[ontomesh.cli]
many = brought_by_test:app
greet = brought_by_test:greet
fail = brought_by_test:fail
absent = brought_by_test:absent
number = brought_by_test:number
missing = brought_by_nobody:app
log = brought_by_test:greet
"""


@pytest.fixture
def plugged(alone: Cli, tmp_path: Path) -> Cli:
    """The command beside a distribution that brings commands, good ones and broken ones."""
    site = tmp_path / "site"
    folder = site / "brought-1.0.dist-info"
    folder.mkdir(parents=True)
    (site / "brought_by_test.py").write_text(CODE)
    (folder / "METADATA").write_text(METADATA)
    (folder / "entry_points.txt").write_text(POINTS)
    alone.patch.syspath_prepend(str(site))
    return alone


def test_functions_and_apps_join_under_their_names(plugged: Cli) -> None:
    assert plugged.ok("greet", "ana").out == "hello ana\n"
    assert plugged.ok("many", "one").out == "one\n"
    assert "The second." in plugged.ok("many", "--help").out
    assert plugged("fail").code == 7


def test_help_lists_what_works_and_warns_of_what_does_not(plugged: Cli) -> None:
    result = plugged.ok("--help")
    assert "  greet " in result.out
    assert "Greets somebody." in result.out
    assert "  absent" not in result.out
    for name in ("absent", "number", "missing", "log"):
        assert f"warning: the command `{name}` of brought 1.0 cannot be used: " in result.err


def test_a_broken_one_does_not_disturb_other_commands(plugged: Cli) -> None:
    assert plugged.ok("token", "show").err == ""
    result = plugged("missing")
    assert result.code == 2
    assert "No module named 'brought_by_nobody'" in result.err


def test_the_entry_points_of_this_environment_have_the_expected_form() -> None:
    assert all(isinstance(point, EntryPoint) for point in entry_points(group="ontomesh.cli"))
