"""A service's gRPC door without a network: calls of the same process reach the same handlers through the same stages.

`LocalServer` takes the registration calls of generated `add_*Servicer_to_server`; `LocalChannel` is what generated
stubs need of a channel. Messages are still encoded, so that neither side sees the other's objects change.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Generator, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import grpc
from grpc import StatusCode
from grpc.aio import EOF, AbortError, AioRpcError, Metadata

from ontomesh_chassis.identity import Identity
from ontomesh_chassis.policy import RIGHTS, Glob, Grant, Policy, Rule
from ontomesh_chassis.tokens import Authenticator

if TYPE_CHECKING:
    # Generic in its type stubs only.
    Handler = grpc.RpcMethodHandler[Any, Any]

_HEALTH = "/grpc.health.v1.Health/Check"
_SERVING = b"\x08\x01"

Pairs = tuple[tuple[str, Any], ...]


class OwnProcess(Authenticator):
    """Takes every call for one principal's, who may do everything: whoever runs the process owns what it opens."""

    def __init__(self, principal: str) -> None:
        everything = Glob(("*",))
        rule = Rule(everything, Grant(frozenset(RIGHTS), everything, everything, everything, everything))
        self._policy_in_force = Policy((rule,))
        super().__init__((), self, audience="")
        kind, _, name = principal.partition(":")
        self._owner = Identity(principal, kind, name, None, math.inf, self)

    def current(self) -> Policy:
        """The policy: one may do everything."""
        return self._policy_in_force

    def recall(self, authorization: str | None) -> Identity:
        """The one identity, whatever the call brings."""
        return self._owner


class LocalServer:
    """The handlers of a service by their path, `/package.Service/Method`."""

    def __init__(self) -> None:
        self.handlers: dict[str, Handler] = {}

    def add_registered_method_handlers(self, service_name: str, method_handlers: Mapping[str, Handler]) -> None:
        """Takes a service's handlers."""
        self.handlers.update({f"/{service_name}/{name}": handler for name, handler in method_handlers.items()})

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        """Does nothing: generated code registers each method by its name too."""


class _Context:
    """What a handler sees of its call."""

    def __init__(self, metadata: Pairs, deadline: float | None, write: Callable[[Any], Awaitable[None]]) -> None:
        self.write = write
        self.trailing: Pairs = ()
        self.status: tuple[StatusCode, str] = (StatusCode.OK, "")
        self._metadata = metadata
        self._deadline = deadline

    def invocation_metadata(self) -> Pairs:
        return self._metadata

    def time_remaining(self) -> float | None:
        return None if self._deadline is None else self._deadline - time.monotonic()

    def set_trailing_metadata(self, trailing: Any) -> None:
        self.trailing = tuple(trailing)

    def code(self) -> int:
        value: int = self.status[0].value[0]
        return value

    async def abort(self, code: StatusCode, details: str = "", trailing_metadata: Any = ()) -> NoReturn:
        self.status, self.trailing = (code, details), tuple(trailing_metadata)
        raise AbortError(details)


class _Inbox:
    """The messages of a call in one direction, one at a time: the sender waits until the last one was taken."""

    def __init__(self) -> None:
        self._messages: asyncio.Queue[Any] = asyncio.Queue(1)

    async def put(self, message: Any) -> None:
        await self._messages.put(message)

    async def take(self) -> Any:
        """The next message, or EOF from then on."""
        message = await self._messages.get()
        if message is EOF:
            self._messages.put_nowait(EOF)
        return message

    async def __aiter__(self) -> AsyncIterator[Any]:
        while (message := await self.take()) is not EOF:
            yield message


class LocalCall:
    """One call, running. Await it for its one answer; `read` a stream of them; `write` to one that takes a stream."""

    def __init__(self, method: _Method, request: Any, timeout: float | None, metadata: Any) -> None:
        self._method = method
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._answers, self._requests = _Inbox(), _Inbox()
        self._request = request
        self._context = _Context(tuple(metadata or ()), self._deadline, self._write)
        self._render: Callable[[Any], Any] = _same
        # A task of its own: the stages note the call in its context, which is not the caller's.
        self._task = asyncio.ensure_future(self._run())

    async def _run(self) -> Any:
        try:
            async with asyncio.timeout(self.time_remaining()):
                return await self._serve()
        except TimeoutError:
            raise self._error(StatusCode.DEADLINE_EXCEEDED, "the deadline has passed") from None
        except AbortError:
            raise self._error(*self._context.status) from None

    async def _serve(self) -> Any:
        handler = await self._method.find()
        if handler is None:
            raise self._error(StatusCode.UNIMPLEMENTED, f"there is no method {self._method.path}")
        read = handler.request_deserializer or _same
        self._render = handler.response_serializer or _same
        behaviour: Any = getattr(handler, self._method.kind)
        given: Any = read(self._method.serialize(self._request)) if not handler.request_streaming else self._sent(read)
        feeding = None
        if handler.request_streaming and self._request is not None:
            feeding = asyncio.ensure_future(self._feed(self._request))
        try:
            answer = await behaviour(given, self._context)
        finally:
            if feeding is not None:
                feeding.cancel()
        if handler.response_streaming:
            await self._answers.put(EOF)
            return None
        return self._method.deserialize(self._render(answer))

    async def _write(self, answer: Any) -> None:
        await self._answers.put(self._render(answer))

    async def _sent(self, read: Callable[[bytes], Any]) -> AsyncIterator[Any]:
        async for message in self._requests:
            yield read(message)

    async def _feed(self, requests: Any) -> None:
        if isinstance(requests, AsyncIterable):
            async for request in requests:
                await self.write(request)
        else:
            for request in requests:
                await self.write(request)
        await self.done_writing()

    def _error(self, code: StatusCode, details: str) -> AioRpcError:
        return AioRpcError(code, Metadata(), Metadata(*self._context.trailing), details, "in-process call")

    def __await__(self) -> Generator[Any, None, Any]:
        return self._answer().__await__()

    async def _answer(self) -> Any:
        return await self._task

    async def read(self) -> Any:
        """The next answer of a stream, or EOF. Raises AioRpcError once the call has failed."""
        taking = asyncio.ensure_future(self._answers.take())
        try:
            await asyncio.wait((taking, self._task), return_when=asyncio.FIRST_COMPLETED)
            if not taking.done():
                await self._task
            message = await taking
        finally:
            taking.cancel()
        return EOF if message is EOF else self._method.deserialize(message)

    async def __aiter__(self) -> AsyncIterator[Any]:
        while (message := await self.read()) is not EOF:
            yield message

    async def write(self, request: Any) -> None:
        """Sends a message of a stream. Raises AioRpcError once the call has failed."""
        await self._send(self._method.serialize(request))

    async def done_writing(self) -> None:
        """Says that no more will be written."""
        await self._send(EOF)

    async def _send(self, message: Any) -> None:
        putting = asyncio.ensure_future(self._requests.put(message))
        try:
            await asyncio.wait((putting, self._task), return_when=asyncio.FIRST_COMPLETED)
            if not putting.done():
                # It ended without taking the message: it failed, or wanted no more.
                await self._task
        finally:
            putting.cancel()

    def cancel(self) -> bool:
        """Cancels the call; False if it has ended."""
        return self._task.cancel()

    def cancelled(self) -> bool:
        """Whether the call was cancelled."""
        return self._task.cancelled()

    def done(self) -> bool:
        """Whether the call has ended."""
        return self._task.done()

    def time_remaining(self) -> float | None:
        """Seconds until the deadline."""
        return self._context.time_remaining()

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Calls `callback` when the call ends."""
        self._task.add_done_callback(lambda _: callback(self))

    async def initial_metadata(self) -> Metadata:
        """Empty."""
        return Metadata()

    async def trailing_metadata(self) -> Metadata:
        """The metadata that came after the answer."""
        await asyncio.wait((self._task,))
        return Metadata(*self._context.trailing)

    async def code(self) -> StatusCode:
        """The call's status."""
        await asyncio.wait((self._task,))
        if self._task.cancelled():
            return StatusCode.CANCELLED
        error = self._task.exception()
        return error.code() if isinstance(error, AioRpcError) else self._context.status[0]

    async def details(self) -> str:
        """The status's message."""
        await asyncio.wait((self._task,))
        error = None if self._task.cancelled() else self._task.exception()
        return (error.details() or "") if isinstance(error, AioRpcError) else ""

    async def wait_for_connection(self) -> None:
        """Returns at once."""


class _Method:
    """A method of the channel: call it to make a call."""

    def __init__(
        self, channel: LocalChannel, path: str, kind: str, serialize: Any = None, deserialize: Any = None
    ) -> None:
        self.path, self.kind = path, kind
        self.serialize: Callable[[Any], Any] = serialize or _same
        self.deserialize: Callable[[Any], Any] = deserialize or _same
        self._channel = channel

    async def find(self) -> Handler | None:
        """The handler, once the service is open."""
        handlers = await self._channel.channel_ready()
        return handlers.get(self.path)

    def __call__(
        self, request: Any = None, *, timeout: float | None = None, metadata: Any = None, **_options: Any
    ) -> LocalCall:
        return LocalCall(self, request, timeout, metadata)


class LocalChannel:
    """A channel to a server of this process, which `open` makes at the first call or at `channel_ready`, and `close`
    ends. For one event loop.
    """

    def __init__(self, open: Callable[[], Awaitable[LocalServer]], close: Callable[[], Awaitable[None]]) -> None:
        self._open = open
        self._close = close
        self._opening: asyncio.Future[LocalServer] | None = None

    async def channel_ready(self) -> Mapping[str, Handler]:
        """Returns the handlers once the server is open. Raises what opening it raises, every time."""
        if self._opening is None:
            self._opening = asyncio.ensure_future(self._open())
        return (await asyncio.shield(self._opening)).handlers

    def unary_unary(self, path: str, *codecs: Any, **options: Any) -> Any:
        """A method with one message in and one out."""
        if path == _HEALTH:
            return _Healthy(self)
        return self._method(path, "unary_unary", *codecs, **options)

    def unary_stream(self, path: str, *codecs: Any, **options: Any) -> Any:
        """A method that answers with a stream."""
        return self._method(path, "unary_stream", *codecs, **options)

    def stream_unary(self, path: str, *codecs: Any, **options: Any) -> Any:
        """A method that takes a stream."""
        return self._method(path, "stream_unary", *codecs, **options)

    def stream_stream(self, path: str, *codecs: Any, **options: Any) -> Any:
        """A method with streams both ways."""
        return self._method(path, "stream_stream", *codecs, **options)

    def _method(
        self,
        path: str,
        kind: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        **_options: Any,
    ) -> _Method:
        return _Method(self, path, kind, request_serializer, response_deserializer)

    async def close(self, grace: float | None = None) -> None:
        """Ends the server, if it was opened."""
        if self._opening is not None:
            opening, self._opening = self._opening, None
            await asyncio.wait((opening,))
            if not opening.cancelled() and opening.exception() is None:
                await self._close()


class _Healthy:
    """The health check of a server that is there as long as its caller."""

    def __init__(self, channel: LocalChannel) -> None:
        self._channel = channel

    async def __call__(self, request: Any, **_options: Any) -> bytes:
        await self._channel.channel_ready()
        return _SERVING


def _same(message: Any) -> Any:
    return message
