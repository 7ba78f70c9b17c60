"""Uploading the stream of an import: ahead of the server's answers by a window, and again where it broke off."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

from grpc.aio import EOF

from ontomesh.kernel.v1 import import_service_pb2
from ontomesh.sdk.call import DuplexCall
from ontomesh.sdk.errors import ImportOutOfStep, OntomeshError, TokenExpired, Unavailable
from ontomesh.sdk.patience import Patience
from ontomesh.sdk.raw import Raw
from ontomesh.sdk.resources import Import

WINDOW = 2 << 20


class Upload:
    """One import's upload. What is not durable yet is kept, so that a source is read once."""

    def __init__(
        self,
        raw: Raw,
        database: str,
        begun: Import,
        pieces: AsyncIterator[bytes],
        moved: Callable[[int, int], None],
        timeout: float,
    ) -> None:
        self.offset = self.end = begun.offset
        self.documents = begun.documents
        self._raw = raw
        self._first = import_service_pb2.UploadDocumentsRequest(database=database, import_id=begun.id)
        self._pieces = pieces
        self._moved = moved
        self._timeout = timeout
        self._reading: asyncio.Task[bytes | None] | None = None
        self._kept: deque[tuple[int, bytes]] = deque()
        self._is_read = False
        self._room = asyncio.Event()

    async def run(self) -> None:
        """Upload all there is. A server that is away is waited for, for some seconds."""
        try:
            await self._run()
        finally:
            if self._reading is not None:
                await _ended(self._reading)

    async def _run(self) -> None:
        patience, last, broken = Patience(), self.offset, False
        while True:
            try:
                await self._attempt()
            except (Unavailable, TokenExpired, ImportOutOfStep) as error:
                # After a call that broke, what the server had of it may still be on its way to the store.
                broken = broken or not isinstance(error, ImportOutOfStep)
                if self.offset > last:
                    patience.succeeded()
                last = self.offset
                if not broken or not await patience.again():
                    raise
            else:
                return

    async def _attempt(self) -> None:
        # The channel under the stubs makes calls that are written to, whatever the stubs' types say.
        call: DuplexCall[import_service_pb2.UploadDocumentsResponse] = self._raw.imports.UploadDocuments(  # type: ignore[assignment]
            timeout=self._timeout
        )
        sender: asyncio.Task[None] | None = None
        try:
            with contextlib.suppress(asyncio.CancelledError):
                await call.write(self._first)
            self._take(await call.read())
            sender = asyncio.create_task(self._send(call))
            while (answer := await _answer_of(call, sender)) is not EOF:
                self._take(answer)
            await sender
        finally:
            if sender is not None:
                await _ended(sender)
            call.cancel()

    def _take(self, answer: import_service_pb2.UploadDocumentsResponse) -> None:
        self.offset, self.documents = answer.offset, answer.documents
        while self._kept and self._kept[0][0] + len(self._kept[0][1]) <= answer.offset:
            self._kept.popleft()
        self._room.set()
        self._moved(answer.offset, answer.documents)

    async def _send(self, call: DuplexCall[import_service_pb2.UploadDocumentsResponse]) -> None:
        for start, data in list(self._kept):
            known = max(self.offset - start, 0)
            await self._write(call, start + known, data[known:])
        while not self._is_read:
            while self.end - self.offset > WINDOW:
                self._room.clear()
                await self._room.wait()
            piece = await self._next_piece()
            if piece is None:
                self._is_read = True
                break
            self._kept.append((self.end, piece))
            self.end += len(piece)
            await self._write(call, self.end - len(piece), piece)
        await self._write(call, self.end, b"", is_last=True)
        await call.done_writing()

    async def _next_piece(self) -> bytes | None:
        """The source's next piece. It is read on while a call breaks off: a source that is cancelled has ended."""
        if self._reading is None:
            self._reading = asyncio.create_task(_read(self._pieces))
        piece = await asyncio.shield(self._reading)
        self._reading = None
        return piece

    async def _write(
        self,
        call: DuplexCall[import_service_pb2.UploadDocumentsResponse],
        offset: int,
        data: bytes,
        *,
        is_last: bool = False,
    ) -> None:
        request = import_service_pb2.UploadDocumentsRequest(offset=offset, data=data, is_last=is_last)
        await call.write(request)


async def _read(pieces: AsyncIterator[bytes]) -> bytes | None:
    return await anext(pieces, None)


async def _ended(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait until it is over, however it ends."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()


async def _answer_of(call: DuplexCall[import_service_pb2.UploadDocumentsResponse], sender: asyncio.Task[None]) -> Any:
    """The next answer, or `grpc.aio.EOF`. Raises what the source of the documents raises."""
    reading = asyncio.ensure_future(call.read())
    try:
        if not sender.done():
            await asyncio.wait({reading, sender}, return_when=asyncio.FIRST_COMPLETED)
        if sender.done() and not reading.done() and not sender.cancelled():
            # Where the server ended the call, its answer says why.
            fault = sender.exception()
            if fault is not None and not isinstance(fault, OntomeshError):
                raise fault
        return await reading
    finally:
        reading.cancel()
