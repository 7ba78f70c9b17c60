"""The commit log of a TerminusDB server as an outbox.

A line is a branch of a server's database with the time when it was made, by the kernel's clock: its commits are those
behind its head that were made on it since. Of a deleted branch the server keeps the commits, but not where it stood:
that is noted in the state before, by kernels that were told to.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

import orjson

from ontomesh_data_kernel.adapters.terminusdb.branches import Branches
from ontomesh_data_kernel.adapters.terminusdb.databases import Databases
from ontomesh_data_kernel.adapters.terminusdb.graph import Entry, Graph
from ontomesh_data_kernel.adapters.terminusdb.points import point_of
from ontomesh_data_kernel.adapters.terminusdb.reads import Reader
from ontomesh_data_kernel.adapters.terminusdb.records import joined
from ontomesh_data_kernel.adapters.terminusdb.state import TerminusState
from ontomesh_data_kernel.domain.model import Branch
from ontomesh_data_kernel.errors import CommitNotFound, DatabaseNotFound
from ontomesh_data_kernel.ports import Line, LineChange, Piece

_POLL_SECONDS = 1.0
"""How often to look what others have committed."""

_PAUSE_SECONDS = 0.05
"""How long to wait for more, once this process has committed: looking costs the server a request a database."""

_STEP = 32
"""So many changes of a commit are read at a time."""

_ENDED = "outbox/ended/"
_PAGE = 1_000


class TerminusOutbox:
    """The lines of one server; implements `ports.Outbox`."""

    def __init__(
        self,
        databases: Databases,
        branches: Branches,
        reader: Reader,
        state: TerminusState,
        serving: Callable[[str], AbstractAsyncContextManager[None]],
    ) -> None:
        self._databases = databases
        self._branches = branches
        self._reader = reader
        self._state = state
        self._serving = serving
        self._moved = asyncio.Event()
        self._ways: dict[str, list[str]] = {}

    def notify(self) -> None:
        """Note that this process has committed."""
        self._moved.set()

    async def begin(self) -> None:
        """See `ports.Outbox`."""
        self._branches.on_delete = self._note_end

    async def _note_end(self, native: str, database: str, branch: Branch) -> None:
        entry = self._databases.graph(native).at(branch.head)
        if not _is_of(branch.name, branch.create_time, entry):
            return  # nobody has committed there
        key = _ENDED + _line_id(native, branch)
        text = orjson.dumps([native, database, branch.name, branch.create_time, branch.head])
        known = await self._state.get(key)
        await self._state.swap(key, known[1] if known is not None else 0, text)

    async def lines(self) -> Sequence[Line]:
        """See `ports.Outbox`."""
        found: dict[str, Line] = {}
        async with self._serving("list lines"):
            after = ""
            while page := await self._databases.list(after, _PAGE):
                for database in page:
                    try:
                        await self._add_branches(database.name, found)
                    except DatabaseNotFound:
                        continue
                after = page[-1].name
            for entry in await self._state.list(_ENDED):
                native, database, name, _, head = orjson.loads(entry.value)
                line = Line(entry.key.removeprefix(_ENDED), database, name, head, is_ended=True)
                if line.id not in found and await self._is_there(native, database):
                    found[line.id] = line
        for id in self._ways.keys() - found.keys():
            del self._ways[id]
        return list(found.values())

    async def _add_branches(self, database: str, found: dict[str, Line]) -> None:
        native = await self._databases.native(database)
        graph = self._databases.graph(native)
        after = ""
        while page := await self._branches.list(database, "", after, _PAGE):
            for branch in page:
                if not _is_of(branch.name, branch.create_time, graph.at(branch.head)):
                    continue  # nobody has committed there yet
                id = _line_id(native, branch)
                found[id] = Line(id, database, branch.name, branch.head, is_ended=False)
            after = page[-1].name

    async def _is_there(self, native: str, database: str) -> bool:
        try:
            return await self._databases.native(database) == native
        except DatabaseNotFound:
            return False

    async def read(self, line: Line, cursor: str, limit: int, max_bytes: int) -> Sequence[Piece]:
        """See `ports.Outbox`."""
        done, _, offset = cursor.partition(".")
        found: list[Piece] = []
        size = 0
        async with self._serving("read line"):
            try:
                native = await self._databases.native(line.database)
                graph = self._databases.graph(native)
                way = await self._way(graph, line)
            except (CommitNotFound, DatabaseNotFound):
                return []
            begin = way.index(done) + (0 if offset else 1) if done in way else 0
            for id in way[begin : begin + limit]:
                piece, added = await self._piece(native, graph, graph.at(id), int(offset or 0), max_bytes - size)
                found.append(piece)
                size, offset = size + added, ""
                if not piece.is_last or size >= max_bytes:
                    break
        return found

    async def _way(self, graph: Graph, line: Line) -> list[str]:
        """The line's commits up to its head, oldest first. Raises CommitNotFound."""
        known = self._ways.get(line.id, [])
        last = known[-1] if known else ""
        if last == line.head:
            return known
        await graph.find(line.head)
        created = int(line.id.rpartition("/")[2])
        more: list[str] = []
        for entry in graph.first_parents(line.head):
            if entry.commit.id == last:
                break
            if not _is_of(line.branch, created, entry):
                known = []
                break
            more.append(entry.commit.id)
        way = self._ways[line.id] = [*known, *reversed(more)]
        return way

    async def _piece(self, native: str, graph: Graph, entry: Entry, offset: int, max_bytes: int) -> tuple[Piece, int]:
        commit, parent = entry.commit, graph.back(entry.commit.id, 1)
        changes: list[LineChange] = []
        size = 0
        while offset < len(entry.changed) and (not changes or size < max_bytes):
            ids = entry.changed[offset : offset + _STEP]
            offset += len(ids)
            old = {}
            if parent is not None:
                old = await self._reader.versions(native, parent.backend, parent.commit.ontology_digest, ids)
            new = await self._reader.versions(native, entry.backend, commit.ontology_digest, ids)
            for id in ids:
                was, now = old.get(id), new.get(id)
                size += len(was.body if was else b"") + len(now.body if now else b"")
                changes.append(
                    LineChange(id, now.etag if now else None, now.body if now else None, was.body if was else None)
                )
        is_last = offset >= len(entry.changed)
        cursor = commit.id if is_last else f"{commit.id}.{offset}"
        before = point_of(native, parent) if parent is not None else None
        return Piece(point_of(native, entry), before, commit, changes, cursor, is_last), size

    async def forget(self, line: Line) -> None:
        """See `ports.Outbox`."""
        known = await self._state.get(_ENDED + line.id)
        if known is not None:
            await self._state.swap(_ENDED + line.id, known[1], None)

    async def moved(self, seconds: float) -> None:
        """See `ports.Outbox`."""
        try:
            async with asyncio.timeout(min(seconds, _POLL_SECONDS)):
                await self._moved.wait()
                await asyncio.sleep(_PAUSE_SECONDS)
        except TimeoutError:
            pass
        self._moved.clear()


def _is_of(branch: str, created: int, entry: Entry) -> bool:
    """Whether a commit behind a branch's head was made on it, and since it was made."""
    return entry.commit.branch == branch and entry.commit.time >= created


def _line_id(native: str, branch: Branch) -> str:
    return joined((native, branch.name, str(branch.create_time)))
