"""A naive versioned store: every commit is a whole copy. What the kernel must be like, as plainly as can be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Document = dict[str, Any]
Snapshot = dict[str, Document]
SETS = ("tags", "friends")


@dataclass(frozen=True)
class Refused(Exception):
    """The kernel must refuse, with an error of this class name."""

    error: str


@dataclass
class NaiveCommit:
    """A commit as a whole copy of its documents."""

    parents: tuple[str, ...]
    snapshot: Snapshot


class NaiveStore:
    """Commits by id and branches by name."""

    def __init__(self) -> None:
        self.commits: dict[str, NaiveCommit] = {}
        self.branches: dict[str, str] = {}

    def snapshot(self, branch: str) -> Snapshot:
        return self.commits[self.branches[branch]].snapshot

    def record(self, branch: str, commit: str, snapshot: Snapshot, *more_parents: str) -> None:
        parents = ((self.branches[branch],) if branch in self.branches else ()) + more_parents
        self.commits[commit] = NaiveCommit(parents, snapshot)
        self.branches[branch] = commit

    def ancestors(self, commit: str) -> set[str]:
        found, frontier = set(), [commit]
        while frontier:
            one = frontier.pop()
            if one not in found:
                found.add(one)
                frontier += self.commits[one].parents
        return found

    def merge_bases(self, ours: str, theirs: str) -> list[str]:
        common = self.ancestors(ours) & self.ancestors(theirs)
        return [one for one in common if not any(one in self.ancestors(other) - {other} for other in common)]


def links(document: Document) -> list[str]:
    return ([document["next"]] if "next" in document else []) + list(document.get("friends", []))


def apply(snapshot: Snapshot, operations: Sequence[tuple[str, str, Document]]) -> Snapshot:
    """The snapshot after (kind, id, document or patch) operations; raises Refused."""
    ids = [id for _, id, _ in operations]
    if len(set(ids)) != len(ids):
        raise Refused("DuplicateOperation")
    outcome = dict(snapshot)
    written = []
    for kind, id, value in operations:
        if kind == "insert" and id in snapshot:
            raise Refused("DocumentAlreadyExists")
        if kind in ("replace", "update", "delete") and id not in snapshot:
            raise Refused("DocumentNotFound")
        if kind == "delete":
            del outcome[id]
            continue
        written.append(id)
        outcome[id] = canonical(patched(snapshot[id], value) if kind == "update" else value)
    check(outcome, written, [id for kind, id, _ in operations if kind == "delete"], ids)
    if outcome == snapshot:
        raise Refused("EmptyCommit")
    return outcome


def check(outcome: Snapshot, written: Sequence[str], deleted: Sequence[str], named: Sequence[str]) -> None:
    for id, document in outcome.items():
        if id not in named and any(target in deleted for target in links(document)):
            raise Refused("StillReferenced")
    if any(target not in outcome for id in written for target in links(outcome[id])):
        raise Refused("DanglingLink")


def patched(document: Document, patch: Document) -> Document:
    merged = {**document, **patch}
    return {name: value for name, value in merged.items() if value is not None}


def canonical(document: Document) -> Document:
    value = {name: sorted(set(part)) if name in SETS else part for name, part in document.items()}
    return {name: part for name, part in value.items() if part is not None and not (name in SETS and not part)}


@dataclass(frozen=True)
class NaiveMerge:
    """What a merge comes to: conflicts as (id, property), or a snapshot."""

    conflicts: list[tuple[str, str]]
    snapshot: Snapshot


def merge(bases: Sequence[Snapshot], ours: Snapshot, theirs: Snapshot, strategy: str | None) -> NaiveMerge:
    """Merge three ways by property; raises Refused."""
    conflicts: list[tuple[str, str]] = []
    outcome = dict(ours)
    named = []
    ids = {id for base in bases for id in base.keys() | theirs.keys() if base.get(id) != theirs.get(id)}
    for id in sorted(ids):
        mine, other, was = ours.get(id), theirs.get(id), [base.get(id) for base in bases]
        if mine == other or all(one == other for one in was):
            continue
        named.append(id)
        merged, found = _merge_one(was, mine, other, strategy)
        conflicts += [(id, name) for name in found]
        outcome.pop(id, None)
        if merged is not None:
            outcome[id] = canonical(merged)
    if conflicts:
        return NaiveMerge(conflicts, {})
    written = [id for id in named if id in outcome]
    try:
        check(outcome, written, [id for id in named if id not in outcome], named)
    except Refused:
        raise Refused("MergeViolation") from None
    return NaiveMerge([], outcome)


def _merge_one(
    was: Sequence[Document | None], mine: Document | None, other: Document | None, strategy: str | None
) -> tuple[Document | None, list[str]]:
    if all(one == mine for one in was):
        return other, []
    if mine is None or other is None:
        survivor = mine if other is None else other
        if all(one is None for one in was):
            return survivor, []
        if all(one == survivor for one in was):
            return None, []
        return (mine if strategy == "ours" else other), ([] if strategy else [""])
    merged: Document = {}
    conflicts = []
    for name in sorted(mine.keys() | other.keys()):
        values = [_merge_value(name, (one or {}).get(name), mine.get(name), other.get(name)) for one in was]
        if mine.get(name) == other.get(name):
            value = mine.get(name)
        elif any(value is CONFLICT for value in values) or any(value != values[0] for value in values):
            if strategy is None:
                conflicts.append(name)
            value = mine.get(name) if strategy == "ours" else other.get(name)
        else:
            value = values[0]
        if value is not None:
            merged[name] = value
    return merged, conflicts


CONFLICT = object()


def _merge_value(name: str, was: Any, mine: Any, other: Any) -> Any:
    if was == mine:
        return other
    if was == other:
        return mine
    if name not in SETS:
        return CONFLICT
    old, ours, theirs = set(was or ()), set(mine or ()), set(other or ())
    return sorted((ours & theirs) | (ours - old) | (theirs - old)) or None


def difference(old: Mapping[str, Document], new: Mapping[str, Document]) -> dict[str, str]:
    """{id: added, changed or removed}."""
    found = {}
    for id in old.keys() | new.keys():
        if old.get(id) != new.get(id):
            found[id] = "added" if id not in old else "removed" if id not in new else "changed"
    return found
