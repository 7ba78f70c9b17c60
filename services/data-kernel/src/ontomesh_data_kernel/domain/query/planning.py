"""Choosing how a query is served, by what a store's indexes say of their sizes.

The choice depends on the query and the commit alone, so that every page of a result has the same order.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from operator import itemgetter

from ontomesh_data_kernel.domain.query.access import (
    Access,
    Range,
    candidates,
    described,
    is_exact,
    order_range,
    without,
)
from ontomesh_data_kernel.domain.query.language import render
from ontomesh_data_kernel.domain.query.sources import Scans, estimate, is_certain
from ontomesh_data_kernel.domain.query.tree import EXPLAIN_COUNTS, Order, Path, Plan, Predicate, Query

_FEW = 1_000
"""Matches that are sorted in memory rather than found by walking an index in the order asked for."""
_MANY = 20_000
"""Entries that are counted to choose the smallest of several indexes, all of whose entries would be sorted."""


class Mode(Enum):
    """How the documents that an access reaches become the result."""

    STREAMED = "u"
    """As they come."""
    ORDERED = "o"
    """As they come, by the order's first field; then those without a value of it."""
    SORTED = "s"
    """All of them are sorted."""


@dataclass(frozen=True, slots=True)
class Strategy:
    """An access and what becomes of it; `number` is its place among the candidates, and `covered` has the terms that
    hold for all that it reaches.
    """

    mode: Mode
    number: int
    access: Access
    covered: tuple[Predicate, ...] = ()

    @property
    def name(self) -> str:
        """Names the strategy among those of a query."""
        return f"{self.mode.value}{self.number}"


def strategy_named(query: Query, name: str) -> Strategy | None:
    """The strategy of this name, which an earlier page chose."""
    return next((one for one in _strategies(query) if one.name == name), None)


def _strategies(query: Query) -> Iterator[Strategy]:
    found = candidates(query)
    mode = Mode.SORTED if query.order else Mode.STREAMED
    for number, (access, term) in enumerate(found):
        yield Strategy(mode, number, access, (term,) if term is not None and is_exact(access) else ())
    if _is_by_id(query):
        yield Strategy(Mode.STREAMED, len(found) - 1, found[-1][0])
    in_order = order_range(query)
    if in_order is not None:
        yield Strategy(Mode.ORDERED, 0, *in_order)


def _is_by_id(query: Query) -> bool:
    return bool(query.order) and query.order[0] == Order(Path((), "@id"))


def choose(query: Query, scans: Scans) -> Strategy:
    """The way that seems to read least."""
    strategies = list(_strategies(query))
    walk = strategies[-1] if strategies[-1].mode is not strategies[0].mode else None
    indexed = [one for one in strategies if one.mode is strategies[0].mode]
    listing = indexed.pop()
    if walk is not None and isinstance(walk.access, Range):
        # What the filter says of the order's own field has gone into the walk.
        indexed = [one for one in indexed if getattr(one.access, "paths", ()) != walk.access.paths]
    if not indexed:
        return walk or listing
    if len(indexed) == 1 and walk is None and is_certain(indexed[0].access):
        return indexed[0]
    sized = [(size, one) for one in indexed if (size := estimate(scans, one.access, _FEW)) is not None]
    if not sized:
        return walk or listing
    least, best = min(sized, key=itemgetter(0))
    if walk is not None and (least >= _FEW or least > (estimate(scans, walk.access, _FEW) or 0)):
        return walk
    if least >= _FEW and len(sized) > 1 and best.mode is Mode.SORTED:
        _, best = min(((estimate(scans, one.access, _MANY) or 0, one) for _, one in sized), key=itemgetter(0))
    return best


def explain(query: Query, scans: Scans) -> Plan:
    """How the query would be served."""
    strategy = choose(query, scans)
    reads = estimate(scans, strategy.access, EXPLAIN_COUNTS + 1) or 0
    left = without(query, strategy.covered).where
    return Plan(
        described(strategy.access),
        min(reads, EXPLAIN_COUNTS),
        reads > EXPLAIN_COUNTS,
        "" if left is None else render(left),
        strategy.mode is Mode.SORTED,
    )
