"""What the schema's fields mean: found by the executor in each field's `extensions`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLField

from ontomesh_data_kernel.domain.query.tree import Path

KEY = "meaning"

DEFAULT_FIRST = 50
DEFAULT_LINKS = 5
"""How many links of a list the cost of a request assumes where `first` does not say."""


@dataclass(frozen=True, slots=True)
class Own:
    """What a document is apart from its properties: `_id`, `_etag`, `_type` or `_json`."""

    name: str


@dataclass(frozen=True, slots=True)
class Values:
    """A property's values as they stand in the body; `out` as in `scalars.Kind`. `levels` says how deep lists nest."""

    property: str
    out: Callable[[Any], object] | None
    exact: bool
    levels: int


@dataclass(frozen=True, slots=True)
class Embedded:
    """A property that holds subdocuments of the class or its subclasses."""

    property: str
    cls: str
    levels: int


@dataclass(frozen=True, slots=True)
class Link:
    """A property that links to documents."""

    property: str
    levels: int


@dataclass(frozen=True, slots=True)
class Reverse:
    """The documents that link to this one by one property; `paths` are its `Class.property`, `path` leads over it."""

    paths: tuple[str, ...]
    path: Path
    classes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Referrers:
    """All links to this document."""


@dataclass(frozen=True, slots=True)
class Documents:
    """The documents of a class and its subclasses; at the root."""

    cls: str


@dataclass(frozen=True, slots=True)
class OneDocument:
    """A document by its id; at the root. `classes` are those that it can be, empty for any."""

    classes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a connection, of its page, or of a link: no work of its own."""

    name: str


Meaning = Own | Values | Embedded | Link | Reverse | Referrers | Documents | OneDocument | Part


def meaning_of(field: GraphQLField) -> Meaning | None:
    """What a field of the schema means; None of introspection's."""
    found: Meaning | None = field.extensions.get(KEY)
    return found


def meant(meaning: Meaning) -> Mapping[str, Meaning]:
    """The `extensions` of a field."""
    return {KEY: meaning}
