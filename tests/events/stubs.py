"""Raw stubs of a gateway's gRPC door, and events to send there."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from grpc import aio

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

_LIMITS = [
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.max_send_message_length", 64 << 20),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
]


class Events:
    """The services of one gateway over one channel, with a bearer token and, for the sake of quiet, no trace."""

    def __init__(self, address: str, token: str) -> None:
        self.metadata = (("authorization", f"Bearer {token}"), ("traceparent", f"00-{'ab' * 16}-{'cd' * 8}-00"))
        self.channel = aio.insecure_channel(address, options=_LIMITS)
        self.publishing = publish_service_pb2_grpc.PublishServiceStub(self.channel)
        self.consuming = consume_service_pb2_grpc.ConsumeServiceStub(self.channel)
        self.subscriptions = subscription_service_pb2_grpc.SubscriptionServiceStub(self.channel)
        self.dead_letters = dead_letter_service_pb2_grpc.DeadLetterServiceStub(self.channel)
        self.types = event_type_service_pb2_grpc.EventTypeServiceStub(self.channel)

    async def publish(
        self, events: Sequence[cloud_event_pb2.CloudEvent], *, require_stored: bool = False, timeout: float = 10
    ) -> list[publish_service_pb2.PublishResult]:
        """What became of each event."""
        request = publish_service_pb2.PublishRequest(events=events, require_stored=require_stored)
        answer = await self.publishing.Publish(request, metadata=self.metadata, timeout=timeout)
        return list(answer.results)

    async def create_subscription(self, name: str, **fields: Any) -> None:
        """A subscription, which begins with the stream's oldest event unless `start` says otherwise."""
        fields.setdefault("start", subscription_pb2.StartPoint(all=True))
        made = subscription_pb2.Subscription(name=name, **fields)
        request = subscription_service_pb2.CreateSubscriptionRequest(subscription=made)
        await self.subscriptions.CreateSubscription(request, metadata=self.metadata, timeout=10)

    async def stream(
        self, filter: subscription_pb2.Filter | None = None, first: int = 1
    ) -> AsyncIterator[consume_service_pb2.StreamedEvent]:
        """The plain stream from a sequence on, without end."""
        start = subscription_pb2.StartPoint(sequence=first) if first > 1 else subscription_pb2.StartPoint(all=True)
        request = consume_service_pb2.SubscribeRequest(filter=filter, start=start)
        call = self.consuming.Subscribe(request, metadata=self.metadata)
        try:
            async for answer in call:
                for event in answer.events:
                    yield event
        finally:
            call.cancel()

    async def close(self) -> None:
        """Ends the channel."""
        await self.channel.close()


class Consumer:
    """One consumer's stream: grants as much credit as it gets events, and acknowledges when told."""

    def __init__(self, events: Events, subscription: str, credit: int = 1_000, name: str = "") -> None:
        self._call = events.consuming.Consume(metadata=events.metadata)
        self._start = consume_service_pb2.ConsumeStart(subscription=subscription, credit=credit, consumer=name)

    async def attach(self) -> None:
        """Returns once the gateway says that the consumer is attached."""
        await self._call.write(consume_service_pb2.ConsumeRequest(start=self._start))
        await self.read()

    async def read(self) -> list[consume_service_pb2.Delivery]:
        """The next deliveries. Raises EOFError at the stream's end."""
        answer = await self._call.read()
        if not isinstance(answer, consume_service_pb2.ConsumeResponse):
            raise EOFError
        return list(answer.deliveries)

    async def ack(self, deliveries: Sequence[consume_service_pb2.Delivery]) -> None:
        """Acknowledges, and grants as many anew."""
        numbers = consume_service_pb2.ConsumeAck(deliveries=[each.number for each in deliveries])
        await self._call.write(consume_service_pb2.ConsumeRequest(ack=numbers))
        credit = consume_service_pb2.ConsumeCredit(events=len(deliveries))
        await self._call.write(consume_service_pb2.ConsumeRequest(credit=credit))

    async def nak(self, delivery: consume_service_pb2.Delivery, error: str = "") -> None:
        """Wants one again at once."""
        nak = consume_service_pb2.ConsumeNak(delivery=delivery.number, error=error)
        await self._call.write(consume_service_pb2.ConsumeRequest(nak=nak))

    async def reject(self, delivery: consume_service_pb2.Delivery, error: str = "") -> None:
        """Makes a dead letter of one."""
        reject = consume_service_pb2.ConsumeReject(delivery=delivery.number, error=error)
        await self._call.write(consume_service_pb2.ConsumeRequest(reject=reject))

    async def close(self) -> None:
        """Ends the stream politely: what was acknowledged before is."""
        await self._call.done_writing()
        while await self._call.read() is not aio.EOF:
            pass

    def cancel(self) -> None:
        """Ends the stream at once."""
        self._call.cancel()


def event(
    id: str,
    type: str = "shop.order",
    source: str = "/tests",
    *,
    data: bytes | Mapping[str, Any] = b"{}",
    **attributes: str,
) -> cloud_event_pb2.CloudEvent:
    """An event with JSON data; attributes are texts."""
    body = data if isinstance(data, bytes) else json.dumps(data).encode()
    attributes.setdefault("datacontenttype", "application/json")
    made = cloud_event_pb2.CloudEvent(id=id, source=source, spec_version="1.0", type=type, binary_data=body)
    for name, value in attributes.items():
        made.attributes[name].ce_string = value
    return made


def attribute(event: cloud_event_pb2.CloudEvent, name: str) -> str:
    """The text of an attribute, empty if there is none."""
    return event.attributes[name].ce_string if name in event.attributes else ""
