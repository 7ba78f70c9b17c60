"""Reading what streams keep, without a consumer."""

import asyncio
from typing import Any
from uuid import uuid4

import orjson

from ontomesh_event_gateway.adapters.nats.connection import MESSAGE_NOT_FOUND, ApiRefused, Connection
from ontomesh_event_gateway.adapters.nats.messages import Kept, go_time, kept, status_of
from ontomesh_event_gateway.errors import BrokerUnavailable

READ_SECONDS = 5.0
NOT_FOUND = 404
END_OF_BATCH = 204
MAX_BATCH = 1_000


class StoredMessages:
    """Reads messages by sequence, and takes them out."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def at(self, stream: str, sequence: int) -> Kept | None:
        """The message of a sequence, None if it is gone. Raises BrokerUnavailable."""
        found = await self._read(stream, {"seq": sequence})
        return found[0] if found else None

    async def last(self, stream: str, subject: str) -> Kept | None:
        """The last message of a subject, None if there is none. Raises BrokerUnavailable."""
        found = await self._read(stream, {"last_by_subj": subject})
        return found[0] if found else None

    async def since(self, stream: str, time: int) -> Kept | None:
        """The first message that was stored at a time or later. Raises BrokerUnavailable."""
        found = await self._read(stream, {"start_time": go_time(time), "next_by_subj": ">", "batch": 1})
        return found[0] if found else None

    async def bounds(self, stream: str) -> tuple[int, int]:
        """A stream's first and last sequence. Raises BrokerUnavailable."""
        state = (await self._connection.api(f"STREAM.INFO.{stream}"))["state"]
        return int(state["first_seq"]), int(state["last_seq"])

    async def batch(self, stream: str, subject: str, first: int, limit: int, max_bytes: int = 0) -> list[Kept]:
        """The messages of a subject from a sequence on, in order, as many as fit, at least one if there is one.

        Raises BrokerUnavailable.
        """
        asked: dict[str, Any] = {"seq": max(first, 1), "next_by_subj": subject, "batch": min(limit, MAX_BATCH)}
        return await self._read(stream, asked | ({"max_bytes": max_bytes} if max_bytes else {}))

    async def delete(self, stream: str, sequence: int) -> bool:
        """Takes a message out; False if it was gone. Raises BrokerUnavailable."""
        try:
            await self._connection.api(f"STREAM.MSG.DELETE.{stream}", {"seq": sequence, "no_erase": True})
        except ApiRefused as refused:
            if refused.code == MESSAGE_NOT_FOUND or "not found" in refused.description:
                return False
            raise
        return True

    async def purge(self, stream: str, subject: str) -> None:
        """Takes all messages of a subject out. Raises BrokerUnavailable."""
        await self._connection.api(f"STREAM.PURGE.{stream}", {"filter": subject})

    async def count(self, stream: str, subject: str) -> int:
        """How many messages a subject has. Raises BrokerUnavailable."""
        info = await self._connection.api(f"STREAM.INFO.{stream}", {"subjects_filter": subject})
        return sum((info["state"].get("subjects") or {}).values())

    async def _read(self, stream: str, asked: dict[str, Any]) -> list[Kept]:
        found: list[Kept] = []
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        many = "batch" in asked

        def take(_subject: bytes, _reply: bytes, headers: bytes, payload: bytes) -> None:
            if ended.done():
                return
            match status_of(headers):
                case 0:
                    found.append(kept(headers, payload))
                    if not many:
                        ended.set_result(None)
                case 404 | 204:
                    ended.set_result(None)
                case code:
                    ended.set_exception(BrokerUnavailable(f"the broker cannot read {stream}: status {code}"))

        inbox = f"_INBOX.{uuid4().hex}"
        sid = self._connection.subscribe(inbox, take)
        try:
            body = orjson.dumps(asked)
            self._connection.send(
                b"PUB $JS.API.DIRECT.GET.%b %b %d\r\n%b\r\n" % (stream.encode(), inbox.encode(), len(body), body)
            )
            async with asyncio.timeout(READ_SECONDS):
                await self._connection.or_lost(ended)
        except TimeoutError:
            raise BrokerUnavailable(f"the broker does not answer what {stream} keeps") from None
        finally:
            self._connection.unsubscribe(sid)
        return found
