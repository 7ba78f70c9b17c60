"""A database of a store, written to by hand-made decisions: the store port without the kernel in front of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from ontomesh_data_kernel.domain.canonical import document_hash, parse_body
from ontomesh_data_kernel.domain.drafting import SCHEMA_CLASS
from ontomesh_data_kernel.domain.identity import identified
from ontomesh_data_kernel.domain.limits import MAX_BODY_BYTES
from ontomesh_data_kernel.domain.model import Branch, Commit, Database
from ontomesh_data_kernel.domain.ontology import EMPTY, SCHEMA_PREFIX, Ontology, parse_schema
from ontomesh_data_kernel.domain.refs import parse_ref
from ontomesh_data_kernel.ports import Decision, Draft, Facts, Head, Indexed, Needs, Point, RequestKey, Store, Write
from tests.contract.stores import store_in_use

DB = "d"
AUTHOR = "user:ana"
TRACE = "0af7651916cd43dd8448eb211c80319c"

Document = Mapping[str, Any]


class Told(Exception):
    """Ends a decision that only asks: what it was told, and at which head."""

    def __init__(self, head: Head, facts: Facts) -> None:
        self.head, self.facts = head, facts


@dataclass(frozen=True)
class Edit:
    """What a commit is to write: documents put and removed, and a new ontology.

    `change` makes the documents to put from those in `reading` as the decision finds them.
    """

    put: Sequence[Document] = ()
    remove: Sequence[str] = ()
    ontology: Ontology | None = None
    reading: Sequence[str] = ()
    change: Callable[[Mapping[str, Any]], Sequence[Document]] | None = None
    merged: Point | None = None
    message: str = "by hand"
    metadata: Mapping[str, str] = field(default_factory=dict)
    reply: bytes = b"done"

    def decide(self, head: Head) -> Decision:
        """See `ports.Decision`."""
        put = list(self.put)
        named = [*(one["@id"] for one in put), *self.remove, *self.reading]
        facts = yield Needs(bodies=named, ontology=True)
        if self.change is not None:
            put += self.change({id: orjson.loads(version.body) for id, version in facts.bodies.items()})
        old = Ontology.from_documents(facts.ontology)
        new = self.ontology or old
        writes = [*_elements(old, new), *_documents(put, self.remove, facts, old, new)]
        time = max(store_in_use().clock(), head.time + 1)
        parents = (head.point.commit, *((self.merged.commit,) if self.merged else ()))
        commit = Commit(
            "",
            parents,
            head.point.branch,
            AUTHOR,
            AUTHOR,
            self.message,
            time,
            self.metadata,
            TRACE,
            new.digest,
            0,
        )
        changes = [(write.id, write.etag or None) for write in writes]
        return Draft(identified(commit, changes), writes, self.reply, self.merged)


def _elements(old: Ontology, new: Ontology) -> list[Write]:
    before, after = old.element_bodies(), new.element_bodies()
    indexed = Indexed(SCHEMA_CLASS)
    return [
        Write(
            id,
            document_hash(after[id]).hex() if id in after else "",
            after.get(id),
            indexed if id in after else None,
            indexed if id in before else None,
        )
        for id in sorted(before.keys() | after.keys())
        if before.get(id) != after.get(id)
    ]


def _documents(
    put: Sequence[Document], remove: Sequence[str], facts: Facts, old: Ontology, new: Ontology
) -> list[Write]:
    def was(id: str) -> Indexed | None:
        found = facts.bodies.get(id)
        return Indexed(id.partition("/")[0], *old.compile().index(found.body)) if found is not None else None

    writes = []
    for document in put:
        body = parse_body(encoded(document), limit=MAX_BODY_BYTES)
        made = new.compile().prepare(body, document_id=document["@id"], random_id=str)
        writes.append(Write(made.id, made.etag, made.body, Indexed(made.cls, made.links, made.values), was(made.id)))
    return writes + [Write(id, "", None, None, was(id)) for id in remove]


def encoded(document: Document) -> bytes:
    """A document as text; a value may be an `orjson.Fragment` to give a number's digits."""
    return orjson.dumps(document)


def root_commit(branch: str, time: int) -> Commit:
    """The empty commit that a history begins with."""
    return identified(Commit("", (), branch, AUTHOR, AUTHOR, "begin", time, {}, TRACE, EMPTY.digest, 0), [])


def schema(*elements: Mapping[str, Any]) -> Ontology:
    """The ontology of these elements."""
    return parse_schema(elements)


async def make_database(store: Store, name: str = DB, request: RequestKey | None = None) -> Database:
    """A new empty database."""
    now = store_in_use().clock()
    return await store.create_database(
        Database(name, f"about {name}", now, f"{now:x}"), root_commit("main", now), request
    )


class Hand:
    """Writes to a database of a store and reads it."""

    def __init__(self, store: Store, database: str = DB) -> None:
        self.store = store
        self.database = database

    async def commit(
        self,
        *put: Document,
        branch: str = "main",
        request: RequestKey | None = None,
        dry_run: bool = False,
        **rest: Any,
    ) -> Commit | None:
        """Commit an edit; None if an earlier request made the commit."""
        edit = Edit(put, **rest)
        stored = await self.store.commit(self.database, branch, edit.decide, request=request, weight=1, dry_run=dry_run)
        assert stored.reply == edit.reply
        return stored.draft.commit if stored.draft is not None else None

    async def made(self, *put: Document, **rest: Any) -> Commit:
        """Commit an edit that no request made before."""
        commit = await self.commit(*put, **rest)
        assert commit is not None
        return commit

    async def facts(self, needs: Needs, branch: str = "main") -> Facts:
        """What a decision at the head of a branch is told."""

        def ask(head: Head) -> Decision:
            raise Told(head, (yield needs))

        try:
            await self.store.commit(self.database, branch, ask, request=None, weight=1)
        except Told as told:
            return told.facts
        raise AssertionError

    async def at(self, ref: str = "main") -> Point:
        """The point of a ref."""
        return await self.store.resolve(self.database, parse_ref(ref))

    async def fork(self, name: str, start: str = "main", request: RequestKey | None = None) -> Branch:
        """A new branch at a ref."""
        point = await self.at(start)
        branch = Branch(name, point.commit, store_in_use().clock(), 0)
        return await self.store.create_branch(self.database, branch, point, request)

    async def begin(self, name: str) -> Branch:
        """A new branch with a history of its own."""
        now = store_in_use().clock()
        root = root_commit(name, now)
        return await self.store.create_branch(self.database, Branch(name, root.id, now, now), root, None)

    async def bodies(self, ref: str = "main", *ids: str) -> dict[str, Any]:
        """Those of the documents that exist at a ref."""
        found = await self.store.read_many(await self.at(ref), ids)
        return {id: orjson.loads(version.body) for id, version in found.items()}

    async def changes(self, base: str | None, target: str) -> dict[str, tuple[bool, bool]]:
        """{id: whether it exists at base, and at target} of what differs but for the ontology, in order."""
        changed = await self.store.changed(await self.at(base) if base else None, await self.at(target))
        assert [one.id for one in changed] == sorted(one.id for one in changed)
        return {
            one.id: (one.before is not None, one.after is not None)
            for one in changed
            if not one.id.startswith(SCHEMA_PREFIX)
        }
