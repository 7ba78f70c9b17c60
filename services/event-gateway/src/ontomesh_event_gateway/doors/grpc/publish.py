"""The service that takes events."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any

from ontomesh.events.v1 import cloud_event_pb2, publish_service_pb2, publish_service_pb2_grpc
from ontomesh_chassis.errors import Draining
from ontomesh_event_gateway.domain.caller import Caller
from ontomesh_event_gateway.domain.model import Order, Outcome, Result
from ontomesh_event_gateway.domain.publishing import Draft, Publishing, Wishes, check_size
from ontomesh_event_gateway.doors import convert
from ontomesh_event_gateway.doors.caller import caller_now

MAX_UNDER_WAY = 64
MAX_BYTES_UNDER_WAY = 16 << 20


class PublishServicer(publish_service_pb2_grpc.PublishServiceServicer):
    """See the contract."""

    def __init__(self, publishing: Publishing, draining: asyncio.Event) -> None:
        self._publishing = publishing
        self._draining = draining

    async def Publish(  # noqa: N802 - the contract's name
        self, request: publish_service_pb2.PublishRequest, context: object
    ) -> publish_service_pb2.PublishResponse:
        """See the contract."""
        results = await self._publishing.publish(caller_now(), _drafts(request.events), _wishes(request))
        return publish_service_pb2.PublishResponse(results=[convert.result(one) for one in results])

    async def PublishStream(  # noqa: N802 - the contract's name
        self, request: AsyncIterator[publish_service_pb2.PublishStreamRequest], context: object
    ) -> AsyncIterator[publish_service_pb2.PublishStreamResponse]:
        """See the contract."""
        stream = _Stream(self._publishing, caller_now())
        reading = asyncio.create_task(stream.read(request))
        stopping = asyncio.create_task(self._draining.wait())
        stopping.add_done_callback(lambda _: reading.cancel())
        try:
            async for answer in stream.answers():
                yield answer
            await asyncio.wait({reading})
            if reading.cancelled():
                raise Draining
            reading.result()
        finally:
            stopping.cancel()
            reading.cancel()
            stream.close()


class _Stream:
    """One stream: messages begun in order, answered in order."""

    def __init__(self, publishing: Publishing, caller: Caller) -> None:
        self._publishing = publishing
        self._caller = caller
        self._order = Order()
        self._failed: int | None = None
        self._begun: asyncio.Queue[tuple[int, int, Coroutine[Any, Any, list[Result]]] | None] = asyncio.Queue()
        self._under_way = 0
        self._bytes_under_way = 0
        self._answered = asyncio.Event()

    async def read(self, requests: AsyncIterator[publish_service_pb2.PublishStreamRequest]) -> None:
        """Begins what comes in, as long as there is room.

        Once a message has failed, what follows does too, until one comes that bears its number or an earlier one.
        """
        try:
            async for request in requests:
                size = request.ByteSize()
                await self._room(size)
                if self._failed is not None and request.number <= self._failed:
                    self._order, self._failed = Order(), None
                results = await self._publishing.begin(
                    self._caller, _drafts(request.publish.events), _wishes(request.publish), self._order
                )
                self._begun.put_nowait((request.number, size, results))
        finally:
            self._begun.put_nowait(None)

    async def _room(self, size: int) -> None:
        while self._under_way and (
            self._under_way == MAX_UNDER_WAY or self._bytes_under_way + size > MAX_BYTES_UNDER_WAY
        ):
            self._answered.clear()
            await self._answered.wait()
        self._under_way += 1
        self._bytes_under_way += size

    async def answers(self) -> AsyncIterator[publish_service_pb2.PublishStreamResponse]:
        """The answers, in the order of what was read; ends with it."""
        while (one := await self._begun.get()) is not None:
            number, size, awaited = one
            results = await awaited
            if self._failed is None and any(result.outcome is Outcome.FAILED for result in results):
                self._failed = number
            yield publish_service_pb2.PublishStreamResponse(
                number=number, results=[convert.result(result) for result in results]
            )
            self._under_way -= 1
            self._bytes_under_way -= size
            self._answered.set()

    def close(self) -> None:
        """Gives up what nobody awaits any more; it is stored all the same."""
        while not self._begun.empty():
            if (one := self._begun.get_nowait()) is not None:
                one[-1].close()


def _wishes(request: publish_service_pb2.PublishRequest) -> Wishes:
    return Wishes(request.require_stored, request.dead_letter_refused)


def _drafts(events: Sequence[cloud_event_pb2.CloudEvent]) -> list[Draft]:
    """Raises InvalidRequest, TooLarge."""
    check_size(len(events), 0)
    check_size(len(events), sum([one.ByteSize() for one in events]))
    return [convert.draft(one) for one in events]
