"""Publishing kernel events at the event gateway, over the SDK's calls."""

import asyncio
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import grpc
from opentelemetry import context as otel_context
from opentelemetry import trace as otel
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode

from ontomesh.events.v1 import cloud_event_pb2, publish_service_pb2, publish_service_pb2_grpc
from ontomesh.sdk.breaker import CircuitBreaker
from ontomesh.sdk.call import CallChannel, CallPolicy
from ontomesh.sdk.channel import open_channel
from ontomesh.sdk.config import is_local
from ontomesh.sdk.credentials import Credentials
from ontomesh.sdk.errors import ConfigurationError, OntomeshError
from ontomesh.sdk.tracing import Tracing
from ontomesh_chassis.trace import parse_traceparent
from ontomesh_data_kernel.domain.model import KernelEvent
from ontomesh_data_kernel.ports import Outcome, PublishingFailed

logger = logging.getLogger(__name__)

_KEEPALIVE_SECONDS = 30.0
_STEP = 8
_OUTCOMES = {
    publish_service_pb2.PublishResult.OUTCOME_STORED: Outcome.STORED,
    publish_service_pb2.PublishResult.OUTCOME_DUPLICATE: Outcome.STORED,
    publish_service_pb2.PublishResult.OUTCOME_DEAD_LETTERED: Outcome.DEAD_LETTERED,
}


class GatewayPublisher:
    """Publishes at one gateway, or several behind one target; implements `ports.Publisher`.

    It asks again by itself only as far as gRPC looks for a server: how to go on after a failure is its caller's matter,
    so that there is no circuit breaker either.
    """

    def __init__(self, address: str, token_file: Path) -> None:
        if not is_local(address):
            logger.warning("the relay's token travels to %s in the clear", address)
        credentials = Credentials(address, token=None, file=token_file, must_exist=True, may_send=True)
        policy = CallPolicy(
            address=address,
            credentials=credentials,
            breaker=CircuitBreaker(threshold=sys.maxsize),
            timeout=10.0,
            tracing=Tracing(),
            server=f"the event gateway at {address}",
        )
        self._channel = open_channel(address, tls=None, retries=False, keepalive=_KEEPALIVE_SECONDS, options=())
        channel = cast("grpc.aio.Channel", CallChannel(self._channel, policy))
        self._publish = publish_service_pb2_grpc.PublishServiceStub(channel).Publish

    async def publish(self, events: Sequence[KernelEvent], seconds: float) -> tuple[Sequence[Outcome], str]:
        """See `ports.Publisher`."""
        deadline = time.monotonic() + seconds
        request = publish_service_pb2.PublishRequest(require_stored=True, dead_letter_refused=True)
        for index, event in enumerate(events):
            _write(event, request.events.add())
            if index % _STEP == _STEP - 1:
                await asyncio.sleep(0)
        # Whoever stood still for too long may no longer hold the lease.
        left = deadline - time.monotonic()
        if left <= 0:
            raise PublishingFailed("the time to publish had run out before it began")
        with _spans(events) as noted:
            try:
                answer: publish_service_pb2.PublishResponse = await self._publish(request, timeout=round(left, 1))
            except (OntomeshError, ConfigurationError) as error:
                noted.failed(str(error))
                raise PublishingFailed(str(error)) from error
            outcomes = [_OUTCOMES.get(result.outcome, Outcome.FAILED) for result in answer.results]
            why = next(
                (_reason(one) for one, told in zip(answer.results, outcomes, strict=True) if told is Outcome.FAILED), ""
            )
            if len(outcomes) < len(events) and not why:
                why = f"the event gateway answered for {len(outcomes)} events of {len(events)}"
            if why:
                noted.failed(why)
        return outcomes, why

    async def close(self) -> None:
        """See `ports.Publisher`."""
        await self._channel.close()


def _reason(result: publish_service_pb2.PublishResult) -> str:
    return result.error.message or publish_service_pb2.PublishResult.Outcome.Name(result.outcome)


def _write(event: KernelEvent, message: cloud_event_pb2.CloudEvent) -> None:
    message.id, message.source, message.type = event.id, event.source, event.type
    message.spec_version = "1.0"
    attributes = message.attributes
    for name, value in event.attributes.items():
        attributes[name].ce_string = value
    attributes["subject"].ce_string = event.subject
    attributes["datacontenttype"].ce_string = "application/json"
    stamp = attributes["time"].ce_timestamp
    stamp.seconds, micros = divmod(event.time, 1_000_000)
    stamp.nanos = micros * 1_000
    message.binary_data = event.data


class _Noted:
    """The spans of a batch."""

    def __init__(self, spans: Sequence[Span]) -> None:
        self._spans = spans

    def failed(self, why: str) -> None:
        """Mark them as failed."""
        for span in self._spans:
            span.set_status(Status(StatusCode.ERROR, why))


@contextmanager
def _spans(events: Sequence[KernelEvent]) -> Iterator[_Noted]:
    """A span `relay COMMIT` for each sampled commit of a batch, under that of the commit.

    The call is under the first of them; without any, it goes on with the first commit's trace, unsampled.
    """
    spans = list(_begun(events))
    first = spans[0] if spans else _unsampled(events)
    token = otel_context.attach(otel.set_span_in_context(first, otel_context.Context()))
    try:
        yield _Noted(spans)
    finally:
        otel_context.detach(token)
        for span in spans:
            span.end()


def _begun(events: Sequence[KernelEvent]) -> Iterator[Span]:
    tracer = otel.get_tracer("ontomesh.relay")
    commits = {event.commit: event for event in events if event.is_sampled}
    for commit, event in commits.items():
        parent = _context(event.traceparent)
        if parent is not None:
            around = otel.set_span_in_context(NonRecordingSpan(parent), otel_context.Context())
            yield tracer.start_span(f"relay {commit}", around, SpanKind.PRODUCER)


def _unsampled(events: Sequence[KernelEvent]) -> Span:
    found = next((parent for event in events if (parent := _context(event.traceparent)) is not None), None)
    return NonRecordingSpan(found) if found is not None else otel.INVALID_SPAN


def _context(traceparent: str) -> SpanContext | None:
    parent = parse_traceparent(traceparent)
    return parent.context() if parent is not None else None
