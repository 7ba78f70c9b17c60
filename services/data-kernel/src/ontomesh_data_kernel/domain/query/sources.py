"""Reading what an access reaches, in an order that can be resumed, over a store's scans of its indexes.

A mark says how far one has come: the place of an entry, whose last part is the document's node. A document may be
reached at several marks; it counts only at the first, which its body tells, so that nothing need be remembered.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import chain, islice
from typing import Protocol

from ontomesh_data_kernel.domain.query.access import Access, Equal, Ids, Join, Linked, Listing, Range, Union
from ontomesh_data_kernel.domain.query.evaluate import Body, linked
from ontomesh_data_kernel.domain.query.sorting import KEYS

Mark = tuple[bytes | int, ...]

MAX_TARGETS = 5_000
"""Documents that a path through links may lead to at each of its links, if it is to be read backwards."""
MAX_NODE = (1 << 63) - 1

_MAX_STREAMED_KEYS = 4
_FEW_TARGETS = 8
_LINKS_GUESSED = 4


class Scans(Protocol):
    """A store's indexes at one commit. A node is a document's number, the same at all commits.

    Entries come in the order of (key, node), nodes by number, and each once.
    """

    def listed(
        self, classes: Sequence[str], after: tuple[bytes, int] | None, batch: int
    ) -> Iterator[tuple[bytes, int]]:
        """Iterate over (id, node) of the documents of classes, those after an entry."""
        ...

    def ranged(
        self, access: Range, after: tuple[bytes, int] | None, batch: int, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, int]]:
        """Iterate over a range's entries, those after an entry."""
        ...

    def equal(self, access: Equal, after: int, batch: int) -> Iterator[int]:
        """Iterate over the nodes that have one of the keys, those after a node."""
        ...

    def linked(self, paths: Sequence[str], targets: Sequence[int], after: int, batch: int) -> Iterator[int]:
        """Iterate over the nodes that link to one of the targets, those after a node."""
        ...

    def among(self, access: Equal, nodes: Collection[int]) -> set[int]:
        """Return those of the nodes that have one of the keys."""
        ...

    def count_listed(self, classes: Sequence[str], most: int) -> int:
        """Count the documents of classes, up to `most`; as all counts about, but the same at every reading."""
        ...

    def count_ranged(self, access: Range, most: int) -> int:
        """Count a range's entries, up to `most`."""
        ...

    def count_equal(self, access: Equal, most: int) -> int:
        """Count the nodes that have one of the keys, up to `most`."""
        ...

    def count_linked(self, paths: Sequence[str], targets: Sequence[int], most: int) -> int:
        """Count the links to the targets, up to `most`."""
        ...

    def nodes(self, ids: Collection[str]) -> Mapping[str, int]:
        """Return the nodes of those ids that have one."""
        ...

    def documents(self, nodes: Sequence[int]) -> Mapping[int, tuple[str, bytes]]:
        """Return the etag and body of those of the nodes that exist."""
        ...

    def bodies(self, ids: Collection[str]) -> Mapping[str, bytes | None]:
        """Return the bodies of documents by id, None for one that does not exist."""
        ...


class Source(Protocol):
    """Reads an access from any mark on."""

    @property
    def length(self) -> tuple[type, ...]:
        """The types of a mark's parts."""
        ...

    @property
    def repeats(self) -> bool:
        """Whether a document may come at several marks."""
        ...

    def marks(self, after: Mark | None, batch: int) -> Iterator[Mark]:
        """Iterate over the marks after one."""
        ...

    def firsts(self, marks: Sequence[Mark], bodies: Sequence[Body]) -> Sequence[bool]:
        """Whether each mark is its document's first."""
        ...


def source(scans: Scans, access: Access, *, reverse: bool = False) -> Source:
    """What reads an access; only a range can be reversed. Raises TooManyTargets."""
    match access:
        case Listing():
            return _Listed(scans, access)
        case Range():
            return _Ranged(scans, access, reverse)
        case Join():
            return _Joined(scans, access)
        case _:
            return _Nodes(scans, access)


def is_certain(access: Access) -> bool:
    """Whether the access can be read whatever it reaches."""
    return not isinstance(access, Join) or _streamed(access) is not None


def _streamed(access: Join) -> Equal | None:
    """The targets, if they need not be known before: they come in order, and one can ask which are among some nodes."""
    targets = access.targets
    return targets if isinstance(targets, Equal) and len(targets.keys) <= _MAX_STREAMED_KEYS else None


class TooManyTargets(Exception):
    """The path leads to more than MAX_TARGETS documents."""


@dataclass(slots=True)
class _Listed:
    scans: Scans
    access: Listing
    length = (bytes, int)
    repeats = False

    def marks(self, after: Mark | None, batch: int) -> Iterator[Mark]:
        return self.scans.listed(self.access.classes, after, batch)  # type: ignore[arg-type]

    def firsts(self, marks: Sequence[Mark], bodies: Sequence[Body]) -> Sequence[bool]:
        return [True] * len(marks)


@dataclass(slots=True)
class _Ranged:
    scans: Scans
    access: Range
    reverse: bool
    length = (bytes, int)
    repeats = True

    def marks(self, after: Mark | None, batch: int) -> Iterator[Mark]:
        return self.scans.ranged(self.access, after, batch, reverse=self.reverse)  # type: ignore[arg-type]

    def firsts(self, marks: Sequence[Mark], bodies: Sequence[Body]) -> Sequence[bool]:
        return [self._first(body) == mark[0] for mark, body in zip(marks, bodies, strict=True)]

    def _first(self, body: Body) -> bytes | None:
        make, low, high = KEYS[self.access.type], self.access.low, self.access.high
        keys = [make(value) for value in linked(body, self.access.names)]
        keys = [key for key in keys if key >= low and (high is None or key < high)]
        return (max if self.reverse else min)(keys, default=None)


@dataclass(slots=True)
class _Nodes:
    scans: Scans
    access: Equal | Linked | Ids | Union
    length = (int,)
    repeats = False

    def marks(self, after: Mark | None, batch: int) -> Iterator[Mark]:
        return ((node,) for node in _nodes(self.scans, self.access, _int(after[0]) if after else -1, batch))

    def firsts(self, marks: Sequence[Mark], bodies: Sequence[Body]) -> Sequence[bool]:
        return [True] * len(marks)


class _Joined:
    """By target, and then by node; both in the order of nodes."""

    length = (int, int)
    repeats = True

    def __init__(self, scans: Scans, access: Join) -> None:
        self._scans = scans
        self._access = access
        self._streamed = _streamed(access)
        self._targets = [] if self._streamed is not None else materialize(scans, access.targets)
        self._known = frozenset(self._targets)

    def marks(self, after: Mark | None, batch: int) -> Iterator[Mark]:
        first, node = (_int(after[0]), _int(after[1])) if after else (-1, -1)
        if self._streamed is not None:
            # From the target itself on, whose other referrers may be due.
            targets = self._scans.equal(self._streamed, first - 1, batch)
        else:
            targets = (target for target in self._targets if target >= first)
        for target in targets:
            begin = node if target == first else -1
            for referrer in self._scans.linked(self._access.paths, (target,), begin, batch):
                yield target, referrer

    def firsts(self, marks: Sequence[Mark], bodies: Sequence[Body]) -> Sequence[bool]:
        ids = [linked(body, self._access.names) for body in bodies]
        nodes = self._scans.nodes(set(chain.from_iterable(ids)))
        known: Collection[int] = self._known
        if self._streamed is not None:
            known = self._scans.among(self._streamed, set(nodes.values()))
        return [
            min((nodes[id] for id in each if nodes.get(id) in known), default=-1) == mark[0]
            for mark, each in zip(marks, ids, strict=True)
        ]


def materialize(scans: Scans, access: Access) -> list[int]:
    """The nodes that an access reaches, in order. Raises TooManyTargets beyond MAX_TARGETS, or twice as many entries."""
    found: Iterator[int]
    if isinstance(access, Join):
        targets = materialize(scans, access.targets)
        found = chain.from_iterable(scans.linked(access.paths, (target,), -1, 256) for target in targets)
    elif isinstance(access, Listing):
        found = (node for _, node in scans.listed(access.classes, None, 256))
    elif isinstance(access, Range):
        found = (node for _, node in scans.ranged(access, None, 256))
    else:
        found = _nodes(scans, access, -1, 256)
    most = 2 * MAX_TARGETS
    nodes = list(islice(found, most + 1))
    distinct = sorted(set(nodes))
    if len(nodes) > most or len(distinct) > MAX_TARGETS:
        raise TooManyTargets
    return distinct


def _nodes(scans: Scans, access: Equal | Linked | Ids | Union, after: int, batch: int) -> Iterator[int]:
    """The nodes that are reached, each once, in order after one."""
    match access:
        case Equal():
            return scans.equal(access, after, batch)
        case Linked(paths, ids):
            targets = sorted(scans.nodes(ids).values())
            return scans.linked(paths, targets, after, batch) if targets else iter(())
        case Ids(ids):
            return iter(sorted(node for node in scans.nodes(ids).values() if node > after))
        case Union(parts):
            return _distinct(merge(*(_nodes(scans, part, after, batch) for part in parts)))


def _distinct(nodes: Iterator[int]) -> Iterator[int]:
    last = -1
    for node in nodes:
        if node != last:
            yield node
            last = node


def _int(part: bytes | int) -> int:
    assert isinstance(part, int)
    return part


def estimate(scans: Scans, access: Access, most: int) -> int | None:
    """About how many entries of it are read, up to `most`; None if it leads over too many documents to be read."""
    match access:
        case Listing(classes):
            return scans.count_listed(classes, most)
        case Range():
            return scans.count_ranged(access, most)
        case Equal():
            return scans.count_equal(access, most)
        case Linked(paths, ids):
            return scans.count_linked(paths, list(scans.nodes(ids).values()), most)
        case Ids(ids):
            return min(len(ids), most)
        case Union(parts):
            return min(most, sum(estimate(scans, part, most) or 0 for part in parts))
        case Join(paths, _, targets):
            if (streamed := _streamed(access)) is not None:
                nodes = list(islice(scans.equal(streamed, -1, _FEW_TARGETS + 1), _FEW_TARGETS + 1))
                count = scans.count_equal(streamed, most)
            else:
                try:
                    nodes = materialize(scans, targets)
                except TooManyTargets:
                    return None
                count = len(nodes)
            if len(nodes) <= _FEW_TARGETS:
                return scans.count_linked(paths, nodes, most)
            return min(most, count * _LINKS_GUESSED)
