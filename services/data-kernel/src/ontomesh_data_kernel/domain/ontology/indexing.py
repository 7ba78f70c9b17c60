"""What a store indexes of a document: its links, and the values of the paths that its class declares indexed."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import orjson

from ontomesh_data_kernel.domain.ontology.hierarchy import Hierarchy
from ontomesh_data_kernel.domain.ontology.model import MAX_HOPS, Family
from ontomesh_data_kernel.domain.query import sorting
from ontomesh_data_kernel.errors import SchemaViolation

Links = tuple[tuple[str, str], ...]
"""(path, target id) pairs, each once."""
Values = tuple[tuple[str, bytes], ...]
"""(path, sort key) pairs, each once."""

_EXACT = json.JSONDecoder(parse_float=Decimal)


@dataclass(frozen=True, slots=True)
class UniqueValue:
    """A value that only one document of the class `declarer` and its subclasses may have at the path."""

    declarer: str
    path: str
    key: bytes
    canonical: object

    @property
    def is_shortened(self) -> bool:
        """Whether the key may stand for other values as well."""
        return isinstance(self.canonical, str) and len(self.key) >= sorting.MAX_STRING_BYTES


@dataclass(frozen=True, slots=True)
class _Holder:
    """The properties of a class that hold links, and those that hold subdocuments with links in them."""

    links: tuple[str, ...]
    arrays: tuple[str, ...]
    embedded: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Path:
    text: str
    steps: tuple[str, ...]
    type: str


class Indexer:
    """Indexes the documents of one class; stateless between calls."""

    __slots__ = ("_holder", "_holders", "_is_exact", "_paths", "_unique")

    def __init__(self, hierarchy: Hierarchy, name: str, holders: Mapping[str, _Holder]) -> None:
        self._holders = holders
        self._holder = holders[name]
        indexed = hierarchy.indexed[name]
        self._paths = tuple(_Path(path, tuple(path.split(".")), indexed[path]) for path in sorted(indexed))
        self._unique = tuple(
            (path, hierarchy.unique[name][path.text]) for path in self._paths if path.text in hierarchy.unique[name]
        )
        self._is_exact = any(path.type in sorting.EXACT_TYPES for path in self._paths)

    @property
    def has_unique(self) -> bool:
        """Whether the class has unique paths."""
        return bool(self._unique)

    def index(self, canonical: Mapping[str, object]) -> tuple[Links, Values]:
        """Index a canonical document. Raises SchemaViolation for a link that stands too deep."""
        links: list[tuple[str, str]] = []
        holder = self._holder
        for name in holder.links:
            value = canonical.get(name)
            if type(value) is str:
                links.append((name, value))
            elif type(value) is list:
                links.extend([(name, target) for target in dict.fromkeys(value)])
        if holder.arrays or holder.embedded:
            links += [(name, str(target)) for name in holder.arrays for target in _values(canonical.get(name))]
            self._nested(holder, canonical, "", 1, links)
            links = list(dict.fromkeys(links))
        return tuple(links), self._indexed(canonical) if self._paths else ()

    def index_stored(self, body: bytes, loaded: Mapping[str, object]) -> tuple[Links, Values]:
        """Index a stored body, which `orjson` loaded: of long numbers it loses digits."""
        return self.index(_EXACT.decode(body.decode()) if self._is_exact else loaded)

    def unique(self, body: bytes) -> list[UniqueValue]:
        """The values of a canonical body that must be unique, each once."""
        if not self._unique:
            return []
        document = _EXACT.decode(body.decode())
        found = {}
        for path, declarer in self._unique:
            for value in reached(document, path.steps):
                one = UniqueValue(declarer, path.text, sorting.sort_key(path.type, value), value)
                found[path.text, one.key, value if type(value) is str else ""] = one
        return list(found.values())

    def _nested(
        self, holder: _Holder, value: Mapping[str, object], prefix: str, depth: int, links: list[tuple[str, str]]
    ) -> None:
        for name in holder.embedded:
            path = f"{prefix}{name}."
            for part in _values(value.get(name)):
                assert isinstance(part, dict)
                within = self._holders[part["@type"]]
                found = [
                    (path + link, str(target))
                    for link in (*within.links, *within.arrays)
                    for target in _values(part.get(link))
                ]
                if found and depth >= MAX_HOPS:
                    raise SchemaViolation.at(found[0][0], f"a link stands at most {MAX_HOPS} properties deep")
                links += found
                self._nested(within, part, path, depth + 1, links)

    def _indexed(self, canonical: Mapping[str, object]) -> Values:
        found: dict[tuple[str, bytes], None] = {}
        for path in self._paths:
            for value in reached(canonical, path.steps):
                found[path.text, sorting.sort_key(path.type, value)] = None
        return tuple(found)


def reached(value: object, steps: Sequence[str]) -> Iterator[object]:
    """The values that a path of property names reaches in a canonical document, through lists."""
    values: Iterable[object] = (value,)
    for step in steps:
        values = [part for outer in values if isinstance(outer, dict) for part in _values(outer.get(step))]
    yield from values


def _values(value: object) -> Iterator[object]:
    """The values that a property holds: none, one, or those of a list, or of lists of lists."""
    if type(value) is list:
        for part in value:
            yield from _values(part)
    elif value is not None:
        yield value


def indexers(hierarchy: Hierarchy) -> dict[str, Indexer]:
    """An indexer for each class that has documents."""
    holders = {name: _holder(hierarchy, name) for name, cls in hierarchy.classes.items() if not cls.abstract}
    return {name: Indexer(hierarchy, name, holders) for name in holders if not hierarchy.classes[name].subdocument}


def _holder(hierarchy: Hierarchy, name: str) -> _Holder:
    properties = sorted(hierarchy.properties[name].values(), key=lambda declared: declared.name)
    links = [declared for declared in properties if hierarchy.is_link(declared)]
    return _Holder(
        links=tuple(declared.name for declared in links if declared.family is not Family.ARRAY),
        arrays=tuple(declared.name for declared in links if declared.family is Family.ARRAY),
        embedded=tuple(d.name for d in properties if hierarchy.is_embedded(d) and d.range in hierarchy.holding),
    )


def load(body: bytes) -> dict[str, object]:
    """A stored body as `Indexer.index_stored` takes it."""
    loaded: dict[str, object] = orjson.loads(body)
    return loaded
