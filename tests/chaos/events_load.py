"""Load for a world of events: committers, publishers and readers that go on whatever is killed, and note what they saw."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count

import grpc

from ontomesh.events.v1 import cloud_event_pb2, consume_service_pb2, error_reason_pb2
from ontomesh.events.v1.publish_service_pb2 import PublishResult
from ontomesh.sdk.errors import OntomeshError
from ontomesh.sdk.mesh import AsyncMesh
from tests.chaos.events_checker import STREAM, Arrival, Commit, Facts, Published, commit_name, direct_name
from tests.events.stubs import Consumer, Events, attribute, event

DATABASE = "chaos"
TYPE = "chaos.tick"
SCHEMA = [
    {
        "@type": "Class",
        "@id": "Part",
        "@key": {"@type": "Lexical", "@fields": ["name"]},
        "name": "xsd:string",
        "value": "xsd:integer",
    }
]
PARTS = 2
BATCH = 3
COMMIT_PAUSE = 0.03
PUBLISH_PAUSE = 0.05
RETRY_PAUSE = 0.1
_CALL_FAULTS = (grpc.aio.AioRpcError, asyncio.InvalidStateError, EOFError)

Record = Callable[[Sequence[consume_service_pb2.Delivery]], None]


@dataclass
class Load:
    """What the tasks share."""

    facts: Facts
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    refusals: Counter[str] = field(default_factory=Counter)
    """How often a call failed, by what it said: for the reader of a failed test, and to see a full spool."""

    async def commit(self, mesh: AsyncMesh, branch: str) -> None:
        """Commits documents that belong together on a branch, again and again."""
        value = 0
        while not self.stop.is_set():
            value += 1
            try:
                await self._commit_once(mesh, branch, value)
            except OntomeshError as error:
                await self._refused(type(error).__name__)
            await asyncio.sleep(COMMIT_PAUSE)

    async def fork_and_merge(self, mesh: AsyncMesh, branch: str) -> None:
        """Forks a branch, commits on the fork and merges it back, again and again."""
        database = mesh.database(DATABASE)
        for number in count():
            if self.stop.is_set():
                return
            side = f"side{number}"
            try:
                await database.create_branch(side, start=branch)
                self.facts.history[side] = []
                documents = await self._commit_once(mesh, side, number)
                merged = await database.merge(side, into=branch)
            except OntomeshError as error:
                await self._refused(type(error).__name__)
                continue
            assert merged.commit is not None
            self.facts.commits.append(Commit(branch, merged.commit.id, documents))
            await asyncio.sleep(5 * COMMIT_PAUSE)

    async def publish(self, key: str, gateways: Sequence[tuple[str, str]], token: str, *, strict: bool) -> None:
        """Publishes numbered events of a key; goes on from the first that no gateway took.

        A strict publisher wants them STORED and goes to another gateway when one fails; others take SPOOLED and stay,
        since each gateway's spool keeps its own order. `gateways` are names with addresses.
        """
        turn, number = 0, 0
        while not self.stop.is_set():
            name, address = gateways[turn % len(gateways)]
            events = Events(address, token)
            try:
                while not self.stop.is_set():
                    sent = [_tick(key, number + step) for step in range(BATCH)]
                    results = await events.publish(sent, require_stored=strict)
                    taken = self._taken(key, number, name, results)
                    number += taken
                    if taken < BATCH:
                        await self._refused(error_reason_pb2.ErrorReason.Name(results[taken].error.reason))
                        if strict:
                            break
                    await asyncio.sleep(PUBLISH_PAUSE)
            except grpc.aio.AioRpcError as error:
                await self._refused(str(error.code()))
            finally:
                await events.close()
            turn += 1

    async def consume(self, gateways: Sequence[str], token: str, subscription: str, name: str) -> None:
        """Consumes and notes what comes, until it is cancelled."""
        found = self.facts.arrivals[subscription]

        def record(deliveries: Sequence[consume_service_pb2.Delivery]) -> None:
            found.extend(arrival_of(one.event, one.sequence, one.attempt, name) for one in deliveries)

        await consume_forever(gateways, token, subscription, name, record, self.refusals)

    async def stream(self, gateways: Sequence[str], token: str) -> None:
        """Reads the plain stream, and begins again after the last event it got, until it is cancelled."""
        found = self.facts.arrivals[STREAM]
        for turn in count():
            events = Events(gateways[turn % len(gateways)], token)
            try:
                async for one in events.stream(first=found[-1].sequence + 1 if found else 1):
                    found.append(arrival_of(one.event, one.sequence))
            except grpc.aio.AioRpcError as error:
                await self._refused(f"Subscribe: {error.code()}: {error.details()}")
            finally:
                await events.close()

    async def _commit_once(self, mesh: AsyncMesh, branch: str, value: int) -> frozenset[str]:
        names = [f"{branch}-{part}" for part in range(PARTS)]
        parts = [{"@type": "Part", "name": name, "value": value} for name in names]
        made = await mesh.database(DATABASE).commit(put=parts, branch=branch)
        documents = frozenset(f"Part/{name}" for name in names)
        self.facts.commits.append(Commit(branch, made.commit.id, documents))
        return documents

    def _taken(self, key: str, first: int, gateway: str, results: Sequence[PublishResult]) -> int:
        for place, result in enumerate(results):
            assert result.outcome not in (PublishResult.OUTCOME_REFUSED, PublishResult.OUTCOME_DEAD_LETTERED), result
            if result.outcome == PublishResult.OUTCOME_FAILED:
                return place
            spooled = result.outcome == PublishResult.OUTCOME_SPOOLED
            self.facts.published.append(Published(key, first + place, gateway, spooled))
        return len(results)

    async def _refused(self, what: str) -> None:
        self.refusals[what] += 1
        await asyncio.sleep(RETRY_PAUSE)


async def consume_forever(
    gateways: Sequence[str], token: str, subscription: str, name: str, record: Record, refusals: Counter[str]
) -> None:
    """Consumes at one gateway after another; what comes is recorded before it is acknowledged."""
    for turn in count(sum(name.encode())):
        events = Events(gateways[turn % len(gateways)], token)
        try:
            consumer = Consumer(events, subscription, name=name)
            await consumer.attach()
            while True:
                deliveries = await consumer.read()
                record(deliveries)
                await consumer.ack(deliveries)
        except _CALL_FAULTS as error:
            said = f"{error.code()}: {error.details()}" if isinstance(error, grpc.aio.AioRpcError) else repr(error)
            refusals[f"Consume: {said}"] += 1
            await asyncio.sleep(RETRY_PAUSE)
        finally:
            await events.close()


def arrival_of(one: cloud_event_pb2.CloudEvent, sequence: int, attempt: int = 1, consumer: str = "") -> Arrival:
    """An event that came."""
    at = time.monotonic_ns()
    if one.type == TYPE:
        key, number = attribute(one, "partitionkey"), int(one.id.rpartition("-")[2])
        return Arrival(direct_name(key, number), sequence, attempt, key=key, number=number, at=at, consumer=consumer)
    branch, commit, document = attribute(one, "branch"), attribute(one, "commit"), attribute(one, "subject")
    name = commit_name(branch, commit, document)
    return Arrival(name, sequence, attempt, branch=branch, commit=commit, document=document, at=at, consumer=consumer)


def _tick(key: str, number: int) -> cloud_event_pb2.CloudEvent:
    return event(f"{key}-{number}", TYPE, f"/chaos/{key}", data={"number": number, "pad": "x" * 500}, partitionkey=key)
