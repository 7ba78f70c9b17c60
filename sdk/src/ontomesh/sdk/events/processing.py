"""The span of an event's handling: `process <type>`, below the hop that brought the event, or else its origin."""

from contextvars import Token as ContextToken

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from ontomesh.sdk.events.event import Event
from ontomesh.sdk.tracing import Tracing

_TRACE_CONTEXT = TraceContextTextMapPropagator()

Token = ContextToken[Context]


class Processing:
    """Begins and ends such spans, for the consumers of one subscription."""

    def __init__(self, tracing: Tracing, subscription: str) -> None:
        self._tracing = tracing
        self._subscription = subscription

    def begin(self, event: Event, traceparent: str, attempt: int) -> tuple[Span, Token] | None:
        """The span, current from now on; None if the application records none."""
        tracer = self._tracing.recording_tracer()
        if tracer is None:
            return None
        parent, hop = _extracted(traceparent)
        beginning, origin = _extracted(event.attributes.get("traceparent"))
        if not hop.is_valid:
            # Without tracing at the gateway there is no hop.
            parent, hop = beginning, origin
        # The trace in which the event began is another one where somebody redrove or replayed it.
        links = [Link(origin)] if origin.is_valid and origin.trace_id != hop.trace_id else []
        span = tracer.start_span(
            f"process {event.type}",
            parent,
            SpanKind.CONSUMER,
            {
                "messaging.system": "ontomesh",
                "messaging.operation.name": "process",
                "messaging.operation.type": "process",
                "messaging.destination.subscription.name": self._subscription,
                "messaging.message.id": event.id,
                "cloudevents.event_id": event.id,
                "cloudevents.event_source": event.source,
                "cloudevents.event_type": event.type,
                "ontomesh.attempt": attempt,
            },
            links,
        )
        return span, contexts.attach(trace.set_span_in_context(span, parent))

    def end(self, span: Span, token: Token, error: BaseException | None) -> None:
        """Ends the span with its outcome."""
        contexts.detach(token)
        if error is not None:
            span.set_attribute("error.type", type(error).__qualname__)
            span.set_status(Status(StatusCode.ERROR, str(error)))
            if isinstance(error, Exception):
                span.record_exception(error)
        span.end()


def _extracted(traceparent: object) -> tuple[Context, SpanContext]:
    context = _TRACE_CONTEXT.extract({"traceparent": traceparent if isinstance(traceparent, str) else ""}, Context())
    return context, trace.get_current_span(context).get_span_context()
