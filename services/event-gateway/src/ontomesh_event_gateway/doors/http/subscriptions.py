"""Subscriptions over HTTP: looking at them, and the few things that hands do to them."""

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request, Response
from google.protobuf.json_format import MessageToDict, Parse, ParseError

from ontomesh.events.v1 import subscription_pb2 as pb
from ontomesh_event_gateway.domain.gateway import Gateway
from ontomesh_event_gateway.domain.subscription import Subscription
from ontomesh_event_gateway.doors import convert_subscriptions as convert
from ontomesh_event_gateway.doors.caller import caller_now
from ontomesh_event_gateway.errors import InvalidRequest

PageSize = Annotated[int, Query(description="How many at the most: 1 to 1,000; 0 means 100.")]
PageToken = Annotated[str, Query(description="`next_page_token` of the answer before.")]
Label = Annotated[list[str] | None, Query(description="A label as `name=value`; repeated for several.")]

_SUBSCRIPTION = {
    "name": "mailer",
    "filter": {"types": ["shop.order.*"]},
    "start": {"only_new": True},
    "ordering": "ORDERING_UNORDERED",
    "ack_deadline": "30s",
    "max_attempts": 10,
    "max_outstanding": 1000,
    "attempt_records": "ATTEMPT_RECORDS_FAILURES",
    "owner": "user:ana",
    "create_time": "2026-01-01T00:00:00Z",
    "update_time": "2026-01-01T00:00:00Z",
    "etag": "1",
}
_STATUS = {
    "pending": 12,
    "outstanding": 3,
    "redelivering": 0,
    "dead_letters": 1,
    "acknowledged_sequence": 4711,
    "consumers": 2,
}
_START = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"type": "object"}, "example": {"sequence": 4711}}},
    }
}


def subscription_routes(gateway: Gateway) -> APIRouter:
    """Routes of subscriptions."""
    routes = APIRouter(prefix="/v1/subscriptions", tags=["subscriptions"])
    subscriptions = gateway.subscriptions

    @routes.get(
        "",
        summary="The subscriptions that you may consume from, by name",
        responses=example({"subscriptions": [_SUBSCRIPTION], "next_page_token": ""}),
    )
    async def list_subscriptions(page_size: PageSize = 0, page_token: PageToken = "", label: Label = None) -> Response:
        page = subscriptions.list(caller_now(), page_size, page_token, _labels(label or []))
        shown = [_shown(one) for one in page.subscriptions]
        return answer({"subscriptions": shown, "next_page_token": page.next_page_token})

    @routes.get("/{name}", summary="A subscription", responses=example(_SUBSCRIPTION))
    async def get_subscription(name: str) -> Response:
        return answer(_shown(subscriptions.get(caller_now(), name)))

    @routes.get("/{name}/status", summary="How far a subscription has come", responses=example(_STATUS))
    async def get_subscription_status(name: str) -> Response:
        one = await subscriptions.status(caller_now(), name)
        return answer({member: getattr(one, member) for member in _STATUS})

    @routes.post("/{name}:pause", summary="Stop a subscription's deliveries", responses=example(_SUBSCRIPTION))
    async def pause_subscription(name: str) -> Response:
        return answer(_shown(await subscriptions.pause(caller_now(), name)))

    @routes.post("/{name}:resume", summary="Go on with a subscription's deliveries", responses=example(_SUBSCRIPTION))
    async def resume_subscription(name: str) -> Response:
        return answer(_shown(await subscriptions.resume(caller_now(), name)))

    @routes.post(
        "/{name}:replay",
        summary="Move a subscription's position",
        description="The body is a start point: `only_new`, `all`, `sequence` or `time`.",
        openapi_extra=_START,
        responses=example(_SUBSCRIPTION),
    )
    async def replay_subscription(name: str, request: Request) -> Response:
        try:
            point = Parse(await request.body(), pb.StartPoint())
        except ParseError as fault:
            raise InvalidRequest.at("start", str(fault)) from None
        if point.WhichOneof("point") is None:
            raise InvalidRequest.at("start", "is missing")
        return answer(_shown(await subscriptions.replay(caller_now(), name, convert.start(point, "start"))))

    return routes


def answer(value: object) -> Response:
    """A JSON answer."""
    return Response(orjson.dumps(value), media_type="application/json")


def example(value: object) -> dict[int | str, dict[str, Any]]:
    """What a route answers, by an example."""
    return {200: {"description": "OK", "content": {"application/json": {"example": value}}}}


def _shown(one: Subscription) -> dict[str, Any]:
    shown: dict[str, Any] = MessageToDict(convert.subscription_proto(one), preserving_proto_field_name=True)
    return shown


def _labels(texts: list[str]) -> dict[str, str]:
    labels = {}
    for text in texts:
        name, mark, value = text.partition("=")
        if not mark:
            raise InvalidRequest.at("label", "is of the form name=value")
        labels[name] = value
    return labels
