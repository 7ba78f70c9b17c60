from pathlib import Path

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode, TraceFlags
from sdk.tests.client.kernel import Kernel, refusal

from ontomesh.kernel.v1 import commit_service_pb2
from ontomesh.sdk import connect
from ontomesh.sdk.errors import DocumentNotFound


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter: InMemorySpanExporter) -> TracerProvider:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider


async def get(kernel: Kernel, provider: trace.TracerProvider) -> dict[str, str]:
    async with connect(kernel.address, tracer_provider=provider) as mesh:
        await mesh.database("catalog").get("Package/a")
    return kernel.seen[-1].metadata


def only(exporter: InMemorySpanExporter) -> ReadableSpan:
    (span,) = exporter.get_finished_spans()
    return span


async def test_a_call_is_a_client_span_whose_context_it_sends(
    kernel: Kernel, home: Path, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    with provider.get_tracer("test").start_as_current_span("parent") as parent:
        metadata = await get(kernel, provider)
    span = exporter.get_finished_spans()[0]
    assert span.name == "ontomesh.kernel.v1.DocumentService/GetDocument"
    assert span.kind is SpanKind.CLIENT
    assert span.parent is not None
    assert span.parent.span_id == parent.get_span_context().span_id
    assert span.attributes == {
        "rpc.system": "grpc",
        "rpc.service": "ontomesh.kernel.v1.DocumentService",
        "rpc.method": "GetDocument",
        "rpc.grpc.status_code": 0,
        "server.address": kernel.address,
    }
    version, trace_id, span_id, flags = metadata["traceparent"].split("-")
    assert (version, int(trace_id, 16), int(span_id, 16)) == ("00", span.context.trace_id, span.context.span_id)
    assert int(flags, 16) & TraceFlags.SAMPLED


async def test_a_refused_call_is_a_span_with_its_reason(
    kernel: Kernel, home: Path, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    kernel.failures["GetDocument"] = [refusal("NOT_FOUND", "DOCUMENT_NOT_FOUND")]
    with pytest.raises(DocumentNotFound):
        await get(kernel, provider)
    span = only(exporter)
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes is not None
    assert span.attributes["error.type"] == "DOCUMENT_NOT_FOUND"
    assert span.attributes["rpc.grpc.status_code"] == 5


async def test_a_stream_is_one_span_from_its_start_to_its_end(
    kernel: Kernel, home: Path, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    reports = [commit_service_pb2.VerifyHistoryResponse(commits=1), commit_service_pb2.VerifyHistoryResponse(done=True)]
    kernel.answers["VerifyHistory"] = lambda request, call: iter(reports)
    async with connect(kernel.address, tracer_provider=provider) as mesh:
        assert [report.done async for report in mesh.database("catalog").verify()] == [False, True]
    assert only(exporter).name == "ontomesh.kernel.v1.CommitService/VerifyHistory"


async def test_under_an_unsampled_parent_there_is_no_span_and_the_decision_is_passed_on(
    kernel: Kernel, home: Path, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    parent = SpanContext(0xABC, 0xDEF, is_remote=True, trace_flags=TraceFlags(0))
    token = context.attach(trace.set_span_in_context(NonRecordingSpan(parent)))
    try:
        metadata = await get(kernel, provider)
    finally:
        context.detach(token)
    assert exporter.get_finished_spans() == ()
    assert metadata["traceparent"] == f"00-{0xABC:032x}-{0xDEF:016x}-00"


async def test_a_root_that_the_sampler_drops_is_sent_as_unsampled(kernel: Kernel, home: Path) -> None:
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    flags = (await get(kernel, provider))["traceparent"].rpartition("-")[2]
    assert not int(flags, 16) & TraceFlags.SAMPLED


async def test_tracestate_and_baggage_travel_along(kernel: Kernel, home: Path, provider: TracerProvider) -> None:
    state = trace.TraceState([("vendor", "x")])
    parent = SpanContext(0xABC, 0xDEF, is_remote=True, trace_flags=TraceFlags(1), trace_state=state)
    inner = baggage.set_baggage("tenant", "blue", trace.set_span_in_context(NonRecordingSpan(parent)))
    token = context.attach(inner)
    try:
        metadata = await get(kernel, provider)
    finally:
        context.detach(token)
    assert metadata["tracestate"] == "vendor=x"
    assert metadata["baggage"] == "tenant=blue"
    assert metadata["traceparent"].startswith(f"00-{0xABC:032x}-")


async def test_an_application_that_does_not_trace_sends_baggage_but_no_trace(kernel: Kernel, home: Path) -> None:
    token = context.attach(baggage.set_baggage("tenant", "blue"))
    try:
        metadata = await get(kernel, trace.NoOpTracerProvider())
    finally:
        context.detach(token)
    assert "traceparent" not in metadata
    assert metadata["baggage"] == "tenant=blue"
