"""The call that a handler serves: who calls, with which metadata, and how it ended."""

from __future__ import annotations

from grpc import StatusCode

from ontomesh_chassis.current import CallRecord, peek_call
from ontomesh_chassis.errors import TokenMissing
from ontomesh_chassis.identity import Identity


class CallContext(CallRecord):
    """One call through either door. Filled by the stages, read by handlers through `current_call()`.

    `headers` are the gRPC metadata or HTTP headers, names in lower case. `author`, `branch` and `baggage` are
    those of `x-ontomesh-author`, `x-ontomesh-branch` and `baggage`, empty where they did not come. `code` and
    `reason` are the outcome as far as it is known; handlers leave them alone.
    """

    __slots__ = ("_identity", "author", "baggage", "branch", "code", "headers", "reason")

    def __init__(self, method: str, headers: dict[str, str]) -> None:
        super().__init__(method, headers.get("x-request-id", ""))
        self.headers = headers
        self.author = headers.get("x-ontomesh-author", "")
        self.branch = headers.get("x-ontomesh-branch", "")
        self.baggage = headers.get("baggage", "")
        self.code = StatusCode.OK
        self.reason = ""
        self._identity: Identity | None = None

    @property
    def identity(self) -> Identity:
        """Who calls. Raises TokenMissing in a call that needs no token and brought none."""
        if self._identity is None:
            raise TokenMissing
        return self._identity

    @identity.setter
    def identity(self, identity: Identity) -> None:
        self._identity = identity
        self.principal = identity.principal


def current_call() -> CallContext:
    """The call that this task serves. Raises LookupError outside a call."""
    call = peek_call()
    if not isinstance(call, CallContext):
        raise LookupError("no call is being served by this task")
    return call
