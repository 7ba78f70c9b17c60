"""Responses with many events, written as bytes: a stored event is copied into them as it is, never parsed again."""

from collections.abc import Iterable, Sequence

from ontomesh_event_gateway.domain.member import MAX_BYTES, MAX_EVENTS, Delivery
from ontomesh_event_gateway.domain.model import StoredEvent

_DELIVERIES = b"\x0a"
"""`ConsumeResponse.deliveries` and `SubscribeResponse.events`: field 1, a message."""


def consume_response(deliveries: Iterable[Delivery]) -> bytes:
    """A `ConsumeResponse`."""
    parts: list[bytes] = []
    for number, encoded, attempt, sequence, time, traceparent in deliveries:
        hop = traceparent.encode()
        delivery = b"\x08%b\x12%b%b\x18%b\x20%b\x2a%b%b" % (
            _varint(number),
            _varint(len(encoded)),
            encoded,
            _varint(attempt),
            _varint(sequence),
            _timestamp(time),
            b"\x32%b%b" % (_varint(len(hop)), hop) if hop else b"",
        )
        parts += (_DELIVERIES, _varint(len(delivery)), delivery)
    return b"".join(parts)


def subscribe_response(events: Iterable[StoredEvent]) -> bytes:
    """A `SubscribeResponse`."""
    parts: list[bytes] = []
    for one in events:
        encoded = one.event.encoded
        event = b"\x0a%b%b\x10%b\x1a%b" % (
            _varint(len(encoded)),
            encoded,
            _varint(one.sequence),
            _timestamp(one.time),
        )
        parts += (_DELIVERIES, _varint(len(event)), event)
    return b"".join(parts)


def portions(events: Sequence[StoredEvent]) -> Iterable[Sequence[StoredEvent]]:
    """Events in portions that go in a message each; one event goes however large it is."""
    begin = size = 0
    for at, one in enumerate(events):
        size += len(one.event.encoded)
        if at > begin and (size > MAX_BYTES or at - begin == MAX_EVENTS):
            yield events[begin:at]
            begin, size = at, len(one.event.encoded)
    if begin < len(events):
        yield events[begin:]


_SMALL = [bytes([value]) for value in range(128)]


def _varint(value: int) -> bytes:
    if value < 128:
        return _SMALL[value]
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def _timestamp(microseconds: int) -> bytes:
    """A `Timestamp` behind its length."""
    seconds, rest = divmod(microseconds, 1_000_000)
    body = b"\x08%b\x10%b" % (_varint(seconds), _varint(rest * 1000))
    return b"%b%b" % (_SMALL[len(body)], body)
