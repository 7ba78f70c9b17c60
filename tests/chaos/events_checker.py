"""Proves from recorded facts that no event was lost and that order held, and explains what came twice."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum

STREAM = "@stream"
"""The reader that is no subscription: `Subscribe` from the oldest event on."""


class Double(Enum):
    """Why an event came to a reader again."""

    STORED_TWICE = "stored twice: published again when the broker had forgotten it"
    REDELIVERED = "delivered again: the broker had not heard of its acknowledgement"
    DELIVERED_ANEW = "delivered again as a first attempt: the broker had forgotten that it had delivered it"


@dataclass(frozen=True)
class Commit:
    """An acknowledged commit, and the ids of the documents that it changed."""

    branch: str
    id: str
    documents: frozenset[str]


@dataclass(frozen=True)
class Published:
    """An event that a gateway took from a publisher. Numbers ascend within a key."""

    key: str
    number: int
    gateway: str
    spooled: bool

    @property
    def name(self) -> str:
        """What it is called in arrivals."""
        return direct_name(self.key, self.number)


@dataclass(frozen=True)
class Arrival:
    """An event with a reader: of a commit (`branch`, `commit`, `document`) or of a publisher (`key`, `number`)."""

    name: str
    sequence: int
    attempt: int = 1
    branch: str = ""
    commit: str = ""
    document: str = ""
    key: str = ""
    number: int = 0
    at: int = 0
    consumer: str = ""


@dataclass
class Facts:
    """What happened in a world: what was promised, what arrived where and in which order, and what was broken."""

    commits: list[Commit] = field(default_factory=list)
    history: dict[str, list[str]] = field(default_factory=dict)
    """The commits of each branch, oldest first, as the kernel tells them at the end."""
    published: list[Published] = field(default_factory=list)
    arrivals: dict[str, list[Arrival]] = field(default_factory=dict)
    """What each reader got, in the order in which it came."""
    ordered: set[str] = field(default_factory=set)
    """The readers that are promised order."""
    lost_spools: set[str] = field(default_factory=set)
    """The gateways whose spools were destroyed."""

    def due(self) -> Iterator[str]:
        """The names of the events that must arrive at every reader."""
        for commit in self.commits:
            for document in commit.documents:
                yield commit_name(commit.branch, commit.id, document)
        for one in self.published:
            if not (one.spooled and one.gateway in self.lost_spools):
                yield one.name

    def missing(self) -> dict[str, set[str]]:
        """What must still arrive, by reader."""
        due = set(self.due())
        return {reader: due - {one.name for one in arrivals} for reader, arrivals in self.arrivals.items()}


@dataclass
class Verdict:
    """What the facts come to."""

    faults: list[str]
    events: int
    doubles: dict[str, Counter[Double]]
    lost_with_spools: int

    def report(self) -> str:
        """The counts in words."""
        lines = [f"{self.events} events were due at each reader; {len(self.faults)} faults"]
        if self.lost_with_spools:
            lines.append(
                f"{self.lost_with_spools} events that were answered SPOOLED were lost with their gateway's disk"
            )
        for reader, doubles in sorted(self.doubles.items()):
            lines += [f"{reader}: {count} {kind.value}" for kind, count in doubles.items()]
        return "\n".join(lines)


def commit_name(branch: str, commit: str, document: str) -> str:
    """The name of a kernel event."""
    return f"{branch} {commit} {document}"


def direct_name(key: str, number: int) -> str:
    """The name of a publisher's event."""
    return f"{key} {number}"


def check(facts: Facts, explained: Iterable[Double]) -> Verdict:
    """Judges the facts; `explained` are the doubles that what was done to the world accounts for."""
    allowed = set(explained)
    faults = list(_losses(facts))
    doubles: dict[str, Counter[Double]] = {}
    for reader, arrivals in facts.arrivals.items():
        faults += _phantoms(facts, reader, arrivals)
        doubles[reader] = Counter(_doubles(arrivals))
        faults += [
            f"{reader}: {count} {kind.value}, which nothing explains"
            for kind, count in doubles[reader].items()
            if kind not in allowed
        ]
    for reader in sorted(facts.ordered):
        faults += _disorder(facts, reader)
    return Verdict(faults, len(set(facts.due())), doubles, _lost_with_spools(facts))


def _losses(facts: Facts) -> Iterator[str]:
    for reader, missing in facts.missing().items():
        yield from (f"{reader}: {name} is lost" for name in sorted(missing))
    for commit in facts.commits:
        if commit.id not in facts.history.get(commit.branch, ()):
            yield f"the acknowledged commit {commit.id} is not in the history of {commit.branch}"


def _phantoms(facts: Facts, reader: str, arrivals: Iterable[Arrival]) -> Iterator[str]:
    histories = {branch: set(commits) for branch, commits in facts.history.items()}
    for one in arrivals:
        if one.commit and one.commit not in histories.get(one.branch, ()):
            yield f"{reader}: {one.name} is of a commit that never was"


def _doubles(arrivals: Iterable[Arrival]) -> Iterator[Double]:
    sequences: dict[str, set[int]] = {}
    for one in arrivals:
        seen = sequences.setdefault(one.name, set())
        if seen and one.sequence not in seen:
            yield Double.STORED_TWICE
        elif seen and one.attempt > 1:
            yield Double.REDELIVERED
        elif seen:
            yield Double.DELIVERED_ANEW
        seen.add(one.sequence)


def _disorder(facts: Facts, reader: str) -> Iterator[str]:
    """First arrivals that come after what they should come before."""
    places = {branch: {id: place for place, id in enumerate(commits)} for branch, commits in facts.history.items()}
    seen: set[str] = set()
    last: dict[str, tuple[int, str]] = {}
    for one in facts.arrivals[reader]:
        if one.name in seen:
            continue
        seen.add(one.name)
        line = one.branch or one.key
        place = places.get(one.branch, {}).get(one.commit, -1) if one.commit else one.number
        before = last.get(line)
        if before is not None and place < before[0]:
            yield f"{reader}: {one.name} came after {before[1]}"
        else:
            last[line] = (place, one.name)


def _lost_with_spools(facts: Facts) -> int:
    arrived = {one.name for arrivals in facts.arrivals.values() for one in arrivals}
    spooled = {one.name for one in facts.published if one.spooled and one.gateway in facts.lost_spools}
    return len(spooled - arrived)
