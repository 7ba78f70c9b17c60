"""What a program that uses nats-py itself reaches on the same NATS server."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import nats
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, StorageType, StreamConfig

from tests.events.serving import Nats

OUTSTANDING = 256
_STREAM = "PEER"
_SUBJECT = "peer.events"
_STALL_SECONDS = 30.0


class Peer:
    """One connection of nats-py, with a stream of its own."""

    def __init__(self, context: JetStreamContext) -> None:
        self._context = context

    async def publish(self, payload: bytes, count: int) -> float:
        """Events a second, published with 256 outstanding; each is acknowledged."""
        began = time.perf_counter()
        acks = [await self._context.publish_async(_SUBJECT, payload, wait_stall=_STALL_SECONDS) for _ in range(count)]
        await asyncio.gather(*acks)
        return count / (time.perf_counter() - began)

    async def consume(self, count: int, round_: int) -> float:
        """Events a second, pulled 256 at a time by a new durable consumer, each acknowledged."""
        config = ConsumerConfig(
            ack_policy=AckPolicy.EXPLICIT, deliver_policy=DeliverPolicy.ALL, max_ack_pending=1_000, ack_wait=30
        )
        pulled = await self._context.pull_subscribe(_SUBJECT, f"peer-{round_}", _STREAM, config)
        began = time.perf_counter()
        got = 0
        while got < count:
            for message in await pulled.fetch(min(OUTSTANDING, count - got), timeout=10):
                await message.ack()
                got += 1
        rate = count / (time.perf_counter() - began)
        await pulled.unsubscribe()
        return rate


@asynccontextmanager
async def peer(server: Nats) -> AsyncIterator[Peer]:
    """A peer on the server."""
    connection = await nats.connect(server.url, token=server.token)
    try:
        context = connection.jetstream(publish_async_max_pending=OUTSTANDING)
        await context.add_stream(StreamConfig(name=_STREAM, subjects=[_SUBJECT], storage=StorageType.FILE))
        yield Peer(context)
    finally:
        await connection.close()
