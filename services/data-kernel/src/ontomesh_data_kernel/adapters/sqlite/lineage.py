"""Lineages: the chain of states behind a state, its ancestors, and the best common ones of two."""

import sqlite3
from collections.abc import Mapping

from ontomesh_data_kernel.adapters.sqlite.overlay import MAX_ROWS, Overlays, View
from ontomesh_data_kernel.errors import CommitNotFound

State = tuple[int, int]
"""(lineage, seq): the address of a commit."""

_ROWS_ON_LOOP = 500


class Lineages:
    """Walks lineages; remembers where each forked, which never changes once committed. Usable from any thread."""

    def __init__(self) -> None:
        self._forks: dict[int, tuple[int | None, int, int]] = {}
        self._learns = True
        self._overlays = Overlays()
        self._rows = MAX_ROWS

    def inside_transactions(self) -> "Lineages":
        """The same memory for one who sees lineages that are not committed yet: it learns only by `learn`."""
        return self._twin(learns=False, rows=0)

    def on_loop(self) -> "Lineages":
        """The same memory for one who must not take long to learn."""
        return self._twin(learns=True, rows=_ROWS_ON_LOOP)

    def _twin(self, *, learns: bool, rows: int) -> "Lineages":
        twin = Lineages()
        twin._forks, twin._overlays, twin._learns, twin._rows = self._forks, self._overlays, learns, rows
        return twin

    def fork(self, connection: sqlite3.Connection, lineage: int) -> tuple[int | None, int]:
        """Return the (parent, fork_seq) that a lineage forked from; no parent for the first of a history."""
        return self._of(connection, lineage)[:2]

    def first(self, connection: sqlite3.Connection, lineage: int) -> int:
        """Return the first seq that is a lineage's own: fork_seq + 1, but for an import's, whose fork moved."""
        return self._of(connection, lineage)[2]

    def _of(self, connection: sqlite3.Connection, lineage: int) -> tuple[int | None, int, int]:
        known = self._forks.get(lineage)
        if known is None:
            query = "SELECT parent, fork_seq, first_seq FROM lineage WHERE id=?"
            row: tuple[int | None, int, int] | None = connection.execute(query, (lineage,)).fetchone()
            if row is None:
                raise CommitNotFound("the commit's database was deleted meanwhile")
            known = row[0], row[1], row[2] or row[1] + 1
            if self._learns:
                self.learn(lineage, *known)
        return known

    def learn(self, lineage: int, parent: int | None, fork_seq: int, first_seq: int = 0) -> None:
        """Remember a committed lineage. One of an import's may be met only once that is finished: its fork moves."""
        if len(self._forks) > 100_000:
            self._forks.clear()
        self._forks[lineage] = (parent, fork_seq, first_seq or fork_seq + 1)

    def chain(self, connection: sqlite3.Connection, state: State) -> list[State]:
        """The states to look in, nearest first: the state itself, then its lineages' forks."""
        lineage, _ = state
        chain = [state]
        while True:
            parent, fork_seq = self.fork(connection, lineage)
            if parent is None:
                return chain
            chain.append((parent, fork_seq))
            lineage = parent

    def overlay(self, connection: sqlite3.Connection, lineage: int, seq: int) -> Mapping[int, int] | None:
        """{node: first seq} of what a lineage changed, complete up to `seq`; None if it is to be probed."""
        known = self._overlays.get(lineage, seq)
        if known is None and self._rows:
            known = self._overlays.extend(connection, lineage, seq, self._rows)
        return known

    def view(self, connection: sqlite3.Connection, state: State) -> View:
        """The chain of a state with what is known of its lineages."""
        return View(connection, self.chain(connection, state), self.overlay)

    def back(self, connection: sqlite3.Connection, state: State, steps: int) -> State | None:
        """The state `steps` first parents back, or None if the history does not reach so far."""
        lineage, seq = state
        while True:
            first = self.first(connection, lineage)
            if seq - steps >= first:
                return (lineage, seq - steps)
            parent, fork_seq = self.fork(connection, lineage)
            if parent is None:
                return None
            steps -= seq - first + 1
            lineage, seq = parent, fork_seq

    def ancestors(self, connection: sqlite3.Connection, *states: State) -> dict[int, int]:
        """All that states reach, themselves included, as {lineage: greatest seq}."""
        reached: dict[int, int] = {}
        frontier = list(states)
        merges = (
            "SELECT m_lineage, m_seq FROM commits INDEXED BY commit_merge "
            "WHERE lineage=? AND seq>? AND seq<=? AND m_lineage IS NOT NULL"
        )
        while frontier:
            lineage, seq = frontier.pop()
            seen = reached.get(lineage)
            if seen is not None and seen >= seq:
                continue
            reached[lineage] = seq
            parent, fork_seq = self.fork(connection, lineage)
            after = self.first(connection, lineage) - 1 if seen is None else seen
            frontier += connection.execute(merges, (lineage, after, seq)).fetchall()
            if parent is not None and seen is None:
                frontier.append((parent, fork_seq))
        return reached

    def merge_bases(self, connection: sqlite3.Connection, ours: State, theirs: State) -> list[State]:
        """The common ancestors that no other common ancestor reaches."""
        mine, yours = self.ancestors(connection, ours), self.ancestors(connection, theirs)
        common = {lineage: min(seq, yours[lineage]) for lineage, seq in mine.items() if lineage in yours}
        best = dict(common)
        for lineage, seq in common.items():
            if lineage not in best:
                continue
            for other, reach in self.ancestors(connection, (lineage, seq)).items():
                if other != lineage and best.get(other, reach + 1) <= reach:
                    del best[other]
        return list(best.items())
