"""A subscription as it is kept, and what it may be."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from ontomesh_event_gateway.domain.filters import OPERATIONS, AttributeFilter, Filter
from ontomesh_event_gateway.errors import InvalidRequest, Violation

SECOND = 1_000_000
MAX_NAME = 128
MAX_DESCRIPTION_BYTES = 4_096
MAX_PATTERNS = 100
MAX_PATTERN_BYTES = 1_024
MAX_LABELS = 64
MAX_LABEL_NAME_BYTES = 128
MAX_LABEL_BYTES = 4_096
ACK_DEADLINES = (SECOND, 3_600 * SECOND)
MAX_ATTEMPTS = 1_000
MAX_OUTSTANDING = 10_000
DEFAULT_ACK_DEADLINE = 30 * SECOND
DEFAULT_ATTEMPTS = 10
DEFAULT_OUTSTANDING = 1_000
MAX_VIOLATIONS = 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)
_ATTRIBUTE = re.compile(r"[a-z0-9]{1,20}", re.ASCII)


class Point(Enum):
    """What a start point is given by."""

    NEW = "new"
    ALL = "all"
    SEQUENCE = "sequence"
    TIME = "time"


@dataclass(frozen=True, slots=True)
class Start:
    """Where in the stream to begin; `value` is the sequence or the time."""

    point: Point = Point.NEW
    value: int = 0


class Ordering(Enum):
    """In which order events are delivered."""

    UNORDERED = "unordered"
    BY_KEY = "by_key"


class AttemptRecords(Enum):
    """Which deliveries are kept."""

    FAILURES = "failures"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription.

    `claim` has the rights that the creating token named, None where it named none. `generation` names the position,
    which began at `start_sequence`; a replay makes another. `ack_deadline` is in microseconds.
    """

    name: str
    description: str = ""
    filter: Filter = field(default_factory=Filter)
    start: Start = field(default_factory=Start)
    ordering: Ordering = Ordering.UNORDERED
    ack_deadline: int = DEFAULT_ACK_DEADLINE
    max_attempts: int = DEFAULT_ATTEMPTS
    max_outstanding: int = DEFAULT_OUTSTANDING
    attempt_records: AttemptRecords = AttemptRecords.FAILURES
    labels: Mapping[str, str] = field(default_factory=dict)
    paused: bool = False
    owner: str = ""
    claim: tuple[str, ...] | None = None
    create_time: int = 0
    update_time: int = 0
    generation: str = ""
    start_sequence: int = 0
    etag: str = ""


def is_name(name: str) -> bool:
    """Whether a text can be a subscription's name."""
    return _NAME.fullmatch(name) is not None


def check(one: Subscription) -> None:
    """Raises InvalidRequest, its fields relative to the subscription, unless it is within all limits."""
    refuse(list(violations(one)))


def check_filter(one: Filter) -> None:
    """Raises InvalidRequest, its fields relative to the filter."""
    refuse(list(_of_filter(one)))


def refuse(found: Sequence[Violation]) -> None:
    """Raises InvalidRequest if there are violations."""
    if found:
        raise InvalidRequest(f"{found[0].field}: {found[0].description}", found[:MAX_VIOLATIONS])


def violations(one: Subscription) -> Iterator[Violation]:
    """What is wrong with a subscription."""
    if not is_name(one.name):
        yield Violation("name", "is 1 to 128 letters, digits, '.', '_' and '-', beginning with a letter or digit")
    yield from _text("description", one.description, MAX_DESCRIPTION_BYTES)
    for violation in _of_filter(one.filter):
        yield violation.within("filter")
    shortest, longest = ACK_DEADLINES
    if not shortest <= one.ack_deadline <= longest:
        yield Violation("ack_deadline", "is from 1 s to 1 h")
    if not 1 <= one.max_attempts <= MAX_ATTEMPTS:
        yield Violation("max_attempts", f"is from 1 to {MAX_ATTEMPTS:,}, or 0 for {DEFAULT_ATTEMPTS}")
    if not 1 <= one.max_outstanding <= MAX_OUTSTANDING:
        yield Violation("max_outstanding", f"is from 1 to {MAX_OUTSTANDING:,}, or 0 for {DEFAULT_OUTSTANDING:,}")
    if len(one.labels) > MAX_LABELS:
        yield Violation("labels", f"are more than {MAX_LABELS}")
    for name, value in one.labels.items():
        if not name:
            yield Violation("labels", "have a name that is empty")
        yield from _text("labels", name, MAX_LABEL_NAME_BYTES)
        yield from _text(f"labels[{name[:MAX_LABEL_NAME_BYTES]}]", value, MAX_LABEL_BYTES)


def _of_filter(one: Filter) -> Iterator[Violation]:
    for part in ("types", "sources", "subjects", "classes", "databases", "branches", "operations", "paths"):
        yield from _patterns(part, getattr(one, part), may_be_empty=part == "subjects")
    for index, operation in enumerate(one.operations):
        if operation not in OPERATIONS:
            yield Violation(f"operations[{index}]", f"is one of {', '.join(OPERATIONS)}")
    for part in ("classes", "paths"):
        for index, name in enumerate(getattr(one, part)):
            if "*" in name:
                yield Violation(f"{part}[{index}]", "is a name, not a pattern: '*' is not allowed")
    if len(one.attributes) > MAX_PATTERNS:
        yield Violation("attributes", f"are more than {MAX_PATTERNS}")
    for index, attribute in enumerate(one.attributes):
        for violation in _of_attribute(attribute):
            yield violation.within(f"attributes[{index}]")


def _of_attribute(one: AttributeFilter) -> Iterator[Violation]:
    if not _ATTRIBUTE.fullmatch(one.name):
        yield Violation("name", "is 1 to 20 lower-case letters and digits")
    if not one.patterns:
        yield Violation("patterns", "are none")
    yield from _patterns("patterns", one.patterns, may_be_empty=True)


def _patterns(part: str, patterns: Sequence[str], *, may_be_empty: bool) -> Iterator[Violation]:
    if len(patterns) > MAX_PATTERNS:
        yield Violation(part, f"are more than {MAX_PATTERNS}")
    for index, pattern in enumerate(patterns):
        if not pattern and not may_be_empty:
            yield Violation(f"{part}[{index}]", "is empty")
        yield from _text(f"{part}[{index}]", pattern, MAX_PATTERN_BYTES)


def _text(place: str, text: str, limit: int) -> Iterator[Violation]:
    if len(text.encode("utf-8", "surrogatepass")) > limit:
        yield Violation(place, f"is longer than {limit:,} bytes")
    if "\0" in text:
        yield Violation(place, "holds a NUL character")
