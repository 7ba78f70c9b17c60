"""The ontology of one commit."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from hashlib import blake2b

import orjson

from ontomesh_data_kernel.domain.canonical import document_hash, encode_exactly, parse_body
from ontomesh_data_kernel.domain.ontology.hierarchy import Hierarchy
from ontomesh_data_kernel.domain.ontology.json_schema import class_schema
from ontomesh_data_kernel.domain.ontology.model import (
    ClassDef,
    Context,
    Element,
    EnumDef,
    Family,
    element_id,
    element_json,
)
from ontomesh_data_kernel.domain.ontology.parse import ElementParser, elements_at
from ontomesh_data_kernel.domain.ontology.resolve import Resolver
from ontomesh_data_kernel.domain.ontology.validate import Compiled
from ontomesh_data_kernel.errors import InvalidSchema, TooLarge, Violation

MAX_SCHEMA_BYTES = 1024 * 1024
MAX_VIOLATIONS = 100


class Ontology:
    """Classes and enums that fit together, immutable. Ontologies with the same elements are equal."""

    def __init__(self, hierarchy: Hierarchy, context: Context | None) -> None:
        self.hierarchy = hierarchy
        self.context = context
        self._paths: dict[tuple[str, bool], tuple[tuple[str, str], ...]] = {}
        self._class_schemas: dict[str, bytes] = {}

    @classmethod
    def of(cls, elements: Iterable[tuple[str, Element]]) -> "Ontology":
        """Fit elements together, each with its place in the request. Raises InvalidSchema."""
        classes: dict[str, ClassDef] = {}
        enums: dict[str, EnumDef] = {}
        context: Context | None = None
        places: dict[str, str] = {}
        repeated: list[Violation] = []
        for place, element in elements:
            name = "@context" if isinstance(element, Context) else element.name
            if name in places:
                field = place if name == "@context" else f"{place}.@id"
                repeated.append(Violation(field, f"{name} is declared twice, first in {places[name]}"))
                continue
            places[name] = place
            if isinstance(element, Context):
                context = element
            elif isinstance(element, EnumDef):
                enums[element.name] = element
            else:
                classes[element.name] = element
        resolver = Resolver(classes, enums, places)
        hierarchy = resolver.resolve()
        refuse(repeated + resolver.violations)
        return cls(hierarchy, context)

    @classmethod
    def from_documents(cls, documents: Mapping[str, bytes]) -> "Ontology":
        """The ontology whose `element_bodies` these are, by id. Raises InvalidSchema with ids as fields."""
        parser = ElementParser(is_stored=True)
        elements = []
        for id, body in documents.items():
            element = parser.parse(parse_body(body, limit=MAX_SCHEMA_BYTES, field=id), id)
            if element is not None and element_id(element) != id:
                parser.violations.append(Violation(f"{id}.@id", "a schema element's name does not change"))
            elif element is not None:
                elements.append((id, element))
        refuse(parser.violations)
        return cls.of(elements)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ontology) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    @property
    def classes(self) -> Mapping[str, ClassDef]:
        """The classes as declared, by name."""
        return self.hierarchy.classes

    @property
    def enums(self) -> Mapping[str, EnumDef]:
        """The enums by name."""
        return self.hierarchy.enums

    @property
    def elements(self) -> tuple[Element, ...]:
        """The context if there is one, then classes and enums by name."""
        named: dict[str, Element] = {**self.classes, **self.enums}
        context = () if self.context is None else (self.context,)
        return (*context, *(named[name] for name in sorted(named)))

    @cached_property
    def _bodies(self) -> dict[str, bytes]:
        return {element_id(element): encode_exactly(element_json(element)) for element in self.elements}

    def element_bodies(self) -> dict[str, bytes]:
        """The canonical body of each element by the id of its reserved document, `@schema/<name>`."""
        return dict(self._bodies)

    @cached_property
    def digest(self) -> str:
        """blake2b-256, hexadecimal, over each element's id, a zero byte and its body's hash, in order of ids."""
        digest = blake2b(digest_size=32)
        for id in sorted(self._bodies):
            digest.update(id.encode() + b"\0" + document_hash(self._bodies[id]))
        return digest.hexdigest()

    def within_limit(self) -> "Ontology":
        """This ontology, if it is small enough to be read back. Raises TooLarge beyond MAX_SCHEMA_BYTES."""
        size = len(self.to_json())
        if size > MAX_SCHEMA_BYTES:
            raise TooLarge.of("the whole ontology in bytes", size, MAX_SCHEMA_BYTES, "schema")
        return self

    def to_json(self) -> bytes:
        """The schema as one JSON array: the context, then classes and enums by name."""
        return b"[" + b",".join(self._bodies.values()) + b"]"

    def class_schema(self, name: str) -> bytes:
        """A class that there is as JSON Schema; see `json_schema`."""
        if name not in self._class_schemas:
            self._class_schemas[name] = orjson.dumps(class_schema(self.hierarchy, name))
        return self._class_schemas[name]

    def subclasses(self, name: str) -> frozenset[str]:
        """The class and all that inherit from it; empty if there is no such class."""
        return self.hierarchy.subclasses.get(name, frozenset())

    def ancestors(self, name: str) -> frozenset[str]:
        """The class and all it inherits from; empty if there is no such class."""
        return self.hierarchy.ancestors.get(name, frozenset())

    def link_paths_to(self, name: str, *, with_dangling: bool = False) -> tuple[tuple[str, str], ...]:
        """The (concrete class, path) pairs that may hold a link to a document of the class, sorted; a path leads through
        subdocuments. Those that may dangle, and so do not hold their targets, are left out unless asked for.
        """
        key = (name, with_dangling)
        paths = self._paths.get(key, ())
        if name in self.classes and key not in self._paths:
            by_range, dangling = self._links_by_range, self.hierarchy.dangling
            pairs = {pair for ancestor in self.ancestors(name) for pair in by_range.get(ancestor, ())}
            kept = (pair for pair in pairs if with_dangling or pair[1] not in dangling[pair[0]])
            paths = self._paths[key] = tuple(sorted(kept))
        return paths

    @cached_property
    def _links_by_range(self) -> dict[str, list[tuple[str, str]]]:
        links: dict[str, list[tuple[str, str]]] = {}
        for holder, cls in self.classes.items():
            if cls.abstract or cls.subdocument:
                continue
            for name, declared in self.hierarchy.properties[holder].items():
                if self.hierarchy.is_link(declared):
                    links.setdefault(declared.range, []).append((holder, name))
            for path, ranges in self.hierarchy.links.get(holder, {}).items():
                for range_ in ranges:
                    links.setdefault(range_, []).append((holder, path))
        return links

    def is_set(self, cls: str, name: str) -> bool:
        """Whether the property of the class is a Set; False if there is no such class or property."""
        return name in self._sets.get(cls, ())

    def is_embedded(self, cls: str, name: str) -> bool:
        """Whether the property of the class holds one subdocument; False if there is no such class or property."""
        declared = self.hierarchy.properties.get(cls, {}).get(name)
        single = declared is not None and declared.family in (Family.REQUIRED, Family.OPTIONAL)
        return declared is not None and single and self.hierarchy.is_embedded(declared)

    @cached_property
    def _sets(self) -> dict[str, frozenset[str]]:
        return {
            cls: frozenset(name for name, declared in properties.items() if declared.family is Family.SET)
            for cls, properties in self.hierarchy.properties.items()
        }

    @cached_property
    def _compiled(self) -> Compiled:
        return Compiled(self.hierarchy)

    def compile(self) -> Compiled:
        """The validator of documents, made once."""
        return self._compiled


def parse_schema(elements: Sequence[object], field: str = "schema") -> Ontology:
    """The ontology that elements in the schema language declare, in any order. Raises InvalidSchema."""
    return Ontology.of(parse_elements(elements, field))


def parse_elements(elements: Sequence[object], field: str = "schema") -> list[tuple[str, Element]]:
    """Each element with its place, `schema[2]`. Raises InvalidSchema."""
    parser = ElementParser()
    parsed = [(place, parser.parse(value, place)) for place, value in elements_at(elements, field)]
    refuse(parser.violations)
    return [(place, element) for place, element in parsed if element is not None]


def refuse(violations: Sequence[Violation]) -> None:
    """Raise InvalidSchema if there are violations, with the first MAX_VIOLATIONS of them."""
    if violations:
        more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
        first = violations[0]
        raise InvalidSchema(
            f"the ontology is invalid: {first.field}: {first.description}{more}", violations[:MAX_VIOLATIONS]
        )


EMPTY = Ontology.of(())
"""The ontology of a branch that never had one."""
