"""The checks that an ontology's properties compile to, and what a document of a class must have."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from operator import length_hint

import orjson

from ontomesh_data_kernel.domain.canonical import encode, encode_exactly, kind_of
from ontomesh_data_kernel.domain.ontology.hierarchy import Hierarchy
from ontomesh_data_kernel.domain.ontology.hints import near
from ontomesh_data_kernel.domain.ontology.keys import id_fault, is_document_id
from ontomesh_data_kernel.domain.ontology.model import JSON, MAX_NAME, UNIT, Family, Property
from ontomesh_data_kernel.domain.ontology.types import SCALARS, Check, Fault, shown, wrong

MAX_VIOLATIONS = 20

ABSENT = object()
"""What a check answers for a value that stands for none: an empty Set."""

_RESERVED = frozenset(("@id", "@type"))
_NONE: Mapping[str, Fault] = {}


@dataclass(frozen=True, slots=True)
class Shape:
    """What a document or subdocument of one class is made of; it has exactly one property of each group."""

    name: str
    checks: Mapping[str, Check]
    required: frozenset[str]
    groups: tuple[frozenset[str], ...]

    def chooses(self, present: Collection[str]) -> bool:
        """Whether one property of each group is present."""
        return all(sum(name in present for name in group) == 1 for group in self.groups)

    def faults(self, body: Mapping[str, object], known: Mapping[str, Fault] = _NONE) -> list[tuple[str, str]]:
        """All that is wrong with a document that does not fit, at most about MAX_VIOLATIONS (path, description) pairs.
        A path begins with its dot. What is wrong with a property in `known` is not looked for again: in subdocuments
        within subdocuments, the work would double with each level.
        """
        faults: list[tuple[str, str]] = []
        present = set()
        for name, value in body.items():
            if len(faults) >= MAX_VIOLATIONS:
                return faults
            if name in _RESERVED:
                continue
            check = self.checks.get(name)
            if check is None:
                shortened = name if len(name) <= MAX_NAME else name[:MAX_NAME] + "..."
                faults.append((f".{shortened}", f"{self.name} has no such property{near(name, self.checks)}"))
            elif value is not None:
                present.add(name)
                try:
                    if name in known:
                        raise known[name]
                    if check(value) is ABSENT:
                        present.discard(name)
                except Fault as fault:
                    faults.extend((f".{name}{path}", description) for path, description in fault.faults)
            elif name in self.required:
                faults.append((f".{name}", "is required and must not be null"))
        faults.extend((f".{name}", "is required") for name in sorted(self.required - body.keys()))
        for group in self.groups:
            faults.extend(self._choice(group, group & present))
        return faults

    def _choice(self, group: frozenset[str], chosen: frozenset[str]) -> list[tuple[str, str]]:
        names = ", ".join(sorted(group)[:MAX_VIOLATIONS])
        if not chosen:
            return [
                (f".{min(group)}", f"is required, or another in its place: a {self.name} has exactly one of {names}")
            ]
        first, *others = sorted(chosen)
        return [(f".{name}", f"does not go with {first}: a {self.name} has exactly one of {names}") for name in others]


class Shapes:
    """The shapes of an ontology's classes, made once; equal ranges share their check."""

    def __init__(self, hierarchy: Hierarchy) -> None:
        self._hierarchy = hierarchy
        self._ranges: dict[str, Check] = {}
        self._checks: dict[tuple[object, ...], Check] = {}
        self._shapes: dict[str, Shape] = {}
        for name, cls in hierarchy.classes.items():
            if not cls.abstract:
                self._shapes[name] = self._shape(name)

    def of(self, name: str) -> Shape:
        """The shape of a class that is not abstract."""
        return self._shapes[name]

    def _shape(self, name: str) -> Shape:
        properties = self._hierarchy.properties[name]
        return Shape(
            name=name,
            checks={declared.name: self._check(declared) for declared in properties.values()},
            required=frozenset(declared.name for declared in properties.values() if declared.is_required),
            groups=self._hierarchy.groups[name],
        )

    def _check(self, declared: Property) -> Check:
        key = (declared.family, declared.range, declared.minimum, declared.maximum, declared.dimensions)
        check = self._checks.get(key)
        if check is None:
            check = self._range(declared.range)
            if declared.family is Family.LIST:
                check = _list_of(check)
            elif declared.family is Family.SET:
                check = _set_of(check, declared.minimum, declared.maximum)
            elif declared.family is Family.ARRAY:
                check = _array_of(check, declared.dimensions)
            self._checks[key] = check
        return check

    def _range(self, range_: str) -> Check:
        check = self._ranges.get(range_)
        if check is None:
            if range_ in self._hierarchy.classes:
                classes = self._hierarchy.concrete(range_)
                is_embedded = self._hierarchy.classes[range_].subdocument
                check = _subdocument(range_, classes, self._shapes) if is_embedded else _link_to(range_, classes)
            elif range_ in self._hierarchy.enums:
                check = _one_of(range_, self._hierarchy.enums[range_].values)
            else:
                check = _ANY.get(range_) or SCALARS[range_]
            self._ranges[range_] = check
        return check


def _json(value: object) -> object:
    try:
        return orjson.Fragment(encode_exactly(value))
    except ValueError as error:
        raise wrong(f"a number in it {error}") from None


def _unit(value: object) -> object:
    if value == []:
        return value
    raise wrong(f"{shown(value)} where [], the one value of {UNIT}, is due")


_ANY: dict[str, Check] = {JSON: _json, UNIT: _unit}


def _subdocument(range_: str, classes: frozenset[str], shapes: Mapping[str, Shape]) -> Check:
    # `shapes` fills up later: a subdocument may hold others of its own class.
    only = next(iter(classes)) if len(classes) == 1 else None

    def shape_of(value: dict[str, object]) -> Shape:
        name = value.get("@type")
        if name is None:
            name = only
        if type(name) is str and name in classes:
            return shapes[name]
        names = ", ".join(sorted(classes)[:MAX_VIOLATIONS]) or f"the classes of {range_}, of which there are none"
        if name is None:
            raise Fault((".@type", f"is required: one of {names}"))
        hint = near(name, classes) if type(name) is str else ""
        raise Fault((".@type", f"{shown(name)} where one of {names} is due{hint}"))

    def check(value: object) -> object:
        if type(value) is not dict:
            raise wrong(f"{kind_of(value)} where a subdocument is due: an object of the class {range_}")
        shape = shape_of(value)
        if type(value.get("@id", "")) is not str:
            raise Fault((".@id", f"{kind_of(value['@id'])} where a string is due, or nothing"))
        canonical: dict[str, object] = {"@type": shape.name}
        key = ""
        try:
            for key, part in value.items():
                if key not in _RESERVED:
                    checker = shape.checks[key]
                    checked = ABSENT if part is None else checker(part)
                    if checked is not ABSENT:
                        canonical[key] = checked
        except Fault as fault:
            raise Fault(*shape.faults(value, {key: fault})) from None
        except KeyError:
            raise Fault(*shape.faults(value)) from None
        if not shape.required <= canonical.keys() or not shape.chooses(canonical):
            raise Fault(*shape.faults(value))
        return canonical

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
    items = iter(value)
    try:
        return [element(item) for item in items]
    except Fault as fault:
        first = len(value) - length_hint(items) - 1
        raise _all_faults(element, value, first, fault) from None


def _all_faults(element: Check, values: list[object], first: int, known: Fault) -> Fault:
    """What is wrong with the elements from the first that does not fit."""
    faults: list[tuple[str, str]] = []
    for index, item in enumerate(values[first:], first):
        try:
            if index == first:
                raise known
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


def _array_of(element: Check, dimensions: int) -> Check:
    def innermost(value: object) -> object:
        if value is None:
            raise wrong("null where a value is due: an Array has no gaps")
        return element(value)

    check: Callable[[object], object] = innermost
    for _ in range(dimensions):
        check = _list_of(check)
    return check


def _set_of(element: Check, minimum: int, maximum: int | None) -> Check:
    def check(value: object) -> object:
        items = _elements(element, value)
        if len(items) > 1:
            by_bytes = {encode(item): item for item in items}
            return [by_bytes[key] for key in sorted(by_bytes)]
        return items or ABSENT

    def bounded(value: object) -> object:
        items = check(value)
        count = len(items) if isinstance(items, list) else 0
        if minimum <= count and (maximum is None or count <= maximum):
            return items
        due = f"at least {minimum:,}" if count < minimum else f"at most {maximum:,}"
        exactly = f"exactly {minimum:,}" if minimum == maximum else due
        raise wrong(f"has {count:,} different values where {exactly} are due")

    return check if minimum == 0 and maximum is None else bounded
