"""Where the values of a property stand on the server: under which names, and in which form."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any
from urllib.parse import quote

from ontomesh_data_kernel.adapters.terminusdb.projection import KEYS, LINKS, Schema, is_text
from ontomesh_data_kernel.domain.ontology import Ontology
from ontomesh_data_kernel.domain.ontology.model import Family
from ontomesh_data_kernel.domain.query.tree import Hop


class Kind(Enum):
    """How a property's values stand there."""

    PLAIN = "plain"
    """Each as it is."""
    CELLS = "cells"
    """As values of an array's cells."""
    TEXT = "text"
    """Within a string of JSON."""
    STALE = "stale"
    """As they were under an earlier type of the property."""


@dataclass(frozen=True, slots=True)
class Way:
    """A property on the server: its name, and what its values are there; `is_single` if there is at most one.

    `is_node` if they are documents or members of an enum.
    """

    name: str
    kind: Kind
    range: str = ""
    is_node: bool = False
    is_single: bool = False

    def member(self, value: str) -> str:
        """A value of the enum that the property's values are of."""
        return f"@schema:{self.range}/{quote(value, safe='')}"


class Ways:
    """The ways of one ontology's properties in the server's schema at a commit."""

    def __init__(self, ontology: Ontology, schema: Schema) -> None:
        self._ontology = ontology
        self._hierarchy = ontology.hierarchy
        self._schema = schema
        self._names = schema.names(ontology)

    def of(self, part: Sequence[Hop]) -> list[Way]:
        """All names under which documents have what hops within one document lead to."""
        path = ".".join(hop.name for hop in part)
        return list(dict.fromkeys(way for cls in part[0].classes for way in self._in_class(cls, path)))

    def keys(self, part: Sequence[Hop]) -> list[str]:
        """The names under which documents have the sort keys of an indexed path within them."""
        path = ".".join(hop.name for hop in part) + KEYS
        return sorted({self._names.get(cls, {}).get(path, path) for cls in part[0].classes})

    def _in_class(self, cls: str, path: str) -> list[Way]:
        hierarchy, top = self._hierarchy, path.partition(".")[0]
        declared = hierarchy.properties[cls][top]
        name = top
        if path in hierarchy.links.get(cls, {}):
            name = path
        elif top == path and declared.family is Family.ARRAY and hierarchy.is_link(declared):
            name = path + LINKS
        current = self._names.get(cls, {}).get(name, name)
        native: dict[str, Any] = self._schema.declared(cls)[current]
        stale = [Way(one, Kind.STALE) for one in self._schema.variants(cls, name) if one != current]
        if name == top and is_text(self._ontology, declared):
            is_single = top == path and declared.family in (Family.REQUIRED, Family.OPTIONAL)
            return [*stale, Way(current, Kind.TEXT, is_single=is_single)]
        return [*stale, _way(current, native)]


def _way(name: str, native: dict[str, Any]) -> Way:
    range_, family = native["@class"], native["@type"]
    kind = Kind.CELLS if family == "Array" else Kind.PLAIN
    return Way(name, kind, range_, not range_.startswith("xsd:"), family == "Optional")
