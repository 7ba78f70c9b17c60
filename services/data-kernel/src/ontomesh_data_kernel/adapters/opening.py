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
    """Open the store that a URL names, making what must be there; call it on the loop that will use it.

    Raises ValueError for a URL of no store, StoreUnavailable, and sqlite.UnknownFormat for a file that this version
    does not know.
    """
    if url.startswith(TERMINUSDB):
        return await terminusdb.open_store(terminusdb.read_url(url, password), clock)
    return await sqlite.open_store(await asyncio.to_thread(_path, url), clock)


async def store_exists(url: str, password: str = "") -> bool:
    """Whether there is a store already where `open_store` would make one. Raises ValueError, StoreUnavailable."""
    if url.startswith(TERMINUSDB):
        return await terminusdb.store_exists(terminusdb.read_url(url, password))
    path = await asyncio.to_thread(_path, url)
    return await asyncio.to_thread(lambda: path.exists() and path.stat().st_size > 0)


def place_of(url: str) -> tuple[str, ...]:
    """Where the store of a URL is: equal for URLs of one store. Raises ValueError."""
    if url.startswith(TERMINUSDB):
        server = terminusdb.read_url(url)
        return server.url, server.organization, server.prefix
    return (str(_path(url).resolve()),)


def _path(url: str) -> Path:
    if not url.startswith(SQLITE) or url == SQLITE:
        what = f"{url.partition(':')[0]!r} is no kind of store; known are" if ":" in url else "must be"
        raise ValueError(f"{what} sqlite:///path and terminusdb://user@host:port/organization")
    return Path(url.removeprefix(SQLITE)).expanduser()
