"""A small versioned document store in memory: what the commands need of a kernel, and nothing durable or checked twice."""

import hashlib
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

Documents = dict[str, bytes]
START = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
HUNDRED = 100


class Refusal(Exception):
    """An answer that is an error: its reason, and what goes with it."""

    def __init__(
        self, reason: str, message: str, violations: tuple[tuple[str, str], ...] = (), **metadata: str
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.violations = violations
        self.metadata = metadata


@dataclass(frozen=True)
class Commit:
    id: str
    parents: tuple[str, ...]
    branch: str
    author: str
    committer: str
    message: str
    time: datetime
    metadata: dict[str, str]
    documents: Documents
    change_count: int


@dataclass
class Database:
    name: str
    description: str
    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    clock: Iterator[int] = field(default_factory=lambda: itertools.count(0))

    def resolve(self, ref: str) -> tuple[Commit, str]:
        """The commit of a branch, `commit:<first digits>`, either with `~n`; and the branch."""
        name, tilde, steps = (ref or "main").partition("~")
        if name.startswith("commit:"):
            found = [commit for key, commit in self.commits.items() if key.startswith(name.removeprefix("commit:"))]
            if len(found) > 1:
                raise Refusal("AMBIGUOUS_REF", f"several commits begin with {name}", ref=ref)
            if not found:
                raise Refusal("COMMIT_NOT_FOUND", f"no commit {name}", database=self.name, ref=ref)
            commit, branch = found[0], ""
        elif name in self.branches:
            commit, branch = self.commits[self.branches[name]], name
        else:
            raise Refusal("BRANCH_NOT_FOUND", f"no branch {name!r}", database=self.name, branch=name)
        for _ in range(int(steps or 1) if tilde else 0):
            if not commit.parents:
                raise Refusal("COMMIT_NOT_FOUND", "the history does not reach back that far", ref=ref)
            commit = self.commits[commit.parents[0]]
        return commit, branch

    def head(self, branch: str, expected: str = "") -> Commit:
        head, _branch = self.resolve(branch or "main")
        if expected and expected != head.id:
            raise Refusal("STALE_HEAD", f"the head of {branch} is {head.id}", head=head.id, expected=expected)
        return head

    def commit(
        self,
        documents: Documents,
        *,
        branch: str = "main",
        parents: tuple[str, ...] = (),
        message: str = "",
        author: str = "user:ana",
        metadata: dict[str, str] | None = None,
        validate_only: bool = False,
    ) -> Commit:
        before = self.commits[parents[0]].documents if parents else {}
        changed = len(differing(before, documents))
        if parents and not changed and len(parents) == 1:
            raise Refusal("EMPTY_COMMIT", "the commit would change nothing")
        number = next(self.clock)
        digest = hashlib.blake2b(f"{self.name} {number} {message}".encode(), digest_size=32).hexdigest()
        made = Commit(
            "" if validate_only else digest,
            parents,
            branch,
            author,
            "user:ana",
            message,
            START + timedelta(minutes=number),
            metadata or {},
            documents,
            changed,
        )
        if not validate_only:
            self.commits[made.id] = made
            self.branches[branch] = made.id
        return made

    def history(self, commit: Commit, *, first_parent: bool = False) -> list[Commit]:
        """Everything reachable, newest first."""
        found: dict[str, Commit] = {}
        waiting = [commit]
        while waiting:
            current = waiting.pop()
            found[current.id] = current
            parents = current.parents[:1] if first_parent else current.parents
            waiting += [self.commits[parent] for parent in parents if parent not in found]
        return sorted(found.values(), key=lambda item: item.time, reverse=True)

    def ancestor(self, ours: Commit, theirs: Commit) -> Commit:
        known = {commit.id for commit in self.history(ours)}
        shared = [commit for commit in self.history(theirs) if commit.id in known]
        if not shared:
            raise Refusal("UNRELATED_HISTORIES", "the two histories share no commit")
        return shared[0]


@dataclass(frozen=True)
class Conflict:
    id: str
    property: str
    base: bytes
    ours: bytes
    theirs: bytes


Choice = str | bytes
"""A side's name, or a value as JSON."""


def differing(before: Documents, after: Documents) -> list[str]:
    return sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))


def canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def properties(body: bytes | None) -> dict[str, bytes]:
    """A body's properties as JSON."""
    return {name: canonical(value) for name, value in json.loads(body or b"{}").items()}


def merged(
    base: Documents, ours: Documents, theirs: Documents, choices: dict[tuple[str, str], Choice], strategy: str
) -> tuple[Documents, list[Conflict]]:
    """The outcome of a merge by property, and the conflicts that nothing settles."""
    outcome = dict(ours)
    conflicts = []
    for identifier in differing(base, theirs):
        sides = [properties(documents.get(identifier)) for documents in (base, ours, theirs)]
        if ours.get(identifier) in (base.get(identifier), theirs.get(identifier)):
            settled = sides[2]
        elif identifier not in ours or identifier not in theirs:
            whole = [documents.get(identifier, b"") for documents in (base, ours, theirs)]
            value = _choose("", whole, identifier, choices, strategy)
            if value is None:
                conflicts.append(Conflict(identifier, "", *whole))
                continue
            settled = properties(value)
        else:
            settled = {}
            for name in sorted({key for side in sides for key in side}):
                values = [side.get(name, b"") for side in sides]
                value = _merged_value(name, values, identifier, choices, strategy)
                if value is None:
                    conflicts.append(Conflict(identifier, name, *values))
                elif value:
                    settled[name] = value
        if settled:
            outcome[identifier] = canonical({name: json.loads(value) for name, value in settled.items()})
        else:
            outcome.pop(identifier, None)
    return outcome, conflicts


def _merged_value(
    name: str, values: list[bytes], identifier: str, choices: dict[tuple[str, str], Choice], strategy: str
) -> bytes | None:
    base, ours, theirs = values
    if theirs in (base, ours):
        return ours
    if ours == base:
        return theirs
    return _choose(name, values, identifier, choices, strategy)


def _choose(
    name: str, values: list[bytes], identifier: str, choices: dict[tuple[str, str], Choice], strategy: str
) -> bytes | None:
    choice = choices.get((identifier, name), choices.get((identifier, ""), strategy))
    if isinstance(choice, bytes):
        return choice
    return dict(zip(("base", "ours", "theirs"), values, strict=True)).get(choice)
