"""How two ontologies differ, in words, and what each difference means for documents."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from ontomesh_data_kernel.domain.canonical import encode_exactly
from ontomesh_data_kernel.domain.ontology import Element
from ontomesh_data_kernel.domain.sketching import Declaration, Json, Sketch, family_of, range_of
from ontomesh_data_kernel.domain.steps import (
    CastProperty,
    DeleteClass,
    DeleteProperty,
    MoveProperty,
    RenameClass,
    RenameProperty,
    SetDefault,
    Step,
)


class DifferenceKind(Enum):
    """What a difference means for documents that are there."""

    ADDED = "added"
    REMOVED = "removed"
    WEAKENED = "weakened"
    STRENGTHENED = "strengthened"
    NOTED = "noted"
    MIGRATED = "migrated"


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that differs in an element (`@context` is the context's), or in a property of it."""

    kind: DifferenceKind
    element: str
    property: str
    description: str


_SHOWN = 5
_BOUNDS = ("@cardinality", "@min_cardinality", "@max_cardinality")
_INDEXES = {
    "indexed": (DifferenceKind.NOTED, DifferenceKind.NOTED),
    "unique": (DifferenceKind.STRENGTHENED, DifferenceKind.WEAKENED),
    "dangling": (DifferenceKind.WEAKENED, DifferenceKind.STRENGTHENED),
}
_FLAGS = {
    "@abstract": ("documents of just this class are no longer allowed", "it may have documents of its own now"),
    "@subdocument": ("its values lie within other documents now", "its values are documents of their own now"),
}


def compare(old: tuple[Element, ...], new: tuple[Element, ...]) -> list[Difference]:
    """The differences by element and property. Elements need not fit together."""
    before, after = Sketch.of(old), Sketch.of(new)
    found: list[Difference] = []
    for name in sorted(before.elements.keys() | after.elements.keys()):
        found += _Comparison(before, after, name).run()
    return found


def describe_step(step: Step) -> Difference:
    """What a step of a migration does."""
    kind = DifferenceKind.MIGRATED
    match step:
        case RenameClass():
            words = f"is {step.name} by another name; ids of its documents, and links to them, follow"
            return Difference(kind, step.to, "", words)
        case RenameProperty():
            return Difference(kind, step.type, step.to, f"is {step.property} by another name")
        case SetDefault():
            shown = step.value[:80].decode("utf-8", "replace")
            return Difference(kind, step.type, step.property, f"becomes {shown} where it has no value")
        case CastProperty():
            to = " ".join(part for part in (step.family, step.range) if part)
            return Difference(kind, step.type, step.property, f"its values become {to}; else: {step.on_error.value}")
        case MoveProperty():
            to = step.to or f"the class {step.to_type}"
            return Difference(kind, step.type, step.path, f"moves to {to}")
        case DeleteProperty():
            return Difference(kind, step.type, step.property, "is removed with its values")
        case DeleteClass():
            links = ", and links to them" if step.unlink else ""
            return Difference(kind, step.name, "", f"is removed with its documents{links}")


class _Comparison:
    """One element before and after."""

    def __init__(self, before: Sketch, after: Sketch, name: str) -> None:
        self._before, self._after, self._name = before, after, name
        self._old: Json = before.elements.get(name, {})
        self._new: Json = after.elements.get(name, {})

    def run(self) -> Iterator[Difference]:
        """What differs."""
        old, new = self._old, self._new
        kind = "context" if self._name == "@context" else str((new or old)["@type"]).lower()
        if not old:
            yield self._told(DifferenceKind.ADDED, f"a new {kind}")
        elif not new:
            yield self._told(DifferenceKind.REMOVED, f"the {kind} is gone")
        elif old.get("@type") != new.get("@type"):
            words = f"is a {new['@type']} where it was a {old['@type']}"
            yield self._told(DifferenceKind.STRENGTHENED, words)
        elif old != new:
            yield from self._notes()
            if kind == "enum":
                yield from self._values()
            elif kind != "context":
                yield from self._class()
                yield from self._properties()

    def _told(self, kind: DifferenceKind, description: str, property: str = "") -> Difference:
        return Difference(kind, self._name, property, description)

    def _notes(self) -> Iterator[Difference]:
        names = {"@documentation": "its documentation differs", "@metadata": "its metadata differs"}
        for name, words in names.items():
            if _bare(self._old.get(name)) != _bare(self._new.get(name)):
                yield self._told(DifferenceKind.NOTED, words)
        if self._name == "@context":
            yield self._told(DifferenceKind.NOTED, "its IRIs differ")

    def _values(self) -> Iterator[Difference]:
        old, new = self._old["@value"], self._new["@value"]
        gone, come = [one for one in old if one not in new], [one for one in new if one not in old]
        if gone:
            yield self._told(DifferenceKind.STRENGTHENED, f"no longer has {_listed(gone)}")
        if come:
            yield self._told(DifferenceKind.WEAKENED, f"has {_listed(come)} as well")
        if old != new and not gone and not come:
            yield self._told(DifferenceKind.NOTED, "its values stand in another order")

    def _class(self) -> Iterator[Difference]:
        old, new = self._old, self._new
        for flag, (set_, unset) in _FLAGS.items():
            if (flag in old) != (flag in new):
                kind = DifferenceKind.WEAKENED if flag == "@abstract" and flag in old else DifferenceKind.STRENGTHENED
                yield self._told(kind, set_ if flag in new else unset)
        if ("@unfoldable" in old) != ("@unfoldable" in new):
            yield self._told(DifferenceKind.NOTED, f"is {'' if '@unfoldable' in new else 'not '}unfoldable now")
        if old.get("@key") != new.get("@key"):
            words = "its ids are made in another way, which no document that is there can follow"
            yield self._told(DifferenceKind.STRENGTHENED, words)
        if old.get("@inherits") != new.get("@inherits"):
            was, now = set(self._before.parents(self._name)), set(self._after.parents(self._name))
            if now - was:
                yield self._told(DifferenceKind.STRENGTHENED, f"inherits from {_listed(sorted(now - was))} as well")
            if was - now:
                yield self._told(DifferenceKind.STRENGTHENED, f"no longer inherits from {_listed(sorted(was - now))}")
        for name, (added, removed) in _INDEXES.items():
            was, now = set(_declared(old, name)), set(_declared(new, name))
            for path in sorted(now - was):
                yield self._told(added, f"is declared {name}", path)
            for path in sorted(was - now):
                yield self._told(removed, f"is no longer declared {name}", path)
        if _events(old) != _events(new):
            told = {True: "makes events", False: "makes no events", None: "makes events as its parents do"}
            yield self._told(DifferenceKind.NOTED, f"{told[_events(new)]} now")

    def _properties(self) -> Iterator[Difference]:
        old, new = self._before.own(self._name), self._after.own(self._name)
        for name in sorted(old.keys() | new.keys()):
            if name not in new:
                inherited = self._after.properties(self._name).get(name)
                if inherited is None:
                    yield self._told(DifferenceKind.REMOVED, f"was {describe(old[name])}", name)
                elif inherited != old[name]:
                    words = f"is {describe(inherited)}, inherited, where it was {describe(old[name])}"
                    yield self._told(self._changed(old[name], inherited), words, name)
            elif name not in old:
                yield from self._new_property(name, new[name])
            elif old[name] != new[name]:
                words = f"is {describe(new[name])} where it was {describe(old[name])}"
                yield self._told(self._changed(old[name], new[name]), words, name)
            elif self._before.is_choice(self._name, name) != self._after.is_choice(self._name, name):
                one = "one of several alternatives now"
                words = f"is {one}" if self._after.is_choice(self._name, name) else f"is no longer {one[:-4]}"
                yield self._told(DifferenceKind.STRENGTHENED, words, name)

    def _new_property(self, name: str, declared: Declaration) -> Iterator[Difference]:
        inherited = self._before.properties(self._name).get(name)
        if inherited is not None:
            if inherited != declared:
                words = f"is {describe(declared)} where it inherited {describe(inherited)}"
                yield self._told(self._changed(inherited, declared), words, name)
            return
        if self._after.is_choice(self._name, name):
            yield self._told(DifferenceKind.WEAKENED, f"a further alternative, {describe(declared)}", name)
        elif _needed(declared):
            words = f"is new and must be there: {describe(declared)}"
            yield self._told(DifferenceKind.STRENGTHENED, words, name)
        else:
            yield self._told(DifferenceKind.ADDED, describe(declared), name)

    def _changed(self, old: Declaration, new: Declaration) -> DifferenceKind:
        return DifferenceKind.WEAKENED if self._widened(old, new) else DifferenceKind.STRENGTHENED

    def _widened(self, old: Declaration, new: Declaration) -> bool:
        loosened = (family_of(old), family_of(new)) == ("Required", "Optional")
        if not loosened and _family(old) != _family(new):
            return False
        if not loosened and not _bounds_widened(old, new):
            return False
        was, now = range_of(old), range_of(new)
        return was == now or (self._before.is_class(was) and now in self._after.ancestors(was))


def _family(declared: Declaration) -> tuple[str, object]:
    name = family_of(declared)
    dimensions = declared.get("@dimensions") if isinstance(declared, dict) else None
    return ("Set" if name == "Cardinality" else name), dimensions


def _limits(declared: Declaration) -> tuple[int, float]:
    given: Mapping[str, Any] = declared if isinstance(declared, dict) else {}
    exact = given.get("@cardinality")
    low, high = given.get("@min_cardinality", 0), given.get("@max_cardinality", float("inf"))
    return (exact, exact) if exact is not None else (low, high)


def _bounds_widened(old: Declaration, new: Declaration) -> bool:
    (low, high), (new_low, new_high) = _limits(old), _limits(new)
    return new_low <= low and new_high >= high


def _needed(declared: Declaration) -> bool:
    return family_of(declared) in ("Required", "List", "Array") or _limits(declared)[0] > 0


def _declared(element: Json, name: str) -> list[str]:
    told = (element.get("@metadata") or {}).get("ontomesh")
    listed = told.get(name) if isinstance(told, dict) else None
    return [str(one) for one in listed] if isinstance(listed, list) else []


def _events(element: Json) -> bool | None:
    told = (element.get("@metadata") or {}).get("ontomesh")
    wanted = told.get("events") if isinstance(told, dict) else None
    return wanted if isinstance(wanted, bool) else None


def _bare(notes: object) -> object:
    """Notes without what they declare of indexes and events, which is told apart; as bytes, for numbers compare by their
    digits.
    """
    if isinstance(notes, dict) and isinstance(notes.get("ontomesh"), dict):
        kept = {name: part for name, part in notes["ontomesh"].items() if name not in (*_INDEXES, "events")}
        notes = {name: part for name, part in notes.items() if name != "ontomesh"} | (
            {"ontomesh": kept} if kept else {}
        )
    return encode_exactly(notes or None)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(str(one) for one in names[:_SHOWN]) + more


def describe(declared: Declaration) -> str:
    """A property's type as people write it: `xsd:string`, `Optional<xsd:string>`, `Set<Package> (max 3)`."""
    if isinstance(declared, str):
        return declared
    bounds = [f"{name[1:].removesuffix('_cardinality')} {declared[name]}" for name in _BOUNDS if name in declared]
    if "@dimensions" in declared:
        bounds.append(f"{declared['@dimensions']} dimensions")
    return f"{family_of(declared)}<{range_of(declared)}>" + (f" ({', '.join(bounds)})" if bounds else "")
