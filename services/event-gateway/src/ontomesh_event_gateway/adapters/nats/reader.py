"""Reading a stream in its order, as fast as the reader takes it, without acknowledgements."""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import uuid4

import orjson

from ontomesh_event_gateway.adapters.nats.connection import Connection
from ontomesh_event_gateway.adapters.nats.messages import HEARTBEAT, delivered, lapsed, status_of
from ontomesh_event_gateway.errors import BrokerUnavailable

BATCH = 256
BATCH_BYTES = 4 << 20
EXPIRES_SECONDS = 30.0
HEARTBEAT_SECONDS = 5.0
INACTIVE_SECONDS = 60.0
_NANO = 10**9


class Read(NamedTuple):
    """A message in its order."""

    subject: bytes
    sequence: int
    time: int
    headers: bytes
    payload: bytes
    pending: int


class Reader:
    """One reading, from its opening until something comes between: then it raises BrokerUnavailable, and whoever reads
    opens another behind the last sequence it got.
    """

    def __init__(self, connection: Connection, stream: str, subjects: Sequence[str]) -> None:
        self._connection = connection
        self._stream = stream
        self._subjects = list(subjects)
        self._inbox = f"_INBOX.{uuid4().hex}"
        self._consumer = ""
        self._sid: int | None = None
        self._arrived: list[Read] = []
        self._asked = 0
        self._number = 0
        self._fault = ""
        self._wake = asyncio.Event()

    async def open(self, start: int | None) -> int:
        """Begins at a sequence, or with the last message of each subject for None; returns how many there are now.

        Raises BrokerUnavailable.
        """
        begin: dict[str, Any] = (
            {"deliver_policy": "last_per_subject"}
            if start is None
            else {"deliver_policy": "by_start_sequence", "opt_start_seq": max(start, 1)}
        )
        config = begin | {
            "ack_policy": "none",
            "filter_subjects": self._subjects,
            "inactive_threshold": int(INACTIVE_SECONDS * _NANO),
            "mem_storage": True,
            "num_replicas": 1,
        }
        made = await self._connection.api(
            f"CONSUMER.CREATE.{self._stream}", {"stream_name": self._stream, "config": config}
        )
        self._consumer = made["name"]
        self._connection.on_disconnect(self._lost)
        self._sid = self._connection.subscribe(self._inbox, self._take)
        return int(made.get("num_pending", 0))

    async def next(self) -> list[Read]:
        """What has come, at least one. Raises BrokerUnavailable."""
        while not self._arrived:
            if self._fault:
                raise BrokerUnavailable(self._fault)
            if self._asked <= 0:
                self._ask()
            self._wake.clear()
            try:
                async with asyncio.timeout(3 * HEARTBEAT_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                self._fault = f"the broker has gone quiet on {self._stream}"
        arrived, self._arrived = self._arrived, []
        if self._asked < BATCH // 2 and not self._fault:
            self._ask()
        return arrived

    async def close(self) -> None:
        """Ends it; the broker forgets it by itself where it cannot be told."""
        self._connection.forget_disconnect(self._lost)
        if self._sid is not None:
            self._connection.unsubscribe(self._sid)
            self._sid = None
        if self._consumer and self._connection.available:
            try:
                await self._connection.api(f"CONSUMER.DELETE.{self._stream}.{self._consumer}")
            except BrokerUnavailable:
                return

    def _ask(self) -> None:
        body = orjson.dumps(
            {
                "batch": BATCH,
                "max_bytes": BATCH_BYTES,
                "expires": int(EXPIRES_SECONDS * _NANO),
                "idle_heartbeat": int(HEARTBEAT_SECONDS * _NANO),
            }
        )
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._consumer}"
        self._connection.send(b"PUB %b %b %d\r\n%b\r\n" % (subject.encode(), self._inbox.encode(), len(body), body))
        self._asked += BATCH

    def _take(self, subject: bytes, reply: bytes, headers: bytes, payload: bytes) -> None:
        status = status_of(headers)
        if not status:
            told = delivered(reply)
            if told.number != self._number + 1:
                self._fault = f"the broker left something out on {self._stream}"
            elif not self._fault:
                self._number = told.number
                self._asked -= 1
                self._arrived.append(Read(subject, told.sequence, told.time, headers, payload, told.pending))
        elif status != HEARTBEAT:
            missing = lapsed(headers)
            if missing is None:
                self._fault = f"the broker ended reading {self._stream}: status {status}"
            else:
                self._asked = max(self._asked - missing, 0)
        self._wake.set()

    def _lost(self) -> None:
        self._sid = None
        self._fault = "the connection to the broker was lost"
        self._wake.set()
