"""Hints in messages about unknown names."""

from collections.abc import Collection
from difflib import get_close_matches

MAX_HINTS = 20
"""Faults of one schema that get a hint."""

_MAX_CANDIDATES = 1_000
_MAX_LENGTH = 200


def near(name: str, known: Collection[str], count: int = 3) -> str:
    """The end of a message about an unknown name: those known that come nearest, or nothing.

    Nothing also among very many names: comparing takes time that a bad request should not cost.
    """
    if len(known) > _MAX_CANDIDATES:
        return ""
    matches = get_close_matches(name[:_MAX_LENGTH], known, count)
    return f"; did you mean {' or '.join(matches)}?" if matches else ""
