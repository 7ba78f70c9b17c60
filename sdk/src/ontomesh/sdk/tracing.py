"""W3C trace context of calls: a client span where the application traces, nothing where it does not."""

from dataclasses import dataclass

import grpc
from opentelemetry import baggage, propagate, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context, get_current
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer

from ontomesh.sdk.errors import OntomeshError

_SCOPE = "ontomesh.sdk"
_BAGGAGE = W3CBaggagePropagator()


@dataclass(frozen=True, slots=True)
class Method:
    """A method as spans name it, such as `ontomesh.kernel.v1.DocumentService/GetDocument`."""

    name: str
    attributes: dict[str, str]

    @classmethod
    def of(cls, path: str, address: str) -> "Method":
        """The method of a path such as `/ontomesh.kernel.v1.DocumentService/GetDocument`."""
        name = path.removeprefix("/")
        service, _, method = name.partition("/")
        attributes = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": method, "server.address": address}
        return cls(name, attributes)


class Tracing:
    """Starts and ends the span of each call, and writes its context into the call's metadata."""

    __slots__ = ("_given", "_provider", "_tracer")

    def __init__(self, given: trace.TracerProvider | None = None) -> None:
        self._given = given
        self._provider: trace.TracerProvider | None = None
        self._tracer: Tracer | None = None

    def start(self, method: Method, metadata: list[tuple[str, str | bytes]]) -> Span | None:
        """Appends the W3C headers; returns the call's span, or None if the application records none here."""
        context = get_current()
        tracer = self.recording_tracer()
        if tracer is None:
            if context and baggage.get_all(context):
                _inject(_BAGGAGE, context, metadata)
            return None
        parent = trace.get_current_span(context).get_span_context()
        if parent.is_valid and not parent.trace_flags.sampled:
            # The decision not to sample was made upstream: passing it on is all that is left to do.
            _inject(propagate.get_global_textmap(), context, metadata)
            return None
        span = tracer.start_span(method.name, context, SpanKind.CLIENT, method.attributes)
        _inject(propagate.get_global_textmap(), trace.set_span_in_context(span, context), metadata)
        return span

    def recording_tracer(self) -> Tracer | None:
        """The tracer, or None if the application records no spans."""
        # Asked each time: the application may configure tracing after it has connected.
        provider = self._given or trace.get_tracer_provider()
        if provider is not self._provider:
            silent = isinstance(provider, trace.ProxyTracerProvider | trace.NoOpTracerProvider)
            self._tracer = None if silent else provider.get_tracer(_SCOPE)
            self._provider = provider
        return self._tracer


def end(span: Span, error: OntomeshError | None = None, code: grpc.StatusCode = grpc.StatusCode.OK) -> None:
    """Ends a call's span with its outcome."""
    if error is not None:
        code = error.code
        span.set_attribute("error.type", error.reason or code.name)
        span.set_status(Status(StatusCode.ERROR, error.message))
    span.set_attribute("rpc.grpc.status_code", code.value[0])
    span.end()


def _inject(propagator: TextMapPropagator, context: Context, metadata: list[tuple[str, str | bytes]]) -> None:
    carrier: dict[str, str] = {}
    propagator.inject(carrier, context)
    metadata.extend(carrier.items())
