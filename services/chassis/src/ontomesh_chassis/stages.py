"""The four stages around every call of either door: tracing, logging, errors, auth, outermost first.

Both doors run the same stages around their own endpoint, so that tokens, policy, error table, trace ids, logs
and metrics are the same whichever door a caller takes.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from grpc import StatusCode
from grpc.aio import AbortError
from opentelemetry.trace import Status
from opentelemetry.trace import StatusCode as SpanStatus

from ontomesh_chassis import audit
from ontomesh_chassis.call import CallContext
from ontomesh_chassis.current import enter_call
from ontomesh_chassis.errors import ErrorTable, Unauthenticated
from ontomesh_chassis.metrics import Metrics
from ontomesh_chassis.reply import Reply
from ontomesh_chassis.settings import ServiceSettings
from ontomesh_chassis.tokens import Authenticator
from ontomesh_chassis.trace import Tracing

access = logging.getLogger("ontomesh.access")

# A call as its stages see it; the two further arguments are the door's own (request and context, receive and send).
Endpoint = Callable[[CallContext, Any, Any], Awaitable[Any]]

_SERVER_FAULTS = {
    StatusCode.INTERNAL,
    StatusCode.UNKNOWN,
    StatusCode.DATA_LOSS,
    StatusCode.UNAVAILABLE,
    StatusCode.UNIMPLEMENTED,
}
_AUDITED_RIGHTS = {"write", "admin", "act"}


class Door(Protocol):
    """What differs between the doors."""

    @property
    def name(self) -> str:
        """`grpc` or `http`, for metrics and spans."""

    def cancellation(self, first: Any, second: Any) -> StatusCode:
        """Why the call was cancelled: CANCELLED or DEADLINE_EXCEEDED."""

    async def refuse(self, reply: Reply, call: CallContext, first: Any, second: Any) -> None:
        """Answers the call with an error. May raise to end it (gRPC's AbortError)."""


@dataclass(slots=True)
class Pipeline:
    """What the stages of both doors share, built once in `main`."""

    auth: Authenticator
    errors: ErrorTable
    tracing: Tracing = field(default_factory=Tracing)
    metrics: Metrics = field(default_factory=Metrics)
    slow_call_seconds: float = 1.0
    max_message_bytes: int = 64 * 1024 * 1024
    in_flight: int = 0

    @classmethod
    def of(
        cls, settings: ServiceSettings, auth: Authenticator, errors: ErrorTable, tracing: Tracing | None = None
    ) -> Pipeline:
        """The pipeline that the settings describe; without `tracing` there are trace ids but no spans."""
        return cls(
            auth,
            errors,
            tracing or Tracing(),
            slow_call_seconds=settings.slow_call_ms / 1000,
            max_message_bytes=settings.max_message_bytes,
        )

    def around(self, endpoint: Endpoint, door: Door, *, needs_token: bool = True) -> Endpoint:
        """The endpoint with its stages. Calls that need no token are probes: not counted as in flight when draining."""
        if needs_token:
            endpoint = authenticated(endpoint, self)
        endpoint = mapped(endpoint, self, door)
        endpoint = logged(endpoint, self, door)
        endpoint = traced(endpoint, self, door)
        return self._counted(endpoint) if needs_token else endpoint

    def _counted(self, endpoint: Endpoint) -> Endpoint:
        async def counted(call: CallContext, first: Any, second: Any) -> Any:
            self.in_flight += 1
            try:
                return await endpoint(call, first, second)
            finally:
                self.in_flight -= 1

        return counted


def traced(endpoint: Endpoint, pipeline: Pipeline, door: Door) -> Endpoint:
    """Gives the call its trace id, and its server span where the trace is sampled."""
    start = pipeline.tracing.start
    attributes = {"rpc.system": door.name} if door.name == "grpc" else {}

    async def tracing(call: CallContext, first: Any, second: Any) -> Any:
        call.trace_id, span = start(call.method, call.headers, attributes)
        enter_call(call)
        if span is None:
            return await endpoint(call, first, second)
        try:
            return await endpoint(call, first, second)
        finally:
            span.update_name(call.method)
            if door.name == "grpc":
                service, _, method = call.method.rpartition("/")
                span.set_attributes(
                    {"rpc.service": service, "rpc.method": method, "rpc.grpc.status_code": call.code.value[0]}
                )
            if call.code in _SERVER_FAULTS:
                span.set_status(Status(SpanStatus.ERROR, call.reason or call.code.name))
            if call.reason:
                span.set_attribute("error.type", call.reason)
            span.end()

    return tracing


def logged(endpoint: Endpoint, pipeline: Pipeline, door: Door) -> Endpoint:
    """Counts the call and logs its end: successes at DEBUG, the caller's faults at INFO, the server's at WARNING."""
    record = pipeline.metrics.record
    slow = pipeline.slow_call_seconds
    clock = time.perf_counter

    async def logging_(call: CallContext, first: Any, second: Any) -> Any:
        begun = clock()
        try:
            return await endpoint(call, first, second)
        finally:
            seconds = clock() - begun
            record(door.name, call.method, call.code, seconds)
            if call.code is not StatusCode.OK or seconds > slow or access.isEnabledFor(logging.DEBUG):
                _log_end(call, door, seconds, is_slow=seconds > slow)

    return logging_


def _log_end(call: CallContext, door: Door, seconds: float, *, is_slow: bool) -> None:
    level = logging.DEBUG if call.code is StatusCode.OK else logging.INFO
    if is_slow or call.code in _SERVER_FAULTS:
        level = logging.WARNING
    fields = {"door": door.name, "code": call.code.name, "reason": call.reason, "ms": round(seconds * 1000, 3)}
    access.log(
        level,
        "%s%s",
        call.method,
        " was slow" if is_slow else "",
        extra={"fields": {name: value for name, value in fields.items() if value != ""}},
    )


def mapped(endpoint: Endpoint, pipeline: Pipeline, door: Door) -> Endpoint:
    """Answers exceptions by the error table. Cancellation passes: it is the caller's doing or the deadline's."""
    table = pipeline.errors

    async def errors(call: CallContext, first: Any, second: Any) -> Any:
        try:
            return await endpoint(call, first, second)
        except asyncio.CancelledError:
            call.code = door.cancellation(first, second)
            raise
        except AbortError:
            call.code = StatusCode(second.code())
            raise
        except Exception as error:  # noqa: BLE001 - the boundary: whatever a handler raises becomes an answer
            reply = table.reply(error, call.trace_id)
        call.code, call.reason = reply.code, reply.reason
        if reply.code is StatusCode.PERMISSION_DENIED and reply.metadata.get("right") in _AUDITED_RIGHTS:
            _audit_refusal(reply)
        return await door.refuse(reply, call, first, second)

    return errors


def _audit_refusal(reply: Reply) -> None:
    known = {key: reply.metadata[key] for key in ("right", "database", "branch", "author") if key in reply.metadata}
    audit.record(audit.Event.WRITE_REFUSED, reason=reply.reason, **known)


def authenticated(endpoint: Endpoint, pipeline: Pipeline) -> Endpoint:
    """Lets a call pass only with a good token; whose it is stands in the call from then on."""
    recall = pipeline.auth.recall

    async def auth(call: CallContext, first: Any, second: Any) -> Any:
        authorization = call.headers.get("authorization")
        call.identity = recall(authorization) or await _admit(pipeline.auth, authorization)
        return await endpoint(call, first, second)

    return auth


async def _admit(auth: Authenticator, authorization: str | None) -> Any:
    try:
        return await auth.authenticate(authorization)
    except Unauthenticated as refused:
        audit.record(audit.Event.TOKEN_REJECTED, reason=f"{refused.reason}: {refused.message}")
        raise
