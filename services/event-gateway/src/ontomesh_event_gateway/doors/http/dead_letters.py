"""Dead letters and attempts over HTTP."""

from base64 import b64encode
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request, Response
from google.protobuf.json_format import MessageToDict

from ontomesh_event_gateway.domain.gateway import Gateway
from ontomesh_event_gateway.domain.model import Event
from ontomesh_event_gateway.doors import convert_subscriptions as convert
from ontomesh_event_gateway.doors.caller import caller_now
from ontomesh_event_gateway.doors.convert import time_proto
from ontomesh_event_gateway.doors.http.subscriptions import PageSize, PageToken, answer, example
from ontomesh_event_gateway.errors import InvalidRequest
from ontomesh_event_gateway.ports import DeadLetter

EventId = Annotated[str, Query(description="Only those of the event with this id.")]

_LETTER = {
    "id": "7",
    "subscription": "mailer",
    "event": {"specversion": "1.0", "id": "order-1", "source": "/shop", "type": "shop.order.placed"},
    "error": "no such mailbox",
    "attempts": 10,
    "sequence": 4711,
    "create_time": "2026-01-01T00:00:00Z",
}
_ATTEMPT = {
    "event_id": "order-1",
    "event_source": "/shop",
    "event_type": "shop.order.placed",
    "sequence": "4711",
    "attempt": 1,
    "outcome": "OUTCOME_NAK",
    "error": "no such mailbox",
}
_IDS = {
    "requestBody": {
        "content": {"application/json": {"schema": {"type": "object"}, "example": {"ids": ["7"]}}},
    }
}
_PREFIX = "/v1/subscriptions/{name}"


def dead_letter_routes(gateway: Gateway) -> APIRouter:
    """Routes of dead letters and attempts; the name `@publish` stands for what was refused when it was published."""
    routes = APIRouter(tags=["dead letters"])
    dead_letters = gateway.dead_letters

    @routes.get(
        f"{_PREFIX}/dead-letters",
        summary="A subscription's dead letters, oldest first",
        responses=example({"dead_letters": [_LETTER], "next_page_token": ""}),
    )
    async def list_dead_letters(name: str, page_size: PageSize = 0, page_token: PageToken = "") -> Response:
        page = await dead_letters.list(caller_now(), name, page_size, page_token)
        shown = [_shown(one) for one in page.dead_letters]
        return answer({"dead_letters": shown, "next_page_token": page.next_page_token})

    @routes.post(
        f"{_PREFIX}/dead-letters:redrive",
        summary="Deliver dead letters again, all of them without ids",
        openapi_extra=_IDS,
        responses=example({"count": 1}),
    )
    async def redrive_dead_letters(name: str, request: Request) -> Response:
        return answer({"count": await dead_letters.redrive(caller_now(), name, await _ids(request))})

    @routes.get(
        f"{_PREFIX}/attempts",
        summary="What deliveries came to, newest first",
        responses=example({"attempts": [_ATTEMPT], "next_page_token": ""}),
    )
    async def list_attempts(
        name: str, event_id: EventId = "", page_size: PageSize = 0, page_token: PageToken = ""
    ) -> Response:
        page = await dead_letters.attempts(caller_now(), name, event_id, page_size, page_token)
        shown = [MessageToDict(convert.attempt_proto(one), preserving_proto_field_name=True) for one in page.attempts]
        return answer({"attempts": shown, "next_page_token": page.next_page_token})

    return routes


async def _ids(request: Request) -> list[str]:
    body = await request.body()
    try:
        asked = orjson.loads(body) if body else {}
    except orjson.JSONDecodeError:
        raise InvalidRequest("the body is no JSON") from None
    if not isinstance(asked, dict) or asked.keys() - {"ids"}:
        raise InvalidRequest('the body is of the form {"ids": ["7"]}')
    ids = asked.get("ids", [])
    if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
        raise InvalidRequest.at("ids", "is a list of texts")
    return ids


def _shown(one: DeadLetter) -> dict[str, Any]:
    return {
        "id": one.id,
        "subscription": one.subscription,
        "event": _event(one.event),
        "error": one.error,
        "attempts": one.attempts,
        "sequence": one.sequence,
        "create_time": time_proto(one.create_time).ToJsonString(),
    }


def _event(one: Event) -> dict[str, Any]:
    """An event in the JSON format of CloudEvents."""
    shown: dict[str, Any] = {"specversion": "1.0", "id": one.id, "source": one.source, "type": one.type}
    for name, value in one.attributes.items():
        shown[name] = b64encode(value).decode() if isinstance(value, bytes) else value
    if isinstance(one.data, bytes):
        shown["data_base64"] = b64encode(one.data).decode()
    elif one.data is not None:
        shown["data"] = _json(one) if _is_json(one) else one.data
    return shown


def _is_json(one: Event) -> bool:
    kind = one.text("datacontenttype").partition(";")[0].strip()
    return not kind or kind.endswith(("/json", "+json"))


def _json(one: Event) -> object:
    try:
        return orjson.loads(one.data or b"")
    except orjson.JSONDecodeError:
        return one.data
