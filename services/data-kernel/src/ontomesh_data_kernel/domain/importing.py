"""Imports: documents uploaded in small steps, out of every reader's sight, that become one commit at the end."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from ontomesh_data_kernel.domain.caller import Caller
from ontomesh_data_kernel.domain.commits import record_of
from ontomesh_data_kernel.domain.finishing import Finisher
from ontomesh_data_kernel.domain.gathering import Gathered
from ontomesh_data_kernel.domain.identity import Clock, request_key
from ontomesh_data_kernel.domain.limits import MAX_FAULTS, MAX_PIECE_BYTES, check_request_id
from ontomesh_data_kernel.domain.lines import Line, Lines, Read, read_lines, twice
from ontomesh_data_kernel.domain.locating import writable
from ontomesh_data_kernel.domain.model import Commit, FinishRequest, Import
from ontomesh_data_kernel.domain.ontologies import OntologyCache
from ontomesh_data_kernel.domain.ontology import Ontology, Prepared
from ontomesh_data_kernel.domain.refs import check_database, parse_ref
from ontomesh_data_kernel.domain.refusing import faults_refused
from ontomesh_data_kernel.domain.validators.hearing import Hearings
from ontomesh_data_kernel.errors import ImportNotFound, ImportOutOfStep, InvalidRequest, TooLarge
from ontomesh_data_kernel.ports import Indexed, Point, StagedWrite, Staging, Store, Write

_BATCH = 128
_BATCH_BYTES = 128 << 10
_MAX_WAITING = 1 << 20
"""Bytes of whole lines beyond which no more pieces are taken: the sender waits."""

_MAX_ID = 64
_FINISH_TRIES = 4


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of an import's stream, which begins at `offset`; the stream ends with the last."""

    offset: int
    data: bytes
    is_last: bool = False


class Imports:
    """Bringing documents in, in bulk."""

    def __init__(
        self,
        store: Store,
        ontologies: OntologyCache,
        clock: Clock,
        draw_id: Callable[[], str],
        hearings: Hearings | None = None,
    ) -> None:
        self._store = store
        self._ontologies = ontologies
        self._clock = clock
        self._draw_id = draw_id
        self._staging: Staging | Gathered
        self._finisher: Finisher | Gathered
        if store.staging is not None:
            self._staging = store.staging
            self._finisher = Finisher(store, store.staging, ontologies, clock, hearings)
        else:
            self._staging = self._finisher = Gathered(store, ontologies, clock, hearings)

    async def begin(self, caller: Caller, database: str, branch: str, request_id: str) -> Import:
        """Begin an import to a branch; with a request id, or return the one that it began."""
        name = writable(caller, database, branch)
        check_request_id(request_id)
        base = await self._store.resolve(database, parse_ref(name))
        now = self._clock()
        one = Import(self._draw_id(), name, caller.principal, ((base.ontology_digest, base.commit),), now, now)
        key = request_key(caller.principal, request_id, "import", name)
        return await self._staging.begin(database, one, base, key)

    async def get(self, caller: Caller, database: str, id: str) -> Import:
        """Return an import of the caller's."""
        one, _ = await self._find(caller, database, id)
        return one

    async def abort(self, caller: Caller, database: str, id: str) -> None:
        """Give an import up."""
        while True:
            one, _ = await self._find(caller, database, id)
            try:
                return await self._staging.drop(database, one)
            except ImportOutOfStep:
                # An upload that is breaking off wrote once more meanwhile; what is finished is not given up.
                if (await self._find(caller, database, id))[0].revision == one.revision:
                    raise

    async def finish(self, caller: Caller, request: FinishRequest) -> Commit:
        """Make the commit of an import, or return the one it became."""
        for _ in range(_FINISH_TRIES):
            # Another call that finishes it, or one that was broken off just now, may move it on meanwhile.
            with suppress(ImportOutOfStep):
                return await self._finish(caller, request)
        return await self._finish(caller, request)

    async def _finish(self, caller: Caller, request: FinishRequest) -> Commit:
        one, base = await self._find(caller, request.database, request.import_id)
        if one.commit:
            point = await self._store.resolve(request.database, parse_ref(f"commit:{one.commit}"))
            return await self._store.describe(request.database, point)
        record = record_of(caller, request.database, one.branch, request.author, request.message, request.metadata)
        if request.expected_offset and request.expected_offset != one.offset:
            message = f"{one.offset:,} bytes are durable where {request.expected_offset:,} are due"
            raise ImportOutOfStep.of(message, one.offset)
        if one.fault_count:
            raise faults_refused(one.faults, one.fault_count)
        return await self._finisher.finish(request, record, one, base)

    async def upload(
        self, caller: Caller, database: str, id: str, pieces: AsyncIterator[Piece]
    ) -> AsyncGenerator[Import]:
        """Take pieces of the import's stream; tells how it stands at the beginning and whenever more is durable.

        Checking runs ahead of writing, and taking ahead of checking, but no further than memory allows.
        """
        one, _ = await self._find(caller, database, id)
        yield one
        if one.commit:
            raise ImportOutOfStep.of("the import is finished", one.offset)
        if one.fault_count >= MAX_FAULTS:
            raise faults_refused(one.faults, one.fault_count)
        if len(one.ontologies) > 1:
            # Who goes on with it sends what is left of its stream before finishing it: there may be nothing left.
            async for piece in pieces:
                if piece.data or piece.offset != one.offset:
                    message = "the import was broken off while it was checked under a new ontology"
                    raise ImportOutOfStep.of(f"{message}; finish it or abort it", one.offset)
                if piece.is_last:
                    break
            return
        point = await self._store.resolve(database, parse_ref(f"commit:{one.ontologies[0][1]}"))
        ontology = await self._ontologies.at(point)
        upload = _Upload(self._staging, database, one, ontology, self._draw_id, self._clock)
        async for state in upload.run(pieces):
            yield state

    async def _find(self, caller: Caller, database: str, id: str) -> tuple[Import, Point]:
        check_database(database)
        if not id or len(id) > _MAX_ID or not id.isprintable():
            raise InvalidRequest.at("import_id", f"is the id of an import, at most {_MAX_ID} characters")
        caller.require_any("write", database)
        one, base = await self._staging.get(database, caller.principal, id)
        if not caller.rights.allows("write", database, one.branch):
            raise ImportNotFound.of(database, id)
        return one, base


class _Upload:
    """One upload on its way: lines are cut, checked in a thread and written, each step beside the others."""

    def __init__(
        self,
        staging: Staging | Gathered,
        database: str,
        one: Import,
        ontology: Ontology,
        draw_id: Callable[[], str],
        clock: Clock,
    ) -> None:
        self._staging = staging
        self._database = database
        self._one = one
        self._ontology = ontology
        self._draw_id = draw_id
        self._clock = clock
        self._lines = Lines(one.offset, one.lines)

    async def run(self, pieces: AsyncIterator[Piece]) -> AsyncGenerator[Import]:
        """Take the pieces; tells how the import stands whenever more is durable."""
        taking: asyncio.Task[Piece | None] | None = asyncio.create_task(_next(pieces))
        checking: asyncio.Task[tuple[list[Line], Read]] | None = None
        writing: asyncio.Task[Import] | None = None
        try:
            while True:
                if writing is None and checking is not None and checking.done():
                    writing, checking = asyncio.create_task(self._write(*checking.result())), None
                if checking is None and self._lines.waiting_bytes:
                    checking = asyncio.create_task(self._check())
                is_full = self._lines.waiting_bytes > _MAX_WAITING
                due: set[asyncio.Task[Any]] = {task for task in (writing,) if task is not None}
                if taking is not None and not is_full:
                    due.add(taking)
                if checking is not None and not checking.done():
                    due.add(checking)
                if not due:
                    if checking is None and not self._lines.waiting_bytes:
                        return
                    continue
                await asyncio.wait(due, return_when=asyncio.FIRST_COMPLETED)
                if writing is not None and writing.done():
                    self._one, writing = writing.result(), None
                    yield self._one
                    if self._one.fault_count >= MAX_FAULTS:
                        raise faults_refused(self._one.faults, self._one.fault_count)
                if taking is not None and taking.done() and not is_full:
                    piece = taking.result()
                    taking = asyncio.create_task(_next(pieces)) if self._take(piece) else None
        finally:
            for task in (taking, checking, writing):
                if task is not None:
                    task.cancel()

    def _take(self, piece: Piece | None) -> bool:
        """Cut a piece into lines; whether more may come."""
        if piece is None:
            return False
        if len(piece.data) > MAX_PIECE_BYTES:
            raise TooLarge.of("a piece in bytes", len(piece.data), MAX_PIECE_BYTES, "data")
        if piece.offset != self._lines.received:
            message = f"the piece begins at {piece.offset:,} where {self._lines.received:,} is due"
            raise ImportOutOfStep.of(message, self._one.offset)
        self._lines.feed(piece.data, is_last=piece.is_last)
        return not piece.is_last

    async def _check(self) -> tuple[list[Line], Read]:
        lines = self._lines.batch(_BATCH, _BATCH_BYTES)
        return lines, await asyncio.to_thread(read_lines, lines, self._ontology, self._draw_id)

    async def _write(self, lines: Sequence[Line], read: Read) -> Import:
        documents, faults = list(read.documents), list(read.faults)
        known = await self._stage(lines, documents, faults)
        if known:
            faults += [twice(one.id, line, known[one.id]) for line, one in documents if one.id in known]
            documents = [(line, one) for line, one in documents if one.id not in known]
            await self._stage(lines, documents, faults)
        return self._one

    async def _stage(
        self, lines: Sequence[Line], documents: Sequence[tuple[int, Prepared]], faults: Sequence[Any]
    ) -> Mapping[str, int]:
        before = self._one
        told = sorted((*before.faults, *faults), key=lambda fault: fault.line)
        after = replace(
            before,
            documents=before.documents + len(documents),
            offset=lines[-1].end,
            lines=lines[-1].number,
            fault_count=before.fault_count + len(faults),
            faults=tuple(told[:MAX_FAULTS]),
            revision=before.revision + 1,
            update_time=self._clock(),
        )
        writes = [
            StagedWrite(line, Write(one.id, one.etag, one.body, Indexed(one.cls, one.links, one.values), None))
            for line, one in documents
        ]
        known = await self._staging.stage(self._database, before, after, writes)
        if not known:
            self._one = after
        return known


async def _next(pieces: AsyncIterator[Piece]) -> Piece | None:
    return await anext(pieces, None)
