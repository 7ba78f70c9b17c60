import signal
import subprocess
import sys
import time
import timeit
from pathlib import Path

import pytest
from grpc import aio
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from services.chassis.tests.collector import collecting
from services.chassis.tests.echo_service import NAME
from services.chassis.tests.running import bearer, process

from ontomesh_chassis.trace import FLUSH_SECONDS, Parent, child_span, parse_traceparent

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("header", "parent"),
    [
        (f"00-{TRACE}-{PARENT}-01", Parent(TRACE, PARENT, True)),
        (f"00-{TRACE}-{PARENT}-00", Parent(TRACE, PARENT, False)),
        (f"00-{TRACE}-{PARENT}-03", Parent(TRACE, PARENT, True)),
        (f"cc-{TRACE}-{PARENT}-01-more", Parent(TRACE, PARENT, True)),
        (f"cc-{TRACE}-{PARENT}-01", Parent(TRACE, PARENT, True)),
        (f"00-{TRACE}-{PARENT}-01-more", None),
        (f"00-{TRACE}-{PARENT}-01-", None),
        (f"cc-{TRACE}-{PARENT}-01more", None),
        (f"ff-{TRACE}-{PARENT}-01", None),
        (f"00-{'0' * 32}-{PARENT}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE.upper()}-{PARENT}-01", None),
        (f"00-{TRACE[1:]}-{PARENT}-01", None),
        (f"00-{TRACE}-{PARENT}-1", None),
        (f" 00-{TRACE}-{PARENT}-01", None),
        (f"00-{TRACE}-{PARENT}-01\n", None),
        ("", None),
        (None, None),
    ],
)
def test_a_traceparent_is_read_strictly(header: str | None, parent: Parent | None) -> None:
    assert parse_traceparent(header) == parent


async def test_the_spans_of_a_call_form_one_chain_and_an_unsampled_call_makes_none(home: Path) -> None:
    async with collecting() as collector:
        async with process(home, OTEL_EXPORTER_OTLP_ENDPOINT=collector.address) as service:
            token = bearer(home)
            sampled = (("traceparent", f"00-{TRACE}-{PARENT}-01"), ("tracestate", "vendor=1"))
            unsampled = (("traceparent", f"00-{'1' * 32}-{PARENT}-00"),)
            assert await service.unary("store", (*token, *sampled)) == "stored"
            assert await service.unary("store", (*token, *unsampled)) == "stored"
            assert (await service.unary("whoami", (*token, *unsampled))).split()[1] == "1" * 32
            response = await service.http.get(
                "/v1/echo/store", headers={**dict(token), "traceparent": f"00-{'2' * 32}-{PARENT}-01"}
            )
            assert response.json()["text"] == "stored"
            await service.refused("raise other", (*token, ("traceparent", f"00-{'3' * 32}-{PARENT}-01")))
            await service.refused("raise missing", (*token, ("traceparent", f"00-{'4' * 32}-{PARENT}-01")))
            root = await service.unary("whoami", token)
            service.signal(signal.SIGTERM)
            assert (await service.ended())[0] == 0

        traces: dict[str, list[Span]] = {}
        for span in collector.spans:
            traces.setdefault(span.trace_id.hex(), []).append(span)
        assert collector.services == {"echo"}
        assert traces.keys() == {TRACE, "2" * 32, "3" * 32, "4" * 32, root.split()[1]}

        for trace, name, first in ((TRACE, f"{NAME}/Unary", 2), ("2" * 32, "GET /v1/echo/{text}", 2)):
            assert len(traces[trace]) == first, [span.name for span in traces[trace]]
            store, server = traces[trace]
            assert (server.name, server.kind, server.parent_span_id.hex()) == (name, Span.SPAN_KIND_SERVER, PARENT)
            assert (store.name, store.kind, store.parent_span_id) == (
                "store get",
                Span.SPAN_KIND_CLIENT,
                server.span_id,
            )
            assert {a.key: a.value.string_value for a in store.attributes} == {"db.system.name": "sqlite"}
        assert traces[TRACE][1].trace_state == "vendor=1"
        assert traces["3" * 32][0].status.code == Status.STATUS_CODE_ERROR
        assert traces["4" * 32][0].status.code == Status.STATUS_CODE_UNSET
        assert traces[root.split()[1]][0].parent_span_id == b""


async def test_the_sampler_of_the_service_decides_where_no_caller_did(home: Path) -> None:
    async with collecting() as collector:
        async with process(home, ONTOMESH_OTLP_ENDPOINT=collector.address, ONTOMESH_TRACE_SAMPLE_RATIO="0") as service:
            assert await service.unary("store", bearer(home)) == "stored"
            sampled = ("traceparent", f"00-{TRACE}-{PARENT}-01")
            assert await service.unary("store", (*bearer(home), sampled)) == "stored"
            service.signal(signal.SIGTERM)
            assert (await service.ended())[0] == 0
        assert {span.trace_id.hex() for span in collector.spans} == {TRACE}


async def test_a_collector_that_is_away_neither_fails_calls_nor_holds_up_the_end(home: Path) -> None:
    gone = aio.server()
    port = gone.add_insecure_port("127.0.0.1:0")
    await gone.stop(None)
    async with process(home, ONTOMESH_OTLP_ENDPOINT=f"http://127.0.0.1:{port}") as service:
        assert await service.unary("store", bearer(home)) == "stored"
        service.signal(signal.SIGTERM)
        begun = time.monotonic()
        assert (await service.ended())[0] == 0
        assert time.monotonic() - begun < FLUSH_SECONDS + 3


def test_a_child_span_costs_next_to_nothing_where_nothing_is_recorded() -> None:
    def spanned() -> None:
        with child_span("test", "name", **{"db.system.name": "sqlite"}):
            pass

    assert min(timeit.repeat(spanned, number=1000, repeat=5)) / 1000 < 20e-6


def test_neither_exporter_nor_span_sdk_is_loaded_without_an_endpoint() -> None:
    program = (
        "import sys, ontomesh_chassis.server, ontomesh_chassis.http, ontomesh_chassis.trace as t\n"
        "from ontomesh_chassis.settings import ServiceSettings\n"
        "t.setup_tracing('x', ServiceSettings())\n"
        "print([m for m in sys.modules if m.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))])"
    )
    found = subprocess.run([sys.executable, "-c", program], env={}, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
