"""Lists that come in pages, read as one."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Fetch = Callable[[str], Awaitable[tuple[Sequence[Item], str]]]


class Pages(AsyncIterator[Item], Generic[Item]):
    """Iterates over all items; asks for a page only when the one before is used up."""

    __slots__ = ("_at", "_fetch", "_items", "_token")

    def __init__(self, fetch: Fetch[Item]) -> None:
        self._fetch = fetch
        self._items: Sequence[Item] = ()
        self._at = 0
        self._token: str | None = ""

    async def __anext__(self) -> Item:
        if self._at >= len(self._items):
            self._items = await self.page()
            self._at = 0
            if not self._items:
                raise StopAsyncIteration
        item = self._items[self._at]
        self._at += 1
        return item

    async def page(self) -> Sequence[Item]:
        """The next items, at least one; empty at the end."""
        while self._token is not None:
            items, token = await self._fetch(self._token)
            self._token = token or None
            if items:
                return items
        return ()
