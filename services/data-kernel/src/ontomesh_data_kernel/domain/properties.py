"""Comparing and merging documents by top-level property.

Values are compared by their canonical bytes, never as Python values, for which `True == 1` and `1 == 1.0`.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class PropertyConflict:
    """One conflict within a document; `property` is None if it is about the document as a whole.

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
    is_set: Callable[[str], bool],
    choose: Choose,
) -> Merged | Conflicted:
    """Merge three ways by top-level property; Sets as sets, everything else as one value.

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
    return _merge_properties(bases, split(ours), split(theirs), is_set, choose)


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
    is_set: Callable[[str], bool],
    choose: Choose,
) -> Merged | Conflicted:
    split_bases: list[Properties] = [split(base) if base is not None else {} for base in bases]
    kind = ConflictKind.BOTH_ADDED if bases[0] is None else ConflictKind.BOTH_CHANGED
    outcome: dict[str, bytes] = {}
    conflicts: list[PropertyConflict] = []
    for name in sorted(ours.keys() | theirs.keys()):
        mine, other = ours.get(name), theirs.get(name)
        value = mine
        if mine != other:
            results = {_resolve(base.get(name), mine, other, name, is_set) for base in split_bases}
            if len(results) == 1 and _UNRESOLVED not in results:
                value = results.pop()
            else:
                conflict = PropertyConflict(name, kind, split_bases[0].get(name), mine, other)
                choice = choose(name, conflict)
                if choice is None:
                    conflicts.append(conflict)
                    continue
                value = _chosen(choice, conflict)
        if value is not None:
            outcome[name] = value
    return Conflicted(tuple(conflicts)) if conflicts else _merged(join(outcome))


_UNRESOLVED = b""
"""No JSON value is empty."""


def _resolve(
    base: bytes | None, ours: bytes | None, theirs: bytes | None, name: str, is_set: Callable[[str], bool]
) -> bytes | None:
    if base == ours:
        return theirs
    if base == theirs:
        return ours
    return _merge_set(base, ours, theirs) if is_set(name) else _UNRESOLVED


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
