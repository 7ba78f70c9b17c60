"""The commit log of one SQLite file as an outbox."""

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import orjson

from ontomesh_data_kernel.adapters.sqlite.apply import COMMIT_FIELDS, commit_of
from ontomesh_data_kernel.adapters.sqlite.lineage import State
from ontomesh_data_kernel.adapters.sqlite.lines import delete_line
from ontomesh_data_kernel.adapters.sqlite.locate import point_at
from ontomesh_data_kernel.adapters.sqlite.reads import Reader
from ontomesh_data_kernel.adapters.sqlite.writer import Transaction
from ontomesh_data_kernel.ports import Line, LineChange, Piece, Point

T = TypeVar("T")

_POLL_SECONDS = 0.075
"""How often to look whether another process has written."""

_STEP = 32
"""So many changes of a commit are read at a time."""

# In one row: a row each would ask for the interpreter's lock once a row.
_LINES = """
SELECT json_group_array(json_array(l.id, d.name, l.branch, l.ended, s.place, CASE WHEN l.ended THEN l.seq ELSE b.seq END))
FROM line l JOIN database d ON d.id = l.db LEFT JOIN branch b ON b.db = l.db AND b.name = l.branch
JOIN stretch s ON s.line = l.id AND s.place = (SELECT max(place) FROM stretch WHERE line = l.id)
"""
_STRETCH = "SELECT lineage FROM stretch WHERE line=? AND place=?"
_COMMIT = f"SELECT seq, {COMMIT_FIELDS} FROM commits WHERE lineage=? AND seq>=? ORDER BY seq LIMIT 1"  # noqa: S608 - constants
_VERSIONS = """
SELECT d.doc, n.iri, d.hash, d.body FROM doc d INDEXED BY doc_log JOIN node n ON n.id = d.doc
WHERE d.lineage=? AND d.seq=? AND d.doc>? ORDER BY d.doc LIMIT ?
"""


class _Write(Protocol):
    def __call__(self, name: str, run: Callable[[Transaction], T], weight: int = 1) -> Awaitable[T]: ...


class _Read(Protocol):
    def __call__(self, name: str, read: Callable[[Reader], T]) -> Awaitable[T]: ...


class _ReadNow(Protocol):
    def __call__(self, name: str, read: Callable[[Reader], T]) -> T: ...


@dataclass(frozen=True, slots=True)
class _Cursor:
    """A commit of a line, by its place and seq, and after which of its documents; None is after all of them."""

    place: int
    seq: int
    doc: int | None

    @classmethod
    def of(cls, text: str) -> "_Cursor":
        """Raises ValueError for what is no cursor."""
        if not text:
            return cls(1, 0, None)
        place, seq, *rest = (int(part) for part in text.split("."))
        return cls(place, seq, rest[0] if rest else None)

    def __str__(self) -> str:
        return f"{self.place}.{self.seq}" + ("" if self.doc is None else f".{self.doc}")


class SqliteOutbox:
    """The lines of one file; implements `ports.Outbox`."""

    def __init__(self, write: _Write, read: _Read, read_now: _ReadNow) -> None:
        self._write = write
        self._read = read
        self._read_now = read_now
        self._moved = asyncio.Event()
        self._version = -1
        self._known: dict[int, tuple[list[object], Line]] = {}

    def notify(self) -> None:
        """Note that this process has committed."""
        self._moved.set()

    async def begin(self) -> None:
        """See `ports.Outbox`: every process always keeps it."""

    async def lines(self) -> Sequence[Line]:
        """See `ports.Outbox`."""
        return await self._read("list lines", self._listed)

    def _listed(self, reader: Reader) -> Sequence[Line]:
        known: dict[int, tuple[list[object], Line]] = {}
        for row in orjson.loads(reader.connection.execute(_LINES).fetchone()[0]):
            old = self._known.get(row[0])
            if old is None or old[0] != row:
                id, database, branch, ended, place, seq = row
                old = row, Line(str(id), database, branch, f"{place}.{seq}", bool(ended))
            known[row[0]] = old
        self._known = known
        return [line for _, line in known.values()]

    async def read(self, line: Line, cursor: str, limit: int, max_bytes: int) -> Sequence[Piece]:
        """See `ports.Outbox`."""
        start = _Cursor.of(cursor)

        def read(reader: Reader) -> Sequence[Piece]:
            reader.connection.execute("BEGIN")
            try:
                return _pieces(reader, int(line.id), start, limit, max_bytes)
            finally:
                reader.connection.execute("ROLLBACK")

        return await self._read("read line", read)

    async def forget(self, line: Line) -> None:
        """See `ports.Outbox`."""
        await self._write("forget line", lambda transaction: delete_line(transaction.connection, int(line.id)))

    async def moved(self, seconds: float) -> None:
        """See `ports.Outbox`."""
        deadline = time.monotonic() + seconds
        while not self._moved.is_set():
            version = self._read_now("poll", _data_version)
            left = deadline - time.monotonic()
            if version != self._version or left <= 0:
                self._version = version
                break
            try:
                async with asyncio.timeout(min(left, _POLL_SECONDS)):
                    await self._moved.wait()
            except TimeoutError:
                continue
        self._moved.clear()


def _data_version(reader: Reader) -> int:
    return int(reader.connection.execute("PRAGMA data_version").fetchone()[0])


def _pieces(reader: Reader, line: int, cursor: _Cursor, limit: int, max_bytes: int) -> list[Piece]:
    found: list[Piece] = []
    size = 0
    for place, state, row in _commits(reader.connection, line, cursor):
        if len(found) >= limit or size >= max_bytes:
            break
        after = cursor.doc if cursor.doc is not None and (place, state[1]) == (cursor.place, cursor.seq) else -1
        before = reader.lineages.back(reader.connection, state, 1)
        changes, last, added = _changes(reader, state, before, after, max_bytes - size)
        commit = commit_of(row)
        found.append(
            Piece(
                Point(commit.id, commit.branch, commit.ontology_digest, state),
                point_at(reader.connection, before) if before is not None else None,
                commit,
                changes,
                str(_Cursor(place, state[1], last)),
                last is None,
            )
        )
        if last is not None:
            break
        size += added
    return found


def _commits(
    connection: sqlite3.Connection, line: int, cursor: _Cursor
) -> Iterator[tuple[int, State, tuple[object, ...]]]:
    """Iterate over (place, state, COMMIT_FIELDS) of a line's commits that a cursor is not behind."""
    place, seq = cursor.place, cursor.seq + (1 if cursor.doc is None else 0)
    while (stretch := connection.execute(_STRETCH, (line, place)).fetchone()) is not None:
        while (row := connection.execute(_COMMIT, (stretch[0], seq)).fetchone()) is not None:
            yield place, (stretch[0], row[0]), row[1:]
            seq = row[0] + 1
        place, seq = place + 1, 0


def _changes(
    reader: Reader, state: State, before: State | None, after: int, max_bytes: int
) -> tuple[list[LineChange], int | None, int]:
    """The changes of a commit to the documents after a node; the last one's node if there are more; and their bytes."""
    changes: list[LineChange] = []
    size = 0
    while True:
        rows = []
        found = 0
        for row in reader.connection.execute(_VERSIONS, (*state, after, _STEP)):
            rows.append(row)
            found += len(row[3] or b"")
            if size + found >= max_bytes:
                break
        old = reader.newest(before, [row[0] for row in rows], bodies=True) if before is not None and rows else {}
        for node, iri, hash_, body in rows:
            was = old.get(node, (0, None, None))[2]
            changes.append(LineChange(iri, hash_.hex() if hash_ else None, body, was))
            size += len(body or b"") + len(was or b"")
        if len(rows) < _STEP and size < max_bytes:
            return changes, None, size
        after = rows[-1][0]
        if size >= max_bytes:
            is_last = reader.connection.execute(_VERSIONS, (*state, after, 1)).fetchone() is None
            return changes, None if is_last else after, size
