"""What asks a stack to stop: Ctrl-C, SIGTERM, and the end of its terminal."""

import asyncio
import signal
from collections.abc import Awaitable
from types import TracebackType
from typing import Any, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequests:
    """Within its `with` block, `asked` is set by the first signal and `insisted` by the second."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.insisted = asyncio.Event()

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._request)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.remove_signal_handler(number)

    def _request(self) -> None:
        (self.insisted if self.asked.is_set() else self.asked).set()

    async def unless_asked(self, work: Awaitable[Any]) -> bool:
        """Does the work and returns True, or cancels it when asked to stop and returns False; its errors pass."""
        task = asyncio.ensure_future(work)
        asked = asyncio.ensure_future(self.asked.wait())
        try:
            await asyncio.wait({task, asked}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()
                return True
            return False
        finally:
            asked.cancel()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
