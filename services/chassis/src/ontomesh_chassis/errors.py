"""The one table from exception classes to codes and reasons, and the chassis' own errors."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from grpc import StatusCode

from ontomesh_chassis.reply import Reply, Violation

logger = logging.getLogger(__name__)

INTERNAL_MESSAGE = "The service failed unexpectedly. Its log holds the details under this trace id."


@runtime_checkable
class FieldViolation(Protocol):
    """What a violation on a domain error looks like; `field` is a path such as `operations[3].body`."""

    @property
    def field(self) -> str:
        """The offending field's path in the request."""

    @property
    def description(self) -> str:
        """What is wrong with it, in words for the caller."""


class ChassisError(Exception):
    """An error of the chassis itself, known to every table."""

    code = StatusCode.INTERNAL
    reason = "INTERNAL"

    def __init__(
        self, message: str, *, metadata: Mapping[str, str] | None = None, violations: Sequence[FieldViolation] = ()
    ) -> None:
        super().__init__(message)
        self.message = message
        self.metadata = dict(metadata or {})
        self.violations = tuple(violations)


class Unauthenticated(ChassisError):
    """The caller is not known."""

    code = StatusCode.UNAUTHENTICATED


class TokenMissing(Unauthenticated):
    """No bearer token came with the call."""

    reason = "TOKEN_MISSING"

    def __init__(self) -> None:
        super().__init__("The call brought no token. Send it as `authorization: Bearer <token>`.")


class TokenInvalid(Unauthenticated):
    """The token is malformed, of an unknown key, wrongly signed or not meant for this service."""

    reason = "TOKEN_INVALID"


class TokenExpired(Unauthenticated):
    """The token's lifetime is over."""

    reason = "TOKEN_EXPIRED"


class PermissionDenied(ChassisError):
    """The principal lacks a right."""

    code = StatusCode.PERMISSION_DENIED
    reason = "PERMISSION_DENIED"

    def __init__(self, principal: str, right: str, database: str, branch: str | None = None) -> None:
        where = f"database {database!r}" if branch is None else f"branch {branch!r} of database {database!r}"
        metadata = {"principal": principal, "right": right, "database": database}
        if branch is not None:
            metadata["branch"] = branch
        super().__init__(f"{principal} lacks the right to {right} on {where}.", metadata=metadata)


class EventPermissionDenied(PermissionDenied):
    """The principal lacks a right over a type of event or a subscription."""

    def __init__(self, principal: str, right: str, type: str | None, subscription: str = "") -> None:
        where = f"subscription {subscription!r}" if subscription else "any type of event"
        metadata = {"principal": principal, "right": right}
        if type is not None:
            where = f"events of type {type!r}" + (f" by {where}" if subscription else "")
            metadata["type"] = type
        if subscription:
            metadata["subscription"] = subscription
        ChassisError.__init__(self, f"{principal} lacks the right to {right} {where}.", metadata=metadata)


class ForgedAuthor(ChassisError):
    """The call names another author and the principal may not act for others there."""

    code = StatusCode.PERMISSION_DENIED
    reason = "FORGED_AUTHOR"

    def __init__(self, principal: str, author: str, database: str, branch: str) -> None:
        super().__init__(
            f"{principal} may not act for {author!r} on branch {branch!r} of database {database!r}.",
            metadata={
                "principal": principal,
                "author": author,
                "right": "act",
                "database": database,
                "branch": branch,
            },
        )


class InvalidRequest(ChassisError):
    """The request could not be read, or fields of it are malformed."""

    code = StatusCode.INVALID_ARGUMENT
    reason = "INVALID_REQUEST"


class TooLarge(ChassisError):
    """A request or an answer over its limit in bytes; `size` may be unknown."""

    code = StatusCode.RESOURCE_EXHAUSTED
    reason = "TOO_LARGE"

    def __init__(self, what: str, limit: int, size: int | None = None) -> None:
        metadata = {"limit": str(limit)} if size is None else {"limit": str(limit), "size": str(size)}
        super().__init__(f"The {what} is larger than the limit of {limit} bytes.", metadata=metadata)


class Draining(ChassisError):
    """The service is shutting down; a retry finds another replica, or its successor."""

    code = StatusCode.UNAVAILABLE
    reason = "DRAINING"
    retry_after = 1.0

    def __init__(self) -> None:
        super().__init__("The service is shutting down.")


class ErrorTable:
    """What each exception class answers: a canonical code and a reason of the service's contract.

    A class is looked up by its MRO, so that an entry covers its subclasses. An exception's attributes travel
    along where it has them: `message` (else `str`), `violations` (each with `field` and `description`),
    `metadata` (strings), `retry_after` (seconds) and `is_costly` (see `Reply`). An exception without an entry becomes INTERNAL with a
    fixed message. The chassis' own errors are in every table.
    """

    def __init__(self, domain: str, entries: Mapping[type[BaseException], tuple[StatusCode, str]]) -> None:
        self.domain = domain
        self.entries = dict(entries)

    def lookup(self, error: type[BaseException]) -> tuple[StatusCode, str] | None:
        """The code and reason of an exception class, or None where the table has no entry."""
        for ancestor in error.__mro__:
            entry = self.entries.get(ancestor)
            if entry is not None:
                return entry
            if issubclass(ancestor, ChassisError):
                return ancestor.code, ancestor.reason
        return None

    def reply(self, error: BaseException, trace_id: str) -> Reply:
        """What a caller is answered when a handler raised `error`; what no entry covers is logged here."""
        entry = self.lookup(type(error))
        if entry is None:
            logger.error("unexpected %s", type(error).__name__, exc_info=error)
            return Reply(StatusCode.INTERNAL, "INTERNAL", INTERNAL_MESSAGE, self.domain, {"trace_id": trace_id})
        code, reason = entry
        return Reply(
            code,
            reason,
            str(getattr(error, "message", "") or error),
            self.domain,
            {**getattr(error, "metadata", {}), "trace_id": trace_id},
            tuple(Violation(v.field, v.description) for v in getattr(error, "violations", ())),
            getattr(error, "retry_after", None),
            getattr(error, "is_costly", False),
        )
