"""The spans of deliveries."""

from opentelemetry import trace as otel
from opentelemetry.trace import NonRecordingSpan, SpanKind

from ontomesh_chassis.trace import parse_traceparent, traceparent_of
from ontomesh_event_gateway.domain.model import Event

_tracer = otel.get_tracer(__name__)


def deliver_span(traceparent: str, subscription: str, event: Event) -> str:
    """Makes a delivery's span under the one that the event came with, if that is sampled; returns its `traceparent`."""
    parent = parse_traceparent(traceparent)
    if parent is None:
        return ""
    if not parent.sampled:
        return traceparent
    span = _tracer.start_span(
        "deliver",
        otel.set_span_in_context(NonRecordingSpan(parent.context())),
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
    return traceparent_of(span)
