"""Scans of the index at a state: entries of paths in order, through all the lineages of its chain."""

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from heapq import merge as merge_sorted

from ontomesh_data_kernel.adapters.sqlite.overlay import View

TYPE_TAG, LINK_TAG, VALUE_TAG = b"T", b"L", b"V"
"""What the value of an entry begins with: a document under its class, a link, or the value of an indexed path."""
MAX_NODE = (1 << 63) - 1

Entry = tuple[bytes, int]
"""(value, node)."""

_FIRST_BATCH = 64
_MAX_BATCH = 1_024

_BETWEEN = {False: "(val, doc)>(?3, ?4) AND val<?5", True: "(val, doc)<(?3, ?4) AND val>=?5"}
_DIRECTION = {False: "val, doc", True: "val DESC, doc DESC"}


def _statement(select: str, where: str, end: str) -> dict[bool, str]:
    """The statement for a lineage's newest state (True), and for an earlier one, whose seq is ?1."""
    return {
        True: f"SELECT {select} FROM prop WHERE ?1>=0 AND lineage=?2 AND {where} {end}",  # noqa: S608 - constants
        False: f"SELECT {select} FROM prop WHERE lineage=?2 AND {where} AND from_seq<=?1 UNION ALL "  # noqa: S608
        f"SELECT {select} FROM prop_hist WHERE lineage=?2 AND {where} AND from_seq<=?1 AND to_seq>?1 {end}",
    }


_RANGE = {
    reverse: _statement("val, doc", f"path=?6 AND {_BETWEEN[reverse]}", f"ORDER BY {_DIRECTION[reverse]} LIMIT ?7")
    for reverse in (False, True)
}
_EXACT = _statement("doc", "path=?3 AND val=?4 AND doc>?5", "ORDER BY doc LIMIT ?6")
_AMONG = {
    True: "SELECT p.doc FROM json_each(?5) j CROSS JOIN prop p "
    "ON ?1>=0 AND p.lineage=?2 AND p.path=?3 AND p.val=?4 AND p.doc=j.value",
    False: "SELECT p.doc FROM json_each(?5) j CROSS JOIN prop p "
    "ON p.lineage=?2 AND p.path=?3 AND p.val=?4 AND p.doc=j.value AND p.from_seq<=?1 UNION ALL "
    "SELECT p.doc FROM json_each(?5) j CROSS JOIN prop_hist p "
    "ON p.lineage=?2 AND p.path=?3 AND p.val=?4 AND p.doc=j.value AND p.from_seq<=?1 AND p.to_seq>?1",
}
_COUNT = {newest: f"SELECT count(*) FROM ({sql})" for newest, sql in _RANGE[False].items()}  # noqa: S608 - constants
_PATHS = "SELECT p.id FROM json_each(?) j CROSS JOIN path p ON p.name = j.value"


def link_value(node: int) -> bytes:
    """How a link to a node is indexed."""
    return LINK_TAG + node.to_bytes(6, "big")


def type_value(iri: str) -> bytes:
    """How a document is indexed under its class: by its id, so that a class lists in id order."""
    return TYPE_TAG + iri.encode()


def beyond(value: bytes) -> bytes:
    """The least value that is greater than all that begin with this one, whose last byte is not 0xff."""
    return value[:-1] + bytes((value[-1] + 1,))


def find_paths(connection: sqlite3.Connection, names: Iterable[str]) -> list[int]:
    """Return the ids of those paths that were ever indexed."""
    return [row[0] for row in connection.execute(_PATHS, (json.dumps(list(names)),))]


class Scan:
    """Scans on one connection at one state. What it returns depends on the state alone."""

    def __init__(self, connection: sqlite3.Connection, view: View) -> None:
        self._execute = connection.execute
        self._view = view
        self._depths = [depth for depth in range(len(view.chain)) if view.may_index(depth)]
        self._newest = {depth: view.is_newest(depth) for depth in self._depths}

    def entries(
        self,
        paths: Collection[int],
        low: bytes,
        high: bytes,
        *,
        start: Entry | None = None,
        reverse: bool = False,
        batch: int = _FIRST_BATCH,
    ) -> Iterator[Entry]:
        """Iterate over the entries of paths with low <= value < high by (value, node), those beyond `start`."""
        if start is None:
            start = (high, -1) if reverse else (low, -1)
        bound = low if reverse else high
        arms = [self._range(depth, path, start, bound, reverse, batch) for depth in self._depths for path in paths]
        return iter(arms[0]) if len(arms) == 1 else merge_sorted(*arms, reverse=reverse)

    def _range(self, depth: int, path: int, start: Entry, bound: bytes, reverse: bool, batch: int) -> Iterator[Entry]:
        lineage, seq = self._view.chain[depth]
        statement, is_hidden = _RANGE[reverse][self._newest[depth]], self._view.is_hidden
        while True:
            rows = self._execute(statement, (seq, lineage, *start, bound, path, batch)).fetchall()
            if depth == 0:
                yield from rows
            else:
                yield from (row for row in rows if not is_hidden(depth, row[1]))
            if len(rows) < batch:
                return
            start, batch = rows[-1], min(4 * batch, _MAX_BATCH)

    def holders(
        self, paths: Collection[int], values: Sequence[bytes], *, start: int = -1, batch: int = _FIRST_BATCH
    ) -> Iterator[int]:
        """Iterate over the nodes that have one of the values in one of the paths, each once, in order after `start`."""
        arms = [
            self._exact(depth, path, value, start, batch)
            for depth in self._depths
            for path in paths
            for value in values
        ]
        if len(arms) == 1:
            yield from arms[0]
            return
        last = start
        for node in merge_sorted(*arms):
            if node != last:
                yield node
                last = node

    def _exact(self, depth: int, path: int, value: bytes, start: int, batch: int) -> Iterator[int]:
        lineage, seq = self._view.chain[depth]
        statement, is_hidden = _EXACT[self._newest[depth]], self._view.is_hidden
        while True:
            rows = self._execute(statement, (seq, lineage, path, value, start, batch)).fetchall()
            for (node,) in rows:
                if depth == 0 or not is_hidden(depth, node):
                    yield node
            if len(rows) < batch:
                return
            start, batch = rows[-1][0], min(4 * batch, _MAX_BATCH)

    def among(self, paths: Collection[int], values: Sequence[bytes], nodes: Collection[int]) -> set[int]:
        """Return those of the nodes that have one of the values in one of the paths."""
        asked = json.dumps(list(nodes))
        found: set[int] = set()
        for depth in self._depths:
            lineage, seq = self._view.chain[depth]
            for path in paths:
                for value in values:
                    rows = self._execute(_AMONG[self._newest[depth]], (seq, lineage, path, value, asked))
                    found.update(node for (node,) in rows if not self._view.is_hidden(depth, node))
        return found

    def count(self, paths: Collection[int], low: bytes, high: bytes, most: int) -> int:
        """Count entries with low <= value < high, hidden ones included, up to `most`; the same at every reading."""
        total = 0
        for depth in self._depths:
            lineage, seq = self._view.chain[depth]
            for path in paths:
                asked = (seq, lineage, low, -1, high, path, most - total)
                total += int(self._execute(_COUNT[self._newest[depth]], asked).fetchone()[0])
                if total >= most:
                    return total
        return total
