"""How far a line is relayed: what was read of it and waits, and the cursor behind what is done."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ontomesh_data_kernel.ports import Line, LineChange, Piece

_CHANGE_BYTES = 512
"""About what a change has beside its bodies."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A change whose event is to be stored, of a piece that it may begin or end; None where only the cursor is to move."""

    piece: Piece
    change: LineChange | None
    is_first: bool
    ends_piece: bool


@dataclass(slots=True)
class Progress:
    """One line: `done` is the cursor behind what is stored, and `version` that of the one kept in the state.

    `waiting` was read and is not stored yet; reading goes on behind `read`. `since` is when the line was last seen to
    have something new, in microseconds since the epoch; `missed_at` when it was first missing, by the monotonic clock. `held`
    is about the bytes of what was read, for as long as some of it waits.
    """

    line: Line
    done: str = ""
    version: int = 0
    read: str = ""
    since: int = 0
    waiting: deque[Waiting] = field(default_factory=deque)
    missed_at: float | None = None
    held: int = 0
    _is_exhausted: bool = False

    @property
    def is_behind(self) -> bool:
        """Whether there is something to relay."""
        return bool(self.waiting) or self.has_more

    @property
    def has_more(self) -> bool:
        """Whether there is something to read."""
        return not self._is_exhausted and self.read != self.line.head

    @property
    def oldest(self) -> int:
        """The time of the oldest commit that waits, or else when it was seen that one does."""
        return self.waiting[0].piece.commit.time if self.waiting else self.since

    def see(self, line: Line, now: int) -> None:
        """Note where the line stands."""
        was_behind = self.is_behind
        if line.head != self.line.head:
            self._is_exhausted = False
        self.line, self.missed_at = line, None
        if not was_behind:
            self.since = now

    def take(self, pieces: Sequence[Piece]) -> int:
        """Add what was read; return its bytes, about."""
        self._is_exhausted = not pieces
        size = 0
        for piece in pieces:
            self.waiting += _waiting(piece)
            self.read = piece.cursor
            size += sum(len(one.body or b"") + len(one.before or b"") + _CHANGE_BYTES for one in piece.changes)
        self.held += size
        return size

    def put_back(self) -> None:
        """Forget what was read, to read it again, unless part of its first piece is done with."""
        if self.waiting and self.waiting[0].is_first:
            self.waiting.clear()
            self.read, self.held, self._is_exhausted = self.done, 0, False

    def passed(self) -> Piece | None:
        """Note that the first of what waits is done with; return its piece if that is by now."""
        one = self.waiting.popleft()
        if not self.waiting:
            self.held = 0
        if not one.ends_piece:
            return None
        self.done = one.piece.cursor
        return one.piece


def _waiting(piece: Piece) -> Iterator[Waiting]:
    last = len(piece.changes) - 1
    for index, change in enumerate(piece.changes):
        yield Waiting(piece, change, index == 0, index == last)
    if not piece.changes:
        yield Waiting(piece, None, is_first=True, ends_piece=True)
