"""Validators that are services, by gRPC: connections to checked addresses, kept open and checked again at times."""

import asyncio
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import grpc
from grpc import StatusCode

from ontomesh.kernel.v1 import commit_validator_pb2_grpc
from ontomesh_chassis.outbound import AddressRefused, Destination, OutboundFilter, Unresolved, split_target
from ontomesh_data_kernel.adapters.validators.messages import (
    MAX_ANSWER_BYTES,
    objections_of,
    request_of,
    traceparent,
)
from ontomesh_data_kernel.domain.validators.judging import MAX_OBJECTIONS
from ontomesh_data_kernel.domain.validators.model import Cause, CheckFailed, GrpcCheck, Objection, Proposal

RESOLVE_AGAIN_SECONDS = 30.0
IDLE_SECONDS = 600.0
MAX_CALL_SECONDS = 30.0
_SHOWN = 200


@dataclass(slots=True)
class _Connection:
    channel: grpc.aio.Channel
    stub: "commit_validator_pb2_grpc.CommitValidatorAsyncStub"
    addresses: tuple[str, ...]
    checked_at: float
    used_at: float


class GrpcChecks:
    """Calls services of `CommitValidator`."""

    def __init__(self, filter: OutboundFilter) -> None:
        self._filter = filter
        self._connections: dict[tuple[str, bool], _Connection] = {}
        self._closing: set[asyncio.Task[None]] = set()

    async def destination(self, check: GrpcCheck) -> Destination:
        """Where a check leads. Raises AddressRefused, Unresolved."""
        return await self._filter.resolve(*split_target(check.target))

    async def judge(self, name: str, check: GrpcCheck, pieces: Sequence[Proposal], seconds: float) -> list[Objection]:
        """What the service objects to. Raises CheckFailed; the caller sets the time limit, which is told to the service."""
        ends = time.monotonic() + seconds
        objections: list[Objection] = []
        for piece in pieces:
            connection = await self._connected(check)
            request = request_of(name, piece)
            try:
                response = await connection.stub.Validate(
                    request, timeout=max(ends - time.monotonic(), 0.001), metadata=(("traceparent", traceparent()),)
                )
            except grpc.aio.AioRpcError as error:
                if error.code() is StatusCode.DEADLINE_EXCEEDED:
                    raise CheckFailed(Cause.DEADLINE, "no answer in time") from None
                connection.checked_at = -RESOLVE_AGAIN_SECONDS  # it may have moved
                details = (error.details() or "")[:_SHOWN]
                raise CheckFailed(Cause.ERROR, f"{error.code().name}: {details}") from None
            if response is None:  # as gRPC says that it cannot be read, whatever its types say
                raise CheckFailed(Cause.ERROR, "its answer is no ValidateResponse")
            objections += objections_of(response)
            if len(objections) >= MAX_OBJECTIONS:
                break
        return objections

    async def close(self) -> None:
        """End the connections."""
        connections, self._connections = self._connections, {}
        for connection in connections.values():
            await connection.channel.close()
        for closing in self._closing:
            closing.cancel()
        await asyncio.gather(*self._closing, return_exceptions=True)

    async def _connected(self, check: GrpcCheck) -> _Connection:
        key, now = (check.target, check.plaintext), time.monotonic()
        kept = self._connections.get(key)
        if kept is not None and now - kept.checked_at < RESOLVE_AGAIN_SECONDS:
            kept.used_at = now
            return kept
        try:
            found = await self.destination(check)
        except AddressRefused as error:
            raise CheckFailed(Cause.ERROR, error.message) from None
        except Unresolved as error:
            raise CheckFailed(Cause.ERROR, str(error)) from None
        kept = self._connections.get(key)
        if kept is not None and set(kept.addresses) == set(found.addresses):
            kept.checked_at = kept.used_at = now
            return kept
        channel = _open(found, check.plaintext)
        stub = commit_validator_pb2_grpc.CommitValidatorStub(channel)
        made = self._connections[key] = _Connection(channel, stub, found.addresses, now, now)
        idle = [other for other, one in self._connections.items() if now - one.used_at > IDLE_SECONDS]
        gone = [self._connections.pop(other) for other in idle] + ([kept] if kept is not None else [])
        for one in gone:
            closing = asyncio.create_task(one.channel.close(grace=MAX_CALL_SECONDS))  # calls of others may be under way
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
        return made


def _open(found: Destination, plaintext: bool) -> grpc.aio.Channel:
    options: list[tuple[str, str | int]] = [
        ("grpc.default_authority", found.authority),
        ("grpc.enable_http_proxy", 0),
        ("grpc.max_receive_message_length", MAX_ANSWER_BYTES),
        ("grpc.max_send_message_length", -1),
        ("grpc.service_config_disable_resolution", 1),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.max_reconnect_backoff_ms", 2_000),
    ]
    if plaintext:
        return grpc.aio.insecure_channel(found.grpc_target(), options=options)
    options.append(("grpc.ssl_target_name_override", found.host))
    credentials = grpc.ssl_channel_credentials(_authorities())
    return grpc.aio.secure_channel(found.grpc_target(), credentials, options=options)


@cache
def _authorities() -> bytes | None:
    """The certificate authorities that this process trusts, in PEM, as over HTTPS; gRPC has a list of its own."""
    known = ssl.create_default_context().get_ca_certs(binary_form=True)
    return "".join(map(ssl.DER_cert_to_PEM_cert, known)).encode() or None
