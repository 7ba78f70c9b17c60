"""A lease: of all who ask for it one holds it at a time, kept in the store's state.

Nobody's wall clock is trusted. Who holds it changes its version every few seconds, and counts on it only as long after
it began to do so as the lease lasts. Others watch the version by their own clocks: one that did not change for as long
is of a holder that is gone.
"""

import time
from collections.abc import Callable

import orjson

from ontomesh_data_kernel.ports import State

LASTS = 10.0
"""Seconds for which others leave a lease alone that is not renewed."""
RENEW = 3.0
"""Seconds between renewals."""
_MARGIN = 1.0


class Lease:
    """One contender's view of a lease."""

    def __init__(self, state: State, key: str, holder: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._state = state
        self._key = key
        self._holder = holder
        self._clock = clock
        self._version = 0
        self._seen_at = clock()
        self._until = 0.0
        self.epoch = 0

    @property
    def left(self) -> float:
        """Seconds for which this one holds it for sure, if nothing is heard; 0 if it does not."""
        return max(0.0, self._until - self._clock())

    async def acquire(self) -> bool:
        """Take the lease if nobody has it; ask again every second or so. Raises StoreUnavailable."""
        begun = self._clock()
        found = await self._state.get(self._key)
        version = found[1] if found is not None else 0
        holder, epoch = orjson.loads(found[0]) if found is not None else ("", 0)
        if version != self._version:
            self._version, self._seen_at = version, self._clock()
        is_anothers = holder not in ("", self._holder)
        if is_anothers and self._clock() - self._seen_at < LASTS:
            return False
        return await self._put(self._holder, epoch + 1, begun)

    async def renew(self) -> bool:
        """Hold it for longer; False if it is lost. Raises StoreUnavailable."""
        return await self._put(self._holder, self.epoch, self._clock())

    async def release(self) -> None:
        """Leave it to others at once. Raises StoreUnavailable."""
        if self._until:
            await self._put("", self.epoch, self._clock())
            self._until = 0.0

    def lose(self) -> None:
        """Count on it no longer."""
        self._until = 0.0

    async def _put(self, holder: str, epoch: int, begun: float) -> bool:
        value = orjson.dumps([holder, epoch])
        version = await self._state.swap(self._key, self._version, value)
        if version is None:
            self.lose()
            return False
        self._version, self._seen_at, self.epoch = version, self._clock(), epoch
        self._until = begun + LASTS - _MARGIN
        return True
