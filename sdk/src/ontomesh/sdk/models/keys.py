"""How the ids of a class's documents come about."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Key:
    """A key of the schema language, over fields of the model where it has any."""

    kind: Literal["Lexical", "Hash", "ValueHash", "Random"]
    fields: tuple[str, ...] = ()


def lexical(*fields: str) -> Key:
    """Ids that spell out the values of these fields."""
    return _over("Lexical", fields)


def hashed(*fields: str) -> Key:
    """Ids that are a hash of the values of these fields."""
    return _over("Hash", fields)


def value_hash() -> Key:
    """Ids that are a hash of the whole document."""
    return Key("ValueHash")


def random_key() -> Key:
    """Ids that the kernel draws at random."""
    return Key("Random")


def _over(kind: Literal["Lexical", "Hash"], fields: tuple[str, ...]) -> Key:
    if not fields:
        raise TypeError(f"a {kind} key needs at least one field")
    return Key(kind, fields)
