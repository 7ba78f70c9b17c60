"""Trace ids, server spans and child spans.

A call whose parent is unsampled makes no span object at all: only its trace id is kept, for logs, commits and
errors. Incoming contexts are read after W3C Trace Context, strictly: what does not parse counts as absent.
"""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from opentelemetry import context as otel_context
from opentelemetry import trace as otel
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, TraceFlags, Tracer, TraceState
from opentelemetry.util.types import AttributeValue

from ontomesh_chassis.current import adopt_trace_id, current_trace_id
from ontomesh_chassis.settings import ServiceSettings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

__all__ = [
    "Tracing",
    "adopt_trace_id",
    "child_span",
    "current_span_id",
    "current_trace_id",
    "parse_traceparent",
    "setup_tracing",
    "traceparent_of",
]

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_SAMPLED = 1
FLUSH_SECONDS = 3.0


class Parent(NamedTuple):
    """A caller's span, as its `traceparent` names it."""

    trace_id: str
    span_id: str
    sampled: bool

    def context(self, tracestate: str | None = None) -> SpanContext:
        """The span as OpenTelemetry has it, to begin others under."""
        return SpanContext(
            int(self.trace_id, 16),
            int(self.span_id, 16),
            is_remote=True,
            trace_flags=TraceFlags(TraceFlags.SAMPLED if self.sampled else TraceFlags.DEFAULT),
            trace_state=TraceState.from_header([tracestate]) if tracestate else None,
        )


def traceparent_of(span: Span) -> str:
    """The `traceparent` header that names a span."""
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def parse_traceparent(header: str | None) -> Parent | None:
    """The parent that a `traceparent` header names, or None where there is none or it is malformed.

    Of versions above 00 the fields known to version 00 are read (W3C Trace Context, section 3.2.2).
    """
    found = _TRACEPARENT.fullmatch(header) if header else None
    if found is None:
        return None
    version, trace_id, span_id, flags, rest = found.groups()
    if version == "ff" or (version == "00" and rest is not None):
        return None
    if trace_id == "0" * 32 or span_id == "0" * 16:
        return None
    return Parent(trace_id, span_id, bool(int(flags, 16) & _SAMPLED))


def fresh_trace_id() -> str:
    """A random trace id of 32 hex digits, never all zeros."""
    return f"{random.getrandbits(128) or 1:032x}"


class Tracing:
    """Where a service's spans go; without a provider there are none."""

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._provider = provider
        self._tracer: Tracer | None = None if provider is None else provider.get_tracer("ontomesh_chassis")

    def start(self, name: str, headers: Mapping[str, str], attributes: Mapping[str, AttributeValue]) -> ServerSpan:
        """The trace id of an incoming call, and its server span if it has one. Call `ServerSpan.end` when done."""
        parent = parse_traceparent(headers.get("traceparent"))
        if parent is not None and (not parent.sampled or self._tracer is None):
            return ServerSpan(parent.trace_id, None)
        if self._tracer is None:
            return ServerSpan(fresh_trace_id(), None)
        base = otel_context.Context() if parent is None else _remote_context(parent, headers.get("tracestate"))
        span = self._tracer.start_span(name, base, SpanKind.SERVER, attributes)
        trace_id = f"{span.get_span_context().trace_id:032x}"
        if not span.is_recording():
            return ServerSpan(trace_id, None)
        otel_context.attach(otel.set_span_in_context(span, base))
        return ServerSpan(trace_id, span)

    def shutdown(self) -> None:
        """Sends the spans that wait and stops exporting; gives up after three seconds."""
        if self._provider is not None:
            # The SDK has no limit of its own here: a collector that is away would hold up the end for long.
            flushing = threading.Thread(target=self._provider.shutdown, daemon=True)
            flushing.start()
            flushing.join(FLUSH_SECONDS)


class ServerSpan(NamedTuple):
    """What tracing knows of one incoming call."""

    trace_id: str
    span: Span | None


def _remote_context(parent: Parent, tracestate: str | None) -> otel_context.Context:
    return otel.set_span_in_context(NonRecordingSpan(parent.context(tracestate)), otel_context.Context())


def current_span_id() -> str:
    """The id of the current span (16 hex digits); empty unless it is recorded."""
    span = otel.get_current_span()
    return f"{span.get_span_context().span_id:016x}" if span.is_recording() else ""


def setup_tracing(service_name: str, settings: ServiceSettings) -> Tracing:
    """Exports spans over OTLP/gRPC when the settings name an endpoint; otherwise there is no provider.

    The provider becomes the process' global one unless the application has set its own before.
    """
    if settings.otlp_endpoint is None:
        return Tracing()
    # Imported here: the SDK and the exporter cost 40 MB and 170 ms that a service without an endpoint saves.
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(settings.trace_sample_ratio)),
        resource=Resource.create({"service.name": service_name}),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=settings.otlp_endpoint)))
    if isinstance(otel.get_tracer_provider(), otel.ProxyTracerProvider):
        otel.set_tracer_provider(provider)
    return Tracing(provider)


_NO_SPAN: AbstractContextManager[Span] = nullcontext(otel.INVALID_SPAN)


def child_span(tracer_name: str, name: str, /, **attributes: AttributeValue) -> AbstractContextManager[Span]:
    """A CLIENT span under the current one for a `with` block; none, at next to no cost, when that is not recorded.

    Attribute names with dots are passed as `**{"db.system.name": "sqlite"}`. An exception that leaves the block
    is recorded and marks the span as failed.
    """
    if not otel.get_current_span().is_recording():
        return _NO_SPAN
    tracer = _tracer(otel.get_tracer_provider(), tracer_name)
    return tracer.start_as_current_span(name, kind=SpanKind.CLIENT, attributes=attributes)


@lru_cache(maxsize=64)
def _tracer(provider: otel.TracerProvider, name: str) -> Tracer:
    return provider.get_tracer(name)
