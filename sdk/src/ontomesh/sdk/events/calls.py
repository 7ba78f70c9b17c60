"""What the calls of events share."""

import sys
from collections.abc import Callable
from functools import cached_property
from pathlib import PurePath
from urllib.parse import quote

from ontomesh.sdk.events.feed import Feed
from ontomesh.sdk.events.publisher import AsyncPublisher
from ontomesh.sdk.raw import RawEvents
from ontomesh.sdk.tracing import Tracing


class GatewayCalls:
    """The connection to the gateway, and what is open over it."""

    def __init__(self, connect: Callable[[], RawEvents], source: str, tracing: Tracing) -> None:
        self._connect = connect
        self._source = source or _source_of_program()
        self._tracing = tracing
        self._feeds: set[Feed] = set()
        self._publishers: set[AsyncPublisher] = set()

    @cached_property
    def _raw(self) -> RawEvents:
        # The first call connects, for it runs on the event loop that the connection is for.
        return self._connect()


def _source_of_program() -> str:
    name = PurePath(sys.argv[0]).stem if sys.argv and sys.argv[0] not in ("", "-", "-c", "-m") else ""
    return f"/programs/{quote(name or 'python', safe='')}"
