"""Waiting for a server that is away."""

import asyncio
import random

TRIES = 8
_LONGEST_PAUSE = 5.0


class Patience:
    """Counts what failed in a row and pauses before the next try, longer every time: some 16 s until it ends.

    With `tries` None it never ends; its pauses are then of random length, so that many clients do not come at once.
    """

    def __init__(self, tries: int | None = TRIES) -> None:
        self._tries = tries
        self._failed = 0

    def succeeded(self) -> None:
        """Notes that something was achieved."""
        self._failed = 0

    async def again(self) -> bool:
        """Returns, after a pause, whether to try again."""
        self._failed += 1
        if self._tries is not None and self._failed >= self._tries:
            return False
        pause = min(0.1 * 2 ** min(self._failed, 10), _LONGEST_PAUSE)
        await asyncio.sleep(pause if self._tries is not None else pause * random.uniform(0.5, 1.0))  # noqa: S311
        return True
