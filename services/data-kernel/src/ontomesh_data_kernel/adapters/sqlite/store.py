"""The store port over one SQLite file.

Several processes may share the file: a writer takes SQLite's lock for its transaction and reads what it decides on
inside it; readers never wait. Reads of microseconds run on the event loop, longer ones in threads.
"""

import asyncio
import sqlite3
import sys
import threading
import time
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from ontomesh_chassis.trace import child_span
from ontomesh_data_kernel.adapters.sqlite import history as stored
from ontomesh_data_kernel.adapters.sqlite import locate
from ontomesh_data_kernel.adapters.sqlite.apply import NodeIds
from ontomesh_data_kernel.adapters.sqlite.connection import connect, refusal
from ontomesh_data_kernel.adapters.sqlite.counters import next_id
from ontomesh_data_kernel.adapters.sqlite.imports import SqliteStaging
from ontomesh_data_kernel.adapters.sqlite.lineage import Lineages
from ontomesh_data_kernel.adapters.sqlite.locate import state_of
from ontomesh_data_kernel.adapters.sqlite.outbox import SqliteOutbox
from ontomesh_data_kernel.adapters.sqlite.reads import Allowance, AllowanceSpent, Reader
from ontomesh_data_kernel.adapters.sqlite.selecting import Selecting
from ontomesh_data_kernel.adapters.sqlite.staging import ImportTransact
from ontomesh_data_kernel.adapters.sqlite.state import SqliteState
from ontomesh_data_kernel.adapters.sqlite.transact import Transact
from ontomesh_data_kernel.adapters.sqlite.writer import Transaction, Writer
from ontomesh_data_kernel.domain.model import Branch, Commit, Database, Document
from ontomesh_data_kernel.domain.refs import Ref
from ontomesh_data_kernel.errors import KernelError, TooLarge, Violation
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
_READ_INLINE_BYTES = 1 << 20
_HISTORY_BATCH = 200
_HISTORY_BYTES = 8 << 20
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
        self._transact = Transact(lineages.inside_transactions(), NodeIds(), clock)
        self._reader = Reader(connect(path), lineages.on_loop())
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="sqlite-reader")
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = [self._reader.connection]
        imports = ImportTransact(lineages.inside_transactions(), self._transact.ids, clock, next_id)
        selecting = Selecting(self._read_at)
        self.select, self.count, self.explain = selecting.select, selecting.count, selecting.explain
        self.referrers = selecting.referrers
        self.state = SqliteState(self._write, self._read, self._read_now)
        self.outbox = SqliteOutbox(self._write, self._read, self._read_now)
        self.staging = SqliteStaging(imports, self._write, self._read_at, self._read_now, self.outbox.notify)

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
        stored = await self._write(
            "commit", lambda t: self._transact.commit(t, database, branch, decide, request, dry_run), weight
        )
        self.outbox.notify()
        return stored

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

    async def read_many(
        self, point: Point, ids: Collection[str], max_bytes: int | None = None
    ) -> Mapping[str, Version]:
        """See `ports.Store`."""
        limit = sys.maxsize if max_bytes is None else max_bytes

        def read(reader: Reader, most: int) -> Mapping[str, Version]:
            bounded = Reader(reader.connection, reader.lineages, Allowance(most))
            return bounded.versions(state_of(point), ids, bodies=True)

        if len(ids) <= _READ_INLINE:
            try:
                return self._read_now("get", lambda reader: read(reader, min(limit, _READ_INLINE_BYTES)))
            except AllowanceSpent:
                pass  # too much for the loop
        try:
            return await self._read_at("batch get", lambda reader: read(reader, limit), point)
        except AllowanceSpent:
            violation = Violation("ids", f"the documents have more than {limit:,} bytes together")
            raise TooLarge(violation.description, (violation,), {"limit": str(limit)}) from None

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
        return await self._read_at(
            "list", lambda reader: reader.documents(state_of(point), classes, after, limit, max_bytes), point
        )

    async def log(
        self, point: Point, first_parent: bool, after: tuple[int, str] | None, limit: int
    ) -> Sequence[Commit]:
        """See `ports.Store`."""
        return await self._read_at(
            "log",
            lambda reader: stored.log(reader.connection, self._lineages, state_of(point), first_parent, after, limit),
            point,
        )

    async def changed(self, base: Point | None, target: Point) -> Sequence[Change]:
        """See `ports.Store`."""
        start = state_of(base) if base is not None else None
        return await self._read_at("diff", lambda reader: reader.changed(start, state_of(target)), target)

    async def merge_bases(self, ours: Point, theirs: Point) -> Sequence[Point]:
        """See `ports.Store`."""
        return await self._read_at(
            "merge bases", lambda reader: locate.merge_bases(reader.connection, self._lineages, ours, theirs), ours
        )

    async def is_ancestor(self, ancestor: Point, of: Point, first_parent: bool = False) -> bool:
        """See `ports.Store`."""
        lineage, seq = state_of(ancestor)
        walk = self._lineages.chain if first_parent else self._lineages.ancestors
        return await self._read_at(
            "is ancestor", lambda reader: dict(walk(reader.connection, state_of(of))).get(lineage, -1) >= seq, of
        )

    async def count_history(self, *points: Point, excluding: Collection[Point] = ()) -> int:
        """See `ports.Store`."""
        states, excluded = [state_of(point) for point in points], [state_of(point) for point in excluding]
        return await self._read_at(
            "count", lambda reader: stored.count(reader.connection, self._lineages, states, excluded), points[0]
        )

    async def history(
        self, *points: Point, excluding: Collection[Point] = ()
    ) -> AsyncGenerator[Sequence[HistoryEntry]]:
        """See `ports.Store`."""
        connection = connect(self._path)
        in_use = threading.Lock()
        states, excluded = [state_of(point) for point in points], [state_of(point) for point in excluding]
        batches = stored.entries(connection, self._lineages, states, excluded, _HISTORY_BATCH, _HISTORY_BYTES)

        def read() -> Sequence[HistoryEntry] | None:
            with in_use:
                return next(batches, None)

        def close() -> None:
            # When the call was cancelled, a thread may still be reading.
            with in_use:
                connection.close()

        try:
            while (batch := await self._in_thread(read)) is not None:
                yield batch
        finally:
            await asyncio.shield(asyncio.to_thread(close))

    async def _read_at(self, name: str, read: Callable[[Reader], T], point: Point) -> T:
        """Read in a thread, all from one snapshot. Raises CommitNotFound if the point's database was deleted."""

        def from_snapshot(reader: Reader) -> T:
            reader.connection.execute("BEGIN")
            try:
                locate.check_exists(reader.connection, state_of(point))
                return read(reader)
            finally:
                reader.connection.execute("ROLLBACK")

        return await self._read(name, from_snapshot)

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
        await self.staging.close()
        await self._writer.close()
        await asyncio.to_thread(self._threads.shutdown)
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
