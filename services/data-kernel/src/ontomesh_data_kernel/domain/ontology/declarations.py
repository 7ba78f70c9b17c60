"""Reading what a class declares: its properties, groups of alternatives, and its key."""

from collections.abc import Mapping
from typing import Any

from ontomesh_data_kernel.domain.canonical import kind_of
from ontomesh_data_kernel.domain.ontology.model import JSON, UNIT, Family, Key, KeyKind, Property
from ontomesh_data_kernel.domain.ontology.names import name_fault
from ontomesh_data_kernel.domain.ontology.notes import Report
from ontomesh_data_kernel.domain.ontology.types import SCALARS

MAX_DIMENSIONS = 8
MAX_CARDINALITY = 1_000_000
"""Beyond what a document has room for."""

_FAMILIES = {family.value: family for family in Family if family is not Family.REQUIRED} | {"Cardinality": Family.SET}
_BOUNDS = ("@cardinality", "@min_cardinality", "@max_cardinality")
_KEYS = {
    "Optional": (),
    "List": (),
    "Set": _BOUNDS,
    "Cardinality": _BOUNDS,
    "Array": ("@dimensions",),
}
_REFUSED_FAMILIES = {
    "Table": "Table is not supported: declare the rows as a List of a subdocument",
    "OneOf": "OneOf is not supported as a family: declare the alternatives in the class's @oneOf",
}
_REFUSED_TYPES = {
    "sys:JSONDocument": "sys:JSONDocument is not supported: a document's id begins with its class, which such a document "
    f"has none of; keep the value in a property of type {JSON}",
}


def read_property(name: str, value: object, path: str, report: Report) -> Property | None:
    """One property as a class declares it; None if it is too malformed to go on with."""
    return _read(name, value, Family.REQUIRED, path, report)


def read_alternative(name: str, value: object, path: str, report: Report) -> Property | None:
    """One property of a group of which a document has exactly one."""
    declared = _read(name, value, Family.OPTIONAL, path, report)
    if declared is None:
        return None
    if declared.family is Family.LIST:
        report.refuse(path, "a List is always there, so that it is no alternative; use a Set or an Array")
        return None
    if declared.minimum:
        report.refuse(path, "an alternative has no minimum: a Set that holds nothing is one that was not chosen")
        return None
    return declared


def read_group(value: object, path: str, report: Report) -> dict[str, Property]:
    """The alternatives of one `@oneOf`."""
    if not isinstance(value, Mapping) or not value:
        report.refuse(path, "is an object of one or more alternatives, or an array of such objects")
        return {}
    return {
        name: one for name, part in value.items() if (one := read_alternative(name, part, f"{path}.{name}", report))
    }


def _read(name: str, value: object, single: Family, path: str, report: Report) -> Property | None:
    if fault := name_fault(name):
        report.refuse(path, fault)
        return None
    if isinstance(value, str):
        return Property(name, single, value) if _is_range(value, path, report) else None
    if not isinstance(value, Mapping):
        report.refuse(path, f"{kind_of(value)} where a type or {{@type, @class}} is due")
        return None
    return _family(name, value, path, report)


def _family(name: str, value: Mapping[str, Any], path: str, report: Report) -> Property | None:
    named = value.get("@type")
    family = _FAMILIES.get(named) if isinstance(named, str) else None
    if family is None or not isinstance(named, str):
        known = f"is one of {', '.join(_FAMILIES)}"
        report.refuse(f"{path}.@type", _REFUSED_FAMILIES.get(named, known) if isinstance(named, str) else known)
        return None
    keys = _KEYS[named]
    for key in value:
        if key not in ("@type", "@class", *keys):
            report.refuse(f"{path}.{key}", f"is not part of {named}{report.hint(key, keys)}")
    minimum, maximum = _bounds(value, path, report)
    if named == "Cardinality" and not any(key in value for key in _BOUNDS):
        report.refuse(f"{path}.@cardinality", f"is required with Cardinality, or one of {', '.join(_BOUNDS[1:])}")
    dimensions = value.get("@dimensions", 1)
    if "@dimensions" in keys and not (type(dimensions) is int and 1 <= dimensions <= MAX_DIMENSIONS):
        report.refuse(f"{path}.@dimensions", f"is an integer of 1 to {MAX_DIMENSIONS}")
        dimensions = 1
    range_ = value.get("@class")
    if isinstance(range_, Mapping):
        report.refuse(f"{path}.@class", "a type within a type is not supported: declare a class and name it here")
        return None
    if not isinstance(range_, str):
        report.refuse(f"{path}.@class", "is required: the name of a type, class or enum")
        return None
    if not _is_range(range_, f"{path}.@class", report):
        return None
    return Property(name, family, range_, minimum, maximum, dimensions if family is Family.ARRAY else 1)


def _bounds(value: Mapping[str, Any], path: str, report: Report) -> tuple[int, int | None]:
    """How few and how many values a Set holds."""
    found: dict[str, int] = {}
    for key in _BOUNDS:
        bound = value.get(key)
        if bound is None:
            continue
        low = 0 if key == "@min_cardinality" else 1
        if type(bound) is not int or not low <= bound <= MAX_CARDINALITY:
            report.refuse(f"{path}.{key}", f"is an integer of {low} to {MAX_CARDINALITY:,}")
        else:
            found[key] = bound
    if "@cardinality" in found:
        for key in _BOUNDS[1:]:
            if key in found:
                report.refuse(f"{path}.{key}", "does not go with @cardinality")
        return found["@cardinality"], found["@cardinality"]
    minimum, maximum = found.get("@min_cardinality", 0), found.get("@max_cardinality")
    if maximum is not None and maximum < minimum:
        report.refuse(f"{path}.@max_cardinality", f"{maximum} is less than @min_cardinality, {minimum}")
    return minimum, maximum


def _is_range(range_: str, path: str, report: Report) -> bool:
    if range_ in _REFUSED_TYPES:
        report.refuse(path, _REFUSED_TYPES[range_])
        return False
    known = [*SCALARS, JSON, UNIT]
    if ":" in range_ and range_ not in known:
        report.refuse(path, f"there is no type {range_!r}{report.hint(range_, known)}")
        return False
    return True


def read_key(value: object, place: str, report: Report) -> Key:
    """A class's `@key`."""
    if not isinstance(value, Mapping):
        report.refuse(place, f"{kind_of(value)} where an object is due")
        return Key()
    kinds = {kind.value: kind for kind in KeyKind}
    named = value.get("@type")
    kind = kinds.get(named) if isinstance(named, str) else None
    if kind is None:
        report.refuse(f"{place}.@type", f"is one of {', '.join(kinds)}")
        return Key()
    for name in value:
        if name not in ("@type", "@fields"):
            report.refuse(f"{place}.{name}", "is not part of a @key")
    fields = value.get("@fields", [])
    if not isinstance(fields, list) or not all(isinstance(name, str) for name in fields):
        report.refuse(f"{place}.@fields", "is an array of names of properties")
        return Key()
    keyed = kind in (KeyKind.LEXICAL, KeyKind.HASH)
    if keyed and not fields:
        report.refuse(f"{place}.@fields", f"is required with {kind.value}: the properties that make the id")
    elif fields and not keyed:
        report.refuse(f"{place}.@fields", f"does not go with {kind.value}")
    elif len(set(fields)) != len(fields):
        report.refuse(f"{place}.@fields", "names a property twice")
    return Key(kind, tuple(fields))
