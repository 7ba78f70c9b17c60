"""Making a call: the one place that adds deadline, metadata, trace and breaker, and that maps errors.

The generated stubs are built over `CallChannel`, so that calls through them get the same treatment as those
through the typed client, which uses them too.
"""

import asyncio
import math
import time
import uuid
from collections.abc import AsyncIterator, Generator
from contextlib import suppress
from itertools import count
from typing import Any, Generic, TypeVar

import grpc
from grpc.aio import EOF, AioRpcError, Metadata

from ontomesh.sdk.breaker import CircuitBreaker
from ontomesh.sdk.credentials import Credentials
from ontomesh.sdk.errors import (
    BrokerUnavailable,
    OntomeshError,
    SchemaUnavailable,
    StoreUnavailable,
    TokenExpired,
    ValidatorUnavailable,
)
from ontomesh.sdk.status import error_of
from ontomesh.sdk.tracing import Method, Tracing, end

Request = TypeVar("Request")
Response = TypeVar("Response")
Pairs = list[tuple[str, str | bytes]]

_NO_ANSWER = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
# What a server answers which is there itself.
_BEHIND = (StoreUnavailable, BrokerUnavailable, SchemaUnavailable, ValidatorUnavailable)

FOREVER = math.inf
"""The timeout of a call that has no deadline: a stream that lasts until it breaks. It has no span either."""


class CallPolicy:
    """What the calls of one connection share."""

    __slots__ = ("_defaults", "_prefix", "_serial", "address", "breaker", "credentials", "server", "timeout", "tracing")

    def __init__(
        self,
        *,
        address: str,
        credentials: Credentials,
        breaker: CircuitBreaker,
        timeout: float,
        tracing: Tracing,
        defaults: tuple[tuple[str, str], ...] = (),
        server: str = "",
    ) -> None:
        self.address = address
        self.server = server or address
        self.credentials = credentials
        self.breaker = breaker
        self.timeout = timeout
        self.tracing = tracing
        self._defaults = defaults
        # A random id a call would cost more than the rest of the metadata.
        self._prefix = uuid.uuid4().hex[:12]
        self._serial = count(1)

    def metadata(self, given: Any) -> Pairs:
        """The metadata of a call, apart from token and trace. What the caller gives wins."""
        if not given:
            return [("x-request-id", f"{self._prefix}-{next(self._serial)}"), *self._defaults]
        pairs: Pairs = list(given)
        names = {name for name, _ in pairs}
        if "x-request-id" not in names:
            pairs.append(("x-request-id", f"{self._prefix}-{next(self._serial)}"))
        pairs.extend(pair for pair in self._defaults if pair[0] not in names)
        return pairs


class _Call(Generic[Request, Response]):
    """One call and what was prepared for it; after a renewal of the token, its second try."""

    # mypy cannot know the kind of call; the subclasses state it.
    _call: Any
    _is_answered = False  # A stream shows by its first answer, long before its end, that the server is there.

    def __init__(
        self, policy: CallPolicy, method: Method, stub: Any, request: Request, options: dict[str, Any]
    ) -> None:
        policy.breaker.admit(policy.server)
        if getattr(request, "request_id", None) == "":
            request = _with_request_id(request)
        timeout = options.pop("timeout", None)
        self._timeout: float = policy.timeout if timeout is None else timeout
        self._policy = policy
        self._stub = stub
        self._request = request
        self._token = policy.credentials.token()
        self._pairs = policy.metadata(options.pop("metadata", None))
        self._options = options
        self._deadline = time.monotonic() + self._timeout
        self._span = policy.tracing.start(method, self._pairs) if self._timeout != FOREVER else None
        self._start(self._timeout)

    def _start(self, timeout: float) -> None:
        metadata = Metadata(*self._pairs)
        if self._token is not None and not metadata.get_all("authorization"):
            metadata.add("authorization", f"Bearer {self._token}")
        limit = None if timeout == FOREVER else timeout
        self._call = self._stub(self._request, timeout=limit, metadata=metadata, **self._options)

    def _succeeded(self) -> None:
        self._policy.breaker.answered()
        if self._span is not None:
            end(self._span)
            self._span = None

    def _abandoned(self) -> None:
        if self._span is not None:
            end(self._span, code=grpc.StatusCode.CANCELLED)
            self._span = None

    def _failed(self, failure: AioRpcError) -> OntomeshError | None:
        """The error to raise, or None if the call was started again with a newer token."""
        breaker = self._policy.breaker
        error = error_of(failure, self._policy.server, self._timeout)
        if failure.code() in _NO_ANSWER and not isinstance(error, _BEHIND):
            breaker.failed()
        else:
            breaker.answered()
        if isinstance(error, TokenExpired):
            token = self._policy.credentials.reread()
            if token is not None and token != self._token:
                self._token = token
                self._start(self._deadline - time.monotonic())
                return None
        if self._span is not None:
            end(self._span, error)
            self._span = None
        return error

    def cancelled(self) -> bool:
        """Whether the call was cancelled."""
        return bool(self._call.cancelled())

    def done(self) -> bool:
        """Whether the call has ended."""
        return bool(self._call.done())

    def time_remaining(self) -> float | None:
        """Seconds until the deadline."""
        remaining: float | None = self._call.time_remaining()
        return remaining

    def cancel(self) -> bool:
        """Cancels the call; False if it has ended."""
        self._abandoned()
        return bool(self._call.cancel())

    def add_done_callback(self, callback: Any) -> None:
        """Calls `callback` when the call ends."""
        self._call.add_done_callback(callback)

    async def initial_metadata(self) -> Metadata:
        """The metadata that came before the answer."""
        found: Metadata = await self._call.initial_metadata()
        return found

    async def trailing_metadata(self) -> Metadata:
        """The metadata that came after the answer."""
        found: Metadata = await self._call.trailing_metadata()
        return found

    async def code(self) -> grpc.StatusCode:
        """The call's status."""
        found: grpc.StatusCode = await self._call.code()
        return found

    async def details(self) -> str:
        """The status's message."""
        found: str = await self._call.details()
        return found

    async def wait_for_connection(self) -> None:
        """Returns once the call has a connection."""
        await self._call.wait_for_connection()


class UnaryCall(_Call[Request, Response], grpc.aio.UnaryUnaryCall[Request, Response]):
    """A call with one answer: await it.

    Raises (when awaited):
        OntomeshError: As the server's reason names it.
    """

    def __await__(self) -> Generator[Any, None, Response]:
        return self._finish().__await__()

    async def _finish(self) -> Response:
        while True:
            try:
                response: Response = await self._call
            except AioRpcError as failure:
                error = self._failed(failure)
                if error is not None:
                    raise error from failure
            except BaseException:
                self._abandoned()
                raise
            else:
                self._succeeded()
                return response


class StreamCall(_Call[Request, Response], grpc.aio.UnaryStreamCall[Request, Response]):
    """A call with a stream of answers: iterate over it, or `read` until `grpc.aio.EOF`."""

    async def __aiter__(self) -> AsyncIterator[Response]:
        try:
            while (message := await self.read()) is not EOF:
                yield message
        finally:
            # Who leaves the loop early wants no more of it.
            self.cancel()

    async def read(self) -> Any:
        """The next message, or `grpc.aio.EOF`."""
        while True:
            try:
                message = await self._call.read()
            except AioRpcError as failure:
                error = self._failed(failure)
                if error is not None:
                    raise error from failure
            else:
                if message is EOF:
                    self._succeeded()
                elif not self._is_answered:
                    self._is_answered = True
                    self._policy.breaker.answered()
                return message


class DuplexCall(_Call[None, Response]):
    """A call with streams both ways: `write` requests, `read` answers until `grpc.aio.EOF`. It is never begun again."""

    async def write(self, request: Any) -> None:
        """Sends a request, once there is room for it."""
        try:
            await self._call.write(request)
        except AioRpcError as failure:
            raise self._broken(failure) from failure
        except asyncio.InvalidStateError as ended:
            # The answer says why; who reads it is told.
            raise asyncio.CancelledError from ended

    async def done_writing(self) -> None:
        """Says that no more requests come."""
        with suppress(AioRpcError, asyncio.InvalidStateError):
            # It has ended; the answer says why.
            await self._call.done_writing()

    async def read(self) -> Any:
        """The next answer, or `grpc.aio.EOF`."""
        try:
            message = await self._call.read()
        except AioRpcError as failure:
            raise self._broken(failure) from failure
        if message is EOF:
            self._succeeded()
        elif not self._is_answered:
            self._is_answered = True
            self._policy.breaker.answered()
        return message

    def _broken(self, failure: AioRpcError) -> OntomeshError:
        error = self._failed(failure)
        if error is None:
            # A newer token is known by now: whoever makes the call anew sends it.
            self._call.cancel()
            self._abandoned()
            return error_of(failure, self._policy.server, self._timeout)
        return error


class _UnaryMethod(grpc.aio.UnaryUnaryMultiCallable[Request, Response]):
    __slots__ = ("_method", "_policy", "_stub")

    def __init__(self, stub: Any, method: Method, policy: CallPolicy) -> None:
        self._stub, self._method, self._policy = stub, method, policy

    def __call__(self, request: Request, **options: Any) -> UnaryCall[Request, Response]:
        return UnaryCall(self._policy, self._method, self._stub, request, options)


class _StreamMethod(grpc.aio.UnaryStreamMultiCallable[Request, Response]):
    __slots__ = ("_method", "_policy", "_stub")

    def __init__(self, stub: Any, method: Method, policy: CallPolicy) -> None:
        self._stub, self._method, self._policy = stub, method, policy

    def __call__(self, request: Request, **options: Any) -> StreamCall[Request, Response]:
        return StreamCall(self._policy, self._method, self._stub, request, options)


class _DuplexMethod:
    __slots__ = ("_method", "_policy", "_stub")

    def __init__(self, stub: Any, method: Method, policy: CallPolicy) -> None:
        self._stub, self._method, self._policy = stub, method, policy

    def __call__(self, **options: Any) -> DuplexCall[Any]:
        return DuplexCall(self._policy, self._method, self._stub, None, options)


class CallChannel:
    """What generated stubs need of a channel; every call through it follows the policy."""

    def __init__(self, channel: grpc.aio.Channel, policy: CallPolicy) -> None:
        self._channel = channel
        self._policy = policy

    def unary_unary(self, path: str, *serializers: Any, **options: Any) -> grpc.aio.UnaryUnaryMultiCallable[Any, Any]:
        """A method with one answer."""
        stub = self._channel.unary_unary(path, *serializers, **options)
        return _UnaryMethod(stub, Method.of(path, self._policy.address), self._policy)

    def unary_stream(self, path: str, *serializers: Any, **options: Any) -> grpc.aio.UnaryStreamMultiCallable[Any, Any]:
        """A method with a stream of answers."""
        stub = self._channel.unary_stream(path, *serializers, **options)
        return _StreamMethod(stub, Method.of(path, self._policy.address), self._policy)

    def stream_stream(self, path: str, *serializers: Any, **options: Any) -> Any:
        """A method with streams both ways; its calls are written to, not given an iterator."""
        stub = self._channel.stream_stream(path, *serializers, **options)
        return _DuplexMethod(stub, Method.of(path, self._policy.address), self._policy)


def _with_request_id(request: Request) -> Request:
    # A copy: the caller may send the same message again and mean a second write.
    copy: Any = type(request)()
    copy.CopyFrom(request)
    copy.request_id = str(uuid.uuid4())
    filled: Request = copy
    return filled
