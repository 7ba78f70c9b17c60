"""The stages at the gRPC door.

They are put around each handler once, when its service is registered. grpc.aio's own interceptors run a chain
of coroutines for every call only to find the handler again.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import grpc
from grpc import StatusCode, aio

from ontomesh_chassis.call import CallContext
from ontomesh_chassis.errors import InvalidRequest, TooLarge
from ontomesh_chassis.reply import Reply
from ontomesh_chassis.stages import Endpoint, Pipeline

if TYPE_CHECKING:
    # Generic in their type stubs only.
    Handler = grpc.RpcMethodHandler[Any, Any]
    Context = aio.ServicerContext[Any, Any]

OPEN_SERVICES = frozenset(
    {"grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection", "grpc.reflection.v1.ServerReflection"}
)
TRACE_ID_KEY = "x-ontomesh-trace-id"
PUSHBACK_KEY = "grpc-retry-pushback-ms"


class GrpcDoor:
    """How the gRPC door answers errors."""

    name = "grpc"

    def cancellation(self, _request: Any, context: Context) -> StatusCode:
        """DEADLINE_EXCEEDED once the caller's deadline has passed, else CANCELLED."""
        # None without a deadline, whatever the type stubs say.
        remaining: float | None = context.time_remaining()
        return StatusCode.CANCELLED if remaining is None or remaining > 0 else StatusCode.DEADLINE_EXCEEDED

    async def refuse(self, reply: Reply, call: CallContext, _request: Any, context: Context) -> None:
        """Ends the call with the code, the message and the google.rpc.Status of an error."""
        trailers: list[tuple[str, str | bytes]] = [
            ("grpc-status-details-bin", reply.status().SerializeToString()),
            (TRACE_ID_KEY, call.trace_id),
        ]
        if reply.is_costly:
            trailers.append((PUSHBACK_KEY, "-1"))
        await context.abort(reply.code, reply.short_message, tuple(trailers))


class Registry(Protocol):
    """What takes handlers: a `grpc.aio.Server`, or one without a network."""

    def add_registered_method_handlers(self, service_name: str, method_handlers: Mapping[str, Handler]) -> None:
        """Takes a service's handlers by the names of their methods."""

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """Takes handlers that find a method themselves."""


class StagedServer:
    """Takes the registration calls of generated `add_*Servicer_to_server` and puts the stages around each handler.

    Handlers must be coroutine functions or async generator functions; others are refused with TypeError, as they
    would run on threads beside the loop.
    """

    def __init__(self, server: Registry, pipeline: Pipeline) -> None:
        self._server = server
        self._pipeline = pipeline
        self._door = GrpcDoor()

    def add_registered_method_handlers(self, service_name: str, method_handlers: Mapping[str, Handler]) -> None:
        """Registers a service's handlers, each within its stages."""
        self._server.add_registered_method_handlers(
            service_name,
            {
                name: self._staged(f"{service_name}/{name}", handler, needs_token=service_name not in OPEN_SERVICES)
                for name, handler in method_handlers.items()
            },
        )

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        """Registers generic handlers; each method gets its stages when it is first called, and keeps them."""
        self._server.add_generic_rpc_handlers(
            [_StagedGenericHandler(handler, self._staged) for handler in generic_rpc_handlers]
        )

    def _staged(self, method: str, handler: Handler, *, needs_token: bool) -> Handler:
        behaviour, streams_in, streams_out = _behaviour(handler)
        staged = self._pipeline.around(
            self._endpoint(behaviour, handler, streams_in=streams_in), self._door, needs_token=needs_token
        )

        async def serve(request: Any, context: Context) -> Any:
            call = CallContext(method, dict(context.invocation_metadata() or ()))  # type: ignore[arg-type]
            return await staged(call, request, context)

        make = _MAKERS[streams_in, streams_out]
        # Messages are read and rendered within the stages wherever the handler does not do it itself through its
        # context: after auth, and with the error table at hand.
        writes_itself = streams_out and not inspect.isasyncgenfunction(behaviour)
        staged_handler: Handler = make(
            serve,
            handler.request_deserializer if streams_in else None,
            handler.response_serializer if writes_itself else None,
        )
        return staged_handler

    def _endpoint(self, behaviour: Callable[..., Any], handler: Handler, *, streams_in: bool) -> Endpoint:
        parse = handler.request_deserializer or _unchanged
        write = handler.response_serializer or _unchanged
        limit = self._pipeline.max_message_bytes

        def read(request: Any) -> Any:
            if streams_in:
                return request
            if len(request) > limit:
                raise TooLarge("request", limit, len(request))
            try:
                return parse(request)
            except Exception as fault:
                raise InvalidRequest("The request is not a message of the method's type.") from fault

        def render(response: Any) -> bytes:
            raw: bytes = write(response)
            if len(raw) > limit:
                raise TooLarge("answer", limit, len(raw))
            return raw

        async def unary(call: CallContext, request: Any, context: Context) -> Any:
            response = render(await behaviour(read(request), context))
            context.set_trailing_metadata(((TRACE_ID_KEY, call.trace_id),))
            return response

        async def writing(call: CallContext, request: Any, context: Context) -> None:
            await behaviour(read(request), context)
            context.set_trailing_metadata(((TRACE_ID_KEY, call.trace_id),))

        async def yielding(call: CallContext, request: Any, context: Context) -> None:
            responses: AsyncIterator[Any] = behaviour(read(request), context)
            try:
                async for response in responses:
                    await context.write(render(response))
            finally:
                if inspect.isasyncgen(responses):
                    await responses.aclose()
            context.set_trailing_metadata(((TRACE_ID_KEY, call.trace_id),))

        if not handler.response_streaming:
            return unary
        return yielding if inspect.isasyncgenfunction(behaviour) else writing


class _StagedGenericHandler(grpc.GenericRpcHandler):
    """A generic handler whose methods are staged once each."""

    def __init__(self, inner: grpc.GenericRpcHandler, stage: Callable[..., Handler]) -> None:
        self._inner = inner
        self._stage = stage
        self._staged: dict[str, Handler] = {}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler | None:
        method = handler_call_details.method
        staged = self._staged.get(method)
        if staged is None:
            handler = self._inner.service(handler_call_details)
            if handler is None:
                return None
            name = method.removeprefix("/")
            staged = self._stage(name, handler, needs_token=name.rpartition("/")[0] not in OPEN_SERVICES)
            self._staged[method] = staged
        return staged


_MAKERS: dict[tuple[bool, bool], Callable[..., Any]] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}


def _behaviour(handler: Handler) -> tuple[Callable[..., Any], bool, bool]:
    streams_in, streams_out = bool(handler.request_streaming), bool(handler.response_streaming)
    behaviour: Any = (
        (handler.stream_stream if streams_out else handler.stream_unary)
        if streams_in
        else (handler.unary_stream if streams_out else handler.unary_unary)
    )
    if not (inspect.iscoroutinefunction(behaviour) or (streams_out and inspect.isasyncgenfunction(behaviour))):
        raise TypeError(f"{behaviour!r} is neither a coroutine function nor an async generator function")
    return behaviour, streams_in, streams_out


def _unchanged(message: Any) -> Any:
    return message


def server_options(max_message_bytes: int) -> list[tuple[str, int]]:
    """Options of the gRPC server.

    The core takes requests a quarter larger than the limit, so that those just over it are refused by a stage,
    with a reason; larger ones are refused by the core with the bare code.
    """
    return [
        ("grpc.so_reuseport", 0),  # a taken port is an error, not a silent share of it
        ("grpc.max_receive_message_length", max_message_bytes + max_message_bytes // 4),
        ("grpc.max_send_message_length", -1),  # a stage checks answers
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),  # clients ping every 30 s
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.max_metadata_size", 32 * 1024),
    ]
