import asyncio
import os
import re
from pathlib import Path

import psutil
import pytest

from ontomesh_local.screen import Screen
from ontomesh_local.steps import Facts, Shown, Step, Tour

PATH = {"PATH": os.environ["PATH"]}


def step(command: str, *, exit_code: int = 0, lines: int = 3, wanted: str = "") -> Step:
    return Step("Do {thing}.", command, lambda shown, _facts: shown.must_say(wanted), exit_code=exit_code, lines=lines)


def tour(folder: Path, **facts: object) -> Tour:
    return Tour(Screen(), folder, PATH, {"thing": "this", **facts})


async def run(folder: Path, *steps: Step, **facts: object) -> bool:
    return await tour(folder, **facts).run(steps)


async def test_a_step_shows_number_title_command_output_and_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run(tmp_path, step("echo a; echo b >&2; exit 3", exit_code=3))
    shown = capsys.readouterr().out
    expected = "\n1/1  Do this.\n$ echo a; echo b >&2; exit 3\n  a\n  b\n  (exit code 3, # s)\n"
    assert re.sub(r"\d+\.\d s", "# s", shown) == expected + "\n1 steps in # s, each as it should be.\n"


async def test_long_output_is_cut_and_says_by_how_much(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert await run(tmp_path, step("seq 1 2000"), step("seq 1 4"))
    shown = capsys.readouterr().out
    assert "  3\n  … 1,997 more lines\n" in shown
    assert "  3\n  4\n" in shown


async def test_each_line_of_a_command_has_a_prompt_unless_it_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run(tmp_path, step("echo \\\n  one\necho two"))
    assert "$ echo \\\n    one\n$ echo two\n  one\n  two\n" in capsys.readouterr().out


async def test_commands_hold_what_earlier_steps_learned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def learn(shown: Shown, facts: Facts) -> None:
        facts["word"] = shown.text.strip()

    assert await run(tmp_path, Step("Learn.", "echo lesson", learn), step("""echo '{word} {"a": 1}'"""))
    assert '$ echo \'lesson {"a": 1}\'\n  lesson {"a": 1}\n' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("failing", "expected", "got"),
    [
        (step("echo here", wanted="there"), "output with 'there'", "'here\\n'"),
        (step("echo no; exit 4"), "exit code 0", "4: 'no\\n'"),
    ],
)
async def test_the_first_step_that_fails_ends_the_tour_and_says_what_was_expected(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], failing: Step, expected: str, got: str
) -> None:
    assert not await run(tmp_path, step("true"), failing, step("touch reached"))
    shown = capsys.readouterr().err
    assert "error: step 2 (Do this.) did not show what it should\n" in shown
    assert f"  expected: {expected}\n  got:      {got}\n" in shown
    assert not (tmp_path / "reached").exists()


async def test_a_cancelled_tour_leaves_no_command_behind(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pid")
    running = asyncio.ensure_future(run(tmp_path, step("echo $$ > pid; exec sleep 600")))
    pid = int(await asyncio.to_thread((tmp_path / "pid").read_text))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not psutil.pid_exists(pid)
