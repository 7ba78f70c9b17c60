"""The store port's imports over one SQLite file."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from ontomesh_data_kernel.adapters.sqlite import staged
from ontomesh_data_kernel.adapters.sqlite.locate import point_at, state_of
from ontomesh_data_kernel.adapters.sqlite.reads import Reader
from ontomesh_data_kernel.adapters.sqlite.staging import ImportTransact, find_import
from ontomesh_data_kernel.adapters.sqlite.writer import Transaction
from ontomesh_data_kernel.domain.model import Import
from ontomesh_data_kernel.errors import KernelError
from ontomesh_data_kernel.ports import (
    Draft,
    Head,
    Point,
    RequestKey,
    Rules,
    Staged,
    StagedLink,
    StagedRival,
    StagedWrite,
    weigh,
)

logger = logging.getLogger(__name__)

T = TypeVar("T")

_IN_THREAD = 1_000
"""The weight of a write that is too much for the event loop."""

_SWEEP_PAUSE = 0.02
"""Seconds between two steps of deleting, so that others' writes come first."""


class _Write(Protocol):
    def __call__(self, name: str, run: Callable[[Transaction], T], weight: int = 1) -> Awaitable[T]: ...


class _ReadAt(Protocol):
    def __call__(self, name: str, read: Callable[[Reader], T], point: Point) -> Awaitable[T]: ...


class _ReadNow(Protocol):
    def __call__(self, name: str, read: Callable[[Reader], T]) -> T: ...


class SqliteStaging:
    """Imports in one file; implements `ports.Staging`."""

    def __init__(
        self,
        transact: ImportTransact,
        write: _Write,
        read_at: _ReadAt,
        read_now: _ReadNow,
        finished: Callable[[], None],
    ) -> None:
        self._transact = transact
        self._write = write
        self._read_at = read_at
        self._read_now = read_now
        self._finished = finished
        self._sweeping: asyncio.Task[None] | None = None

    async def begin(self, database: str, one: Import, base: Point, request: RequestKey | None) -> Import:
        """See `ports.Staging`."""
        begun = await self._write("begin import", lambda t: self._transact.begin(t, database, one, base, request))
        self._sweep()
        return begun

    async def get(self, database: str, principal: str, id: str) -> tuple[Import, Point]:
        """See `ports.Staging`."""

        def read(reader: Reader) -> tuple[Import, Point]:
            row = find_import(reader.connection, database, principal, id)
            return row.one, point_at(reader.connection, row.base)

        return self._read_now("get import", read)

    async def stage(
        self, database: str, before: Import, after: Import, writes: Sequence[StagedWrite]
    ) -> Mapping[str, int]:
        """See `ports.Staging`."""
        size = sum(len(one.write.body) for one in writes if one.write.body is not None)
        weight = weigh(len(writes), size)
        return await self._write("stage", lambda t: self._transact.stage(t, database, before, after, writes), weight)

    async def staged(
        self, database: str, one: Import, point: Point, after: str, limit: int, *, bodies: bool
    ) -> Sequence[Staged]:
        """See `ports.Staging`."""

        def read(reader: Reader) -> Sequence[Staged]:
            row = find_import(reader.connection, database, one.principal, one.id)
            return staged.page(reader, row.state, state_of(point), after, limit, bodies=bodies)

        return await self._read_at("read import", read, point)

    async def staged_of(self, database: str, one: Import, point: Point, ids: Collection[str]) -> Sequence[Staged]:
        """See `ports.Staging`."""

        def read(reader: Reader) -> Sequence[Staged]:
            row = find_import(reader.connection, database, one.principal, one.id)
            return staged.documents_of(reader, row.state, state_of(point), ids)

        return await self._read_at("read import", read, point)

    async def taken_out(self, database: str, one: Import, limit: int) -> Sequence[tuple[int, str]]:
        """See `ports.Staging`."""

        def read(reader: Reader) -> Sequence[tuple[int, str]]:
            row = find_import(reader.connection, database, one.principal, one.id)
            return staged.taken_out(reader.connection, row.state[0], limit)

        _, base = await self.get(database, one.principal, one.id)
        return await self._read_at("read import", read, base)

    async def unlinked(self, database: str, one: Import, point: Point, rules: Rules) -> Sequence[StagedLink]:
        """See `ports.Staging`."""

        def read(reader: Reader) -> Sequence[StagedLink]:
            row = find_import(reader.connection, database, one.principal, one.id)
            return staged.unlinked(reader, row.state, state_of(point), rules)

        return await self._read_at("check import", read, point)

    async def rivals(self, database: str, one: Import, point: Point, rules: Rules) -> Sequence[StagedRival]:
        """See `ports.Staging`."""

        def read(reader: Reader) -> Sequence[StagedRival]:
            row = find_import(reader.connection, database, one.principal, one.id)
            return staged.rivals(reader, row.state, state_of(point), rules)

        return await self._read_at("check import", read, point) if rules.unique else ()

    async def finish(
        self, database: str, one: Import, reviewed: Point, rules: Rules, make: Callable[[Head], Draft]
    ) -> Draft | None:
        """See `ports.Staging`."""
        draft = await self._write(
            "finish import", lambda t: self._transact.finish(t, database, one, reviewed, rules, make), _IN_THREAD
        )
        if draft is not None:
            self._finished()
            self._sweep()
        return draft

    async def drop(self, database: str, one: Import) -> None:
        """See `ports.Staging`."""
        await self._write("drop import", lambda t: self._transact.drop(t, database, one))
        self._sweep()

    def _sweep(self) -> None:
        """Delete, in the background and bit by bit, what imports left; a kill leaves it to the next sweep."""
        if self._sweeping is None or self._sweeping.done():
            self._sweeping = asyncio.create_task(self._sweep_all(), name="sqlite-import-sweep")

    async def _sweep_all(self) -> None:
        try:
            while await self._write("sweep imports", self._transact.sweep, _IN_THREAD):  # noqa: ASYNC110 - a pause
                await asyncio.sleep(_SWEEP_PAUSE)
        except KernelError as error:
            logger.warning("what imports left is not deleted yet: %s", error.message)

    async def close(self) -> None:
        """Stop deleting."""
        task: asyncio.Task[Any] | None = self._sweeping
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
