"""The gateway's refusals, one class for each reason of `error_reason.proto`; which code each gets is the doors' table."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Violation:
    """What is wrong with one field; `field` is its path, such as `filter.classes[0]`."""

    field: str
    description: str

    def within(self, prefix: str) -> "Violation":
        """The same violation, seen from the message that holds the field's message at `prefix`."""
        joint = "." if self.field and not self.field.startswith("[") else ""
        return Violation(f"{prefix}{joint}{self.field}", self.description)


class GatewayError(Exception):
    """The base of every refusal."""

    def __init__(
        self, message: str, violations: Iterable[Violation] = (), metadata: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.violations = tuple(violations)
        self.metadata: dict[str, str] = dict(metadata or {})

    @classmethod
    def at(cls, field: str, description: str, **metadata: str) -> Self:
        """A refusal of one field."""
        return cls(f"{field}: {description}", (Violation(field, description),), metadata)

    def within(self, prefix: str) -> Self:
        """The same refusal, its fields seen from the message that holds them at `prefix`."""
        return type(self)(self.message, [violation.within(prefix) for violation in self.violations], self.metadata)


class InvalidRequest(GatewayError):
    """A field is missing, malformed or over its limit."""


class InvalidPageToken(GatewayError):
    """The page token belongs to another call, or to none."""


class TooLarge(GatewayError):
    """The request, an event or the answer is larger than its limit."""


class PermissionDenied(GatewayError):
    """The principal lacks a right."""


class InvalidEvent(GatewayError):
    """The event is no CloudEvent 1.0."""


class DataViolation(GatewayError):
    """The event's data do not fit the schema of its type."""


class UnknownEventType(GatewayError):
    """The event's type is not registered, and must be."""


class SchemaUnavailable(GatewayError):
    """The schema is a kernel's class, and the kernel cannot be asked."""


class SubscriptionNotFound(GatewayError):
    """There is no such subscription."""

    @classmethod
    def of(cls, name: str) -> Self:
        """The refusal for a name."""
        return cls(f"there is no subscription {name!r}", (), {"subscription": name})


class SubscriptionAlreadyExists(GatewayError):
    """The subscription exists."""


class EventTypeNotFound(GatewayError):
    """There is no such event type."""


class DeadLetterNotFound(GatewayError):
    """There is no such dead letter."""


class EtagMismatch(GatewayError):
    """The resource was changed or deleted meanwhile."""


class InvalidSchema(GatewayError):
    """The schema is none."""


class StartNotRetained(GatewayError):
    """The start point lies before what the stream still holds."""


class BrokerUnavailable(GatewayError):
    """The broker is away."""


class StreamFull(GatewayError):
    """The stream takes no more until its retention has made room."""


class SpoolFull(GatewayError):
    """The broker is away and the spool is full."""


class NotReached(GatewayError):
    """An event before this one was not stored, so neither was this."""
