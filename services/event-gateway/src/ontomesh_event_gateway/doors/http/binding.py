"""Events in HTTP requests, by the HTTP binding of CloudEvents 1.0 and its JSON format."""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

import orjson
from google.protobuf.message import DecodeError
from starlette.datastructures import Headers

from ontomesh.events.v1 import cloud_event_pb2 as pb
from ontomesh_event_gateway.domain.publishing import MAX_BYTES, Draft, check_size
from ontomesh_event_gateway.doors import convert
from ontomesh_event_gateway.errors import InvalidEvent, InvalidRequest, TooLarge

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
PROTOBUF = "application/cloudevents+protobuf"
MAX_BODY_BYTES = 2 * MAX_BYTES
"""Room for what JSON and Base64 add to the events' own limit."""

_PREFIX = "ce-"
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_JSON = re.compile(r"(?:application|text)/(?:[^;\s]+\+)?json\s*(?:;|$)", re.IGNORECASE)
_CONTEXT = frozenset({"id", "source", "type"})
_DATA = frozenset({"data", "data_base64"})
_MOST_INTEGER = (1 << 31) - 1


def is_batch(media_type: str) -> bool:
    """Whether a request of this content type holds a batch."""
    return _bare(media_type) == BATCH


def read_events(headers: Headers, body: bytes) -> list[Draft]:
    """The events of a request in binary, structured or batched mode, each as what is to be published.

    Raises InvalidRequest where the request is in no mode, or its body is no JSON; TooLarge.
    """
    if len(body) > MAX_BODY_BYTES:
        description = f"has {len(body)} bytes; at most {MAX_BODY_BYTES} are taken"
        raise TooLarge.at("body", description, limit=str(MAX_BODY_BYTES), size=str(len(body)))
    media_type = headers.get("content-type", "")
    bare = _bare(media_type)
    if bare == STRUCTURED:
        return [_structured(body, _object(body))]
    if bare == BATCH:
        return _batched(body)
    if bare == PROTOBUF:
        try:
            return [convert.draft(pb.CloudEvent.FromString(body))]
        except DecodeError as error:
            raise InvalidRequest.at("body", "is no event in the protobuf format of CloudEvents") from error
    if bare.startswith("application/cloudevents"):
        raise InvalidRequest.at("content-type", f"{bare} is not read; {STRUCTURED}, {BATCH} and {PROTOBUF} are")
    return [_binary(headers, media_type, body)]


def _binary(headers: Headers, media_type: str, body: bytes) -> Draft:
    found = {name[len(_PREFIX) :]: value for name, value in headers.items() if name.startswith(_PREFIX)}
    if not found:
        description = f"holds no event: send ce-* headers, or {STRUCTURED} or {BATCH}"
        raise InvalidRequest.at("headers", description)
    message = pb.CloudEvent()
    if body or media_type:
        message.binary_data = body
    try:
        attributes: dict[str, object] = {name: _unescaped(name, value) for name, value in found.items()}
        if "datacontenttype" in attributes:
            raise InvalidEvent.at("attributes.datacontenttype", "is the header content-type")
        _fill(message, attributes | ({"datacontenttype": media_type} if media_type else {}))
    except InvalidEvent as error:
        return Draft(convert.bare(message), error)
    return convert.draft(message)


def _unescaped(name: str, value: str) -> str:
    quoted = _QUOTED.fullmatch(value)
    text = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else value
    try:
        return unquote_to_bytes(text.encode("latin-1")).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidEvent.at(f"attributes.{name}", "is not percent-encoded UTF-8") from error


def _batched(body: bytes) -> list[Draft]:
    value = _parsed(body)
    if not isinstance(value, list):
        raise InvalidRequest.at("body", "must be an array of events")
    check_size(len(value), 0)
    exact: list[Any] = _exact(body)
    return [
        _event(one, whole)
        if isinstance(one, dict)
        else Draft(convert.bare(pb.CloudEvent()), InvalidEvent("an event is an object"))
        for one, whole in zip(value, exact, strict=True)
    ]


def _structured(body: bytes, value: dict[str, Any]) -> Draft:
    return _event(value, _exact(body) if isinstance(value.get("data"), dict | list | int | float) else value)


def _event(value: Mapping[str, Any], exact: Mapping[str, Any]) -> Draft:
    """The message of an event; `exact` is the same value, whose data have numbers with all their digits."""
    message = pb.CloudEvent()
    try:
        attributes = {name: part for name, part in value.items() if part is not None and name not in _DATA}
        _fill(message, attributes)
        if value.get("data_base64") is not None:
            if value.get("data") is not None:
                raise InvalidEvent.at("data_base64", "stands beside data")
            message.binary_data = _decoded(value["data_base64"])
        elif "data" in value:
            media_type = str(value.get("datacontenttype") or "")
            data = value["data"]
            if isinstance(data, str) and media_type and not _JSON.match(media_type):
                message.text_data = data
            elif data is not None or media_type:
                message.text_data = _dumped(exact["data"])
    except InvalidEvent as error:
        return Draft(convert.bare(message), error)
    return convert.draft(message)


def _dumped(data: object) -> str:
    try:
        return orjson.dumps(data).decode()
    except orjson.JSONEncodeError as error:
        raise InvalidEvent.at("data", "is nested too deeply") from error


def _fill(message: pb.CloudEvent, attributes: Mapping[str, object]) -> None:
    version = attributes.get("specversion", "")
    if version != convert.SPEC_VERSION:
        raise InvalidEvent.at("specversion", f"must be {convert.SPEC_VERSION}" if version else "is required")
    for name, value in attributes.items():
        if name in _CONTEXT:
            if not isinstance(value, str):
                raise InvalidEvent.at(name, "must be a string")
            setattr(message, name, value)
        elif name != "specversion":
            _set(message.attributes[name], name, value)


def _set(attribute: pb.CloudEventAttributeValue, name: str, value: object) -> None:
    if isinstance(value, bool):
        attribute.ce_boolean = value
    elif isinstance(value, int) and -_MOST_INTEGER - 1 <= value <= _MOST_INTEGER:
        attribute.ce_integer = value
    elif not isinstance(value, str):
        raise InvalidEvent.at(f"attributes.{name}", "must be a string, a boolean or an integer of 32 bits")
    elif name == "dataschema":
        attribute.ce_uri = value
    elif name == "time":
        try:
            attribute.ce_timestamp.FromJsonString(value)
        except ValueError:
            attribute.ce_string = value  # for the domain to refuse
    else:
        attribute.ce_string = value


def _decoded(text: object) -> bytes:
    try:
        return base64.b64decode(text if isinstance(text, str) else "?", validate=True)
    except binascii.Error as error:
        raise InvalidEvent.at("data_base64", "is no Base64") from error


def _object(body: bytes) -> dict[str, Any]:
    value = _parsed(body)
    if not isinstance(value, dict):
        raise InvalidRequest.at("body", "must be an event as a JSON object")
    return value


def _parsed(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest.at("body", f"is no JSON: {error}") from error


def _exact(body: bytes) -> Any:
    """The same JSON; its numbers go out again as they came in."""
    try:
        return json.loads(body, parse_int=_digits, parse_float=_digits)
    except RecursionError as error:
        raise InvalidRequest.at("body", "is nested too deeply") from error


def _digits(text: str) -> orjson.Fragment:
    return orjson.Fragment(text)


def _bare(media_type: str) -> str:
    return media_type.partition(";")[0].strip().lower()


def event_json(message: pb.CloudEvent) -> dict[str, Any]:
    """An event in the JSON format of CloudEvents; JSON data as they are."""
    event = convert.event(message)
    value: dict[str, Any] = {
        "specversion": convert.SPEC_VERSION,
        "id": event.id,
        "source": event.source,
        "type": event.type,
        **{
            name: base64.b64encode(part).decode() if isinstance(part, bytes) else part
            for name, part in event.attributes.items()
        },
    }
    media_type = event.text("datacontenttype")
    if event.data is None:
        return value
    data = event.data.encode() if isinstance(event.data, str) else event.data
    if (_JSON.match(media_type) or not media_type) and _is_json(data):
        return value | {"data": orjson.Fragment(data)}
    if isinstance(event.data, str):
        return value | {"data": event.data}
    return value | {"data_base64": base64.b64encode(data).decode()}


def _is_json(data: bytes) -> bool:
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError:
        return False
    return True
