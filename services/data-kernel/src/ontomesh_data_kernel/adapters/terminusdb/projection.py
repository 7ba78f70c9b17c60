"""How the kernel's ontology and documents stand in TerminusDB: natively, under classes that only ever grow.

The kernel's own elements are documents (`Ontomesh_Element`) of the same branch, so that they change in one transaction
with the data. The server's schema follows before such a transaction and is a superset of every ontology of the branch:
each property may be absent, no class is abstract, a List is an Array, and types that the server does not give back
exactly are strings. Subdocuments, Arrays and JSON values are strings of canonical JSON; beside them stand the links
that are in them, so that the server knows who links to whom. Links that may dangle are URIs, since the server refuses
those that do. What a document may be is the kernel's to say.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from ontomesh_data_kernel.domain.canonical import double_fragment, encode_exactly, parse_body, parse_value
from ontomesh_data_kernel.domain.limits import MAX_BODY_BYTES
from ontomesh_data_kernel.domain.ontology import SCHEMA_PREFIX, Ontology
from ontomesh_data_kernel.domain.ontology.model import JSON, UNIT, Family, Property
from ontomesh_data_kernel.domain.properties import split
from ontomesh_data_kernel.errors import UnsupportedByStore, Violation

RESERVED = "Ontomesh_"
HEAD, HEAD_ID = "Ontomesh_Head", "Ontomesh_Head/head"
ELEMENT = "Ontomesh_Element"

Native = dict[str, dict[str, Any]]
"""Classes and enums of the server's schema, by name."""

_STRING = {"@type": "Optional", "@class": "xsd:string"}
RESERVED_CLASSES: Native = {
    HEAD: {"@type": "Class", "@id": HEAD, "@key": {"@type": "Random"}, "commit": _STRING},
    ELEMENT: {"@type": "Class", "@id": ELEMENT, "@key": {"@type": "Random"}, "body": _STRING},
}

# Tried on 12.0.6: refused (base64Binary, hexBinary, gMonthDay), or given back with another value: times lose their
# fractions, durations their sign or length, the others their offset.
_AS_STRING = frozenset(
    f"xsd:{name}"
    for name in (
        "base64Binary",
        "hexBinary",
        "date",
        "time",
        "gYear",
        "gYearMonth",
        "gMonth",
        "gMonthDay",
        "gDay",
        "duration",
        "yearMonthDuration",
        "dayTimeDuration",
    )
)
_DOUBLES = frozenset(("xsd:double", "xsd:float"))
_MARK = "."
"""Comes before a number in a property's name on the server, and joins the paths of links within other values; the
kernel's names have none.
"""
LINKS = ".links"
"""Ends the name of what holds the links of an Array."""
DANGLING = "xsd:anyURI"
"""The type of links that may dangle, which the server refuses as links."""
KEYS = ".key"
"""Ends the name of what holds the sort keys of an indexed path, in hexadecimal."""

_FRACTION_DIGITS = 20
MAX_VALUES = 100_000
"""Values of all documents of a commit. The server takes a fifth of a millisecond for each, and does little else then."""

_OFFSET = re.compile(r"(?:Z|[+-]\d\d:\d\d)$")
_FAMILIES = {Family.REQUIRED: "Optional", Family.OPTIONAL: "Optional", Family.SET: "Set", Family.LIST: "Array"}


def native_id(id: str) -> str:
    """Where a document stands; elements of the ontology stand in a class of their own."""
    return f"{ELEMENT}/{id.removeprefix(SCHEMA_PREFIX)}" if id.startswith(SCHEMA_PREFIX) else id


def native_schema(ontology: Ontology) -> Native:
    """What the server's schema must hold for an ontology's documents. Raises UnsupportedByStore."""
    native: Native = {}
    for name, enum in ontology.enums.items():
        native[name] = {"@type": "Enum", "@id": name, "@value": list(enum.values)}
    for name, cls in ontology.classes.items():
        if cls.subdocument:
            continue
        native[name] = {"@type": "Class", "@id": name, "@key": {"@type": "Random"}}
        if cls.parents:
            native[name]["@inherits"] = sorted(cls.parents)
        own = {key: declared for group in (cls.properties, *cls.one_of) for key, declared in group.items()}
        properties = ontology.hierarchy.properties[name]
        own |= {key: properties[key] for key in ontology.hierarchy.dangling[name] & properties.keys()}
        for declared in own.values():
            native[name][declared.name] = _native_property(ontology, name, declared)
        native[name] |= _beside(ontology, name)
    for name in native:
        if name.startswith(RESERVED):
            field = f"ontology.schema.{name}"
            raise UnsupportedByStore.at(field, f"names that begin with {RESERVED} are this store's own")
    return native


def is_text(ontology: Ontology, declared: Property) -> bool:
    """Whether the property's value is a string of JSON on the server."""
    if declared.family is Family.ARRAY or declared.range in (JSON, UNIT):
        return True
    return ontology.hierarchy.is_embedded(declared)


def _inner_links(ontology: Ontology, cls: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """What holds the links within strings of JSON: by path, its name and how it is declared."""
    hierarchy = ontology.hierarchy
    inner = {path: (path, min(ranges)) for path, ranges in hierarchy.links.get(cls, {}).items()}
    for declared in hierarchy.properties[cls].values():
        if declared.family is Family.ARRAY and hierarchy.is_link(declared):
            inner[declared.name] = (declared.name + LINKS, declared.range)
    return {
        path: (name, {"@type": "Set", "@class": DANGLING if path in hierarchy.dangling[cls] else range_})
        for path, (name, range_) in inner.items()
    }


def _beside(ontology: Ontology, cls: str) -> dict[str, dict[str, Any]]:
    """What documents have beside their properties: the links within strings of JSON, and the keys of indexed paths."""
    keys = {path + KEYS: {"@type": "Set", "@class": "xsd:string"} for path in ontology.hierarchy.indexed[cls]}
    return keys | dict(_inner_links(ontology, cls).values())


def _native_property(ontology: Ontology, cls: str, declared: Property) -> dict[str, Any]:
    if is_text(ontology, declared):
        return dict(_STRING)
    dangles = declared.name in ontology.hierarchy.dangling[cls]
    range_ = DANGLING if dangles else "xsd:string" if declared.range in _AS_STRING else declared.range
    native: dict[str, Any] = {"@type": _FAMILIES[declared.family], "@class": range_}
    if declared.family is Family.LIST:
        native["@dimensions"] = 1
    return native


class Schema:
    """The server's schema at one commit: what it must gain for an ontology, and how an ontology's properties stand in it.

    A property whose type changes gets another name there (`price`, then `price.2`), since the server keeps a type while
    any document has a value of it; classes that inherit from one another share these names.
    """

    def __init__(self, native: Native) -> None:
        self.native = native
        self._names: dict[str, Names] = {}

    @classmethod
    def read(cls, elements: list[Any]) -> "Schema":
        """The schema as the server answers it."""
        native: Native = {}
        for element in elements:
            if element.get("@type") in ("Class", "Enum"):
                if (parents := element.get("@inherits")) is not None:
                    element["@inherits"] = [parents] if isinstance(parents, str) else sorted(parents)
                native[element["@id"]] = element
        return cls(native)

    def names(self, ontology: Ontology) -> "Names":
        """The properties of an ontology, which this schema holds, that have another name here, by class."""
        known = self._names.get(ontology.digest)
        if known is None:
            known = self._names[ontology.digest] = {}
            for cls, properties in ontology.hierarchy.properties.items():
                if ontology.classes[cls].subdocument:
                    continue
                declared = self.declared(cls)
                wanted = {name: _native_property(ontology, cls, one) for name, one in properties.items()}
                wanted |= _beside(ontology, cls)
                named = {name: _variant(declared, name, native) for name, native in wanted.items()}
                known[cls] = {name: native for name, native in named.items() if native != name}
        return known

    def variants(self, cls: str, name: str) -> list[str]:
        """All names that a property of a class, or the links at a path within one, ever had here."""
        return [one for one in self.declared(cls) if _base(one) in (name, name + LINKS)]

    def may_dangle(self, cls: str, name: str) -> bool:
        """Whether what has this name here holds ids as texts of `DANGLING`."""
        declared: Mapping[str, str] = self.declared(cls).get(name, {})
        return declared.get("@class") == DANGLING

    def gained(self, ontology: Ontology) -> Native:
        """The classes and enums that must change, as they become. Raises UnsupportedByStore."""
        if ontology.digest in self._names:
            return {}  # its names were asked for, so all of it is here
        needed = native_schema(ontology)
        families = _families([self.native, needed])
        grown = Schema(dict(self.native))
        for name in _parents_first(needed):
            grown.native[name] = self._grown(grown, name, needed[name], families.get(name, frozenset()))
        return {name: grown.native[name] for name in needed if grown.native[name] != self.native.get(name)}

    def _grown(self, grown: "Schema", name: str, needed: dict[str, Any], family: frozenset[str]) -> dict[str, Any]:
        known = self.native.get(name)
        if known is None or known["@type"] != needed["@type"]:
            known = {"@type": needed["@type"], "@id": name}
        if needed["@type"] == "Enum":
            return needed | {"@value": list(dict.fromkeys([*known.get("@value", ()), *needed["@value"]]))}
        merged = {key: value for key, value in needed.items() if key.startswith("@")}
        for parent in known.get("@inherits", ()):
            if parent not in needed.get("@inherits", ()):
                merged |= self.declared(parent)  # documents of the class may still have these
        merged |= {key: value for key, value in known.items() if not key.startswith("@")}
        inherited: dict[str, Any] = {}
        for parent in needed.get("@inherits", ()):
            inherited |= grown.declared(parent)
        for key, declared in needed.items():
            if key.startswith("@") or _variant(inherited | merged, key, declared):
                continue
            taken = [grown.native.get(one, {}) for one in family - {name}] + [merged]
            number = 1
            while any(one.get(_numbered(key, number), declared) != declared for one in taken):
                number += 1
            merged[_numbered(key, number)] = declared
        return merged

    def declared(self, cls: str) -> dict[str, Any]:
        """The properties that a class has here, inherited ones among them."""
        element = self.native.get(cls, {})
        declared: dict[str, Any] = {}
        for parent in element.get("@inherits", ()):
            declared |= self.declared(parent)
        return declared | {name: value for name, value in element.items() if not name.startswith("@")}


Names = dict[str, dict[str, str]]
"""{class: {property: its name on the server}}, of those alone that have another name there."""


def _numbered(name: str, number: int) -> str:
    return name if number == 1 else f"{name}{_MARK}{number}"


def _base(native: str) -> str:
    """The name of a property, or the path of links, without the number."""
    name, _, number = native.rpartition(_MARK)
    return name if number.isdigit() else native


def _variant(declared: Mapping[str, Any], name: str, wanted: Any) -> str:
    """The name under which a property is declared as wanted; empty if it is not."""
    if declared.get(name) == wanted:
        return name
    numbered = f"{name}{_MARK}"
    return next(
        (one for one, value in declared.items() if one.startswith(numbered) and _base(one) == name and value == wanted),
        "",
    )


def _families(schemas: list[Native]) -> dict[str, frozenset[str]]:
    """Each class with all that inheritance connects it to, either way."""
    linked: dict[str, set[str]] = {}
    for schema in schemas:
        for name, element in schema.items():
            for parent in element.get("@inherits", ()):
                linked.setdefault(name, set()).add(parent)
                linked.setdefault(parent, set()).add(name)
    families: dict[str, frozenset[str]] = {}
    for name in linked:
        if name not in families:
            found, frontier = {name}, [name]
            while frontier:
                fresh = linked[frontier.pop()] - found
                found |= fresh
                frontier += fresh
            families |= dict.fromkeys(found, frozenset(found))
    return families


def _parents_first(native: Native) -> list[str]:
    ordered: dict[str, None] = {}

    def visit(name: str) -> None:
        if name in native and name not in ordered:
            for parent in native[name].get("@inherits", ()):
                visit(parent)
            ordered[name] = None

    for name in native:
        visit(name)
    return list(ordered)


class Documents:
    """Turns the documents of one ontology into the server's and back."""

    def __init__(self, ontology: Ontology) -> None:
        self.ontology = ontology
        self._compiled = ontology.compile()
        kept = {
            cls: {name: one for name, one in of.items() if not is_text(ontology, one)}
            for cls, of in ontology.hierarchy.properties.items()
        }
        properties = kept
        self._decimals = {name: _named(of, lambda one: one.range == "xsd:decimal") for name, of in properties.items()}
        self._doubles = {name: _named(of, lambda one: one.range in _DOUBLES) for name, of in properties.items()}
        self._times = {name: _named(of, lambda one: one.range == "xsd:dateTime") for name, of in properties.items()}
        declared = ontology.hierarchy.properties
        self._lists = {name: _named(of, lambda one: one.family is Family.LIST) for name, of in declared.items()}
        self._texts = {name: tuple(of.keys() - kept[name].keys()) for name, of in declared.items()}
        self._links = {name: _inner_links(ontology, name) for name in declared}

    def to_native(self, body: bytes, names: Names) -> str:
        """A canonical body as JSON text for the server. Raises UnsupportedByStore for what it would not give back."""
        document = parse_body(body, limit=MAX_BODY_BYTES)
        cls = document["@type"]
        for name in self._decimals[cls]:
            if name in document:
                document[name] = _each(document[name], lambda value, name=name: _decimal(document, name, value))
        for name in self._doubles[cls]:
            if name in document:
                document[name] = _each(document[name], lambda value: double_fragment(float(value)))
        for name in self._times[cls]:
            if name in document:
                _each(document[name], lambda value, name=name: _with_offset(document, name, value))
        if self._texts[cls]:
            parts = split(body)
            document |= {name: parts[name].decode() for name in self._texts[cls] if name in parts}
        if self._links[cls] or self.ontology.hierarchy.indexed[cls]:
            document |= self._beside(cls, body)
        for name, native in names.get(cls, {}).items():
            if name in document:
                document[native] = document.pop(name)
        return encode_exactly(document).decode()

    def from_native(self, document: dict[str, Any]) -> tuple[bytes, str]:
        """The canonical body and the etag of a document that the server answered."""
        document = {base: value for name, value in document.items() if _MARK not in (base := _base(name))}
        for name in self._texts.get(document["@type"], ()):
            if name in document:
                document[name] = parse_value(document[name].encode(), limit=MAX_BODY_BYTES, field=name)
        for name in self._lists.get(document["@type"], ()):
            document.setdefault(name, [])
        prepared = self._compiled.prepare(document, document_id=document["@id"], random_id=str)
        return prepared.body, prepared.etag

    def _beside(self, cls: str, body: bytes) -> dict[str, list[str]]:
        """The links within strings of JSON and the keys of indexed values, by the names of what holds them."""
        links, values = self._compiled.index(body)
        found: dict[str, list[str]] = {}
        for path, key in values:
            found.setdefault(path + KEYS, []).append(key.hex())
        for path, target in links:
            if path in self._links[cls]:
                found.setdefault(self._links[cls][path][0], []).append(target)
        return found


def count_values(body: bytes) -> int:
    """About how many values a canonical body has: what the server's time goes by."""
    return body.count(b",") + 1


def _named(properties: Mapping[str, Property], holds: Any) -> tuple[str, ...]:
    return tuple(name for name, declared in properties.items() if holds(declared))


def _each(value: Any, do: Any) -> Any:
    return [do(item) for item in value] if isinstance(value, list) else do(value)


def _decimal(document: Mapping[str, Any], name: str, value: Decimal | int) -> str:
    text = format(value, "f") if isinstance(value, Decimal) else str(value)
    if len(text.partition(".")[2]) > _FRACTION_DIGITS:
        raise _unsupported(document, name, f"a decimal of more than {_FRACTION_DIGITS} digits after the point")
    return text


def _with_offset(document: Mapping[str, Any], name: str, value: str) -> None:
    if not _OFFSET.search(value):
        raise _unsupported(document, name, "a time without its offset from UTC")


def _unsupported(document: Mapping[str, Any], name: str, what: str) -> UnsupportedByStore:
    violation = Violation(f"{document['@id']}.{name}", f"TerminusDB does not keep {what}")
    return UnsupportedByStore(f"{violation.field}: {violation.description}", (violation,))
