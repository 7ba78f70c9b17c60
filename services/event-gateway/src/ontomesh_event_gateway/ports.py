"""What the domain needs of the world around it."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from ontomesh_event_gateway.domain.attempts import Attempt
from ontomesh_event_gateway.domain.model import ClassName, Event, Order, Result, Stored, StoredEvent, StreamState
from ontomesh_event_gateway.errors import GatewayError

# --- callers


class Rights(Protocol):
    """Who calls, and what they may do."""

    @property
    def principal(self) -> str:
        """Such as `user:ana`."""

    def allows(self, right: str, database: str, branch: str | None = None) -> bool:
        """Whether the caller has a right on a database or a branch of it."""

    def allows_everywhere(self, right: str) -> bool:
        """Whether the caller has a right on every database."""

    def allows_event(self, right: str, type_: str | None, subscription: str = "", /) -> bool:
        """Whether the caller may `publish` events of the type (None: some type or other), or `consume` them by the
        subscription, outside of all of them for an empty one.
        """


# --- publishing

Settle = Callable[[Sequence[Stored | GatewayError]], None]
"""Takes the results of storing."""


class Schemas(Protocol):
    """What the data of events must be."""

    async def load(self, types: Collection[str]) -> None:
        """Fetches what `check` needs for events of these types, where it can be had. Raises nothing."""

    def check(self, event: Event) -> None:
        """Checks an event of a type that `load` was asked for.

        Raises DataViolation, its fields relative to the event, UnknownEventType, SchemaUnavailable.
        """


class DataCheck(Protocol):
    """A compiled schema."""

    def check(self, event: Event) -> None:
        """Raises DataViolation, its fields relative to the event, unless its data are JSON that fits."""


class ClassSchemas(Protocol):
    """The classes of a kernel's ontologies, as what documents of them must be."""

    async def find(self, named: ClassName) -> None:
        """Asks the kernel whether there is such a class now.

        Raises InvalidSchema, its fields relative to an event type, SchemaUnavailable.
        """

    async def load(self, named: ClassName) -> None:
        """Asks the kernel for a class that was never known. Raises nothing."""

    def schema(self, named: ClassName) -> DataCheck:
        """The class's schema as it was last known. Raises SchemaUnavailable."""


class Log(Protocol):
    """The event stream, as far as writing to it goes."""

    @property
    def available(self) -> bool:
        """Whether storing has a chance now."""

    async def wait_available(self) -> None:
        """Returns once storing has a chance."""

    def store(self, events: Sequence[Event], settle: Settle, order: Order | None = None) -> None:
        """Stores events behind those of earlier calls, together if they fit in a batch, and calls `settle` with a result
        for each: BrokerUnavailable, StreamFull and NotReached mean that this one and those after it were not stored, as
        far as is known; TooLarge concerns one alone. Calls that fail together are settled in their order, at once. Once
        the order is broken, calls of the same order that are not stored yet get NotReached.
        """

    async def state(self) -> StreamState:
        """The stream's state. Raises BrokerUnavailable."""


class Spool(Protocol):
    """A bounded queue of events on this process' own disk."""

    @property
    def depth(self) -> int:
        """Events in it, with those that are being written."""

    @property
    def size(self) -> int:
        """Bytes in it."""

    def append(self, events: Sequence[Event], settle: Callable[[GatewayError | None], None]) -> None:
        """Keeps events behind those of earlier calls, all or none, and calls `settle` once they are synced, or with
        SpoolFull.
        """

    async def head(self) -> list[Event]:
        """The oldest events, as many as make a batch; waits until there are some."""

    async def remove(self, count: int) -> None:
        """Takes the oldest events away. After a crash they may be there again."""


class Meter(Protocol):
    """What counts publishing."""

    def published(self, results: Sequence[Result], seconds: float) -> None:
        """Counts the events of one request by what became of them."""


class DeadLetters(Protocol):
    """Where events go that cannot go on."""

    async def put(self, subscription: str, event: Event, error: str, attempts: int, sequence: int) -> None:
        """Keeps a dead letter durably, without its data where the broker takes no message as large.

        Raises BrokerUnavailable, StreamFull; TooLarge where it takes it not even so.
        """


# --- the encoded form

Decode = Callable[[bytes], Event]
"""The event of its encoded form."""


# --- records


@dataclass(frozen=True, slots=True)
class Record:
    """A small record of a bucket: its bytes, and the revision that its last change has."""

    key: str
    value: bytes
    revision: int


class RecordConflict(Exception):
    """The record is not at the expected revision: it was made, changed or deleted meanwhile."""


class Records(Protocol):
    """A bucket of small records that all replicas share.

    Reading is from a copy in memory that follows the bucket, so that it works while the broker is away. Whoever writes
    sees its own change at once, the other replicas a moment later. Any text may be a key.
    """

    @property
    def is_loaded(self) -> bool:
        """Whether the copy was ever filled; before that it is empty whatever the bucket holds."""

    def get(self, key: str) -> Record | None:
        """The record, None if there is none."""

    def all(self) -> Mapping[str, Record]:
        """Every record by key, as the copy is now; not to be changed."""

    async def put(self, key: str, value: bytes, revision: int | None = None) -> Record:
        """Writes a record: a new one where `revision` is 0, the one at that revision, or whatever there is for None.

        Raises RecordConflict, BrokerUnavailable.
        """

    async def delete(self, key: str, revision: int | None = None) -> None:
        """Deletes a record, the one at that revision if given. Raises RecordConflict, BrokerUnavailable."""

    def on_change(self, tell: Callable[[str, Record | None], None]) -> None:
        """From now on tells of every change that the copy sees: the key, and the record or None. Must not raise."""


# --- consuming


@dataclass(frozen=True, slots=True)
class Lane:
    """One consumer of the broker: a subscription's only one, or that of one partition. `ack_wait` in microseconds;
    `types` are those that alone are wanted, none for any.
    """

    name: str
    subscription: str
    generation: str
    partition: int | None
    start_sequence: int
    types: tuple[str, ...]
    ack_wait: int
    max_pending: int


@dataclass(frozen=True, slots=True)
class LaneState:
    """How far a lane has come; `acknowledged` is the sequence up to which everything is done with, `created` when its
    consumer was made.
    """

    name: str
    subscription: str
    generation: str
    pending: int
    outstanding: int
    redelivering: int
    acknowledged: int
    created: int


class Pull(Protocol):
    """Receives the messages of a lane."""

    waiting: int
    """How many were asked for and have not come."""
    pending: int
    """How many the lane had left to look at when the last one came."""

    def ask(self, count: int) -> None:
        """Asks for so many more."""

    def close(self) -> None:
        """Ends it."""

    def ack(self, reply: bytes) -> None:
        """Is done with a message."""

    def nak(self, reply: bytes, delay: int = 0) -> None:
        """Wants a message again, after a delay in microseconds."""

    def untried(self, arrival: "Arrival") -> None:
        """Tells that nobody was sent a message: it counts for no attempt, wherever it comes next."""

    def progress(self, reply: bytes) -> None:
        """Begins a message's time anew."""


class Arrival(NamedTuple):
    """A message that came by a pull, and the address at which it is answered."""

    pull: Pull
    reply: bytes
    payload: bytes
    attempt: int
    sequence: int
    time: int
    traceparent: str


class Consumers(Protocol):
    """The consumers of the broker."""

    @property
    def is_connected(self) -> bool:
        """Whether the broker can be reached."""

    async def wait_connected(self) -> None:
        """Returns once the broker can be reached."""

    def on_lost(self, tell: Callable[[], None]) -> None:
        """Tells whenever the broker cannot be reached any more: every pull is void then."""

    async def ensure(self, lane: Lane) -> None:
        """Makes a lane's consumer, or changes it to what the lane says. Raises BrokerUnavailable."""

    async def delete(self, name: str) -> None:
        """Deletes a lane's consumer if it is there. Raises BrokerUnavailable."""

    async def inspect(self, name: str) -> LaneState | None:
        """How far a lane has come, None if it has no consumer. Raises BrokerUnavailable."""

    async def all(self) -> Sequence[LaneState]:
        """Every subscription's lanes that have a consumer. Raises BrokerUnavailable."""

    def pull(self, lane: Lane, take: Callable[[Arrival | None], None], ended: Callable[[], None]) -> Pull:
        """Begins to receive a lane's messages, as many as are asked for; None stands for what was asked for and will not
        come. `ended` is told when the consumer is gone or has moved, and the pull with it. Raises BrokerUnavailable.
        """


class EventLog(Protocol):
    """The event stream, as far as reading from it goes."""

    async def bounds(self) -> tuple[int, int, int]:
        """The first sequence, the last one, and the time of the first, 0 if the stream is empty.

        Raises BrokerUnavailable.
        """

    async def at(self, sequence: int) -> Event | None:
        """The event of a sequence, None if it is gone. Raises BrokerUnavailable."""

    async def since(self, time: int) -> int | None:
        """The sequence of the first event that was stored at a time or later, None if there is none.

        Raises BrokerUnavailable.
        """

    def read(
        self, first: int, types: Sequence[str]
    ) -> AbstractAsyncContextManager[AsyncIterator[Sequence[StoredEvent]]]:
        """Events from a sequence on, in order, for ever, of these types or of any for none. Goes on by itself behind
        what was read when the broker was away. Raises BrokerUnavailable when it begins.
        """

    async def forget(self, subscription: str) -> None:
        """Takes out what was redriven for a subscription. Raises BrokerUnavailable."""


class AttemptLog(Protocol):
    """The account of deliveries."""

    def record(self, attempt: Attempt) -> None:
        """Keeps an attempt soon. Never raises: an account that cannot be kept is counted and let go."""

    async def list(self, subscription: str, event_id: str, before: int, limit: int) -> tuple[Sequence[Attempt], int]:
        """Attempts, newest first, of an event or of all for an empty id, from before a place (0: the end) on; and the
        place where to go on, 0 at the end. Raises BrokerUnavailable.
        """

    async def forget(self, subscription: str) -> None:
        """Takes a subscription's attempts out. Raises BrokerUnavailable."""


class ConsumerMeter(Protocol):
    """What counts deliveries."""

    def redelivered(self, subscription: str) -> None:
        """An event came for the second time or more."""

    def dead_lettered(self, subscription: str) -> None:
        """An event became a dead letter."""


Hop = Callable[[str, str, Event], str]
"""The `traceparent` of a delivery's own span, of the one that the event came with, the subscription and the event."""


# --- dead letters


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that could not be delivered; see the contract."""

    id: str
    subscription: str
    event: Event
    error: str
    attempts: int
    sequence: int
    create_time: int


class FoundDeadLetters(NamedTuple):
    """Some of a subscription's dead letters, and whether there are more."""

    letters: Sequence[DeadLetter]
    more: bool


class DeadLetterStore(DeadLetters, Protocol):
    """Dead letters by subscription. Every method raises BrokerUnavailable."""

    async def list(self, subscription: str, after: int, limit: int, max_bytes: int) -> FoundDeadLetters:
        """Dead letters behind an id, oldest first, as many as fit, but one at least."""

    async def last(self, subscription: str) -> int:
        """The newest one's id, 0 if there is none."""

    async def get(self, subscription: str, id_: str) -> DeadLetter | None:
        """One of them, None if there is none of that id."""

    async def count(self, subscription: str) -> int:
        """How many there are."""

    async def redrive(self, letter: DeadLetter) -> int:
        """Hands its event to its subscription again, durably, and returns its new place. Raises StreamFull."""

    async def delete(self, letter: DeadLetter) -> bool:
        """Forgets one; False if it was gone."""

    async def forget(self, subscription: str) -> None:
        """Forgets all of a subscription's."""
