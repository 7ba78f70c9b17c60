"""Lists that come in pages, read as one."""

import asyncio
from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Fetch = Callable[[str], Awaitable[tuple[Sequence[Item], str]]]


class Paged(AsyncIterator[Item], Generic[Item]):
    """Iterates over items that come several at a time; asks for more only when those it has are used up."""

    __slots__ = ("_at", "_items")

    def __init__(self) -> None:
        self._items: Sequence[Item] = ()
        self._at = 0

    async def __anext__(self) -> Item:
        if self._at >= len(self._items):
            self._items = await self.page()
            self._at = 0
            if not self._items:
                raise StopAsyncIteration
        item = self._items[self._at]
        self._at += 1
        return item

    @abstractmethod
    async def page(self) -> Sequence[Item]:
        """The next items, at least one; empty at the end."""

    async def aclose(self) -> None:
        """Ends what is under way; nothing comes any more."""


class Pages(Paged[Item]):
    """Items of a list that is asked for page by page."""

    __slots__ = ("_fetch", "_token")

    def __init__(self, fetch: Fetch[Item]) -> None:
        super().__init__()
        self._fetch = fetch
        self._token: str | None = ""

    async def page(self) -> Sequence[Item]:
        """The next items, at least one; empty at the end."""
        while self._token is not None:
            items, token = await self._fetch(self._token)
            self._token = token or None
            if items:
                return items
        return ()


class Batches(Paged[Item]):
    """Items of a stream of batches."""

    __slots__ = ("_batches", "_reader")

    def __init__(self, batches: AsyncGenerator[Sequence[Item]]) -> None:
        super().__init__()
        self._batches = batches
        self._reader: asyncio.Task[object] | None = None

    async def page(self) -> Sequence[Item]:
        """The next items, at least one; empty at the end."""
        self._reader = asyncio.current_task()
        try:
            async for items in self._batches:
                if items:
                    return items
        finally:
            self._reader = None
        return ()

    async def aclose(self) -> None:
        """Ends the stream."""
        reader = self._reader
        if reader is not None and reader.cancelling():
            # As after a Ctrl-C: a generator that is still on its way out cannot be closed.
            await asyncio.wait({reader})
        await self._batches.aclose()
