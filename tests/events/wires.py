"""A wire to a server that can be cut."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Wire:
    """Hands bytes on between a port of its own and a server's, until it is cut, and again once it is mended."""

    def __init__(self, target: int) -> None:
        self.port = 0
        self._target = target
        self._is_cut = False
        self._writers: set[asyncio.StreamWriter] = set()

    async def cut(self) -> None:
        """Breaks every connection, and refuses new ones."""
        self._is_cut = True
        for writer in tuple(self._writers):
            writer.transport.abort()

    async def mend(self) -> None:
        """Takes connections again."""
        self._is_cut = False

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one connection."""
        if self._is_cut:
            writer.transport.abort()
            return
        beyond, back = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers |= {writer, back}
        try:
            await asyncio.wait(
                {asyncio.create_task(_copy(reader, back)), asyncio.create_task(_copy(beyond, writer))},
            )
        finally:
            self._writers -= {writer, back}


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(1 << 16):
            sink.write(data)
            await sink.drain()
    sink.close()


@asynccontextmanager
async def cut_wire(target: int) -> AsyncIterator[Wire]:
    """A wire to a local port for a block."""
    wire = Wire(target)
    server = await asyncio.start_server(wire.carry, "127.0.0.1", 0)
    wire.port = server.sockets[0].getsockname()[1]
    try:
        yield wire
    finally:
        server.close()
        await wire.cut()
