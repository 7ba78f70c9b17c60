"""What a call can fail with: one class for each reason of the services' contracts, grouped by gRPC code.

Catch the narrowest class that you can act on (`DocumentNotFound`), or its group (`NotFound`). What a reason
means, and what its `metadata` holds, is said in `error_reason.proto` of `proto/ontomesh/kernel/v1` and
`proto/ontomesh/events/v1`. A reason that this release does not know arrives as its group, with `reason` kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import grpc


@dataclass(frozen=True, slots=True)
class Violation:
    """One field at fault, by its path in the request, such as `operations[3].insert.body.name`."""

    field: str
    description: str


class OntomeshError(Exception):
    """Everything this package raises for a call.

    Attributes:
        message: For people; its text is no part of the interface.
        code: The gRPC status code.
        reason: An `ErrorReason` without its prefix, such as `DOCUMENT_NOT_FOUND`; empty if the failure did not
            come from the kernel.
        violations: The fields at fault, where there are any.
        metadata: What the reason documents, such as `id` or `head`.
        trace_id: 32 hexadecimal digits that find the call in the kernel's logs; empty if unknown.
        retry_after: Seconds after which the server asks for a retry; None if it does not.
    """

    default_code = grpc.StatusCode.UNKNOWN

    def __init__(
        self,
        message: str,
        *,
        code: grpc.StatusCode | None = None,
        reason: str = "",
        violations: tuple[Violation, ...] = (),
        metadata: Mapping[str, str] | None = None,
        trace_id: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = self.default_code if code is None else code
        self.reason = reason
        self.violations = violations
        self.metadata: dict[str, str] = dict(metadata or {})
        self.trace_id = trace_id
        self.retry_after = retry_after

    def __str__(self) -> str:
        return "\n  ".join([self.message, *(f"{each.field}: {each.description}" for each in self.violations)])


class ConfigurationError(OntomeshError, ValueError):
    """The connection's own settings contradict each other or cannot be read; nothing was sent."""

    default_code = grpc.StatusCode.INVALID_ARGUMENT


# Groups, by code.


class Cancelled(OntomeshError):
    """The server cancelled the call."""

    default_code = grpc.StatusCode.CANCELLED


class InvalidArgument(OntomeshError):
    """The request is wrong whatever the state of the database."""

    default_code = grpc.StatusCode.INVALID_ARGUMENT


class DeadlineExceeded(OntomeshError):
    """No answer came in time. A write may have happened: send it again with the same `request_id`."""

    default_code = grpc.StatusCode.DEADLINE_EXCEEDED


class NotFound(OntomeshError):
    """What the request names does not exist."""

    default_code = grpc.StatusCode.NOT_FOUND


class AlreadyExists(OntomeshError):
    """What the request would create exists."""

    default_code = grpc.StatusCode.ALREADY_EXISTS


class PermissionDenied(OntomeshError):
    """The principal lacks a right; `metadata` names it."""

    default_code = grpc.StatusCode.PERMISSION_DENIED


class Unauthenticated(OntomeshError):
    """The call's token is missing or not accepted."""

    default_code = grpc.StatusCode.UNAUTHENTICATED


class ResourceExhausted(OntomeshError):
    """A limit of size or rate is passed."""

    default_code = grpc.StatusCode.RESOURCE_EXHAUSTED


class FailedPrecondition(OntomeshError):
    """The database's state forbids it; the same request may succeed in another state."""

    default_code = grpc.StatusCode.FAILED_PRECONDITION


class Aborted(OntomeshError):
    """Somebody else was faster: read again, then decide again."""

    default_code = grpc.StatusCode.ABORTED


class OutOfRange(OntomeshError):
    """The request asks for what lies beyond what there is."""

    default_code = grpc.StatusCode.OUT_OF_RANGE


class Unimplemented(OntomeshError):
    """The server does not know the method, or its store cannot do what was asked."""

    default_code = grpc.StatusCode.UNIMPLEMENTED


class Internal(OntomeshError):
    """The kernel failed in a way it has no answer for; its log has the details under `trace_id`."""

    default_code = grpc.StatusCode.INTERNAL


class Unavailable(OntomeshError):
    """Nobody could serve the call now; later somebody may."""

    default_code = grpc.StatusCode.UNAVAILABLE


class DataLoss(OntomeshError):
    """Stored data is damaged."""

    default_code = grpc.StatusCode.DATA_LOSS


# Reasons, in the order of error_reason.proto. INTERNAL and PERMISSION_DENIED are their groups.


class InvalidRequest(InvalidArgument):
    """A field is missing, malformed or over its limit; `violations` names each."""


class InvalidPageToken(InvalidArgument):
    """The page token was issued by another method or for other arguments."""


class TooLarge(ResourceExhausted):
    """The request, a document or the answer is larger than its limit."""


class UnsupportedByStore(Unimplemented):
    """The store behind this kernel cannot do what was asked."""


class TokenMissing(Unauthenticated):
    """No token came with the call."""


class TokenInvalid(Unauthenticated):
    """The token is malformed, wrongly signed, or meant for somebody else."""


class TokenExpired(Unauthenticated):
    """The token's lifetime is over."""


class ForgedAuthor(PermissionDenied):
    """Another author is named, and the principal may not act for others."""


class DatabaseNotFound(NotFound):
    """No such database."""


class DatabaseAlreadyExists(AlreadyExists):
    """The database exists."""


class BranchNotFound(NotFound):
    """No such branch."""


class BranchAlreadyExists(AlreadyExists):
    """The branch exists; `metadata["head"]` is its head."""


class CommitNotFound(NotFound):
    """No commit has this id, or the history does not reach back that far."""


class InvalidRef(InvalidArgument):
    """The ref is malformed."""


class AmbiguousRef(InvalidArgument):
    """Several commits begin with this abbreviated id."""


class DocumentNotFound(NotFound):
    """No such document at this ref."""


class BranchProtected(FailedPrecondition):
    """The branch cannot be deleted."""


class MalformedBody(InvalidArgument):
    """A body is not a JSON object as the kernel accepts it."""


class InvalidDocumentId(InvalidArgument):
    """The document's `@id` is malformed, or not what its class's key generates."""


class UnknownClass(InvalidArgument):
    """The document's `@type` is missing, unknown or abstract."""


class SchemaViolation(InvalidArgument):
    """The document does not fit its class; `violations` names each fault."""


class DanglingLink(FailedPrecondition):
    """A link names a document that would not exist after the commit."""


class StillReferenced(FailedPrecondition):
    """A document to delete is still linked to; `metadata["referrers"]` names the first."""


class UniqueViolation(FailedPrecondition):
    """Another document has a value that must be unique; `metadata` has `id`, `property` and `holder`."""


class DocumentAlreadyExists(AlreadyExists):
    """A document to insert exists."""


class DuplicateOperation(InvalidArgument):
    """One commit names a document twice."""


class EtagMismatch(Aborted):
    """The document or database was changed or deleted meanwhile."""


class StaleHead(Aborted):
    """The branch moved; `metadata["head"]` is where it is now."""


class RequestIdReused(InvalidArgument):
    """The request id was used for another body."""


class EmptyCommit(FailedPrecondition):
    """The commit would change nothing."""


class InvalidSchema(InvalidArgument):
    """The ontology is malformed or inconsistent; `violations` names each fault."""


class SchemaViolatedByData(FailedPrecondition):
    """Documents of the branch do not fit the new ontology."""


class UnrelatedHistories(FailedPrecondition):
    """The two histories share no commit."""


class UnknownConflict(InvalidArgument):
    """A resolution names what is not in conflict."""


class MergeViolation(FailedPrecondition):
    """The merge's outcome would break a link or the ontology."""


class InvalidFilter(InvalidArgument):
    """The filter or order is malformed or does not fit the ontology; `metadata["column"]` says where, from 1 on."""


class QueryTooCostly(ResourceExhausted):
    """The query would examine more than its limit; a more selective filter or an index helps."""


class ImportNotFound(NotFound):
    """There is no such import of this principal, or not any more."""


class ImportInvalid(FailedPrecondition):
    """Documents of the import do not fit the ontology, or come twice; `violations` name up to 100 lines."""


class ImportConflict(Aborted):
    """Others changed documents of the import since it began; `violations` name up to 100 of them."""


class ImportOutOfStep(Aborted):
    """The import does not stand where the call takes it to be; `metadata["offset"]` says where it does."""


class CommitRejected(FailedPrecondition):
    """A validator objects to the commit; `violations` names documents and properties, `metadata["validators"]` who."""


class ValidatorUnavailable(Unavailable):
    """A validator without which no commit counts did not answer, or failed; `metadata` has `validator` and `cause`."""


class ValidatorNotFound(NotFound):
    """No such validator."""


class AddressRefused(InvalidArgument):
    """The address is one that the kernel does not call."""


class StoreUnavailable(Unavailable):
    """The store is away or busy; retrying helps."""


class StoreFull(FailedPrecondition):
    """The store is full; nothing was written."""


class Corrupt(DataLoss):
    """A stored value does not match its hash."""


class Draining(Unavailable):
    """The kernel is shutting down; a retry reaches another one, or it again."""


# Reasons of the event gateway, in the order of its error_reason.proto; those it shares with the kernel stand above.


class InvalidEvent(InvalidArgument):
    """The event is no CloudEvent 1.0; `violations` names the attributes."""


class DataViolation(InvalidArgument):
    """The event's data do not fit the schema of its type; `violations` names each fault."""


class UnknownEventType(InvalidArgument):
    """The event's type is not registered, and this gateway takes registered types alone."""


class SchemaUnavailable(Unavailable):
    """The schema of the event's type is a kernel's class, and the kernel cannot be asked now."""


class SubscriptionNotFound(NotFound):
    """No such subscription."""


class SubscriptionAlreadyExists(AlreadyExists):
    """The subscription exists."""


class EventTypeNotFound(NotFound):
    """No such event type."""


class DeadLetterNotFound(NotFound):
    """No such dead letter."""


class StartNotRetained(OutOfRange):
    """The start lies before what the stream still holds; `metadata["first_sequence"]` is the oldest event's."""


class BrokerUnavailable(Unavailable):
    """The broker is away, and the call cannot do without it; retrying helps."""


class StreamFull(ResourceExhausted):
    """The stream is full and takes no more until its retention has made room."""


class SpoolFull(ResourceExhausted):
    """The broker is away, and the gateway's spool is full."""


class NotReached(Aborted):
    """An event before this one was not stored, so that neither was this: publish again from there on, in order."""


# What the client itself finds.


class ConnectionFailed(Unavailable):
    """The address could not be reached, or the connection to it broke."""


class CircuitOpen(Unavailable):
    """Nothing was sent: the last calls all failed, and `retry_after` seconds must pass before the next try."""


GROUPS: Mapping[grpc.StatusCode, type[OntomeshError]] = {
    group.default_code: group
    for group in (
        Cancelled,
        InvalidArgument,
        DeadlineExceeded,
        NotFound,
        AlreadyExists,
        PermissionDenied,
        Unauthenticated,
        ResourceExhausted,
        FailedPrecondition,
        Aborted,
        OutOfRange,
        Unimplemented,
        Internal,
        Unavailable,
        DataLoss,
    )
}

REASONS: Mapping[str, type[OntomeshError]] = {
    "INTERNAL": Internal,
    "INVALID_REQUEST": InvalidRequest,
    "INVALID_PAGE_TOKEN": InvalidPageToken,
    "TOO_LARGE": TooLarge,
    "UNSUPPORTED_BY_STORE": UnsupportedByStore,
    "TOKEN_MISSING": TokenMissing,
    "TOKEN_INVALID": TokenInvalid,
    "TOKEN_EXPIRED": TokenExpired,
    "PERMISSION_DENIED": PermissionDenied,
    "FORGED_AUTHOR": ForgedAuthor,
    "DATABASE_NOT_FOUND": DatabaseNotFound,
    "DATABASE_ALREADY_EXISTS": DatabaseAlreadyExists,
    "BRANCH_NOT_FOUND": BranchNotFound,
    "BRANCH_ALREADY_EXISTS": BranchAlreadyExists,
    "COMMIT_NOT_FOUND": CommitNotFound,
    "INVALID_REF": InvalidRef,
    "AMBIGUOUS_REF": AmbiguousRef,
    "DOCUMENT_NOT_FOUND": DocumentNotFound,
    "BRANCH_PROTECTED": BranchProtected,
    "MALFORMED_BODY": MalformedBody,
    "INVALID_DOCUMENT_ID": InvalidDocumentId,
    "UNKNOWN_CLASS": UnknownClass,
    "SCHEMA_VIOLATION": SchemaViolation,
    "DANGLING_LINK": DanglingLink,
    "STILL_REFERENCED": StillReferenced,
    "UNIQUE_VIOLATION": UniqueViolation,
    "DOCUMENT_ALREADY_EXISTS": DocumentAlreadyExists,
    "DUPLICATE_OPERATION": DuplicateOperation,
    "ETAG_MISMATCH": EtagMismatch,
    "STALE_HEAD": StaleHead,
    "REQUEST_ID_REUSED": RequestIdReused,
    "EMPTY_COMMIT": EmptyCommit,
    "INVALID_SCHEMA": InvalidSchema,
    "SCHEMA_VIOLATED_BY_DATA": SchemaViolatedByData,
    "UNRELATED_HISTORIES": UnrelatedHistories,
    "UNKNOWN_CONFLICT": UnknownConflict,
    "MERGE_VIOLATION": MergeViolation,
    "INVALID_FILTER": InvalidFilter,
    "QUERY_TOO_COSTLY": QueryTooCostly,
    "IMPORT_NOT_FOUND": ImportNotFound,
    "IMPORT_INVALID": ImportInvalid,
    "IMPORT_CONFLICT": ImportConflict,
    "IMPORT_OUT_OF_STEP": ImportOutOfStep,
    "COMMIT_REJECTED": CommitRejected,
    "VALIDATOR_UNAVAILABLE": ValidatorUnavailable,
    "VALIDATOR_NOT_FOUND": ValidatorNotFound,
    "ADDRESS_REFUSED": AddressRefused,
    "STORE_UNAVAILABLE": StoreUnavailable,
    "STORE_FULL": StoreFull,
    "CORRUPT": Corrupt,
    "DRAINING": Draining,
}

EVENT_REASONS: Mapping[str, type[OntomeshError]] = {
    "INTERNAL": Internal,
    "INVALID_REQUEST": InvalidRequest,
    "INVALID_PAGE_TOKEN": InvalidPageToken,
    "TOO_LARGE": TooLarge,
    "TOKEN_MISSING": TokenMissing,
    "TOKEN_INVALID": TokenInvalid,
    "TOKEN_EXPIRED": TokenExpired,
    "PERMISSION_DENIED": PermissionDenied,
    "INVALID_EVENT": InvalidEvent,
    "DATA_VIOLATION": DataViolation,
    "UNKNOWN_EVENT_TYPE": UnknownEventType,
    "SCHEMA_UNAVAILABLE": SchemaUnavailable,
    "SUBSCRIPTION_NOT_FOUND": SubscriptionNotFound,
    "SUBSCRIPTION_ALREADY_EXISTS": SubscriptionAlreadyExists,
    "EVENT_TYPE_NOT_FOUND": EventTypeNotFound,
    "DEAD_LETTER_NOT_FOUND": DeadLetterNotFound,
    "ETAG_MISMATCH": EtagMismatch,
    "INVALID_SCHEMA": InvalidSchema,
    "START_NOT_RETAINED": StartNotRetained,
    "BROKER_UNAVAILABLE": BrokerUnavailable,
    "STREAM_FULL": StreamFull,
    "SPOOL_FULL": SpoolFull,
    "NOT_REACHED": NotReached,
    "DRAINING": Draining,
}
"""The classes of the event gateway's reasons."""
