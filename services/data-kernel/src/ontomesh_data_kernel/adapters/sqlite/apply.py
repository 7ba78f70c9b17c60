"""Storing a draft: its versions, what is indexed of them, and its commit's row."""

import json
import sqlite3
from collections.abc import Collection, Sequence
from typing import Any

from ontomesh_data_kernel.adapters.sqlite.lineage import Lineages, State
from ontomesh_data_kernel.adapters.sqlite.reads import Reader, find_nodes
from ontomesh_data_kernel.adapters.sqlite.scans import VALUE_TAG, link_value, type_value
from ontomesh_data_kernel.adapters.sqlite.writer import Transaction
from ontomesh_data_kernel.domain.model import Commit
from ontomesh_data_kernel.ports import Draft, Indexed, Write

_FEW = 4
_UPSERT_NODE = "INSERT INTO node (iri) VALUES (?) ON CONFLICT (iri) DO UPDATE SET iri=excluded.iri RETURNING id"

Entry = tuple[int, bytes]


class NodeIds:
    """Ids of nodes and paths, made as they are needed; remembers those that are committed."""

    def __init__(self, limit: int = 50_000) -> None:
        self._nodes: dict[str, int] = {}
        self._paths: dict[str, int] = {}
        self._limit = limit

    def of(self, transaction: Transaction, iris: Collection[str]) -> dict[str, int]:
        """Return the nodes of ids, making those that have none."""
        found = {iri: node for iri in iris if (node := transaction.nodes.get(iri) or self._nodes.get(iri))}
        unknown = [iri for iri in iris if iri not in found]
        if len(unknown) <= _FEW:
            for iri in unknown:
                found[iri] = transaction.nodes[iri] = transaction.connection.execute(_UPSERT_NODE, (iri,)).fetchone()[0]
                transaction.next_node = None
        elif unknown:
            known = find_nodes(transaction.connection, unknown)
            made = self._make(transaction, [iri for iri in unknown if iri not in known])
            transaction.nodes.update(known | made)
            found.update(known | made)
        return found

    def _make(self, transaction: Transaction, iris: list[str]) -> dict[str, int]:
        connection = transaction.connection
        if transaction.next_node is None:
            transaction.next_node = connection.execute("SELECT coalesce(max(id), 0) + 1 FROM node").fetchone()[0]
        start = transaction.next_node
        made = dict(zip(iris, range(start, start + len(iris)), strict=True))
        connection.executemany("INSERT INTO node (iri, id) VALUES (?, ?)", made.items())
        transaction.next_node = start + len(iris)
        return made

    def path(self, transaction: Transaction, name: str) -> int:
        """Return the id of a path, making it if need be."""
        known = transaction.paths.get(name) or self._paths.get(name)
        if known is None:
            connection = transaction.connection
            connection.execute("INSERT INTO path (name) VALUES (?) ON CONFLICT DO NOTHING", (name,))
            known = int(connection.execute("SELECT id FROM path WHERE name=?", (name,)).fetchone()[0])
            transaction.paths[name] = known
        return known

    def learn(self, transaction: Transaction) -> None:
        """Remember what a committed transaction made or met."""
        if len(self._nodes) + len(transaction.nodes) > self._limit:
            self._nodes.clear()
        if len(transaction.nodes) <= self._limit:
            self._nodes.update(transaction.nodes)
        self._paths.update(transaction.paths)


class Applier:
    """Stores one draft at one state."""

    def __init__(self, transaction: Transaction, lineages: Lineages, ids: NodeIds) -> None:
        self._transaction = transaction
        self._connection = transaction.connection
        self._reader = Reader(transaction.connection, lineages)
        self._ids = ids

    def store(self, db: int, state: State, head: State, draft: Draft) -> None:
        """Write the draft as the commit at `state`, whose first parent is at `head`."""
        self._store_documents(state, head, draft.writes)
        merged: tuple[int | None, int | None] = (None, None)
        if draft.merged is not None:
            merged = draft.merged.state  # type: ignore[assignment]
        insert_commit(self._connection, db, state, draft.commit, merged)

    def _store_documents(self, state: State, head: State, writes: Sequence[Write]) -> None:
        lineage, seq = state
        iris = {write.id for write in writes}
        iris.update(target for write in writes if write.new is not None for _, target in write.new.links)
        iris.update(target for write in writes if write.old is not None for _, target in write.old.links)
        nodes = self._ids.of(self._transaction, iris)
        replaced = [nodes[write.id] for write in writes if write.old is not None]
        newest = self._reader.newest(head, replaced, bodies=False) if replaced else {}
        rows, opened, closed = [], [], []
        for write in writes:
            node = nodes[write.id]
            rows.append((lineage, node, seq, bytes.fromhex(write.etag) if write.body is not None else None, write.body))
            new = self._entries(write, write.new, nodes)
            old = self._entries(write, write.old, nodes) if newest.get(node, (None,))[0] == lineage else set()
            opened += [(lineage, path, val, node, seq) for path, val in new - old]
            closed += [(lineage, path, val, node) for path, val in old - new]
        execute = self._connection.executemany
        execute("INSERT INTO doc (lineage, doc, seq, hash, body) VALUES (?, ?, ?, ?, ?)", rows)
        if closed:
            execute(
                "INSERT INTO prop_hist SELECT lineage, path, val, doc, from_seq, ? FROM prop "
                "WHERE lineage=? AND path=? AND val=? AND doc=?",
                [(seq, *entry) for entry in closed],
            )
            execute("DELETE FROM prop WHERE lineage=? AND path=? AND val=? AND doc=?", closed)
        opened.sort()
        execute("INSERT INTO prop (lineage, path, val, doc, from_seq) VALUES (?, ?, ?, ?, ?)", opened)

    def entries(self, write: Write, indexed: Indexed | None, nodes: dict[str, int]) -> set[Entry]:
        """What is indexed of a version, as (path, value)."""
        return self._entries(write, indexed, nodes)

    def _entries(self, write: Write, indexed: Indexed | None, nodes: dict[str, int]) -> set[Entry]:
        if indexed is None:
            return set()
        path, transaction = self._ids.path, self._transaction
        entries = {(path(transaction, f"{indexed.cls}.{name}"), link_value(nodes[to])) for name, to in indexed.links}
        entries.update((path(transaction, f"{indexed.cls}.{name}"), VALUE_TAG + key) for name, key in indexed.values)
        entries.add((path(transaction, f"{indexed.cls}.@type"), type_value(write.id)))
        return entries


_COMMIT_COLUMNS = (
    "lineage, seq, db, hash, parent, m_lineage, m_seq, m_parent, branch, author, committer, message, ts, metadata, "
    "trace, ontology, changes"
)
_INSERT_COMMIT = f"INSERT INTO commits ({_COMMIT_COLUMNS}) VALUES ({', '.join('?' * 17)})"  # noqa: S608 - constants
COMMIT_FIELDS = "hash, parent, m_parent, branch, author, committer, message, ts, metadata, trace, ontology, changes"


def insert_commit(
    connection: sqlite3.Connection, db: int, state: State, commit: Commit, merged: tuple[int | None, int | None]
) -> None:
    """Write a commit's row."""
    parents = [bytes.fromhex(parent) for parent in commit.parents]
    connection.execute(
        _INSERT_COMMIT,
        (
            *state,
            db,
            bytes.fromhex(commit.id),
            parents[0] if parents else None,
            *merged,
            parents[1] if len(parents) > 1 else None,
            commit.branch,
            commit.author,
            commit.committer,
            commit.message,
            commit.time,
            json.dumps(dict(commit.metadata), ensure_ascii=False) if commit.metadata else "",
            f"{commit.trace_id}-{commit.span_id}" if commit.span_id else commit.trace_id,
            bytes.fromhex(commit.ontology_digest),
            commit.change_count,
        ),
    )


def commit_of(row: tuple[Any, ...]) -> Commit:
    """The commit of a row of COMMIT_FIELDS."""
    hash_, parent, m_parent, branch, author, committer, message, ts, metadata, trace, ontology, changes = row
    trace, _, span = trace.partition("-")
    return Commit(
        id=hash_.hex(),
        parents=tuple(blob.hex() for blob in (parent, m_parent) if blob is not None),
        branch=branch,
        author=author,
        committer=committer,
        message=message,
        time=ts,
        metadata=json.loads(metadata) if metadata else {},
        trace_id=trace,
        ontology_digest=ontology.hex(),
        change_count=changes,
        span_id=span,
    )
