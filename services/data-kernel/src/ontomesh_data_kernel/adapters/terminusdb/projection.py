"""How the kernel's ontology and documents stand in TerminusDB: natively, under classes that only ever grow.

The kernel's own elements are documents (`Ontomesh_Element`) of the same branch, so that they change in one transaction
with the data. The server's schema follows before such a transaction and is a superset of every ontology of the branch:
each property may be absent, a List is an Array, and types that the server does not give back exactly are strings. What
a document may be is the kernel's to say.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import orjson

from ontomesh_data_kernel.domain.canonical import parse_body
from ontomesh_data_kernel.domain.limits import MAX_BODY_BYTES
from ontomesh_data_kernel.domain.ontology import SCHEMA_PREFIX, Ontology
from ontomesh_data_kernel.domain.ontology.model import Family, Property
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
        native[name] = {"@type": "Class", "@id": name, "@key": {"@type": "Random"}}
        if cls.parents:
            native[name]["@inherits"] = list(cls.parents)
        if cls.abstract:
            native[name]["@abstract"] = []
            del native[name]["@key"]
        for declared in cls.properties.values():
            native[name][declared.name] = _native_property(declared)
    for name in native:
        if name.startswith(RESERVED):
            field = f"ontology.schema.{name}"
            raise UnsupportedByStore.at(field, f"names that begin with {RESERVED} are this store's own")
    return native


def _native_property(declared: Property) -> dict[str, Any]:
    range_ = "xsd:string" if declared.range in _AS_STRING else declared.range
    native: dict[str, Any] = {"@type": _FAMILIES[declared.family], "@class": range_}
    if declared.family is Family.LIST:
        native["@dimensions"] = 1
    return native


def grown(native: Native, needed: Native) -> Native:
    """The classes and enums that must change in `native` to hold what is needed."""
    changed: Native = {}
    for name, element in needed.items():
        known = native.get(name)
        if known is None or known["@type"] != element["@type"]:
            changed[name] = element
            continue
        merged = known | element
        if element["@type"] == "Enum":
            merged["@value"] = list(dict.fromkeys([*known["@value"], *element["@value"]]))
        for mark in ("@inherits", "@abstract"):
            if mark in merged and mark not in element:
                del merged[mark]
        if merged != known:
            changed[name] = merged
    return changed


def retyped(native: Native, changed: Native) -> list[tuple[str, str]]:
    """The (class, property) pairs whose type is another than it was."""
    return [
        (name, property)
        for name, element in changed.items()
        for property, declared in element.items()
        if not property.startswith("@") and native.get(name, {}).get(property, declared) != declared
    ]


def read_schema(elements: list[Any]) -> Native:
    """The server's schema as it answers it, in the form of `native_schema`."""
    native: Native = {}
    for element in elements:
        if element.get("@type") in ("Class", "Enum"):
            inherits = element.get("@inherits")
            if isinstance(inherits, str):
                element["@inherits"] = [inherits]
            native[element["@id"]] = element
    return native


class Documents:
    """Turns the documents of one ontology into the server's and back."""

    def __init__(self, ontology: Ontology) -> None:
        self.ontology = ontology
        self._compiled = ontology.compile()
        properties = ontology.hierarchy.properties
        self._decimals = {name: _named(of, lambda one: one.range == "xsd:decimal") for name, of in properties.items()}
        self._times = {name: _named(of, lambda one: one.range == "xsd:dateTime") for name, of in properties.items()}
        self._lists = {name: _named(of, lambda one: one.family is Family.LIST) for name, of in properties.items()}

    def to_native(self, body: bytes) -> str:
        """A canonical body as JSON text for the server. Raises UnsupportedByStore for what it would not give back."""
        document = parse_body(body, limit=MAX_BODY_BYTES)
        cls = document["@type"]
        for name in self._decimals[cls]:
            if name in document:
                document[name] = _each(document[name], lambda value, name=name: _decimal(document, name, value))
        for name in self._times[cls]:
            if name in document:
                _each(document[name], lambda value, name=name: _with_offset(document, name, value))
        return orjson.dumps(document, default=_number).decode()

    def from_native(self, document: dict[str, Any]) -> tuple[bytes, str]:
        """The canonical body and the etag of a document that the server answered."""
        for name in self._lists.get(document["@type"], ()):
            document.setdefault(name, [])
        prepared = self._compiled.prepare(document, document_id=document["@id"], random_id=str)
        return prepared.body, prepared.etag


def count_values(body: bytes) -> int:
    """About how many values a canonical body has: what the server's time goes by."""
    return body.count(b",") + 1


def _named(properties: Mapping[str, Property], holds: Any) -> tuple[str, ...]:
    return tuple(name for name, declared in properties.items() if holds(declared))


def _each(value: Any, do: Any) -> Any:
    return [do(item) for item in value] if isinstance(value, list) else do(value)


def _number(value: object) -> object:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, int):
        return orjson.Fragment(str(value))
    raise TypeError(type(value))


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
