"""Log files of services: rotated by size when a service starts, and their last lines."""

import os
from pathlib import Path

MAX_BYTES = 5 * 1024 * 1024
KEPT = 3
_TAIL_BYTES = 64 * 1024


def open_log(path: Path, *, max_bytes: int = MAX_BYTES) -> int:
    """A descriptor to append to a log, readable by its owner only; a log that has grown large is set aside first."""
    if path.exists() and path.stat().st_size > max_bytes:
        for number in range(KEPT, 0, -1):
            older = path.with_name(f"{path.name}.{number - 1}") if number > 1 else path
            if older.exists():
                older.replace(path.with_name(f"{path.name}.{number}"))
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def tail(path: Path, since: int = 0, lines: int = 15) -> list[str]:
    """The last lines of what was written behind a position; none if there is no such file."""
    try:
        with path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            # A file that was set aside meanwhile begins anew.
            file.seek(max(since if since <= end else 0, end - _TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return []
    return text.splitlines()[-lines:]
