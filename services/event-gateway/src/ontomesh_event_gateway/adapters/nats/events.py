"""Reading the event stream."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from ontomesh_event_gateway.adapters.nats.connection import Connection
from ontomesh_event_gateway.adapters.nats.consumers import MOST_FILTERS
from ontomesh_event_gateway.adapters.nats.messages import header
from ontomesh_event_gateway.adapters.nats.reader import Read, Reader
from ontomesh_event_gateway.adapters.nats.stored import StoredMessages
from ontomesh_event_gateway.adapters.nats.streams import EVENTS
from ontomesh_event_gateway.adapters.nats.subjects import EVENTS_PREFIX, REDRIVEN_PREFIX, escaped, type_token
from ontomesh_event_gateway.domain.model import Event, StoredEvent
from ontomesh_event_gateway.errors import BrokerUnavailable, StartNotRetained
from ontomesh_event_gateway.ports import Decode

RETRY_SECONDS = 0.25


class NatsEvents:
    """The event stream, as far as reading goes."""

    def __init__(self, connection: Connection, stored: StoredMessages, decode: Decode) -> None:
        self._connection = connection
        self._stored = stored
        self._decode = decode

    async def bounds(self) -> tuple[int, int, int]:
        """The first sequence, the last one, and the time of the first, 0 if the stream is empty."""
        first, last = await self._stored.bounds(EVENTS)
        oldest = await self._stored.at(EVENTS, first) if 0 < first <= last else None
        return first, last, 0 if oldest is None else oldest.time

    async def at(self, sequence: int) -> Event | None:
        """The event of a sequence, None if it is gone."""
        found = await self._stored.at(EVENTS, sequence)
        return None if found is None else self._decode(found.payload)

    async def since(self, time: int) -> int | None:
        """The sequence of the first event that was stored at a time or later."""
        found = await self._stored.since(EVENTS, time)
        return None if found is None else found.sequence

    @asynccontextmanager
    async def read(self, first: int, types: Sequence[str]) -> AsyncIterator[AsyncIterator[Sequence[StoredEvent]]]:
        """Events from a sequence on, in order, for ever."""
        subjects = [f"{EVENTS_PREFIX}.*.{token}" for token in sorted({type_token(type_) for type_ in types})]
        if not subjects or len(subjects) > MOST_FILTERS:
            subjects = [f"{EVENTS_PREFIX}.>"]
        _, last = await self._stored.bounds(EVENTS)
        reading = _Reading(self._connection, self._stored, subjects, first, self._decode, is_ahead=first > last + 1)
        await reading.open()
        try:
            yield reading.batches()
        finally:
            await reading.close()

    async def forget(self, subscription: str) -> None:
        """Takes out what was redriven for a subscription."""
        await self._stored.purge(EVENTS, f"{REDRIVEN_PREFIX}.{escaped(subscription)}.*")


class _Reading:
    def __init__(
        self,
        connection: Connection,
        stored: StoredMessages,
        subjects: Sequence[str],
        first: int,
        decode: Decode,
        *,
        is_ahead: bool,
    ) -> None:
        self._connection = connection
        self._stored = stored
        self._is_ahead = is_ahead
        self._subjects = subjects
        self._next = first
        self._decode = decode
        self._reader: Reader | None = None

    async def open(self) -> None:
        reader = Reader(self._connection, EVENTS, self._subjects)
        self._reader = reader
        await reader.open(self._next)

    async def _open_again(self) -> None:
        _, last = await self._stored.bounds(EVENTS)
        if last + 1 < self._next and not self._is_ahead:
            raise StartNotRetained("the stream of events was lost and begins again", (), {"first_sequence": "1"})
        await self.open()

    async def close(self) -> None:
        if self._reader is not None:
            await self._reader.close()
            self._reader = None

    async def batches(self) -> AsyncIterator[Sequence[StoredEvent]]:
        while True:
            try:
                if self._reader is None:
                    await self._open_again()
                assert self._reader is not None
                arrived = await self._reader.next()
            except BrokerUnavailable:
                await self.close()
                await asyncio.sleep(RETRY_SECONDS)
                await self._connection.wait_available()
                continue
            self._next = arrived[-1].sequence + 1
            self._is_ahead = False
            yield [self._event(one) for one in arrived]

    def _event(self, one: Read) -> StoredEvent:
        return StoredEvent(self._decode(one.payload), one.sequence, one.time, header(one.headers, b"traceparent"))
