"""What is kept beside the commits, in one SQLite file."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from ontomesh_data_kernel.adapters.sqlite.counters import next_id
from ontomesh_data_kernel.adapters.sqlite.reads import Reader
from ontomesh_data_kernel.adapters.sqlite.writer import Transaction
from ontomesh_data_kernel.ports import StateEntry

T = TypeVar("T")

_GET = "SELECT value, version FROM state WHERE key=?"
_LIST = "SELECT key, value, version FROM state WHERE key>=? AND key<? ORDER BY key"
_LAST = "\U0010ffff"


class _Write(Protocol):
    def __call__(self, name: str, run: Callable[[Transaction], T], weight: int = 1) -> Awaitable[T]: ...


class _Read(Protocol):
    def __call__(self, name: str, read: Callable[[Reader], T]) -> Awaitable[T]: ...


class _ReadNow(Protocol):
    def __call__(self, name: str, read: Callable[[Reader], T]) -> T: ...


class SqliteState:
    """Values under keys in one file; implements `ports.State`."""

    def __init__(self, write: _Write, read: _Read, read_now: _ReadNow) -> None:
        self._write = write
        self._read = read
        self._read_now = read_now

    async def get(self, key: str) -> tuple[bytes, int] | None:
        """See `ports.State`."""
        row: tuple[bytes, int] | None = self._read_now(
            "get state", lambda reader: reader.connection.execute(_GET, (key,)).fetchone()
        )
        return row

    async def swap(self, key: str, expected: int, value: bytes | None) -> int | None:
        """See `ports.State`."""
        return await self._write("swap state", lambda transaction: _swap(transaction, key, expected, value))

    async def list(self, prefix: str) -> Sequence[StateEntry]:
        """See `ports.State`."""
        return await self._read(
            "list state",
            lambda reader: [StateEntry(*row) for row in reader.connection.execute(_LIST, (prefix, prefix + _LAST))],
        )


def _swap(transaction: Transaction, key: str, expected: int, value: bytes | None) -> int | None:
    connection = transaction.connection
    row = connection.execute("SELECT version FROM state WHERE key=?", (key,)).fetchone()
    if (row[0] if row is not None else 0) != expected:
        return None
    if value is None:
        connection.execute("DELETE FROM state WHERE key=?", (key,))
        return 0
    version = next_id(connection, "state")
    connection.execute("INSERT OR REPLACE INTO state (key, version, value) VALUES (?, ?, ?)", (key, version, value))
    return version
