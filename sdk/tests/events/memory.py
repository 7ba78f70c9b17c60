"""Events, subscriptions, dead letters and types in memory, by the event gateway's contract."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from google.protobuf.timestamp_pb2 import Timestamp

from ontomesh.events.v1.cloud_event_pb2 import CloudEvent
from ontomesh.events.v1.consume_service_pb2 import Delivery
from ontomesh.events.v1.dead_letter_service_pb2 import Attempt, DeadLetter
from ontomesh.events.v1.error_reason_pb2 import ErrorReason
from ontomesh.events.v1.event_type_service_pb2 import EventType
from ontomesh.events.v1.publish_service_pb2 import EventError, EventViolation, PublishRequest, PublishResult
from ontomesh.events.v1.subscription_pb2 import Filter, StartPoint, Subscription

HOP = "00-11111111111111111111111111111111-2222222222222222-01"


class Refusal(Exception):
    def __init__(self, reason: str, message: str, **metadata: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.metadata = metadata


@dataclass(frozen=True)
class Stored:
    sequence: int
    event: CloudEvent
    time: float


@dataclass(eq=False)
class Consumer:
    """One stream of Consume."""

    name: str
    credit: int
    next_number: int = 1
    out: dict[int, int] = field(default_factory=dict)


@dataclass
class Sub:
    """A subscription with what waits, what is out and until when, and what is dead."""

    record: Subscription
    waiting: list[tuple[float, int]] = field(default_factory=list)
    attempts: dict[int, int] = field(default_factory=dict)
    out: dict[int, tuple[float, Consumer]] = field(default_factory=dict)
    dead: dict[str, DeadLetter] = field(default_factory=dict)
    account: list[Attempt] = field(default_factory=list)
    consumers: list[Consumer] = field(default_factory=list)
    acknowledged: set[int] = field(default_factory=set)

    @property
    def deadline(self) -> float:
        return self.record.ack_deadline.ToTimedelta().total_seconds() or 30.0


def stamp(seconds: float) -> Timestamp:
    made = Timestamp()
    made.FromNanoseconds(round(seconds * 1e9))
    return made


def text_of(event: CloudEvent, name: str) -> str:
    return event.attributes[name].ce_string if name in event.attributes else ""


def fits(event: CloudEvent, wanted: Filter) -> bool:
    def one(patterns: object, value: str) -> bool:
        given = list(patterns)  # type: ignore[call-overload]
        return not given or any(fnmatchcase(value, pattern) for pattern in given)

    classes = {text_of(event, "class"), *text_of(event, "ancestors").split()}
    return (
        one(wanted.types, event.type)
        and one(wanted.sources, event.source)
        and one(wanted.subjects, text_of(event, "subject"))
        and one(wanted.databases, text_of(event, "database"))
        and one(wanted.branches, text_of(event, "branch"))
        and one(wanted.operations, text_of(event, "operation"))
        and (not wanted.classes or bool(classes & set(wanted.classes)))
        and all(one(each.patterns, text_of(event, each.name)) for each in wanted.attributes)
    )


class Memory:
    """Everything a gateway knows. `changed` guards it and tells of changes."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.stream: list[Stored] = []
        self.ids: dict[tuple[str, str], int] = {}
        self.subs: dict[str, Sub] = {}
        self.types: dict[str, EventType] = {}
        self.refused: list[DeadLetter] = []
        self.first = 1
        self.outcomes: list[PublishResult] = []
        """What a test wants to be said of the next events, instead of storing them."""
        self.requests: list[int] = []
        """How many events each request had."""
        self.renewals: list[int] = []
        self.lose_acks = False
        self.is_closed = False

    # Publishing.

    def publish(self, request: PublishRequest) -> list[PublishResult]:
        with self.changed:
            self.requests.append(len(request.events))
            results: list[PublishResult] = []
            for event in request.events:
                if results and results[-1].outcome == PublishResult.OUTCOME_FAILED:
                    results.append(failed("NOT_REACHED"))
                else:
                    results.append(self.outcomes.pop(0) if self.outcomes else self._store(event))
            self.changed.notify_all()
            return results

    def _store(self, event: CloudEvent) -> PublishResult:
        if not event.source or not event.type or not event.id:
            missing = next(name for name in ("source", "type", "id") if not getattr(event, name))
            violation = EventViolation(field=missing, description="is missing")
            error = EventError(
                reason=ErrorReason.ERROR_REASON_INVALID_EVENT, message="no CloudEvent", violations=[violation]
            )
            return PublishResult(outcome=PublishResult.OUTCOME_REFUSED, error=error)
        key = (event.source, event.id)
        if key in self.ids:
            return PublishResult(outcome=PublishResult.OUTCOME_DUPLICATE, sequence=self.ids[key])
        sequence = len(self.stream) + 1
        self.ids[key] = sequence
        self.stream.append(Stored(sequence, event, time.time()))
        for sub in self.subs.values():
            if fits(event, sub.record.filter):
                sub.waiting.append((0.0, sequence))
        return PublishResult(outcome=PublishResult.OUTCOME_STORED, sequence=sequence)

    # Starting.

    def begin(self, start: StartPoint) -> int:
        """The first sequence of a start point."""
        match start.WhichOneof("point"):
            case "all":
                return self.first
            case "sequence":
                if start.sequence < self.first:
                    raise Refusal("START_NOT_RETAINED", "too old", first_sequence=str(self.first))
                return start.sequence
            case "time":
                seconds = start.time.ToNanoseconds() / 1e9
                return next((each.sequence for each in self.stream if each.time >= seconds), len(self.stream) + 1)
            case _:
                return len(self.stream) + 1

    def sub(self, name: str) -> Sub:
        if name not in self.subs:
            raise Refusal("SUBSCRIPTION_NOT_FOUND", f"no subscription {name!r}", subscription=name)
        return self.subs[name]

    def fill(self, sub: Sub, start: StartPoint) -> None:
        """What waits, from a start point on."""
        first = self.begin(start)
        sub.waiting = [(0.0, each.sequence) for each in self.stream[first - 1 :] if fits(each.event, sub.record.filter)]
        sub.attempts.clear()

    # Consuming.

    def due(self, sub: Sub, consumer: Consumer) -> list[Delivery]:
        """What a consumer gets now."""
        now = time.monotonic()
        for sequence, (until, holder) in list(sub.out.items()):
            if now >= until:
                self.back(sub, sequence, holder, Attempt.OUTCOME_EXPIRED, "the ack_deadline passed")
        found: list[Delivery] = []
        for entry in sorted(sub.waiting, key=lambda each: each[1]):
            moment, sequence = entry
            if sub.record.paused or moment > now or consumer.credit <= 0:
                continue
            sub.waiting.remove(entry)
            sub.attempts[sequence] = sub.attempts.get(sequence, 0) + 1
            sub.out[sequence] = (now + sub.deadline, consumer)
            stored = self.stream[sequence - 1]
            number, consumer.next_number = consumer.next_number, consumer.next_number + 1
            consumer.out[number] = sequence
            consumer.credit -= 1
            found.append(
                Delivery(
                    number=number,
                    event=stored.event,
                    attempt=sub.attempts[sequence],
                    sequence=sequence,
                    store_time=stamp(stored.time),
                    traceparent=HOP,
                )
            )
        return found

    def done(self, sub: Sub, consumer: Consumer, number: int, then: Callable[[int], None]) -> None:
        sequence = consumer.out.pop(number, None)
        if sequence is not None and sub.out.get(sequence, (0.0, None))[1] is consumer:
            then(sequence)
            self.changed.notify_all()

    def ack(self, sub: Sub, consumer: Consumer, sequence: int) -> None:
        if self.lose_acks:
            return
        del sub.out[sequence]
        sub.acknowledged.add(sequence)
        self.tell(sub, sequence, consumer, Attempt.OUTCOME_ACKNOWLEDGED, "")

    def back(
        self, sub: Sub, sequence: int, holder: Consumer, why: Attempt.Outcome.ValueType, error: str, delay: float = 0.0
    ) -> None:
        if sub.attempts[sequence] >= (sub.record.max_attempts or 10):
            self.bury(sub, sequence, holder, error)
            return
        del sub.out[sequence]
        sub.waiting.append((time.monotonic() + delay, sequence))
        self.tell(sub, sequence, holder, why, error)

    def bury(self, sub: Sub, sequence: int, holder: Consumer, error: str) -> None:
        sub.out.pop(sequence, None)
        id = f"d{sequence}"
        sub.dead[id] = DeadLetter(
            id=id,
            subscription=sub.record.name,
            event=self.stream[sequence - 1].event,
            error=error,
            attempts=sub.attempts[sequence],
            sequence=sequence,
            create_time=stamp(time.time()),
        )
        self.tell(sub, sequence, holder, Attempt.OUTCOME_DEAD_LETTERED, error)

    def tell(self, sub: Sub, sequence: int, holder: Consumer, outcome: Attempt.Outcome.ValueType, error: str) -> None:
        event, now = self.stream[sequence - 1].event, stamp(time.time())
        sub.account.append(
            Attempt(
                subscription=sub.record.name,
                event_id=event.id,
                event_source=event.source,
                event_type=event.type,
                sequence=sequence,
                attempt=sub.attempts[sequence],
                outcome=outcome,
                error=error,
                consumer=holder.name,
                start_time=now,
                end_time=now,
            )
        )


def failed(reason: str) -> PublishResult:
    """A failure that may pass."""
    error = EventError(reason=ErrorReason.Value(f"ERROR_REASON_{reason}"), message=f"failed: {reason}")
    return PublishResult(outcome=PublishResult.OUTCOME_FAILED, error=error)
