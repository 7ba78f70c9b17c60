"""What each lineage changed, in memory: so that a read at a state goes straight to the lineage that has the version.

A deep chain of lineages would otherwise be probed one by one for every document.
"""

import itertools
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from threading import Lock

MAX_ROWS = 20_000
"""Versions of a lineage beyond which it is probed instead."""
MAX_NODES = 250_000
"""Documents remembered of all lineages together, some 25 MB; those of lineages not asked for longest are dropped."""

_FEW = 500
"""Changes of a whole chain that are worth merging into one map for one read."""

_ROWS = """
SELECT seq, doc FROM doc INDEXED BY doc_log WHERE lineage=? AND (seq, doc)>(?, ?) AND seq<=? ORDER BY seq, doc LIMIT ?
"""
_EXISTS = "SELECT 1 FROM commits WHERE lineage=? AND seq=?"


class _Overlay:
    """{node: the first seq at which the lineage has a version of it}, for all versions up to and at `seq`.

    Only ever grows, so that it may be read while it does. What was read beyond `seq` reaches up to `position`.
    """

    __slots__ = ("is_large", "nodes", "position", "rows", "seq", "used")

    def __init__(self) -> None:
        self.nodes: dict[int, int] = {}
        self.seq = -1
        self.position = (-1, -1)
        self.rows = 0
        self.used = 0
        self.is_large = False


class Overlays:
    """The overlays of committed lineages, shared by all threads."""

    def __init__(self) -> None:
        self._by_lineage: dict[int, _Overlay] = {}
        self._lock = Lock()
        self._clock = itertools.count().__next__

    def get(self, lineage: int, seq: int) -> Mapping[int, int] | None:
        """{node: first seq} of what the lineage changed, complete for all seqs up to `seq`; None if not known."""
        overlay = self._by_lineage.get(lineage)
        if overlay is None:
            return None
        nodes = overlay.nodes
        # Asked after that: where there were too many meanwhile, and these are the ones put in their place, it says so.
        if overlay.seq < seq:
            return None
        overlay.used = self._clock()
        return nodes

    def extend(self, connection: sqlite3.Connection, lineage: int, seq: int, most: int) -> Mapping[int, int] | None:
        """As `get`, having read up to `most` further versions; `seq` must be a committed commit's.

        Returns None if that was not enough, the lineage has too many, or another thread is at it.
        """
        overlay = self._by_lineage.get(lineage)
        if (overlay is not None and overlay.is_large) or not self._lock.acquire(blocking=False):
            return None
        try:
            return self._extend(connection, lineage, seq, most)
        finally:
            self._lock.release()

    def _extend(self, connection: sqlite3.Connection, lineage: int, seq: int, most: int) -> Mapping[int, int] | None:
        overlay = self._by_lineage.get(lineage) or _Overlay()
        rows = connection.execute(_ROWS, (lineage, *overlay.position, seq, most + 1)).fetchall()
        # A commit that is there after its rows were read had them all; one that is not was deleted, or is not yet one.
        if connection.execute(_EXISTS, (lineage, seq)).fetchone() is None:
            return None
        self._by_lineage[lineage] = overlay
        overlay.used = self._clock()
        for at, node in rows[:most]:
            overlay.nodes.setdefault(node, at)
            overlay.position = (at, node)
        overlay.rows += len(rows[:most])
        if overlay.rows > MAX_ROWS:
            overlay.is_large, overlay.seq, overlay.nodes = True, -1, {}
            return None
        if len(rows) > most:
            return None
        overlay.seq = max(overlay.seq, seq)
        self._drop(lineage)
        return overlay.nodes

    def _drop(self, kept: int) -> None:
        """Forget the lineages not asked for longest if there is too much of all."""
        excess = sum(len(overlay.nodes) for overlay in list(self._by_lineage.values())) - MAX_NODES
        if excess <= 0:
            return
        for lineage, overlay in sorted(self._by_lineage.items(), key=lambda item: item[1].used):
            if lineage != kept and overlay.nodes:
                del self._by_lineage[lineage]
                excess -= len(overlay.nodes)
                if excess <= 0:
                    return


class View:
    """A state's lineages, nearest first, each as far as it counts there, with what is known of their changes.

    The last one hides nothing and needs no overlay.
    """

    __slots__ = ("_changes", "_connection", "_nearest", "chain")

    _HIDDEN = "SELECT 1 FROM doc WHERE lineage=? AND doc=? AND seq<=? LIMIT 1"
    _LATER = "SELECT 1 FROM commits WHERE lineage=? AND seq>? LIMIT 1"

    def __init__(
        self,
        connection: sqlite3.Connection,
        chain: Sequence[tuple[int, int]],
        overlay: Callable[[sqlite3.Connection, int, int], Mapping[int, int] | None],
    ) -> None:
        self.chain = chain
        self._connection = connection
        self._changes = [overlay(connection, lineage, seq) for lineage, seq in chain[:-1]]
        self._nearest: dict[int, int] | None = None
        if sum(len(changes) if changes is not None else _FEW for changes in self._changes) < _FEW:
            self._nearest = {}
            for depth in range(len(chain) - 2, -1, -1):
                changes, seq = self._changes[depth] or {}, chain[depth][1]
                # A copy, made at once: another thread may be adding to them.
                self._nearest.update({node: depth for node, first in dict(changes).items() if first <= seq})

    def is_hidden(self, depth: int, node: int) -> bool:
        """Whether a lineage nearer than `depth` has a version of a document, or a deletion."""
        if self._nearest is not None:
            return self._nearest.get(node, depth) < depth
        return any(self._has(nearer, node) for nearer in range(depth))

    def _has(self, depth: int, node: int) -> bool:
        lineage, seq = self.chain[depth]
        changes = self._changes[depth]
        if changes is not None:
            return changes.get(node, seq + 1) <= seq
        return self._connection.execute(self._HIDDEN, (lineage, node, seq)).fetchone() is not None

    def may_index(self, depth: int) -> bool:
        """Whether a lineage may have entries: not if it is known to have changed nothing."""
        return depth == len(self.chain) - 1 or self._changes[depth] != {}

    def is_newest(self, depth: int) -> bool:
        """Whether the state is its lineage's last, so that all current entries hold there; False if that may change."""
        if not self._connection.in_transaction:
            return False
        return self._connection.execute(self._LATER, self.chain[depth]).fetchone() is None
