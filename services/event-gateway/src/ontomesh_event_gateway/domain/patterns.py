"""Patterns of texts, in which `*` stands for any characters and case counts."""

from collections.abc import Callable, Sequence

ANY = "*"


def compile_patterns(patterns: Sequence[str]) -> Callable[[str], bool]:
    """Tells of a text whether one of the patterns fits it: by a look into a set where no pattern has a `*`, and in a
    time that is linear in the text for each of the others.
    """
    exact = frozenset(pattern for pattern in patterns if ANY not in pattern)
    parted = [pattern.split(ANY) for pattern in patterns if ANY in pattern]
    if any(not any(parts) for parts in parted):
        return _everything
    prefixes = tuple(parts[0] for parts in parted if len(parts) == 2 and not parts[1])
    others = [parts for parts in parted if len(parts) > 2 or parts[-1]]
    if not parted:
        return exact.__contains__
    if not others:
        return lambda text: text.startswith(prefixes) or text in exact
    return lambda text: text in exact or text.startswith(prefixes) or any(_fits(parts, text) for parts in others)


def _everything(_text: str) -> bool:
    return True


def _fits(parts: Sequence[str], text: str) -> bool:
    """Whether a text holds the parts in order, the first at its beginning and the last at its end."""
    first, last = parts[0], parts[-1]
    if len(text) < len(first) + len(last) or not (text.startswith(first) and text.endswith(last)):
        return False
    at, end = len(first), len(text) - len(last)
    for part in parts[1:-1]:
        # The earliest place leaves the most for the parts behind it.
        at = text.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True
