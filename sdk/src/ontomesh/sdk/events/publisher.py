"""Publishing many events over one stream, in order, and again where the gateway was away."""

import asyncio
import re
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import count
from types import TracebackType
from typing import Self

from grpc.aio import EOF

from ontomesh.events.v1 import cloud_event_pb2, publish_service_pb2
from ontomesh.sdk.call import FOREVER, DuplexCall
from ontomesh.sdk.errors import ConnectionFailed, DeadlineExceeded, OntomeshError, TooLarge
from ontomesh.sdk.events import wire
from ontomesh.sdk.events.event import Event
from ontomesh.sdk.events.origin import started
from ontomesh.sdk.events.passing import may_pass
from ontomesh.sdk.events.resources import Published
from ontomesh.sdk.patience import Patience
from ontomesh.sdk.raw import RawEvents

Types = Mapping[str, str] | Callable[[str], str]
"""The event types of subjects: those that a mapping names, the others as they are; or what a function says."""

BATCH_EVENTS = 256
BATCH_BYTES = 2 << 20
MESSAGE_BYTES = 8 << 20
IN_FLIGHT = 8
OUTSTANDING = 10_000
OUTSTANDING_BYTES = 64 << 20

_STORED = publish_service_pb2.PublishResult.OUTCOME_STORED
_FAILED = publish_service_pb2.PublishResult.OUTCOME_FAILED
_NAME = re.compile(r"[a-z0-9]{1,20}")
_MSG_ID = "nats-msg-id"

_Waiting = tuple[cloud_event_pb2.CloudEvent, int, "asyncio.Future[Published]"]


class AsyncPublisher:
    """Publishes events in the order in which they are given, many to a message.

    What is not answered when a connection breaks is published again, in order, with the ids that it had; so every
    event arrives at least once. Made by `mesh.events.publisher`; leaving `async with` waits for the answers.
    """

    def __init__(
        self,
        connect: Callable[[], RawEvents],
        source: str,
        *,
        types: Types | None,
        content_type: str,
        require_stored: bool,
        retry_for: float,
        outstanding: int,
        ended: "Callable[[AsyncPublisher], None]",
    ) -> None:
        self._connect = connect
        self._source = source
        self._type_of = types.get if isinstance(types, Mapping) else types
        self._content_type = content_type
        self._require_stored = require_stored
        self._retry_for = retry_for
        self._most = outstanding
        self._ended = ended
        self._prefix = uuid.uuid4().hex
        self._serial = count(1)
        self._numbers = count(1)
        self._waiting: deque[_Waiting] = deque()
        self._sent: deque[tuple[int, list[_Waiting]]] = deque()
        self._failed: list[_Waiting] = []
        self._count = self._bytes = 0
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._turn = asyncio.Lock()
        self._moved = time.monotonic()
        self._is_closing = self._is_halted = False
        self._worker: asyncio.Task[None] | None = None

    @property
    def outstanding(self) -> int:
        """How many events may wait for their answers."""
        return self._most

    async def publish(
        self,
        subject: str | Event,
        payload: bytes = b"",
        timeout: float | None = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Published:
        """What became of an event, once it is stored, or spooled while the broker is away.

        Calls that run at the same time share messages; for the rate of many from one task see `publish_async`.

        Args:
            subject: The event, or a subject of NATS, which becomes the event's type.
            payload: The data, with a subject.
            timeout: Seconds to wait; the event may be published all the same.
            headers: Become attributes: `Nats-Msg-Id` the event's id, `Content-Type` that of the data, `ce-...` what
                they name, and every other the extension of its name in lower case.

        Raises:
            InvalidEvent: The event is no CloudEvent.
            DataViolation: The data do not fit the schema of the event's type.
            TooLarge: The event is larger than a message to the gateway may be; nothing was sent.
            OntomeshError: Whatever else kept it from being accepted, for as long as the publisher tries.
        """
        future = await self.publish_async(subject, payload, headers=headers)
        if timeout is None:
            return await future
        try:
            return await asyncio.wait_for(future, timeout)
        except TimeoutError:
            raise DeadlineExceeded(f"no answer to the event within {timeout:g} s") from None

    async def publish_async(
        self, subject: str | Event, payload: bytes = b"", *, headers: Mapping[str, str] | None = None
    ) -> "asyncio.Future[Published]":
        """A future of what becomes of an event; arguments and errors are those of `publish`.

        It returns at once while fewer events than `outstanding` wait for their answers. Futures end in order as far as
        nothing fails.
        """
        if self._is_closing:
            raise RuntimeError("the publisher is closed")
        if isinstance(subject, Event):
            message = wire.message_of(subject, self._source)
        else:
            message = self._message(subject, payload, headers)
        started(message)
        size = message.ByteSize()
        if size > MESSAGE_BYTES:
            # Alone it would end the stream for all that wait with it.
            raise TooLarge(f"the event has {size:,} bytes: a message to the gateway has at most {MESSAGE_BYTES:,}")
        # One after the other, so that nobody overtakes who waits for room.
        async with self._turn:
            while self._count >= self._most or self._bytes >= OUTSTANDING_BYTES:
                self._room.clear()
                await self._room.wait()
            if self._worker is None:
                self._worker = asyncio.create_task(self._run())
            elif self._worker.done():
                raise RuntimeError("the publisher is closed")
            if not self._count:
                self._moved = time.monotonic()
            self._count += 1
            self._bytes += size
            future: asyncio.Future[Published] = asyncio.get_running_loop().create_future()
            self._waiting.append((message, size, future))
            self._wake.set()
        return future

    async def flush(self) -> None:
        """Returns once everything published before is answered, whatever the answers."""
        futures = [waiting[2] for _, batch in self._sent for waiting in batch]
        futures += [waiting[2] for waiting in (*self._failed, *self._waiting)]
        if futures:
            await asyncio.wait(futures)

    async def close(self) -> None:
        """Flushes, and ends the stream. Closing twice does nothing."""
        self._is_closing = True
        self._wake.set()
        self._ended(self)
        if self._worker is not None:
            await asyncio.wait({self._worker})
            if not self._worker.cancelled():
                self._worker.result()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def _message(self, subject: str, payload: bytes, headers: Mapping[str, str] | None) -> cloud_event_pb2.CloudEvent:
        mapped = self._type_of(subject) if self._type_of is not None else None
        message = cloud_event_pb2.CloudEvent(
            id=f"{self._prefix}-{next(self._serial)}",
            source=self._source,
            spec_version="1.0",
            type=mapped or subject,
            binary_data=payload,
        )
        attributes = message.attributes
        wire.set_now(attributes["time"])
        if mapped and mapped != subject:
            attributes["subject"].ce_string = subject
        if self._content_type:
            attributes[wire.CONTENT_TYPE].ce_string = self._content_type
        if headers:
            _set_headers(message, headers)
        return message

    async def _run(self) -> None:
        """Publishes all there is; ends when the publisher is closed and everything is answered."""
        try:
            await self._publish_all()
        finally:
            self._is_closing = True
            self._again()
            self._give_up(ConnectionFailed("the publisher was ended"))

    async def _publish_all(self) -> None:
        patience = Patience(None)
        while not (self._is_closing and not self._waiting):
            if not self._waiting:
                await self._woken()
                continue
            before = self._moved
            error = await self._attempt()
            self._again()
            if error is None:
                continue
            if self._moved != before:
                patience.succeeded()
            if not may_pass(error) or time.monotonic() - self._moved >= self._retry_for:
                self._give_up(error)
                patience.succeeded()
            else:
                await patience.again()

    async def _attempt(self) -> OntomeshError | None:
        """One stream, until it breaks, an event fails, or the publisher is closed; why it ended."""
        sender: asyncio.Task[None] | None = None
        call: DuplexCall[publish_service_pb2.PublishStreamResponse] | None = None
        failure: OntomeshError | None = None
        self._is_halted = False
        try:
            # The channel under the stubs makes calls that are written to, whatever the stubs' types say.
            call = self._connect().publishers.PublishStream(timeout=FOREVER)  # type: ignore[assignment]
            assert call is not None
            sender = asyncio.create_task(self._send(call))
            while (answer := await call.read()) is not EOF:
                failed = self._take(answer)
                if failed is not None and failure is None:
                    # What follows is not to overtake it: the answers still due are read, and the rest begins anew.
                    failure = failed
                    self._is_halted = True
                    self._wake.set()
        except OntomeshError as error:
            return failure or error
        finally:
            if sender is not None:
                sender.cancel()
                await asyncio.wait({sender})
            if call is not None:
                call.cancel()
        if self._sent and failure is None:
            return ConnectionFailed("the event gateway ended the stream")
        return failure

    async def _send(self, call: DuplexCall[publish_service_pb2.PublishStreamResponse]) -> None:
        while True:
            if self._is_halted or (self._is_closing and not self._waiting):
                await call.done_writing()
                return
            if self._waiting and len(self._sent) < IN_FLIGHT:
                await call.write(self._next_request())
            else:
                await self._woken()

    async def _woken(self) -> None:
        self._wake.clear()
        await self._wake.wait()

    def _next_request(self) -> publish_service_pb2.PublishStreamRequest:
        batch: list[_Waiting] = []
        size = 0
        while self._waiting and len(batch) < BATCH_EVENTS and (not batch or size + self._waiting[0][1] <= BATCH_BYTES):
            waiting = self._waiting.popleft()
            size += waiting[1]
            batch.append(waiting)
        number = next(self._numbers)
        self._sent.append((number, batch))
        request = publish_service_pb2.PublishStreamRequest(number=number)
        request.publish.require_stored = self._require_stored
        request.publish.events.extend([waiting[0] for waiting in batch])
        return request

    def _take(self, answer: publish_service_pb2.PublishStreamResponse) -> OntomeshError | None:
        """Tells the senders of a message's events; keeps those that failed and returns why the first did."""
        number, batch = self._sent[0] if self._sent else (0, [])
        if not batch or answer.number != number or len(answer.results) != len(batch):
            raise ConnectionFailed("the event gateway answered another message than was due")
        self._sent.popleft()
        first: OntomeshError | None = None
        for waiting, result in zip(batch, answer.results, strict=True):
            outcome = result.outcome
            if outcome == _STORED:
                self._settle(waiting, Published("stored", result.sequence))
            elif outcome == _FAILED:
                self._failed.append(waiting)
                first = first or wire.published(result).error or OntomeshError("an event was not stored")
            else:
                self._settle(waiting, wire.published(result))
        self._wake.set()
        return first

    def _settle(self, waiting: _Waiting, result: Published) -> None:
        self._moved = time.monotonic()
        self._release(waiting[1])
        future = waiting[2]
        if future.done():
            return
        if result.accepted:
            future.set_result(result)
        else:
            future.set_exception(result.error or OntomeshError(f"the event was {result.outcome}"))

    def _release(self, size: int) -> None:
        self._count -= 1
        self._bytes -= size
        self._room.set()

    def _again(self) -> None:
        """Puts what is not answered, or failed, before what is not sent yet."""
        rest = [*self._failed, *(waiting for _, batch in self._sent for waiting in batch)]
        self._failed, self._sent = [], deque()
        self._waiting.extendleft(reversed(rest))

    def _give_up(self, error: OntomeshError) -> None:
        given, self._waiting = self._waiting, deque()
        self._moved = time.monotonic()
        for _, size, future in given:
            self._release(size)
            if not future.done():
                future.set_exception(error)


def _set_headers(message: cloud_event_pb2.CloudEvent, headers: Mapping[str, str]) -> None:
    for header, value in headers.items():
        name = header.lower()
        if name == _MSG_ID:
            message.id = value
            continue
        if name == "content-type":
            name = wire.CONTENT_TYPE
        name = name.removeprefix("ce-").replace("-", "").replace("_", "").replace(".", "")
        if name in ("id", "source", "type"):
            setattr(message, name, value)
        elif name == "time":
            message.attributes["time"].ce_timestamp.FromDatetime(_time(value))
        elif name == "specversion":
            continue
        elif _NAME.fullmatch(name):
            message.attributes[name].ce_string = value
        else:
            raise ValueError(f"the header {header!r} cannot be an attribute: 1 to 20 letters and digits")


def _time(value: str) -> datetime:
    moment = datetime.fromisoformat(value)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
