"""From a store's URL to an open store."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from ontomesh_data_kernel.adapters import sqlite, terminusdb
from ontomesh_data_kernel.domain.identity import system_clock
from ontomesh_data_kernel.ports import Store

SQLITE = "sqlite:///"
TERMINUSDB = "terminusdb://"


class OpenStore(Store, Protocol):
    """A store that tells whether it is there."""

    async def ping(self) -> None:
        """Raise StoreUnavailable unless the store answers."""
        ...


async def open_store(url: str, password: str = "", clock: Callable[[], int] = system_clock) -> OpenStore:
    """Open the store that a URL names; call it on the loop that will use it.

    Raises ValueError for a URL of no store, StoreUnavailable, and sqlite.UnknownFormat for a file that this version
    does not know.
    """
    if url.startswith(TERMINUSDB):
        return await terminusdb.open_store(terminusdb.read_url(url, password), clock)
    if not url.startswith(SQLITE):
        raise ValueError(f"is no URL of a store: {url.partition(':')[0]!r}")
    path = await asyncio.to_thread(Path(url.removeprefix(SQLITE)).expanduser)
    return await sqlite.open_store(path, clock)
