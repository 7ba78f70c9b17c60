"""What an event must be: CloudEvents 1.0, and the limits of the contract."""

import re
from calendar import monthrange
from collections.abc import Callable, Iterator
from functools import lru_cache

from ontomesh_event_gateway.domain.model import Event, Value
from ontomesh_event_gateway.errors import InvalidEvent, TooLarge, Violation

MAX_DATA_BYTES = 1 << 20
MAX_ID_BYTES = 1024
MAX_SOURCE_BYTES = 1024
MAX_TYPE_CHARACTERS = 256
MAX_KEY_BYTES = 1024
MAX_ATTRIBUTES = 32
MAX_ATTRIBUTE_BYTES = 16 * 1024
MAX_VIOLATIONS = 20
MAX_NAME_CHARACTERS = 20

_USUAL_CHARACTERS = 256
_NO_NAME = "a name is 1 to 20 lower-case letters and digits"
_NAME = re.compile(r"[a-z0-9]{1,20}")
_RESERVED = frozenset({"id", "source", "specversion", "type", "data"})
# CloudEvents, "Type System": no control characters, no noncharacters; surrogates cannot come in UTF-8.
_FORBIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\ufdd0-\ufdef"
    + "".join(f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0, 0x110000, 0x10000))
    + "]"
)
_SPACE = re.compile(r"\s")
# RFC 3986, 4.1: the characters of a URI reference, percent-encoding in pairs, one fragment.
_REFERENCE = re.compile(
    r"(?:[A-Za-z0-9\-._~:/?\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})*(?:#(?:[A-Za-z0-9\-._~:/?@!$&'()*+,;=]|%[0-9A-Fa-f]{2})*)?"
)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:.")
_NAME_OF_MEDIA = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
# RFC 2045, 5.1.
_MEDIA_TYPE = re.compile(
    rf'{_NAME_OF_MEDIA}/{_NAME_OF_MEDIA}(?:\s*;\s*{_NAME_OF_MEDIA}=(?:{_NAME_OF_MEDIA}|"(?:[^"\\]|\\.)*"))*\s*;?'
)
# RFC 3339, 5.6.
_TIME = re.compile(
    r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])[Tt](?:[01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60)(?:\.\d+)?(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)",
    re.ASCII,
)


def check_event(event: Event) -> None:
    """Raises InvalidEvent with what is wrong with each attribute, TooLarge for the data."""
    if event.data is not None and len(event.data) > MAX_DATA_BYTES // 4:
        _check_size(event.data)
    violations = [*_context_violations(event), *_attribute_violations(event)]
    if violations:
        raise InvalidEvent(
            "; ".join(f"{violation.field}: {violation.description}" for violation in violations[:3]),
            violations[:MAX_VIOLATIONS],
        )


def _check_size(data: bytes | str) -> None:
    size = len(data) if isinstance(data, bytes) else len(data.encode())
    if size > MAX_DATA_BYTES:
        description = f"has {size} bytes; at most {MAX_DATA_BYTES} are taken"
        raise TooLarge.at("data", description, limit=str(MAX_DATA_BYTES), size=str(size))


def _context_violations(event: Event) -> Iterator[Violation]:
    for name, wrong in (
        ("id", _wrong_id(event.id)),
        ("source", _wrong_source(event.source)),
        ("type", _wrong_type(event.type)),
    ):
        if wrong:
            yield Violation(name, wrong)


def _attribute_violations(event: Event) -> Iterator[Violation]:
    if len(event.attributes) > MAX_ATTRIBUTES:
        yield Violation("attributes", f"has {len(event.attributes)}; at most {MAX_ATTRIBUTES} are taken")
        return
    size = 0
    for name, value in event.attributes.items():
        wrong = _wrong_name(name) or _wrong_value(name, value)
        if wrong:
            yield Violation(f"attributes.{name[:40]}", wrong)
        size += len(value) if isinstance(value, bytes | str) else 4
    # A character has up to four bytes: most events need no closer look.
    if 4 * size > MAX_ATTRIBUTE_BYTES and (size := sum(map(_size, event.attributes.values()))) > MAX_ATTRIBUTE_BYTES:
        yield Violation("attributes", f"have {size} bytes together; at most {MAX_ATTRIBUTE_BYTES} are taken")


def _size(value: Value) -> int:
    if isinstance(value, str):
        return len(value.encode())
    return len(value) if isinstance(value, bytes) else 4


# Texts of any length come here: only such are remembered as are within their limit.


def _wrong_id(id_: str) -> str:
    return _wrong_text(id_, MAX_ID_BYTES)


def _wrong_source(source: str) -> str:
    return _wrong_text(source, MAX_SOURCE_BYTES) if len(source) > MAX_SOURCE_BYTES else _wrong_short_source(source)


@lru_cache(maxsize=4096)
def _wrong_short_source(source: str) -> str:
    return _wrong_text(source, MAX_SOURCE_BYTES) or _wrong_reference(source)


def _wrong_type(type_: str) -> str:
    if len(type_) > MAX_TYPE_CHARACTERS:
        return f"has {len(type_)} characters; at most {MAX_TYPE_CHARACTERS} are taken"
    return _wrong_short_type(type_)


@lru_cache(maxsize=4096)
def _wrong_short_type(type_: str) -> str:
    return _wrong_text(type_, 4 * MAX_TYPE_CHARACTERS) or ("has white space" if _SPACE.search(type_) else "")


def _wrong_name(name: str) -> str:
    return _NO_NAME if len(name) > MAX_NAME_CHARACTERS else _wrong_short_name(name)


@lru_cache(maxsize=4096)
def _wrong_short_name(name: str) -> str:
    if name in _RESERVED:
        return "is no name for an attribute: it is a field of the event"
    return "" if _NAME.fullmatch(name) else _NO_NAME


def _wrong_value(name: str, value: Value) -> str:
    if not isinstance(value, str):
        return "must be a text" if name in _TEXTS else ""
    if _has_forbidden(value):
        return "has control characters or noncharacters"
    check = _TEXTS.get(name)
    return check(value) if check is not None else ""


def _wrong_text(text: str, limit: int) -> str:
    if not text:
        return "is required"
    if 4 * len(text) > limit and len(text.encode()) > limit:
        return f"has {len(text.encode())} bytes; at most {limit} are taken"
    return "has control characters or noncharacters" if _has_forbidden(text) else ""


def _has_forbidden(text: str) -> bool:
    # The first two are a tenth of the pattern's cost, and settle it for most texts.
    return not (text.isascii() and text.isprintable()) and _FORBIDDEN.search(text) is not None


def _wrong_reference(text: str) -> str:
    return "" if _REFERENCE.fullmatch(text) else "is no URI reference (RFC 3986)"


def _wrong_schema(text: str) -> str:
    return "" if _REFERENCE.fullmatch(text) and _SCHEME.match(text) else "is no absolute URI (RFC 3986)"


def _wrong_time(text: str) -> str:
    return "" if _TIME.fullmatch(text) and _is_day(text) else "is no time by RFC 3339"


def _is_day(text: str) -> bool:
    day = int(text[8:10])
    # RFC 3339, 5.7. The calendar goes round in 400 years, and Python's begins with year 1.
    return day <= 28 or day <= monthrange(int(text[:4]) % 400 + 400, int(text[5:7]))[1]


def _wrong_subject(text: str) -> str:
    return "" if text else "must not be empty"


def _wrong_key(text: str) -> str:
    return _wrong_text(text, MAX_KEY_BYTES)


def _wrong_media_type(text: str) -> str:
    is_one = _is_media_type(text) if len(text) <= _USUAL_CHARACTERS else _MEDIA_TYPE.fullmatch(text) is not None
    return "" if is_one else "is no media type (RFC 2046)"


@lru_cache(maxsize=1024)
def _is_media_type(text: str) -> bool:
    return _MEDIA_TYPE.fullmatch(text) is not None


_TEXTS: dict[str, Callable[[str], str]] = {
    "datacontenttype": _wrong_media_type,
    "dataschema": _wrong_schema,
    "subject": _wrong_subject,
    "time": _wrong_time,
    "partitionkey": _wrong_key,
    "traceparent": _wrong_subject,
    "tracestate": _wrong_subject,
}
