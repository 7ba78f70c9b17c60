"""Lineages: the chain of states behind a state, its ancestors, and the best common ones of two."""

import sqlite3

from ontomesh_data_kernel.errors import CommitNotFound

State = tuple[int, int]
"""(lineage, seq): the address of a commit."""


class Lineages:
    """Walks lineages; remembers where each forked, which never changes once committed. Usable from any thread."""

    def __init__(self) -> None:
        self._forks: dict[int, tuple[int | None, int]] = {}
        self._learns = True

    def inside_transactions(self) -> "Lineages":
        """The same memory for one who sees lineages that are not committed yet: it learns only by `learn`."""
        twin = Lineages()
        twin._forks, twin._learns = self._forks, False
        return twin

    def fork(self, connection: sqlite3.Connection, lineage: int) -> tuple[int | None, int]:
        """Return the (parent, fork_seq) that a lineage forked from; no parent for the first of a history."""
        known = self._forks.get(lineage)
        if known is None:
            query = "SELECT parent, fork_seq FROM lineage WHERE id=?"
            row: tuple[int | None, int] | None = connection.execute(query, (lineage,)).fetchone()
            if row is None:
                raise CommitNotFound("the commit's database was deleted meanwhile")
            if self._learns:
                self.learn(lineage, *row)
            return row
        return known

    def learn(self, lineage: int, parent: int | None, fork_seq: int) -> None:
        """Remember a committed lineage."""
        if len(self._forks) > 100_000:
            self._forks.clear()
        self._forks[lineage] = (parent, fork_seq)

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

    def back(self, connection: sqlite3.Connection, state: State, steps: int) -> State | None:
        """The state `steps` first parents back, or None if the history does not reach so far."""
        lineage, seq = state
        seq -= steps
        while True:
            parent, fork_seq = self.fork(connection, lineage)
            if seq > fork_seq:
                return (lineage, seq)
            if parent is None:
                return None
            lineage = parent

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
            frontier += connection.execute(merges, (lineage, fork_seq if seen is None else seen, seq)).fetchall()
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
