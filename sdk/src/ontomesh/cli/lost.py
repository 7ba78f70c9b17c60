"""What a change of an ontology takes away: classes, and properties by the paths that lead to them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

MAX_HOPS = 8
EVERY_CLASS = "*"
_NO_CLASSES: frozenset[str] = frozenset()

Element = Mapping[str, Any]


def lost(before: Sequence[Element], after: Sequence[Element]) -> tuple[list[str], list[str]]:
    """The classes that are gone by name, and the paths that no document of a class has any more.

    A path is `Class.property.within`, of a class that stays: neither its own documents nor those of its subclasses have
    it. `*.property` is one that no class has. A class by another name is gone.
    """
    old, new = _Classes(before), _Classes(after)
    paths = [
        f"{name}.{path}"
        for name in sorted(old.names & new.names)
        for path in _lost_paths(old, new, old.subclasses(name), new.subclasses(name))
    ]
    everywhere = _lost_paths(old, new, frozenset(old.documents), frozenset(new.documents))
    return sorted(old.names - new.names), [*paths, *(f"{EVERY_CLASS}.{path}" for path in everywhere)]


class _Classes:
    """An ontology's classes."""

    def __init__(self, elements: Iterable[Element]) -> None:
        self._by_name = {str(one["@id"]): one for one in elements if one.get("@type") in ("Class", "TaggedUnion")}
        self.names = self._by_name.keys()
        self.documents = [name for name, one in self._by_name.items() if "@subdocument" not in one]
        self._below: dict[str, set[str]] = {}
        for name in self._by_name:
            for ancestor in self._ancestors(name):
                self._below.setdefault(ancestor, set()).add(name)

    def subclasses(self, name: str) -> frozenset[str]:
        """The class and those that inherit from it."""
        return frozenset(self._below.get(name, ()))

    def embedded(self, ranges: Iterable[str]) -> frozenset[str]:
        """The classes of subdocuments among ranges, with those that inherit from them."""
        inner = [name for name in ranges if name in self._by_name and "@subdocument" in self._by_name[name]]
        return frozenset().union(*map(self.subclasses, inner))

    def properties(self, classes: Iterable[str]) -> dict[str, set[str]]:
        """The ranges of each property that one of the classes has, inherited ones included."""
        found: dict[str, set[str]] = {}
        for name in {above for one in classes for above in self._ancestors(one)}:
            for property_, range_ in _declared(self._by_name[name]):
                found.setdefault(property_, set()).add(range_)
        return found

    def _ancestors(self, name: str) -> set[str]:
        found: set[str] = set()
        frontier = [name]
        while frontier:
            current = frontier.pop()
            if current in self._by_name and current not in found:
                found.add(current)
                parents = self._by_name[current].get("@inherits", [])
                frontier += [parents] if isinstance(parents, str) else parents
        return found


def _lost_paths(
    old: _Classes,
    new: _Classes,
    before: frozenset[str],
    after: frozenset[str],
    seen: frozenset[tuple[frozenset[str], frozenset[str]]] = frozenset(),
) -> list[str]:
    """Paths of the old classes that the new ones do not have; of those that begin alike, the shortest."""
    if before == _NO_CLASSES or (before, after) in seen or len(seen) >= MAX_HOPS:
        return []
    had, has = old.properties(before), new.properties(after)
    found = []
    for name in sorted(had):
        if name not in has:
            found.append(name)
        else:
            inner = _lost_paths(old, new, old.embedded(had[name]), new.embedded(has[name]), seen | {(before, after)})
            found += [f"{name}.{path}" for path in inner]
    return found


def _declared(element: Element) -> Iterator[tuple[str, str]]:
    groups = element.get("@oneOf", [])
    for part in (element, *([groups] if isinstance(groups, Mapping) else groups)):
        for name, declared in part.items():
            if not name.startswith("@"):
                yield name, declared if isinstance(declared, str) else str(declared.get("@class", ""))
