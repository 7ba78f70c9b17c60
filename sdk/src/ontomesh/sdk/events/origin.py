"""The trace in which an event begins; it stays with the event over all hops."""

from opentelemetry.trace import get_current_span

from ontomesh.events.v1 import cloud_event_pb2

TRACEPARENT = "traceparent"


def started(message: cloud_event_pb2.CloudEvent) -> cloud_event_pb2.CloudEvent:
    """The message with the trace that it begins in, unless it bears one already."""
    context = get_current_span().get_span_context()
    if context.is_valid and TRACEPARENT not in message.attributes:
        text = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
        message.attributes[TRACEPARENT].ce_string = text
        if context.trace_state:
            message.attributes["tracestate"].ce_string = context.trace_state.to_header()
    return message
