import os
import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from ontomesh_local import tour

# Some thirty commands, each a process of its own.
pytestmark = pytest.mark.timeout(300)

ONTOMESH = [sys.executable, "-m", "ontomesh.cli.main"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An empty home, temporary files in view, and a store of the user's own that a demo must not touch."""
    (tmp_path / "tmp").mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ONTOMESH_")}
    return kept | {
        "HOME": str(tmp_path / "home"),
        "TMPDIR": str(tmp_path / "tmp"),
        "ONTOMESH_STORE": f"sqlite:///{tmp_path / 'mine.db'}",
        "ONTOMESH_KERNEL_GRPC_PORT": "1",
        "ONTOMESH_DATABASE": "mine",
        "ONTOMESH_ADDRESS": "203.0.113.7:1",
    }


def test_the_demo_shows_every_step_and_leaves_nothing_behind(environment: dict[str, str], tmp_path: Path) -> None:
    done = subprocess.run(
        [*ONTOMESH, "demo"], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    steps = tour.steps()
    for number, step in enumerate(steps, 1):
        # Facts such as the number of documents are filled in.
        title = re.sub(r"\\\{\w+\\\}", ".+", re.escape(step.title))
        assert re.search(rf"^{number}/{len(steps)}  {title}$", done.stdout, re.MULTILINE), step.title
        command = re.sub(r"\\\{\w+\\\}", ".+", re.escape(step.command.partition("\n")[0]))
        assert re.search(rf"^\$ {command}$", done.stdout, re.MULTILINE), step.command
    assert f"{len(steps)} steps in " in done.stdout
    assert "\x1b" not in done.stdout
    assert not (tmp_path / "home").exists()
    assert not (tmp_path / "mine.db").exists()
    assert list((tmp_path / "tmp").iterdir()) == []


def test_an_interrupted_demo_ends_soon_and_leaves_nothing_behind(environment: dict[str, str], tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*ONTOMESH, "demo"], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        try:
            started = next(line for line in process.stdout if line.startswith("3/"))
            children = psutil.Process(process.pid).children(recursive=True)
            process.terminate()
            process.stdout.read()
            assert process.wait(30) == 130, started
        finally:
            process.kill()
    assert children
    assert [child for child in children if child.is_running()] == []
    assert list((tmp_path / "tmp").iterdir()) == []
