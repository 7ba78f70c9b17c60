"""The service that takes events."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any

from ontomesh.events.v1 import cloud_event_pb2, publish_service_pb2, publish_service_pb2_grpc
from ontomesh_event_gateway.domain.caller import Caller
from ontomesh_event_gateway.domain.model import Order, Outcome, Result
from ontomesh_event_gateway.domain.publishing import Draft, Publishing, Wishes
from ontomesh_event_gateway.doors import convert
from ontomesh_event_gateway.doors.caller import caller_now

MAX_UNDER_WAY = 64


class PublishServicer(publish_service_pb2_grpc.PublishServiceServicer):
    """See the contract."""

    def __init__(self, publishing: Publishing) -> None:
        self._publishing = publishing

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
        try:
            async for answer in stream.answers():
                yield answer
            await reading
        finally:
            reading.cancel()
            stream.close()


class _Stream:
    """One stream: messages begun in order, answered in order."""

    def __init__(self, publishing: Publishing, caller: Caller) -> None:
        self._publishing = publishing
        self._caller = caller
        self._order = Order()
        self._failed: int | None = None
        self._begun: asyncio.Queue[tuple[int, Coroutine[Any, Any, list[Result]]] | None] = asyncio.Queue()
        self._room = asyncio.Semaphore(MAX_UNDER_WAY)

    async def read(self, requests: AsyncIterator[publish_service_pb2.PublishStreamRequest]) -> None:
        """Begins what comes in, as long as there is room.

        Once a message has failed, what follows does too, until one comes that bears its number or an earlier one.
        """
        try:
            async for request in requests:
                await self._room.acquire()
                if self._failed is not None and request.number <= self._failed:
                    self._order, self._failed = Order(), None
                results = await self._publishing.begin(
                    self._caller, _drafts(request.publish.events), _wishes(request.publish), self._order
                )
                self._begun.put_nowait((request.number, results))
        finally:
            self._begun.put_nowait(None)

    async def answers(self) -> AsyncIterator[publish_service_pb2.PublishStreamResponse]:
        """The answers, in the order of what was read; ends with it."""
        while (one := await self._begun.get()) is not None:
            number, awaited = one
            results = await awaited
            if self._failed is None and any(result.outcome is Outcome.FAILED for result in results):
                self._failed = number
            yield publish_service_pb2.PublishStreamResponse(
                number=number, results=[convert.result(result) for result in results]
            )
            self._room.release()

    def close(self) -> None:
        """Gives up what nobody awaits any more; it is stored all the same."""
        while not self._begun.empty():
            if (one := self._begun.get_nowait()) is not None:
                one[1].close()


def _wishes(request: publish_service_pb2.PublishRequest) -> Wishes:
    return Wishes(request.require_stored, request.dead_letter_refused)


def _drafts(events: Sequence[cloud_event_pb2.CloudEvent]) -> list[Draft]:
    return [convert.draft(one) for one in events]
