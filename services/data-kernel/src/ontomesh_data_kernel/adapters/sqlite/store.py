"""The store port over one SQLite file.

Several processes may share the file: a writer takes SQLite's lock for its transaction and reads what it decides on
inside it; readers never wait. Reads of microseconds run on the event loop, longer ones in threads.
"""

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from ontomesh_chassis.trace import child_span
from ontomesh_data_kernel.adapters.sqlite import history as stored
from ontomesh_data_kernel.adapters.sqlite import locate
from ontomesh_data_kernel.adapters.sqlite.apply import NodeIds
from ontomesh_data_kernel.adapters.sqlite.connection import connect, refusal
from ontomesh_data_kernel.adapters.sqlite.lineage import Lineages
from ontomesh_data_kernel.adapters.sqlite.locate import state_of
from ontomesh_data_kernel.adapters.sqlite.reads import Reader
from ontomesh_data_kernel.adapters.sqlite.transact import Transact
from ontomesh_data_kernel.adapters.sqlite.writer import Transaction, Writer
from ontomesh_data_kernel.domain.model import Branch, Commit, Database, Document
from ontomesh_data_kernel.domain.refs import Ref
from ontomesh_data_kernel.errors import KernelError
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

_READ_INLINE = 32
_HISTORY_BATCH = 100
_THREADS = 2
_SYSTEM: dict[str, Any] = {"db.system.name": "sqlite"}


def now_us() -> int:
    """The time in microseconds since the epoch."""
    return time.time_ns() // 1_000


class SqliteStore:
    """A document store in one file; implements `ports.Store`. Made by `open_store`."""

    def __init__(self, path: Path, writer: Writer, lineages: Lineages, clock: Callable[[], int]) -> None:
        self._path = path
        self._writer = writer
        self._lineages = lineages
        self._transact = Transact(lineages, NodeIds(), clock)
        self._reader = Reader(connect(path), lineages)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="sqlite-reader")
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = [self._reader.connection]

    # Writes

    async def create_database(self, database: Database, root: Commit, request: RequestKey | None) -> Database:
        """See `ports.Store`."""
        return await self._write(
            "create database", lambda t: self._transact.create_database(t, database, root, request)
        )

    async def update_database(self, database: Database, expected_etag: str) -> Database:
        """See `ports.Store`."""
        return await self._write(
            "update database", lambda t: self._transact.update_database(t, database, expected_etag)
        )

    async def delete_database(self, name: str, expected_etag: str) -> None:
        """See `ports.Store`."""
        run: Callable[[Transaction], None] = lambda t: self._transact.delete_database(t, name, expected_etag)  # noqa: E731
        await self._write("delete database", run, weight=1_000_000)

    async def create_branch(
        self, database: str, branch: Branch, start: Point | Commit | KernelError, request: RequestKey | None
    ) -> Branch:
        """See `ports.Store`."""
        return await self._write(
            "create branch", lambda t: self._transact.create_branch(t, database, branch, start, request)
        )

    async def delete_branch(self, database: str, name: str, expected_head: str) -> None:
        """See `ports.Store`."""
        await self._write("delete branch", lambda t: self._transact.delete_branch(t, database, name, expected_head))

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
        return await self._write(
            "commit", lambda t: self._transact.commit(t, database, branch, decide, request, dry_run), weight
        )

    async def _write(self, name: str, run: Callable[[Transaction], T], weight: int = 1) -> T:
        with child_span("ontomesh.store", f"sqlite {name}", **_SYSTEM):
            return await self._writer.submit(run, weight)

    # Reads on the loop: microseconds each

    async def get_database(self, name: str) -> Database:
        """See `ports.Store`."""
        return self._read_now("get database", lambda reader: locate.find_database(reader.connection, name)[1])

    async def get_branch(self, database: str, name: str) -> Branch:
        """See `ports.Store`."""
        return self._read_now("get branch", lambda reader: locate.read_branch(reader.connection, database, name))

    async def resolve(self, database: str, ref: Ref) -> Point:
        """See `ports.Store`."""
        try:
            return locate.resolve(self._reader.connection, self._lineages, database, ref)
        except sqlite3.Error as error:
            raise refusal(error) from error

    async def describe(self, database: str, point: Point) -> Commit:
        """See `ports.Store`."""
        return self._read_now("get commit", lambda reader: locate.read_commit(reader.connection, state_of(point)))

    async def parent(self, point: Point) -> Point | None:
        """See `ports.Store`."""
        return self._read_now("get parent", lambda reader: locate.parent(reader.connection, self._lineages, point))

    async def read(self, point: Point, id: str) -> Version | None:
        """See `ports.Store`."""
        return self._read_now("get", lambda reader: reader.read(state_of(point), id))

    async def read_at(self, database: str, ref: Ref, id: str) -> tuple[Point, Version | None]:
        """See `ports.Store`."""
        with child_span("ontomesh.store", "sqlite get", **_SYSTEM):
            try:
                if ref.is_branch:
                    found = locate.read_at_head(self._reader.connection, database, ref.branch, id)
                    if found is not None:
                        return found
                point = locate.resolve(self._reader.connection, self._lineages, database, ref)
                return point, self._reader.read(state_of(point), id)
            except sqlite3.Error as error:
                raise refusal(error) from error

    async def read_ontology(self, point: Point) -> Mapping[str, bytes]:
        """See `ports.Store`."""
        return self._read_now("get ontology", lambda reader: reader.ontology(state_of(point)))

    async def read_many(self, point: Point, ids: Collection[str]) -> Mapping[str, Version]:
        """See `ports.Store`."""

        def read(reader: Reader) -> Mapping[str, Version]:
            return reader.versions(state_of(point), ids, bodies=True)

        return self._read_now("get", read) if len(ids) <= _READ_INLINE else await self._read("batch get", read)

    def _read_now(self, name: str, read: Callable[[Reader], T]) -> T:
        with child_span("ontomesh.store", f"sqlite {name}", **_SYSTEM):
            try:
                return read(self._reader)
            except sqlite3.Error as error:
                raise refusal(error) from error

    # Reads in threads

    async def list_databases(self, after: str, limit: int) -> Sequence[Database]:
        """See `ports.Store`."""
        query = "SELECT name, description, created, etag FROM database WHERE name>? ORDER BY name LIMIT ?"
        return await self._read(
            "list databases",
            lambda reader: [Database(*row) for row in reader.connection.execute(query, (after, limit))],
        )

    async def list_branches(self, database: str, prefix: str, after: str, limit: int) -> Sequence[Branch]:
        """See `ports.Store`."""
        return await self._read(
            "list branches", lambda reader: locate.list_branches(reader.connection, database, prefix, after, limit)
        )

    async def list_documents(
        self, point: Point, classes: Sequence[str], after: str, limit: int, max_bytes: int
    ) -> tuple[Sequence[Document], bool]:
        """See `ports.Store`."""
        return await self._read(
            "list", lambda reader: reader.documents(state_of(point), classes, after, limit, max_bytes)
        )

    async def log(
        self, point: Point, first_parent: bool, after: tuple[int, str] | None, limit: int
    ) -> Sequence[Commit]:
        """See `ports.Store`."""
        return await self._read(
            "log",
            lambda reader: stored.log(reader.connection, self._lineages, state_of(point), first_parent, after, limit),
        )

    async def changed(self, base: Point | None, target: Point) -> Sequence[Change]:
        """See `ports.Store`."""
        start = state_of(base) if base is not None else None
        return await self._read("diff", lambda reader: reader.changed(start, state_of(target)))

    async def merge_bases(self, ours: Point, theirs: Point) -> Sequence[Point]:
        """See `ports.Store`."""
        return await self._read(
            "merge bases", lambda reader: locate.merge_bases(reader.connection, self._lineages, ours, theirs)
        )

    async def is_ancestor(self, ancestor: Point, of: Point) -> bool:
        """See `ports.Store`."""
        lineage, seq = state_of(ancestor)
        return await self._read(
            "is ancestor",
            lambda reader: self._lineages.ancestors(reader.connection, state_of(of)).get(lineage, -1) >= seq,
        )

    async def count_history(self, point: Point) -> int:
        """See `ports.Store`."""
        return await self._read(
            "count", lambda reader: stored.count(reader.connection, self._lineages, state_of(point))
        )

    async def history(self, point: Point) -> AsyncIterator[HistoryEntry]:
        """See `ports.Store`."""
        connection = connect(self._path)
        batches = stored.entries(connection, self._lineages, state_of(point), _HISTORY_BATCH)
        while (batch := await self._in_thread(lambda: next(batches, None))) is not None:
            for entry in batch:
                yield entry
        # Only here: when cancelled, a thread may still use the connection, which ends with its last user.
        connection.close()

    async def _read(self, name: str, read: Callable[[Reader], T]) -> T:
        with child_span("ontomesh.store", f"sqlite {name}", **_SYSTEM):
            return await self._in_thread(lambda: read(self._thread_reader()))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except sqlite3.Error as error:
            raise refusal(error) from error

    def _thread_reader(self) -> Reader:
        reader: Reader | None = getattr(self._local, "reader", None)
        if reader is None:
            reader = self._local.reader = Reader(connect(self._path), self._lineages)
            self._opened.append(reader.connection)
        return reader

    async def ping(self) -> None:
        """Raise StoreUnavailable unless the file answers."""
        self._read_now("ping", lambda reader: reader.connection.execute("SELECT 1 FROM database LIMIT 1").fetchall())

    async def close(self) -> None:
        """Finish what was accepted and release the file."""
        await self._writer.close()
        self._threads.shutdown()
        for connection in self._opened:
            connection.close()


async def open_store(path: Path, clock: Callable[[], int] = now_us) -> SqliteStore:
    """Open the store in a file, creating it and its folder if need be; call it on the loop that will use it.

    Raises connection.UnknownFormat for a file that this version does not know, and StoreUnavailable.
    """
    _create_private(path)
    lineages = Lineages()
    try:
        return SqliteStore(path, Writer(path), lineages, clock)
    except sqlite3.Error as error:
        raise refusal(error) from error


def _create_private(path: Path) -> None:
    """Make the file its owner's alone, whatever the umask; SQLite gives the log beside it the same rights."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
