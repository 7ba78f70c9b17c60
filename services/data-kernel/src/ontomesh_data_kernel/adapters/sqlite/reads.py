"""Reading at a state: documents, listings, differences, and the facts that a decision asks for."""

import json
import sqlite3
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import attrgetter

from ontomesh_data_kernel.adapters.sqlite.lineage import Lineages, State
from ontomesh_data_kernel.adapters.sqlite.scans import (
    MAX_NODE,
    TYPE_TAG,
    VALUE_TAG,
    Scan,
    beyond,
    find_paths,
    link_value,
    type_value,
)
from ontomesh_data_kernel.domain.model import Document
from ontomesh_data_kernel.ports import Change, Holder, Version

_FEW = 4
"""So many lookups are cheaper one by one than as a JSON array that SQLite takes apart."""

ONTOLOGY_CLASS = "@schema"

_READ = """
SELECT d.hash, d.body FROM node n JOIN doc d ON d.doc = n.id
WHERE n.iri=? AND d.lineage=? AND d.seq<=? ORDER BY d.seq DESC LIMIT 1
"""
_NODE = "SELECT id FROM node WHERE iri=?"
_NODES = "SELECT n.iri, n.id FROM json_each(?) j CROSS JOIN node n ON n.iri = j.value"
_VERSION = "SELECT hash, {body} FROM doc WHERE lineage=? AND doc=? AND seq<=? ORDER BY seq DESC LIMIT 1"
_NEWEST = """
SELECT j.value, d.hash, {body} FROM json_each(?1) j CROSS JOIN doc d ON d.lineage=?2 AND d.doc=j.value AND d.seq=
    (SELECT max(seq) FROM doc WHERE lineage=?2 AND doc=j.value AND seq<=?3)
"""
_WITHOUT_BODY = (_VERSION.format(body="NULL"), _NEWEST.format(body="NULL"))
_WITH_BODY = (_VERSION.format(body="body"), _NEWEST.format(body="d.body"))
_CHANGED = "SELECT doc FROM doc INDEXED BY doc_log WHERE lineage=? AND seq>? AND seq<=?"
_IRIS = "SELECT n.id, n.iri FROM json_each(?) j CROSS JOIN node n ON n.id = j.value"


def find_nodes(connection: sqlite3.Connection, iris: Collection[str]) -> dict[str, int]:
    """Return the nodes of those ids that have one."""
    if len(iris) <= _FEW:
        rows = ((iri, connection.execute(_NODE, (iri,)).fetchone()) for iri in iris)
        return {iri: row[0] for iri, row in rows if row is not None}
    return dict(connection.execute(_NODES, (json.dumps(list(iris)),)))


class AllowanceSpent(Exception):
    """More bytes were read than allowed."""


@dataclass(slots=True)
class Allowance:
    """How many bytes of bodies may yet be read."""

    left: int

    def spend(self, body: bytes | None) -> None:
        """Raises AllowanceSpent."""
        if body is not None:
            self.left -= len(body)
            if self.left < 0:
                raise AllowanceSpent


class Reader:
    """Reads on one connection. What it returns depends on the state alone, except through `lineages`' memory.

    With an allowance, its methods raise AllowanceSpent once their bodies exceed it.
    """

    def __init__(self, connection: sqlite3.Connection, lineages: Lineages, allowance: Allowance | None = None) -> None:
        self.connection = connection
        self.lineages = lineages
        self.allowance = allowance or Allowance(sys.maxsize)

    def read(self, state: State, iri: str) -> Version | None:
        """Return a document, or None if it does not exist."""
        execute = self.connection.execute
        chain = self.lineages.chain(self.connection, state)
        if len(chain) > _FEW:
            return self.versions(state, (iri,), bodies=True).get(iri)
        for lineage, seq in chain:
            row = execute(_READ, (iri, lineage, seq)).fetchone()
            if row is not None:
                return Version(row[0].hex(), row[1]) if row[1] is not None else None
        return None

    def newest(
        self, state: State, nodes: Collection[int], bodies: bool
    ) -> dict[int, tuple[int, bytes | None, bytes | None]]:
        """Return {node: (lineage, hash, body)} of the nodes that have a version; hash None if that is a deletion."""
        found: dict[int, tuple[int, bytes | None, bytes | None]] = {}
        one, many = _WITH_BODY if bodies else _WITHOUT_BODY
        missing = list(nodes)
        chain = self.lineages.chain(self.connection, state)
        for lineage, seq in chain:
            if not missing:
                break
            asked = missing if lineage == chain[-1][0] else self._changed_in(lineage, seq, missing)
            if len(asked) <= _FEW:
                for node in asked:
                    row = self.connection.execute(one, (lineage, node, seq)).fetchone()
                    if row is not None:
                        found[node] = (lineage, row[0], row[1])
                        self.allowance.spend(row[1])
            else:
                for node, hash_, body in self.connection.execute(many, (json.dumps(asked), lineage, seq)):
                    found[node] = (lineage, hash_, body)
                    self.allowance.spend(body)
            if asked:
                missing = [node for node in missing if node not in found]
        return found

    def _changed_in(self, lineage: int, seq: int, nodes: list[int]) -> list[int]:
        """Those of the nodes that may have a version in a lineage: exactly those that have, if that is known."""
        overlay = self.lineages.overlay(self.connection, lineage, seq)
        if overlay is None:
            return nodes
        return [node for node in nodes if overlay.get(node, seq + 1) <= seq]

    def versions(self, state: State, iris: Collection[str], bodies: bool) -> dict[str, Version]:
        """Return those of the documents that exist; without bodies if not wanted."""
        nodes = find_nodes(self.connection, iris)
        newest = self.newest(state, nodes.values(), bodies)
        return {
            iri: Version(hash_.hex(), body or b"")
            for iri, node in nodes.items()
            for _, hash_, body in (newest.get(node, (0, None, None)),)
            if hash_ is not None
        }

    def paths(self, names: Iterable[str]) -> list[int]:
        """Return the ids of those paths that were ever indexed."""
        return find_paths(self.connection, names)

    def iris(self, nodes: Collection[int]) -> dict[int, str]:
        """Return the ids of nodes."""
        return dict(self.connection.execute(_IRIS, (json.dumps(list(nodes)),)))

    def scan(self, state: State) -> Scan:
        """The index at a state."""
        return Scan(self.connection, self.lineages.view(self.connection, state))

    def members(self, state: State, classes: Collection[str], after: str, batch: int) -> Iterator[tuple[str, int]]:
        """Iterate over (id, node) of the documents of exactly these classes, by id, those after `after`."""
        scan = self.scan(state)
        paths = self.paths(f"{cls}.@type" for cls in classes)
        start = (type_value(after), MAX_NODE)
        for val, node in scan.entries(paths, TYPE_TAG, beyond(TYPE_TAG), start=start, batch=batch):
            yield val[1:].decode(), node

    def documents(
        self, state: State, classes: Collection[str], after: str, limit: int, max_bytes: int
    ) -> tuple[list[Document], bool]:
        """Return a page of documents of exactly these classes by id, and whether more follow."""
        members = self.members(state, classes, after, limit + 1)
        page: list[Document] = []
        size = 0
        while batch := list(islice(members, min(limit + 1, 256))):
            newest = self.newest(state, [node for _, node in batch], bodies=True)
            for iri, node in batch:
                _, hash_, body = newest[node]
                if len(page) == limit or (page and size >= max_bytes):
                    return page, True
                if hash_ is not None and body is not None:
                    page.append(Document(iri, body, hash_.hex()))
                    size += len(body)
        return page, False

    def instances(self, state: State, classes: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """Iterate over (id, body) of every document of exactly these classes."""
        members = self.members(state, classes, "", 1_000)
        while batch := list(islice(members, 1_000)):
            newest = self.newest(state, [node for _, node in batch], bodies=True)
            for iri, node in batch:
                body = newest[node][2]
                if body is not None:
                    yield iri, body

    def ontology(self, state: State) -> dict[str, bytes]:
        """Return the bodies of the ontology's elements."""
        return dict(self.instances(state, [ONTOLOGY_CLASS]))

    def referrers(
        self,
        state: State,
        targets: Collection[str],
        paths: Collection[str],
        excluding: Collection[str],
        limit: int = 10,
    ) -> dict[str, tuple[str, ...]]:
        """Return, for each target that has any, up to `limit` ids of documents that link to it by one of the paths."""
        scan = self.scan(state)
        path_ids = self.paths(paths)
        left_out = set(find_nodes(self.connection, excluding).values()) if excluding else set()
        found: dict[str, tuple[str, ...]] = {}
        for iri, node in find_nodes(self.connection, targets).items():
            holders = (doc for doc in scan.holders(path_ids, (link_value(node),)) if doc not in left_out)
            if few := list(islice(holders, limit)):
                names = self.iris(few)
                found[iri] = tuple(names[doc] for doc in few)
        return found

    def holders(self, state: State, asked: Sequence[Holder], limit: int = 10) -> list[tuple[str, ...]]:
        """Return, for each question, up to `limit` ids of documents that may have the value."""
        scan = self.scan(state)
        found = []
        for one in asked:
            nodes = list(islice(scan.holders(self.paths(one.paths), (VALUE_TAG + one.key,)), limit))
            names = self.iris(nodes) if nodes else {}
            found.append(tuple(names[node] for node in nodes))
        return found

    def changed_nodes(self, base: State | None, target: State) -> set[int]:
        """Return the nodes that may differ: every one with a version on the way from one state to the other."""
        execute = self.connection.execute
        after = self.lineages.chain(self.connection, target)
        before = self.lineages.chain(self.connection, base) if base is not None else []
        tops = dict(before)
        nodes: set[int] = set()
        joint: int | None = None
        for lineage, seq in after:
            if lineage in tops:
                low, high = sorted((seq, tops[lineage]))
                nodes.update(row[0] for row in execute(_CHANGED, (lineage, low, high)))
                joint = lineage
                break
            nodes.update(row[0] for row in execute(_CHANGED, (lineage, -1, seq)))
        for lineage, seq in before:
            if lineage == joint:
                break
            nodes.update(row[0] for row in execute(_CHANGED, (lineage, -1, seq)))
        return nodes

    def merged_between(self, since: State, state: State) -> bool:
        """Whether a merge came after `since` on the way of first parents to `state`, or that way misses `since`."""
        merges = "SELECT 1 FROM commits INDEXED BY commit_merge WHERE lineage=? AND seq>? AND seq<=? AND m_lineage IS NOT NULL"
        for lineage, seq in self.lineages.chain(self.connection, state):
            low = since[1] if lineage == since[0] else -1
            if self.connection.execute(merges, (lineage, low, seq)).fetchone():
                return True
            if lineage == since[0]:
                return seq < since[1]
        return True

    def changed(self, base: State | None, target: State) -> list[Change]:
        """Return the documents that differ, by id."""
        nodes = self.changed_nodes(base, target)
        names = self.iris(nodes)
        old = self.newest(base, nodes, bodies=False) if base is not None else {}
        new = self.newest(target, nodes, bodies=False)
        none: tuple[int, bytes | None, bytes | None] = (0, None, None)
        changes = []
        for node, iri in names.items():
            before, after = old.get(node, none)[1], new.get(node, none)[1]
            if before != after:
                changes.append(Change(iri, before.hex() if before else None, after.hex() if after else None))
        changes.sort(key=attrgetter("id"))
        return changes
