"""What there is to relay: all lines with how far each has come, and the next events, the lines taking turns."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass

from ontomesh_data_kernel.domain.events import Origin
from ontomesh_data_kernel.domain.identity import Clock
from ontomesh_data_kernel.domain.model import KernelEvent
from ontomesh_data_kernel.domain.ontologies import OntologyCache
from ontomesh_data_kernel.domain.ontology import EMPTY
from ontomesh_data_kernel.domain.progress import Progress, Waiting
from ontomesh_data_kernel.ports import Line, Piece, StateEntry, Store

CURSORS = "relay/cursor/"
MAX_EVENTS = 256
MAX_BYTES = 3 << 20

_SHARE = 32
"""How many events of one line go into a batch before others have their turn."""

_READ_COMMITS = 64
_READ_BYTES = 256 << 10
_HELD_BYTES = 32 << 20
"""When more than this was read and waits, what is not due yet is put back."""

_LARGE_BYTES = 128 << 10
"""Bodies that are larger together are compared in a thread."""
_STEP = 8
"""So many events are made before others on the loop have their turn."""

_MANY_LINES = 500
"""So many lines are looked at before others on the loop have their turn."""

_KEEP_AT_ONCE = 64
_FORGET_SECONDS = 10.0
"""How long a line must be missing before its cursor is deleted."""

_EVENT_BYTES = 1_024
"""About what an event has beside its data."""


class CursorLost(Exception):
    """Another kernel moved a cursor."""


@dataclass(frozen=True, slots=True)
class Due:
    """The next thing of a line that is to be done with; without an event, it may just pass."""

    progress: Progress
    event: KernelEvent | None


class Backlog:
    """The lines of a store and their cursors, as the one kernel that leads has them."""

    def __init__(
        self, store: Store, ontologies: OntologyCache, clock: Clock, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._ontologies = ontologies
        self._clock = clock
        self._monotonic = monotonic
        self._lines: dict[str, Progress] = {}
        self._orphans: dict[str, tuple[StateEntry, float]] = {}
        self._behind: OrderedDict[str, Progress] = OrderedDict()
        self._moved: dict[str, Progress] = {}
        self._origin: tuple[Piece, Origin] | None = None
        self._held = 0

    @property
    def behind(self) -> int:
        """How many lines have something to relay, as far as is known."""
        return len(self._behind)

    @property
    def oldest(self) -> int | None:
        """The time of the oldest commit that waits, as far as is known."""
        return min((one.oldest for one in self._behind.values()), default=None)

    @property
    def has_unkept(self) -> bool:
        """Whether cursors are further than those kept."""
        return bool(self._moved)

    @property
    def has_many_unkept(self) -> bool:
        """Whether these are more than are kept at once."""
        return len(self._moved) > _KEEP_AT_ONCE

    async def load(self) -> None:
        """Begin with the cursors that are kept."""
        now = self._monotonic()
        for entry in await self._store.state.list(CURSORS):
            self._orphans[entry.key.removeprefix(CURSORS)] = (entry, now)
        await self.scan()

    async def scan(self) -> None:
        """Look where the lines stand now."""
        lines = {line.id: line for line in await self._store.outbox.lines()}
        now = self._clock()
        for number, line in enumerate(lines.values(), 1):
            if number % _MANY_LINES == 0:
                await asyncio.sleep(0)
            progress = self._lines.get(line.id)
            if progress is None:
                progress = self._lines[line.id] = self._begin(line, now)
            elif progress.line is line and progress.missed_at is None and not line.is_ended:
                continue
            else:
                progress.see(line, now)
            if progress.is_behind:
                self._behind.setdefault(line.id, progress)
            elif _is_over(progress):
                self._moved[line.id] = progress
        await self._forget_missing(lines.keys())

    def _begin(self, line: Line, now: int) -> Progress:
        orphan = self._orphans.pop(line.id, None)
        if orphan is None:
            return Progress(line, since=now)
        cursor = orphan[0].value.decode()
        return Progress(line, cursor, orphan[0].version, cursor, now)

    async def _forget_missing(self, present: Collection[str]) -> None:
        if len(present) == len(self._lines) and not self._orphans:
            return
        now = self._monotonic()
        gone: list[Progress] = []
        for id, progress in self._lines.items():
            if id in present:
                continue
            progress.missed_at = progress.missed_at or now
            if now - progress.missed_at >= _FORGET_SECONDS:
                gone.append(progress)
        await asyncio.gather(*(self._drop(one) for one in gone[:_KEEP_AT_ONCE]))
        old = [id for id, (_, seen_at) in self._orphans.items() if now - seen_at >= _FORGET_SECONDS]
        entries = [self._orphans.pop(id)[0] for id in old[:_KEEP_AT_ONCE]]
        await asyncio.gather(*(self._store.state.swap(one.key, one.version, None) for one in entries))

    async def _drop(self, progress: Progress) -> None:
        id = progress.line.id
        if progress.version:
            await self._store.state.swap(CURSORS + id, progress.version, None)
        self._lines.pop(id, None)
        self._moved.pop(id, None)
        self._behind.pop(id, None)

    async def batch(self) -> list[Due]:
        """What is to be done next, of each line in order; none if nothing waits."""
        self._put_back()
        found: list[Due] = []
        taken: dict[str, int] = {}
        events = size = 0
        left = len(self._behind)
        while left and events < MAX_EVENTS and size < MAX_BYTES and not (found and self._held > _HELD_BYTES):
            id, progress = next(iter(self._behind.items()))
            self._behind.move_to_end(id)
            begun = len(found)
            for waiting in await self._next(progress, taken.get(id, 0)):
                event = await self._event(progress.line, waiting)
                found.append(Due(progress, event))
                if event is not None:
                    events += 1
                    size += len(event.data) + _EVENT_BYTES
                if len(found) % _STEP == 0:
                    await asyncio.sleep(0)
                if events >= MAX_EVENTS or size >= MAX_BYTES:
                    break
            got = len(found) - begun
            taken[id] = taken.get(id, 0) + got
            left = len(self._behind) if got else left - 1
        self.settle()
        return found

    def _put_back(self) -> None:
        if self._held > _HELD_BYTES:
            self._held = sum(one.held for one in self._behind.values())
        if self._held > _HELD_BYTES:
            for progress in self._behind.values():
                progress.put_back()
            self._held = sum(one.held for one in self._behind.values())

    async def _next(self, progress: Progress, taken: int) -> list[Waiting]:
        """Some of what waits in a line behind what was taken, reading on if need be."""
        if len(progress.waiting) == taken and progress.has_more:
            pieces = await self._store.outbox.read(progress.line, progress.read, _READ_COMMITS, _READ_BYTES)
            self._held += progress.take(pieces)
        return [progress.waiting[index] for index in range(taken, min(taken + _SHARE, len(progress.waiting)))]

    async def _event(self, line: Line, waiting: Waiting) -> KernelEvent | None:
        piece, change = waiting.piece, waiting.change
        # A copy keeps commits of branches that are gone on branches of its own for a while.
        if change is None or piece.commit.branch != line.branch:
            return None
        if self._origin is None or self._origin[0] is not piece:
            ontology = await self._ontologies.at(piece.point)
            before = await self._ontologies.at(piece.parent) if piece.parent is not None else EMPTY
            self._origin = piece, Origin(line.database, line.branch, piece.commit, ontology, before)
        origin = self._origin[1]
        if origin.is_silent(change):
            return None
        if len(change.body or b"") + len(change.before or b"") > _LARGE_BYTES:
            return await asyncio.to_thread(origin.event, change)
        return origin.event(change)

    def passed(self, due: Due) -> Piece | None:
        """Note that the next thing of a line is done with; return the piece that it ends, if it does."""
        piece = due.progress.passed()
        if piece is not None:
            self._moved[due.progress.line.id] = due.progress
        return piece

    def settle(self) -> None:
        """Leave lines alone that have come to their end."""
        for id in [id for id, one in self._behind.items() if not one.is_behind]:
            del self._behind[id]

    async def keep(self) -> None:
        """Keep some of the cursors that have moved, those that wait longest, and forget lines that are ended and done.

        Raises CursorLost.
        """
        some = [self._moved.pop(id) for id in list(self._moved)[:_KEEP_AT_ONCE]]
        await asyncio.gather(*(self._keep(one) for one in some if not _is_over(one)))
        await asyncio.gather(*(self._end(one) for one in some if _is_over(one)))

    async def _end(self, progress: Progress) -> None:
        await self._store.outbox.forget(progress.line)
        await self._drop(progress)

    async def _keep(self, progress: Progress) -> None:
        key, cursor = CURSORS + progress.line.id, progress.done.encode()
        version = await self._store.state.swap(key, progress.version, cursor)
        if version is None:
            raise CursorLost
        progress.version = version


def _is_over(progress: Progress) -> bool:
    """Whether a line is ended and relayed to its end."""
    return progress.line.is_ended and progress.done == progress.line.head
