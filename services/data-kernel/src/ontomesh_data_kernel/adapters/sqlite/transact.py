"""What the store does inside a transaction: each function here is one write."""

import json
import sqlite3
from collections.abc import Callable
from dataclasses import astuple

from ontomesh_data_kernel.adapters.sqlite.apply import Applier, NodeIds, insert_commit
from ontomesh_data_kernel.adapters.sqlite.counters import next_id
from ontomesh_data_kernel.adapters.sqlite.lineage import Lineages, State
from ontomesh_data_kernel.adapters.sqlite.lines import begin_line, delete_lines, end_line, extend_line
from ontomesh_data_kernel.adapters.sqlite.locate import BranchRow, find_branch, find_database, state_of
from ontomesh_data_kernel.adapters.sqlite.reads import Reader
from ontomesh_data_kernel.adapters.sqlite.staging import delete_imports
from ontomesh_data_kernel.adapters.sqlite.writer import Transaction
from ontomesh_data_kernel.domain.model import Branch, Commit, Database
from ontomesh_data_kernel.errors import (
    BranchAlreadyExists,
    BranchNotFound,
    DatabaseAlreadyExists,
    DatabaseNotFound,
    EtagMismatch,
    KernelError,
    RequestIdReused,
    StaleHead,
)
from ontomesh_data_kernel.ports import Decision, Draft, Facts, Head, Needs, Point, RequestKey, Stored

REQUEST_LIFETIME = 7 * 86_400 * 1_000_000
_NO_DATABASE = 0


def kept_reply(connection: sqlite3.Connection, scope: int, request: RequestKey | None, now: int) -> bytes | None:
    """Return the answer kept for a request, None if there is none. Raises RequestIdReused."""
    if request is None:
        return None
    query = "SELECT digest, reply FROM request WHERE scope=? AND principal=? AND id=? AND ts>?"
    row = connection.execute(query, (scope, request.principal, request.id, now - REQUEST_LIFETIME)).fetchone()
    if row is None:
        return None
    if row[0] != request.digest:
        raise RequestIdReused.of(request.id)
    return bytes(row[1])


def keep_reply(connection: sqlite3.Connection, scope: int, request: RequestKey | None, now: int, reply: bytes) -> None:
    """Keep an answer, and drop some that have served their time."""
    if request is None:
        return
    expired = "DELETE FROM request WHERE (scope, principal, id) IN "
    expired += "(SELECT scope, principal, id FROM request INDEXED BY request_ts WHERE ts<=? LIMIT 2)"
    connection.execute(expired, (now - REQUEST_LIFETIME,))
    connection.execute(
        "INSERT OR REPLACE INTO request (scope, principal, id, digest, ts, reply) VALUES (?, ?, ?, ?, ?, ?)",
        (scope, request.principal, request.id, request.digest, now, reply),
    )


class Transact:
    """The store's writes; what they learn becomes known to `lineages` and `ids` once committed."""

    def __init__(self, lineages: Lineages, ids: NodeIds, clock: Callable[[], int]) -> None:
        self._lineages = lineages
        self._ids = self.ids = ids
        self._clock = clock

    def create_database(
        self, transaction: Transaction, database: Database, root: Commit, request: RequestKey | None
    ) -> Database:
        """Create a database whose branch `main` begins with `root`."""
        connection, now = transaction.connection, self._clock()
        if (reply := kept_reply(connection, _NO_DATABASE, request, now)) is not None:
            return Database(*json.loads(reply))
        try:
            find_database(connection, database.name)
        except DatabaseNotFound:
            pass
        else:
            raise DatabaseAlreadyExists.of(database.name)
        db = next_id(connection, "database")
        values = (db, database.name, database.description, database.create_time, database.etag)
        connection.execute("INSERT INTO database (id, name, description, created, etag) VALUES (?, ?, ?, ?, ?)", values)
        self._begin_history(transaction, db, root.branch, root, database.create_time)
        keep_reply(connection, _NO_DATABASE, request, now, json.dumps(astuple(database)).encode())
        return database

    def update_database(self, transaction: Transaction, database: Database, expected_etag: str) -> Database:
        """Store a changed record."""
        connection = transaction.connection
        db, current = find_database(connection, database.name)
        if expected_etag and current.etag != expected_etag:
            raise EtagMismatch.of(database.name, current.etag, "database.etag")
        update = "UPDATE database SET description=?, etag=? WHERE id=?"
        connection.execute(update, (database.description, database.etag, db))
        return find_database(connection, database.name)[1]

    def delete_database(self, transaction: Transaction, name: str, expected_etag: str) -> None:
        """Delete a database with all it holds."""
        connection = transaction.connection
        db, current = find_database(connection, name)
        if expected_etag and current.etag != expected_etag:
            raise EtagMismatch.of(name, current.etag)
        delete_imports(connection, db)
        delete_lines(connection, db)
        for table in ("doc", "prop", "prop_hist"):
            # Table names cannot be parameters; these are constants.
            connection.execute(f"DELETE FROM {table} WHERE lineage IN (SELECT id FROM lineage WHERE db=?)", (db,))  # noqa: S608
        connection.execute("DELETE FROM commits WHERE lineage IN (SELECT id FROM lineage WHERE db=?)", (db,))
        for table, column in (("branch", "db"), ("lineage", "db"), ("request", "scope"), ("database", "id")):
            connection.execute(f"DELETE FROM {table} WHERE {column}=?", (db,))  # noqa: S608

    def create_branch(
        self,
        transaction: Transaction,
        database: str,
        branch: Branch,
        start: Point | Commit | KernelError,
        request: RequestKey | None,
    ) -> Branch:
        """Create a branch at a point, or with a history of its own."""
        connection, now = transaction.connection, self._clock()
        db, _ = find_database(connection, database)
        if (reply := kept_reply(connection, db, request, now)) is not None:
            head, created, updated = reply.decode().split(" ")
            return Branch(branch.name, head, int(created), int(updated))
        if isinstance(start, KernelError):
            raise start
        query = "SELECT head FROM branch WHERE db=? AND name=?"
        if row := connection.execute(query, (db, branch.name)).fetchone():
            raise BranchAlreadyExists.of(database, branch.name, row[0].hex())
        if isinstance(start, Commit):
            self._begin_history(transaction, db, branch.name, start, branch.create_time)
            updated_at = start.time
        else:
            lineage, seq = state_of(start)
            row = connection.execute("SELECT ts FROM commits WHERE lineage=? AND seq=?", (lineage, seq)).fetchone()
            if row is None:
                raise DatabaseNotFound.of(database)
            updated_at = row[0]
            values = (db, branch.name, lineage, seq, bytes.fromhex(start.commit), branch.create_time)
            insert = "INSERT INTO branch (db, name, lineage, seq, head, created) VALUES (?, ?, ?, ?, ?, ?)"
            connection.execute(insert, values)
            begin_line(connection, db, branch.name)
        made = Branch(branch.name, branch.head, branch.create_time, updated_at)
        keep_reply(connection, db, request, now, f"{made.head} {made.create_time} {made.update_time}".encode())
        return made

    def delete_branch(self, transaction: Transaction, database: str, name: str, expected_head: str) -> None:
        """Delete a branch's name; its commits stay."""
        branch = find_branch(transaction.connection, database, name)
        if expected_head and branch.head.hex() != expected_head:
            raise StaleHead.of(name, branch.head.hex(), expected_head)
        transaction.connection.execute("DELETE FROM branch WHERE db=? AND name=?", (branch.db, name))
        end_line(transaction.connection, branch.db, name, branch.state[1])

    def commit(
        self,
        transaction: Transaction,
        database: str,
        name: str,
        decide: Callable[[Head], Decision],
        request: RequestKey | None,
        dry_run: bool,
    ) -> Stored:
        """Run a decision at the branch's head and store its draft."""
        connection, now = transaction.connection, self._clock()
        if request is not None:
            reply = kept_reply(connection, find_database(connection, database)[0], request, now)
            if reply is not None:
                return Stored(None, reply)
        branch = find_branch(connection, database, name)
        draft = self._decide(transaction, branch, decide(Head(branch.point(name), branch.time)))
        if dry_run:
            return Stored(draft, draft.reply)
        self._store(transaction, name, branch, draft)
        keep_reply(connection, branch.db, request, now, draft.reply)
        return Stored(draft, draft.reply)

    def _decide(self, transaction: Transaction, branch: BranchRow, decision: Decision) -> Draft:
        reader = Reader(transaction.connection, self._lineages, transaction.allowance)
        facts: Facts | None = None
        while True:
            try:
                needs = next(decision) if facts is None else decision.send(facts)
            except StopIteration as end:
                draft: Draft = end.value
                return draft
            facts = gather(reader, branch.state, needs)

    def _store(self, transaction: Transaction, name: str, branch: BranchRow, draft: Draft) -> None:
        connection, (lineage, seq) = transaction.connection, branch.state
        own = branch.own
        if own is None:
            own = self._fork(transaction, branch.db, lineage, seq)
            extend_line(connection, branch.db, name, own)
        state = (own, seq + 1)
        Applier(transaction, self._lineages, self._ids).store(branch.db, state, branch.state, draft)
        moved = connection.execute(
            "UPDATE branch SET lineage=?, seq=?, own=?, head=? WHERE db=? AND name=? AND head=?",
            (*state, own, bytes.fromhex(draft.commit.id), branch.db, name, branch.head),
        )
        if moved.rowcount != 1:
            raise BranchNotFound.of(str(branch.db), name)
        transaction.after_commit.append(lambda: self._ids.learn(transaction))

    def _fork(self, transaction: Transaction, db: int, parent: int | None, fork_seq: int) -> int:
        connection = transaction.connection
        lineage = next_id(connection, "lineage")
        insert = "INSERT INTO lineage (id, db, parent, fork_seq) VALUES (?, ?, ?, ?)"
        connection.execute(insert, (lineage, db, parent, fork_seq))
        transaction.after_commit.append(lambda: self._lineages.learn(lineage, parent, fork_seq))
        return lineage

    def _begin_history(self, transaction: Transaction, db: int, name: str, root: Commit, created: int) -> None:
        lineage = self._fork(transaction, db, None, 0)
        insert_commit(transaction.connection, db, (lineage, 1), root, (None, None))
        insert = "INSERT INTO branch (db, name, lineage, seq, own, head, created) VALUES (?, ?, ?, 1, ?, ?, ?)"
        transaction.connection.execute(insert, (db, name, lineage, lineage, bytes.fromhex(root.id), created))
        begin_line(transaction.connection, db, name)
        extend_line(transaction.connection, db, name, lineage)


def gather(reader: Reader, state: State, needs: Needs) -> Facts:
    """Answer what a decision asks for."""
    since = state_of(needs.since) if needs.since is not None else None
    referrers = needs.referrers
    return Facts(
        bodies=reader.versions(state, needs.bodies, bodies=True) if needs.bodies else {},
        etags=(
            {iri: version.etag for iri, version in reader.versions(state, needs.etags, bodies=False).items()}
            if needs.etags
            else {}
        ),
        referrers=(
            reader.referrers(state, referrers.targets, referrers.paths, referrers.excluding) if referrers else {}
        ),
        holders=reader.holders(state, needs.holders) if needs.holders else (),
        ontology=reader.ontology(state) if needs.ontology else {},
        instances=list(reader.instances(state, needs.instances)) if needs.instances else (),
        changed=set(reader.iris(reader.changed_nodes(since, state)).values()) if since is not None else (),
        merged=reader.merged_between(since, state) if since is not None else False,
    )
