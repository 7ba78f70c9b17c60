"""What event calls take and give back. Everything here is a value: it does not change and holds no connection."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from ontomesh.sdk.errors import OntomeshError
from ontomesh.sdk.events.event import Event

Start = Literal["new", "all"] | int | datetime
"""Where in the stream to begin: with what comes from now on, with the oldest event, with a sequence, with a time."""

Outcome = Literal["stored", "duplicate", "spooled", "refused", "dead_lettered", "failed", "unknown"]
AttemptOutcome = Literal["acknowledged", "nak", "expired", "dead_lettered", "redriven", "unknown"]
Ordering = Literal["unordered", "by_key"]
AttemptRecords = Literal["failures", "all"]

HOOK = "hook"
"""The label of a subscription that is an after-hook."""

PUBLISH_DEAD_LETTERS = "@publish"
"""The subscription whose dead letters are the events that were refused when they were published."""


@dataclass(frozen=True, slots=True)
class Published:
    """What became of an event that was published.

    Attributes:
        outcome: `stored`: it is in the stream. `duplicate`: it was there already. `spooled`: the broker is away, and it
            lies on the gateway's own disk. `refused`, `dead_lettered`: for good. `failed`: publish it again.
        sequence: Its place in the stream, if stored; else 0.
        error: Why, if it was not accepted.
    """

    outcome: Outcome
    sequence: int = 0
    error: OntomeshError | None = None

    @property
    def accepted(self) -> bool:
        """Whether it is in the stream or on its way there."""
        return self.outcome in ("stored", "duplicate", "spooled")


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events are wanted: those that fit every part that is set, by one of the part's patterns each.

    In patterns, `*` stands for any characters, and case counts. A part may be given as a single str. An empty filter
    fits every event. The last five are for kernel events only.

    Attributes:
        types: Patterns of the type.
        sources: Patterns of the source.
        subjects: Patterns of the subject.
        attributes: Patterns of further attributes by name.
        classes: Classes of the ontology; their subclasses count, as they were at the commit.
        databases: Patterns of databases.
        branches: Patterns of branches.
        operations: `insert`, `replace`, `delete`.
        paths: Properties that the commit changed, such as `address` or `address.city`.
    """

    types: Sequence[str] = ()
    sources: Sequence[str] = ()
    subjects: Sequence[str] = ()
    attributes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    classes: Sequence[str] = ()
    databases: Sequence[str] = ()
    branches: Sequence[str] = ()
    operations: Sequence[str] = ()
    paths: Sequence[str] = ()

    def __post_init__(self) -> None:
        for name in ("types", "sources", "subjects", "classes", "databases", "branches", "operations", "paths"):
            object.__setattr__(self, name, _patterns(getattr(self, name)))
        attributes = {name: _patterns(patterns) for name, patterns in self.attributes.items()}
        object.__setattr__(self, "attributes", attributes)


@dataclass(frozen=True, slots=True)
class Received:
    """An event of a stream, its place there, and when it was stored."""

    event: Event
    sequence: int
    store_time: datetime


@dataclass(frozen=True, slots=True)
class Subscription:
    """A durable wish for events: consumers that share it get each matching event at least once.

    Attributes:
        name: Its name.
        description: What it is for.
        filter: Which events it wants.
        start: Where it began.
        ordering: `by_key` delivers the next event of a key only when the one before is done with.
        ack_deadline: How long a consumer may take before an event is delivered again.
        max_attempts: How often an event is tried before it becomes a dead letter.
        max_outstanding: How many events may be with its consumers at once.
        attempt_records: Which deliveries are kept for `attempts`.
        labels: Notes for people and programs; `hook` marks an after-hook.
        paused: Whether consumers get nothing for now.
        owner: Who created it; it gets what this principal may get.
        create_time: When it was created.
        update_time: When it was last changed.
        etag: Changes with it.
    """

    name: str
    description: str
    filter: Filter
    start: Start
    ordering: Ordering
    ack_deadline: timedelta
    max_attempts: int
    max_outstanding: int
    attempt_records: AttemptRecords
    labels: Mapping[str, str]
    paused: bool
    owner: str
    create_time: datetime
    update_time: datetime
    etag: str


@dataclass(frozen=True, slots=True)
class SubscriptionStatus:
    """How far a subscription has come.

    Attributes:
        pending: Events of the stream that it has not looked at; no more than these it will deliver.
        outstanding: Events that are with consumers.
        redelivering: Of those, how many for the second time or more.
        dead_letters: Its dead letters.
        acknowledged_sequence: Every event up to this sequence is done with.
        consumers: Consumers at the replica that answered.
    """

    pending: int
    outstanding: int
    redelivering: int
    dead_letters: int
    acknowledged_sequence: int
    consumers: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that could not be delivered, or was refused when it was published, and why."""

    id: str
    subscription: str
    event: Event
    error: str
    attempts: int
    sequence: int
    create_time: datetime


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one delivery came to; `error` is what the consumer said."""

    subscription: str
    event_id: str
    event_source: str
    event_type: str
    sequence: int
    attempt: int
    outcome: AttemptOutcome
    error: str
    consumer: str
    start_time: datetime
    end_time: datetime


@dataclass(frozen=True, slots=True)
class OntologyClass:
    """A class of an ontology: data are a document of it, or of one of its subclasses, as the branch's head has it."""

    database: str
    name: str
    branch: str = ""


@dataclass(frozen=True, slots=True)
class EventType:
    """What the data of a type's events are: a JSON Schema as text, a class of an ontology, or None for anything."""

    name: str
    description: str
    schema: str | OntologyClass | None
    etag: str
    update_time: datetime
    author: str


@dataclass(frozen=True, slots=True)
class EventStream:
    """How the stream of events is kept, and how full it is.

    Attributes:
        events: Events in it.
        bytes: Bytes that they take.
        max_bytes: The most that they may take; then publishing is refused.
        max_age: How long events are kept.
        first_sequence: The oldest event's sequence.
        last_sequence: The newest event's sequence.
        first_time: When the oldest was stored; None if there is none.
        deduplication_window: How long `source` and `id` are remembered.
        replicas: On how many nodes each event lies.
        sync_interval: When the broker syncs: `always`, an interval, or empty where the gateway was not told.
        spool_bytes: Bytes in the answering gateway's spool.
        spool_events: Events in it.
    """

    events: int
    bytes: int
    max_bytes: int
    max_age: timedelta
    first_sequence: int
    last_sequence: int
    first_time: datetime | None
    deduplication_window: timedelta
    replicas: int
    sync_interval: str
    spool_bytes: int
    spool_events: int


@dataclass(frozen=True, slots=True)
class BrokenBySchema:
    """A subscription or an event type that names a class or property which would be gone, and where it does."""

    subscription: str
    event_type: str
    owner: str
    field: str
    missing: str


def _patterns(given: Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)
