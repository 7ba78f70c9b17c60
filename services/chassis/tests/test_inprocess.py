import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from grpc import StatusCode, aio
from services.chassis.tests.echo_service import ERRORS, NAME, Echo, add_echo
from services.chassis.tests.running import taken_apart, until

from ontomesh_chassis.errors import ErrorTable
from ontomesh_chassis.inprocess import LocalChannel, LocalServer, OwnProcess
from ontomesh_chassis.interceptors import StagedServer
from ontomesh_chassis.stages import Pipeline


class Local:
    """An echo service in this process and a channel to it; counts how often it was opened and closed."""

    def __init__(self) -> None:
        self.echo = Echo()
        self.opened = self.closed = 0
        self.channel = LocalChannel(self._open, self._close)

    async def _open(self) -> LocalServer:
        self.opened += 1
        server = LocalServer()
        add_echo(self.echo, StagedServer(server, Pipeline(OwnProcess("user:ana"), ErrorTable("echo.ontomesh", ERRORS))))
        return server

    async def _close(self) -> None:
        self.closed += 1

    async def unary(self, text: str, **options: Any) -> str:
        answer: bytes = await self.channel.unary_unary(f"/{NAME}/Unary")(text.encode(), **options)
        return answer.decode()


@pytest.fixture
async def local() -> AsyncIterator[Local]:
    made = Local()
    yield made
    await made.channel.close()


async def test_all_four_shapes_of_call_pass_without_a_token(local: Local) -> None:
    channel = local.channel
    assert await local.unary("a") == "a"
    for shape in ("ServerStream", "WritingStream"):
        call = channel.unary_stream(f"/{NAME}/{shape}")(b"a")
        assert [answer async for answer in call] == [b"0 a", b"1 a", b"2 a"]
        assert await call.code() is StatusCode.OK
    assert await channel.stream_unary(f"/{NAME}/ClientStream")(iter([b"a", b"b"])) == b"a,b"
    both = channel.stream_stream(f"/{NAME}/BothStream")()
    for message in (b"a", b"b"):
        await both.write(message)
        assert await both.read() == message
    await both.done_writing()
    assert await both.read() is aio.EOF


async def test_every_call_is_the_owners_and_has_its_own_context(local: Local) -> None:
    metadata = (("traceparent", f"00-{'1' * 32}-b7ad6b7169203331-00"), ("x-request-id", "r"))
    answers = await asyncio.gather(local.unary("whoami", metadata=metadata), local.unary("whoami"))
    assert answers[0] == f"user:ana {'1' * 32} r "
    assert answers[1] != answers[0]
    assert await local.unary("require admin catalog main") == "require admin catalog main"


async def test_errors_come_as_over_the_network(local: Local) -> None:
    with pytest.raises(aio.AioRpcError) as refused:
        await local.unary("raise missing")
    assert (refused.value.code(), taken_apart(refused.value).reason) == (StatusCode.NOT_FOUND, "THING_MISSING")
    with pytest.raises(aio.AioRpcError) as broken:
        await local.unary("raise what nobody knows")
    assert (broken.value.code(), "secret" in str(broken.value.details())) == (StatusCode.INTERNAL, False)
    call = local.channel.unary_stream(f"/{NAME}/ServerStream")(b"raise missing")
    with pytest.raises(aio.AioRpcError):
        await call.read()
    with pytest.raises(aio.AioRpcError) as unknown:
        await local.channel.unary_unary("/test.v1.Echo/Nothing")(b"")
    assert unknown.value.code() is StatusCode.UNIMPLEMENTED


async def test_a_deadline_and_a_caller_who_leaves_end_the_work(local: Local) -> None:
    with pytest.raises(aio.AioRpcError) as late:
        await local.unary("wait", timeout=0.05)
    assert late.value.code() is StatusCode.DEADLINE_EXCEEDED
    assert local.echo.cancelled.is_set()
    local.echo.cancelled.clear()
    local.echo.arrived.clear()
    waiting = asyncio.ensure_future(local.unary("wait"))
    await local.echo.arrived.wait()
    waiting.cancel()
    await until(local.echo.cancelled.is_set)
    call = local.channel.unary_stream(f"/{NAME}/ServerStream")(b"a")
    assert await call.read() == b"0 a"
    assert call.cancel()
    await until(call.done)
    assert await call.code() is StatusCode.CANCELLED


async def test_it_opens_once_at_the_first_call_and_closes_once(local: Local) -> None:
    assert (local.opened, await asyncio.gather(*(local.unary("a") for _ in range(9)))) == (0, ["a"] * 9)
    assert await local.channel.unary_unary("/grpc.health.v1.Health/Check")(b"") == b"\x08\x01"
    await local.channel.close()
    await local.channel.close()
    assert (local.opened, local.closed) == (1, 1)


async def test_what_cannot_be_opened_says_so_at_every_call() -> None:
    async def fail() -> LocalServer:
        raise FileNotFoundError("no such store")

    async def close() -> None:
        raise AssertionError("was never open")

    channel = LocalChannel(fail, close)
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            await channel.unary_unary("/x/y")(b"")
    await channel.close()
