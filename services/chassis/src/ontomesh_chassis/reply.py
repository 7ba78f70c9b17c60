"""An error on its way to the caller: google.rpc.Status for gRPC, problem+json for HTTP."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import quote

from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode

# gRPC clients refuse trailers over 8 KiB unless told otherwise, and details travel in base64.
MAX_STATUS_BYTES = 4096
MAX_DETAILS_CHARS = 1500
MAX_MESSAGE_CHARS = 600
MAX_METADATA_CHARS = 512

HTTP_STATUS = {
    StatusCode.OK: 200,
    StatusCode.CANCELLED: 499,
    StatusCode.UNKNOWN: 500,
    StatusCode.INVALID_ARGUMENT: 400,
    StatusCode.DEADLINE_EXCEEDED: 504,
    StatusCode.NOT_FOUND: 404,
    StatusCode.ALREADY_EXISTS: 409,
    StatusCode.PERMISSION_DENIED: 403,
    StatusCode.UNAUTHENTICATED: 401,
    StatusCode.RESOURCE_EXHAUSTED: 429,
    StatusCode.FAILED_PRECONDITION: 409,
    StatusCode.ABORTED: 409,
    StatusCode.OUT_OF_RANGE: 400,
    StatusCode.UNIMPLEMENTED: 501,
    StatusCode.INTERNAL: 500,
    StatusCode.UNAVAILABLE: 503,
    StatusCode.DATA_LOSS: 500,
}


class Violation(NamedTuple):
    """One offending field and what is wrong with it."""

    field: str
    description: str


@dataclass(frozen=True, slots=True)
class Reply:
    """An error as the caller sees it; `metadata` holds the trace id, `retry_after` is in seconds.

    One that `is_costly` tells gRPC clients not to repeat the call of their own accord: what it did is not to be done over
    and over. `http_override` is for HTTP's own refusals, such as 405, whose status no canonical code has.
    """

    code: StatusCode
    reason: str
    message: str
    domain: str
    metadata: dict[str, str] = field(default_factory=dict)
    violations: tuple[Violation, ...] = ()
    retry_after: float | None = None
    is_costly: bool = False
    http_override: int | None = None

    @property
    def http_status(self) -> int:
        """The HTTP status of the code; an oversize body is 413 rather than 429."""
        if self.http_override is not None:
            return self.http_override
        return 413 if self.reason == "TOO_LARGE" else HTTP_STATUS[self.code]

    @property
    def short_message(self) -> str:
        """The message, cut so that it fits a trailer when percent-encoded."""
        message = self.message
        while len(message) > MAX_MESSAGE_CHARS or len(quote(message)) > MAX_DETAILS_CHARS:
            message = message[: len(message) * 3 // 4]
        return message if message == self.message else message + "..."

    def status(self) -> status_pb2.Status:
        """The google.rpc.Status: ErrorInfo always, BadRequest and RetryInfo where they apply.

        Violations that do not fit a trailer are left out, and counted in the metadata `violations_omitted`.
        """
        kept = len(self.violations)
        while True:
            status = self._status(kept)
            if kept == 0 or status.ByteSize() <= MAX_STATUS_BYTES:
                return status
            kept = kept * 3 // 4

    def _status(self, kept: int) -> status_pb2.Status:
        info = error_details_pb2.ErrorInfo(reason=self.reason, domain=self.domain)
        for key, value in self.metadata.items():
            info.metadata[key] = str(value)[:MAX_METADATA_CHARS]
        if kept < len(self.violations):
            info.metadata["violations_omitted"] = str(len(self.violations) - kept)
        status = status_pb2.Status(code=self.code.value[0], message=self.short_message)
        _pack(status.details.add(), info)
        if kept:
            violations = [
                error_details_pb2.BadRequest.FieldViolation(
                    field=violation.field, description=violation.description[:MAX_METADATA_CHARS], reason=self.reason
                )
                for violation in self.violations[:kept]
            ]
            _pack(status.details.add(), error_details_pb2.BadRequest(field_violations=violations))
        if self.retry_after is not None:
            delay = duration_pb2.Duration()
            delay.FromNanoseconds(int(self.retry_after * 1e9))
            _pack(status.details.add(), error_details_pb2.RetryInfo(retry_delay=delay))
        return status

    def problem(self) -> dict[str, Any]:
        """The body of an application/problem+json answer (RFC 9457)."""
        return {
            "type": f"urn:ontomesh:reason:{self.reason}",
            "title": self.code.name.replace("_", " ").capitalize(),
            "status": self.http_status,
            "detail": self.message,
            "code": self.code.name,
            "reason": self.reason,
            "violations": [violation._asdict() for violation in self.violations],
            "metadata": {key: value for key, value in self.metadata.items() if key != "trace_id"},
            "trace_id": self.metadata.get("trace_id", ""),
        }


def _pack(target: any_pb2.Any, message: error_details_pb2.ErrorInfo | Any) -> None:
    target.Pack(message)
