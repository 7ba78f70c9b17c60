"""What JetStream's messages say of themselves, in their headers and reply subjects."""

from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

STATUS = b"NATS/1.0 "
HEARTBEAT = 100
TIMED_OUT = 408
_SHORT = 9
"""How many tokens an acknowledgement's subject has without a domain."""


class Kept(NamedTuple):
    """A message as a stream keeps it; `time` in microseconds since the epoch."""

    subject: str
    sequence: int
    time: int
    headers: dict[str, str]
    payload: bytes


class Delivered(NamedTuple):
    """What a delivery's reply subject tells; `number` counts the consumer's deliveries."""

    attempt: int
    sequence: int
    number: int
    time: int
    pending: int


def status_of(headers: bytes) -> int:
    """The status that comes in place of a message, 0 if it is a message."""
    code = headers[len(STATUS) : len(STATUS) + 3] if headers.startswith(STATUS) else b""
    return int(code) if code.isdigit() else 0


def lapsed(headers: bytes) -> int | None:
    """How many messages of a pull will not come, where a status ends that pull alone; None for any other status."""
    is_end = (
        status_of(headers) == TIMED_OUT
        or b" Message Size Exceeds MaxBytes" in headers
        or b" Batch Completed" in headers
    )
    return int(header(headers, b"Nats-Pending-Messages") or 0) if is_end else None


def headers_of(headers: bytes) -> dict[str, str]:
    """Headers by name in lower case."""
    lines = headers.decode("utf-8", "replace").split("\r\n")
    return {name.lower(): value.strip() for name, mark, value in (line.partition(":") for line in lines[1:]) if mark}


def header(headers: bytes, name: bytes) -> str:
    """One header, whose name is written as it was when it was sent; empty if there is none."""
    at = headers.find(b"\r\n%b:" % name)
    if at < 0:
        return ""
    begin = at + len(name) + 3
    return headers[begin : headers.find(b"\r\n", begin)].strip().decode("utf-8", "replace")


def delivered(reply: bytes) -> Delivered:
    """What a delivery's reply subject tells."""
    tokens = reply.split(b".")
    first = 4 if len(tokens) == _SHORT else 6
    attempt, sequence, number, time, pending = tokens[first : first + 5]
    return Delivered(int(attempt), int(sequence), int(number), int(time) // 1000, int(pending))


def microseconds(time: str) -> int:
    """The microseconds since the epoch of a time as Go writes it in UTC, with up to nine digits of a second."""
    moment, _, fraction = time.removesuffix("Z").partition(".")
    seconds = int(datetime.fromisoformat(f"{moment}+00:00").timestamp())
    return seconds * 1_000_000 + int(f"{fraction:0<6}"[:6])


def go_time(microseconds_: int) -> str:
    """A time as Go reads it."""
    return (
        f"{datetime.fromtimestamp(microseconds_ // 1_000_000, UTC):%Y-%m-%dT%H:%M:%S}.{microseconds_ % 1_000_000:06d}Z"
    )


def kept(headers: bytes, payload: bytes) -> Kept:
    """A message as a direct read answers it."""
    own = headers_of(headers)
    return Kept(
        own.pop("nats-subject", ""),
        int(own.pop("nats-sequence", "0")),
        microseconds(own.pop("nats-time-stamp", "1970-01-01T00:00:00Z")),
        own,
        payload,
    )


def unquote(token: str) -> str:
    """The text of a token that `=XX` escapes were put into."""
    return unquote_to_bytes(token.replace("=", "%")).decode()
