"""The gateway's nouns, as its doors and its adapters see them. Times are microseconds since the Unix epoch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from ontomesh_event_gateway.errors import GatewayError

Value = bool | int | str | bytes
"""The value of an attribute; URIs are text, and times are text by RFC 3339."""

PARTITIONS = 16
"""Over how many subjects the keys of events are spread. Fixed: a stream keeps the events of before."""


@dataclass(frozen=True, slots=True)
class Event:
    """A CloudEvent.

    `attributes` has what is set beyond id, source and type, by name. `data` is None without data; a text is data by
    `text_data`. `encoded` is the event in the protobuf format of CloudEvents, as it is stored and sent.
    """

    id: str
    source: str
    type: str
    attributes: Mapping[str, Value] = field(default_factory=dict)
    data: bytes | str | None = None
    encoded: bytes = b""

    def text(self, name: str) -> str:
        """An attribute as text; empty if it is not set."""
        value = self.attributes.get(name, "")
        return value if isinstance(value, str) else str(value)

    @property
    def subject(self) -> str:
        """The subject; empty if it has none."""
        return self.text("subject")

    @property
    def key(self) -> str:
        """What order is kept by: `partitionkey`, or source and subject."""
        return self.text("partitionkey") or f"{self.source}\n{self.subject}"


@dataclass(frozen=True, slots=True)
class ClassName:
    """A class of a kernel's ontology, at the head of a branch."""

    database: str
    branch: str
    name: str


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event in the stream."""

    event: Event
    sequence: int
    time: int
    traceparent: str = ""


@dataclass(frozen=True, slots=True)
class Stored:
    """An event's place in the stream; `duplicate` if it was there before, where the place may be 0 for unknown."""

    sequence: int
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class StreamState:
    """How the stream of events is kept and how full it is. Ages are in seconds; `first_time` is 0 if it is empty."""

    events: int
    bytes: int
    max_bytes: int
    max_age: float
    first_sequence: int
    last_sequence: int
    first_time: int
    deduplication_window: float
    replicas: int
    sync_interval: str


class Outcome(Enum):
    """What became of an event that was published."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    SPOOLED = "spooled"
    REFUSED = "refused"
    DEAD_LETTERED = "dead_lettered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one event; `sequence` if it is STORED, `error` if it is REFUSED, DEAD_LETTERED or FAILED."""

    outcome: Outcome
    sequence: int = 0
    error: GatewayError | None = None


@dataclass(slots=True)
class Order:
    """An order that publishing keeps; `broken` once events of it were not stored that may be if published again."""

    broken: bool = False
