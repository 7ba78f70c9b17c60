"""The spans of deliveries."""

from opentelemetry import trace as otel
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags

from ontomesh_chassis.trace import parse_traceparent
from ontomesh_event_gateway.domain.model import Event

_tracer = otel.get_tracer(__name__)


def deliver_span(traceparent: str, subscription: str, event: Event) -> str:
    """Makes a delivery's span under the one that the event came with, if that is sampled; returns its `traceparent`."""
    parent = parse_traceparent(traceparent)
    if parent is None:
        return ""
    if not parent.sampled:
        return traceparent
    remote = SpanContext(int(parent.trace_id, 16), int(parent.span_id, 16), True, TraceFlags(TraceFlags.SAMPLED))
    span = _tracer.start_span(
        "deliver",
        otel.set_span_in_context(NonRecordingSpan(remote)),
        SpanKind.CONSUMER,
        {
            "messaging.system": "nats",
            "messaging.destination.subscription.name": subscription,
            "cloudevents.event_id": event.id,
            "cloudevents.event_source": event.source,
            "cloudevents.event_type": event.type,
        },
    )
    span.end()
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
