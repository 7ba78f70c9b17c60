"""A circuit breaker: stops calling a server that does not answer, and tries again later."""

import time
from collections.abc import Callable

from ontomesh.sdk.errors import CircuitOpen


class CircuitBreaker:
    """Refuses calls after `threshold` failures in a row, for `delay` seconds at first.

    Then one call is let through as a probe. If it fails, the wait doubles, up to `max_delay`; if it is answered,
    all is as in the beginning. A failure is no answer at all: whatever the server answers, an error included,
    shows that it is there.
    """

    __slots__ = ("_clock", "_delay", "_failures", "_first_delay", "_max_delay", "_probing", "_retry_at", "_threshold")

    def __init__(
        self,
        *,
        threshold: int = 5,
        delay: float = 1.0,
        max_delay: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._threshold = threshold
        self._first_delay = self._delay = delay
        self._max_delay = max_delay
        self._clock = clock
        self._failures = 0
        self._probing = False
        self._retry_at = 0.0

    @property
    def is_open(self) -> bool:
        """Whether so many calls failed in a row that no further one but a probe is made."""
        return self._failures >= self._threshold

    def admit(self, address: str) -> None:
        """Returns if a call may be made now.

        Raises:
            CircuitOpen: It may not; the error says when.
        """
        if self._failures < self._threshold:
            return
        now = self._clock()
        wait = self._retry_at - now
        if wait > 0:
            raise CircuitOpen(
                f"not calling {address}: {self._failures} calls in a row failed; next try in {wait:.1f} s",
                retry_after=wait,
            )
        # The probe holds the others off for one more delay only, so that one which is lost blocks nothing for good.
        self._probing = True
        self._retry_at = now + self._delay

    def answered(self) -> None:
        """Notes that the server answered."""
        self._failures = 0
        self._delay = self._first_delay
        self._probing = False

    def failed(self) -> None:
        """Notes that it did not."""
        if self._failures < self._threshold:
            self._failures += 1
            if self._failures < self._threshold:
                return
        elif self._probing:
            self._probing = False
            self._delay = min(self._delay * 2, self._max_delay)
        else:
            return  # A call that was under way when the circuit opened says nothing new.
        self._retry_at = self._clock() + self._delay
