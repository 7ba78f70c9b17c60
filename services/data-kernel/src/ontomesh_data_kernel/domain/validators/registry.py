"""The validators as this kernel knows them: a copy of what the store keeps, never older than two seconds when asked.

Only who commits asks. Within the first second the copy serves as it is; within the second one it is renewed beside the
commit; an older copy is renewed before it.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import Context

from ontomesh_data_kernel.domain.validators.model import Validator
from ontomesh_data_kernel.domain.validators.patterns import fits_any
from ontomesh_data_kernel.domain.validators.records import read_record
from ontomesh_data_kernel.errors import Corrupt, KernelError
from ontomesh_data_kernel.ports import State

PREFIX = "validators/"
RENEW_SECONDS = 1.0
STALE_SECONDS = 2.0
MAX_PLACES = 4_096

logger = logging.getLogger(__name__)


class Registry:
    """What validators there are, and which of them see a place."""

    def __init__(self, state: State, clock: Callable[[], float] = time.monotonic) -> None:
        self._state = state
        self._clock = clock
        self._copy = _Copy({})
        self._read_at = -STALE_SECONDS
        self._changes = 0
        self._reading: asyncio.Task[None] | None = None

    async def matching(self, database: str, branch: str) -> tuple[Validator, ...]:
        """The validators that see commits of a branch, in their order. Raises StoreUnavailable, Corrupt."""
        age = self._clock() - self._read_at
        if age >= STALE_SECONDS:
            await self.renew()
        elif age >= RENEW_SECONDS and self._reading is None:
            self._reading = self._begin_reading()
        return self._copy.seeing(database, branch)

    async def renew(self) -> None:
        """Read the copy anew. Raises StoreUnavailable, Corrupt."""
        if self._reading is None:
            self._reading = self._begin_reading()
        await asyncio.shield(self._reading)

    def known(self, database: str, branch: str) -> tuple[Validator, ...] | None:
        """The validators that see commits of a branch, without asking the store; None if the copy is too old for that.

        May be called in any thread.
        """
        if self._clock() - self._read_at >= STALE_SECONDS:
            return None
        return self._copy.seeing(database, branch)

    async def all(self) -> list[Validator]:
        """Every validator in order, as the store has them now. Raises StoreUnavailable, Corrupt."""
        await self._read()
        return in_order(self._copy.validators)

    def learn(self, name: str, one: Validator | None) -> None:
        """Take note of a change that this kernel made; None if the validator is gone."""
        self._changes += 1
        validators = {**self._copy.validators}
        validators.pop(name, None)
        if one is not None:
            validators[name] = one
        self._take(validators)

    async def close(self) -> None:
        """End what is under way."""
        if self._reading is not None:
            self._reading.cancel()
            with suppress(asyncio.CancelledError, KernelError):
                await self._reading

    def _begin_reading(self) -> asyncio.Task[None]:
        # It serves all, and so is no part of the trace of the commit that came first.
        task = asyncio.create_task(self._read(), name="validators", context=Context())
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._reading = None
        if not task.cancelled() and (error := task.exception()) is not None:
            # Whoever waits for it is told; a copy that is too old is not used.
            logger.warning("the validators could not be read: %s", error)

    async def _read(self) -> None:
        while True:
            began, changes = self._clock(), self._changes
            entries = await self._state.list(PREFIX)
            if changes != self._changes:
                continue  # it may have been read before what this kernel changed
            validators = {}
            for entry in entries:
                one = read_entry(entry.key, entry.value)
                validators[one.name] = one
            if began >= self._read_at:  # else one that began later was sooner
                self._take(validators)
                self._read_at = began
            return

    def _take(self, validators: dict[str, Validator]) -> None:
        # In one step: a transaction in another thread may be looking at it.
        if validators != self._copy.validators:
            self._copy = _Copy(validators)


class _Copy:
    """Validators, and which of them see the places that were asked for."""

    __slots__ = ("_places", "validators")

    def __init__(self, validators: dict[str, Validator]) -> None:
        self.validators = validators
        self._places: dict[tuple[str, str], tuple[Validator, ...]] = {}

    def seeing(self, database: str, branch: str) -> tuple[Validator, ...]:
        """Those that see commits of a branch, in order."""
        if not self.validators:
            return ()
        place = (database, branch)
        found = self._places.get(place)
        if found is None:
            if len(self._places) >= MAX_PLACES:
                self._places.clear()
            found = self._places[place] = tuple(
                one
                for one in in_order(self.validators)
                if not one.disabled and fits_any(one.match.databases, database) and fits_any(one.match.branches, branch)
            )
        return found


def in_order(validators: Mapping[str, Validator]) -> list[Validator]:
    """Validators by order and name."""
    return sorted(validators.values(), key=lambda one: (one.order, one.name))


def read_entry(key: str, record: bytes) -> Validator:
    """A validator as the store keeps it. Raises Corrupt."""
    try:
        return read_record(record)
    except ValueError as error:
        raise Corrupt(f"{key!r} cannot be read: {error}") from None
