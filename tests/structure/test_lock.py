import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
PIN = re.compile(r"^([a-z0-9-]+)==([^ ;]+)", re.MULTILINE)


def declared() -> Iterator[Requirement]:
    """Every third-party requirement that a pyproject.toml of this repository states."""
    projects = [_read(path) for path in sorted([*ROOT.glob("*/pyproject.toml"), *ROOT.glob("*/*/pyproject.toml")])]
    own = {project["project"]["name"] for project in projects}
    for project in projects:
        for line in project["project"]["dependencies"]:
            requirement = Requirement(line)
            if requirement.name not in own:
                yield requirement
    yield from map(Requirement, _read(ROOT / "pyproject.toml")["dependency-groups"]["dev"])


def test_the_lock_pins_a_fitting_version_of_every_declared_dependency() -> None:
    pins = {name: Version(version) for name, version in PIN.findall((ROOT / "requirements.lock").read_text("utf-8"))}
    requirements = list(declared())
    assert {requirement.name for requirement in requirements} >= {"grpcio", "fastapi", "orjson", "psutil", "mypy"}
    unfit = [str(each) for each in requirements if not each.specifier.contains(pins.get(_name(each), Version("0")))]
    assert unfit == [], "run `make lock`"


def _name(requirement: Requirement) -> str:
    return canonicalize_name(requirement.name)


def _read(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text("utf-8"))
