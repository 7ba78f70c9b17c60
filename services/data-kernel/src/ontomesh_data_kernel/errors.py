"""The kernel's refusals, one class for each reason of `error_reason.proto`; which code each gets is the doors' table.

A refusal changes nothing. `violations` name the offending fields by their path in the request, `metadata` holds what
the reason promises.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Violation:
    """What is wrong with one field; `field` is its path, such as `operations[3].insert.body.author`."""

    field: str
    description: str

    def within(self, prefix: str) -> "Violation":
        """The same violation, seen from the message that holds the field's message at `prefix`."""
        if not self.field:
            return Violation(prefix, self.description)
        joint = "" if self.field.startswith("[") else "."
        return Violation(f"{prefix}{joint}{self.field}", self.description)


class KernelError(Exception):
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
        violations = [violation.within(prefix) for violation in self.violations]
        return type(self)(self.message, violations, self.metadata)


class InvalidRequest(KernelError):
    """A field is missing, malformed or over its limit."""


class InvalidPageToken(KernelError):
    """The page token belongs to another call, or to none."""


class TooLarge(KernelError):
    """The request, a document or the answer is larger than its limit."""

    @classmethod
    def of(cls, what: str, size: int, limit: int, field: str = "") -> Self:
        """`what` has `size` bytes or items where `limit` is allowed."""
        description = f"{what}: {size:,} where at most {limit:,} are allowed"
        violations = (Violation(field, description),) if field else ()
        return cls(description, violations, {"size": str(size), "limit": str(limit)})


class UnsupportedByStore(KernelError):
    """The store cannot do what was asked."""


class PermissionDenied(KernelError):
    """The principal lacks a right."""

    @classmethod
    def of(cls, principal: str, right: str, database: str, branch: str) -> Self:
        """`principal` may not `right` there."""
        place = f"branch {branch!r} of database {database!r}" if branch else f"database {database!r}"
        metadata = {"principal": principal, "right": right, "database": database}
        if branch:
            metadata["branch"] = branch
        return cls(f"{principal} has no right to {right} on {place}", (), metadata)


class ForgedAuthor(KernelError):
    """The principal may not act for the author it names."""

    @classmethod
    def of(cls, principal: str, author: str, database: str, branch: str) -> Self:
        """`principal` named `author`."""
        message = f"{principal} may not act for {author} on branch {branch!r} of database {database!r}"
        metadata = {"principal": principal, "author": author, "right": "act", "database": database, "branch": branch}
        return cls(message, (Violation("author", message),), metadata)


class DatabaseNotFound(KernelError):
    """No such database."""

    @classmethod
    def of(cls, database: str) -> Self:
        """No database has this name."""
        return cls(f"there is no database {database!r}", (), {"database": database})


class DatabaseAlreadyExists(KernelError):
    """The database exists."""

    @classmethod
    def of(cls, database: str) -> Self:
        """A database has this name."""
        return cls(f"database {database!r} exists", (), {"database": database})


class BranchNotFound(KernelError):
    """No such branch."""

    @classmethod
    def of(cls, database: str, branch: str) -> Self:
        """No branch has this name."""
        message = f"database {database!r} has no branch {branch!r}"
        return cls(message, (), {"database": database, "branch": branch})


class BranchAlreadyExists(KernelError):
    """The branch exists."""

    @classmethod
    def of(cls, database: str, branch: str, head: str) -> Self:
        """A branch has this name."""
        metadata = {"database": database, "branch": branch, "head": head}
        return cls(f"database {database!r} has a branch {branch!r}", (), metadata)


class BranchProtected(KernelError):
    """The branch cannot be deleted."""


class CommitNotFound(KernelError):
    """No such commit, or the history does not reach back that far."""

    @classmethod
    def of(cls, database: str, ref: str, why: str = "no commit has this id") -> Self:
        """The ref names nothing."""
        return cls(f"{ref!r} in database {database!r}: {why}", (), {"database": database, "ref": ref})


class InvalidRef(KernelError):
    """The ref is malformed."""

    @classmethod
    def of(cls, ref: str, field: str, why: str) -> Self:
        """The field holds a ref that is none."""
        return cls(f"{ref!r} is no ref: {why}", (Violation(field, why),), {"ref": ref})


class AmbiguousRef(KernelError):
    """Several commits begin with the abbreviated id."""

    @classmethod
    def of(cls, ref: str) -> Self:
        """The ref's digits are too few."""
        return cls(f"several commits begin with the digits of {ref!r}", (), {"ref": ref})


class DocumentNotFound(KernelError):
    """No such document at the ref."""

    @classmethod
    def of(cls, id: str, commit: str, field: str = "id") -> Self:
        """The commit has no document of this id."""
        message = f"there is no document {id!r} at commit {commit[:12]}"
        return cls(message, (Violation(field, message),), {"id": id, "commit": commit})


class MalformedBody(KernelError):
    """The body is no JSON object that the kernel reads."""


class InvalidDocumentId(KernelError):
    """The document's id is malformed, or not the one its class's key generates."""


class UnknownClass(KernelError):
    """The document's class is missing, unknown or abstract."""


class SchemaViolation(KernelError):
    """The document does not fit its class."""


class DanglingLink(KernelError):
    """A link names a document that does not exist."""


class StillReferenced(KernelError):
    """A document to delete is linked to."""

    @classmethod
    def of(cls, id: str, referrers: Iterable[str]) -> Self:
        """These documents (the first of them) link to it."""
        first = list(referrers)
        shown = ", ".join(first[:3]) + (" and others" if len(first) > 3 else "")
        return cls(f"{id!r} is still linked to by {shown}", (), {"id": id, "referrers": ", ".join(first)})


class UniqueViolation(KernelError):
    """Another document has a value that must be unique."""


class DocumentAlreadyExists(KernelError):
    """The document to insert exists."""

    @classmethod
    def of(cls, id: str, field: str) -> Self:
        """A document has this id."""
        message = f"document {id!r} exists"
        return cls(message, (Violation(field, message),), {"id": id})


class DuplicateOperation(KernelError):
    """One commit names a document twice."""

    @classmethod
    def of(cls, id: str, field: str) -> Self:
        """The operation in `field` is not the first for this document."""
        message = f"document {id!r} is named by an earlier operation of this commit"
        return cls(message, (Violation(field, message),), {"id": id})


class EtagMismatch(KernelError):
    """The resource is not as the caller saw it."""

    @classmethod
    def of(cls, id: str, current: str, field: str = "etag") -> Self:
        """The resource has the etag `current` now (empty: it is gone)."""
        message = f"{id!r} was changed or deleted meanwhile"
        return cls(message, (Violation(field, message),), {"id": id, "etag": current})


class StaleHead(KernelError):
    """The branch's head is not the expected one."""

    @classmethod
    def of(cls, branch: str, head: str, expected: str) -> Self:
        """The branch is at `head`."""
        message = f"branch {branch!r} is at {head[:12]}, not at {expected[:12]}"
        return cls(message, (Violation("expected_head", message),), {"head": head, "expected": expected})


class RequestIdReused(KernelError):
    """The request id was used for another body."""

    @classmethod
    def of(cls, request_id: str) -> Self:
        """The id stands for another request."""
        message = f"request id {request_id!r} was used for another request within the last 7 days"
        return cls(message, (Violation("request_id", message),), {"request_id": request_id})


class EmptyCommit(KernelError):
    """The commit would change nothing."""


class InvalidSchema(KernelError):
    """The ontology is malformed or inconsistent."""


class SchemaViolatedByData(KernelError):
    """Documents do not fit the new ontology."""


class UnrelatedHistories(KernelError):
    """The two histories share no commit."""


class UnknownConflict(KernelError):
    """A resolution names what is not in conflict."""


class MergeViolation(KernelError):
    """The merge's outcome breaks a reference or the ontology."""


class InvalidFilter(KernelError):
    """A filter or an order is malformed, or does not fit the ontology."""

    @classmethod
    def of(cls, column: int, description: str, field: str = "filter") -> Self:
        """The fault of the field begins at this character, counted from 1."""
        place = f"column {column}: {description}"
        return cls(f"{field} is invalid at {place}", (Violation(field, place),), {"column": str(column)})


class QueryTooCostly(KernelError):
    """The query would examine more than its limit."""

    @classmethod
    def of(cls, limit: int, what: str = "documents") -> Self:
        """More than `limit` documents (or `what`) would have to be examined."""
        message = f"the query would examine more than {limit:,} {what}; narrow its type or filter, or index a property"
        return cls(message, (), {"limit": str(limit)})


class ImportNotFound(KernelError):
    """There is no such import."""

    @classmethod
    def of(cls, database: str, id: str) -> Self:
        """None of this id."""
        return cls(f"database {database!r} has no import {id!r} of yours", (), {"database": database, "import": id})


class ImportInvalid(KernelError):
    """Documents of the import do not fit the ontology, or come twice."""


class ImportConflict(KernelError):
    """Others changed documents of the import since it began."""


class ImportOutOfStep(KernelError):
    """The import does not stand where the call takes it to be."""

    @classmethod
    def of(cls, message: str, offset: int) -> Self:
        """It stands at `offset`."""
        return cls(message, (Violation("offset", message),), {"offset": str(offset)})


class CommitRejected(KernelError):
    """Validators object to the commit."""


class ValidatorUnavailable(KernelError):
    """A validator did not answer in time, or failed, and no commit counts without it.

    A call that is repeated asks all validators again, as they fail.
    """

    retry_after = 1.0
    is_costly = True

    @classmethod
    def of(cls, name: str, cause: str) -> Self:
        """The validator is silent for this cause."""
        words = {
            "deadline": "did not answer in time",
            "circuit_open": "failed so often that it is not asked for a while",
        }
        message = f"validator {name!r} {words.get(cause, 'failed')}, and the commit does not count without it"
        return cls(message, (), {"validator": name, "cause": cause})


class ValidatorNotFound(KernelError):
    """There is no such validator."""

    @classmethod
    def of(cls, name: str) -> Self:
        """None of this name."""
        return cls(f"there is no validator {name!r}", (), {"validator": name})


class AddressRefused(KernelError):
    """The address is one that the kernel does not call."""


class StoreUnavailable(KernelError):
    """The store is away or busy; `retry_after` seconds may help."""

    def __init__(
        self,
        message: str,
        violations: Iterable[Violation] = (),
        metadata: Mapping[str, str] | None = None,
        retry_after: float = 0.5,
    ) -> None:
        super().__init__(message, violations, metadata)
        self.retry_after = retry_after


class StoreFull(KernelError):
    """The store has no room left."""


class Corrupt(KernelError):
    """A stored value does not match its hash."""
