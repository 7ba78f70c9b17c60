"""The store port over a TerminusDB server.

Readers see a branch where the last commit of the kernel's left it. A commit is decided at that point and written as one
transaction, which holds only if the branch's `Ontomesh_Head` document still names that point: so of several gateways
that commit at once one wins, and the others decide anew. What it needs of the server's schema is brought in before, by
a commit that readers pass over.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from functools import wraps
from typing import Any, ParamSpec, TypeVar
from urllib.parse import quote, unquote

import orjson

from ontomesh_chassis.trace import child_span
from ontomesh_data_kernel.adapters.terminusdb.client import Client, Refused
from ontomesh_data_kernel.adapters.terminusdb.commits import Committer
from ontomesh_data_kernel.adapters.terminusdb.graph import Entry, Graph, one_of
from ontomesh_data_kernel.adapters.terminusdb.reads import Reader
from ontomesh_data_kernel.adapters.terminusdb.records import BRANCH, DATABASE, REQUEST, Records, Swap, joined
from ontomesh_data_kernel.domain.model import Branch, Commit, Database, Document
from ontomesh_data_kernel.domain.refs import Ref
from ontomesh_data_kernel.errors import (
    BranchAlreadyExists,
    BranchNotFound,
    CommitNotFound,
    DatabaseAlreadyExists,
    DatabaseNotFound,
    EtagMismatch,
    KernelError,
    RequestIdReused,
    StaleHead,
    StoreUnavailable,
    UnsupportedByStore,
)
from ontomesh_data_kernel.ports import (
    Change,
    Decision,
    Head,
    HistoryEntry,
    Point,
    RequestKey,
    Stored,
    StoredChange,
    Version,
)

T = TypeVar("T")
P = ParamSpec("P")

REQUEST_LIFETIME = 7 * 86_400 * 1_000_000
_HISTORY_BATCH = 20
_HISTORY_BYTES = 8 << 20
_SYSTEM: dict[str, Any] = {"db.system.name": "terminusdb"}


@dataclass(frozen=True, slots=True)
class _Kept:
    """The record of a request: its text, None if there is none; what it was answered, None if that has lapsed."""

    text: str | None
    reply: str | None = None
    done: bool = False


class _Stale(DatabaseNotFound):
    """The database that was known by a name is gone; there may be another of that name by now."""


def _by_its_name(method: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Do it again where the name led to a database that another gateway has deleted since."""

    @wraps(method)
    async def asked(*args: P.args, **rest: P.kwargs) -> T:
        try:
            return await method(*args, **rest)
        except _Stale:
            pass
        try:
            return await method(*args, **rest)
        except _Stale as error:
            raise DatabaseNotFound(error.message, error.violations, error.metadata) from None

    return asked


class TerminusStore:
    """A document store on a TerminusDB server; implements `ports.Store`. Made by `open_store`."""

    def __init__(self, client: Client, clock: Callable[[], int]) -> None:
        self._client = client
        self._clock = clock
        self._records = Records(client)
        self._reader = Reader(client)
        self._committer = Committer(client, self._reader)
        self._natives: dict[str, str] = {}
        self._graphs: dict[str, Graph] = {}

    # Databases

    async def create_database(self, database: Database, root: Commit, request: RequestKey | None) -> Database:
        """See `ports.Store`."""
        async with self._serving("create database", database.name):
            kept = await self._request("", request)
            if kept.reply is not None:
                return Database(**orjson.loads(kept.reply))
            record = await self._records.get(DATABASE, database.name)
            if record is not None:
                if not _is_gone(record):
                    raise DatabaseAlreadyExists.of(database.name)
                await self._drop(orjson.loads(record)["native"])
            native = f"{self._client.server.prefix}{database.name}.{root.id[:16]}"
            await self._create_native(native, database)
            graph = self._graph(native)
            await self._committer.begin(native, graph, "main", root, is_new=False)
            made = orjson.dumps(asdict(database) | {"native": native}).decode()
            swaps = [Swap(DATABASE, database.name, record, made)]
            if request is not None:
                text = self._answer(request, orjson.dumps(asdict(database)).decode(), done=True)
                swaps.append(Swap(REQUEST, joined(("", request.principal, request.id)), kept.text, text))
            if not await self._records.swap(*swaps):
                # Another gateway was first: with this request, or with one of its own.
                record = await self._records.get(DATABASE, database.name)
                if record is None or orjson.loads(record)["native"] != native:
                    await self._drop(native)
                kept = await self._request("", request)
                if kept.reply is not None:
                    return Database(**orjson.loads(kept.reply))
                raise DatabaseAlreadyExists.of(database.name)
            self._natives[database.name] = native
            return database

    async def _create_native(self, native: str, database: Database) -> None:
        body = {"label": database.name, "comment": database.description, "schema": True}
        try:
            await self._client.insist("POST", self._client.path("db", native), body=body)
        except Refused as error:
            if error.kind != "DatabaseAlreadyExists":
                raise
            if await self._records.get(DATABASE, database.name) is not None:
                raise DatabaseAlreadyExists.of(database.name) from None
            # A copy that was killed before the records told of it left it behind.
            await self._drop(native)
            await self._client.insist("POST", self._client.path("db", native), body=body)

    async def get_database(self, name: str) -> Database:
        """See `ports.Store`."""
        async with self._serving("get database", name):
            return _database(await self._database_record(name))

    async def list_databases(self, after: str, limit: int) -> Sequence[Database]:
        """See `ports.Store`."""
        async with self._serving("list databases", ""):
            found = [_database(text) for text in await self._records.list(DATABASE) if not _is_gone(text)]
            return sorted((one for one in found if one.name > after), key=lambda one: one.name)[:limit]

    async def update_database(self, database: Database, expected_etag: str) -> Database:
        """See `ports.Store`."""
        async with self._serving("update database", database.name):
            while True:
                record = await self._database_record(database.name)
                current = _database(record)
                if expected_etag and current.etag != expected_etag:
                    raise EtagMismatch.of(database.name, current.etag, "database.etag")
                changed = orjson.loads(record) | {"description": database.description, "etag": database.etag}
                swap = Swap(DATABASE, database.name, record, orjson.dumps(changed).decode())
                if await self._records.swap(swap):
                    return _database(orjson.dumps(changed).decode())

    async def delete_database(self, name: str, expected_etag: str) -> None:
        """See `ports.Store`."""
        async with self._serving("delete database", name):
            gone = ""
            while not gone:
                record = await self._records.get(DATABASE, name)
                if record is None:
                    raise DatabaseNotFound.of(name)
                if _is_gone(record):
                    gone = record  # whoever began it was killed
                    break
                if expected_etag and _database(record).etag != expected_etag:
                    raise EtagMismatch.of(name, _database(record).etag, "etag")
                marked = orjson.dumps(orjson.loads(record) | {"gone": True}).decode()
                if await self._records.swap(Swap(DATABASE, name, record, marked)):
                    gone = marked
            self._natives.pop(name, None)
            # Only then may the record go: while it is there, other gateways still write to the server's database.
            await self._drop(orjson.loads(gone)["native"])
            await self._records.swap(Swap(DATABASE, name, gone, None))

    async def _drop(self, native: str) -> None:
        self._graphs.pop(native, None)
        try:
            await self._client.insist("DELETE", self._client.path("db", native), body={}, query={"force": "true"})
        except Refused as error:
            if error.kind != "UnknownDatabase":
                raise

    async def _database_record(self, name: str) -> str:
        record = await self._records.get(DATABASE, name)
        if record is None or _is_gone(record):
            self._natives.pop(name, None)
            raise DatabaseNotFound.of(name)
        self._natives[name] = orjson.loads(record)["native"]
        return record

    async def _native(self, name: str) -> str:
        known = self._natives.get(name)
        if known is None:
            await self._database_record(name)
            known = self._natives[name]
        return known

    def _graph(self, native: str) -> Graph:
        graph = self._graphs.get(native)
        if graph is None:
            graph = self._graphs[native] = Graph(self._client, native)
        return graph

    # Requests that were answered, but for commits, whose records name theirs

    async def _request(self, scope: str, request: RequestKey | None) -> _Kept:
        """What is kept of a request. Raises RequestIdReused."""
        if request is None:
            return _Kept(None)
        text = await self._records.get(REQUEST, joined((scope, request.principal, request.id)))
        if text is None:
            return _Kept(None)
        kept = orjson.loads(text)
        if kept["time"] <= self._clock() - REQUEST_LIFETIME:
            return _Kept(text)
        if kept["digest"] != request.digest.hex():
            raise RequestIdReused.of(request.id)
        return _Kept(text, kept["reply"], kept["done"])

    def _answer(self, request: RequestKey, reply: str, *, done: bool) -> str:
        kept = {"digest": request.digest.hex(), "time": self._clock(), "reply": reply, "done": done}
        return orjson.dumps(kept).decode()

    # Branches and refs

    @_by_its_name
    async def create_branch(
        self, database: str, branch: Branch, start: Point | Commit | KernelError, request: RequestKey | None
    ) -> Branch:
        """See `ports.Store`."""
        async with self._serving("create branch", database):
            native = await self._native(database)
            graph = self._graph(native)
            kept = await self._request(native, request)
            if kept.reply is not None and kept.done:
                return Branch(*orjson.loads(kept.reply))
            if request is not None and await self._made_by(graph, request) is not None:
                raise RequestIdReused.of(request.id)
            if isinstance(start, KernelError):
                raise start
            time = start.time if isinstance(start, Commit) else graph.at(start.commit).commit.time
            made = Branch(branch.name, branch.head, branch.create_time, time)
            earlier = Branch(*orjson.loads(kept.reply)) if kept.reply is not None else None
            is_there = await self._has_branch(graph, database, earlier or made, begun=earlier is not None)
            noted = kept.text
            if earlier is not None and is_there:
                made = earlier
            elif request is not None:
                noted = await self._begin_request(native, request, made, kept.text)
            if not is_there and isinstance(start, Commit):
                await self._begin(native, graph, database, made, start)
            elif not is_there and isinstance(start, Point):
                await self._fork(native, database, made, start, begun=request is not None)
            finish = []
            if request is not None:
                text = self._answer(request, _reply_of(made), done=True)
                finish = [Swap(REQUEST, joined((native, request.principal, request.id)), noted, text)]
            record = orjson.dumps({"name": made.name, "native": native, "created": made.create_time}).decode()
            await self._put_branch(native, branch.name, record, finish)
            return made

    async def _has_branch(self, graph: Graph, database: str, branch: Branch, *, begun: bool) -> bool:
        """Whether an earlier try of the same request made the branch already. Raises BranchAlreadyExists."""
        try:
            tip = await graph.tip(_encoded(branch.name), branch.name)
        except BranchNotFound:
            return False
        if begun and tip.entry.commit.id == branch.head:
            return True
        raise BranchAlreadyExists.of(database, branch.name, tip.entry.commit.id)

    async def _begin_request(self, native: str, request: RequestKey, made: Branch, old: str | None) -> str:
        """Note what a request is about to make, so that a later try knows its own work. Raises StoreUnavailable."""
        text = self._answer(request, _reply_of(made), done=False)
        if not await self._records.swap(Swap(REQUEST, joined((native, request.principal, request.id)), old, text)):
            raise StoreUnavailable("the same request is being answered at this moment")
        return text

    async def _begin(self, native: str, graph: Graph, database: str, branch: Branch, root: Commit) -> None:
        try:
            await self._committer.begin(native, graph, _encoded(branch.name), root, is_new=True)
        except Refused as error:
            if error.kind != "BranchExistsError":
                raise
            if not await self._has_branch(graph, database, branch, begun=False):
                # Whoever made it was killed before its first commit.
                await self._committer.begin(native, graph, _encoded(branch.name), root, is_new=False)

    async def _fork(self, native: str, database: str, made: Branch, start: Point, *, begun: bool) -> None:
        _, backend = _state(start)
        origin = f"{self._client.server.organization}/{native}/local/commit/{backend}"
        path = self._client.path("branch", native, "local", "branch", _encoded(made.name))
        try:
            await self._client.insist("POST", path, body={"origin": origin})
        except Refused as error:
            if error.kind != "BranchExistsError":
                raise
            await self._has_branch(self._graph(native), database, made, begun=begun)

    async def _put_branch(self, native: str, name: str, text: str, others: list[Swap]) -> None:
        key = joined((native, name))
        while True:
            old = await self._records.get(BRANCH, key)
            if await self._records.swap(Swap(BRANCH, key, old, text), *others):
                return
            for one in others:
                if await self._records.get(one.kind, one.key) != one.old:
                    return  # the same request was sent twice, and the other has finished it

    @_by_its_name
    async def get_branch(self, database: str, name: str) -> Branch:
        """See `ports.Store`."""
        async with self._serving("get branch", database, name):
            native = await self._native(database)
            tip, record = await asyncio.gather(
                self._graph(native).tip(_encoded(name), name), self._records.get(BRANCH, joined((native, name)))
            )
            return await self._branch(database, name, tip.entry.commit, record)

    async def _branch(self, database: str, name: str, head: Commit, record: str | None) -> Branch:
        created = orjson.loads(record)["created"] if record is not None else None
        if created is None:
            # `main` is as old as its database, and a branch made elsewhere as old as is known of it.
            created = (await self.get_database(database)).create_time if name == "main" else head.time
        return Branch(name, head.id, created, head.time)

    @_by_its_name
    async def list_branches(self, database: str, prefix: str, after: str, limit: int) -> Sequence[Branch]:
        """See `ports.Store`."""
        async with self._serving("list branches", database):
            native = await self._native(database)
            query = "{Branch{name head{identifier}}}"
            told = await self._client.graphql(native, "local", "_commits", query=query)
            heads = {unquote(one["name"]): one["head"]["identifier"] for one in told["Branch"] if one["head"]}
            names = sorted(name for name in heads if name.startswith(prefix) and name > after)
            texts = [orjson.loads(text) for text in await self._records.list(BRANCH)]
            records = {one["name"]: orjson.dumps(one).decode() for one in texts if one["native"] == native}
            found: list[Branch] = []
            for name in names:
                try:
                    tip = await self._graph(native).tip(_encoded(name), name, heads[name])
                except BranchNotFound:
                    continue
                found.append(await self._branch(database, name, tip.entry.commit, records.get(name)))
                if len(found) == limit:
                    break
            return found

    @_by_its_name
    async def delete_branch(self, database: str, name: str, expected_head: str) -> None:
        """See `ports.Store`."""
        async with self._serving("delete branch", database, name):
            native = await self._native(database)
            graph = self._graph(native)
            closed = False
            while not closed:
                tip = await graph.tip(_encoded(name), name)
                if expected_head and tip.entry.commit.id != expected_head:
                    raise StaleHead.of(name, tip.entry.commit.id, expected_head)
                # The server deletes whatever the head is by then: so first nobody can move it any more.
                closed = await self._committer.close_branch(native, graph, _encoded(name), tip)
            await self._client.insist(
                "DELETE", self._client.path("branch", native, "local", "branch", _encoded(name)), body={}
            )
            record = await self._records.get(BRANCH, joined((native, name)))
            if record is not None:
                await self._records.swap(Swap(BRANCH, joined((native, name)), record, None))

    @_by_its_name
    async def resolve(self, database: str, ref: Ref) -> Point:
        """See `ports.Store`."""
        async with self._serving("resolve", database, ref.branch):
            return await self._resolve(database, ref)

    async def _resolve(self, database: str, ref: Ref) -> Point:
        native = await self._native(database)
        graph = self._graph(native)
        if ref.branch:
            entry: Entry | None = (await graph.tip(_encoded(ref.branch), ref.branch)).entry
        else:
            entry = one_of(await graph.find(ref.commit), ref.text, database)
        assert entry is not None
        if ref.ancestor:
            entry = graph.back(entry.commit.id, ref.ancestor)
        elif ref.time is not None:
            until = ref.time
            entry = next((one for one in graph.first_parents(entry.commit.id) if one.commit.time <= until), None)
        if entry is None:
            raise CommitNotFound.of(database, ref.text, "its history does not reach back so far")
        return _point(native, entry, ref.branch)

    async def describe(self, database: str, point: Point) -> Commit:
        """See `ports.Store`."""
        return self._graph(_state(point)[0]).at(point.commit).commit

    async def parent(self, point: Point) -> Point | None:
        """See `ports.Store`."""
        native, _ = _state(point)
        entry = self._graph(native).back(point.commit, 1)
        return _point(native, entry) if entry is not None else None

    async def is_ancestor(self, ancestor: Point, of: Point, first_parent: bool = False) -> bool:
        """See `ports.Store`."""
        graph = self._graph(_state(of)[0])
        if first_parent:
            return any(entry.commit.id == ancestor.commit for entry in graph.first_parents(of.commit))
        return ancestor.commit in graph.reached(of.commit)

    async def merge_bases(self, ours: Point, theirs: Point) -> Sequence[Point]:
        """See `ports.Store`."""
        native, _ = _state(ours)
        return [_point(native, entry) for entry in self._graph(native).merge_bases(ours.commit, theirs.commit)]

    async def log(
        self, point: Point, first_parent: bool, after: tuple[int, str] | None, limit: int
    ) -> Sequence[Commit]:
        """See `ports.Store`."""
        graph = self._graph(_state(point)[0])
        entries = graph.first_parents(point.commit) if first_parent else graph.reached(point.commit).values()
        keyed = [((entry.commit.time, entry.commit.id), entry.commit) for entry in entries]
        keyed = [one for one in keyed if after is None or one[0] < after]
        return [commit for _, commit in sorted(keyed, key=lambda one: one[0], reverse=True)[:limit]]

    async def count_history(self, *points: Point, excluding: Collection[Point] = ()) -> int:
        """See `ports.Store`."""
        return len(self._history(points, excluding))

    def _history(self, points: Collection[Point], excluding: Collection[Point]) -> list[Entry]:
        """What points reach and those excluded do not. A commit is always later than its parents."""
        graph = self._graph(_state(next(iter(points)))[0])
        left_out = graph.reached(*(point.commit for point in excluding))
        reached = graph.reached(*(point.commit for point in points))
        entries = [entry for id, entry in reached.items() if id not in left_out]
        return sorted(entries, key=lambda one: (one.commit.time, one.commit.id))

    # Reads

    async def read(self, point: Point, id: str) -> Version | None:
        """See `ports.Store`."""
        async with self._serving("get", ""):
            native, backend = _state(point)
            return (await self._reader.versions(native, backend, point.ontology_digest, [id])).get(id)

    @_by_its_name
    async def read_at(self, database: str, ref: Ref, id: str) -> tuple[Point, Version | None]:
        """See `ports.Store`."""
        async with self._serving("get", database, ref.branch):
            if ref.is_branch:
                native = await self._native(database)
                answered = await self._reader.read_head(native, _encoded(ref.branch), id)
                if answered is not None:
                    document, head = answered
                    tip = await self._graph(native).tip(_encoded(ref.branch), ref.branch, head)
                    if tip.head == tip.entry.backend:
                        point = _point(native, tip.entry, ref.branch)
                        version = await self._reader.version(native, head, point.ontology_digest, document)
                        return point, version
            point = await self._resolve(database, ref)
            native, backend = _state(point)
            return point, (await self._reader.versions(native, backend, point.ontology_digest, [id])).get(id)

    async def read_many(
        self, point: Point, ids: Collection[str], max_bytes: int | None = None
    ) -> Mapping[str, Version]:
        """See `ports.Store`."""
        async with self._serving("batch get", ""):
            native, backend = _state(point)
            return await self._reader.versions(native, backend, point.ontology_digest, ids, max_bytes)

    async def read_ontology(self, point: Point) -> Mapping[str, bytes]:
        """See `ports.Store`."""
        async with self._serving("get ontology", ""):
            return await self._reader.elements(*_state(point))

    async def list_documents(
        self, point: Point, classes: Sequence[str], after: str, limit: int, max_bytes: int
    ) -> tuple[Sequence[Document], bool]:
        """See `ports.Store`."""
        async with self._serving("list", ""):
            native, backend = _state(point)
            return await self._reader.documents(
                native, backend, point.ontology_digest, classes, after, limit, max_bytes
            )

    async def changed(self, base: Point | None, target: Point) -> Sequence[Change]:
        """See `ports.Store`."""
        async with self._serving("diff", ""):
            native, _ = _state(target)
            graph = self._graph(native)
            if base is None:
                ids = {id for entry in graph.first_parents(target.commit) for id in entry.changed}
            else:
                ids = graph.changed_between(base.commit, target.commit)
            old = await self._reader.versions(*_state(base), base.ontology_digest, ids) if base is not None else {}
            new = await self._reader.versions(*_state(target), target.ontology_digest, ids)
            changes = []
            for id in sorted(ids):
                before, after = old.get(id), new.get(id)
                if (before and before.etag) != (after and after.etag):
                    changes.append(Change(id, before.etag if before else None, after.etag if after else None))
            return changes

    async def history(
        self, *points: Point, excluding: Collection[Point] = ()
    ) -> AsyncGenerator[Sequence[HistoryEntry]]:
        """See `ports.Store`."""
        native, _ = _state(points[0])
        graph = self._graph(native)
        batch: list[HistoryEntry] = []
        size = 0
        for entry in self._history(points, excluding):
            async with self._serving("history", ""):
                batch.append(await self._history_entry(native, graph, entry))
            size += sum(len(change.body or b"") for change in batch[-1].changes)
            if len(batch) == _HISTORY_BATCH or size >= _HISTORY_BYTES:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch

    async def _history_entry(self, native: str, graph: Graph, entry: Entry) -> HistoryEntry:
        commit, parent = entry.commit, graph.back(entry.commit.id, 1)
        old: Mapping[str, Version] = {}
        if parent is not None:
            digest = parent.commit.ontology_digest
            old = await self._reader.versions(native, parent.backend, digest, entry.changed)
        new = await self._reader.versions(native, entry.backend, commit.ontology_digest, entry.changed)
        changes = []
        for id in entry.changed:
            before, after = old.get(id), new.get(id)
            etag = after.etag if after else None
            changes.append(StoredChange(id, etag, after.body if after else None, before.etag if before else None))
        digest = parent.commit.ontology_digest if parent is not None else ""
        return HistoryEntry(_point(native, entry), commit, commit.parents, digest, changes)

    # Commits

    @_by_its_name
    async def commit(
        self,
        database: str,
        branch: str,
        decide: Callable[[Head], Decision],
        *,
        request: RequestKey | None,
        weight: int,
        dry_run: bool = False,
    ) -> Stored:
        """See `ports.Store`."""
        async with self._serving("commit", database, branch):
            native = await self._native(database)
            graph = self._graph(native)
            if (await self._request(native, request)).reply is not None:
                raise RequestIdReused.of(request.id if request is not None else "")
            return await self._committer.commit(
                native, graph, branch, _encoded(branch), decide, request, dry_run, lambda: self._made_by(graph, request)
            )

    async def _made_by(self, graph: Graph, request: RequestKey | None) -> Entry | None:
        """The commit of the last seven days that a request made. Raises RequestIdReused."""
        if request is None:
            return None
        entry = graph.request(request.principal, request.id)
        if entry is None or entry.commit.time <= self._clock() - REQUEST_LIFETIME:
            return None
        if entry.request is None or entry.request[2] != request.digest.hex():
            raise RequestIdReused.of(request.id)
        return entry

    # The rest

    async def ping(self) -> None:
        """Raise StoreUnavailable unless the server answers."""
        async with self._serving("ping", ""):
            await self._client.ask("GET", "ok")

    async def close(self) -> None:
        """Finish what was accepted and release the store."""
        await self._committer.close()
        await self._client.close()

    @asynccontextmanager
    async def _serving(self, name: str, database: str, branch: str = "") -> AsyncIterator[None]:
        """A span, and the server's refusals as the kernel's."""
        with child_span("ontomesh.store", f"terminusdb {name}", **_SYSTEM):
            try:
                yield
            except BranchNotFound:
                raise BranchNotFound.of(database, branch) from None
            except Refused as error:
                if error.kind == "UnknownDatabase":
                    known = self._natives.pop(database, None)
                    self._graphs.pop(known or "", None)
                    raise (_Stale if known else DatabaseNotFound).of(database) if database else _gone() from None
                if error.kind == "UnresolvableAbsoluteDescriptor":
                    raise (BranchNotFound.of(database, branch) if branch else _gone()) from None
                if error.status >= 500 or error.status == 200:
                    raise StoreUnavailable(f"TerminusDB failed: {error}") from error
                raise UnsupportedByStore(f"TerminusDB refuses it: {error}") from error


def _gone() -> CommitNotFound:
    return CommitNotFound("the commit's database was deleted meanwhile")


def _database(record: str) -> Database:
    told = orjson.loads(record)
    return Database(told["name"], told["description"], told["create_time"], told["etag"])


def _is_gone(record: str) -> bool:
    """Whether the database is being deleted."""
    return bool(orjson.loads(record).get("gone"))


def _reply_of(branch: Branch) -> str:
    return orjson.dumps([branch.name, branch.head, branch.create_time, branch.update_time]).decode()


def _encoded(branch: str) -> str:
    """A branch's name on the server, which allows no slash."""
    return quote(branch, safe="")


def _state(point: Point) -> tuple[str, str]:
    state = point.state
    assert isinstance(state, tuple)
    return state


def _point(native: str, entry: Entry, branch: str = "") -> Point:
    return Point(entry.commit.id, branch or entry.commit.branch, entry.commit.ontology_digest, (native, entry.backend))
