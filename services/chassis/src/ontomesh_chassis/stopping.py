"""What asks a service to stop: SIGTERM, SIGINT, and the end of its lifeline."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from types import TracebackType

logger = logging.getLogger(__name__)


class StopRequests:
    """Within its `with` block, `asked` is set by the first request to stop and `insisted` by the second.

    The lifeline is the read end of a pipe that the parent holds open: its end of file means the parent died.
    Bytes written to it are ignored.
    """

    def __init__(self, lifeline_fd: int | None = None) -> None:
        self.asked = asyncio.Event()
        self.insisted = asyncio.Event()
        self._lifeline = lifeline_fd

    def request(self, cause: str) -> None:
        """Asks the service to stop, for example by a test or by an embedding program."""
        if self.asked.is_set():
            logger.warning("%s again: stopping at once", cause)
            self.insisted.set()
        else:
            logger.info("%s: stopping", cause)
            self.asked.set()

    def __enter__(self) -> StopRequests:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.request, number.name)
        if self._lifeline is not None:
            os.set_blocking(self._lifeline, False)
            loop.add_reader(self._lifeline, self._read_lifeline, self._lifeline)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
        if self._lifeline is not None:
            loop.remove_reader(self._lifeline)

    def _read_lifeline(self, lifeline: int) -> None:
        try:
            ended = os.read(lifeline, 1024) == b""
        except BlockingIOError:
            return
        if ended:
            asyncio.get_running_loop().remove_reader(lifeline)
            self._lifeline = None
            self.request("the parent is gone")
