"""What remote validators and functions answer is a verdict or a failure, never anything else."""

import asyncio
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import orjson
import pytest
from aiohttp import web
from sdk.tests.client.test_tls import Authority

from ontomesh.kernel.v1 import commit_validator_pb2
from ontomesh_chassis.outbound import OutboundFilter
from ontomesh_data_kernel.adapters.validators import ValidatorChecks
from ontomesh_data_kernel.adapters.validators.python import MAX_CALLS, PythonChecks
from ontomesh_data_kernel.domain.validators.changed_paths import MAX_PATH, changed_paths
from ontomesh_data_kernel.domain.validators.model import (
    Cause,
    CheckFailed,
    GrpcCheck,
    HttpsCheck,
    Proposal,
    ProposedChange,
    PythonCheck,
    Validator,
)
from tests.contract.validating import find_in

PROPOSAL = Proposal("attempt", "d", "main", "user:ana", "user:ana", "", {}, "head", [])
METHOD = "/ontomesh.kernel.v1.CommitValidator/Validate"


def calling(function: Callable[[Any], Any]) -> PythonChecks:
    return PythonChecks(find_in({"f": function}))


async def test_a_call_that_is_given_up_just_as_it_returns_holds_no_place() -> None:
    checks = calling(lambda proposal: None)
    for _ in range(2 * MAX_CALLS):
        judging = asyncio.create_task(checks.judge("v", PythonCheck("f"), [PROPOSAL]))
        while not ((waited := getattr(judging, "_fut_waiter", None)) is not None and waited.done()):  # noqa: ASYNC110
            await asyncio.sleep(0)
        judging.cancel()
        with pytest.raises(asyncio.CancelledError):
            await judging
    assert await checks.judge("v", PythonCheck("f"), [PROPOSAL]) == []


class Speechless(Exception):
    """An error that cannot be put in words."""

    def __str__(self) -> str:
        raise ValueError("no words")


async def test_an_error_without_words_is_a_failure_as_any_other() -> None:
    def fail(proposal: Any) -> None:
        raise Speechless

    checks = calling(fail)
    for _ in range(2 * MAX_CALLS):
        with pytest.raises(CheckFailed, match="Speechless"):
            async with asyncio.timeout(5):
                await checks.judge("v", PythonCheck("f"), [PROPOSAL])


@pytest.mark.parametrize(
    ("before", "after", "paths"),
    [
        (b'{"a":{"@type":"X","c":1}}', b'{"a":{"@type":"Y","c":1}}', ("a",)),
        (b'{"a":{"@type":"X","c":1}}', b'{"a":{"@type":"Y","c":2}}', ("a.c",)),
        (b'{"a":{"@id":"X","c":{"d":1}}}', b'{"a":{"@id":"Y","c":{"d":1}}}', ("a",)),
        (b'{"j":{"a.b":1,"a":{"b":2}}}', b'{"j":{"a.b":3,"a":{"b":2}}}', ("j.a.b",)),
        (b'{"a":{"b":1}}', b'{"a":[1]}', ("a", "a.b")),
        (b'{"a":{"b":1,"c":{}}}', b'{"c":1}', ("a.b", "a.c", "c")),
        (b'{"@id":"T/1","a":{"@type":"X","b":[1]}}', b'{"@id":"T/1","a":{"@type":"X","b":[1]}}', ()),
        (None, b'{"@type":"T","a":{"@type":"X","b":1},"c":{"@type":"X"}}', ("a.b", "c")),
    ],
)
def test_no_difference_is_without_a_path(before: bytes | None, after: bytes, paths: tuple[str, ...]) -> None:
    assert changed_paths(before, after) == paths


def test_paths_are_not_many_times_what_they_tell_of() -> None:
    parts = ",".join(f'"{number}":1' for number in range(2_000))
    body = b'{"j":{"%s":{%s}}}' % (b"k" * 20_000, parts.encode())
    assert sum(map(len, changed_paths(None, body))) < len(body)
    deep = b'{"j":' + b'{"kkkkkkkkkkkkkkkkkkkkkkkkkkkkkk":' * 40 + b"1" + b"}" * 41
    (path,) = changed_paths(None, deep)
    assert MAX_PATH < len(path) < MAX_PATH + 40


def test_of_very_many_paths_a_validator_is_shown_where_they_begin() -> None:
    def body(value: int) -> bytes:
        return orjson.dumps({"@type": "T", "j": {f"{'k' * 200}{number}": value for number in range(2_000)}, "n": value})

    change = ProposedChange("T/1", ("T",), body(1), body(2), ("1", "2"))
    assert (change.paths, len(change.touched)) == (("j", "n"), 2_001)


def generic(answer: Callable[[bytes, Any], Any], method: str = METHOD) -> grpc.GenericRpcHandler:
    service, _, name = method[1:].partition("/")
    return grpc.method_handlers_generic_handler(service, {name: grpc.unary_unary_rpc_method_handler(answer)})


@asynccontextmanager
async def serving_grpc(
    handler: grpc.GenericRpcHandler, credentials: grpc.ServerCredentials | None = None
) -> AsyncIterator[int]:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((handler,))
    port = (
        server.add_secure_port("127.0.0.1:0", credentials) if credentials else server.add_insecure_port("127.0.0.1:0")
    )
    await server.start()
    try:
        yield port
    finally:
        await server.stop(0)


async def asked(check: GrpcCheck | HttpsCheck, seconds: float = 5, pieces: Sequence[Proposal] = (PROPOSAL,)) -> Any:
    """What comes of asking: the objections, or the failure."""
    checks = ValidatorChecks(OutboundFilter.parse("127.0.0.0/8,validator.test,other.test"))
    try:
        return list(await checks.judge(Validator("v", check), pieces, seconds))
    except CheckFailed as failure:
        return failure
    finally:
        await checks.close()


async def empty(request: bytes, context: Any) -> bytes:
    return b""


async def garbage(request: bytes, context: Any) -> bytes:
    return b"\xff\xfe garbage"


async def no_text(request: bytes, context: Any) -> bytes:
    return b"\x0a\x04\x1a\x02\xff\xfe"  # a violation whose description is no UTF-8


async def huge(request: bytes, context: Any) -> bytes:
    one = commit_validator_pb2.ValidatorViolation(description="x" * 2_000_000)
    return commit_validator_pb2.ValidateResponse(violations=[one]).SerializeToString()


async def long(request: bytes, context: Any) -> bytes:
    one = commit_validator_pb2.ValidatorViolation(description="\N{EURO SIGN}" * 2_000, id="not/there", path="x" * 5_000)
    return commit_validator_pb2.ValidateResponse(violations=[one]).SerializeToString()


@pytest.mark.parametrize(
    ("answer", "method", "cause"),
    [
        (empty, METHOD + "It", "UNIMPLEMENTED"),
        (garbage, METHOD, "its answer is no ValidateResponse"),
        (no_text, METHOD, "its answer is no ValidateResponse"),
        (huge, METHOD, "RESOURCE_EXHAUSTED"),
    ],
)
async def test_an_answer_by_grpc_that_is_none_is_a_failure(answer: Any, method: str, cause: str) -> None:
    async with serving_grpc(generic(answer, method)) as port:
        failure = await asked(GrpcCheck(f"127.0.0.1:{port}", plaintext=True))
    assert isinstance(failure, CheckFailed)
    assert (failure.cause, failure.detail.partition(":")[0]) == (Cause.ERROR, cause)


async def test_objections_are_cut_to_their_limits() -> None:
    async with serving_grpc(generic(long)) as port:
        (objection,) = await asked(GrpcCheck(f"127.0.0.1:{port}", plaintext=True))
    assert (len(objection.description.encode()), objection.id, len(objection.path)) == (1_023, "not/there", 1_024)


async def test_what_speaks_no_grpc_is_a_failure() -> None:
    async def hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(hello, "127.0.0.1", 0)
    async with server:
        failure = await asked(GrpcCheck(f"127.0.0.1:{server.sockets[0].getsockname()[1]}", plaintext=True), 2)
    assert isinstance(failure, CheckFailed)


async def dripping(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" ")
        await asyncio.sleep(0.01)


def answering(text: bytes, status: int = 200, content_type: str = "application/json") -> Any:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=text, status=status, content_type=content_type)

    return answer


@asynccontextmanager
async def serving_http(answer: Any, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    app = web.Application()
    app.router.add_post("/", answer)
    runner = web.AppRunner(app, shutdown_timeout=0, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (answering(b"[]"), Cause.ERROR),
        (answering(b' ""'), Cause.ERROR),
        (answering(b"null"), Cause.ERROR),
        (answering(b""), Cause.ERROR),
        (answering(b"\xff{}"), Cause.ERROR),
        (answering(b'{"a"' * 5_000), Cause.ERROR),
        (answering(b"[" * 50_000), Cause.ERROR),
        (answering(b'{"violations":[{"id":"\\ud800"}]}'), Cause.ERROR),
        (answering(b"", 204), Cause.ERROR),
        (answering(b"{}", 202), Cause.ERROR),
        (answering(b"{}", 500), Cause.ERROR),
        (dripping, Cause.DEADLINE),
    ],
)
async def test_an_answer_by_http_that_is_none_is_a_failure(answer: Any, cause: Cause) -> None:
    async with serving_http(answer) as port:
        failure = await asked(HttpsCheck(f"http://127.0.0.1:{port}/"), 0.5)
    assert isinstance(failure, CheckFailed)
    assert failure.cause is cause


async def test_an_endpoint_that_is_content_says_so_by_an_empty_object() -> None:
    async with serving_http(answering(b" {}\n", content_type="text/plain")) as port:
        assert await asked(HttpsCheck(f"http://127.0.0.1:{port}/")) == []


async def ask_over_tls(folder: Path) -> None:
    """Asks validators by gRPC and HTTPS under a name that is theirs, their address, and another name."""
    socket.getaddrinfo = lambda host, port, **_: [(socket.AF_INET, 0, 0, "", ("127.0.0.1", port))]
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    credentials = grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    async with serving_grpc(generic(empty), credentials) as by_grpc, serving_http(answering(b"{}"), context) as by_http:
        for host in ("validator.test", "127.0.0.1", "other.test"):
            for check in (GrpcCheck(f"{host}:{by_grpc}"), HttpsCheck(f"https://{host}:{by_http}/")):
                outcome = await asked(check, 10)
                assert isinstance(outcome, CheckFailed) if host == "other.test" else outcome == [], (check, outcome)


def test_remote_validators_are_trusted_by_the_systems_authorities_under_their_own_name(tmp_path: Path) -> None:
    authority = Authority()
    key, certificate = authority.issue("validator.test")
    for name, pem in (("authority", authority.pem), ("key", key), ("certificate", certificate)):
        (tmp_path / f"{name}.pem").write_bytes(pem)
    environment = {
        **os.environ,
        "SSL_CERT_FILE": str(tmp_path / "authority.pem"),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    ran = subprocess.run(
        [sys.executable, __file__, str(tmp_path)],
        check=False,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr


if __name__ == "__main__":
    asyncio.run(ask_over_tls(Path(sys.argv[1])))
