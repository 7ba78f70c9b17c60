"""Imports, inside a transaction: their documents land in a lineage that nobody reaches before the end."""

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import orjson

from ontomesh_data_kernel.adapters.sqlite.apply import Applier, Entry, NodeIds, insert_commit
from ontomesh_data_kernel.adapters.sqlite.lineage import Lineages, State
from ontomesh_data_kernel.adapters.sqlite.lines import extend_line
from ontomesh_data_kernel.adapters.sqlite.locate import BranchRow, find_branch, find_database, state_of
from ontomesh_data_kernel.adapters.sqlite.reads import Reader
from ontomesh_data_kernel.adapters.sqlite.scans import link_value
from ontomesh_data_kernel.adapters.sqlite.staged import link_paths, unique_entries
from ontomesh_data_kernel.adapters.sqlite.writer import Transaction
from ontomesh_data_kernel.domain.model import Fault, Import
from ontomesh_data_kernel.errors import BranchNotFound, ImportNotFound, ImportOutOfStep, RequestIdReused
from ontomesh_data_kernel.ports import Draft, Head, Point, RequestKey, Rules, StagedWrite

LIFETIME = 24 * 3_600 * 1_000_000
_MAX_MEANWHILE = 2_000
"""Documents changed since the review that are looked at while others wait; after more, the review is done again."""

_STEP = 1_000
"""Rows that one transaction deletes."""

_FIND = """
SELECT db, lineage, seq, base_lineage, base_seq, revision, record FROM import
WHERE id=? AND db=? AND principal=? AND dropped=0
"""
_INSERT = """
INSERT INTO import (id, db, lineage, seq, base_lineage, base_seq, principal, request, digest, revision, record, ts)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_BEGUN = "SELECT id, digest FROM import WHERE db=? AND principal=? AND request=? AND dropped=0"
_SAVE = "UPDATE import SET record=?, revision=?, ts=?, ended=? WHERE id=?"
_STAGED_BEFORE = """
SELECT n.iri, s.line FROM json_each(?1) j CROSS JOIN staged s ON s.lineage=?2 AND s.doc=j.value
CROSS JOIN node n ON n.id=s.doc
"""
_TOUCHED = """
SELECT 1 FROM json_each(?1) j CROSS JOIN staged s ON s.lineage=?2 AND s.doc=j.value LIMIT 1
"""
_LINKED = "SELECT 1 FROM prop WHERE lineage=? AND path=? AND val=? LIMIT 1"
_DROPPED = "SELECT id, lineage FROM import WHERE dropped=1 LIMIT 1"
_ENDED = "SELECT id, lineage FROM import WHERE ended=1 LIMIT 1"
_OF_LINEAGE = (
    "DELETE FROM prop WHERE lineage=?1 AND (lineage, path, val, doc) IN "
    "(SELECT lineage, path, val, doc FROM prop WHERE lineage=?1 LIMIT ?2)",
    "DELETE FROM doc WHERE rowid IN (SELECT rowid FROM doc WHERE lineage=?1 LIMIT ?2)",
)
_STAGED = "DELETE FROM staged WHERE lineage=?1 AND (lineage, doc) IN (SELECT lineage, doc FROM staged WHERE lineage=?1 LIMIT ?2)"


@dataclass(frozen=True, slots=True)
class ImportRow:
    """An import's place in the store, and its record."""

    db: int
    state: State
    base: State
    one: Import


def find_import(connection: sqlite3.Connection, database: str, principal: str, id: str) -> ImportRow:
    """Return an import. Raises DatabaseNotFound, ImportNotFound."""
    db, _ = find_database(connection, database)
    row = connection.execute(_FIND, (id, db, principal)).fetchone()
    if row is None:
        raise ImportNotFound.of(database, id)
    record = orjson.loads(row[6])
    record["faults"] = tuple(Fault(**fault) for fault in record["faults"])
    record["ontologies"] = tuple((digest, commit) for digest, commit in record["ontologies"])
    return ImportRow(row[0], (row[1], row[2]), (row[3], row[4]), Import(**record, revision=row[5]))


def at_revision(connection: sqlite3.Connection, database: str, one: Import) -> ImportRow:
    """Return an import that is as it was read. Raises DatabaseNotFound, ImportNotFound, ImportOutOfStep."""
    row = find_import(connection, database, one.principal, one.id)
    if row.one.commit:
        raise ImportOutOfStep.of("the import is finished", row.one.offset)
    if row.one.revision != one.revision:
        raise ImportOutOfStep.of("another call has moved the import on meanwhile", row.one.offset)
    return row


class ImportTransact:
    """The writes of imports; each method is one write."""

    def __init__(
        self,
        lineages: Lineages,
        ids: NodeIds,
        clock: Callable[[], int],
        next_id: Callable[[sqlite3.Connection, str], int],
    ) -> None:
        self._lineages = lineages
        self._ids = ids
        self._clock = clock
        self._next_id = next_id

    def begin(
        self, transaction: Transaction, database: str, one: Import, base: Point, request: RequestKey | None
    ) -> Import:
        """Begin an import from a point, or return the one that the request began."""
        connection, now = transaction.connection, self._clock()
        db, _ = find_database(connection, database)
        stale = "SELECT id FROM import INDEXED BY import_ts WHERE ts<=? AND dropped=0 LIMIT 20"
        connection.execute(f"UPDATE import SET dropped=1 WHERE id IN ({stale})", (now - LIFETIME,))  # noqa: S608
        if request is not None:
            row = connection.execute(_BEGUN, (db, one.principal, request.id)).fetchone()
            if row is not None:
                if row[1] != request.digest:
                    raise RequestIdReused.of(request.id)
                return find_import(connection, database, one.principal, row[0]).one
        lineage = self._next_id(connection, "lineage")
        parent, seq = state_of(base)
        own = (lineage, seq + 1)
        connection.execute(
            "INSERT INTO lineage (id, db, parent, fork_seq, first_seq) VALUES (?, ?, ?, ?, ?)",
            (lineage, db, parent, seq, own[1]),
        )
        asked = (request.id, request.digest) if request is not None else ("", b"")
        values = (one.id, db, *own, parent, seq, one.principal, *asked, one.revision, _record(one), now)
        connection.execute(_INSERT, values)
        return one

    def stage(
        self, transaction: Transaction, database: str, before: Import, after: Import, writes: Sequence[StagedWrite]
    ) -> Mapping[str, int]:
        """Write documents and the record, unless some of them were staged before: these are returned."""
        connection = transaction.connection
        row = at_revision(connection, database, before)
        iris = {one.write.id for one in writes}
        for one in writes:
            for indexed in (one.write.new, one.write.old):
                if indexed is not None:
                    iris.update(target for _, target in indexed.links)
        nodes = self._ids.of(transaction, iris)
        fresh = [one for one in writes if one.write.old is None and not one.is_back]
        lineage, seq = row.state
        if fresh:
            asked = json.dumps([nodes[one.write.id] for one in fresh])
            if known := dict(connection.execute(_STAGED_BEFORE, (asked, lineage))):
                return known
        applier = Applier(transaction, self._lineages, self._ids)
        opened: list[tuple[int, bytes, int]] = []
        closed: list[tuple[int, int, bytes, int]] = []
        inserted, replaced, removed = [], [], []
        for one in writes:
            write, node = one.write, nodes[one.write.id]
            new: set[Entry] = applier.entries(write, write.new, nodes)
            old: set[Entry] = applier.entries(write, write.old, nodes)
            opened += [(path, val, node) for path, val in (new - old if old else new)]
            closed += [(lineage, path, val, node) for path, val in old - new]
            if write.body is None:
                removed.append((lineage, node, bytes.fromhex(write.etag)))
            elif write.old is None:
                inserted.append((lineage, node, seq, bytes.fromhex(write.etag), write.body))
            else:
                replaced.append((bytes.fromhex(write.etag), write.body, lineage, node, seq))
        many = connection.executemany
        if closed:
            many("DELETE FROM prop WHERE lineage=? AND path=? AND val=? AND doc=?", closed)
        if removed:
            many("DELETE FROM doc WHERE lineage=? AND doc=?", [one[:2] for one in removed])
            many("UPDATE staged SET same=?3 WHERE lineage=?1 AND doc=?2", removed)
        if replaced:
            many("UPDATE doc SET hash=?, body=? WHERE lineage=? AND doc=? AND seq=?", replaced)
        many("INSERT INTO doc (lineage, doc, seq, hash, body) VALUES (?, ?, ?, ?, ?)", inserted)
        staged = [(lineage, nodes[one.write.id], one.line) for one in writes if one.write.old is None]
        many("INSERT OR REPLACE INTO staged (lineage, doc, line) VALUES (?, ?, ?)", staged)
        opened.sort()
        insert = f"INSERT OR IGNORE INTO prop (lineage, path, val, doc, from_seq) VALUES ({lineage}, ?, ?, ?, {seq})"  # noqa: S608
        many(insert, opened)
        self._save(connection, after)
        transaction.after_commit.append(lambda: self._ids.learn(transaction))
        return {}

    def finish(
        self,
        transaction: Transaction,
        database: str,
        one: Import,
        reviewed: Point,
        rules: Rules,
        make: Callable[[Head], Draft],
    ) -> Draft | None:
        """Make what was staged the branch's next commit, if what was reviewed still holds."""
        connection = transaction.connection
        row = at_revision(connection, database, one)
        branch = find_branch(connection, database, one.branch)
        reader = Reader(connection, self._lineages)
        if not self._holds(reader, row.state[0], reviewed, branch, rules):
            return None
        draft = make(Head(branch.point(one.branch), branch.time))
        connection.execute("UPDATE lineage SET parent=?, fork_seq=? WHERE id=?", (*branch.state, row.state[0]))
        insert_commit(connection, row.db, row.state, draft.commit, (None, None))
        extend_line(connection, row.db, one.branch, row.state[0])
        moved = connection.execute(
            "UPDATE branch SET lineage=?, seq=?, own=?, head=? WHERE db=? AND name=? AND head=?",
            (*row.state, row.state[0], bytes.fromhex(draft.commit.id), row.db, one.branch, branch.head),
        )
        if moved.rowcount != 1:
            raise BranchNotFound.of(database, one.branch)
        now = self._clock()
        self._save(
            connection, replace(one, commit=draft.commit.id, revision=one.revision + 1, update_time=now), ended=1
        )
        return draft

    def _holds(self, reader: Reader, lineage: int, reviewed: Point, branch: BranchRow, rules: Rules) -> bool:
        """Whether nothing that the review depends on changed since."""
        state = state_of(reviewed)
        if branch.ontology.hex() != reviewed.ontology_digest:
            return False
        if branch.state == state:
            return True
        execute = reader.connection.execute
        changed = reader.changed_nodes(state, branch.state)
        if len(changed) > _MAX_MEANWHILE or execute(_TOUCHED, (json.dumps(list(changed)), lineage)).fetchone():
            return False
        newest = reader.newest(branch.state, changed, bodies=bool(rules.unique))
        gone = [node for node in changed if newest.get(node, (0, None, None))[1] is None]
        paths = link_paths(reader.connection, lineage, rules) if gone else ()
        if any(execute(_LINKED, (lineage, path, link_value(node))).fetchone() for node in gone for path in paths):
            return False
        if not rules.unique:
            return True
        bodies = [found[2] for found in newest.values() if found[2] is not None]
        return not any(unique_entries(reader, lineage, rules, body) for body in bodies)

    def drop(self, transaction: Transaction, database: str, one: Import) -> None:
        """Give an import up; `sweep` deletes what it has."""
        at_revision(transaction.connection, database, one)
        transaction.connection.execute("UPDATE import SET dropped=1 WHERE id=?", (one.id,))

    def sweep(self, transaction: Transaction) -> bool:
        """Delete some rows of an import that was given up, or was finished and left notes; whether there were any."""
        connection = transaction.connection
        row = connection.execute(_DROPPED).fetchone()
        if row is not None:
            id, lineage = row
            # One that ended is dropped as a note only: its lineage is the branch's by now.
            ended = connection.execute("SELECT 1 FROM commits WHERE lineage=? LIMIT 1", (lineage,)).fetchone()
            for statement in (_STAGED,) if ended else (*_OF_LINEAGE, _STAGED):
                if connection.execute(statement, (lineage, _STEP)).rowcount:
                    return True
            if not ended:
                connection.execute("DELETE FROM lineage WHERE id=?", (lineage,))
            connection.execute("DELETE FROM import WHERE id=?", (id,))
            return True
        row = connection.execute(_ENDED).fetchone()
        if row is None:
            return False
        if not connection.execute(_STAGED, (row[1], _STEP)).rowcount:
            connection.execute("UPDATE import SET ended=2 WHERE id=?", (row[0],))
        return True

    def _save(self, connection: sqlite3.Connection, one: Import, ended: int = 0) -> None:
        connection.execute(_SAVE, (_record(one), one.revision, self._clock(), ended, one.id))


def _record(one: Import) -> str:
    record = asdict(one)
    del record["revision"]
    return orjson.dumps(record).decode()


def delete_imports(connection: sqlite3.Connection, db: int) -> None:
    """Delete what only imports have of a database that is deleted."""
    connection.execute("DELETE FROM staged WHERE lineage IN (SELECT id FROM lineage WHERE db=?)", (db,))
    connection.execute("DELETE FROM import WHERE db=?", (db,))
