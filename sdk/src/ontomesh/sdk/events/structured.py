"""The JSON format of CloudEvents: one event as one JSON object."""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ontomesh.sdk.decoding import decode
from ontomesh.sdk.encoding import encode
from ontomesh.sdk.events.event import JSON, Attribute, Event, is_json

_REQUIRED = ("id", "source", "type")
_OWN = {*_REQUIRED, "specversion", "subject", "time", "datacontenttype", "data", "data_base64"}


def to_json(event: Event) -> bytes:
    """An event as JSON; data that are JSON stand in it as they are, digit for digit."""
    fields: dict[str, Any] = {"specversion": "1.0", "id": event.id, "source": event.source, "type": event.type}
    if event.subject:
        fields["subject"] = event.subject
    if event.time is not None:
        fields["time"] = _text(event.time)
    if event.content_type:
        fields["datacontenttype"] = event.content_type
    fields |= {name: _text(value) for name, value in event.attributes.items()}
    head = encode(fields)[:-1]
    body = event.body
    if body is None:
        return head + b"}"
    if is_json(event.content_type) or (isinstance(body, str) and not event.content_type):
        return head + b',"data":' + (body.encode() if isinstance(body, str) else body) + b"}"
    if isinstance(body, str):
        return head + b',"data":' + encode(body) + b"}"
    return head + b',"data_base64":"' + base64.b64encode(body) + b'"}'


def event_of(text: bytes) -> Event:
    """The event that a JSON object is.

    Raises:
        ValueError: It is no CloudEvent 1.0.
    """
    fields = decode(text)
    if not isinstance(fields, Mapping):
        raise ValueError("a CloudEvent is a JSON object")
    for name in _REQUIRED:
        if not isinstance(fields.get(name), str) or not fields[name]:
            raise ValueError(f"the CloudEvent has no {name}")
    if fields.get("specversion") != "1.0":
        raise ValueError("the CloudEvent is not of version 1.0")
    content_type = str(fields.get("datacontenttype") or "")
    moment = fields.get("time")
    return Event(
        id=fields["id"],
        source=fields["source"],
        type=fields["type"],
        subject=str(fields.get("subject") or ""),
        time=datetime.fromisoformat(moment) if isinstance(moment, str) else None,
        content_type=content_type or (JSON if "data" in fields else ""),
        body=_body(fields, content_type),
        attributes={name: value for name, value in fields.items() if name not in _OWN and value is not None},
    )


def _body(fields: Mapping[str, Any], content_type: str) -> bytes | str | None:
    if "data_base64" in fields:
        return base64.b64decode(fields["data_base64"], validate=True)
    if "data" not in fields:
        return None
    data = fields["data"]
    if isinstance(data, str) and content_type and not is_json(content_type):
        return data
    return encode(data)


def _text(value: Attribute) -> str | int | bool:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value
