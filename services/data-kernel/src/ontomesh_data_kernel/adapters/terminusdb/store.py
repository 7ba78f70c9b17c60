"""The store port over a TerminusDB server.

Readers see a branch where the last commit of the kernel's left it. A commit is decided at that point and written as one
transaction, which holds only if the branch's `Ontomesh_Head` document still names that point: so of several gateways
that commit at once one wins, and the others decide anew. What it needs of the server's schema is brought in before, by
a commit that readers pass over.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from ontomesh_chassis.trace import child_span
from ontomesh_data_kernel.adapters.terminusdb.branches import Branches
from ontomesh_data_kernel.adapters.terminusdb.client import Client, Refused
from ontomesh_data_kernel.adapters.terminusdb.commits import Committer
from ontomesh_data_kernel.adapters.terminusdb.databases import Databases
from ontomesh_data_kernel.adapters.terminusdb.history import History
from ontomesh_data_kernel.adapters.terminusdb.outbox import TerminusOutbox
from ontomesh_data_kernel.adapters.terminusdb.points import address, encoded, point_of
from ontomesh_data_kernel.adapters.terminusdb.queries import Queries
from ontomesh_data_kernel.adapters.terminusdb.reads import Reader
from ontomesh_data_kernel.adapters.terminusdb.records import Records
from ontomesh_data_kernel.adapters.terminusdb.requests import Requests
from ontomesh_data_kernel.adapters.terminusdb.state import TerminusState
from ontomesh_data_kernel.domain.model import Branch, Commit, Database, Document
from ontomesh_data_kernel.domain.query.tree import Plan, Query, Selection
from ontomesh_data_kernel.domain.refs import Ref
from ontomesh_data_kernel.errors import (
    BranchNotFound,
    CommitNotFound,
    DatabaseNotFound,
    KernelError,
    RequestIdReused,
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
    Version,
)

T = TypeVar("T")
P = ParamSpec("P")

_HISTORY_BATCH = 20
_HISTORY_BYTES = 8 << 20
_SYSTEM: dict[str, Any] = {"db.system.name": "terminusdb"}


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

    staging = None

    def __init__(self, client: Client, clock: Callable[[], int]) -> None:
        self._client = client
        self._reader = Reader(client)
        self._queries = Queries(client, self._reader)
        self._committer = Committer(client, self._reader)
        records = Records(client)
        self._requests = Requests(records, clock)
        self.state = TerminusState(Records(client, "ontomesh-state"), lambda name: self._serving(name, ""))
        self._databases = Databases(client, records, self._requests, self._committer)
        self._branches = Branches(client, records, self._requests, self._databases, self._committer)
        self._history = History(self._databases, self._reader)
        self.outbox = TerminusOutbox(
            self._databases, self._branches, self._reader, self.state, lambda name: self._serving(name, "")
        )

    # Databases

    async def create_database(self, database: Database, root: Commit, request: RequestKey | None) -> Database:
        """See `ports.Store`."""
        async with self._serving("create database", database.name):
            return await self._databases.create(database, root, request)

    async def get_database(self, name: str) -> Database:
        """See `ports.Store`."""
        async with self._serving("get database", name):
            return await self._databases.get(name)

    async def list_databases(self, after: str, limit: int) -> Sequence[Database]:
        """See `ports.Store`."""
        async with self._serving("list databases", ""):
            return await self._databases.list(after, limit)

    async def update_database(self, database: Database, expected_etag: str) -> Database:
        """See `ports.Store`."""
        async with self._serving("update database", database.name):
            return await self._databases.update(database, expected_etag)

    async def delete_database(self, name: str, expected_etag: str) -> None:
        """See `ports.Store`."""
        async with self._serving("delete database", name):
            await self._databases.delete(name, expected_etag)

    # Branches and refs

    @_by_its_name
    async def create_branch(
        self, database: str, branch: Branch, start: Point | Commit | KernelError, request: RequestKey | None
    ) -> Branch:
        """See `ports.Store`."""
        async with self._serving("create branch", database):
            return await self._branches.create(database, branch, start, request)

    @_by_its_name
    async def get_branch(self, database: str, name: str) -> Branch:
        """See `ports.Store`."""
        async with self._serving("get branch", database, name):
            return await self._branches.get(database, name)

    @_by_its_name
    async def list_branches(self, database: str, prefix: str, after: str, limit: int) -> Sequence[Branch]:
        """See `ports.Store`."""
        async with self._serving("list branches", database):
            return await self._branches.list(database, prefix, after, limit)

    @_by_its_name
    async def delete_branch(self, database: str, name: str, expected_head: str) -> None:
        """See `ports.Store`."""
        async with self._serving("delete branch", database, name):
            await self._branches.delete(database, name, expected_head)

    @_by_its_name
    async def resolve(self, database: str, ref: Ref) -> Point:
        """See `ports.Store`."""
        async with self._serving("resolve", database, ref.branch):
            return await self._history.resolve(database, ref)

    async def describe(self, database: str, point: Point) -> Commit:
        """See `ports.Store`."""
        return self._databases.graph(address(point)[0]).at(point.commit).commit

    async def parent(self, point: Point) -> Point | None:
        """See `ports.Store`."""
        native, _ = address(point)
        entry = self._databases.graph(native).back(point.commit, 1)
        return point_of(native, entry) if entry is not None else None

    async def is_ancestor(self, ancestor: Point, of: Point, first_parent: bool = False) -> bool:
        """See `ports.Store`."""
        graph = self._databases.graph(address(of)[0])
        if first_parent:
            return any(entry.commit.id == ancestor.commit for entry in graph.first_parents(of.commit))
        return ancestor.commit in graph.reached(of.commit)

    async def merge_bases(self, ours: Point, theirs: Point) -> Sequence[Point]:
        """See `ports.Store`."""
        native, _ = address(ours)
        return [
            point_of(native, entry) for entry in self._databases.graph(native).merge_bases(ours.commit, theirs.commit)
        ]

    async def log(
        self, point: Point, first_parent: bool, after: tuple[int, str] | None, limit: int
    ) -> Sequence[Commit]:
        """See `ports.Store`."""
        return self._history.log(point, first_parent, after, limit)

    async def count_history(self, *points: Point, excluding: Collection[Point] = ()) -> int:
        """See `ports.Store`."""
        return len(self._history.entries(points, excluding))

    # Reads

    async def read(self, point: Point, id: str) -> Version | None:
        """See `ports.Store`."""
        async with self._serving("get", ""):
            native, backend = address(point)
            return (await self._reader.versions(native, backend, point.ontology_digest, [id])).get(id)

    @_by_its_name
    async def read_at(self, database: str, ref: Ref, id: str) -> tuple[Point, Version | None]:
        """See `ports.Store`."""
        async with self._serving("get", database, ref.branch):
            if ref.is_branch:
                native = await self._databases.native(database)
                answered = await self._reader.read_head(native, encoded(ref.branch), id)
                if answered is not None:
                    document, head = answered
                    tip = await self._databases.graph(native).tip(encoded(ref.branch), ref.branch, head)
                    if tip.head == tip.entry.backend:
                        point = point_of(native, tip.entry, ref.branch)
                        version = await self._reader.version(native, head, point.ontology_digest, document)
                        return point, version
            point = await self._history.resolve(database, ref)
            native, backend = address(point)
            return point, (await self._reader.versions(native, backend, point.ontology_digest, [id])).get(id)

    async def read_many(
        self, point: Point, ids: Collection[str], max_bytes: int | None = None
    ) -> Mapping[str, Version]:
        """See `ports.Store`."""
        async with self._serving("batch get", ""):
            native, backend = address(point)
            return await self._reader.versions(native, backend, point.ontology_digest, ids, max_bytes)

    async def read_ontology(self, point: Point) -> Mapping[str, bytes]:
        """See `ports.Store`."""
        async with self._serving("get ontology", ""):
            return await self._reader.elements(*address(point))

    async def list_documents(
        self, point: Point, classes: Sequence[str], after: str, limit: int, max_bytes: int
    ) -> tuple[Sequence[Document], bool]:
        """See `ports.Store`."""
        async with self._serving("list", ""):
            native, backend = address(point)
            return await self._reader.documents(
                native, backend, point.ontology_digest, classes, after, limit, max_bytes
            )

    async def select(self, point: Point, query: Query, position: str, limit: int, max_bytes: int) -> Selection:
        """See `ports.Store`."""
        async with self._serving("query", ""):
            return await self._queries.select(point, query, position, limit, max_bytes)

    async def count(self, point: Point, query: Query) -> int:
        """See `ports.Store`."""
        async with self._serving("count query", ""):
            return await self._queries.count(point, query)

    async def explain(self, point: Point, query: Query) -> Plan:
        """See `ports.Store`."""
        async with self._serving("explain query", ""):
            return await self._queries.explain(point, query)

    async def referrers(
        self, point: Point, target: str, paths: Collection[str], after: str, limit: int
    ) -> Sequence[tuple[str, str]]:
        """See `ports.Store`."""
        async with self._serving("referrers", ""):
            return await self._queries.referrers(point, target, paths, after, limit)

    async def changed(self, base: Point | None, target: Point) -> Sequence[Change]:
        """See `ports.Store`."""
        async with self._serving("diff", ""):
            return await self._history.changed(base, target)

    async def history(
        self, *points: Point, excluding: Collection[Point] = ()
    ) -> AsyncGenerator[Sequence[HistoryEntry]]:
        """See `ports.Store`."""
        native, _ = address(points[0])
        graph = self._databases.graph(native)
        batch: list[HistoryEntry] = []
        size = 0
        for entry in self._history.entries(points, excluding):
            async with self._serving("history", ""):
                batch.append(await self._history.told(native, graph, entry))
            size += sum(len(change.body or b"") for change in batch[-1].changes)
            if len(batch) == _HISTORY_BATCH or size >= _HISTORY_BYTES:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch

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
            native = await self._databases.native(database)
            graph = self._databases.graph(native)
            if (await self._requests.kept(native, request)).reply is not None:
                raise RequestIdReused.of(request.id if request is not None else "")
            stored = await self._committer.commit(
                native,
                graph,
                branch,
                encoded(branch),
                decide,
                request,
                dry_run,
                lambda: self._requests.made(graph, request),
            )
            self.outbox.notify()
            return stored

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
                    known = self._databases.forget(database)
                    raise (_Stale if known else DatabaseNotFound).of(database) if database else _gone() from None
                if error.kind == "UnresolvableAbsoluteDescriptor":
                    raise (BranchNotFound.of(database, branch) if branch else _gone()) from None
                if error.status >= 500 or error.status == 200:
                    raise StoreUnavailable(f"TerminusDB failed: {error}") from error
                raise UnsupportedByStore(f"TerminusDB refuses it: {error}") from error


def _gone() -> CommitNotFound:
    return CommitNotFound("the commit's database was deleted meanwhile")
