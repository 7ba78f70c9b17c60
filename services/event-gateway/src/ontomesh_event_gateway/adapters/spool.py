"""A queue of events on the disk of this process, for while the broker is away."""

import asyncio
import fcntl
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from ontomesh_event_gateway.adapters.segments import Head, Segments, record
from ontomesh_event_gateway.domain.model import Event
from ontomesh_event_gateway.errors import GatewayError, SpoolFull
from ontomesh_event_gateway.ports import Decode

logger = logging.getLogger(__name__)

HEAD_EVENTS = 500
HEAD_BYTES = 4 << 20


class _Append(NamedTuple):
    records: list[bytes]
    settle: Callable[[GatewayError | None], None]


class Spool:
    """Events in segment files, each record with its length, checksum and time; bounded in bytes.

    What `append` has settled without an error is synced. A process that dies loses none of it; the end of a record that
    it was writing is cut off when the spool is opened again. Open one at a time on a folder.
    """

    def __init__(self, segments: Segments, max_bytes: int, decode: Decode, lock: IO[bytes]) -> None:
        self._segments = segments
        self._max_bytes = max_bytes
        self._decode = decode
        self._lock = lock
        self._depth = segments.count
        self._reserved = 0
        self._waiting: deque[_Append] = deque()
        self._closing = False
        self._wake = asyncio.Event()
        self._filled = asyncio.Event()
        self._writer = asyncio.create_task(self._write())
        self._read: Head | None = None
        if self._depth:
            self._filled.set()
            logger.warning("%d events of before wait in the spool", self._depth)

    @classmethod
    async def open(cls, folder: Path, max_bytes: int, decode: Decode) -> "Spool":
        """The spool of a folder, made if need be. Raises OSError; BlockingIOError if another process has it open."""
        segments, lock = await asyncio.to_thread(_open, folder, max_bytes)
        return cls(segments, max_bytes, decode, lock)

    async def close(self) -> None:
        """Writes what waits, and closes the files."""
        self._closing = True
        self._wake.set()
        await self._writer
        await asyncio.to_thread(self._segments.close)
        self._lock.close()

    @property
    def depth(self) -> int:
        """Events in it, with those that are being written."""
        return self._depth

    @property
    def size(self) -> int:
        """Bytes in it, with those that are being written."""
        return self._segments.size + self._reserved

    def age(self) -> float:
        """For how many seconds the oldest event has been in it; 0 if it is empty."""
        return max(0.0, time.time() - self._segments.oldest) if self._depth and self._segments.oldest else 0.0

    def append(self, events: Sequence[Event], settle: Callable[[GatewayError | None], None]) -> None:
        """See the port."""
        now = time.time()
        records = [record(event.encoded, now) for event in events]
        size = sum(map(len, records))
        if self.size + size > self._max_bytes:
            settle(_full(self._max_bytes))
            return
        self._reserved += size
        self._depth += len(records)
        self._waiting.append(_Append(records, settle))
        self._wake.set()

    async def head(self) -> list[Event]:
        """The oldest events that are synced, as many as make a batch; waits until there are some. Raises OSError."""
        while True:
            await self._filled.wait()
            self._filled.clear()  # before it reads: what is written meanwhile sets it again
            try:
                self._read = await asyncio.to_thread(self._segments.read, HEAD_EVENTS, HEAD_BYTES)
            except BaseException:
                self._filled.set()
                raise
            if self._read.bodies:
                self._filled.set()
                return [self._decode(body) for body in self._read.bodies]

    async def remove(self, count: int) -> None:
        """Takes the oldest events of what `head` returned last away. After a crash they may be there again."""
        assert self._read is not None
        assert count <= len(self._read.bodies)
        await asyncio.to_thread(self._segments.remove, self._read, count)
        self._depth -= count

    async def _write(self) -> None:
        while not self._closing:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                appends = list(self._waiting)
                self._waiting.clear()
                await self._write_together(appends)

    async def _write_together(self, appends: list[_Append]) -> None:
        records = [one for append in appends for one in append.records]
        error: GatewayError | None = None
        try:
            await asyncio.to_thread(self._segments.append, records)
        except OSError as fault:
            logger.error("the spool cannot be written: %s", fault.strerror or fault)
            error = SpoolFull(
                f"the spool cannot be written: {os.strerror(fault.errno or 0)}", (), {"limit": str(self._max_bytes)}
            )
            # What came meanwhile belongs behind these.
            appends += self._waiting
            self._waiting.clear()
            records = [one for append in appends for one in append.records]
            self._depth -= len(records)
        self._reserved -= sum(map(len, records))
        self._filled.set()
        for append in appends:
            append.settle(error)


def _open(folder: Path, max_bytes: int) -> tuple[Segments, IO[bytes]]:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = (folder / "lock").open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return Segments.open(folder, max_bytes), lock
    except BaseException:
        lock.close()
        raise


def _full(limit: int) -> SpoolFull:
    return SpoolFull(f"the broker is away and the spool is full: it takes {limit} bytes", (), {"limit": str(limit)})
