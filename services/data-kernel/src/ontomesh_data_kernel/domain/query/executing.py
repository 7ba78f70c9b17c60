"""Serving a query over a store's scans: pages in an order that every reading repeats, and counts.

Work comes in slices, each from a position on and bounded, so that a long query neither holds a thread for long nor
remembers anything between.
"""

import heapq
import itertools
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import itemgetter

from ontomesh_data_kernel.domain.model import Document
from ontomesh_data_kernel.domain.query.access import Equal, Linked, Listing, Range, has_all_values, without
from ontomesh_data_kernel.domain.query.evaluate import Body, Evaluator, linked
from ontomesh_data_kernel.domain.query.language import fingerprint
from ontomesh_data_kernel.domain.query.planning import Mode, Strategy, choose, strategy_named
from ontomesh_data_kernel.domain.query.sources import MAX_NODE, Mark, Scans, Source, TooManyTargets, source
from ontomesh_data_kernel.domain.query.tree import Order, Predicate, Query, Selection
from ontomesh_data_kernel.errors import InvalidPageToken, QueryTooCostly

MAX_SORTED = 100_000
"""Documents examined for one page that is sorted in memory."""
MAX_COUNTED = 1_000_000
"""Documents examined to count them."""
SLICE = 2_000
"""Documents examined in one slice, unless they are to be sorted."""

_BATCH = 256
_MAX_BATCH = 1_024
_MAX_DIGITS = 19
_MAX_LEARNT = 2_000
"""Documents examined with one evaluator, which keeps what they link to."""

Condition = Callable[[Body], bool]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a page begins: after a mark of a phase of the strategy."""

    strategy: str
    phase: int
    mark: Mark


@dataclass(slots=True)
class _Candidate:
    """A document examined; of thousands, few are returned."""

    mark: Mark
    etag: str
    stored: bytes
    body: Body

    @property
    def document(self) -> Document:
        return Document(self.body["@id"], self.stored, self.etag)


class Execution:
    """Serves one query over one store's scans, a slice a call."""

    def __init__(self, query: Query, scans: Scans) -> None:
        self._query = query
        self._scans = scans
        self._asked, self._covered = query, tuple[Predicate, ...]()
        self._evaluator = Evaluator(query)
        self._learnt = 0
        self.examined = 0
        """Documents examined by all calls."""

    def page(self, position: str, limit: int, max_bytes: int) -> Selection:
        """A part of the result from a position on: possibly an empty one, if not all was examined.

        Raises InvalidPageToken, QueryTooCostly.
        """
        place = self._read(position) if position else None
        strategy = strategy_named(self._query, place.strategy) if place else choose(self._query, self._scans)
        if strategy is None:
            raise _refusal()
        self._take_for_granted(self._query, strategy.covered)
        phase, after = (place.phase, place.mark) if place else (0, None)
        try:
            if strategy.mode is Mode.SORTED:
                read = source(self._scans, strategy.access)
                return self._sorted(strategy, read, phase, after, limit, max_bytes)
            if strategy.mode is Mode.ORDERED:
                return self._ordered(strategy, phase, after, limit, max_bytes)
            return self._streamed(strategy, source(self._scans, strategy.access), 0, after, limit, max_bytes)
        except TooManyTargets:
            raise _refusal() from None

    def count(self, position: str) -> tuple[int, str]:
        """How many documents a slice from a position on holds, and where the next begins ("" at the end)."""
        query = Query(self._query.classes, self._query.where)
        place = self._read(position) if position else None
        strategy = strategy_named(query, place.strategy) if place else choose(query, self._scans)
        if strategy is None:
            raise _refusal()
        read = source(self._scans, strategy.access)
        self._take_for_granted(query, strategy.covered)
        if self._asked.where is None:
            if isinstance(strategy.access, Listing | Equal | Linked):
                return sum(1 for _ in read.marks(None, _MAX_BATCH)), ""
            if isinstance(strategy.access, Range):
                return self._distinct(read), ""
        found, begun = 0, self.examined
        marks = read.marks(self._checked(read, place.mark) if place else None, _BATCH)
        while batch := list(islice(marks, _BATCH)):
            found += sum(1 for _ in self._matching(read, batch))
            if self.examined - begun >= SLICE:
                return found, self._position(strategy, 0, batch[-1])
        return found, ""

    def _take_for_granted(self, query: Query, covered: Sequence[Predicate]) -> None:
        """Let documents be examined for all but some terms, whose values tell a document's first mark all the same."""
        self._asked, self._covered = without(query, covered), tuple(covered)
        self._evaluator = Evaluator(self._asked, self._covered)

    def _distinct(self, read: Source) -> int:
        nodes = {mark[-1] for mark in islice(read.marks(None, _MAX_BATCH), MAX_COUNTED + 1)}
        if len(nodes) > MAX_COUNTED:
            raise QueryTooCostly.of(MAX_COUNTED)
        return len(nodes)

    def _streamed(
        self,
        strategy: Strategy,
        read: Source,
        phase: int,
        after: Mark | None,
        limit: int,
        max_bytes: int,
        condition: Condition | None = None,
    ) -> Selection:
        """Documents in the order of their marks."""
        begun, size = self.examined, 0
        found: list[Document] = []
        batch = min(limit + 1, _BATCH)
        # From the beginning on, what came before can be remembered; later, a body tells whether it did.
        seen: set[int] | None = set() if after is None and read.repeats else None
        marks = read.marks(self._checked(read, after) if after is not None else None, batch)
        while some := list(islice(marks, batch)):
            for candidate in self._matching(read, some, condition, seen):
                if len(found) == limit or (found and size >= max_bytes):
                    assert after is not None
                    return Selection(found, self._position(strategy, phase, after))
                found.append(candidate.document)
                size += len(candidate.stored)
                after = candidate.mark
            after = some[-1]
            if len(found) == limit or self.examined - begun >= SLICE:
                is_end = next(marks, None) is None
                return Selection(found, "" if is_end else self._position(strategy, phase, after))
            batch = _BATCH
        return Selection(found, "")

    def _ordered(self, strategy: Strategy, phase: int, after: Mark | None, limit: int, max_bytes: int) -> Selection:
        """Documents by the index of the order's first field, then those without a value of it."""
        order = self._query.order
        listing = source(self._scans, Listing(self._query.classes))
        lacks: Condition = lambda body: not has_value(body, order[0])  # noqa: E731
        if phase == 0:
            read = source(self._scans, strategy.access, reverse=order[0].descending)
            walk = self._streamed if len(order) == 1 else self._runs
            part = walk(strategy, read, 0, after, limit, max_bytes)
            size = sum(len(document.body) for document in part.documents)
            if part.position or has_all_values(self._query):
                return part
            limit, max_bytes = limit - len(part.documents), max_bytes - size
            if limit == 0 or max_bytes <= 0:
                return Selection(part.documents, self._position(strategy, 1, ()))
            rest = self._ordered(strategy, 1, (), limit, max_bytes)
            return Selection([*part.documents, *rest.documents], rest.position)
        if phase != 1:
            raise _refusal()
        if len(order) == 1:
            return self._streamed(strategy, listing, 1, after or None, limit, max_bytes, lacks)
        return self._sorted(strategy, listing, 1, after or None, limit, max_bytes, lacks)

    def _runs(
        self, strategy: Strategy, read: Source, phase: int, after: Mark | None, limit: int, max_bytes: int
    ) -> Selection:
        """As `_streamed`, but documents whose first fields are equal are sorted by the others."""
        begun, size = self.examined, 0
        found: list[Document] = []
        floor: tuple[bytes, int] | None = None
        end = -1 if self._query.order[0].descending else MAX_NODE
        if after is not None:
            key, node = self._checked(read, after)
            if node != end:
                # The run is sorted anew.
                floor, after = self._floor(node), (key, MAX_NODE if end < 0 else -1)
        for key, run in itertools.groupby(read.marks(after, _BATCH), key=itemgetter(0)):
            ranked = sorted(self._ranked(read, run, None, floor), key=itemgetter(0, 1))
            floor = None
            for _, _, candidate in ranked:
                if len(found) == limit or (found and size >= max_bytes):
                    assert after is not None
                    return Selection(found, self._position(strategy, phase, after))
                found.append(candidate.document)
                size += len(candidate.stored)
                after = candidate.mark
            after = (key, end)
            if self.examined - begun >= SLICE:
                return Selection(found, self._position(strategy, phase, after))
        return Selection(found, "")

    def _sorted(
        self,
        strategy: Strategy,
        read: Source,
        phase: int,
        after: Mark | None,
        limit: int,
        max_bytes: int,
        condition: Condition | None = None,
    ) -> Selection:
        """The least of all documents by the query's order, equals by node. Bodies are read again once chosen."""
        floor = None
        if after is not None:
            if len(after) != 1:
                raise _refusal()
            floor = self._floor(after[0])
        ranked = ((key, node) for key, node, _ in self._ranked(read, read.marks(None, _MAX_BATCH), condition, floor))
        chosen = heapq.nsmallest(limit + 1, ranked)
        documents = self._scans.documents([node for _, node in chosen[:limit]])
        found: list[Document] = []
        size = 0
        for _, node in chosen[:limit]:
            if found and size >= max_bytes:
                break
            etag, body = documents[node]
            found.append(Document(self._evaluator.parse(body)["@id"], body, etag))
            size += len(body)
        is_end = len(found) == len(chosen)
        return Selection(found, "" if is_end else self._position(strategy, phase, (chosen[len(found) - 1][1],)))

    def _ranked(
        self, read: Source, marks: Iterable[Mark], condition: Condition | None, floor: tuple[bytes, int] | None
    ) -> Iterator[tuple[bytes, int, _Candidate]]:
        """Iterate over (order key, node, document) of all that match beyond the floor. Raises QueryTooCostly."""
        seen: set[int] = set()
        begun, iterator = self.examined, iter(marks)
        while some := list(islice(iterator, _MAX_BATCH)):
            if self.examined - begun + len(some) > MAX_SORTED:
                raise QueryTooCostly.of(MAX_SORTED)
            for candidate in self._matching(read, some, condition, seen):
                node, key = _node(candidate.mark), self._evaluator.order_key(candidate.body)
                if floor is None or (key, node) > floor:
                    yield key, node, candidate

    def _floor(self, node: bytes | int) -> tuple[bytes, int]:
        """The rank of a document that ended a page."""
        if not isinstance(node, int):
            raise _refusal()
        found = self._scans.documents([node]).get(node)
        if found is None:
            raise _refusal()
        return self._evaluator.order_key(self._evaluator.parse(found[1])), node

    def _matching(
        self,
        read: Source,
        marks: Sequence[Mark],
        condition: Condition | None = None,
        seen: set[int] | None = None,
    ) -> Iterator[_Candidate]:
        """Iterate over the marks' documents that match, each at its first mark; those in `seen`, which grows, are not."""
        if read.repeats and seen is not None:
            firsts = {_node(mark): mark for mark in reversed(marks) if _node(mark) not in seen}
            marks = [mark for mark in marks if firsts.get(_node(mark)) is mark]
            seen.update(firsts)
        self.examined += len(marks)
        nodes = [_node(mark) for mark in marks]
        stored = self._scans.documents(nodes)
        candidates = []
        for mark, node in zip(marks, nodes, strict=True):
            found = stored.get(node)
            if found is not None:
                candidates.append(_Candidate(mark, *found, self._evaluator.parse(found[1])))
        if condition is not None:
            candidates = [one for one in candidates if condition(one.body)]
        verdicts = self._verdicts([one.body for one in candidates])
        candidates = [one for one, verdict in zip(candidates, verdicts, strict=True) if verdict]
        if read.repeats and seen is None and candidates:
            begins = read.firsts([one.mark for one in candidates], [one.body for one in candidates])
            candidates = [one for one, is_first in zip(candidates, begins, strict=True) if is_first]
        return iter(candidates)

    def _verdicts(self, bodies: Sequence[Body]) -> Sequence[bool | None]:
        if self._evaluator.follows_links:
            self._learnt += len(bodies)
            if self._learnt > _MAX_LEARNT:
                self._evaluator, self._learnt = Evaluator(self._asked, self._covered), len(bodies)
        verdicts, missing = self._evaluator.examine(bodies)
        while missing:
            self._evaluator.learn(self._scans.bodies(missing))
            verdicts, missing = self._evaluator.examine(bodies)
        return verdicts

    def _position(self, strategy: Strategy, phase: int, mark: Mark) -> str:
        parts = [str(part) if isinstance(part, int) else f"~{_text(part)}" for part in mark]
        return ".".join([self._fingerprint(), strategy.name, str(phase), *parts])

    def _fingerprint(self) -> str:
        return fingerprint(self._query)[:16]

    def _read(self, position: str) -> _Place:
        """Raises InvalidPageToken."""
        check, *rest = position.split(".")
        if check != self._fingerprint() or not 2 <= len(rest) <= 4 or rest[1] not in ("0", "1"):
            raise _refusal()
        name, phase, *parts = rest
        return _Place(name, int(phase), tuple(_part(part) for part in parts))

    def _checked(self, read: Source, mark: Mark) -> Mark:
        """A mark of a position, if it is of the source. Raises InvalidPageToken."""
        if tuple(map(type, mark)) != read.length:
            raise _refusal()
        return mark


def has_value(body: Body, order: Order) -> bool:
    """Whether a document has a value of a field that it is ordered by."""
    return bool(linked(body, [hop.name for hop in order.path.hops]))


def _node(mark: Mark) -> int:
    node = mark[-1]
    assert isinstance(node, int)
    return node


def _text(part: bytes) -> str:
    return urlsafe_b64encode(part).decode().rstrip("=")


def _part(text: str) -> bytes | int:
    if text.startswith("~"):
        try:
            return urlsafe_b64decode(text[1:] + "=" * (-(len(text) - 1) % 4))
        except (Base64Error, ValueError):
            raise _refusal() from None
    if not (text.isascii() and text.removeprefix("-").isdigit() and len(text) <= _MAX_DIGITS):
        raise _refusal()
    number = int(text)
    if not -1 <= number <= MAX_NODE:
        raise _refusal()
    return number


def _refusal() -> InvalidPageToken:
    return InvalidPageToken.at("page_token", "was not issued by this method for these arguments")
