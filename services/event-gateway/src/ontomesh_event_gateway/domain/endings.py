"""How deliveries end that nobody acknowledges: the account of them, and dead letters."""

import asyncio
import logging
import time
from collections.abc import Callable

from ontomesh_event_gateway.domain.attempts import Attempt, AttemptOutcome
from ontomesh_event_gateway.domain.member import Flight
from ontomesh_event_gateway.domain.model import Event
from ontomesh_event_gateway.domain.subscription import SECOND, Subscription
from ontomesh_event_gateway.errors import GatewayError
from ontomesh_event_gateway.ports import AttemptLog, ConsumerMeter, DeadLetters, EventLog

logger = logging.getLogger(__name__)

AGAIN = 5 * SECOND
"""After how long it is tried again to keep a dead letter."""


class Endings:
    """Records what deliveries of one subscription came to, and keeps its dead letters."""

    def __init__(
        self,
        subscription: Callable[[], Subscription],
        events: EventLog,
        dead: DeadLetters,
        attempts: AttemptLog,
        meter: ConsumerMeter,
    ) -> None:
        self._subscription = subscription
        self._events = events
        self._dead = dead
        self._attempts = attempts
        self._meter = meter
        self._burials: set[asyncio.Task[None]] = set()

    def record(self, flight: Flight, outcome: AttemptOutcome, error: str, consumer: str) -> None:
        """Keeps an account of a delivery."""
        self._attempts.record(
            Attempt(
                subscription=self._subscription().name,
                event_id=flight.id,
                event_source=flight.source,
                event_type=flight.type,
                sequence=flight.arrival.sequence,
                attempt=flight.arrival.attempt,
                outcome=outcome,
                error=error,
                consumer=consumer,
                start_time=flight.started,
                end_time=time.time_ns() // 1000,
            )
        )

    def bury(self, flight: Flight, error: str, consumer: str = "", event: Event | None = None) -> None:
        """Makes a dead letter of a delivery, in the background; the event is fetched again if it is not given."""
        flight.arrival.pull.progress(flight.arrival.reply)
        task = asyncio.create_task(self._make_dead(flight, event, error, consumer))
        self._burials.add(task)
        task.add_done_callback(self._burials.discard)

    async def _make_dead(self, flight: Flight, event: Event | None, error: str, consumer: str) -> None:
        """Keeps a dead letter, and only then is done with the event."""
        arrival, one = flight.arrival, self._subscription()
        attempts = min(arrival.attempt, one.max_attempts)
        try:
            event = event or await self._events.at(arrival.sequence)
            if event is not None:
                await self._dead.put(one.name, event, error, attempts, arrival.sequence)
        except GatewayError as fault:
            logger.warning("subscription %s: a dead letter cannot be kept yet: %s", one.name, fault.message)
            arrival.pull.nak(arrival.reply, AGAIN)
            return
        arrival.pull.ack(arrival.reply)
        if event is None:
            logger.warning("subscription %s: event %s is not retained any more", one.name, flight.id)
            return
        self._meter.dead_lettered(one.name)
        self.record(flight, AttemptOutcome.DEAD_LETTERED, error, consumer)
