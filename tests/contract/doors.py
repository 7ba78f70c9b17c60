"""Sending a call through a door, and what comes back when it is refused."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import grpc
import httpx
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc import aio

from ontomesh.kernel.v1 import import_service_pb2
from tests.contract.calls import Call
from tests.contract.serving import Serving

DoorName = Literal["grpc", "http"]
DOORS: tuple[DoorName, ...] = ("grpc", "http")
Answer = TypeVar("Answer", bound=Message)

CALL_SECONDS = 20


@dataclass(frozen=True)
class Refusal:
    """A refusal, the same whichever door it came from; `status` is HTTP's, 0 from the gRPC door."""

    code: grpc.StatusCode
    reason: str
    fields: tuple[str, ...]
    message: str
    metadata: Mapping[str, str]
    trace_id: str
    status: int = 0


class Refused(Exception):
    """A call was refused."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal)
        self.refusal = refusal


class Doors:
    """Both doors of a running kernel."""

    def __init__(self, channel: aio.Channel, http: httpx.AsyncClient, token: str) -> None:
        self._channel: Any = channel
        self._http = http
        self._token = token

    async def send(
        self, door: DoorName, call: Call, token: str | None = None, headers: Mapping[str, str] | None = None
    ) -> bytes:
        """The answer's bytes. `token` is the owner's unless it is given; an empty one is not sent. Raises Refused."""
        given = self._token if token is None else token
        sent = ({"authorization": f"Bearer {given}"} if given else {}) | dict(headers or {})
        return await (self._by_grpc(call, sent) if door == "grpc" else self._by_http(call, sent))

    async def ask(
        self, call: Call, answer: type[Answer], token: str | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """The answer of the gRPC door."""
        made = answer()
        made.ParseFromString(await self.send("grpc", call, token, headers))
        return made

    async def read(
        self, call: Call, token: str | None = None, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """The answer of the HTTP door."""
        found: dict[str, Any] = json.loads(await self.send("http", call, token, headers) or b"{}")
        return found

    async def refused(
        self, door: DoorName, call: Call, token: str | None = None, headers: Mapping[str, str] | None = None
    ) -> Refusal:
        """The refusal that must come."""
        try:
            answer = await self.send(door, call, token, headers)
        except Refused as refused:
            return refused.refusal
        raise AssertionError(f"not refused at the {door} door: {answer[:400]!r}")

    async def upload(self, database: str, import_id: str, data: bytes) -> None:
        """Upload the whole stream of an import, by gRPC."""
        first = import_service_pb2.UploadDocumentsRequest(database=database, import_id=import_id)
        rest = import_service_pb2.UploadDocumentsRequest(data=data, is_last=True)
        stub = self._channel.stream_stream("/ontomesh.kernel.v1.ImportService/UploadDocuments")
        requests = iter((first.SerializeToString(), rest.SerializeToString()))
        call = stub(requests, metadata=(("authorization", f"Bearer {self._token}"),), timeout=CALL_SECONDS)
        async for _ in call:
            pass

    async def _by_grpc(self, call: Call, headers: Mapping[str, str]) -> bytes:
        stub = self._channel.unary_unary(call.path)
        try:
            answer: bytes = await stub(call.payload, metadata=tuple(headers.items()), timeout=CALL_SECONDS)
        except aio.AioRpcError as error:
            raise Refused(_of_grpc(error)) from None
        return answer

    async def _by_http(self, call: Call, headers: Mapping[str, str]) -> bytes:
        assert call.http is not None
        answer = await self._http.request(
            call.http.verb, call.http.url, content=call.http.body, headers={**call.http.headers, **headers}
        )
        if answer.status_code >= 400:
            raise Refused(_of_http(answer))
        return answer.content


def _of_grpc(error: aio.AioRpcError) -> Refusal:
    trailers = dict(error.trailing_metadata() or ())
    details = trailers.get("grpc-status-details-bin")
    if details is None:
        return Refusal(error.code(), "", (), error.details() or "", {}, "")
    status = status_pb2.Status.FromString(bytes(details))
    info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    for detail in status.details:
        assert detail.Unpack(info) or detail.Unpack(bad) or detail.Unpack(retry)
    assert info.domain == "kernel.ontomesh"
    assert status.code == error.code().value[0]
    assert all(each.reason == info.reason and each.description for each in bad.field_violations)
    metadata = dict(info.metadata)
    trace_id = metadata.pop("trace_id")
    assert trailers["x-ontomesh-trace-id"] == trace_id
    fields = tuple(each.field for each in bad.field_violations)
    return Refusal(error.code(), info.reason, fields, status.message, metadata, trace_id)


def _of_http(answer: httpx.Response) -> Refusal:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["type"] == f"urn:ontomesh:reason:{problem['reason']}"
    assert answer.headers["x-ontomesh-trace-id"] == problem["trace_id"]
    assert all(each["description"] for each in problem["violations"])
    return Refusal(
        grpc.StatusCode[problem["code"]],
        problem["reason"],
        tuple(each["field"] for each in problem["violations"]),
        problem["detail"],
        problem["metadata"],
        problem["trace_id"],
        answer.status_code,
    )


@asynccontextmanager
async def doors_of(kernel: Serving) -> AsyncIterator[Doors]:
    """Both doors of a kernel, for a block."""
    options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
    async with (
        aio.insecure_channel(kernel.grpc, options=options) as channel,
        httpx.AsyncClient(base_url=kernel.http, timeout=CALL_SECONDS) as http,
    ):
        yield Doors(channel, http, kernel.token())
