"""The indexes at a state, as `domain.query` reads them, and who links to a document."""

import itertools
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from heapq import nsmallest
from typing import Protocol, TypeVar

from ontomesh_data_kernel.adapters.sqlite.lineage import State
from ontomesh_data_kernel.adapters.sqlite.locate import state_of
from ontomesh_data_kernel.adapters.sqlite.reads import Reader, find_nodes
from ontomesh_data_kernel.adapters.sqlite.scans import (
    MAX_NODE,
    TYPE_TAG,
    VALUE_TAG,
    beyond,
    find_paths,
    link_value,
)
from ontomesh_data_kernel.domain.model import Document
from ontomesh_data_kernel.domain.query.access import Equal, Range
from ontomesh_data_kernel.domain.query.executing import MAX_COUNTED, Execution
from ontomesh_data_kernel.domain.query.planning import explain
from ontomesh_data_kernel.domain.query.tree import Plan, Query, Selection
from ontomesh_data_kernel.errors import QueryTooCostly
from ontomesh_data_kernel.ports import Point

T = TypeVar("T")

_SLICES = 10
"""Slices of a page that finds some, but not enough."""


class _ReadAt(Protocol):
    """Reads in a thread, all from one snapshot."""

    def __call__(self, name: str, read: Callable[[Reader], T], point: Point) -> Awaitable[T]: ...


class Selecting:
    """Serves queries, a slice of a query at a time in a thread."""

    def __init__(self, read_at: _ReadAt) -> None:
        self._read_at = read_at

    async def select(self, point: Point, query: Query, position: str, limit: int, max_bytes: int) -> Selection:
        """See `ports.Store`."""
        found: list[Document] = []
        for number in itertools.count(1):
            begin, most, room = position, limit - len(found), max_bytes - sum(len(one.body) for one in found)

            def slice_(reader: Reader, begin: str = begin, most: int = most, room: int = room) -> Selection:
                return Execution(query, SqliteScans(reader, state_of(point))).page(begin, most, room)

            part = await self._read_at("query", slice_, point)
            found += part.documents
            position = part.position
            is_full = len(found) >= limit or sum(len(one.body) for one in found) >= max_bytes
            if not position or is_full or (found and number >= _SLICES):
                break
        return Selection(found, position)

    async def count(self, point: Point, query: Query) -> int:
        """See `ports.Store`."""
        total, examined, position = 0, 0, ""
        while True:

            def slice_(reader: Reader, begin: str = position) -> tuple[int, str, int]:
                execution = Execution(query, SqliteScans(reader, state_of(point)))
                return *execution.count(begin), execution.examined

            found, position, more = await self._read_at("count query", slice_, point)
            total, examined = total + found, examined + more
            if not position:
                return total
            if examined > MAX_COUNTED:
                raise QueryTooCostly.of(MAX_COUNTED)

    async def explain(self, point: Point, query: Query) -> Plan:
        """See `ports.Store`."""
        return await self._read_at(
            "explain query", lambda reader: explain(query, SqliteScans(reader, state_of(point))), point
        )

    async def referrers(
        self, point: Point, target: str, paths: Collection[str], after: str, limit: int
    ) -> Sequence[tuple[str, str]]:
        """See `ports.Store`."""
        return await self._read_at(
            "referrers", lambda reader: referrers(reader, state_of(point), target, paths, after, limit), point
        )


class SqliteScans:
    """Scans at one state; implements `domain.query.sources.Scans`. For one snapshot only."""

    def __init__(self, reader: Reader, state: State) -> None:
        self._reader = reader
        self._state = state
        self._scan = reader.scan(state)
        self._paths: dict[tuple[str, ...], list[int]] = {}

    def _ids(self, paths: Sequence[str]) -> list[int]:
        key = tuple(paths)
        known = self._paths.get(key)
        if known is None:
            known = self._paths[key] = sorted(find_paths(self._reader.connection, key))
        return known

    def _classes(self, classes: Sequence[str]) -> list[int]:
        return self._ids([f"{cls}.@type" for cls in classes])

    def listed(
        self, classes: Sequence[str], after: tuple[bytes, int] | None, batch: int
    ) -> Iterator[tuple[bytes, int]]:
        """See `Scans`."""
        start = (TYPE_TAG + after[0], MAX_NODE) if after else None
        entries = self._scan.entries(self._classes(classes), TYPE_TAG, beyond(TYPE_TAG), start=start, batch=batch)
        return ((value[1:], node) for value, node in entries)

    def ranged(
        self, access: Range, after: tuple[bytes, int] | None, batch: int, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, int]]:
        """See `Scans`."""
        start = (VALUE_TAG + after[0], after[1]) if after else None
        paths = self._ids(access.paths)
        entries = self._scan.entries(paths, *_bounds(access), start=start, reverse=reverse, batch=batch)
        return ((value[1:], node) for value, node in entries)

    def equal(self, access: Equal, after: int, batch: int) -> Iterator[int]:
        """See `Scans`."""
        return self._scan.holders(self._ids(access.paths), _values(access), start=after, batch=batch)

    def linked(self, paths: Sequence[str], targets: Sequence[int], after: int, batch: int) -> Iterator[int]:
        """See `Scans`."""
        values = [link_value(target) for target in targets]
        return self._scan.holders(self._ids(paths), values, start=after, batch=batch)

    def among(self, access: Equal, nodes: Collection[int]) -> set[int]:
        """See `Scans`."""
        return self._scan.among(self._ids(access.paths), _values(access), nodes)

    def count_listed(self, classes: Sequence[str], most: int) -> int:
        """See `Scans`."""
        return self._scan.count(self._classes(classes), TYPE_TAG, beyond(TYPE_TAG), most)

    def count_ranged(self, access: Range, most: int) -> int:
        """See `Scans`."""
        return self._scan.count(self._ids(access.paths), *_bounds(access), most)

    def count_equal(self, access: Equal, most: int) -> int:
        """See `Scans`."""
        return self._count(access.paths, _values(access), most)

    def count_linked(self, paths: Sequence[str], targets: Sequence[int], most: int) -> int:
        """See `Scans`."""
        return self._count(paths, (link_value(target) for target in targets), most)

    def _count(self, paths: Sequence[str], values: Iterable[bytes], most: int) -> int:
        total, ids = 0, self._ids(paths)
        for value in values:
            total += self._scan.count(ids, value, value + b"\0", most - total)
            if total >= most:
                break
        return total

    def nodes(self, ids: Collection[str]) -> Mapping[str, int]:
        """See `Scans`."""
        return find_nodes(self._reader.connection, ids)

    def documents(self, nodes: Sequence[int]) -> Mapping[int, tuple[str, bytes]]:
        """See `Scans`."""
        newest = self._reader.newest(self._state, nodes, bodies=True)
        return {
            node: (hash_.hex(), body)
            for node, (_, hash_, body) in newest.items()
            if hash_ is not None and body is not None
        }

    def bodies(self, ids: Collection[str]) -> Mapping[str, bytes | None]:
        """See `Scans`."""
        found = self._reader.versions(self._state, ids, bodies=True)
        return {id: found[id].body if id in found else None for id in ids}


def _bounds(access: Range) -> tuple[bytes, bytes]:
    high = beyond(VALUE_TAG) if access.high is None else VALUE_TAG + access.high
    return VALUE_TAG + access.low, high


def _values(access: Equal) -> list[bytes]:
    return [VALUE_TAG + key for key in access.keys]


def referrers(
    reader: Reader, state: State, target: str, paths: Collection[str], after: str, limit: int
) -> list[tuple[str, str]]:
    """Return (id, path) of the links to a document by any of the paths (`Class.property`), by id and then path.

    All of them are read for every page, since the index has them in another order.
    """
    node = find_nodes(reader.connection, [target]).get(target)
    if node is None:
        return []
    scan = reader.scan(state)
    held = [
        (path, holder)
        for path in paths
        for holder in scan.holders(find_paths(reader.connection, [path]), (link_value(node),))
    ]
    names = reader.iris({holder for _, holder in held})
    pairs = ((names[holder], path) for path, holder in held)
    return nsmallest(limit, (pair for pair in pairs if f"{pair[0]} {pair[1]}" > after))
