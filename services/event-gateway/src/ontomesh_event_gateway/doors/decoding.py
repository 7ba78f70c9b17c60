"""Events as they were stored, of which only what is asked for is translated."""

from collections.abc import Iterator, Mapping
from typing import Any

from google.protobuf.message import DecodeError

from ontomesh.events.v1 import cloud_event_pb2 as pb
from ontomesh_event_gateway.domain.model import Event, Value
from ontomesh_event_gateway.errors import InvalidEvent

_parse = pb.CloudEvent.FromString


class _Attributes(Mapping[str, Value]):
    """A message's attributes."""

    __slots__ = ("_values",)

    def __init__(self, values: Any) -> None:
        self._values = values

    def __getitem__(self, name: str) -> Value:
        # The map of a message makes the entry that it is asked for.
        if name not in self._values:
            raise KeyError(name)
        return _value(self._values[name])

    def get(self, name: str, default: Any = None) -> Any:
        """The value, or the default."""
        return _value(self._values[name]) if name in self._values else default

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def decode_stored(encoded: bytes) -> Event:
    """The event of bytes that the gateway stored. Raises InvalidEvent."""
    try:
        message = _parse(encoded)
    except DecodeError as error:
        raise InvalidEvent("these bytes are no event in the protobuf format of CloudEvents") from error
    data: bytes | str | None
    match message.WhichOneof("data"):
        case "binary_data":
            data = message.binary_data
        case "text_data":
            data = message.text_data
        case None:
            data = None
        case _:
            data = message.proto_data.SerializeToString()
    return Event(message.id, message.source, message.type, _Attributes(message.attributes), data, encoded)


def _value(message: pb.CloudEventAttributeValue) -> Value:
    kind = message.WhichOneof("attr")
    if kind == "ce_string":
        return message.ce_string
    if kind is None:
        return ""
    if kind == "ce_timestamp":
        return message.ce_timestamp.ToJsonString()
    value: Value = getattr(message, kind)
    return value
