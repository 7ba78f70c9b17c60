"""Checking documents against an ontology and bringing them into canonical form.

Every class is compiled once into one function per property; a document then costs one call per property.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ontomesh_data_kernel.domain.canonical import document_hash, encode, kind_of
from ontomesh_data_kernel.domain.limits import MAX_BODY_BYTES
from ontomesh_data_kernel.domain.ontology.checks import ABSENT, MAX_VIOLATIONS, Shape, Shapes
from ontomesh_data_kernel.domain.ontology.hierarchy import Hierarchy
from ontomesh_data_kernel.domain.ontology.hints import near
from ontomesh_data_kernel.domain.ontology.indexing import Indexer, Links, UniqueValue, Values, indexers, load
from ontomesh_data_kernel.domain.ontology.keys import IdMaker, id_fault, id_maker, is_document_id
from ontomesh_data_kernel.domain.ontology.types import Fault, shown
from ontomesh_data_kernel.errors import (
    InvalidDocumentId,
    KernelError,
    SchemaViolation,
    TooLarge,
    UnknownClass,
    Violation,
)

_RESERVED = frozenset(("@id", "@type"))


@dataclass(frozen=True, slots=True)
class Prepared:
    """A document ready to be stored; `links` are its (path, target id) pairs and `values` the (path, sort key) pairs of
    its indexed paths, each once.
    """

    id: str
    cls: str
    body: bytes
    hash: bytes
    links: Links
    values: Values = ()

    @property
    def etag(self) -> str:
        """The hash in hexadecimal."""
        return self.hash.hex()


@dataclass(frozen=True, slots=True)
class _Class:
    name: str
    prefix: str
    shape: Shape
    indexer: Indexer
    make_id: IdMaker | None


class Compiled:
    """An ontology's validator. Stateless between calls, so that threads may share it."""

    def __init__(self, hierarchy: Hierarchy) -> None:
        self._known = hierarchy.classes
        shapes = Shapes(hierarchy)
        self._classes = {
            name: _Class(
                name=name,
                prefix=f"{name}/",
                shape=shapes.of(name),
                indexer=indexer,
                make_id=id_maker(name, hierarchy.classes[name].effective_key),
            )
            for name, indexer in indexers(hierarchy).items()
        }

    def prepare(self, body: Mapping[str, object], *, document_id: str | None, random_id: Callable[[], str]) -> Prepared:
        """Check a document as read by `canonical.parse_body`, make its id, and bring it into canonical form.

        `document_id` is the id that it must have, if it is known beforehand. Absent are: nulls of properties that are
        not required, and empty Sets. The body itself is not changed. Violations' fields are relative to the document.

        Raises UnknownClass, SchemaViolation with up to MAX_VIOLATIONS faults, InvalidDocumentId, and TooLarge.
        """
        name = body.get("@type")
        cls = self._classes.get(name) if type(name) is str else None
        if cls is None:
            raise self._unknown(name)
        shape = cls.shape
        checks = shape.checks
        canonical: dict[str, object] = {"@type": name}
        try:
            for key, value in body.items():
                if key not in _RESERVED:
                    check = checks[key]
                    checked = ABSENT if value is None else check(value)
                    if checked is not ABSENT:
                        canonical[key] = checked
        except (Fault, KeyError):
            raise _violation(cls, body) from None
        if not shape.required <= canonical.keys() or (shape.groups and not shape.chooses(canonical)):
            raise _violation(cls, body)
        canonical["@id"] = identity = self._identify(cls, body, canonical, document_id, random_id)
        encoded = encode(canonical)
        if len(encoded) > MAX_BODY_BYTES:
            raise _too_large(len(encoded))
        links, values = cls.indexer.index(canonical)
        return Prepared(identity, cls.name, encoded, document_hash(encoded), links, values)

    def index(self, body: bytes) -> tuple[Links, Values]:
        """The links and values of a stored document, which fits its class; as `Prepared.links` and `Prepared.values`."""
        loaded = load(body)
        return self._classes[str(loaded["@type"])].indexer.index_stored(body, loaded)

    def unique(self, cls: str, body: bytes) -> list[UniqueValue]:
        """The values of a canonical body of the class that no other document may have."""
        known = self._classes.get(cls)
        return known.indexer.unique(body) if known is not None else []

    def has_unique(self, cls: str) -> bool:
        """Whether documents of the class have such values."""
        known = self._classes.get(cls)
        return known is not None and known.indexer.has_unique

    def _identify(
        self,
        cls: _Class,
        body: Mapping[str, object],
        canonical: Mapping[str, object],
        document_id: str | None,
        random_id: Callable[[], str],
    ) -> str:
        given = body.get("@id")
        if given is not None and type(given) is not str:
            raise InvalidDocumentId.at("@id", f"{kind_of(given)} where a string is due")
        if cls.make_id is not None:
            identity = cls.make_id(canonical)
            if given is not None and given != identity:
                description = f"is {shown(given)}, but the key of {cls.name} makes it {identity!r}"
                raise InvalidDocumentId.at("@id", description, given=given, generated=identity)
            given = identity
        expected = given if document_id is None else document_id
        if given is not None and given != expected:
            description = f"is {shown(given)} where {shown(expected)} is due; a document's id does not change"
            raise InvalidDocumentId.at("@id", description, given=given, expected=str(expected))
        identity = f"{cls.prefix}{random_id()}" if expected is None else expected
        if not identity.startswith(cls.prefix) or not is_document_id(identity):
            fault = id_fault(identity) or f"{shown(identity)} does not begin with its class, {cls.prefix!r}"
            raise InvalidDocumentId.at("@id", fault)
        return identity

    def _unknown(self, name: object) -> KernelError:
        if name is None:
            return UnknownClass.at("@type", "is required: the name of the document's class")
        if type(name) is not str:
            return UnknownClass.at("@type", f"{kind_of(name)} where the name of a class is due")
        if name in self._known and self._known[name].abstract:
            return UnknownClass.at("@type", f"{name} is abstract: a document is of one of its subclasses")
        if name in self._known:
            return UnknownClass.at("@type", f"{name} is a subdocument: it stands within a document, not by itself")
        return UnknownClass.at("@type", f"there is no class {shown(name)}{near(name, self._classes)}")


def _too_large(size: int) -> TooLarge:
    """What was sent may be smaller: an update adds to what is there, and a short exponent stands for many digits."""
    description = f"its canonical form has {size:,} bytes where at most {MAX_BODY_BYTES:,} are allowed"
    metadata = {"size": str(size), "limit": str(MAX_BODY_BYTES)}
    return TooLarge(f"the document is too large: {description}", (Violation("", description),), metadata)


def _violation(cls: _Class, body: Mapping[str, object]) -> SchemaViolation:
    """What is wrong with a document that does not fit."""
    violations = [Violation(path.removeprefix("."), text) for path, text in cls.shape.faults(body)]
    more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
    first = violations[0]
    message = f"the {cls.name} does not fit its class: {first.field}: {first.description}{more}"
    return SchemaViolation(message, violations[:MAX_VIOLATIONS])
