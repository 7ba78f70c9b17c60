"""The connection to NATS, where what answers is no NATS, or takes nobody in."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from ontomesh_event_gateway.adapters.nats.connection import Connection

INFO = b'INFO {"max_payload":100,"headers":true}\r\n'


class Server:
    """A server that says the same to everybody."""

    def __init__(self, words: bytes) -> None:
        self._words = words
        self.came = 0
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.came += 1
        writer.write(self._words)
        try:
            await reader.read()
        finally:
            writer.close()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()


@asynccontextmanager
async def connecting(server: Server) -> AsyncIterator[Connection]:
    async with server.running():
        connection = Connection([f"nats://127.0.0.1:{server.port}"], "", "test")
        connection.start()
        try:
            yield connection
        finally:
            await connection.close()


async def comes(server: Server, times: int) -> None:
    async with asyncio.timeout(10):
        while server.came < times:  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "words", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"x" * 200_000, b"INFO []\r\n", b"INFO {\r\n", b"INFO 1\r\n"]
)
async def test_it_tries_on_where_something_else_answers_and_says_so_once(
    words: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING", "ontomesh_event_gateway")
    server = Server(words)
    async with connecting(server) as connection:
        await comes(server, 3)
        assert not connection.available
    assert [record.getMessage()[:22] for record in caplog.records] == ["cannot connect to NATS"]


async def test_it_comes_back_ever_more_slowly_to_a_server_that_ends_each_connection_at_once() -> None:
    server = Server(INFO + b"PONG\r\nPONG\r\n-ERR 'Maximum Connections Exceeded'\r\n")
    begun = asyncio.get_running_loop().time()
    async with connecting(server):
        await comes(server, 4)
    assert asyncio.get_running_loop().time() - begun > 0.6
