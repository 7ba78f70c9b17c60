"""Publishing: what is refused for good, what is stored, and what waits."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from ontomesh_event_gateway.domain.caller import Caller
from ontomesh_event_gateway.domain.model import Event, Order, Outcome, Result
from ontomesh_event_gateway.domain.spooling import PASSING, REFUSED_SUBSCRIPTION, Spooling
from ontomesh_event_gateway.domain.validating import MAX_TYPE_CHARACTERS, check_event
from ontomesh_event_gateway.errors import GatewayError, InvalidRequest, NotReached, PermissionDenied, TooLarge
from ontomesh_event_gateway.ports import DeadLetters, Meter, Schemas

MAX_EVENTS = 1000
MAX_BYTES = 8 << 20
_YIELD_BYTES = 512 * 1024


@dataclass(frozen=True, slots=True)
class Draft:
    """An event that is to be published; `error` if it is none."""

    event: Event
    error: GatewayError | None = None


@dataclass(frozen=True, slots=True)
class Wishes:
    """How a publisher wants it; see the contract."""

    require_stored: bool = False
    dead_letter_refused: bool = False


class Publishing:
    """Takes events of callers."""

    def __init__(
        self,
        spooling: Spooling,
        schemas: Schemas,
        dead_letters: DeadLetters,
        without_data: Callable[[Event], Event],
        meter: Meter,
    ) -> None:
        self._spooling = spooling
        self._schemas = schemas
        self._dead_letters = dead_letters
        self._without_data = without_data
        self._meter = meter

    async def publish(self, caller: Caller, drafts: Sequence[Draft], wishes: Wishes) -> list[Result]:
        """A result for each event, in order. Raises InvalidRequest, TooLarge."""
        return await (await self.begin(caller, drafts, wishes))

    async def begin(
        self, caller: Caller, drafts: Sequence[Draft], wishes: Wishes, order: Order | None = None
    ) -> Coroutine[Any, Any, list[Result]]:
        """Publishes so far that what is begun later is stored later, and returns the results to await.

        Raises InvalidRequest, TooLarge.
        """
        begun = time.perf_counter()
        check_size(len(drafts), sum([len(draft.event.encoded) for draft in drafts]))
        refused = await self._check(caller, drafts)
        if refused and wishes.dead_letter_refused:
            await self._dead_letter(caller, drafts, refused)
        reached = min((index for index, one in refused.items() if one.outcome is Outcome.FAILED), default=len(drafts))
        events = [draft.event for index, draft in enumerate(drafts[:reached]) if index not in refused]
        stored = self._spooling.store(events, require_stored=wishes.require_stored, order=order)
        if order is not None and reached < len(drafts):
            order.broken = True
        return self._finish(drafts, wishes, refused, reached, stored, begun)

    async def _finish(
        self,
        drafts: Sequence[Draft],
        wishes: Wishes,
        refused: dict[int, Result],
        reached: int,
        stored: Awaitable[list[Result]],
        begun: float,
    ) -> list[Result]:
        results = await stored
        if refused:
            results = _woven(len(drafts), refused, reached, results)
        if wishes.dead_letter_refused:
            # The broker's own limit is met only there.
            for index, result in enumerate(results):
                if result.outcome is Outcome.REFUSED and index not in refused:
                    results[index] = await self._keep(drafts[index].event, result)
        self._meter.published(results, time.perf_counter() - begun)
        return results

    async def _check(self, caller: Caller, drafts: Sequence[Draft]) -> dict[int, Result]:
        """What is not to be stored, by its index, up to the first that failed and may not if published again."""
        refused: dict[int, Result] = {}
        # Types that are too long are refused below, and are nothing to remember.
        types = {draft.event.type for draft in drafts if len(draft.event.type) <= MAX_TYPE_CHARACTERS}
        allowed = {type_ for type_ in types if caller.rights.allows_event("publish", type_)}
        await self._schemas.load(allowed)
        seen = 0
        for index, draft in enumerate(drafts):
            event = draft.event
            try:
                if draft.error is not None:
                    raise draft.error
                check_event(event)
                if event.type not in allowed:
                    raise _denied(caller, event.type)
                self._schemas.check(event)
            except GatewayError as error:
                if isinstance(error, PASSING):
                    refused[index] = Result(Outcome.FAILED, error=error)
                    break
                refused[index] = Result(Outcome.REFUSED, error=error)
            seen += len(event.encoded)
            if seen > _YIELD_BYTES:
                seen = 0
                await asyncio.sleep(0)
        return refused

    async def _dead_letter(self, caller: Caller, drafts: Sequence[Draft], refused: dict[int, Result]) -> None:
        """Keep what was refused, but for what the caller may not publish: else anybody could fill the dead letters."""
        for index, result in refused.items():
            may = caller.rights.allows_event("publish", drafts[index].event.type[:MAX_TYPE_CHARACTERS])
            if result.outcome is Outcome.REFUSED and may:
                refused[index] = await self._keep(drafts[index].event, result)
                if refused[index].outcome is Outcome.FAILED:
                    return

    async def _keep(self, event: Event, result: Result) -> Result:
        """The result of keeping a refused event as a dead letter."""
        assert result.error is not None
        kept = self._without_data(event) if isinstance(result.error, TooLarge) else event
        try:
            await self._dead_letters.put(REFUSED_SUBSCRIPTION, kept, result.error.message, attempts=0, sequence=0)
        except PASSING as error:
            return Result(Outcome.FAILED, error=error)
        except TooLarge:
            return result
        return Result(Outcome.DEAD_LETTERED, error=result.error)


def check_size(count: int, size: int) -> None:
    """Raises InvalidRequest, TooLarge for so many events of so many bytes. Doors ask before they look at any of them."""
    if count > MAX_EVENTS:
        raise InvalidRequest.at("events", f"has {count} events; at most {MAX_EVENTS} are taken")
    if size > MAX_BYTES:
        description = f"has {size} bytes; at most {MAX_BYTES} are taken"
        raise TooLarge.at("events", description, limit=str(MAX_BYTES), size=str(size))


def _denied(caller: Caller, type_: str) -> PermissionDenied:
    metadata = {"principal": caller.principal, "right": "publish", "type": type_}
    return PermissionDenied(f"{caller.principal} may not publish events of type {type_!r}", (), metadata)


def _woven(count: int, refused: dict[int, Result], reached: int, stored: Sequence[Result]) -> list[Result]:
    """All results in order; from the first that failed and may not if published again, there are but such."""
    rest = iter(stored)
    unreached = Result(Outcome.FAILED, error=NotReached("an event before this one was not stored"))
    results: list[Result] = []
    failed = False
    for index in range(count):
        if index >= reached:
            result = refused.get(index, unreached) if not failed else unreached
        elif failed and index in refused:
            result = unreached
        else:
            result = refused[index] if index in refused else next(rest)
        failed = failed or result.outcome is Outcome.FAILED
        results.append(result)
    return results
