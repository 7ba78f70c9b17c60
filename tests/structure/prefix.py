"""Installs distributions of this repository into empty prefixes, as somebody who downloads them would."""

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Prefix:
    """An environment that holds one distribution and what it requires, and nothing else, pip included."""

    path: Path

    @property
    def python(self) -> Path:
        """The prefix's interpreter."""
        return self.path / "bin" / "python"

    def run(self, *arguments: str, env: dict[str, str] | None = None) -> str:
        """What a program of the prefix prints; fails with its complaints if it does."""
        done = subprocess.run(
            [self.path / "bin" / arguments[0], *arguments[1:]],
            cwd=self.path,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{arguments} exited with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def evaluate(self, code: str) -> object:
        """The JSON that `code` prints in a fresh interpreter, untouched by the environment."""
        value: object = json.loads(self.run("python", "-I", "-c", code))
        return value


def distributions() -> dict[str, Path]:
    """The folder of each distribution of this repository, by name."""
    folders = sorted(path.parent for pattern in ("*", "*/*") for path in ROOT.glob(f"{pattern}/pyproject.toml"))
    return {_project(folder)["name"]: folder for folder in folders}


def closure(name: str) -> list[str]:
    """The distribution and those of this repository that it needs."""
    known = distributions()
    wanted = [name]
    for found in wanted:
        required = (line.partition("==")[0] for line in _project(known[found])["dependencies"])
        wanted += [needed for needed in required if needed in known and needed not in wanted]
    return wanted


def build_wheels(names: Iterable[str], target: Path) -> dict[str, Path]:
    """Builds a wheel of each distribution into `target`; the wheels by name."""
    known = distributions()
    folders = {name: known[name] for name in names}
    _pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", target, *folders.values())
    return {name: next(target.glob(f"{name.replace('-', '_')}-*.whl")) for name in folders}


def install(wheels: Sequence[Path], target: Path) -> Prefix:
    """An empty prefix with the wheels and what they require, at the versions of requirements.lock."""
    # Constraints carry no hashes, so only the versions of the lock are used here.
    pins = [line.removesuffix(" \\") for line in (ROOT / "requirements.lock").read_text("utf-8").splitlines()]
    constraints = target.with_suffix(".constraints")
    constraints.write_text("\n".join(pin for pin in pins if pin[:1].isalnum()), "utf-8")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", target], check=True)
    prefix = Prefix(target)
    _pip("--python", prefix.python, "install", "--only-binary=:all:", "--constraint", constraints, *wheels)
    return prefix


def _project(folder: Path) -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
    return project


def _pip(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"pip {arguments[0]} failed:\n{done.stdout}{done.stderr}"
