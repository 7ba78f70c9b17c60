"""What each refusal answers: the one table for both doors."""

from grpc import StatusCode

from ontomesh_chassis.errors import ErrorTable
from ontomesh_event_gateway import errors

DOMAIN = "events.ontomesh"

TABLE: dict[type[BaseException], tuple[StatusCode, str]] = {
    errors.InvalidRequest: (StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"),
    errors.InvalidPageToken: (StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN"),
    errors.TooLarge: (StatusCode.RESOURCE_EXHAUSTED, "TOO_LARGE"),
    errors.PermissionDenied: (StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED"),
    errors.InvalidEvent: (StatusCode.INVALID_ARGUMENT, "INVALID_EVENT"),
    errors.DataViolation: (StatusCode.INVALID_ARGUMENT, "DATA_VIOLATION"),
    errors.UnknownEventType: (StatusCode.INVALID_ARGUMENT, "UNKNOWN_EVENT_TYPE"),
    errors.SchemaUnavailable: (StatusCode.UNAVAILABLE, "SCHEMA_UNAVAILABLE"),
    errors.SubscriptionNotFound: (StatusCode.NOT_FOUND, "SUBSCRIPTION_NOT_FOUND"),
    errors.SubscriptionAlreadyExists: (StatusCode.ALREADY_EXISTS, "SUBSCRIPTION_ALREADY_EXISTS"),
    errors.EventTypeNotFound: (StatusCode.NOT_FOUND, "EVENT_TYPE_NOT_FOUND"),
    errors.DeadLetterNotFound: (StatusCode.NOT_FOUND, "DEAD_LETTER_NOT_FOUND"),
    errors.EtagMismatch: (StatusCode.ABORTED, "ETAG_MISMATCH"),
    errors.InvalidSchema: (StatusCode.INVALID_ARGUMENT, "INVALID_SCHEMA"),
    errors.StartNotRetained: (StatusCode.OUT_OF_RANGE, "START_NOT_RETAINED"),
    errors.BrokerUnavailable: (StatusCode.UNAVAILABLE, "BROKER_UNAVAILABLE"),
    errors.StreamFull: (StatusCode.RESOURCE_EXHAUSTED, "STREAM_FULL"),
    errors.SpoolFull: (StatusCode.RESOURCE_EXHAUSTED, "SPOOL_FULL"),
    errors.NotReached: (StatusCode.ABORTED, "NOT_REACHED"),
}


def error_table() -> ErrorTable:
    """The table as both doors use it."""
    return ErrorTable(DOMAIN, TABLE)
