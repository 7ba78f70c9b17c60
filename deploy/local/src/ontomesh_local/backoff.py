"""When a service that crashes is started again, and when no more."""

import time
from collections import deque
from collections.abc import Callable

FIRST_DELAY_SECONDS = 0.5
MAX_CRASHES = 5
WINDOW_SECONDS = 60.0


class CrashLog:
    """The recent crashes of one service. Each within the window doubles the wait before the next start."""

    def __init__(
        self,
        *,
        max_crashes: int = MAX_CRASHES,
        window: float = WINDOW_SECONDS,
        first_delay: float = FIRST_DELAY_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.max_crashes = max_crashes
        self.window = window
        self._first_delay = first_delay
        self._clock = clock
        self._crashes: deque[float] = deque()

    @property
    def recent(self) -> int:
        """How many crashes the window holds."""
        return len(self._crashes)

    def crashed(self) -> float | None:
        """Notes a crash; the seconds to wait before the next start, None once there were too many to go on."""
        now = self._clock()
        self._crashes.append(now)
        while now - self._crashes[0] > self.window:
            self._crashes.popleft()
        if len(self._crashes) >= self.max_crashes:
            return None
        return self._first_delay * float(1 << (len(self._crashes) - 1))
