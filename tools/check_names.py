"""Refuses files that name a machine's own paths or the host of a package registry.

Either works on one machine and fails on the next: a checkout may lie anywhere, and packages
come from whatever index the machine is set up with.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Written so that no pattern matches this file.
FORBIDDEN = {
    "a machine path": re.compile(
        r"(?<![\w.$}/-])/(?:home|Users)/[a-z][\w.-]*/|(?<![\w.$}/-])/(?:root|work|workspace)/[\w.-]|[A-Z]:\\\\?[U]sers"
    ),
    "a registry host": re.compile(
        r"[p]ypi\.(?:org|io)|[p]ythonhosted\.|[f]iles\.python|[r]egistry\.(?:npmjs|yarnpkg)|[p]roxy\.golang|[c]rates\.io"
        r"|[r]epo1?\.maven|[d]eb\.debian|[a]rchive\.ubuntu|[b]uf\.build/"
    ),
}


def findings(path: Path, name: str) -> list[str]:
    """What is refused in one file, a line each; nothing for a file that is not text."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except UnicodeDecodeError:
        return []
    return [
        f"{name}:{number}: names {what}: {match.group()}"
        for number, line in enumerate(lines, 1)
        for what, pattern in FORBIDDEN.items()
        if (match := pattern.search(line))
    ]


def main() -> int:
    # Tracked files and those that a commit would add.
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    names = sorted(name for name in listing.stdout.decode().split("\0") if name)
    found = [line for name in names if (ROOT / name).is_file() for line in findings(ROOT / name, name)]
    print("\n".join(found) if found else f"no machine path or registry host in {len(names)} files")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
