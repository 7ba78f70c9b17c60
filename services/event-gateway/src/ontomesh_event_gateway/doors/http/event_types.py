"""Types of events over HTTP."""

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Header, Query, Request, Response

from ontomesh_event_gateway.domain.event_types import EventType
from ontomesh_event_gateway.domain.gateway import Gateway
from ontomesh_event_gateway.domain.model import ClassName
from ontomesh_event_gateway.doors import convert
from ontomesh_event_gateway.doors.caller import caller_now
from ontomesh_event_gateway.errors import InvalidRequest, Violation

PageSize = Annotated[int, Query(description="How many at the most: 1 to 1,000; 0 means 100.")]
PageToken = Annotated[str, Query(description="`next_page_token` of the answer before.")]
IfMatch = Annotated[str, Header(description="The etag that must be the current one.")]

_MEMBERS = ("description", "json_schema", "ontology_class")
_CLASS_MEMBERS = ("database", "branch", "name")
_EXAMPLE = {
    "name": "shop.order.placed",
    "description": "An order was placed.",
    "json_schema": {"type": "object", "required": ["total"], "properties": {"total": {"type": "number"}}},
    "author": "user:ana",
    "update_time": "2026-11-20T10:00:00.000000Z",
    "etag": "5f0c6f3fd2f1b3a09d8e7c61",
}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"type": "object"},
                "example": {name: _EXAMPLE[name] for name in ("description", "json_schema")},
            }
        },
    }
}


def event_type_routes(gateway: Gateway) -> APIRouter:
    """Routes of event types."""
    routes = APIRouter(prefix="/v1/event-types", tags=["event types"])
    event_types = gateway.event_types

    @routes.get(
        "",
        summary="The types that are registered, by name",
        responses=_example({"event_types": [_EXAMPLE], "next_page_token": ""}),
    )
    async def list_event_types(page_size: PageSize = 0, page_token: PageToken = "") -> Response:
        page = event_types.list(page_size, page_token)
        return _answer(
            {"event_types": [_shown(one) for one in page.event_types], "next_page_token": page.next_page_token}
        )

    @routes.get("/{name:path}", summary="A type", responses=_example(_EXAMPLE))
    async def get_event_type(name: str) -> Response:
        return _versioned(event_types.get(name))

    @routes.put(
        "/{name:path}",
        summary="Create or replace a type, by a JSON Schema or a class of the kernel",
        openapi_extra=_BODY,
        responses=_example(_EXAMPLE),
    )
    async def put_event_type(name: str, request: Request, if_match: IfMatch = "") -> Response:
        wanted = _read(name, await request.body(), _etag(if_match))
        return _versioned(await event_types.put(caller_now(), wanted))

    @routes.delete("/{name:path}", summary="Delete a type", status_code=204, response_class=Response)
    async def delete_event_type(name: str, if_match: IfMatch = "") -> Response:
        await event_types.delete(caller_now(), name, _etag(if_match))
        return Response(status_code=204)

    return routes


def _read(name: str, body: bytes, etag: str) -> EventType:
    try:
        sent = orjson.loads(body)
    except orjson.JSONDecodeError as fault:
        raise InvalidRequest.at("body", f"is not JSON: {fault}") from fault
    members = _members(sent, "", _MEMBERS)
    named = members.get("ontology_class")
    schema = members.get("json_schema")
    if (named is None) == (schema is None):
        raise InvalidRequest.at("json_schema", "is required, or ontology_class in its place")
    description = _text(members, "description", "")
    if named is None:
        # A text is taken too, for schemas that are written down as such.
        return EventType(
            name, description, schema if isinstance(schema, str) else orjson.dumps(schema).decode(), etag=etag
        )
    parts = _members(named, "ontology_class", _CLASS_MEMBERS)
    named_class = ClassName(*(_text(parts, part, "ontology_class.") for part in _CLASS_MEMBERS))
    return EventType(name, description, "", named_class, etag=etag)


def _members(value: object, place: str, known: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidRequest.at(place or "body", "is no object")
    unknown = [
        Violation(f"{place}.{name}" if place else name, "is not expected") for name in value if name not in known
    ]
    if unknown:
        raise InvalidRequest(f"{unknown[0].field}: {unknown[0].description}", unknown[:20])
    return value


def _text(members: dict[str, Any], name: str, place: str) -> str:
    value = members.get(name, "")
    if not isinstance(value, str):
        raise InvalidRequest.at(f"{place}{name}", "is no string")
    return value


def _etag(header: str) -> str:
    return header.strip().removeprefix("W/").strip('"')


def _shown(one: EventType) -> dict[str, Any]:
    named = one.ontology_class
    schema: dict[str, Any] = (
        {"json_schema": orjson.Fragment(one.json_schema)}
        if named is None
        else {"ontology_class": {"database": named.database, "branch": named.branch, "name": named.name}}
    )
    return {
        "name": one.name,
        "description": one.description,
        **schema,
        "author": one.author,
        "update_time": convert.time_proto(one.update_time).ToJsonString() if one.update_time else None,
        "etag": one.etag,
    }


def _versioned(one: EventType) -> Response:
    headers = {"ETag": f'"{one.etag}"'} if one.etag else {}
    return Response(orjson.dumps(_shown(one)), headers=headers, media_type="application/json")


def _answer(value: object) -> Response:
    return Response(orjson.dumps(value), media_type="application/json")


def _example(value: object) -> dict[int | str, dict[str, Any]]:
    return {200: {"description": "OK", "content": {"application/json": {"example": value}}}}
