"""Reading the history: logs, and every commit as it was stored."""

import sqlite3
from collections.abc import Collection, Iterator

from ontomesh_data_kernel.adapters.sqlite.apply import COMMIT_FIELDS, commit_of
from ontomesh_data_kernel.adapters.sqlite.lineage import Lineages, State
from ontomesh_data_kernel.adapters.sqlite.reads import Reader
from ontomesh_data_kernel.domain.model import Commit
from ontomesh_data_kernel.errors import CommitNotFound
from ontomesh_data_kernel.ports import HistoryEntry, Point, StoredChange

_LOG = f"""
SELECT {COMMIT_FIELDS} FROM commits INDEXED BY commit_time WHERE lineage=? AND ts<=? ORDER BY ts DESC LIMIT ?
"""  # noqa: S608 - constants
_SEGMENT = f"""
SELECT seq, m_lineage, m_seq, {COMMIT_FIELDS} FROM commits WHERE lineage=? AND seq>? AND seq<=? ORDER BY seq
"""  # noqa: S608 - constants
_MERGES = """
SELECT seq, m_lineage, m_seq FROM commits INDEXED BY commit_merge
WHERE lineage=? AND seq>? AND seq<=? AND m_lineage IS NOT NULL ORDER BY seq
"""
_VERSIONS = """
SELECT d.seq, n.iri, d.doc, d.hash, d.body FROM doc d INDEXED BY doc_log JOIN node n ON n.id = d.doc
WHERE d.lineage=? AND d.seq=? ORDER BY n.iri
"""
_HASH = "SELECT hash, ontology FROM commits WHERE lineage=? AND seq=?"


def log(
    connection: sqlite3.Connection,
    lineages: Lineages,
    state: State,
    first_parent: bool,
    after: tuple[int, str] | None,
    limit: int,
) -> list[Commit]:
    """Return the commits that a state reaches, by (time, id) descending, those after (time, id)."""
    reached = dict(lineages.chain(connection, state)) if first_parent else lineages.ancestors(connection, state)
    commits: list[Commit] = []
    for lineage, seq in reached.items():
        newest = connection.execute("SELECT ts FROM commits WHERE lineage=? AND seq=?", (lineage, seq)).fetchone()
        if newest is None:
            raise CommitNotFound("the commit's database was deleted meanwhile")
        until = newest[0] if after is None else min(newest[0], after[0])
        # One more than asked for, since the one at `after` itself may be among them.
        commits += [commit_of(row) for row in connection.execute(_LOG, (lineage, until, limit + 1))]
    commits.sort(key=lambda commit: (commit.time, commit.id), reverse=True)
    if after is not None:
        commits = [commit for commit in commits if (commit.time, commit.id) < after]
    return commits[:limit]


def count(
    connection: sqlite3.Connection, lineages: Lineages, states: Collection[State], excluded: Collection[State]
) -> int:
    """Return how many commits states reach, less those that the excluded ones reach."""
    reached, begun = _reached(connection, lineages, states, excluded)
    return sum(max(0, last - begun[lineage]) for lineage, last in reached.items())


def entries(
    connection: sqlite3.Connection,
    lineages: Lineages,
    states: Collection[State],
    excluded: Collection[State],
    most: int,
    max_bytes: int,
) -> Iterator[list[HistoryEntry]]:
    """Iterate over every such commit as it was stored, after both its parents, in batches of up to `most` commits.

    A batch ends once its bodies reach `max_bytes`.
    """
    batch: list[HistoryEntry] = []
    size = 0
    for lineage, after, until in _runs(connection, lineages, *_reached(connection, lineages, states, excluded), most):
        for row in connection.execute(_SEGMENT, (lineage, after, until)).fetchall():
            entry = _entry(connection, lineages, lineage, row)
            batch.append(entry)
            size += sum(len(change.body) for change in entry.changes if change.body is not None)
            if len(batch) >= most or size >= max_bytes:
                yield batch
                batch, size = [], 0
    if batch:
        yield batch


def _reached(
    connection: sqlite3.Connection, lineages: Lineages, states: Collection[State], excluded: Collection[State]
) -> tuple[dict[int, int], dict[int, int]]:
    """What states reach as {lineage: last seq}, and after which seq of each lineage what is not excluded begins."""
    reached = lineages.ancestors(connection, *states)
    left_out = lineages.ancestors(connection, *excluded)
    before = {lineage: lineages.first(connection, lineage) - 1 for lineage in reached}
    return reached, {lineage: max(last, left_out.get(lineage, last)) for lineage, last in before.items()}


def _runs(
    connection: sqlite3.Connection, lineages: Lineages, reached: dict[int, int], done: dict[int, int], most: int
) -> Iterator[tuple[int, int, int]]:
    """Cover what is reached by runs (lineage, after seq, until seq) of up to `most` commits, parents in earlier ones.

    `done` says how far each lineage is covered.
    """
    goals = sorted(reached.items(), reverse=True)
    while goals:
        lineage, goal = goals[-1]
        after = done[lineage]
        if after >= goal:
            goals.pop()
            continue
        parent, fork_seq = lineages.fork(connection, lineage)
        if parent is not None and done[parent] < fork_seq:
            goals.append((parent, fork_seq))
            continue
        until = min(goal, after + most)
        for seq, m_lineage, m_seq in connection.execute(_MERGES, (lineage, after, until)):
            if done[m_lineage] < m_seq:
                until = seq - 1
                goals.append((m_lineage, m_seq))
                break
        if until > after:
            done[lineage] = until
            yield lineage, after, until


def _entry(connection: sqlite3.Connection, lineages: Lineages, lineage: int, row: tuple[object, ...]) -> HistoryEntry:
    seq, m_lineage, m_seq = row[:3]
    state: State = (lineage, int(seq))  # type: ignore[call-overload]
    commit = commit_of(row[3:])
    before = lineages.back(connection, state, 1)
    parents, digest = [], ""
    if before is not None:
        parent = connection.execute(_HASH, before).fetchone()
        parents.append(parent[0].hex() if parent else "")
        digest = parent[1].hex() if parent else ""
    if m_lineage is not None:
        merged = connection.execute(_HASH, (m_lineage, m_seq)).fetchone()
        parents.append(merged[0].hex() if merged else "")
    changes = _versions(connection, lineages, state, before)
    return HistoryEntry(
        Point(commit.id, commit.branch, commit.ontology_digest, state), commit, tuple(parents), digest, changes
    )


def _versions(
    connection: sqlite3.Connection, lineages: Lineages, state: State, before: State | None
) -> list[StoredChange]:
    rows = connection.execute(_VERSIONS, state).fetchall()
    nodes = [row[2] for row in rows]
    old = Reader(connection, lineages).newest(before, nodes, bodies=False) if before is not None else {}
    changes = []
    for _, iri, node, hash_, body in rows:
        earlier = old.get(node, (0, None, None))[1]
        changes.append(StoredChange(iri, hash_.hex() if hash_ else None, body, earlier.hex() if earlier else None))
    return changes
