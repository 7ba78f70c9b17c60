"""Writing to the event stream: group commit by JetStream's atomic batches."""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from opentelemetry import trace as otel
from opentelemetry.trace import Span, SpanKind
from prometheus_client import CollectorRegistry, Counter

from ontomesh_chassis.trace import traceparent_of
from ontomesh_event_gateway.adapters.nats import wire
from ontomesh_event_gateway.adapters.nats.acks import Acks
from ontomesh_event_gateway.adapters.nats.connection import ApiRefused, Connection
from ontomesh_event_gateway.adapters.nats.streams import Streams
from ontomesh_event_gateway.domain.model import Event, Order, Stored, StreamState
from ontomesh_event_gateway.errors import BrokerUnavailable, GatewayError, NotReached, SpoolFull, StreamFull, TooLarge
from ontomesh_event_gateway.ports import Settle

logger = logging.getLogger(__name__)

BATCH_EVENTS = 500
BATCH_BYTES = 4 << 20
MAX_WAITING_BYTES = 64 << 20
"""Of events that wait for the broker's answer."""
PROBE_SECONDS = 0.1
CONTAINS_DUPLICATE = 10201
_TRIES = 4

Outcome = Stored | GatewayError


@dataclass(slots=True)
class _Call:
    """Events of one call, which stay in order."""

    messages: list[wire.Message]
    settle: Settle
    order: Order | None
    size: int
    span: Span | None = field(default=None)

    def end(self, outcomes: Sequence[Outcome]) -> None:
        if self.span is not None:
            self.span.end()
        self.settle(outcomes)


class Publisher:
    """The event stream, as far as writing goes.

    There is one batch under way at a time, so that events are stored in the order of their calls whatever becomes of
    some; what comes meanwhile makes the next batch, up to a limit, over which it is refused with SpoolFull. After a failure that leaves open what the broker has, everything
    that waits fails, and nothing is sent until the broker answers again.
    """

    def __init__(self, connection: Connection, streams: Streams, acks: Acks, registry: CollectorRegistry) -> None:
        self._connection = connection
        self._streams = streams
        self._acks = acks
        self._waiting: deque[_Call] = deque()
        self._waiting_bytes = 0
        self._wake = asyncio.Event()
        self._available = asyncio.Event()
        self._under_way = False
        self._task: asyncio.Task[None] | None = None
        self._probing: asyncio.Task[None] | None = None
        self._failures = Counter(
            "ontomesh_event_ack_failures",
            "Batches of events that the broker did not take or answer.",
            ["cause"],
            registry=registry,
        )
        self._batch_events = Counter("ontomesh_event_batches", "Batches of events that were sent.", registry=registry)
        self._tracer = otel.get_tracer(__name__)
        connection.on_connect(self._connected)
        connection.on_disconnect(lambda: self._unavailable("the connection to the broker was lost"))

    def start(self) -> None:
        """Begins to send what is stored."""
        self._task = asyncio.create_task(self._send())

    async def close(self) -> None:
        """Fails what waits, and ends."""
        for task in (self._task, self._probing):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        self._fail_all("the gateway is shutting down")

    @property
    def available(self) -> bool:
        """Whether storing has a chance now, or what is under way must be known before anything else can be done."""
        return self._available.is_set() or self._under_way

    async def wait_available(self) -> None:
        """Returns once storing has a chance."""
        await self._available.wait()

    async def state(self) -> StreamState:
        """The stream's state. Raises BrokerUnavailable."""
        return await self._streams.state()

    def store(self, events: Sequence[Event], settle: Settle, order: Order | None = None) -> None:
        """See the port."""
        if not self.available:
            settle([BrokerUnavailable("there is no connection to the broker")] * len(events))
            return
        span, traceparent = self._span(len(events))
        messages = [wire.Message(event, traceparent) for event in events]
        size = sum([len(message.body) for message in messages])
        call = _Call(messages, settle, order, size, span)
        if self._waiting and self._waiting_bytes + size > MAX_WAITING_BYTES:
            # Not a matter for the spool: what waits here may come into it yet, and belongs before these.
            limit = {"limit": str(MAX_WAITING_BYTES)}
            refusal = SpoolFull("more is published than the broker takes: what waits for it is full", (), limit)
            call.end([refusal] * len(messages))
            return
        self._waiting.append(call)
        self._waiting_bytes += size
        self._wake.set()

    def _span(self, count: int) -> tuple[Span | None, bytes]:
        """A span of its own where the call has one, and what the broker is told of it."""
        if not otel.get_current_span().is_recording():
            return None, b""
        span = self._tracer.start_span(
            "publish",
            kind=SpanKind.PRODUCER,
            attributes={"messaging.system": "nats", "messaging.batch.message_count": count},
        )
        return span, traceparent_of(span).encode()

    async def _send(self) -> None:
        while True:
            await self._wake.wait()
            calls = self._take()
            if calls:
                await self._store(calls)
            if not self._waiting:
                self._wake.clear()

    def _take(self) -> list[_Call]:
        calls: list[_Call] = []
        count = size = 0
        while self._waiting:
            call = self._waiting[0]
            if call.order is not None and call.order.broken:
                self._pop()
                call.end([NotReached("a message before this one was not stored")] * len(call.messages))
                continue
            count += len(call.messages)
            size += call.size
            if calls and (count > BATCH_EVENTS or size > BATCH_BYTES):
                break
            calls.append(self._pop())
        return calls

    def _pop(self) -> _Call:
        call = self._waiting.popleft()
        self._waiting_bytes -= call.size
        return call

    async def _store(self, calls: list[_Call]) -> None:
        messages = [message for call in calls for message in call.messages]
        self._under_way = True
        try:
            outcomes = await self._commit(messages)
        except asyncio.CancelledError:
            self._under_way = False
            self._end(calls, [BrokerUnavailable("the gateway is shutting down")] * len(messages))
            raise
        except Exception as error:
            # Whatever it is, nobody may wait for ever, and what comes next must be tried.
            logger.exception("a batch of events has failed")
            outcomes = [BrokerUnavailable(f"the broker's answer is unknown: {type(error).__name__}")] * len(messages)
        self._under_way = False
        self._end(calls, outcomes)
        if any(isinstance(outcome, BrokerUnavailable) for outcome in outcomes):
            self._unavailable("the broker did not answer")
        elif not self._available.is_set():
            self._fail_all("the connection to the broker was lost")

    def _end(self, calls: Sequence[_Call], outcomes: Sequence[Outcome]) -> None:
        start = 0
        for call in calls:
            end = start + len(call.messages)
            call.end(outcomes[start:end])
            start = end

    async def _commit(self, messages: list[wire.Message]) -> list[Outcome]:
        """An outcome for each message, in order."""
        try:
            limit = self._connection.client.max_payload - wire.HEADER_ROOM
        except BrokerUnavailable as error:
            return [error] * len(messages)
        if max(len(message.body) for message in messages) > limit:
            return await self._commit_fitting(messages, limit)
        return await self._commit_some(messages)

    async def _commit_fitting(self, messages: list[wire.Message], limit: int) -> list[Outcome]:
        fitting = [message for message in messages if len(message.body) <= limit]
        stored = iter(await self._commit_some(fitting) if fitting else ())
        return [
            next(stored)
            if len(message.body) <= limit
            else TooLarge(
                f"the event has {len(message.body)} bytes; the broker takes {limit}",
                (),
                {"limit": str(limit), "size": str(len(message.body))},
            )
            for message in messages
        ]

    async def _commit_some(self, messages: list[wire.Message]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        tries = _TRIES
        together = len(messages) > 1
        try:
            while len(outcomes) < len(messages):
                rest = messages[len(outcomes) :]
                if together and len(rest) > 1:
                    together = False
                    try:
                        outcomes += await self._batch(rest)
                    except ApiRefused as refused:
                        if refused.code != CONTAINS_DUPLICATE:
                            raise
                    continue
                one = await self._single(rest[0])
                outcomes.append(one)
                # What is new comes mostly after what was there before.
                if not one.duplicate and tries:
                    tries -= 1
                    together = True
        except (BrokerUnavailable, StreamFull) as error:
            self._failures.labels("full" if isinstance(error, StreamFull) else "unavailable").inc()
            rest_count = len(messages) - len(outcomes)
            outcomes += [error] * rest_count
        return outcomes

    async def _batch(self, messages: list[wire.Message]) -> list[Stored]:
        reply = self._acks.reply()
        self._batch_events.inc()
        ack = await self._acks.send(wire.batch(messages, reply.rpartition(b"INBOX.")[2], reply), reply)
        first = int(ack["seq"]) - len(messages) + 1
        return [Stored(first + index) for index in range(len(messages))]

    async def _single(self, message: wire.Message) -> Stored:
        reply = self._acks.reply()
        ack = await self._acks.send(wire.single(message, reply), reply)
        return Stored(int(ack["seq"]), bool(ack.get("duplicate")))

    async def _connected(self) -> None:
        self._probe()

    def _unavailable(self, cause: str) -> None:
        self._available.clear()
        if not self._under_way:  # else those come first, once it is known what became of them
            self._fail_all(cause)
        if self._connection.available:
            self._probe()

    def _fail_all(self, cause: str) -> None:
        while self._waiting:
            call = self._pop()
            call.end([BrokerUnavailable(cause)] * len(call.messages))

    def _probe(self) -> None:
        if self._probing is None or self._probing.done():
            self._probing = asyncio.create_task(self._until_it_answers())

    async def _until_it_answers(self) -> None:
        while self._connection.available:
            await self._streams.ready.wait()
            try:
                await self._streams.ensure()
            except BrokerUnavailable:
                await asyncio.sleep(PROBE_SECONDS)
                continue
            self._available.set()
            return
