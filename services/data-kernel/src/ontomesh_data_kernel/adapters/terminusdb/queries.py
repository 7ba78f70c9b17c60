"""Serving queries: the server finds candidates and what orders them, and each document is examined before it is told.

A query's candidates at a commit are ids in the query's order, asked for once and remembered, so that pages are parts of
one list. Without an order they are in the order of ids.
"""

import asyncio
from base64 import urlsafe_b64decode, urlsafe_b64encode
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ontomesh_data_kernel.adapters.terminusdb import woql
from ontomesh_data_kernel.adapters.terminusdb.client import Client
from ontomesh_data_kernel.adapters.terminusdb.conditions import Condition, Conditions
from ontomesh_data_kernel.adapters.terminusdb.points import address
from ontomesh_data_kernel.adapters.terminusdb.reads import Reader
from ontomesh_data_kernel.adapters.terminusdb.sorting import Orders
from ontomesh_data_kernel.domain.model import Document
from ontomesh_data_kernel.domain.query.access import segments, terms_of
from ontomesh_data_kernel.domain.query.evaluate import Body, Evaluator
from ontomesh_data_kernel.domain.query.language import fingerprint, render
from ontomesh_data_kernel.domain.query.tree import (
    EXPLAIN_COUNTS,
    And,
    Compare,
    Hop,
    In,
    Or,
    Plan,
    Predicate,
    Present,
    Query,
    Selection,
)
from ontomesh_data_kernel.errors import InvalidPageToken, QueryTooCostly
from ontomesh_data_kernel.ports import Point

MAX_EXAMINED = 100_000
"""Documents examined for one answer, and documents put into an order."""
MAX_CANDIDATES = 1_000_000
"""Ids that the server is asked for."""

_BATCH = 200
_SLICE = 2_000
"""Documents examined for a page that has found some, and with one evaluator, which keeps what they link to."""
_REMEMBERED_LISTS = 64
_REMEMBERED_IDS = 1_000_000
_POSITION_PARTS = 3
_MAX_DIGITS = 7


@dataclass(frozen=True, slots=True)
class _Found:
    """Ids of documents, among them all that match, in the query's order; `is_exact` if there are no others."""

    ids: Sequence[str]
    is_exact: bool


class Queries:
    """Serves the queries of any database."""

    def __init__(self, client: Client, reader: Reader) -> None:
        self._client = client
        self._reader = reader
        self._lists: OrderedDict[tuple[str, ...], Sequence[str]] = OrderedDict()
        self._remembered = 0

    async def select(self, point: Point, query: Query, position: str, limit: int, max_bytes: int) -> Selection:
        """See `ports.Store`."""
        check = fingerprint(query)[:16]
        told = _read_position(position, check) if position else None
        ids = (await self._ordered(point, query)).ids
        begin = next_ = _index_after(ids, *told) if told else 0
        found: list[Document] = []
        size = 0
        evaluator = Evaluator(query)
        while next_ < len(ids) and not (found and next_ - begin >= _SLICE):
            if next_ - begin >= MAX_EXAMINED:
                raise QueryTooCostly.of(MAX_EXAMINED)
            if (next_ - begin) % _SLICE == 0:
                evaluator = Evaluator(query)
            some = ids[next_ : next_ + min(_BATCH, limit)]
            matching = {document.id: document for document, _ in await self._matching(point, evaluator, some)}
            for id in some:
                if len(found) == limit or (found and size >= max_bytes):
                    break
                if id in matching:
                    found.append(matching[id])
                    size += len(matching[id].body)
                next_ += 1
            else:
                continue
            break
        is_end = next_ == len(ids)
        return Selection(found, "" if is_end else f"{check}.{next_ - 1}.{_encoded(ids[next_ - 1])}")

    async def count(self, point: Point, query: Query) -> int:
        """See `ports.Store`."""
        query = Query(query.classes, query.where)
        found = await self._candidates(point, query)
        if found.is_exact:
            return len(found.ids)
        return len(await self._examined(point, query, found.ids))

    async def explain(self, point: Point, query: Query) -> Plan:
        """See `ports.Store`."""
        found = await self._candidates(point, query)
        conditions = await self._conditions(point)
        terms = [(term, conditions.of(term)) for term in terms_of(query)]
        left = tuple(term for term, condition in terms if not condition.is_exact)
        access = [name for term, condition in terms if condition.phrase is not None for name in _read(term)]
        access = access or [f"class {cls}" for cls in query.classes]
        residual = "" if not left else render(left[0] if len(left) == 1 else And(left))
        reads, is_more = min(len(found.ids), EXPLAIN_COUNTS), len(found.ids) > EXPLAIN_COUNTS
        return Plan(tuple(dict.fromkeys(access)), reads, is_more, residual, bool(query.order))

    async def referrers(
        self, point: Point, target: str, paths: Collection[str], after: str, limit: int
    ) -> Sequence[tuple[str, str]]:
        """See `ports.Store`."""
        native, backend = address(point)
        known = self._recall(key := ("referrers", native, backend, target, *sorted(paths)))
        if known is None:
            pairs = await self._reader.links(native, backend, target, paths)
            known = self._remember(key, [f"{id} {path}" for id, path in sorted(pairs)])
        begin = bisect_right(known, after) if after else 0
        found = (one.rpartition(" ") for one in known[begin : begin + limit])
        return [(id, path) for id, _, path in found]

    # Candidates

    async def _candidates(self, point: Point, query: Query) -> _Found:
        """The ids of documents, in order, that the server finds for the filter. Raises QueryTooCostly."""
        native, backend = address(point)
        condition = (await self._conditions(point)).of(query.where)
        if not query.classes:
            return _Found((), is_exact=True)
        if condition.phrase is None:
            return _Found(await self._reader.ids(native, backend, query.classes), condition.is_exact)
        known = self._recall(key := (native, backend, fingerprint(Query(query.classes, query.where))))
        if known is None:
            asked = woql.limit(MAX_CANDIDATES + 1, woql.select(["Id"], condition.phrase))
            rows = await self._client.woql(native, "local", "commit", backend, query=asked)
            if len(rows) > MAX_CANDIDATES:
                raise QueryTooCostly.of(MAX_CANDIDATES)
            known = self._remember(key, await asyncio.to_thread(_ids, rows, query.classes))
        return _Found(known, condition.is_exact)

    async def _ordered(self, point: Point, query: Query) -> _Found:
        """The candidates in the query's order. Raises QueryTooCostly."""
        found = await self._candidates(point, query)
        if not query.order or not found.ids:
            return found
        if len(found.ids) > MAX_EXAMINED:
            raise QueryTooCostly.of(MAX_EXAMINED)
        native, backend = address(point)
        known = self._recall(key := (native, backend, fingerprint(query)))
        if known is None:
            known = self._remember(key, await self._sorted(point, query, found.ids))
        return _Found(known, found.is_exact)

    async def _sorted(self, point: Point, query: Query, ids: Sequence[str]) -> Sequence[str]:
        native, backend = address(point)
        converter = await self._reader.converter(native, backend, point.ontology_digest)
        orders = Orders(converter.ontology, await self._reader.schema(native, backend))
        asked = [orders.asked(order, await self._phrase(point, query)) for order in query.order]
        if any(one is None for one in asked):
            # What lies within subdocuments is in no triple of its own.
            keyed = await self._examined(point, query, ids)
            return await asyncio.to_thread(lambda: [id for _, id in sorted(keyed)])
        keys: list[Mapping[str, bytes]] = []
        for order, phrase in zip(query.order, asked, strict=True):
            rows = await self._client.woql(native, "local", "commit", backend, query=phrase) if phrase else ()
            keys.append(await asyncio.to_thread(orders.keys, order, ids, rows))
        return await asyncio.to_thread(_by_keys, ids, query, keys)

    async def _phrase(self, point: Point, query: Query) -> woql.Phrase | None:
        condition: Condition = (await self._conditions(point)).of(query.where)
        return condition.phrase

    async def _conditions(self, point: Point) -> Conditions:
        native, backend = address(point)
        converter = await self._reader.converter(native, backend, point.ontology_digest)
        return Conditions(converter.ontology, await self._reader.schema(native, backend))

    # Examining

    async def _examined(self, point: Point, query: Query, ids: Sequence[str]) -> list[tuple[bytes, str]]:
        """The order keys and ids of those that match. Raises QueryTooCostly."""
        if len(ids) > MAX_EXAMINED:
            raise QueryTooCostly.of(MAX_EXAMINED)
        found: list[tuple[bytes, str]] = []
        evaluator = Evaluator(query)
        for begin in range(0, len(ids), _BATCH):
            if begin % _SLICE == 0:
                evaluator = Evaluator(query)
            some = await self._matching(point, evaluator, ids[begin : begin + _BATCH])
            found += [(evaluator.order_key(body), document.id) for document, body in some]
        return found

    async def _matching(
        self, point: Point, evaluator: Evaluator, ids: Sequence[str]
    ) -> Sequence[tuple[Document, Body]]:
        """Those of the documents that match, as stored and parsed."""
        read = self._reader.versions
        place = (*address(point), point.ontology_digest)
        versions = await read(*place, ids)
        documents = [Document(id, versions[id].body, versions[id].etag) for id in ids if id in versions]
        bodies = await asyncio.to_thread(lambda: [evaluator.parse(document.body) for document in documents])
        verdicts, missing = await asyncio.to_thread(evaluator.examine, bodies)
        while missing:
            linked = await read(*place, missing)
            learnt = {id: linked[id].body if id in linked else None for id in missing}
            await asyncio.to_thread(evaluator.learn, learnt)
            verdicts, missing = await asyncio.to_thread(evaluator.examine, bodies)
        judged = zip(documents, bodies, verdicts, strict=True)
        return [(document, body) for document, body, verdict in judged if verdict]

    # Lists of ids

    def _recall(self, key: tuple[str, ...]) -> Sequence[str] | None:
        known = self._lists.get(key)
        if known is not None:
            self._lists.move_to_end(key)
        return known

    def _remember(self, key: tuple[str, ...], ids: Sequence[str]) -> Sequence[str]:
        self._remembered += len(ids) - len(self._lists.pop(key, ()))
        self._lists[key] = ids
        while len(self._lists) > 1 and (len(self._lists) > _REMEMBERED_LISTS or self._remembered > _REMEMBERED_IDS):
            self._remembered -= len(self._lists.popitem(last=False)[1])
        return ids


def _read(predicate: Predicate) -> Iterator[str]:
    """What the server reads to find what fulfils a condition, for people; from the end of each path."""
    match predicate:
        case And(terms) | Or(terms):
            for term in terms:
                yield from _read(term)
        case Compare(path) | In(path) | Present(path):
            if not path.hops:
                yield "ids" if path.type == "@id" else "classes"
                return
            *links, last = segments(path)
            yield from _named("links" if path.type in ("link", "@type") else "values", last)
            for segment in reversed(links):
                yield from _named("links", segment)


def _named(what: str, part: Sequence[Hop]) -> Iterator[str]:
    dotted = ".".join(hop.name for hop in part)
    return (f"{what} {cls}.{dotted}" for cls in part[0].classes)


def _ids(rows: Sequence[Mapping[str, str]], classes: Collection[str]) -> Sequence[str]:
    known = frozenset(classes)
    return sorted(id for id in {row["Id"] for row in rows} if id.partition("/")[0] in known)


def _by_keys(ids: Sequence[str], query: Query, keys: Sequence[Mapping[str, bytes]]) -> Sequence[str]:
    """Ids in the query's order; those without a value last, and equals by id."""
    ordered = list(ids)
    for order, of in reversed(list(zip(query.order, keys, strict=True))):
        having = sorted((id for id in ordered if id in of), key=of.__getitem__, reverse=order.descending)
        ordered = [*having, *(id for id in ordered if id not in of)]
    return ordered


def _encoded(id: str) -> str:
    return urlsafe_b64encode(id.encode()).decode().rstrip("=")


def _read_position(position: str, check: str) -> tuple[int, str]:
    """The place in the list, and the id there, that a part ended with. Raises InvalidPageToken."""
    parts = position.split(".")
    if len(parts) != _POSITION_PARTS or parts[0] != check or not parts[1].isascii() or not parts[1].isdigit():
        raise _refusal()
    if len(parts[1]) > _MAX_DIGITS:
        raise _refusal()
    try:
        id = urlsafe_b64decode(parts[2] + "=" * (-len(parts[2]) % 4)).decode()
    except ValueError:
        raise _refusal() from None
    return int(parts[1]), id


def _index_after(ids: Sequence[str], index: int, id: str) -> int:
    """Where the next part begins. Raises InvalidPageToken."""
    if index >= len(ids) or ids[index] != id:
        raise _refusal()
    return index + 1


def _refusal() -> InvalidPageToken:
    return InvalidPageToken.at("page_token", "was not issued by this method for these arguments")
