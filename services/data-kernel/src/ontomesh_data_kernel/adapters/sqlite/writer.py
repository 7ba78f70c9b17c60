"""The one writer: it drains a queue into one transaction, a savepoint each, and answers all after the one sync.

A transaction of little work runs its statements on the event loop, where they take microseconds, and only the commit
with its sync in a thread: a thread that ran each statement would wait for the interpreter's lock at every one of them.
A transaction of much work runs in the thread as a whole. A write that turns out to read more than it seemed to is
undone and runs in the thread too.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ontomesh_data_kernel.adapters.sqlite.connection import BUSY_MS, connect_writer, is_busy, refusal
from ontomesh_data_kernel.adapters.sqlite.reads import Allowance, AllowanceSpent
from ontomesh_data_kernel.errors import StoreUnavailable

logger = logging.getLogger(__name__)

T = TypeVar("T")

INLINE_WEIGHT = 96
INLINE_READ_BYTES = 128 << 10
BATCH_WEIGHT = 4_096
MAX_GATHERING_TURNS = 32


@dataclass(slots=True)
class Transaction:
    """The running transaction, and what must become known to others only once it is committed."""

    connection: sqlite3.Connection
    allowance: Allowance | None = None
    nodes: dict[str, int] = field(default_factory=dict)
    paths: dict[str, int] = field(default_factory=dict)
    next_node: int | None = None
    after_commit: list[Callable[[], None]] = field(default_factory=list)

    def fork(self) -> "Transaction":
        """What one savepoint works on; `absorb` makes it part of this transaction."""
        return Transaction(self.connection, self.allowance, dict(self.nodes), dict(self.paths), self.next_node)

    def absorb(self, member: "Transaction") -> None:
        """Take over what a released savepoint learned."""
        self.nodes, self.paths, self.next_node = member.nodes, member.paths, member.next_node
        self.after_commit += member.after_commit


@dataclass(slots=True)
class _Member:
    run: Callable[[Transaction], Any]
    weight: int
    future: asyncio.Future[Any]
    outcome: Any = None
    error: BaseException | None = None
    stored: bool = False
    deferred: bool = False


class Writer:
    """Runs writes one after another, many to a transaction. Made on a running event loop."""

    def __init__(self, path: Path) -> None:
        self._connection = connect_writer(path)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite-writer")
        self._queue: asyncio.Queue[_Member | None] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._task = asyncio.create_task(self._drain(), name="sqlite-writer")

    async def submit(self, run: Callable[[Transaction], T], weight: int = 1) -> T:
        """Run a write and return its outcome once it is on the disk.

        What `run` raises undoes its own statements alone and is raised here. A write whose caller gave up before its
        turn is not run; one whose caller gives up later is stored all the same.
        """
        if self._closed:
            raise StoreUnavailable("the store is closing")
        member = _Member(run, weight, self._loop.create_future())
        self._queue.put_nowait(member)
        return await member.future  # type: ignore[no-any-return]

    async def close(self) -> None:
        """Finish what was accepted, then release the file."""
        if not self._closed:
            self._closed = True
            self._queue.put_nowait(None)
        await self._task
        self._thread.shutdown()
        self._connection.close()

    async def _drain(self) -> None:
        last: _Member | None = None
        while True:
            first = last or await self._queue.get()
            last = None
            if first is None:
                return
            await self._gather()
            batch, weight = [first], first.weight
            while weight < BATCH_WEIGHT and not self._queue.empty():
                member = self._queue.get_nowait()
                if member is None:
                    self._queue.put_nowait(None)
                    break
                if weight <= INLINE_WEIGHT < weight + member.weight:
                    last = member
                    break
                batch.append(member)
                weight += member.weight
            try:
                await self._transact([member for member in batch if not member.future.done()], weight <= INLINE_WEIGHT)
            except Exception:
                # Its members were told; the writer must live on for the others.
                logger.exception("a transaction failed in a way that the store has no answer for")

    async def _gather(self) -> None:
        """Let those who are about to submit do so, as long as each turn of the loop brings some: a sync serves many."""
        waiting = -1
        for _ in range(MAX_GATHERING_TURNS):
            if self._queue.qsize() == waiting:
                return
            waiting = self._queue.qsize()
            await asyncio.sleep(0)

    async def _transact(self, batch: list[_Member], inline: bool) -> None:
        """Run writes as one transaction and answer each of them, whatever happens."""
        if not batch:
            return
        try:
            await self._run(batch, inline)
        except sqlite3.Error as error:
            if len(batch) == 1 or is_busy(error):
                for member in batch:
                    member.error = refusal(error)
            else:
                # One of them is at fault, or there is room for some of them.
                await self._transact_each(batch)
        except BaseException as error:
            for member in batch:
                member.error, member.deferred = member.error or error, False
            raise
        finally:
            for member in batch:
                if not member.deferred:
                    _answer(member)
        await self._transact_each([member for member in batch if member.deferred])

    async def _transact_each(self, batch: list[_Member]) -> None:
        """Run writes one by one in the thread, those that are still waited for."""
        try:
            for member in batch:
                member.outcome, member.error, member.deferred = None, None, False
                await self._transact([] if member.future.done() else [member], inline=False)
        finally:
            for member in batch:
                _answer(member)

    async def _run(self, batch: list[_Member], inline: bool) -> None:
        if inline and self._begin_now():
            try:
                transaction = self._run_members(batch, Allowance(INLINE_READ_BYTES))
            except BaseException:
                self._rollback()
                raise
            await self._loop.run_in_executor(self._thread, self._commit)
        else:
            transaction = await self._loop.run_in_executor(self._thread, self._run_in_thread, batch)
        for member in batch:
            member.stored = not member.deferred
        for action in transaction.after_commit:
            action()

    def _run_in_thread(self, batch: list[_Member]) -> Transaction:
        self._connection.execute(f"PRAGMA busy_timeout={BUSY_MS}")
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            transaction = self._run_members(batch, None)
        except BaseException:
            self._rollback()
            raise
        self._commit()
        return transaction

    def _begin_now(self) -> bool:
        """Begin unless another process holds the lock; the loop does not wait for it."""
        self._connection.execute("PRAGMA busy_timeout=0")
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            if is_busy(error):
                return False
            raise
        return True

    def _run_members(self, batch: list[_Member], allowance: Allowance | None) -> Transaction:
        transaction = Transaction(self._connection, allowance)
        execute = self._connection.execute
        for member in batch:
            execute("SAVEPOINT member")
            attempt = transaction.fork()
            try:
                member.outcome = member.run(attempt)
            except sqlite3.Error:
                raise
            except Exception as error:  # noqa: BLE001 - it is the caller's, who waits for it
                if isinstance(error, AllowanceSpent):
                    member.deferred = True
                else:
                    member.error = error
                execute("ROLLBACK TO member")
                execute("RELEASE member")
            else:
                execute("RELEASE member")
                transaction.absorb(attempt)
        return transaction

    def _commit(self) -> None:
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error:
            self._rollback()
            raise

    def _rollback(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


def _answer(member: _Member) -> None:
    if member.future.done():
        return
    if isinstance(member.error, Exception):
        member.future.set_exception(member.error)
    elif member.stored:
        member.future.set_result(member.outcome)
    elif member.error is None:
        member.future.set_exception(StoreUnavailable("the write was not run: another of its transaction broke it off"))
    else:
        member.future.cancel()
