"""A caller of the gateway by its bare contract: publishing, subscriptions, and consumers that do as they are told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.rpc import error_details_pb2, status_pb2

from ontomesh.events.v1 import (
    cloud_event_pb2,
    consume_service_pb2,
    consume_service_pb2_grpc,
    dead_letter_service_pb2_grpc,
    event_type_service_pb2_grpc,
    publish_service_pb2,
    publish_service_pb2_grpc,
    subscription_pb2,
    subscription_service_pb2,
    subscription_service_pb2_grpc,
)
from tests.events.serving import OWNER, ServingGateway

WAIT_SECONDS = 20.0
CREDIT = 1_000


class Caller:
    """One principal's stubs."""

    def __init__(self, channel: grpc.aio.Channel, token: str) -> None:
        self.metadata = (("authorization", f"Bearer {token}"),)
        self.publishing = publish_service_pb2_grpc.PublishServiceStub(channel)
        self.subscriptions = subscription_service_pb2_grpc.SubscriptionServiceStub(channel)
        self.consuming = consume_service_pb2_grpc.ConsumeServiceStub(channel)
        self.dead_letters = dead_letter_service_pb2_grpc.DeadLetterServiceStub(channel)
        self.types = event_type_service_pb2_grpc.EventTypeServiceStub(channel)

    async def call(self, method: Any, request: Any) -> Any:
        """A unary call."""
        return await method(request, metadata=self.metadata, timeout=WAIT_SECONDS)

    async def publish(self, *events: cloud_event_pb2.CloudEvent) -> list[int]:
        """Publishes events, which must be stored, and returns their sequences."""
        answer = await self.call(
            self.publishing.Publish, publish_service_pb2.PublishRequest(events=events, require_stored=True)
        )
        stored = publish_service_pb2.PublishResult.OUTCOME_STORED
        assert all(one.outcome == stored for one in answer.results), answer
        return [one.sequence for one in answer.results]

    async def create(self, name: str, seconds: float = 30, **fields: Any) -> subscription_pb2.Subscription:
        """Creates a subscription with an ack deadline."""
        deadline = Duration()
        deadline.FromMilliseconds(round(1000 * seconds))
        asked = subscription_pb2.Subscription(name=name, ack_deadline=deadline, **fields)
        request = subscription_service_pb2.CreateSubscriptionRequest(subscription=asked)
        answer: subscription_service_pb2.CreateSubscriptionResponse = await self.call(
            self.subscriptions.CreateSubscription, request
        )
        return answer.subscription

    async def update(self, name: str, mask: Iterable[str], **fields: Any) -> subscription_pb2.Subscription:
        """Changes fields of a subscription."""
        request = subscription_service_pb2.UpdateSubscriptionRequest(
            subscription=subscription_pb2.Subscription(name=name, **fields), update_mask=FieldMask(paths=mask)
        )
        answer: subscription_service_pb2.UpdateSubscriptionResponse = await self.call(
            self.subscriptions.UpdateSubscription, request
        )
        return answer.subscription

    async def status(self, name: str) -> subscription_service_pb2.GetSubscriptionStatusResponse:
        """How far a subscription has come."""
        request = subscription_service_pb2.GetSubscriptionStatusRequest(name=name)
        answer: subscription_service_pb2.GetSubscriptionStatusResponse = await self.call(
            self.subscriptions.GetSubscriptionStatus, request
        )
        return answer

    @asynccontextmanager
    async def consumer(self, subscription: str, credit: int = CREDIT, name: str = "") -> AsyncIterator["Consumer"]:
        """An attached consumer for a block."""
        consumer = Consumer(self.consuming.Consume(metadata=self.metadata))
        await consumer.say(
            start=consume_service_pb2.ConsumeStart(subscription=subscription, credit=credit, consumer=name)
        )
        first = await asyncio.wait_for(consumer.stream.read(), WAIT_SECONDS)
        assert not first.deliveries
        consumer.begin()
        try:
            yield consumer
        finally:
            await consumer.close()

    @asynccontextmanager
    async def subscribed(self, **request: Any) -> AsyncIterator[Any]:
        """A plain stream for a block, attached."""
        stream: Any = self.consuming.Subscribe(consume_service_pb2.SubscribeRequest(**request), metadata=self.metadata)
        first = await asyncio.wait_for(stream.read(), WAIT_SECONDS)
        assert not first.events
        try:
            yield stream
        finally:
            stream.cancel()


class Consumer:
    """A consumer's stream."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.arrived: list[consume_service_pb2.Delivery] = []
        self._news = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Begins to read."""
        self._reading = asyncio.create_task(self._read())

    async def say(self, **request: Any) -> None:
        """Sends a request."""
        await self.stream.write(consume_service_pb2.ConsumeRequest(**request))

    async def ack(self, *deliveries: consume_service_pb2.Delivery) -> None:
        """Acknowledges deliveries."""
        await self.say(ack=consume_service_pb2.ConsumeAck(deliveries=[one.number for one in deliveries]))

    async def nak(self, delivery: consume_service_pb2.Delivery, seconds: float = 0, error: str = "") -> None:
        """Wants a delivery again."""
        delay = Duration()
        delay.FromMilliseconds(round(1000 * seconds))
        await self.say(nak=consume_service_pb2.ConsumeNak(delivery=delivery.number, delay=delay, error=error))

    async def progress(self, *deliveries: consume_service_pb2.Delivery) -> None:
        """Needs more time."""
        numbers = [one.number for one in deliveries]
        await self.say(in_progress=consume_service_pb2.ConsumeInProgress(deliveries=numbers))

    async def reject(self, delivery: consume_service_pb2.Delivery, error: str = "") -> None:
        """Never wants a delivery again."""
        await self.say(reject=consume_service_pb2.ConsumeReject(delivery=delivery.number, error=error))

    async def grant(self, events: int) -> None:
        """Grants credit."""
        await self.say(credit=consume_service_pb2.ConsumeCredit(events=events))

    async def until(
        self, holds: Callable[[list[consume_service_pb2.Delivery]], bool], seconds: float = WAIT_SECONDS
    ) -> list[consume_service_pb2.Delivery]:
        """What has arrived, once a condition of it holds."""
        async with asyncio.timeout(seconds):
            while not holds(self.arrived):
                self._news.clear()
                if self._reading is not None and self._reading.done():
                    self._reading.result()
                    raise AssertionError(f"the stream has ended: {await self.stream.code()}")
                await self._news.wait()
        return self.arrived

    async def take(self, count: int, seconds: float = WAIT_SECONDS) -> list[consume_service_pb2.Delivery]:
        """The next deliveries, once there are so many."""
        await self.until(lambda arrived: len(arrived) >= count, seconds)
        taken, self.arrived[:count] = self.arrived[:count], []
        return taken

    async def ended(self) -> None:
        """Waits for the stream's end and raises what it ended with."""
        if self._reading is not None:
            await asyncio.wait_for(asyncio.wait({self._reading}), WAIT_SECONDS)
        if await self.stream.code() is not grpc.StatusCode.OK:
            await self.stream.read()

    async def close(self) -> None:
        """Ends the stream at once."""
        self.stream.cancel()
        if self._reading is not None:
            await asyncio.wait({self._reading})

    async def _read(self) -> None:
        try:
            while (response := await self.stream.read()) is not grpc.aio.EOF:
                self.arrived.extend(response.deliveries)
                self._news.set()
        except (grpc.aio.AioRpcError, asyncio.CancelledError):
            return
        finally:
            self._news.set()


@asynccontextmanager
async def calling(
    gateway: ServingGateway, principal: str = OWNER, rights: list[str] | None = None
) -> AsyncIterator[Caller]:
    """A principal's caller for a block."""
    async with grpc.aio.insecure_channel(gateway.grpc) as channel:
        yield Caller(channel, gateway.token(principal, rights))


async def eventually(holds: Callable[[], Awaitable[bool]], seconds: float = WAIT_SECONDS) -> None:
    """Asks until what a gateway answers holds."""
    async with asyncio.timeout(seconds):
        while not await holds():  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.02)


async def published(caller: Caller, id_: str) -> None:
    """Publishes an event as soon as the broker takes it."""

    async def is_stored() -> bool:
        request = publish_service_pb2.PublishRequest(events=[event(id_)], require_stored=True)
        answer = await caller.call(caller.publishing.Publish, request)
        failed = publish_service_pb2.PublishResult.OUTCOME_FAILED
        return bool(answer.results[0].outcome != failed)

    await eventually(is_stored)


def event(number: int | str, key: str = "", type_: str = "test.made", **attributes: str) -> cloud_event_pb2.CloudEvent:
    """An event."""
    made = cloud_event_pb2.CloudEvent(
        id=str(number), source="/tests", spec_version="1.0", type=type_, text_data=f'{{"number": "{number}"}}'
    )
    if key:
        attributes["partitionkey"] = key
    for name, value in attributes.items():
        made.attributes[name].ce_string = value
    return made


def reason(error: grpc.aio.AioRpcError) -> str:
    """The reason of a refusal."""
    info = error_details_pb2.ErrorInfo()
    return next((info.reason for detail in details(error) if detail.Unpack(info)), "")


def fields_of(error: grpc.aio.AioRpcError) -> list[str]:
    """The fields that a refusal names."""
    request = error_details_pb2.BadRequest()
    return next(
        ([one.field for one in request.field_violations] for detail in details(error) if detail.Unpack(request)), []
    )


def details(error: grpc.aio.AioRpcError) -> Iterable[Any]:
    """What a refusal tells besides its code."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            assert isinstance(value, bytes)
            yield from status_pb2.Status.FromString(value).details
