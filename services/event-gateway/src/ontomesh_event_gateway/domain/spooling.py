"""Storing events in the stream, or in the spool while the broker is away."""

import asyncio
import logging
from collections.abc import Sequence

from ontomesh_event_gateway.domain.model import Event, Order, Outcome, Result, Stored, StreamState
from ontomesh_event_gateway.errors import (
    BrokerUnavailable,
    GatewayError,
    NotReached,
    SchemaUnavailable,
    SpoolFull,
    StreamFull,
    TooLarge,
)
from ontomesh_event_gateway.ports import DeadLetters, Log, Spool

logger = logging.getLogger(__name__)

PASSING = (BrokerUnavailable, StreamFull, SpoolFull, SchemaUnavailable, NotReached)
"""What publishing the same again may not meet."""

RETRY_SECONDS = 0.25
REFUSED_SUBSCRIPTION = "@publish"
"""Where events are kept that were refused when they were published."""


class Spooling:
    """Takes events in order: to the stream, or behind those that wait in the spool."""

    def __init__(self, log: Log, spool: Spool, dead_letters: DeadLetters) -> None:
        self._log = log
        self._spool = spool
        self._dead_letters = dead_letters

    def store(
        self, events: Sequence[Event], *, require_stored: bool, order: Order | None = None
    ) -> asyncio.Future[list[Result]]:
        """A result for each event. What is stored later comes after it, unless it requires to be stored and finds older
        events in the spool.
        """
        future: asyncio.Future[list[Result]] = asyncio.get_running_loop().create_future()
        if not events:
            future.set_result([])
        elif order is not None and order.broken:
            _resolve(future, [_failed(NotReached("a message before this one was not stored"))] * len(events))
        elif not require_stored and (self._spool.depth or not self._log.available):
            self._append(events, future, [], order)
        else:

            def settle(outcomes: Sequence[Stored | GatewayError]) -> None:
                self._settle(events, outcomes, future, order, may_spool=not require_stored)

            self._log.store(events, settle, order)
        return future

    async def state(self) -> tuple[StreamState, int, int]:
        """The stream's state, and the bytes and events in the spool. Raises BrokerUnavailable."""
        return await self._log.state(), self._spool.size, self._spool.depth

    def _settle(
        self,
        events: Sequence[Event],
        outcomes: Sequence[Stored | GatewayError],
        future: asyncio.Future[list[Result]],
        order: Order | None,
        *,
        may_spool: bool,
    ) -> None:
        results: list[Result] = []
        for index, outcome in enumerate(outcomes):
            if isinstance(outcome, BrokerUnavailable) and may_spool:
                self._append(events[index:], future, results, order)
                return
            results.append(_result(outcome))
            if order is not None and results[-1].outcome is Outcome.FAILED:
                order.broken = True
        _resolve(future, results)

    def _append(
        self,
        events: Sequence[Event],
        future: asyncio.Future[list[Result]],
        before: list[Result],
        order: Order | None,
    ) -> None:
        if order is not None and order.broken:
            unreached = _failed(NotReached("a message before this one was not stored"))
            _resolve(future, [*before, *([unreached] * len(events))])
            return

        def settle(error: GatewayError | None) -> None:
            if error is not None and order is not None:
                order.broken = True
            one = Result(Outcome.SPOOLED) if error is None else _failed(error)
            _resolve(future, [*before, *([one] * len(events))])

        self._spool.append(events, settle)

    async def drain(self) -> None:
        """Forwards what is in the spool, oldest first, for as long as the task lives."""
        while True:
            try:
                is_done = await self._drain()
            except OSError as fault:
                logger.error("the spool cannot be read: %s", fault.strerror or fault)
                is_done = False
            if not is_done:
                await asyncio.sleep(RETRY_SECONDS)

    async def _drain(self) -> bool:
        """Forwards the oldest events; returns whether that was done with all of them."""
        events = await self._spool.head()
        await self._log.wait_available()
        done = await self._forward(events)
        if done:
            await self._spool.remove(done)
        return done == len(events)

    async def _forward(self, events: Sequence[Event]) -> int:
        """How many of the first events need no more forwarding."""
        future: asyncio.Future[Sequence[Stored | GatewayError]] = asyncio.get_running_loop().create_future()

        def settle(outcomes: Sequence[Stored | GatewayError]) -> None:
            if not future.done():
                future.set_result(outcomes)

        self._log.store(events, settle)
        for index, outcome in enumerate(await future):
            if isinstance(outcome, PASSING):
                return index
            if isinstance(outcome, GatewayError) and not await self._set_aside(events[index], outcome):
                return index
        return len(events)

    async def _set_aside(self, event: Event, error: GatewayError) -> bool:
        logger.error("a spooled event is refused: %s: source %r, id %r", error.message, event.source, event.id)
        try:
            await self._dead_letters.put(REFUSED_SUBSCRIPTION, event, error.message, attempts=0, sequence=0)
        except PASSING:
            return False
        except TooLarge:
            logger.exception("nor can it be kept as a dead letter")
        return True


def _result(outcome: Stored | GatewayError) -> Result:
    if isinstance(outcome, Stored):
        return Result(Outcome.DUPLICATE if outcome.duplicate else Outcome.STORED, outcome.sequence)
    return _failed(outcome) if isinstance(outcome, PASSING) else Result(Outcome.REFUSED, error=outcome)


def _failed(error: GatewayError) -> Result:
    return Result(Outcome.FAILED, error=error)


def _resolve(future: asyncio.Future[list[Result]], results: list[Result]) -> None:
    if not future.done():
        future.set_result(results)
