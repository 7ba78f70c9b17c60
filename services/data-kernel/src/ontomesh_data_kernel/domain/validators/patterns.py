"""Patterns of names in which `*` stands for any characters."""

_STANDING_FOR = tuple("\x01" * length for length in range(258))
"""What is tried in the place of a `*`: as many characters as other patterns can spell, and more."""


def fits(pattern: str, name: str) -> bool:
    """Whether the whole name fits; takes time in proportion to the name's length alone, however many stars."""
    first, *rest = pattern.split("*")
    if not rest:
        return name == pattern
    if not name.startswith(first):
        return False
    position = len(first)
    for part in rest[:-1]:
        found = name.find(part, position)
        if found < 0:
            return False
        position = found + len(part)
    return len(name) - position >= len(rest[-1]) and name.endswith(rest[-1])


def fits_any(patterns: tuple[str, ...], name: str) -> bool:
    """Whether one of the patterns fits; no patterns stand for all names."""
    return not patterns or any(fits(pattern, name) for pattern in patterns)


def samples(patterns: tuple[str, ...]) -> list[str]:
    """Names of which all have a property that is told by patterns if, and only if, all that fit these patterns have it;
    of several stars in one pattern each stands for as much as the others.
    """
    return [pattern.replace("*", stand_in) for pattern in patterns or ("*",) for stand_in in _STANDING_FOR]
