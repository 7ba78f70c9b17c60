"""Requests that were answered, so that the same one gets the same answer for seven days.

The request that made a commit is named in the commit's own record; all others are kept among the records.
"""

from collections.abc import Callable
from dataclasses import dataclass

import orjson

from ontomesh_data_kernel.adapters.terminusdb.graph import Entry, Graph
from ontomesh_data_kernel.adapters.terminusdb.records import REQUEST, Records, Swap, joined
from ontomesh_data_kernel.errors import RequestIdReused
from ontomesh_data_kernel.ports import RequestKey

REQUEST_LIFETIME = 7 * 86_400 * 1_000_000


@dataclass(frozen=True, slots=True)
class Kept:
    """The record of a request: its text, None if there is none; what it was answered, None if that has lapsed."""

    text: str | None
    reply: str | None = None
    done: bool = False


class Requests:
    """What is kept of requests. A `scope` is the server's database that a request is about, empty if it makes one."""

    def __init__(self, records: Records, clock: Callable[[], int]) -> None:
        self._records = records
        self._clock = clock

    async def kept(self, scope: str, request: RequestKey | None) -> Kept:
        """What is kept of a request. Raises RequestIdReused."""
        if request is None:
            return Kept(None)
        text = await self._records.get(REQUEST, _key(scope, request))
        if text is None:
            return Kept(None)
        kept = orjson.loads(text)
        if kept["time"] <= self._clock() - REQUEST_LIFETIME:
            return Kept(text)
        if kept["digest"] != request.digest.hex():
            raise RequestIdReused.of(request.id)
        return Kept(text, kept["reply"], kept["done"])

    def answer(self, scope: str, request: RequestKey, old: str | None, reply: str, *, done: bool) -> Swap:
        """The change of records that keeps a reply, in place of `old`; not `done` if it is yet to come true."""
        kept = {"digest": request.digest.hex(), "time": self._clock(), "reply": reply, "done": done}
        return Swap(REQUEST, _key(scope, request), old, orjson.dumps(kept).decode())

    def made(self, graph: Graph, request: RequestKey | None) -> Entry | None:
        """The commit of the last seven days that a request made. Raises RequestIdReused."""
        if request is None:
            return None
        entry = graph.request(request.principal, request.id)
        if entry is None or entry.commit.time <= self._clock() - REQUEST_LIFETIME:
            return None
        if entry.request is None or entry.request[2] != request.digest.hex():
            raise RequestIdReused.of(request.id)
        return entry


def _key(scope: str, request: RequestKey) -> str:
    return joined((scope, request.principal, request.id))
