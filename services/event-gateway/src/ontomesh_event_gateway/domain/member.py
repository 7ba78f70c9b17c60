"""A member of a group: one consumer's stream, its credit and what it has not answered."""

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ontomesh_event_gateway.domain.model import Event
from ontomesh_event_gateway.errors import GatewayError, InvalidRequest
from ontomesh_event_gateway.ports import Arrival

MAX_CREDIT = 10_000
MAX_EVENTS = 256
MAX_BYTES = 1 << 20
"""What one message to a consumer may hold; an event goes out however large it is."""
MAX_BACKLOG = 2 << 20
"""Bytes that may wait for a consumer that reads slowly; then it gets no more, and others do."""


class Delivery(NamedTuple):
    """An event on its way to a consumer; `number` counts within the member's stream."""

    number: int
    encoded: bytes
    attempt: int
    sequence: int
    time: int
    traceparent: str


class Flight:
    """A delivery that has not been answered. `deadline` is by the monotonic clock, `started` in microseconds."""

    __slots__ = ("arrival", "deadline", "id", "is_sent", "source", "started", "type")

    def __init__(self, arrival: Arrival, event: Event, deadline: float) -> None:
        # What the event held is fetched again where it is needed: it may be large, and there may be many.
        self.arrival = arrival._replace(payload=b"")
        self.deadline = deadline
        self.is_sent = False
        self.started = time.time_ns() // 1000
        self.id, self.source, self.type = event.id, event.source, event.type


class Member:
    """One consumer of a subscription."""

    def __init__(self, name: str, credit: int) -> None:
        self.name = name
        self.credit = 0
        self.flights: dict[int, Flight] = {}
        self.fault: GatewayError | None = None
        self._numbers = 0
        self._outgoing: deque[Delivery] = deque()
        self._outgoing_bytes = 0
        self._wake = asyncio.Event()
        if credit:
            self.grant(credit)

    @property
    def room(self) -> int:
        """For how many events it has credit and reads fast enough."""
        return self.credit if self._outgoing_bytes < MAX_BACKLOG else 0

    def grant(self, events: int) -> None:
        """More credit. Raises InvalidRequest."""
        if events < 1 or self.credit + events > MAX_CREDIT:
            raise InvalidRequest.at(
                "credit.events", f"is from 1 to {MAX_CREDIT:,}, with what is left of earlier credit"
            )
        self.credit += events

    def deliver(self, arrival: Arrival, event: Event, deadline: float, traceparent: str) -> None:
        """Puts an event on its way."""
        self._numbers += 1
        self.credit -= 1
        self.flights[self._numbers] = Flight(arrival, event, deadline)
        self._outgoing.append(
            Delivery(self._numbers, arrival.payload, arrival.attempt, arrival.sequence, arrival.time, traceparent)
        )
        self._outgoing_bytes += len(arrival.payload)
        self._wake.set()

    async def next(self) -> list[Delivery]:
        """What is ready, at least one, as much as goes in a message. Raises what ended the stream."""
        while True:
            while not self._outgoing:
                if self.fault is not None:
                    raise self.fault
                self._wake.clear()
                await self._wake.wait()
            batch = self._ready()
            if batch:
                return batch

    def _ready(self) -> list[Delivery]:
        batch: list[Delivery] = []
        size = 0
        while self._outgoing and len(batch) < MAX_EVENTS:
            size += len(self._outgoing[0].encoded)
            if batch and size > MAX_BYTES:
                break
            delivery = self._outgoing.popleft()
            self._outgoing_bytes -= len(delivery.encoded)
            flight = self.flights.get(delivery.number)
            if flight is None:
                # Its time passed before it could be sent: it comes again.
                self.credit += 1
                continue
            flight.is_sent = True
            batch.append(delivery)
        return batch

    def end(self, fault: GatewayError) -> None:
        """Ends the stream; what is ready is forgotten."""
        self.fault = fault
        self.forget()
        self._wake.set()

    def forget(self) -> None:
        """Forgets what is out and what is ready, which takes no credit then: it will come again."""
        self.flights.clear()
        self.credit += len(self._outgoing)
        self._outgoing.clear()
        self._outgoing_bytes = 0

    def take(self, numbers: Iterable[int], now: float) -> Iterator[Flight]:
        """Those of the deliveries that are out still, which they are no more from now on."""
        flights = self.flights
        for number in numbers:
            flight = flights.get(number)
            if flight is not None and flight.deadline > now:
                del flights[number]
                yield flight

    def prolong(self, numbers: Iterable[int], now: float, deadline: float) -> Iterator[Flight]:
        """Those of the deliveries that are out still, with a new deadline, which is the latest."""
        for number in dict.fromkeys(numbers):
            for flight in self.take((number,), now):
                flight.deadline = deadline
                self.flights[number] = flight
                yield flight

    def expired(self, now: float) -> Iterator[Flight]:
        """Those whose deadline has passed, which are out no more."""
        while self.flights:
            number, flight = next(iter(self.flights.items()))
            if flight.deadline > now:
                return
            del self.flights[number]
            yield flight
