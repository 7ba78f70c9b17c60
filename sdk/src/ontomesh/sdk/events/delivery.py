"""A delivery: an event that a consumer is to be done with, and how it says so."""

from datetime import UTC, datetime, timedelta
from functools import cached_property
from types import TracebackType
from typing import Protocol

from opentelemetry.trace import Span

from ontomesh.events.v1 import consume_service_pb2
from ontomesh.sdk.events import wire
from ontomesh.sdk.events.event import Event
from ontomesh.sdk.events.processing import Processing, Token


class Retry(Exception):
    """Raised by a handler that wants an event again, after `delay` seconds at the earliest, at most 24 h."""

    def __init__(self, delay: timedelta | float = 0.0, reason: str = "") -> None:
        super().__init__(reason)
        self.delay = wire.seconds(delay)
        self.reason = reason


class Reject(Exception):
    """Raised by a handler that never wants an event again: it becomes a dead letter, with the reason."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason


class Answers(Protocol):
    """Where a delivery's answer goes."""

    def acknowledge(self, delivery: "Delivery") -> None:
        """It is done with."""
        ...

    def nak(self, delivery: "Delivery", delay: timedelta, error: str) -> None:
        """It is wanted again."""
        ...

    def reject(self, delivery: "Delivery", error: str) -> None:
        """It is never wanted again."""
        ...


class Delivery:
    """An event on its way to a consumer; what is not answered is delivered again.

    Answers may be given from any thread, and only the first counts. Or use it as a context: what happens within is a
    span of the event's trace; leaving it acknowledges, `Retry` and `Reject` do what they say, and another exception
    asks for the event again and is raised.

        for delivery in mesh.events.deliveries("orders"):
            with delivery as event:
                handle(event)

    Attributes:
        attempt: Which attempt this is, from 1 on.
        sequence: The event's place in the stream.
        traceparent: The hop that brought it, by W3C trace context.
    """

    def __init__(
        self, message: consume_service_pb2.Delivery, answers: Answers, processing: Processing, backoff: "Backoff"
    ) -> None:
        self.attempt = message.attempt
        self.sequence = message.sequence
        self.traceparent = message.traceparent
        self._message = message
        self._answers = answers
        self._processing = processing
        self._backoff = backoff
        self._begun: tuple[Span, Token] | None = None

    @cached_property
    def event(self) -> Event:
        """The event."""
        return wire.event(self._message.event)

    @property
    def store_time(self) -> datetime:
        """When it was stored."""
        return self._message.store_time.ToDatetime(UTC)

    def ack(self) -> None:
        """Says that the event is done with."""
        self._answers.acknowledge(self)

    def nak(self, delay: timedelta | float = 0.0, error: str = "") -> None:
        """Asks for the event again, after `delay` seconds at the earliest, at most 24 h; the error stays with it."""
        self._answers.nak(self, wire.seconds(delay), error)

    def reject(self, error: str = "") -> None:
        """Makes a dead letter of the event."""
        self._answers.reject(self, error)

    def __enter__(self) -> Event:
        self._begun = self._processing.begin(self.event, self.traceparent, self.attempt)
        return self.event

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        begun, self._begun = self._begun, None
        if begun is not None:
            self._processing.end(*begun, error)
        return self.settle(error)

    def settle(self, error: BaseException | None) -> bool:
        """Answers by how the event's handling ended; whether the exception has done its part."""
        if error is None:
            self.ack()
        elif isinstance(error, Retry):
            self.nak(error.delay, error.reason)
        elif isinstance(error, Reject):
            self.reject(error.reason)
        elif isinstance(error, Exception):
            self.nak(self._backoff(self.attempt), f"{type(error).__name__}: {error}")
            return False
        else:
            self.nak(0.0, "the consumer was stopped")
            return False
        return True


class Backoff(Protocol):
    """How long to wait, in seconds, after an attempt that failed."""

    def __call__(self, attempt: int, /) -> float:
        """Seconds after this attempt, from 1 on."""
        ...


def doubling(attempt: int) -> float:
    """1, 2, 4, ... seconds, at most 60."""
    return min(2.0 ** min(attempt - 1, 10), 60.0)
