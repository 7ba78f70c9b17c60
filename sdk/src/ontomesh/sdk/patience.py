"""Waiting for a server that is away."""

import asyncio

TRIES = 8
_LONGEST_PAUSE = 5.0


class Patience:
    """Counts what failed in a row and pauses before the next try, longer every time: some 16 s until it ends."""

    def __init__(self) -> None:
        self._failed = 0

    def succeeded(self) -> None:
        """Notes that something was achieved."""
        self._failed = 0

    async def again(self) -> bool:
        """Returns, after a pause, whether to try again."""
        self._failed += 1
        if self._failed >= TRIES:
            return False
        await asyncio.sleep(min(0.1 * 2**self._failed, _LONGEST_PAUSE))
        return True
