"""What deliveries came to."""

from dataclasses import dataclass
from enum import Enum


class AttemptOutcome(Enum):
    """What a delivery came to."""

    ACKNOWLEDGED = "acknowledged"
    NAK = "nak"
    EXPIRED = "expired"
    DEAD_LETTERED = "dead_lettered"
    REDRIVEN = "redriven"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One delivery's account; times in microseconds."""

    subscription: str
    event_id: str
    event_source: str
    event_type: str
    sequence: int
    attempt: int
    outcome: AttemptOutcome
    error: str = ""
    consumer: str = ""
    start_time: int = 0
    end_time: int = 0


@dataclass(frozen=True, slots=True)
class AttemptPage:
    """Attempts, newest first."""

    attempts: tuple[Attempt, ...]
    next_page_token: str
