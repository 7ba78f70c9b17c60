"""The call or the work that the current task does, as far as logs, audit records and traces need to know it."""

from __future__ import annotations

import secrets
from contextvars import ContextVar

MAX_REQUEST_ID = 128


class CallRecord:
    """What is known of a call without knowing what its caller may do.

    `method` is `package.Service/Method` or a verb and a route template; `principal` is empty until the call is
    authenticated.
    """

    __slots__ = ("method", "principal", "request_id", "trace_id")

    def __init__(self, method: str, request_id: str = "") -> None:
        self.method = method
        self.request_id = request_id[:MAX_REQUEST_ID]
        self.trace_id = ""
        self.principal = ""


_call: ContextVar[CallRecord | None] = ContextVar("ontomesh_call", default=None)
_trace_id: ContextVar[str] = ContextVar("ontomesh_trace_id", default="")


def enter_call(call: CallRecord) -> None:
    """Makes a call the current task's own, for as long as the task lives."""
    _call.set(call)


def peek_call() -> CallRecord | None:
    """The call that this task serves, or None outside one."""
    return _call.get()


def current_trace_id() -> str:
    """The trace id of the current call (32 hex digits), or of the task's own work once `adopt_trace_id` was called.

    A task that has neither gets a fresh id, the same one from then on.
    """
    call = _call.get()
    if call is not None:
        return call.trace_id
    trace_id = _trace_id.get()
    if not trace_id:
        trace_id = secrets.token_hex(16)
        _trace_id.set(trace_id)
    return trace_id


def adopt_trace_id(trace_id: str) -> None:
    """Gives work that no call started, such as a background task, its trace id."""
    _trace_id.set(trace_id)
