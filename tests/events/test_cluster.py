"""The three-node configuration of deploy/nats: publishing goes on when nodes die, and nothing STORED is lost."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc.aio
import nats.errors
import pytest
from nats.js.errors import APIError

from ontomesh.events.v1 import (
    cloud_event_pb2,
    publish_service_pb2,
    publish_service_pb2_grpc,
)
from tests.events.cluster import POLL_SECONDS, Cluster, running_cluster
from tests.events.serving import ServingGateway, serving_gateway

pytestmark = pytest.mark.timeout(240)

STREAM = "ONTOMESH_EVENTS"
SOURCE = "/cluster"
BATCH = 20
MORE = 300
SECONDS = 90

Result = publish_service_pb2.PublishResult
TAKEN = (Result.OUTCOME_STORED, Result.OUTCOME_DUPLICATE)


@dataclass
class Publishing:
    """Publishes events one batch after another, those that failed again, as a publisher with a log of its own does."""

    gateway: ServingGateway
    channel: grpc.aio.Channel
    stored: list[str] = field(default_factory=list)
    failures: int = 0
    _more: asyncio.Condition = field(default_factory=asyncio.Condition)
    _running: asyncio.Future[None] | None = None

    def start(self) -> None:
        """Begins."""
        self._running = asyncio.ensure_future(self._run())

    async def stop(self) -> None:
        """Ends; `stored` changes no more."""
        assert self._running is not None
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)

    async def _run(self) -> None:
        stub = publish_service_pb2_grpc.PublishServiceStub(self.channel)
        metadata = (("authorization", f"Bearer {self.gateway.token()}"),)
        while True:
            ids = [str(len(self.stored) + index) for index in range(BATCH)]
            request = publish_service_pb2.PublishRequest(events=[_event(name) for name in ids], require_stored=True)
            try:
                answer = await stub.Publish(request, timeout=30, metadata=metadata)
            except grpc.aio.AioRpcError:
                self.failures += 1
                continue
            taken = [result.outcome in TAKEN for result in answer.results]
            self.failures += not all(taken)
            async with self._more:
                self.stored += ids[: taken.index(False)] if False in taken else ids
                self._more.notify_all()

    async def further(self, count: int) -> None:
        """Waits until so many more were stored."""
        wanted = len(self.stored) + count
        async with asyncio.timeout(SECONDS), self._more:
            await self._more.wait_for(lambda: len(self.stored) >= wanted)


def _event(name: str) -> cloud_event_pb2.CloudEvent:
    event = cloud_event_pb2.CloudEvent(id=name, source=SOURCE, type="cluster.tried", text_data=f'"{name}"')
    event.attributes["partitionkey"].ce_string = "one"
    return event


@contextlib.asynccontextmanager
async def publishing(cluster: Cluster, home: Path) -> AsyncIterator[Publishing]:
    async with (
        serving_gateway(home, cluster.broker, **cluster.settings) as gateway,
        grpc.aio.insecure_channel(gateway.grpc) as channel,
    ):
        publisher = Publishing(gateway, channel)
        publisher.start()
        try:
            yield publisher
        finally:
            await publisher.stop()


async def held(cluster: Cluster, last: str) -> list[str]:
    """The ids of the events in the stream, in its order, as far as the last that was stored."""
    found: list[str] = []
    async with asyncio.timeout(SECONDS), cluster.connected() as client:
        stream = client.jetstream(timeout=2)
        while last not in found[-BATCH:]:
            try:
                # Without a consumer: the nodes may still be choosing who makes one.
                message = await stream.get_msg(STREAM, seq=len(found) + 1, direct=True)
            except (nats.errors.Error, APIError):
                await asyncio.sleep(POLL_SECONDS)
                continue
            assert message.data is not None
            found.append(cloud_event_pb2.CloudEvent.FromString(message.data).id)
        return found


async def test_publishing_goes_on_when_nodes_are_killed_and_nothing_stored_is_lost(tmp_path: Path) -> None:
    async with running_cluster(tmp_path / "nats") as cluster, publishing(cluster, tmp_path / "home") as publisher:
        await publisher.further(MORE)
        leader = (await cluster.led(STREAM)).leader
        assert leader is not None
        killed = cluster.node(leader)
        killed.kill()
        await publisher.further(MORE)

        killed.start()
        leader = (await cluster.led(STREAM)).leader
        follower = next(node for node in cluster.nodes if node.name != leader)
        follower.kill()
        await publisher.further(MORE)

        follower.start()
        await cluster.led(STREAM)
        await publisher.further(MORE)
        await publisher.stop()
        found = await held(cluster, publisher.stored[-1])
    assert set(publisher.stored) <= set(found)
    assert found == [str(number) for number in range(len(found))], "one order, and no doubles within the window"
