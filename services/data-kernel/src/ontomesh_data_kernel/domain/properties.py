"""Comparing documents by top-level property, and merging them by property, those of subdocuments among them.

Values are compared by their canonical bytes, never as Python values, for which `True == 1` and `1 == 1.0`.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import orjson

from ontomesh_data_kernel.domain.canonical import encode, encode_exactly, parse_body, parse_value
from ontomesh_data_kernel.domain.model import ConflictKind, MergeSide

Properties = Mapping[str, bytes]


def _integer(digits: str) -> object:
    return int(digits) if len(digits) < 19 else orjson.Fragment(digits)


# Numbers stay the text they are in the canonical body: a decimal and a double are written apart.
_KEEPING_DIGITS = json.JSONDecoder(parse_float=orjson.Fragment, parse_int=_integer)


def split(body: bytes) -> dict[str, bytes]:
    """The top-level properties of a canonical body, each as canonical JSON."""
    value: dict[str, object] = _KEEPING_DIGITS.decode(body.decode())
    return {name: encode(part) for name, part in value.items()}


def join(properties: Properties) -> bytes:
    """The canonical body with these properties: the inverse of `split`."""
    return b"{" + b",".join([encode(name) + b":" + properties[name] for name in sorted(properties)]) + b"}"


def property_changes(before: bytes | None, after: bytes | None) -> tuple[tuple[str, bytes | None, bytes | None], ...]:
    """The top-level properties that differ between two canonical bodies, by name, with both values as JSON.

    An absent body has no properties. `@id` is never among them, and `@type` only if the class changed.
    """
    if before == after:
        return ()
    old = split(before) if before is not None else {}
    new = split(after) if after is not None else {}
    changes = []
    for name in sorted(old.keys() | new.keys()):
        was, is_now = old.get(name), new.get(name)
        if was == is_now or name == "@id" or (name == "@type" and (was is None or is_now is None)):
            continue
        changes.append((name, was, is_now))
    return tuple(changes)


class Merging(Enum):
    """How a property merges that both sides changed: not at all, as a set of values, or by the properties of its one
    subdocument.
    """

    WHOLE = "whole"
    SET = "set"
    PROPERTIES = "properties"


@dataclass(frozen=True, slots=True)
class MergeRules:
    """How classes merge: a property by its class and name; groups of properties of which there is one, by class."""

    how: Callable[[str, str], Merging]
    groups: Callable[[str], Sequence[frozenset[str]]] = lambda cls: ()


@dataclass(frozen=True, slots=True)
class PropertyConflict:
    """One conflict within a document; `property` is None if it is about the document as a whole, and dotted within a
    subdocument.

    The values are canonical JSON, None where absent; for a document as a whole they are its bodies.
    """

    property: str | None
    kind: ConflictKind
    base: bytes | None
    ours: bytes | None
    theirs: bytes | None


Choice = MergeSide | bytes
"""A side's value, or this value as JSON."""

Choose = Callable[[str | None, PropertyConflict], Choice | None]
"""Settles a conflict of a property (None: of the document as a whole), or leaves it by answering None."""


@dataclass(frozen=True, slots=True)
class Merged:
    """The outcome of a merge: a body as `canonical.parse_body` reads it, or None if the document is deleted.

    It is yet to be prepared: a Set whose elements both sides changed, or a chosen value, may not be canonical.
    """

    body: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Conflicted:
    """The conflicts that nothing settled, by property."""

    conflicts: tuple[PropertyConflict, ...]


def merge_document(
    bases: Sequence[bytes | None],
    ours: bytes | None,
    theirs: bytes | None,
    cls: str,
    rules: MergeRules,
    choose: Choose,
) -> Merged | Conflicted:
    """Merge a document of a class three ways by property; Sets as sets, a subdocument that all sides have by its own
    properties, everything else as one value. Two sides that chose differently in a group are in conflict there.

    `bases` are the document's bodies at the common ancestors, at least one (None: it was not there). With several
    (a criss-cross history) a property is settled only where every base gives the same result; otherwise it is in
    conflict, shown with the first base. All bodies are canonical. Raises MalformedBody for a chosen value that is no
    JSON.
    """
    if ours == theirs:
        return _merged(ours)
    if ours is None or theirs is None:
        return _merge_presence(bases, ours, theirs, choose)
    if all(base == theirs for base in bases):
        return _merged(ours)
    if all(base == ours for base in bases):
        return _merged(theirs)
    return _merge_properties(bases, split(ours), split(theirs), cls, rules, choose)


def _merged(body: bytes | None) -> Merged:
    return Merged(None if body is None else parse_body(body, limit=len(body)))


def _merge_presence(
    bases: Sequence[bytes | None], ours: bytes | None, theirs: bytes | None, choose: Choose
) -> Merged | Conflicted:
    """One side has the document, the other does not."""
    survivor = theirs if ours is None else ours
    if all(base is None for base in bases):
        return _merged(survivor)
    if all(base == survivor for base in bases):
        return Merged(None)
    kind = ConflictKind.DELETED_BY_OURS if ours is None else ConflictKind.DELETED_BY_THEIRS
    conflict = PropertyConflict(None, kind, bases[0], ours, theirs)
    choice = choose(None, conflict)
    return Conflicted((conflict,)) if choice is None else _merged(_chosen(choice, conflict))


def _chosen(choice: Choice, conflict: PropertyConflict) -> bytes | None:
    if isinstance(choice, bytes):
        return encode_exactly(parse_value(choice, limit=len(choice), field="value"))
    return {MergeSide.OURS: conflict.ours, MergeSide.THEIRS: conflict.theirs, MergeSide.BASE: conflict.base}[choice]


def _merge_properties(
    bases: Sequence[bytes | None],
    ours: Properties,
    theirs: Properties,
    cls: str,
    rules: MergeRules,
    choose: Choose,
) -> Merged | Conflicted:
    split_bases: list[Properties] = [split(base) if base is not None else {} for base in bases]
    kind = ConflictKind.BOTH_ADDED if bases[0] is None else ConflictKind.BOTH_CHANGED
    conflicts: list[PropertyConflict] = []

    def merge(within: str, holder: str, bases: Sequence[Properties], ours: Properties, theirs: Properties) -> bytes:
        outcome: dict[str, bytes] = {}
        contested = _contested(rules.groups(holder), bases, ours, theirs)
        for name in sorted(ours.keys() | theirs.keys()):
            path = within + name
            how = rules.how(holder, name)
            were, mine, other = [base.get(name) for base in bases], ours.get(name), theirs.get(name)
            parts = _parts(were, mine, other) if how is Merging.PROPERTIES and mine != other else None
            value = mine
            if parts is not None:
                value = merge(f"{path}.", *parts)
            elif mine != other:
                results = {_resolve(was, mine, other, how) for was in were}
                if len(results) == 1 and _UNRESOLVED not in results and name not in contested:
                    value = results.pop()
                else:
                    conflict = PropertyConflict(path, kind, were[0], mine, other)
                    choice = choose(path, conflict)
                    if choice is None:
                        conflicts.append(conflict)
                        continue
                    value = _chosen(choice, conflict)
            if value is not None:
                outcome[name] = value
        return join(outcome)

    body = merge("", cls, split_bases, ours, theirs)
    return Conflicted(tuple(conflicts)) if conflicts else _merged(body)


def _contested(
    groups: Sequence[frozenset[str]], bases: Sequence[Properties], ours: Properties, theirs: Properties
) -> set[str]:
    """The properties of groups in which both sides changed something, and the choice was not the same everywhere."""
    contested: set[str] = set()
    for group in groups:
        sides = [{name: side[name] for name in group & side.keys()} for side in (ours, theirs, *bases)]
        mine, other, *were = sides
        is_one_sided = mine == other or all(was in (mine, other) for was in were)
        if not is_one_sided and len({frozenset(side) for side in sides}) > 1:
            contested |= group
    return contested


_Parts = tuple[str, list[Properties], Properties, Properties]


def _parts(bases: Sequence[bytes | None], ours: bytes | None, theirs: bytes | None) -> _Parts | None:
    """The class and the properties of a subdocument that both sides changed; None if it is not there, one subdocument
    of one class, on every side.
    """
    values = [value for value in (ours, theirs, *bases) if value is not None and value.startswith(b"{")]
    if len(values) < 2 + len(bases):
        return None
    mine, other, *were = [split(value) for value in values]
    kinds = {value.get("@type", b"") for value in (mine, other, *were)}
    if len(kinds) != 1:
        return None
    return str(_KEEPING_DIGITS.decode(kinds.pop().decode() or '""')), [*were], mine, other


_UNRESOLVED = b""
"""No JSON value is empty."""


def _resolve(base: bytes | None, ours: bytes | None, theirs: bytes | None, how: Merging) -> bytes | None:
    if base == ours:
        return theirs
    if base == theirs:
        return ours
    return _merge_set(base, ours, theirs) if how is Merging.SET else _UNRESOLVED


def _merge_set(base: bytes | None, ours: bytes | None, theirs: bytes | None) -> bytes | None:
    """What both sides kept, and what either added."""
    was, mine, other = _set_elements(base), _set_elements(ours), _set_elements(theirs)
    if was is None or mine is None or other is None:
        return _UNRESOLVED
    merged = (mine & other) | (mine - was) | (other - was)
    return b"[" + b",".join(sorted(merged)) + b"]" if merged else None


def _set_elements(value: bytes | None) -> set[bytes] | None:
    """The elements of a Set (an absent one is empty); None if the value is not an array, as before a schema change."""
    if value is None:
        return set()
    if not value.startswith(b"["):
        return None
    return {encode(part) for part in _KEEPING_DIGITS.decode(value.decode())}
