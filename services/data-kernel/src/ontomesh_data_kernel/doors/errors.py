"""What each refusal answers: the one table for both doors."""

from grpc import StatusCode

from ontomesh_chassis.errors import ErrorTable
from ontomesh_data_kernel import errors

DOMAIN = "kernel.ontomesh"

TABLE: dict[type[BaseException], tuple[StatusCode, str]] = {
    errors.InvalidRequest: (StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"),
    errors.InvalidPageToken: (StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN"),
    errors.TooLarge: (StatusCode.RESOURCE_EXHAUSTED, "TOO_LARGE"),
    errors.UnsupportedByStore: (StatusCode.UNIMPLEMENTED, "UNSUPPORTED_BY_STORE"),
    errors.PermissionDenied: (StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED"),
    errors.ForgedAuthor: (StatusCode.PERMISSION_DENIED, "FORGED_AUTHOR"),
    errors.DatabaseNotFound: (StatusCode.NOT_FOUND, "DATABASE_NOT_FOUND"),
    errors.DatabaseAlreadyExists: (StatusCode.ALREADY_EXISTS, "DATABASE_ALREADY_EXISTS"),
    errors.BranchNotFound: (StatusCode.NOT_FOUND, "BRANCH_NOT_FOUND"),
    errors.BranchAlreadyExists: (StatusCode.ALREADY_EXISTS, "BRANCH_ALREADY_EXISTS"),
    errors.BranchProtected: (StatusCode.FAILED_PRECONDITION, "BRANCH_PROTECTED"),
    errors.CommitNotFound: (StatusCode.NOT_FOUND, "COMMIT_NOT_FOUND"),
    errors.InvalidRef: (StatusCode.INVALID_ARGUMENT, "INVALID_REF"),
    errors.AmbiguousRef: (StatusCode.INVALID_ARGUMENT, "AMBIGUOUS_REF"),
    errors.DocumentNotFound: (StatusCode.NOT_FOUND, "DOCUMENT_NOT_FOUND"),
    errors.MalformedBody: (StatusCode.INVALID_ARGUMENT, "MALFORMED_BODY"),
    errors.InvalidDocumentId: (StatusCode.INVALID_ARGUMENT, "INVALID_DOCUMENT_ID"),
    errors.UnknownClass: (StatusCode.INVALID_ARGUMENT, "UNKNOWN_CLASS"),
    errors.SchemaViolation: (StatusCode.INVALID_ARGUMENT, "SCHEMA_VIOLATION"),
    errors.DanglingLink: (StatusCode.FAILED_PRECONDITION, "DANGLING_LINK"),
    errors.StillReferenced: (StatusCode.FAILED_PRECONDITION, "STILL_REFERENCED"),
    errors.UniqueViolation: (StatusCode.FAILED_PRECONDITION, "UNIQUE_VIOLATION"),
    errors.DocumentAlreadyExists: (StatusCode.ALREADY_EXISTS, "DOCUMENT_ALREADY_EXISTS"),
    errors.DuplicateOperation: (StatusCode.INVALID_ARGUMENT, "DUPLICATE_OPERATION"),
    errors.EtagMismatch: (StatusCode.ABORTED, "ETAG_MISMATCH"),
    errors.StaleHead: (StatusCode.ABORTED, "STALE_HEAD"),
    errors.RequestIdReused: (StatusCode.INVALID_ARGUMENT, "REQUEST_ID_REUSED"),
    errors.EmptyCommit: (StatusCode.FAILED_PRECONDITION, "EMPTY_COMMIT"),
    errors.InvalidSchema: (StatusCode.INVALID_ARGUMENT, "INVALID_SCHEMA"),
    errors.SchemaViolatedByData: (StatusCode.FAILED_PRECONDITION, "SCHEMA_VIOLATED_BY_DATA"),
    errors.UnrelatedHistories: (StatusCode.FAILED_PRECONDITION, "UNRELATED_HISTORIES"),
    errors.UnknownConflict: (StatusCode.INVALID_ARGUMENT, "UNKNOWN_CONFLICT"),
    errors.MergeViolation: (StatusCode.FAILED_PRECONDITION, "MERGE_VIOLATION"),
    errors.InvalidFilter: (StatusCode.INVALID_ARGUMENT, "INVALID_FILTER"),
    errors.QueryTooCostly: (StatusCode.RESOURCE_EXHAUSTED, "QUERY_TOO_COSTLY"),
    errors.ImportNotFound: (StatusCode.NOT_FOUND, "IMPORT_NOT_FOUND"),
    errors.ImportInvalid: (StatusCode.FAILED_PRECONDITION, "IMPORT_INVALID"),
    errors.ImportConflict: (StatusCode.ABORTED, "IMPORT_CONFLICT"),
    errors.ImportOutOfStep: (StatusCode.ABORTED, "IMPORT_OUT_OF_STEP"),
    errors.CommitRejected: (StatusCode.FAILED_PRECONDITION, "COMMIT_REJECTED"),
    errors.ValidatorUnavailable: (StatusCode.UNAVAILABLE, "VALIDATOR_UNAVAILABLE"),
    errors.ValidatorNotFound: (StatusCode.NOT_FOUND, "VALIDATOR_NOT_FOUND"),
    errors.AddressRefused: (StatusCode.INVALID_ARGUMENT, "ADDRESS_REFUSED"),
    errors.StoreUnavailable: (StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE"),
    errors.StoreFull: (StatusCode.FAILED_PRECONDITION, "STORE_FULL"),
    errors.Corrupt: (StatusCode.DATA_LOSS, "CORRUPT"),
}


def error_table() -> ErrorTable:
    """The table as both doors use it."""
    return ErrorTable(DOMAIN, TABLE)
