"""Runs mypy over each distribution and its tests, then over the tests that span them.

One run a group: every distribution has a package `tests`, and mypy knows only one of a name.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def groups() -> list[list[str]]:
    """The paths of each run of mypy, relative to the root."""
    distributions = sorted(path.parent.relative_to(ROOT) for path in ROOT.glob("*/pyproject.toml"))
    distributions += sorted(path.parent.relative_to(ROOT) for path in ROOT.glob("*/*/pyproject.toml"))
    wanted = [[f"{folder}/src", f"{folder}/tests"] for folder in distributions] + [["tests", "tools"]]
    present = [[path for path in group if any((ROOT / path).rglob("*.py"))] for group in wanted]
    return [group for group in present if group]


def main() -> int:
    failed = False
    for group in groups():
        print(f"mypy {' '.join(group)}", flush=True)
        failed |= (
            subprocess.run(
                [sys.executable, "-m", "mypy", "--no-error-summary", *group], cwd=ROOT, check=False
            ).returncode
            != 0
        )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
