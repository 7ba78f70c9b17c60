"""What is kept beside the commits, on a TerminusDB server: in a database of its own, made when it is first asked."""

import asyncio
import secrets
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import orjson

from ontomesh_data_kernel.adapters.terminusdb.records import STATE, Records, Swap
from ontomesh_data_kernel.ports import StateEntry

_VERSION_BITS = 53


class TerminusState:
    """Values under keys on a server; implements `ports.State`."""

    def __init__(self, records: Records, serving: Callable[[str], AbstractAsyncContextManager[None]]) -> None:
        self._records = records
        self._serve = serving
        self._opening = asyncio.Lock()
        self._is_open = False

    @asynccontextmanager
    async def _serving(self, name: str) -> AsyncIterator[None]:
        async with self._serve(name):
            if not self._is_open:
                async with self._opening:
                    await self._records.open()
                self._is_open = True
            yield

    async def get(self, key: str) -> tuple[bytes, int] | None:
        """See `ports.State`."""
        async with self._serving("get state"):
            text = await self._records.get(STATE, key)
        if text is None:
            return None
        entry = _entry(text)
        return entry.value, entry.version

    async def swap(self, key: str, expected: int, value: bytes | None) -> int | None:
        """See `ports.State`."""
        async with self._serving("swap state"):
            old = await self._records.get(STATE, key)
            if (_entry(old).version if old is not None else 0) != expected:
                return None
            if old is None and value is None:
                return 0
            version = secrets.randbits(_VERSION_BITS) + 1 if value is not None else 0
            new = _text(StateEntry(key, value, version)) if value is not None else None
            return version if await self._records.swap(Swap(STATE, key, old, new)) else None

    async def list(self, prefix: str) -> Sequence[StateEntry]:
        """See `ports.State`."""
        async with self._serving("list state"):
            texts = await self._records.list(STATE)
        found = (entry for entry in map(_entry, texts) if entry.key.startswith(prefix))
        return sorted(found, key=lambda entry: entry.key)


def _text(entry: StateEntry) -> str:
    return orjson.dumps([entry.key, entry.version, b64encode(entry.value).decode()]).decode()


def _entry(text: str) -> StateEntry:
    key, version, value = orjson.loads(text)
    return StateEntry(key, b64decode(value), version)
