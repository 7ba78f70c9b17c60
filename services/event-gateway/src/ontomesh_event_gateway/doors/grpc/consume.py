"""Receiving events."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
from grpc import aio

from ontomesh.events.v1 import consume_service_pb2 as pb
from ontomesh_chassis.errors import Draining
from ontomesh_event_gateway.domain.consuming import Consuming
from ontomesh_event_gateway.domain.member import Member
from ontomesh_event_gateway.domain.pump import Pump
from ontomesh_event_gateway.domain.subscribing import Subscribing
from ontomesh_event_gateway.doors import convert_subscriptions as convert
from ontomesh_event_gateway.doors.caller import caller_now
from ontomesh_event_gateway.doors.frames import consume_response, portions, subscribe_response
from ontomesh_event_gateway.errors import InvalidRequest

MAX_ERROR_BYTES = 1_024
MAX_DELAY = 24 * 3_600 * 1_000_000
_SERVICE = "ontomesh.events.v1.ConsumeService"


class ConsumeServicer:
    """`ConsumeService` over the domain; responses are written as bytes."""

    def __init__(self, consuming: Consuming, subscribing: Subscribing, draining: asyncio.Event) -> None:
        self._consuming = consuming
        self._subscribing = subscribing
        self._draining = draining

    async def consume(self, requests: AsyncIterator[pb.ConsumeRequest], context: aio.ServicerContext[Any, Any]) -> None:
        """See the contract."""
        requests = aiter(requests)
        first = await anext(requests, None)
        if first is None or first.WhichOneof("request") != "start":
            raise InvalidRequest.at("start", "is not the first request")
        start = first.start
        attached = self._consuming.attached(caller_now(), start.subscription, start.credit, start.consumer)
        async with attached as (pump, member):
            await context.write(b"")
            await _first_of(self._draining, _listen(requests, pump, member), _send(member, pump, context))

    async def subscribe(self, request: pb.SubscribeRequest, context: aio.ServicerContext[Any, Any]) -> None:
        """See the contract."""
        filter_, start = convert.filter_(request.filter), convert.start(request.start, "start")
        async with self._subscribing.streaming(caller_now(), filter_, start) as batches:
            await context.write(b"")

            async def send() -> None:
                async for batch in batches:
                    for portion in portions(batch):
                        await context.write(subscribe_response(portion))

            await _first_of(self._draining, send())


async def _listen(requests: AsyncIterator[pb.ConsumeRequest], pump: Pump, member: Member) -> None:
    """Does what the consumer says, until it says no more."""
    async for request in requests:
        match request.WhichOneof("request"):
            case "ack":
                pump.ack(member, request.ack.deliveries)
            case "credit":
                pump.grant(member, request.credit.events)
            case "nak":
                delay = convert.span(request.nak.delay, "nak.delay")
                if not 0 <= delay <= MAX_DELAY:
                    raise InvalidRequest.at("nak.delay", "is from 0 s to 24 h")
                pump.nak(member, request.nak.delivery, delay, _error(request.nak.error, "nak.error"))
            case "in_progress":
                pump.progress(member, request.in_progress.deliveries)
            case "reject":
                pump.reject(member, request.reject.delivery, _error(request.reject.error, "reject.error"))
            case "start":
                raise InvalidRequest.at("start", "comes but once, first")
            case None:
                raise InvalidRequest.at("request", "is missing")


async def _send(member: Member, pump: Pump, context: aio.ServicerContext[Any, Any]) -> None:
    while True:
        await context.write(consume_response(await member.next()))
        pump.sent()


async def _first_of(draining: asyncio.Event, *works: Any) -> None:
    """Does works until one of them is done or fails, or the service drains. Raises what it raised, Draining."""
    stopping = asyncio.ensure_future(draining.wait())
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait({stopping, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task in done:
                task.result()
                return
        raise Draining
    finally:
        for task in (stopping, *tasks):
            task.cancel()
        await asyncio.gather(stopping, *tasks, return_exceptions=True)


def _error(text: str, field: str) -> str:
    if len(text.encode()) > MAX_ERROR_BYTES:
        raise InvalidRequest.at(field, f"is longer than {MAX_ERROR_BYTES:,} bytes")
    return text


def add_consume_service(servicer: ConsumeServicer, server: Any) -> None:
    """Registers the service, as the generated function would, but for responses that are bytes already."""
    server.add_registered_method_handlers(
        _SERVICE,
        {
            "Consume": grpc.stream_stream_rpc_method_handler(
                servicer.consume, request_deserializer=pb.ConsumeRequest.FromString
            ),
            "Subscribe": grpc.unary_stream_rpc_method_handler(
                servicer.subscribe, request_deserializer=pb.SubscribeRequest.FromString
            ),
        },
    )
