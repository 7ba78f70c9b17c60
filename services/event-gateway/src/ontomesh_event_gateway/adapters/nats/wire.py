"""Events as commands of NATS' protocol, many at once."""

from collections.abc import Sequence

from ontomesh_event_gateway.adapters.nats.subjects import event_subject, message_id, partition
from ontomesh_event_gateway.domain.model import Event

HEADER_ROOM = 512
"""What the headers of one event take at most, apart from the trace."""

_CONTENT_TYPE = b"\r\ncontent-type:application/cloudevents+protobuf"


class Message:
    """An event on its way: what its commands are made of, computed once."""

    __slots__ = ("body", "id", "subject", "trace")

    def __init__(self, event: Event, traceparent: bytes = b"") -> None:
        self.subject = event_subject(partition(event.key), event.type).encode()
        self.id = message_id(event.source, event.id)
        self.trace = b"\r\ntraceparent:" + traceparent if traceparent else b""
        self.body = event.encoded


def single(message: Message, reply: bytes) -> bytes:
    """The command that publishes one event and asks for an ack."""
    header = b"NATS/1.0\r\nNats-Msg-Id:%b%b%b\r\n\r\n" % (message.id, _CONTENT_TYPE, message.trace)
    total = len(header) + len(message.body)
    return b"HPUB %b %b %d %d\r\n%b%b\r\n" % (message.subject, reply, len(header), total, header, message.body)


def batch(messages: Sequence[Message], batch_id: bytes, reply: bytes) -> bytes:
    """The commands that publish events as one atomic batch and ask for one ack."""
    rest = b"%b\r\nNats-Batch-Id:%b\r\nNats-Batch-Sequence:" % (_CONTENT_TYPE, batch_id)
    parts: list[bytes] = []
    add = parts.extend
    number = 0
    for message in messages[:-1]:
        number += 1
        header = b"NATS/1.0\r\nNats-Msg-Id:%b%b%b%d\r\n\r\n" % (message.id, message.trace, rest, number)
        body = message.body
        size = len(header)
        add((b"HPUB %b %d %d\r\n" % (message.subject, size, size + len(body)), header, body, b"\r\n"))
    last = messages[-1]
    header = b"NATS/1.0\r\nNats-Msg-Id:%b%b%b%d\r\nNats-Batch-Commit:1\r\n\r\n" % (
        last.id,
        last.trace,
        rest,
        number + 1,
    )
    size = len(header)
    add((b"HPUB %b %b %d %d\r\n" % (last.subject, reply, size, size + len(last.body)), header, last.body, b"\r\n"))
    return b"".join(parts)
