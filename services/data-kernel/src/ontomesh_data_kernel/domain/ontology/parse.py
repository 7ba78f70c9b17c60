"""Reading one element of the schema language; whether elements fit together is `resolve`'s to say."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from ontomesh_data_kernel.domain.canonical import encode_exactly, kind_of, parse_values
from ontomesh_data_kernel.domain.ontology.hints import MAX_HINTS, near
from ontomesh_data_kernel.domain.ontology.model import (
    MAX_NAME,
    ClassDef,
    Context,
    Element,
    EnumDef,
    Family,
    Key,
    KeyKind,
    Notes,
    Property,
)
from ontomesh_data_kernel.domain.ontology.types import SCALARS
from ontomesh_data_kernel.errors import Violation

_NAME = re.compile(r"[^\W\d][\w-]*")
_UNSUPPORTED = ("@oneOf", "@subdocument", "@unfoldable")
_UNSUPPORTED_TYPES = ("TaggedUnion", "Foreign")
_UNSUPPORTED_FAMILIES = ("Array", "Table", "Cardinality", "OneOf")
_UNSUPPORTED_LIMITS = ("@cardinality", "@min_cardinality", "@max_cardinality", "@dimensions")
_NOTES = ("@documentation", "@metadata")
_CLASS_KEYS = frozenset(("@type", "@id", "@inherits", "@abstract", "@key", *_NOTES))
_ENUM_KEYS = frozenset(("@type", "@id", "@value", *_NOTES))
_CONTEXT_KEYS = frozenset(("@type", "@base", "@schema", *_NOTES))


def parse_schema_text(data: bytes, *, limit: int, field: str = "schema") -> list[Any]:
    """The elements of a schema text: a JSON array, or values one after another. Raises as `canonical.parse_body`."""
    values = parse_values(data, limit=limit, field=field)
    if len(values) == 1 and isinstance(values[0], list):
        return values[0]
    return values


def name_fault(name: object) -> str:
    """Say what is wrong with the name of a class, enum or property; empty if nothing is."""
    if type(name) is not str:
        return f"{kind_of(name)} where a name is due"
    if not _NAME.fullmatch(name) or len(name) > MAX_NAME:
        return f"{name[:40]!r} is no name: letters, digits, _ and -, beginning with a letter or _, at most {MAX_NAME}"
    return ""


class ElementParser:
    """Reads elements and collects what is wrong with them; `place` is where violations say the element stands."""

    def __init__(self) -> None:
        self.violations: list[Violation] = []

    def parse(self, value: object, place: str) -> Element | None:
        """The element, or None if it is too malformed to go on with."""
        if not isinstance(value, Mapping):
            self._refuse(place, f"{kind_of(value)} where an object is due")
            return None
        kind = value.get("@type")
        if kind in ("@context", "Context"):
            return self._context(value, place)
        if kind == "Class":
            return self._class(value, place)
        if kind == "Enum":
            return self._enum(value, place)
        if kind in _UNSUPPORTED_TYPES:
            self._refuse(f"{place}.@type", f"{kind} is not supported")
        else:
            self._refuse(f"{place}.@type", "is one of Class, Enum and @context")
        return None

    def _refuse(self, field: str, description: str) -> None:
        self.violations.append(Violation(field, description))

    def _hint(self, name: str, known: Collection[str]) -> str:
        return near(name, known, 1) if len(self.violations) < MAX_HINTS else ""

    def _context(self, value: Mapping[str, Any], place: str) -> Context | None:
        texts: dict[str, str] = {}
        for name in ("@base", "@schema"):
            text = value.get(name)
            if isinstance(text, str) and text:
                texts[name] = text
            else:
                self._refuse(f"{place}.{name}", "is required: the IRI that ids or names of the schema begin with")
        prefixes = {}
        for name, prefix in value.items():
            if name in _CONTEXT_KEYS:
                continue
            if name.startswith("@") or not isinstance(prefix, str):
                self._refuse(f"{place}.{name}", "a context holds @base, @schema, notes and prefixes (a name: an IRI)")
            else:
                prefixes[name] = prefix
        notes = self._notes(value, place)
        return Context(texts["@base"], texts["@schema"], prefixes, notes) if len(texts) == 2 else None

    def _enum(self, value: Mapping[str, Any], place: str) -> EnumDef | None:
        name = self._name(value, place)
        for key in value:
            if key not in _ENUM_KEYS:
                self._refuse(f"{place}.{key}", "is not part of an Enum")
        listed = value.get("@value")
        if not isinstance(listed, list) or not listed:
            self._refuse(f"{place}.@value", "is required: an array of one or more strings")
            return None
        seen: set[str] = set()
        for index, item in enumerate(listed):
            if not isinstance(item, str) or not item:
                self._refuse(f"{place}.@value[{index}]", "is a string that is not empty")
            elif item in seen:
                self._refuse(f"{place}.@value[{index}]", f"{item!r} is listed twice")
            else:
                seen.add(item)
        return EnumDef(name, tuple(listed), self._notes(value, place)) if name else None

    def _class(self, value: Mapping[str, Any], place: str) -> ClassDef | None:
        name = self._name(value, place)
        properties = {
            key: declared
            for key, declaration in value.items()
            if key not in _CLASS_KEYS and (declared := self._property(key, declaration, place))
        }
        abstract = value.get("@abstract")
        if "@abstract" in value and abstract != []:
            self._refuse(f"{place}.@abstract", "is [] or absent")
        parents = tuple(self._parents(value, place))
        key = self._key(value["@key"], f"{place}.@key") if "@key" in value else None
        notes = self._notes(value, place)
        return ClassDef(name, parents, "@abstract" in value, key, properties, notes) if name else None

    def _name(self, value: Mapping[str, Any], place: str) -> str:
        if "@id" not in value:
            self._refuse(f"{place}.@id", "is required: the element's name")
            return ""
        if fault := name_fault(value["@id"]):
            self._refuse(f"{place}.@id", fault)
            return ""
        return str(value["@id"])

    def _notes(self, value: Mapping[str, Any], place: str) -> Notes:
        documentation, metadata = value.get("@documentation"), value.get("@metadata")
        if documentation is not None and not isinstance(documentation, str | dict | list):
            self._refuse(f"{place}.@documentation", "is a string, an object, or an array of objects by language")
        if metadata is not None and not isinstance(metadata, dict):
            self._refuse(f"{place}.@metadata", f"{kind_of(metadata)} where an object is due")
            metadata = None
        for name, note in (("@documentation", documentation), ("@metadata", metadata)):
            try:
                encode_exactly(note)
            except ValueError as error:
                self._refuse(f"{place}.{name}", f"a number in it {error}")
        return Notes(documentation, metadata)

    def _parents(self, value: Mapping[str, Any], place: str) -> Iterator[str]:
        inherits = value.get("@inherits", [])
        listed = isinstance(inherits, list)
        # The order and repetition of parents mean nothing, so that they must not make two ontologies differ.
        good = set()
        for index, parent in enumerate(inherits if listed else [inherits]):
            if fault := name_fault(parent):
                self._refuse(f"{place}.@inherits[{index}]" if listed else f"{place}.@inherits", fault)
            else:
                good.add(parent)
        yield from sorted(good)

    def _key(self, value: object, place: str) -> Key:
        if not isinstance(value, Mapping):
            self._refuse(place, f"{kind_of(value)} where an object is due")
            return Key()
        kinds = {kind.value: kind for kind in KeyKind}
        named = value.get("@type")
        kind = kinds.get(named) if isinstance(named, str) else None
        if kind is None:
            self._refuse(f"{place}.@type", f"is one of {', '.join(kinds)}")
            return Key()
        for name in value:
            if name not in ("@type", "@fields"):
                self._refuse(f"{place}.{name}", "is not part of a @key")
        fields = value.get("@fields", [])
        if not isinstance(fields, list) or not all(isinstance(name, str) for name in fields):
            self._refuse(f"{place}.@fields", "is an array of names of properties")
            return Key()
        keyed = kind in (KeyKind.LEXICAL, KeyKind.HASH)
        if keyed and not fields:
            self._refuse(f"{place}.@fields", f"is required with {kind.value}: the properties that make the id")
        elif fields and not keyed:
            self._refuse(f"{place}.@fields", f"does not go with {kind.value}")
        elif len(set(fields)) != len(fields):
            self._refuse(f"{place}.@fields", "names a property twice")
        return Key(kind, tuple(fields))

    def _property(self, name: str, value: object, place: str) -> Property | None:
        path = f"{place}.{name}"
        if name in _UNSUPPORTED:
            self._refuse(path, f"{name} is not supported")
            return None
        if name.startswith("@"):
            self._refuse(path, f"is not part of a Class{self._hint(name, _CLASS_KEYS)}")
            return None
        if fault := name_fault(name):
            self._refuse(path, fault)
            return None
        if isinstance(value, str):
            return self._ranged(name, Family.REQUIRED, value, path)
        if not isinstance(value, Mapping):
            self._refuse(path, f"{kind_of(value)} where a type or {{@type, @class}} is due")
            return None
        return self._family(name, value, path)

    def _family(self, name: str, value: Mapping[str, Any], path: str) -> Property | None:
        families = {family.value: family for family in Family if family is not Family.REQUIRED}
        named = value.get("@type")
        family = families.get(named) if isinstance(named, str) else None
        if family is None:
            known = f"is one of {', '.join(families)}"
            self._refuse(f"{path}.@type", f"{named} is not supported" if named in _UNSUPPORTED_FAMILIES else known)
            return None
        for key in value:
            if key in _UNSUPPORTED_LIMITS:
                self._refuse(f"{path}.{key}", f"{key} is not supported")
            elif key not in ("@type", "@class"):
                self._refuse(f"{path}.{key}", f"is not part of {named}")
        range_ = value.get("@class")
        if isinstance(range_, Mapping):
            self._refuse(f"{path}.@class", "a type within a type (nested families, @subdocument) is not supported")
            return None
        if not isinstance(range_, str):
            self._refuse(f"{path}.@class", "is required: the name of a type, class or enum")
            return None
        return self._ranged(name, family, range_, f"{path}.@class")

    def _ranged(self, name: str, family: Family, range_: str, path: str) -> Property | None:
        if range_.startswith("sys:"):
            self._refuse(path, f"{range_} is not supported")
            return None
        if ":" in range_ and range_ not in SCALARS:
            self._refuse(path, f"there is no type {range_!r}{self._hint(range_, SCALARS)}")
            return None
        return Property(name, family, range_)


def elements_at(values: Sequence[object], field: str = "schema") -> Iterator[tuple[str, object]]:
    """Each element with its place: `schema[2]`."""
    for index, value in enumerate(values):
        yield f"{field}[{index}]", value
