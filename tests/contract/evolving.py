"""A naive versioned store whose ontology changes with its documents: every commit is a whole copy of both.

Independent of the kernel's way: elements of the ontology lie among the documents as `@schema/<name>`, every check goes
over everything there is, and what may be refused is the set of all that is wrong.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Document = dict[str, Any]
Snapshot = dict[str, Document]

KEY = {"@type": "Lexical", "@fields": ["name"]}
SCHEMA = "@schema/"


class Unfit(Exception):
    """A document that its class refuses, with the name of the kernel's error."""


def documents_of(snapshot: Snapshot) -> Snapshot:
    return {id: value for id, value in snapshot.items() if not id.startswith(SCHEMA)}


def elements_of(snapshot: Snapshot) -> Snapshot:
    return {id: value for id, value in snapshot.items() if id.startswith(SCHEMA)}


def own_properties(snapshot: Snapshot, cls: str) -> dict[str, Any]:
    return {name: value for name, value in snapshot[SCHEMA + cls].items() if not name.startswith("@")}


def properties(snapshot: Snapshot, cls: str) -> dict[str, Any]:
    """The class's own and inherited properties as {name: declaration}."""
    found: dict[str, Any] = {}
    for one in reversed(line_of(snapshot, cls)):
        found |= own_properties(snapshot, one)
    return found


def line_of(snapshot: Snapshot, cls: str) -> list[str]:
    """The class, its parent, its parent's parent and so on. Raises KeyError for one that is missing or comes twice."""
    line = [cls]
    while (parent := snapshot[SCHEMA + line[-1]].get("@inherits")) is not None:
        if parent in line or not is_class(snapshot, parent):
            raise KeyError(parent)
        line.append(parent)
    return line


def family(declared: Any) -> tuple[str, str]:
    return ("Required", declared) if isinstance(declared, str) else (declared["@type"], declared["@class"])


def is_class(snapshot: Snapshot, name: str) -> bool:
    return snapshot.get(SCHEMA + name, {}).get("@type") == "Class"


def is_concrete(snapshot: Snapshot, name: str) -> bool:
    return is_class(snapshot, name) and "@abstract" not in snapshot[SCHEMA + name]


def names_of(snapshot: Snapshot) -> list[str]:
    return sorted(id.removeprefix(SCHEMA) for id in elements_of(snapshot))


def is_sound(snapshot: Snapshot) -> bool:
    """Whether the elements of the ontology fit together."""
    try:
        return all(_element_fits(snapshot, name) for name in names_of(snapshot))
    except KeyError:
        return False


def _element_fits(snapshot: Snapshot, name: str) -> bool:
    element = snapshot[SCHEMA + name]
    if element["@type"] == "Enum":
        return bool(element["@value"]) and element.keys() <= {"@type", "@id", "@value", "@documentation"}
    _, *ancestors = line_of(snapshot, name)
    own, inherited = own_properties(snapshot, name), properties(snapshot, ancestors[0]) if ancestors else {}
    ranges = [family(declared)[1] for declared in own.values()]
    return (
        "@value" not in element
        and "name" in own | inherited
        and all(range_.startswith("xsd:") or SCHEMA + range_ in snapshot for range_ in ranges)
        and all(_refines(snapshot, own[both], inherited[both]) for both in own.keys() & inherited.keys())
    )


def _refines(snapshot: Snapshot, narrow: Any, wide: Any) -> bool:
    (kind, range_), (wide_kind, wide_range) = family(narrow), family(wide)
    within = range_ == wide_range or (is_class(snapshot, range_) and wide_range in line_of(snapshot, range_))
    return within and (kind == wide_kind or (kind, wide_kind) == ("Required", "Optional"))


def fitted(snapshot: Snapshot, document: Document) -> Document:
    """The canonical form of a document under the snapshot's ontology. Raises Unfit."""
    cls = document["@type"]
    if not is_concrete(snapshot, cls):
        raise Unfit("UnknownClass")
    declared = properties(snapshot, cls)
    canonical: Document = {"@type": cls, "@id": f"{cls}/{document['name']}"}
    for name, value in document.items():
        if name.startswith("@"):
            continue
        if name not in declared:
            raise Unfit("SchemaViolation")
        kind, range_ = family(declared[name])
        if value is None:
            continue
        many = kind in ("List", "Set")
        if isinstance(value, list) != many:
            raise Unfit("SchemaViolation")
        if not all(allowed(snapshot, range_, one) for one in (value if many else [value])):
            raise Unfit("SchemaViolation")
        if value != [] or kind == "List":
            canonical[name] = sorted(set(value)) if kind == "Set" else value
    for name, one in declared.items():
        if family(one)[0] in ("Required", "List") and name not in canonical:
            raise Unfit("SchemaViolation")
    return canonical


def allowed(snapshot: Snapshot, range_: str, value: Any) -> bool:
    if range_ == "xsd:string":
        return isinstance(value, str)
    if range_ == "xsd:integer":
        return type(value) is int
    element = snapshot[SCHEMA + range_]
    if element["@type"] == "Enum":
        return value in element["@value"]
    holder = value.split("/")[0] if isinstance(value, str) else ""
    return is_concrete(snapshot, holder) and range_ in line_of(snapshot, holder)


def links(snapshot: Snapshot, document: Document) -> Iterable[str]:
    for name, declared in properties(snapshot, document["@type"]).items():
        _, range_ = family(declared)
        if is_class(snapshot, range_) and name in document:
            value = document[name]
            yield from value if isinstance(value, list) else [value]


@dataclass
class Outcome:
    """What a commit comes to: the names of the errors that it may be refused with, or the snapshot."""

    refusals: set[str] = field(default_factory=set)
    snapshot: Snapshot = field(default_factory=dict)


def apply(snapshot: Snapshot, schema: Snapshot | None, operations: Sequence[tuple[str, str, Document]]) -> Outcome:
    """Apply (kind, id, document or patch) operations under the ontology `schema` (None: as it is)."""
    after = documents_of(snapshot) | (elements_of(snapshot) if schema is None else schema)
    if not is_sound(after):
        return Outcome({"InvalidSchema"})
    changed = elements_of(after) != elements_of(snapshot)
    named = {id for _, id, _ in operations}
    refusals = {"DuplicateOperation"} if len(named) < len(operations) else set()
    for kind, id, value in operations:
        exists = id in snapshot
        if kind == "insert" and exists:
            refusals.add("DocumentAlreadyExists")
        if kind in ("replace", "update", "delete") and not exists:
            refusals.add("DocumentNotFound")
        if kind == "delete":
            after.pop(id, None)
            continue
        if kind == "update" and not exists:
            continue
        try:
            after[id] = fitted(after, patched(snapshot[id], value) if kind == "update" else value)
        except Unfit as unfit:
            refusals.add(str(unfit))
    if refusals:
        return Outcome(refusals)
    refusals = settle(after, named, changed, "SchemaViolatedByData", "DanglingLink", "StillReferenced")
    return Outcome(refusals or ({"EmptyCommit"} if after == snapshot else set()), after)


def patched(document: Document, patch: Document) -> Document:
    return {name: value for name, value in {**document, **patch}.items() if value is not None}


def settle(after: Snapshot, named: set[str], changed: bool, unfit: str, dangling: str, referenced: str) -> set[str]:
    """Bring the documents that nobody named into the form that the ontology asks for, and look at every link."""
    refusals = set()
    for id, document in documents_of(after).items():
        if id not in named and changed:
            try:
                after[id] = fitted(after, document)
            except Unfit:
                refusals.add(unfit)
                continue
        for target in links(after, after[id]):
            if target not in after:
                refusals |= {dangling} if id in named else {dangling, referenced} if changed else {referenced}
    return refusals


@dataclass
class NaiveCommit:
    """A commit as a whole copy."""

    parents: tuple[str, ...]
    snapshot: Snapshot
    time: int


class NaiveStore:
    """Commits by id and branches by name."""

    def __init__(self) -> None:
        self.commits: dict[str, NaiveCommit] = {}
        self.branches: dict[str, str] = {}

    def snapshot(self, branch: str) -> Snapshot:
        return self.commits[self.branches[branch]].snapshot

    def record(self, branch: str, commit: str, time: int, snapshot: Snapshot, *more_parents: str) -> None:
        parents = ((self.branches[branch],) if branch in self.branches else ()) + more_parents
        self.commits[commit] = NaiveCommit(parents, snapshot, time)
        self.branches[branch] = commit

    def ancestors(self, commit: str) -> set[str]:
        found: set[str] = set()
        frontier = [commit]
        while frontier:
            one = frontier.pop()
            if one not in found:
                found.add(one)
                frontier += self.commits[one].parents
        return found

    def line(self, commit: str) -> list[str]:
        """The commit and its first parents, newest first."""
        line = [commit]
        while parents := self.commits[line[-1]].parents:
            line.append(parents[0])
        return line

    def merge_bases(self, ours: str, theirs: str) -> list[str]:
        common = self.ancestors(ours) & self.ancestors(theirs)
        return [one for one in common if not any(one in self.ancestors(other) - {other} for other in common)]


@dataclass
class Merge:
    """What a merge comes to: conflicts as (id, property), refusals, or a snapshot."""

    conflicts: list[tuple[str, str]] = field(default_factory=list)
    refusals: set[str] = field(default_factory=set)
    snapshot: Snapshot = field(default_factory=dict)


@dataclass
class Settling:
    """Settles conflicts by the side chosen for the property, else for its document, else by the strategy."""

    choose: Mapping[tuple[str, str], str]
    strategy: str
    used: set[tuple[str, str]] = field(default_factory=set)
    left: list[tuple[str, str]] = field(default_factory=list)

    def value(self, id: str, name: str, values: Mapping[str, Any]) -> Any:
        self.used |= self.choose.keys() & {(id, name), (id, "")}
        side = self.choose.get((id, name)) or self.choose.get((id, "")) or self.strategy
        if not side:
            self.left.append((id, name))
        return values.get(side)


def merge(
    bases: Sequence[Snapshot], ours: Snapshot, theirs: Snapshot, choose: Mapping[tuple[str, str], str], strategy: str
) -> Merge:
    """Merge three ways by property: the ontology, then the documents as it says. `choose` and `strategy` name sides.

    Conflicts are told before anything else that is wrong; until elements fit together, documents merge as ours say.
    """
    settling = Settling(choose, strategy)
    merged, governing = dict(ours), ours
    named: set[str] = set()
    ids = theirs.keys() | {id for base in bases for id in base}
    for id in sorted(ids, key=lambda id: (not id.startswith(SCHEMA), id)):
        mine, other, was = ours.get(id), theirs.get(id), [base.get(id) for base in bases]
        if mine == other or all(one == other for one in was):
            continue
        if not id.startswith(SCHEMA):
            governing = merged if is_sound(merged) else ours
        conflicts = len(settling.left)
        value = _merge_one(id, was, mine, other, sets_of(governing, id.split("/")[0]), settling)
        if len(settling.left) == conflicts:
            named.add(id)
            merged.pop(id, None)
            if value is not None:
                merged[id] = value
    if settling.left:
        return Merge(settling.left)
    if choose.keys() != settling.used:
        return Merge(refusals={"UnknownConflict"})
    if not is_sound(merged):
        return Merge(refusals={"MergeViolation"})
    try:
        merged |= {id: fitted(merged, document) for id, document in documents_of(merged).items() if id in named}
    except Unfit:
        return Merge(refusals={"MergeViolation"})
    changed = elements_of(merged) != elements_of(ours)
    refusals = settle(merged, named, changed, "SchemaViolatedByData", "MergeViolation", "MergeViolation")
    return Merge(refusals=refusals, snapshot=merged)


def sets_of(snapshot: Snapshot, cls: str) -> set[str]:
    if not is_class(snapshot, cls):
        return set()
    return {name for name, declared in properties(snapshot, cls).items() if family(declared)[0] == "Set"}


def _merge_one(
    id: str,
    was: Sequence[Document | None],
    mine: Document | None,
    other: Document | None,
    sets: set[str],
    settling: Settling,
) -> Document | None:
    if all(one == mine for one in was):
        return other
    if mine is None or other is None:
        survivor = other if mine is None else mine
        if all(one is None for one in was):
            return survivor
        if all(one == survivor for one in was):
            return None
        chosen: Document | None = settling.value(id, "", {"ours": mine, "theirs": other, "base": was[0]})
        return chosen
    merged: Document = {}
    for name in sorted(mine.keys() | other.keys()):
        ours, theirs, olds = mine.get(name), other.get(name), [(one or {}).get(name) for one in was]
        results = [_merge_value(old, ours, theirs, name in sets) for old in olds]
        if ours == theirs:
            value = ours
        elif CONFLICT in results or any(one != results[0] for one in results):
            value = settling.value(id, name, {"ours": ours, "theirs": theirs, "base": olds[0]})
        else:
            value = results[0]
        if value is not None:
            merged[name] = value
    return merged


CONFLICT = "\0conflict"


def _merge_value(was: Any, mine: Any, other: Any, is_set: bool) -> Any:
    if was == mine:
        return other
    if was == other:
        return mine
    if not is_set or not all(isinstance(one, list) for one in (was, mine, other) if one is not None):
        return CONFLICT
    old, ours, theirs = set(was or ()), set(mine or ()), set(other or ())
    return sorted((ours & theirs) | (ours - old) | (theirs - old), key=repr) or None
