"""NATS' protocol read with as little work as can be: nats-py's parser spends most of a message's time on its headers.

Messages for subscriptions that were made by `Inlet.subscribe` go straight to a callback; everything else goes to nats-py.
"""

from collections.abc import Callable
from typing import Any

import orjson
from nats.aio.client import Client
from nats.errors import ProtocolError

Take = Callable[[bytes, bytes, bytes, bytes], None]
"""Takes a message: its subject, reply subject, headers and payload. Must not raise."""

_MAX_LINE = 1 << 20


class Inlet:
    """The parser of one client's connection."""

    def __init__(self, client: Client) -> None:
        self._client: Any = client
        self._takers: dict[bytes, Take] = {}
        self._buffer = bytearray()
        self._needed = 0

    @classmethod
    def of(cls, client: Client) -> "Inlet":
        """The parser, put in the place of the client's own."""
        inlet = cls(client)
        client._ps = inlet  # type: ignore[assignment]
        return inlet

    def reset(self) -> None:
        """Forgets what it has read; nats-py calls it."""
        self._buffer.clear()
        self._needed = 0

    def subscribe(self, subject: str, take: Take) -> tuple[int, bytes]:
        """A subscription's number and the command that makes it; `take` gets its messages from then on."""
        self._client._sid += 1
        sid = int(self._client._sid)
        self._takers[b"%d" % sid] = take
        return sid, b"SUB %b  %d\r\n" % (subject.encode(), sid)

    def forget(self, sid: int) -> None:
        """Lets the messages of a subscription go nowhere from now on."""
        self._takers.pop(b"%d" % sid, None)

    async def parse(self, data: bytes = b"") -> None:
        """Takes what the connection brought; nats-py calls it."""
        buffer = self._buffer
        buffer += data
        if len(buffer) < self._needed:
            return
        whole, at, end = bytes(buffer), 0, len(buffer)
        self._needed = 0
        while True:
            eol = whole.find(b"\r\n", at)
            if eol < 0:
                if end - at > _MAX_LINE:
                    raise ProtocolError("nats: a line without an end")
                break
            kind = whole[at : at + 2]
            if kind in {b"HM", b"MS"}:
                words = whole[at:eol].split()
                begin = eol + 2
                try:
                    sid, after = int(words[2]), begin + int(words[-1]) + 2
                    split = begin + int(words[-2]) if kind == b"HM" else begin
                except (ValueError, IndexError) as error:
                    raise ProtocolError("nats: malformed message") from error
                if after > end:
                    self._needed = after - at
                    break
                reply = words[3] if len(words) > (5 if kind == b"HM" else 4) else b""
                headers, payload = whole[begin:split], whole[split : after - 2]
                take = self._takers.get(words[2])
                if take is not None:
                    take(words[1], reply, headers, payload)
                else:
                    await self._client._process_msg(sid, words[1], reply, payload, headers or None)
                at = after
            else:
                await self._control(kind, whole[at:eol])
                at = eol + 2
        del buffer[:at]

    async def _control(self, kind: bytes, line: bytes) -> None:
        match kind.upper():
            case b"PI":
                await self._client._process_ping()
            case b"PO":
                await self._client._process_pong()
            case b"IN":
                try:
                    info = orjson.loads(line.partition(b" ")[2])
                except orjson.JSONDecodeError as error:
                    raise ProtocolError("nats: malformed info") from error
                await self._client._process_info(info)
            case b"-E":
                await self._client._process_err(line.partition(b" ")[2].decode().strip().strip("'").lower())
            case b"+O":
                pass
            case _:
                raise ProtocolError("nats: unknown protocol")
