"""A file that is read again when it changes."""

import time
from collections.abc import Callable
from pathlib import Path

CHECK_SECONDS = 1.0


class WatchedFile:
    """Tells when a file's content may have changed; looks at most once a second unless it is forced."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self._clock = clock
        self._next_check = 0.0
        self._stamp: tuple[int, int, int] | None = None

    def read(self) -> bytes:
        """The content now, remembered as the newest that was seen. Raises OSError."""
        self._stamp = self._look()
        self._next_check = self._clock() + CHECK_SECONDS
        return self.path.read_bytes()

    def changed(self, *, force: bool = False) -> bool:
        """Whether the file differs from what was read last; a file that went missing counts as unchanged."""
        now = self._clock()
        if now < self._next_check and not force:
            return False
        self._next_check = now + CHECK_SECONDS
        try:
            return self._look() != self._stamp
        except OSError:
            return False

    def _look(self) -> tuple[int, int, int]:
        found = self.path.stat()
        return found.st_mtime_ns, found.st_size, found.st_ino
