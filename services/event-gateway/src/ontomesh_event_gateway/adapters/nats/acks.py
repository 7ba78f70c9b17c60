"""Publishing with acks: one inbox for all of them."""

import asyncio
from typing import Any

from nats.aio.msg import Msg

from ontomesh_event_gateway.adapters.nats.connection import Connection, read_answer
from ontomesh_event_gateway.errors import BrokerUnavailable, GatewayError

ACK_SECONDS = 5.0
_STATUS = "Status"


class Acks:
    """Awaits what JetStream answers to what is published.

    An ack that does not come within five seconds, or before the connection is lost, leaves it open whether the events
    are stored.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._inbox = b""
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._count = 0
        connection.on_connect(self._connected)
        connection.on_disconnect(self._disconnected)

    @property
    def max_payload(self) -> int:
        """The largest message that the broker takes, headers included. Raises BrokerUnavailable."""
        return self._connection.client.max_payload

    async def send(self, protocol: bytes, reply: bytes) -> dict[str, Any]:
        """Sends commands, and returns the ack that comes to `reply`. Raises ApiRefused, StreamFull, BrokerUnavailable."""
        token = reply.rpartition(b".")[2].decode()
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[token] = future
        try:
            self._connection.send(protocol)
            async with asyncio.timeout(ACK_SECONDS):
                return await future
        except TimeoutError as error:
            raise BrokerUnavailable(f"the broker has not answered within {ACK_SECONDS:g} s") from error
        finally:
            self._waiting.pop(token, None)

    def reply(self) -> bytes:
        """A subject for the next ack, and unique. Raises BrokerUnavailable."""
        if not self._inbox:
            raise BrokerUnavailable("there is no connection to the broker")
        self._count += 1
        return b"%b.%d" % (self._inbox, self._count)

    async def _connected(self) -> None:
        client = self._connection.client
        inbox = client.new_inbox()
        await client.subscribe(f"{inbox}.*", cb=self._take)
        self._inbox = inbox.encode()

    def _disconnected(self) -> None:
        self._inbox = b""
        for future in self._waiting.values():
            _fail(future, BrokerUnavailable("the connection to the broker was lost before it answered"))

    async def _take(self, message: Msg) -> None:
        future = self._waiting.get(message.subject.rpartition(".")[2])
        if future is None or future.done():
            return
        status = (message.headers or {}).get(_STATUS)
        if status is not None:
            _fail(future, BrokerUnavailable(f"nobody takes events at the broker ({status})"))
            return
        try:
            future.set_result(read_answer(message.data))
        except GatewayError as error:
            _fail(future, error)


def _fail(future: asyncio.Future[dict[str, Any]], error: GatewayError) -> None:
    if not future.done():
        future.set_exception(error)
