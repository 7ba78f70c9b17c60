"""The relay: carries the commit log to the event gateway, each branch in order, at least once, by one kernel at a time.

It reads the lines of commits bit by bit beside the kernel's own work, publishes their events, and moves its cursors only
past what is stored. Where it is broken off, whoever leads next begins behind the cursors that were kept.
"""

import asyncio
import logging
import random
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from ontomesh_data_kernel.domain.backlog import MAX_EVENTS, Backlog, CursorLost, Due
from ontomesh_data_kernel.domain.identity import Clock, system_clock
from ontomesh_data_kernel.domain.leasing import RENEW, Lease
from ontomesh_data_kernel.domain.ontologies import OntologyCache
from ontomesh_data_kernel.errors import KernelError
from ontomesh_data_kernel.ports import Outcome, Publisher, PublishingFailed, Store

logger = logging.getLogger(__name__)

LEASE = "relay/lease"

_ASK_SECONDS = 0.5
_IDLE_SECONDS = 1.0
_SHORTEST_ROUND, _LONGEST_ROUND = 0.01, 0.05
"""How long a round takes at least: longer while there is much to do, as few large batches burden commits least."""
_FEW, _MANY = 1, 3
"""Events of a round after which the next may be shorter, or is to be longer."""
_KEEP_SECONDS, _KEEP_BUSY_SECONDS = 0.25, 1.0
"""How often cursors are kept, and how often while there is more to do: each time is a write beside the commits."""
_SCAN_SHARE = 20
"""Of so many seconds, one goes at most into looking where the lines stand: with many lines that is much."""
_PUBLISH_SECONDS = 8.0
_TELL_SECONDS = 60.0
"""How often the log tells of another failure, as long as none of them is over."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0


@dataclass(frozen=True, slots=True)
class RelayStatus:
    """How the relay stands. `oldest_waiting` is in microseconds since the epoch, None if nothing waits; the counts are
    since this kernel leads, or of when it last did.
    """

    leading: bool = False
    commits: int = 0
    events: int = 0
    dead_letters: int = 0
    failures: int = 0
    branches_behind: int = 0
    oldest_waiting: int | None = None
    last_error: str = ""


def _unnoted(lag: float) -> None:
    """Who keeps no account of lags."""


class Relay:
    """Relays a store's commits to a publisher while it leads.

    `on_commit` is told of each commit how many seconds after its time its last event was stored.
    """

    def __init__(
        self,
        store: Store,
        ontologies: OntologyCache,
        publisher: Publisher,
        clock: Clock = system_clock,
        monotonic: Callable[[], float] = time.monotonic,
        on_commit: Callable[[float], None] = _unnoted,
    ) -> None:
        self._store = store
        self._ontologies = ontologies
        self._publisher = publisher
        self._clock = clock
        self._monotonic = monotonic
        self._on_commit = on_commit
        self._lease = Lease(store.state, LEASE, secrets.token_hex(8), monotonic)
        self._backlog: Backlog | None = None
        self._commits = self._events = self._dead_letters = self._failures = 0
        self._error = ""
        self._pause = _FIRST_PAUSE
        self._round = _SHORTEST_ROUND
        self._round_at = self._kept_at = self._scan_at = self._told_at = 0.0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Run beside whatever else this loop does, until closed."""
        self._task = asyncio.create_task(self._run(), name="relay")

    def status(self) -> RelayStatus:
        """How it stands."""
        backlog = self._backlog
        return RelayStatus(
            backlog is not None,
            self._commits,
            self._events,
            self._dead_letters,
            self._failures,
            backlog.behind if backlog is not None else 0,
            backlog.oldest if backlog is not None else None,
            self._error,
        )

    async def close(self) -> None:
        """Stop, and leave the rest to another kernel at once."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        with suppress(KernelError):
            await self._lease.release()
        await self._publisher.close()

    async def _run(self) -> None:
        """Ask for the lease and lead, again and again, whatever happens."""
        begun = False
        while True:
            try:
                if not begun:
                    await self._store.outbox.begin()
                    begun = True
                if await self._lease.acquire():
                    await self._lead()
            except KernelError as error:
                self._failed(error.message)
            except Exception as error:
                logger.exception("the relay failed in a way that it has no answer for; it begins again")
                self._error = type(error).__name__
                self._failures += 1
                await self._rest()
            await asyncio.sleep(_ASK_SECONDS)

    async def _lead(self) -> None:
        """Relay until the lease is lost. Raises KernelError."""
        logger.info("this kernel relays commits to the event gateway")
        self._commits = self._events = self._dead_letters = self._failures = 0
        backlog = Backlog(self._store, self._ontologies, self._clock, self._monotonic)
        working = asyncio.create_task(self._work(backlog), name="relay-work")
        renewing = asyncio.create_task(self._renew(), name="relay-lease")
        try:
            await asyncio.wait((working, renewing), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._backlog = None
            working.cancel()
            renewing.cancel()
            failures = await asyncio.gather(working, renewing, return_exceptions=True)
            with suppress(KernelError, CursorLost):
                while self._lease.left and backlog.has_unkept:
                    await backlog.keep()
        for failure in failures:
            if isinstance(failure, Exception) and not isinstance(failure, CursorLost):
                raise failure
        self._lease.lose()
        logger.warning("this kernel relays no longer: another one has taken over, or the store was away")

    async def _renew(self) -> None:
        """Renew the lease until it is lost: from then on nothing may be published."""
        while self._lease.left:
            await asyncio.sleep(min(RENEW, self._lease.left))
            try:
                if not await self._lease.renew():
                    return
            except KernelError as error:
                self._failed(error.message)
                await asyncio.sleep(min(_ASK_SECONDS, self._lease.left))

    async def _work(self, backlog: Backlog) -> None:
        """Relay what there is, and wait for more, while the lease holds. Raises KernelError, CursorLost."""
        await backlog.load()
        self._backlog = backlog
        while self._lease.left:
            batch = await backlog.batch()
            if batch:
                await self._publish(backlog, batch)
            rest = _KEEP_BUSY_SECONDS if batch and not backlog.has_many_unkept else _KEEP_SECONDS
            has_rested = self._monotonic() - self._kept_at >= rest
            if backlog.has_unkept and has_rested:
                await backlog.keep()
                self._kept_at = self._monotonic()
            elif not backlog.behind:
                await self._store.outbox.moved(_KEEP_SECONDS if backlog.has_unkept else _IDLE_SECONDS)
            await self._pace(len(batch))
            if not backlog.behind:
                await asyncio.sleep(self._scan_at - self._monotonic())
            begun = self._monotonic()
            if begun >= self._scan_at:
                await backlog.scan()
                self._scan_at = self._monotonic() + (_SCAN_SHARE - 1) * (self._monotonic() - begun)

    async def _pace(self, count: int) -> None:
        """Begin the next round when it is time to."""
        if count >= MAX_EVENTS:
            return
        if count >= _MANY:
            self._round = min(self._round * 2, _LONGEST_ROUND)
        elif count <= _FEW:
            self._round = max(self._round / 2, _SHORTEST_ROUND)
        await asyncio.sleep(max(0.0, self._round_at + self._round - self._monotonic()))

    async def _publish(self, backlog: Backlog, batch: Sequence[Due]) -> None:
        """Publish a batch, and pass what is stored; rest a while if something failed."""
        events = [due.event for due in batch if due.event is not None]
        self._round_at = self._monotonic()
        told: Sequence[Outcome] = ()
        error = ""
        if events:
            try:
                told, error = await self._publisher.publish(events, min(_PUBLISH_SECONDS, self._lease.left))
            except PublishingFailed as failure:
                error = str(failure)
        outcomes = iter(told)
        for due in batch:
            outcome = next(outcomes, Outcome.FAILED) if due.event is not None else Outcome.STORED
            if outcome is Outcome.FAILED:
                break
            self._pass(backlog, due, outcome)
        else:
            self._pause, self._error = _FIRST_PAUSE, ""
        backlog.settle()
        if error:
            self._failed(error)
            await self._rest()

    def _pass(self, backlog: Backlog, due: Due, outcome: Outcome) -> None:
        piece = backlog.passed(due)
        if due.event is not None:
            self._events += 1
        if outcome is Outcome.DEAD_LETTERED and due.event is not None:
            self._dead_letters += 1
            logger.warning("the event gateway refused %s for good, and keeps it as a dead letter", due.event.id)
        if piece is not None and piece.is_last:
            self._commits += 1
            self._on_commit((self._clock() - piece.commit.time) / 1e6)

    def _failed(self, error: str) -> None:
        now = self._monotonic()
        if not self._error or (error != self._error and now - self._told_at >= _TELL_SECONDS):
            logger.warning("the relay cannot go on for now: %s", error)
            self._told_at = now
        self._error = error
        self._failures += 1

    async def _rest(self) -> None:
        """Wait, longer each time that one failure follows another."""
        await asyncio.sleep(self._pause * random.uniform(0.5, 1.0))  # noqa: S311 - it need not be secret
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
