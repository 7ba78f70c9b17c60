"""An event gateway that keeps what it is sent in memory, and fails as a test wants it to."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc

from ontomesh.events.v1 import cloud_event_pb2, error_reason_pb2, publish_service_pb2, publish_service_pb2_grpc

MAX_REQUEST_BYTES = 8 << 20

CloudEvent = cloud_event_pb2.CloudEvent
Result = publish_service_pb2.PublishResult


def text(event: CloudEvent, name: str) -> str:
    """An attribute that is a string."""
    return str(event.attributes[name].ce_string)


@dataclass
class FakeGateway(publish_service_pb2_grpc.PublishServiceServicer):
    """Stores events in the order in which they come, each once by its id.

    `refuses` says which events it refuses for good; `fails` which fail for now, with all after them. While it is `away`
    it answers UNAVAILABLE, while it `hangs` not at all; with `answers_late` it stores, and then answers UNAVAILABLE.
    """

    stored: list[CloudEvent] = field(default_factory=list)
    dead: list[CloudEvent] = field(default_factory=list)
    requests: list[publish_service_pb2.PublishRequest] = field(default_factory=list)
    metadata: list[dict[str, str]] = field(default_factory=list)
    refuses: Callable[[CloudEvent], bool] = lambda event: False
    fails: Callable[[CloudEvent], bool] = lambda event: False
    away: bool = False
    hangs: bool = False
    answers_late: int = 0
    doubles: int = 0
    address: str = ""
    _ids: set[str] = field(default_factory=set)
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def Publish(  # noqa: N802 - the contract's name
        self, request: publish_service_pb2.PublishRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> publish_service_pb2.PublishResponse:
        """See the contract."""
        self.metadata.append({key: str(value) for key, value in context.invocation_metadata() or ()})
        if self.away:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "away")
        if self.hangs:
            await asyncio.Event().wait()
        assert request.require_stored
        assert request.dead_letter_refused
        assert 0 < len(request.events) <= 256
        if request.ByteSize() > MAX_REQUEST_BYTES:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too large")
        self.requests.append(request)
        results: list[publish_service_pb2.PublishResult] = []
        has_failed = False
        for event in request.events:
            has_failed = has_failed or self.fails(event)
            results.append(self._failed() if has_failed else self._take(event))
        async with self._news:
            self._news.notify_all()
        if self.answers_late:
            self.answers_late -= 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "late")
        return publish_service_pb2.PublishResponse(results=results)

    async def PublishStream(  # noqa: N802 - the contract's name
        self, request_iterator: object, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> AsyncIterator[publish_service_pb2.PublishStreamResponse]:
        """The relay does not use it."""
        for message in list[publish_service_pb2.PublishStreamResponse]():
            yield message
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "not here")

    def _failed(self) -> publish_service_pb2.PublishResult:
        error = publish_service_pb2.EventError(
            reason=error_reason_pb2.ERROR_REASON_BROKER_UNAVAILABLE, message="the broker is away"
        )
        return Result(outcome=Result.OUTCOME_FAILED, error=error)

    def _take(self, event: CloudEvent) -> publish_service_pb2.PublishResult:
        if event.id in self._ids:
            self.doubles += 1
            return Result(outcome=Result.OUTCOME_DUPLICATE)
        self._ids.add(event.id)
        if self.refuses(event):
            self.dead.append(event)
            return Result(outcome=Result.OUTCOME_DEAD_LETTERED)
        self.stored.append(event)
        return Result(outcome=Result.OUTCOME_STORED, sequence=len(self.stored))

    async def until(self, condition: Callable[[], bool], seconds: float = 20) -> None:
        """Wait until something holds that more events make true."""
        async with asyncio.timeout(seconds), self._news:
            await self._news.wait_for(condition)

    def commits_of(self, branch: str) -> list[str]:
        """The commits whose events are stored of a branch, in the order of their first events."""
        found = (text(event, "commit") for event in self.stored if text(event, "branch") == branch)
        return list(dict.fromkeys(found))


@asynccontextmanager
async def fake_gateway(port: int = 0) -> AsyncIterator[FakeGateway]:
    """A gateway that serves on a free port, or on the one named."""
    gateway = FakeGateway()
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", 64 << 20)])
    publish_service_pb2_grpc.add_PublishServiceServicer_to_server(gateway, server)
    gateway.address = f"127.0.0.1:{server.add_insecure_port(f'127.0.0.1:{port}')}"
    await server.start()
    try:
        yield gateway
    finally:
        await server.stop(None)
