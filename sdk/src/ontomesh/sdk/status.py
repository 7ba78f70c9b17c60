"""From a failed gRPC call to the error that its details name."""

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from ontomesh.sdk.errors import (
    EVENT_REASONS,
    GROUPS,
    REASONS,
    ConnectionFailed,
    DeadlineExceeded,
    OntomeshError,
    Violation,
)

DOMAINS = {"kernel.ontomesh": REASONS, "events.ontomesh": EVENT_REASONS}
TRACE_ID = "x-ontomesh-trace-id"


def error_of(failure: grpc.aio.AioRpcError, address: str, timeout: float) -> OntomeshError:
    """The error for a failed call to `address`; by the reason in its details, else by its code."""
    code, details = failure.code(), failure.details() or ""
    trace_id = _trailing(failure, TRACE_ID)
    status = _status_of(failure)
    if status is None:
        return _without_details(code, details, trace_id, address, timeout)
    info, violations, retry_after = _unpack(status)
    kind = DOMAINS.get(info.domain, {}).get(info.reason) or GROUPS.get(code, OntomeshError)
    return kind(
        status.message or details,
        code=code,
        reason=info.reason,
        violations=violations,
        metadata=info.metadata,
        trace_id=info.metadata.get("trace_id", trace_id),
        retry_after=retry_after,
    )


def _without_details(code: grpc.StatusCode, details: str, trace_id: str, address: str, timeout: float) -> OntomeshError:
    if code is grpc.StatusCode.UNAVAILABLE:
        return ConnectionFailed(
            f"cannot reach {address} ({details or 'no connection'}); "
            "if no stack runs there, start one with `make up` or `ontomesh up`",
            trace_id=trace_id,
        )
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return DeadlineExceeded(f"no answer from {address} within {timeout:g} s", trace_id=trace_id)
    kind = GROUPS.get(code, OntomeshError)
    return kind(details or f"{address} answered {code.name}", code=code, trace_id=trace_id)


def _status_of(failure: grpc.aio.AioRpcError) -> status_pb2.Status | None:
    try:
        status: status_pb2.Status | None = rpc_status.from_call(failure)  # type: ignore[arg-type]  # has what it reads
    except (ValueError, DecodeError):
        return None  # Details that contradict the call, or are none, say less than the code.
    return status


def _unpack(
    status: status_pb2.Status,
) -> tuple[error_details_pb2.ErrorInfo, tuple[Violation, ...], float | None]:
    info, request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    retry = error_details_pb2.RetryInfo()
    retry_after: float | None = None
    for detail in status.details:
        # `Unpack` is false for a detail of another type.
        if not detail.Unpack(info) and not detail.Unpack(request) and detail.Unpack(retry):
            retry_after = retry.retry_delay.ToTimedelta().total_seconds()
    violations = tuple(Violation(each.field, each.description) for each in request.field_violations)
    return info, violations, retry_after


def _trailing(failure: grpc.aio.AioRpcError, key: str) -> str:
    for name, value in failure.trailing_metadata() or ():
        if name == key:
            return value if isinstance(value, str) else value.decode()
    return ""
