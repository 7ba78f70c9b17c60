"""Checking documents against an ontology and bringing them into canonical form.

Every class is compiled once into one function per property; a document then costs one call per property.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import orjson

from ontomesh_data_kernel.domain.canonical import document_hash, encode, kind_of
from ontomesh_data_kernel.domain.limits import MAX_BODY_BYTES
from ontomesh_data_kernel.domain.ontology.hints import near
from ontomesh_data_kernel.domain.ontology.keys import IdMaker, id_fault, id_maker, is_document_id
from ontomesh_data_kernel.domain.ontology.model import MAX_NAME, Family, Property
from ontomesh_data_kernel.domain.ontology.resolve import Hierarchy
from ontomesh_data_kernel.domain.ontology.types import SCALARS, Check, Fault, shown, wrong
from ontomesh_data_kernel.errors import (
    InvalidDocumentId,
    KernelError,
    SchemaViolation,
    TooLarge,
    UnknownClass,
    Violation,
)

MAX_VIOLATIONS = 20

_ABSENT = object()
_RESERVED = frozenset(("@id", "@type"))


@dataclass(frozen=True, slots=True)
class Prepared:
    """A document ready to be stored; `links` are its (property, target id) pairs, each once."""

    id: str
    cls: str
    body: bytes
    hash: bytes
    links: tuple[tuple[str, str], ...]

    @property
    def etag(self) -> str:
        """The hash in hexadecimal."""
        return self.hash.hex()


@dataclass(frozen=True, slots=True)
class _Class:
    name: str
    prefix: str
    checks: Mapping[str, Check]
    required: frozenset[str]
    links: tuple[str, ...]
    make_id: IdMaker | None


class Compiled:
    """An ontology's validator. Stateless between calls, so that threads may share it."""

    def __init__(self, hierarchy: Hierarchy) -> None:
        self._known = hierarchy.classes
        compiler = _Compiler(hierarchy)
        self._classes = {name: compiler.compile(name) for name, cls in hierarchy.classes.items() if not cls.abstract}

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
        checks = cls.checks
        canonical: dict[str, object] = {"@type": name}
        try:
            for key, value in body.items():
                if key not in _RESERVED:
                    check = checks[key]
                    checked = _ABSENT if value is None else check(value)
                    if checked is not _ABSENT:
                        canonical[key] = checked
        except (Fault, KeyError):
            raise _violation(cls, body) from None
        if not cls.required <= canonical.keys():
            raise _violation(cls, body)
        canonical["@id"] = identity = self._identify(cls, body, canonical, document_id, random_id)
        encoded = encode(canonical)
        if len(encoded) > MAX_BODY_BYTES:
            raise _too_large(len(encoded))
        return Prepared(identity, cls.name, encoded, document_hash(encoded), _links(cls, canonical))

    def links(self, body: bytes) -> tuple[tuple[str, str], ...]:
        """The links of a stored document, which fits its class; as `Prepared.links`."""
        # Numbers may lose digits here; links are strings.
        canonical = orjson.loads(body)
        return _links(self._classes[canonical["@type"]], canonical)

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
        if name in self._known:
            return UnknownClass.at("@type", f"{name} is abstract: a document is of one of its subclasses")
        return UnknownClass.at("@type", f"there is no class {shown(name)}{near(name, self._classes)}")


def _too_large(size: int) -> TooLarge:
    """What was sent may be smaller: an update adds to what is there, and a short exponent stands for many digits."""
    description = f"its canonical form has {size:,} bytes where at most {MAX_BODY_BYTES:,} are allowed"
    metadata = {"size": str(size), "limit": str(MAX_BODY_BYTES)}
    return TooLarge(f"the document is too large: {description}", (Violation("", description),), metadata)


def _violation(cls: _Class, body: Mapping[str, object]) -> SchemaViolation:
    """Go over a document that does not fit once more, for all that is wrong with it."""
    violations: list[Violation] = []
    for name, value in body.items():
        check = cls.checks.get(name)
        if len(violations) >= MAX_VIOLATIONS:
            break
        if name in _RESERVED:
            continue
        if check is None:
            shortened = name if len(name) <= MAX_NAME else name[:MAX_NAME] + "..."
            violations.append(Violation(shortened, f"{cls.name} has no such property{near(name, cls.checks)}"))
        elif value is not None:
            try:
                check(value)
            except Fault as fault:
                violations.extend(Violation(name + path, description) for path, description in fault.faults)
        elif name in cls.required:
            violations.append(Violation(name, "is required and must not be null"))
    violations.extend(Violation(name, "is required") for name in sorted(cls.required - body.keys()))
    more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
    first = violations[0]
    message = f"the {cls.name} does not fit its class: {first.field}: {first.description}{more}"
    return SchemaViolation(message, violations[:MAX_VIOLATIONS])


def _links(cls: _Class, canonical: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    links: list[tuple[str, str]] = []
    for name in cls.links:
        value = canonical.get(name)
        if type(value) is str:
            links.append((name, value))
        elif type(value) is list:
            links.extend([(name, target) for target in dict.fromkeys(value)])
    return tuple(links)


class _Compiler:
    """Makes the checks of an ontology's properties; equal ranges share one."""

    def __init__(self, hierarchy: Hierarchy) -> None:
        self._hierarchy = hierarchy
        self._ranges: dict[str, Check] = {}
        self._checks: dict[tuple[Family, str], Check] = {}

    def compile(self, name: str) -> _Class:
        """One class, its inherited properties among the others."""
        properties = self._hierarchy.properties[name]
        return _Class(
            name=name,
            prefix=f"{name}/",
            checks={declared.name: self._check(declared) for declared in properties.values()},
            required=frozenset(declared.name for declared in properties.values() if declared.is_required),
            links=tuple(sorted(d.name for d in properties.values() if self._hierarchy.is_link(d))),
            make_id=id_maker(name, self._hierarchy.classes[name].effective_key),
        )

    def _check(self, declared: Property) -> Check:
        key = (declared.family, declared.range)
        check = self._checks.get(key)
        if check is None:
            element = self._range(declared.range)
            wrap = {Family.LIST: _list_of, Family.SET: _set_of}.get(declared.family)
            check = self._checks[key] = element if wrap is None else wrap(element)
        return check

    def _range(self, range_: str) -> Check:
        check = self._ranges.get(range_)
        if check is None:
            if range_ in self._hierarchy.classes:
                check = _link_to(range_, self._hierarchy.concrete(range_))
            elif range_ in self._hierarchy.enums:
                check = _one_of(range_, self._hierarchy.enums[range_].values)
            else:
                check = SCALARS[range_]
            self._ranges[range_] = check
        return check


def _link_to(range_: str, classes: frozenset[str]) -> Check:
    def check(value: object) -> object:
        if type(value) is dict:
            if len(value) != 1 or "@id" not in value:
                raise wrong(f"an object where a link is due: the id of a {range_}, or an object with @id alone")
            value = value["@id"]
        if type(value) is not str:
            raise wrong(f"{kind_of(value)} where a link is due: the id of a {range_}")
        if value.partition("/")[0] in classes and is_document_id(value):
            return value
        if fault := id_fault(value):
            raise wrong(f"{fault}, where the id of a {range_} is due")
        raise wrong(f"{shown(value)} is not the id of a {range_}")

    return check


def _one_of(name: str, values: tuple[str, ...]) -> Check:
    allowed = frozenset(values)

    def check(value: object) -> object:
        if type(value) is not str:
            raise wrong(f"{kind_of(value)} where a value of {name} is due")
        if value in allowed:
            return value
        raise wrong(f"{shown(value)} is not a value of {name}{near(value, values)}")

    return check


def _elements(element: Check, value: object) -> list[object]:
    if type(value) is not list:
        raise wrong(f"{kind_of(value)} where an array is due")
    try:
        return [element(item) for item in value]
    except Fault:
        raise _all_faults(element, value) from None


def _all_faults(element: Check, values: list[object]) -> Fault:
    faults: list[tuple[str, str]] = []
    for index, item in enumerate(values):
        try:
            element(item)
        except Fault as fault:
            faults.extend((f"[{index}]{path}", description) for path, description in fault.faults)
        if len(faults) >= MAX_VIOLATIONS:
            break
    return Fault(*faults)


def _list_of(element: Check) -> Check:
    def check(value: object) -> object:
        return _elements(element, value)

    return check


def _set_of(element: Check) -> Check:
    def check(value: object) -> object:
        items = _elements(element, value)
        if len(items) > 1:
            by_bytes = {encode(item): item for item in items}
            return [by_bytes[key] for key in sorted(by_bytes)]
        return items or _ABSENT

    return check
