import asyncio
import importlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import StatusCode, aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from services.chassis.tests.echo_service import NAME
from services.chassis.tests.running import Running, bearer, taken_apart, until

from ontomesh_chassis.errors import INTERNAL_MESSAGE
from ontomesh_chassis.interceptors import StagedServer, server_options
from ontomesh_chassis.keys import generate_signing_key, mint

TRACE = "0af7651916cd43dd8448eb211c80319c"


async def test_all_four_shapes_of_call_pass_and_are_refused_without_a_token(echo: Running, home: Path) -> None:
    token = bearer(home)
    assert await echo.unary("a", token) == "a"

    async def unasked(shape: str) -> None:
        """Begins a call without a token; nothing is sent, as a stream that is refused while it sends ends anyhow."""
        path = f"/{NAME}/{shape}"
        if shape == "ClientStream":
            await echo.channel.stream_unary(path)()
        elif shape == "BothStream":
            await echo.channel.stream_stream(path)().read()
        else:
            await echo.channel.unary_stream(path)(b"a").read()

    async def ask(shape: str) -> list[str]:
        path = f"/{NAME}/{shape}"
        if shape == "ClientStream":
            return [(await echo.channel.stream_unary(path)(iter([b"a", b"b"]), metadata=token)).decode()]
        if shape == "BothStream":
            call = echo.channel.stream_stream(path)(iter([b"a", b"b"]), metadata=token)
            return [answer.decode() async for answer in call]
        return [answer.decode() async for answer in echo.channel.unary_stream(path)(b"a", metadata=token)]

    expected = {
        "ServerStream": ["0 a", "1 a", "2 a"],
        "WritingStream": ["0 a", "1 a", "2 a"],
        "ClientStream": ["a,b"],
        "BothStream": ["a", "b"],
    }
    for shape, answers in expected.items():
        assert await ask(shape) == answers
        with pytest.raises(aio.AioRpcError) as refused:
            await unasked(shape)
        assert taken_apart(refused.value).reason == "TOKEN_MISSING"


async def test_a_call_has_its_context(echo: Running, home: Path) -> None:
    metadata = (
        *bearer(home),
        ("traceparent", f"00-{TRACE}-b7ad6b7169203331-00"),
        ("x-request-id", "r" * 200),
        ("x-ontomesh-branch", "dev"),
    )
    assert await echo.unary("whoami", metadata) == f"user:ana {TRACE} {'r' * 128} dev"


async def test_the_trace_id_comes_back_in_the_trailers(echo: Running, home: Path) -> None:
    call = echo.channel.unary_unary(f"/{NAME}/Unary")(
        b"a", metadata=(*bearer(home), ("traceparent", f"00-{TRACE}-b7ad6b7169203331-00"))
    )
    await call
    assert ("x-ontomesh-trace-id", TRACE) in [tuple(pair) for pair in await call.trailing_metadata()]


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("none", "TOKEN_MISSING"),
        ("malformed", "TOKEN_INVALID"),
        ("unknown key", "TOKEN_INVALID"),
        ("audience", "TOKEN_INVALID"),
        ("expired", "TOKEN_EXPIRED"),
    ],
)
async def test_a_bad_token_is_refused_on_both_doors_and_audited(
    echo: Running, home: Path, case: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "ontomesh.audit")
    metadata = {
        "none": (),
        "malformed": (("authorization", "Bearer x"),),
        "unknown key": (("authorization", f"Bearer {mint(generate_signing_key(), 'user:ana')}"),),
        "audience": bearer(home, aud="other"),
        "expired": bearer(home, expires_in=-1),
    }[case]
    refused = await echo.refused("a", metadata)
    assert (refused.code, refused.reason, refused.domain) == (StatusCode.UNAUTHENTICATED, reason, "echo.ontomesh")
    response = await echo.http.get("/v1/echo/a", headers=dict(metadata))
    assert (response.status_code, response.json()["reason"]) == (401, reason)
    assert response.headers["www-authenticate"] == "Bearer"
    records = [record.__dict__["fields"] for record in caplog.records if record.name == "ontomesh.audit"]
    assert [(record["event"], record["method"]) for record in records] == [
        ("token_rejected", f"{NAME}/Unary"),
        ("token_rejected", "GET unmatched"),
    ]
    assert records[0]["trace_id"] == refused.metadata["trace_id"]
    assert records[0]["reason"].startswith(reason)


async def test_errors_are_answered_by_the_table(echo: Running, home: Path) -> None:
    token = bearer(home)
    missing = await echo.refused("raise missing", token)
    assert (missing.code, missing.reason, missing.message) == (
        StatusCode.NOT_FOUND,
        "THING_MISSING",
        "There is no thing.",
    )
    assert missing.metadata["name"] == "thing"
    assert (await echo.refused("raise subclass", token)).reason == "THING_MISSING"
    malformed = await echo.refused("raise malformed 2", token)
    assert malformed.violations == [("items[0].name", "is not a name"), ("items[1].name", "is not a name")]
    busy = await echo.refused("raise busy", token)
    assert (busy.code, busy.retry_seconds) == (StatusCode.UNAVAILABLE, 2.5)


async def test_clients_that_retry_are_told_when_not_to(echo: Running, home: Path) -> None:
    policy = {
        "maxAttempts": 4,
        "initialBackoff": "0.01s",
        "maxBackoff": "0.01s",
        "backoffMultiplier": 1,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    config = json.dumps({"methodConfig": [{"name": [{}], "retryPolicy": policy}]})
    async with aio.insecure_channel(echo.addresses.grpc, options=[("grpc.service_config", config)]) as channel:
        unary: Any = channel.unary_unary(f"/{NAME}/Unary")
        tries = []
        for what in ("busy", "spent"):
            echo.echo.busy = 0
            with pytest.raises(aio.AioRpcError) as refused:
                await unary(f"raise {what}".encode(), metadata=bearer(home))
            assert taken_apart(refused.value).reason == "THING_BUSY"
            tries.append(echo.echo.busy)
    assert tries == [4, 1]


async def test_more_violations_than_fit_a_trailer_are_counted(echo: Running, home: Path) -> None:
    refused = await echo.refused("raise malformed 1000", bearer(home))
    assert 0 < len(refused.violations) < 1000
    assert int(refused.metadata["violations_omitted"]) == 1000 - len(refused.violations)


async def test_what_no_table_knows_is_internal_and_logged_with_its_trace_id(
    echo: Running, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    refused = await echo.refused("raise other", bearer(home))
    assert (refused.code, refused.reason, refused.message) == (StatusCode.INTERNAL, "INTERNAL", INTERNAL_MESSAGE)
    logged = next(record for record in caplog.records if record.exc_info)
    assert logged.exc_info is not None
    assert "the secret is 42" in str(logged.exc_info[1])


async def test_a_request_that_cannot_be_read_is_refused_after_the_token_was_checked(echo: Running, home: Path) -> None:
    call = echo.channel.unary_unary(f"/{NAME}/Unary")
    for metadata, reason in (((), "TOKEN_MISSING"), (bearer(home), "INVALID_REQUEST")):
        with pytest.raises(aio.AioRpcError) as refused:
            await call(b"\xff", metadata=metadata)
        assert taken_apart(refused.value).reason == reason


async def test_an_oversize_request_is_refused_with_its_limit(echo: Running, home: Path) -> None:
    refused = await echo.refused("a" * 100_001, bearer(home))
    assert (refused.code, refused.reason) == (StatusCode.RESOURCE_EXHAUSTED, "TOO_LARGE")
    assert (refused.metadata["limit"], refused.metadata["size"]) == ("100000", "100001")
    with pytest.raises(aio.AioRpcError) as cut:
        await echo.unary("a" * 200_000, bearer(home))
    assert cut.value.code() is StatusCode.RESOURCE_EXHAUSTED


async def test_an_oversize_answer_is_refused_with_its_limit(echo: Running, home: Path) -> None:
    call = echo.channel.unary_stream(f"/{NAME}/ServerStream")(b"a" * 99_999, metadata=bearer(home))
    with pytest.raises(aio.AioRpcError) as refused:
        _ = [answer async for answer in call]
    assert taken_apart(refused.value).reason == "TOO_LARGE"


async def test_a_missing_right_is_refused_and_a_refused_write_audited(
    echo: Running, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "ontomesh.audit")
    token = bearer(home, "user:bob", rights=["read:catalog"])
    assert await echo.unary("require read catalog main", token)
    assert (await echo.refused("require read other main", token)).reason == "PERMISSION_DENIED"
    refused = await echo.refused("require write catalog main", token)
    assert refused.code is StatusCode.PERMISSION_DENIED
    place = {"principal": "user:bob", "right": "write", "database": "catalog", "branch": "main"}
    assert refused.metadata == {**place, "trace_id": refused.metadata["trace_id"]}
    records = [record.__dict__["fields"] for record in caplog.records if record.name == "ontomesh.audit"]
    assert records == [
        {
            "event": "write_refused",
            "reason": "PERMISSION_DENIED",
            "method": f"{NAME}/Unary",
            "trace_id": refused.metadata["trace_id"],
            **place,
        }
    ]


async def test_only_who_may_act_for_others_names_another_author(
    echo: Running, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "ontomesh.audit")
    named = ("x-ontomesh-author", "user:eve")
    assert await echo.unary("author", bearer(home, "user:bob", rights=["write"])) == "user:bob"
    refused = await echo.refused("author", (*bearer(home, "user:bob", rights=["write"]), named))
    assert (refused.code, refused.reason) == (StatusCode.PERMISSION_DENIED, "FORGED_AUTHOR")
    assert await echo.unary("author", (*bearer(home, "service:relay", rights=["act"]), named)) == "user:eve"
    records = [record.__dict__["fields"] for record in caplog.records if record.name == "ontomesh.audit"]
    assert [(record["event"], record["principal"]) for record in records] == [
        ("write_refused", "user:bob"),
        ("acted_for_other", "service:relay"),
    ]


@pytest.mark.parametrize("end", ["deadline", "cancel"])
async def test_a_call_that_its_caller_ends_is_cancelled_and_no_error_of_the_server(
    echo: Running, home: Path, end: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "ontomesh.access")
    call = echo.channel.unary_unary(f"/{NAME}/Unary")(
        b"wait", metadata=bearer(home), timeout=0.2 if end == "deadline" else 10
    )
    await asyncio.wait_for(echo.echo.arrived.wait(), 5)
    if end == "cancel":
        call.cancel()
    await asyncio.wait_for(echo.echo.cancelled.wait(), 5)
    await until(lambda: bool(caplog.records))
    code = "DEADLINE_EXCEEDED" if end == "deadline" else "CANCELLED"
    assert [(record.levelname, record.__dict__["fields"]["code"]) for record in caplog.records] == [("INFO", code)]
    assert echo.pipeline.in_flight == 0


async def test_a_stream_whose_caller_leaves_is_no_error_of_the_server(
    echo: Running, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "ontomesh.access")

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"a" * 1000

    call = echo.channel.stream_stream(f"/{NAME}/BothStream")(endless(), metadata=bearer(home))
    assert await call.read()
    call.cancel()
    await until(lambda: bool(caplog.records) and not echo.pipeline.in_flight)
    assert [(record.levelname, record.__dict__["fields"]["code"]) for record in caplog.records] == [
        ("INFO", "CANCELLED")
    ]


async def test_health_and_reflection_need_no_token(echo: Running) -> None:
    health: Any = health_pb2_grpc.HealthStub(echo.channel)
    for service in ("", NAME):
        answer = await health.Check(health_pb2.HealthCheckRequest(service=service))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    with pytest.raises(aio.AioRpcError) as refused:
        await health.Check(health_pb2.HealthCheckRequest(service="nothing"))
    assert refused.value.code() is StatusCode.NOT_FOUND
    reflection: Any = reflection_pb2_grpc.ServerReflectionStub(echo.channel)
    call = reflection.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
    names = {service.name async for answer in call for service in answer.list_services_response.service}
    assert names == {NAME, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}


async def test_a_health_watcher_sees_changes_and_ends_when_the_service_drains(echo: Running) -> None:
    ready = True

    async def check() -> None:
        if not ready:
            raise RuntimeError("away")

    echo.health.add_check("store", check)
    stub: Any = health_pb2_grpc.HealthStub(echo.channel)
    statuses = aiter(stub.Watch(health_pb2.HealthCheckRequest()))
    assert (await anext(statuses)).status == health_pb2.HealthCheckResponse.SERVING
    ready = False
    assert (await anext(statuses)).status == health_pb2.HealthCheckResponse.NOT_SERVING
    ready = True
    assert (await anext(statuses)).status == health_pb2.HealthCheckResponse.SERVING
    begun = time.monotonic()
    echo.stop.request("test")
    assert (await anext(statuses)).status == health_pb2.HealthCheckResponse.NOT_SERVING
    assert await echo.task == 0
    assert time.monotonic() - begun < 3


async def test_a_handler_that_would_block_the_loop_is_refused_at_registration(echo: Running) -> None:
    handler: Any = grpc.unary_unary_rpc_method_handler(lambda request, _context: request)
    with pytest.raises(TypeError, match="neither a coroutine function"):
        StagedServer(aio.server(), echo.pipeline).add_registered_method_handlers(NAME, {"Sync": handler})


def test_the_core_knows_the_names_of_the_servers_options() -> None:
    """It passes over others: a server with a wrong one sent clients away that pinged during long calls."""
    core = Path(str(importlib.import_module("grpc._cython.cygrpc").__file__)).read_bytes()
    assert [name for name, _ in server_options(1 << 20) if name.encode() + b"\0" not in core] == []
