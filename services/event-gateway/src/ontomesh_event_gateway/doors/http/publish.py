"""Publishing over HTTP, by the HTTP binding of CloudEvents."""

import asyncio
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request, Response

from ontomesh_event_gateway.domain.gateway import Gateway
from ontomesh_event_gateway.domain.model import Outcome, Result, StreamState
from ontomesh_event_gateway.domain.publishing import Wishes
from ontomesh_event_gateway.doors import convert
from ontomesh_event_gateway.doors.caller import caller_now
from ontomesh_event_gateway.doors.http.binding import BATCH, PROTOBUF, STRUCTURED, is_batch, read_events

RequireStored = Annotated[bool, Query(description="Refuses events rather than keep them in the gateway's spool.")]
DeadLetterRefused = Annotated[bool, Query(description="Keeps events that are refused for good as dead letters.")]

READ_AT_ONCE = 128 * 1024
"""Larger bodies are read beside the loop."""

_EVENT = {
    "specversion": "1.0",
    "id": "order-1",
    "source": "/shop",
    "type": "shop.order.placed",
    "datacontenttype": "application/json",
    "data": {"total": 12.5},
}
_HEADER = {"in": "header", "required": False, "schema": {"type": "string"}}
_BODY: dict[str, Any] = {
    "parameters": [
        _HEADER | {"name": "ce-specversion", "description": "Binary mode: 1.0.", "example": "1.0"},
        _HEADER | {"name": "ce-id", "description": "Binary mode: the event's id.", "example": "order-1"},
        _HEADER | {"name": "ce-source", "description": "Binary mode: the event's source.", "example": "/shop"},
        _HEADER | {"name": "ce-type", "description": "Binary mode: the event's type.", "example": "shop.order.placed"},
    ],
    "requestBody": {
        "description": "The event's data in binary mode, an event in structured mode, events in batched mode.",
        "content": {
            STRUCTURED: {"schema": {"type": "object"}, "example": _EVENT},
            BATCH: {"schema": {"type": "array", "items": {"type": "object"}}, "example": [_EVENT]},
            PROTOBUF: {"schema": {"type": "string", "format": "binary"}},
            "*/*": {"schema": {"type": "string", "format": "binary"}},
        },
    },
}
_RESULTS = {"results": [{"outcome": "STORED", "sequence": 4711}]}
_STREAM = {
    "events": 4711,
    "bytes": 5_242_880,
    "max_bytes": 4 << 30,
    "max_age": "604800s",
    "first_sequence": 1,
    "last_sequence": 4711,
    "first_time": "2026-01-01T00:00:00Z",
    "deduplication_window": "120s",
    "replicas": 1,
    "sync_interval": "always",
    "spool_bytes": 0,
    "spool_events": 0,
}


def publish_routes(gateway: Gateway) -> APIRouter:
    """Routes that take events, and that tell of the stream."""
    routes = APIRouter(prefix="/v1")

    @routes.post(
        "/events",
        tags=["events"],
        summary="Publish an event or a batch, by the HTTP binding of CloudEvents",
        description="Answers a batch with a result for each event. A single event that is refused is answered with a "
        "problem.",
        openapi_extra=_BODY,
        responses={200: {"description": "Results.", "content": {"application/json": {"example": _RESULTS}}}},
    )
    async def publish(
        request: Request, require_stored: RequireStored = False, dead_letter_refused: DeadLetterRefused = False
    ) -> Response:
        caller = caller_now()
        body = await request.body()
        if len(body) > READ_AT_ONCE:
            drafts = await asyncio.to_thread(read_events, request.headers, body)
        else:
            drafts = read_events(request.headers, body)
        results = await gateway.publishing.publish(caller, drafts, Wishes(require_stored, dead_letter_refused))
        if not is_batch(request.headers.get("content-type", "")):
            _raise_refusal(results[0])
        return _answer({"results": [_result(one) for one in results]})

    @routes.get(
        "/stream",
        tags=["events"],
        summary="How the stream of events is kept and how full it is",
        responses={200: {"description": "The stream.", "content": {"application/json": {"example": _STREAM}}}},
    )
    async def stream() -> Response:
        state, spool_bytes, spool_events = await gateway.spooling.state()
        return _answer(_stream(state, spool_bytes, spool_events))

    return routes


def _raise_refusal(result: Result) -> None:
    if result.error is not None and result.outcome is not Outcome.DEAD_LETTERED:
        raise result.error


def _result(one: Result) -> dict[str, Any]:
    value: dict[str, Any] = {"outcome": one.outcome.name}
    if one.sequence:
        value["sequence"] = one.sequence
    if one.error is not None:
        value["error"] = {
            "reason": convert.reason_of(one.error),
            "message": one.error.message,
            "violations": [
                {"field": violation.field, "description": violation.description}
                for violation in one.error.violations[: convert.MAX_VIOLATIONS]
            ],
        }
    return value


def _stream(state: StreamState, spool_bytes: int, spool_events: int) -> dict[str, Any]:
    return {
        "events": state.events,
        "bytes": state.bytes,
        "max_bytes": state.max_bytes,
        "max_age": f"{state.max_age:g}s",
        "first_sequence": state.first_sequence,
        "last_sequence": state.last_sequence,
        "first_time": convert.time_proto(state.first_time).ToJsonString() if state.first_time else None,
        "deduplication_window": f"{state.deduplication_window:g}s",
        "replicas": state.replicas,
        "sync_interval": state.sync_interval,
        "spool_bytes": spool_bytes,
        "spool_events": spool_events,
    }


def _answer(value: object) -> Response:
    return Response(orjson.dumps(value), media_type="application/json")
