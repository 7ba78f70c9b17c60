"""The SQLite store under failures of its own: broken-off writes, cancelled readers, databases deleted under a reader."""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from ontomesh_data_kernel.adapters.sqlite.writer import INLINE_READ_BYTES, Transaction, Writer
from ontomesh_data_kernel.domain.model import Operation, Put
from ontomesh_data_kernel.errors import BranchNotFound, CommitNotFound, DatabaseNotFound, StoreUnavailable
from tests.contract.inprocess import ANA, DB, body, commit, new_database, open_kernel

pytestmark = [pytest.mark.usefixtures("store"), pytest.mark.sqlite]

NOTE = {
    "@type": "Class",
    "@id": "Note",
    "@key": {"@type": "Lexical", "@fields": ["name"]},
    "name": "xsd:string",
    "text": {"@type": "Optional", "@class": "xsd:string"},
}


def note(name: str, text: str = "") -> Operation:
    return Put(body({"@type": "Note", "name": name, "text": text}))


class TestWriter:
    async def test_a_write_that_did_not_run_is_never_answered_as_done(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        writer = Writer(tmp_path / "kernel.db")
        ran: list[int] = []
        run_in_thread = writer._run_in_thread

        def broken(batch: list[Any]) -> Transaction:
            if ran:
                raise RuntimeError("no thread to be had")
            return run_in_thread(batch)

        def at_fault(transaction: Transaction) -> None:
            raise sqlite3.OperationalError("one is at fault")

        def write(number: int) -> Callable[[Transaction], int]:
            def run(transaction: Transaction) -> int:
                ran.append(number)
                return number

            return run

        monkeypatch.setattr(writer, "_run_in_thread", broken)
        told = await asyncio.gather(
            *(writer.submit(run) for run in (at_fault, write(1), write(2), write(3))), return_exceptions=True
        )
        assert ran == [1]
        assert [type(one) for one in told] == [StoreUnavailable, int, RuntimeError, StoreUnavailable]
        await writer.close()

    async def test_a_write_that_reads_much_runs_apart_from_the_others_and_once(self, tmp_path: Path) -> None:
        writer = Writer(tmp_path / "kernel.db")
        writer._connection.execute("CREATE TABLE t (n INTEGER)")

        def write(number: int, size: int) -> Callable[[Transaction], bool]:
            def run(transaction: Transaction) -> bool:
                transaction.connection.execute("INSERT INTO t VALUES (?)", (number,))
                if transaction.allowance is not None:
                    transaction.allowance.spend(b"x" * size)
                return transaction.allowance is not None

            return run

        sizes = (1, INLINE_READ_BYTES, 1, 2 * INLINE_READ_BYTES)
        inline = await asyncio.gather(*(writer.submit(write(number, size)) for number, size in enumerate(sizes)))
        assert inline == [True, False, False, False]
        assert sorted(writer._connection.execute("SELECT n FROM t")) == [(0,), (1,), (2,), (3,)]
        await writer.close()


class TestReaders:
    async def test_cancelling_the_reading_of_a_history_leaves_the_store_whole(self, tmp_path: Path) -> None:
        kernel = await open_kernel(tmp_path / "kernel.db")
        await new_database(kernel, NOTE)
        for version in range(8):
            await commit(kernel, *(note(f"n{number}", f"{version}" * 2_000) for number in range(400)))

        async def verify() -> int:
            return [progress.commits async for progress in kernel.commits.verify(ANA, DB, "main")][-1]

        for attempt in range(40):
            task = asyncio.create_task(verify())
            await asyncio.sleep(0.001 * (attempt % 20))
            task.cancel()
            await asyncio.wait([task])
        assert await verify() == 10
        await kernel.close()

    async def test_a_database_deleted_under_its_readers_is_not_found(self, tmp_path: Path) -> None:
        kernel = await open_kernel(tmp_path / "kernel.db")
        await new_database(kernel, NOTE)
        await commit(kernel, *(note(f"n{number}") for number in range(500)))
        stop = False
        told: Counter[str] = Counter()

        async def read(work: Callable[[], Awaitable[Any]]) -> None:
            while not stop:
                await asyncio.sleep(0)
                try:
                    await work()
                except (DatabaseNotFound, BranchNotFound, CommitNotFound):
                    told["not found"] += 1
                else:
                    told["read"] += 1

        readers = [
            lambda: kernel.documents.list(ANA, DB, "main", "", False, 500, ""),
            lambda: kernel.commits.list(ANA, DB, "main", False, 10, ""),
            lambda: kernel.diffs.diff(ANA, DB, "main~1", "main", False, 100, ""),
            lambda: kernel.merges.conflicts(ANA, DB, "main", "main~1", 10, ""),
        ]
        tasks = [asyncio.create_task(read(reader)) for reader in readers]
        for _ in range(15):
            await kernel.databases.delete(ANA, DB, "")
            await new_database(kernel, NOTE)
            await commit(kernel, *(note(f"n{number}") for number in range(500)))
        stop = True
        await asyncio.gather(*tasks)
        assert told["read"]
        assert told["not found"]
        await kernel.close()
