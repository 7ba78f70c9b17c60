"""Finding databases, branches and commits."""

import sqlite3
from dataclasses import dataclass, replace

from ontomesh_data_kernel.adapters.sqlite.apply import COMMIT_FIELDS, commit_of
from ontomesh_data_kernel.adapters.sqlite.lineage import Lineages, State
from ontomesh_data_kernel.domain.model import Branch, Commit, Database
from ontomesh_data_kernel.domain.refs import Ref
from ontomesh_data_kernel.errors import AmbiguousRef, BranchNotFound, CommitNotFound, DatabaseNotFound
from ontomesh_data_kernel.ports import Point, Version

_BRANCH = """
SELECT b.lineage, b.seq, b.head, d.id, b.own, c.ts, c.ontology
FROM database d JOIN branch b ON b.db = d.id JOIN commits c ON c.lineage = b.lineage AND c.seq = b.seq
WHERE d.name=? AND b.name=?
"""
_READ_AT_HEAD = """
SELECT b.lineage, b.seq, b.head, c.ontology, v.hash, v.body
FROM database d JOIN branch b ON b.db = d.id JOIN commits c ON c.lineage = b.lineage AND c.seq = b.seq
JOIN node n JOIN doc v ON v.lineage = b.lineage AND v.doc = n.id AND v.seq <= b.seq
WHERE d.name=? AND b.name=? AND n.iri=? ORDER BY v.seq DESC LIMIT 1
"""
_BRANCHES = """
SELECT b.name, b.head, b.created, c.ts FROM branch b JOIN commits c ON c.lineage = b.lineage AND c.seq = b.seq
WHERE b.db=? AND b.name>? AND b.name>=? AND b.name<? ORDER BY b.name LIMIT ?
"""
_BRANCH_TIMES = """
SELECT b.head, b.created, c.ts FROM branch b JOIN commits c ON c.lineage = b.lineage AND c.seq = b.seq
WHERE b.db=? AND b.name=?
"""
_COMMIT = f"SELECT {COMMIT_FIELDS} FROM commits WHERE lineage=? AND seq=?"  # noqa: S608 - constants
_LAST = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class BranchRow:
    """Where a branch stands: its state, its head's id, its database and the lineage it commits to."""

    state: State
    head: bytes
    db: int
    own: int | None
    time: int
    ontology: bytes

    def point(self, name: str) -> Point:
        """The branch's head."""
        return Point(self.head.hex(), name, self.ontology.hex(), self.state)


def state_of(point: Point) -> State:
    """The state that a point of this store stands for."""
    state = point.state
    assert isinstance(state, tuple)
    return state


def find_database(connection: sqlite3.Connection, name: str) -> tuple[int, Database]:
    """Return a database's id and record. Raises DatabaseNotFound."""
    row = connection.execute(
        "SELECT id, name, description, created, etag FROM database WHERE name=?", (name,)
    ).fetchone()
    if row is None:
        raise DatabaseNotFound.of(name)
    return row[0], Database(*row[1:])


def find_branch(connection: sqlite3.Connection, database: str, name: str) -> BranchRow:
    """Return where a branch stands. Raises DatabaseNotFound, BranchNotFound."""
    row = connection.execute(_BRANCH, (database, name)).fetchone()
    if row is None:
        find_database(connection, database)
        raise BranchNotFound.of(database, name)
    return BranchRow((row[0], row[1]), *row[2:])


def read_branch(connection: sqlite3.Connection, database: str, name: str) -> Branch:
    """Return a branch. Raises DatabaseNotFound, BranchNotFound."""
    branch = find_branch(connection, database, name)
    row = connection.execute(_BRANCH_TIMES, (branch.db, name)).fetchone()
    if row is None:
        raise BranchNotFound.of(database, name)
    return Branch(name, row[0].hex(), row[1], row[2])


def list_branches(connection: sqlite3.Connection, database: str, prefix: str, after: str, limit: int) -> list[Branch]:
    """Return branches by name, those that begin with `prefix` and come after `after`."""
    db, _ = find_database(connection, database)
    rows = connection.execute(_BRANCHES, (db, after, prefix, prefix + _LAST, limit))
    return [Branch(name, head.hex(), created, ts) for name, head, created, ts in rows]


def check_exists(connection: sqlite3.Connection, state: State) -> None:
    """Raise CommitNotFound unless the commit at a state is there."""
    if connection.execute("SELECT 1 FROM commits WHERE lineage=? AND seq=?", state).fetchone() is None:
        raise CommitNotFound("the commit's database was deleted meanwhile")


def read_commit(connection: sqlite3.Connection, state: State) -> Commit:
    """Return the record of the commit at a state."""
    row = connection.execute(_COMMIT, state).fetchone()
    if row is None:
        raise CommitNotFound("the commit's database was deleted meanwhile")
    return commit_of(row)


def point_at(connection: sqlite3.Connection, state: State) -> Point:
    """Return the point at a state."""
    commit = read_commit(connection, state)
    return Point(commit.id, commit.branch, commit.ontology_digest, state)


def parent(connection: sqlite3.Connection, lineages: Lineages, point: Point) -> Point | None:
    """Return a point's first parent."""
    state = lineages.back(connection, state_of(point), 1)
    return point_at(connection, state) if state is not None else None


def merge_bases(connection: sqlite3.Connection, lineages: Lineages, ours: Point, theirs: Point) -> list[Point]:
    """Return the best common ancestors, in one order however often asked."""
    states = lineages.merge_bases(connection, state_of(ours), state_of(theirs))
    return [point_at(connection, state) for state in sorted(states, reverse=True)]


def read_at_head(
    connection: sqlite3.Connection, database: str, branch: str, iri: str
) -> tuple[Point, Version | None] | None:
    """Return a branch's head and a document there, None unless the branch's own lineage has a version of it.

    One statement, since each gives the interpreter's lock away and must get it back.
    """
    row = connection.execute(_READ_AT_HEAD, (database, branch, iri)).fetchone()
    if row is None:
        return None
    lineage, seq, head, ontology, hash_, body = row
    version = Version(hash_.hex(), body) if body is not None else None
    return Point(head.hex(), branch, ontology.hex(), (lineage, seq)), version


def resolve(connection: sqlite3.Connection, lineages: Lineages, database: str, ref: Ref) -> Point:
    """Find a ref's commit. Raises DatabaseNotFound, BranchNotFound, CommitNotFound, AmbiguousRef."""
    if ref.branch:
        branch = find_branch(connection, database, ref.branch)
        if ref.is_branch:
            return branch.point(ref.branch)
        state: State | None = branch.state
    else:
        point = _by_id(connection, database, ref)
        if not ref.ancestor:
            return point
        state = state_of(point)
    assert state is not None
    if ref.ancestor:
        state = lineages.back(connection, state, ref.ancestor)
    elif ref.time is not None:
        state = _at_time(connection, lineages, state, ref.time)
    if state is None:
        raise CommitNotFound.of(database, ref.text, "its history does not reach back so far")
    found = point_at(connection, state)
    return replace(found, branch=ref.branch or found.branch)


def _by_id(connection: sqlite3.Connection, database: str, ref: Ref) -> Point:
    db, _ = find_database(connection, database)
    low, high = bytes.fromhex(ref.commit.ljust(64, "0")), bytes.fromhex(ref.commit.ljust(64, "f"))
    query = "SELECT lineage, seq, branch, hash, ontology FROM commits WHERE db=? AND hash BETWEEN ? AND ? LIMIT 2"
    rows = connection.execute(query, (db, low, high)).fetchall()
    if not rows:
        raise CommitNotFound.of(database, ref.text)
    if len(rows) > 1:
        raise AmbiguousRef.of(ref.text)
    lineage, seq, branch, hash_, ontology = rows[0]
    return Point(hash_.hex(), branch, ontology.hex(), (lineage, seq))


def _at_time(connection: sqlite3.Connection, lineages: Lineages, state: State, time: int) -> State | None:
    query = "SELECT seq FROM commits WHERE lineage=? AND ts<=? ORDER BY ts DESC LIMIT 1"
    for lineage, seq in lineages.chain(connection, state):
        row = connection.execute(query, (lineage, time)).fetchone()
        if row is not None:
            return (lineage, min(row[0], seq))
    return None
