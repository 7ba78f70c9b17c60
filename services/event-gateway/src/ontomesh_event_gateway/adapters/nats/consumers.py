"""JetStream's durable consumers: made, asked for messages, and answered with as little work a message as can be."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import orjson

from ontomesh_event_gateway.adapters.nats.connection import CONSUMER_NOT_FOUND, ApiRefused, Connection
from ontomesh_event_gateway.adapters.nats.messages import HEARTBEAT, delivered, header, lapsed, microseconds, status_of
from ontomesh_event_gateway.adapters.nats.streams import EVENTS
from ontomesh_event_gateway.adapters.nats.subjects import (
    EVENTS_PREFIX,
    REDRIVEN_PREFIX,
    escaped,
    type_token,
)
from ontomesh_event_gateway.ports import Arrival, Lane, LaneState

PULL_MOST = 1_000
MOST_WAITING = 100_000
"""Answers kept for a broker that is away; what is lost beyond them is delivered again."""
PULL_BYTES = 2 << 20
"""More than an event can have."""
EXPIRES_SECONDS = 60.0
HEARTBEAT_SECONDS = 10.0
GRACE_SECONDS = 5.0
"""For how long what was under way to a closed pull is given back."""
MOST_FILTERS = 50
MOST_RETURNED = 100_000
RETURNED = "ontomesh.returned"
"""A subject that no stream keeps."""
_NANO = 10**9
_MICRO = 1_000


class NatsConsumers:
    """The consumers of the event stream, one for each lane of a subscription."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._answers = Answers(connection)
        self._returned = Returned(connection)

    @property
    def is_connected(self) -> bool:
        """Whether the broker can be reached."""
        return self._connection.available

    async def wait_connected(self) -> None:
        """Returns once the broker can be reached."""
        await self._connection.wait_available()

    def on_lost(self, tell: Callable[[], None]) -> None:
        """Tells whenever the broker cannot be reached any more: every pull is closed by then."""
        self._connection.on_disconnect(tell)

    async def ensure(self, lane: Lane) -> None:
        """Makes a lane's consumer, or changes it to what the lane says. Raises BrokerUnavailable."""
        config = {
            "durable_name": lane.name,
            "name": lane.name,
            "description": f"subscription {lane.subscription}",
            "metadata": {"ontomesh-subscription": lane.subscription, "ontomesh-generation": lane.generation},
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": max(lane.start_sequence, 1),
            "ack_policy": "explicit",
            "ack_wait": lane.ack_wait * _MICRO,
            "max_deliver": -1,
            "max_ack_pending": lane.max_pending,
            "filter_subjects": _subjects(lane),
        }
        await self._connection.api(
            f"CONSUMER.DURABLE.CREATE.{EVENTS}.{lane.name}", {"stream_name": EVENTS, "config": config}
        )

    async def delete(self, name: str) -> None:
        """Deletes a consumer if it is there. Raises BrokerUnavailable."""
        try:
            await self._connection.api(f"CONSUMER.DELETE.{EVENTS}.{name}")
        except ApiRefused as refused:
            if refused.code != CONSUMER_NOT_FOUND:
                raise

    async def inspect(self, name: str) -> LaneState | None:
        """How far a consumer has come, None if it was never made. Raises BrokerUnavailable."""
        try:
            return _state(await self._connection.api(f"CONSUMER.INFO.{EVENTS}.{name}"))
        except ApiRefused as refused:
            if refused.code != CONSUMER_NOT_FOUND:
                raise
            return None

    async def all(self) -> list[LaneState]:
        """Every subscription's consumers. Raises BrokerUnavailable."""
        found: list[LaneState] = []
        offset = 0
        while True:
            page = await self._connection.api(f"CONSUMER.LIST.{EVENTS}", {"offset": offset})
            consumers = page.get("consumers") or []
            offset += len(consumers)
            found += [_state(one) for one in consumers if _metadata(one).get("ontomesh-subscription")]
            if not consumers or offset >= int(page["total"]):
                return found

    def pull(self, lane: Lane, take: Callable[[Arrival | None], None], ended: Callable[[], None]) -> "NatsPull":
        """Begins to receive a lane's messages, as many as are asked for. `ended` is told when the consumer is gone or
        has moved, and the pull with it. Raises BrokerUnavailable.
        """
        return NatsPull(self._connection, self._answers, self._returned, lane, take, ended)


class Answers:
    """Gathers acknowledgements and writes those of one turn of the loop together; while the broker is away they wait."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._waiting: list[bytes] = []
        self._is_due = False
        connection.on_connect(self._connected)

    def add(self, command: bytes) -> None:
        """Sends a command soon."""
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._flush)
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append(command)

    def _flush(self) -> None:
        self._is_due = False
        if self._connection.available and self._waiting:
            waiting, self._waiting = self._waiting, []
            self._connection.send(b"".join(waiting))

    async def _connected(self) -> None:
        self._flush()


class Returned:
    """What was given back without having been sent to anybody, of which every gateway tells all the others.

    The broker counts those deliveries, too, and knows no other way to give a message back. A gateway that starts later
    takes them for attempts.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._counts: OrderedDict[bytes, int] = OrderedDict()
        connection.on_connect(self._connected)

    def command(self, lane: str, sequence: int) -> bytes:
        """What tells of one; it goes out before what gives the message back."""
        told = b"%b %d" % (lane.encode(), sequence)
        return b"PUB %b %d\r\n%b\r\n" % (RETURNED.encode(), len(told), told)

    def count(self, lane: str, sequence: int) -> int:
        """How often a message was given back."""
        return self._counts.get(b"%b %d" % (lane.encode(), sequence), 0) if self._counts else 0

    async def _connected(self) -> None:
        self._connection.subscribe(RETURNED, self._take)

    def _take(self, _subject: bytes, _reply: bytes, _headers: bytes, payload: bytes) -> None:
        self._counts[payload] = self._counts.pop(payload, 0) + 1
        if len(self._counts) > MOST_RETURNED:
            self._counts.popitem(last=False)


class NatsPull:
    """Receives one lane's messages."""

    def __init__(
        self,
        connection: Connection,
        answers: Answers,
        returned: Returned,
        lane: Lane,
        take: Callable[[Arrival | None], None],
        ended: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._add = answers.add
        self._returned = returned
        self._lane = lane.name
        self._hand = take
        self._ended = ended
        self._inbox = f"_INBOX.{uuid4().hex}"
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{EVENTS}.{lane.name}"
        self._quiet: asyncio.TimerHandle | None = None
        self._heard = False
        self.waiting = 0
        self.pending = 0
        self._sid: int | None = connection.subscribe(self._inbox, self._take)

    def ask(self, count: int) -> None:
        """Asks for so many more messages."""
        if self._sid is None or not self._connection.available:
            return
        while count > 0:
            batch = min(count, PULL_MOST)
            body = orjson.dumps(
                {
                    "batch": batch,
                    "max_bytes": PULL_BYTES,
                    "expires": int(EXPIRES_SECONDS * _NANO),
                    "idle_heartbeat": int(HEARTBEAT_SECONDS * _NANO),
                }
            )
            command = b"PUB %b %b %d\r\n%b\r\n" % (self._next.encode(), self._inbox.encode(), len(body), body)
            self._connection.send(command)
            self.waiting += batch
            count -= batch
        if self._quiet is None:
            self._listen()

    def close(self) -> None:
        """Ends it: what was asked for is asked no more, and what comes still is given back."""
        if self._quiet is not None:
            self._quiet.cancel()
            self._quiet = None
        if self._sid is not None and self._connection.available:
            self._connection.unsubscribe(self._sid, GRACE_SECONDS)
        self._sid = None
        self.waiting = 0

    def ack(self, reply: bytes) -> None:
        """Is done with a message."""
        self._add(b"PUB %b 4\r\n+ACK\r\n" % reply)

    def nak(self, reply: bytes, delay: int = 0) -> None:
        """Wants a message again, after a delay in microseconds."""
        body = b'-NAK {"delay":%d}' % (delay * _MICRO) if delay else b"-NAK"
        self._add(b"PUB %b %d\r\n%b\r\n" % (reply, len(body), body))

    def untried(self, arrival: Arrival) -> None:
        """Tells that nobody was sent a message."""
        self._add(self._returned.command(self._lane, arrival.sequence))

    def progress(self, reply: bytes) -> None:
        """Begins a message's time anew."""
        self._add(b"PUB %b 4\r\n+WPI\r\n" % reply)

    def _take(self, subject: bytes, reply: bytes, headers: bytes, payload: bytes) -> None:
        self._heard = True
        if not headers.startswith(b"NATS/1.0 "):
            told = delivered(reply)
            if self._sid is None:
                self._add(self._returned.command(self._lane, told.sequence))
                self.nak(reply)
                return
            self.waiting -= 1
            self.pending = told.pending
            attempt = told.attempt
            if attempt > 1:
                attempt = max(attempt - self._returned.count(self._lane, told.sequence), 1)
            traceparent = header(headers, b"traceparent")
            self._hand(Arrival(self, reply, payload, attempt, told.sequence, told.time, traceparent))
            return
        if self._sid is None or status_of(headers) == HEARTBEAT:
            return
        missing = lapsed(headers)
        if missing is None:
            self._end()
        else:
            self.waiting = max(self.waiting - missing, 0)
            self._hand(None)

    def _listen(self) -> None:
        self._heard = False
        self._quiet = asyncio.get_running_loop().call_later(2.5 * HEARTBEAT_SECONDS, self._listened)

    def _listened(self) -> None:
        self._quiet = None
        if self.waiting <= 0:
            return
        if self._heard:
            self._listen()
        else:
            self._end()

    def _end(self) -> None:
        if self._sid is not None:
            self.close()
            self._ended()


def _subjects(lane: Lane) -> list[str]:
    number = "*" if lane.partition is None else str(lane.partition)
    redriven = f"{REDRIVEN_PREFIX}.{escaped(lane.subscription)}.{number}"
    types = sorted({type_token(type_) for type_ in lane.types})
    if not types or len(types) > MOST_FILTERS:
        return [f"{EVENTS_PREFIX}.{number}.*", redriven]
    return [*(f"{EVENTS_PREFIX}.{number}.{token}" for token in types), redriven]


def _metadata(info: dict[str, Any]) -> dict[str, str]:
    return info["config"].get("metadata") or {}


def _state(info: dict[str, Any]) -> LaneState:
    told = _metadata(info)
    return LaneState(
        name=info["name"],
        subscription=told.get("ontomesh-subscription", ""),
        generation=told.get("ontomesh-generation", ""),
        pending=int(info["num_pending"]),
        outstanding=int(info["num_ack_pending"]),
        redelivering=int(info["num_redelivered"]),
        acknowledged=int(info["ack_floor"]["stream_seq"]),
        created=microseconds(info["created"]),
    )
