r"""Reading bodies exactly, and writing the one canonical form that is stored and hashed.

The canonical form of a JSON value is UTF-8 without white space, object keys sorted by code point, and of everything
that JSON lets one write in several ways the one below; `tests/vectors/canonical.json` fixes it by examples.

- Strings escape only `"`, `\` and the control characters (`\b \t \n \f \r`, else `\u00xx`).
- Decimals have all their digits: no exponent, no trailing zeros after the point, no negative zero.
- Doubles are the shortest digits that read back as the same double, as Python's `repr` prints them: `1.0`, `1e+22`.
"""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from hashlib import blake2b
from typing import Any

import orjson

from ontomesh_data_kernel.errors import MalformedBody, TooLarge

MAX_DEPTH = 64
MAX_DIGITS = 1_000
"""Digits of a number before and after the point: a short exponent must not become a long body."""

_BOM = b"\xef\xbb\xbf"
_TOO_BIG = 10**MAX_DIGITS
_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_BLANK = re.compile(r"[ \t\n\r]*")


class _Unreadable(ValueError):
    """Text that JSON's grammar allows and the kernel does not, or that Python reads and JSON does not."""


def parse_body(data: bytes, *, limit: int, field: str = "body") -> dict[str, Any]:
    """Read a JSON object exactly: numbers with a point or an exponent as Decimal, integers of any size as int.

    `field` names the body in errors. Raises TooLarge beyond `limit` bytes, and MalformedBody if the bytes are not one
    JSON object in UTF-8, hold a key twice, a lone surrogate, or nest deeper than MAX_DEPTH.
    """
    value = parse_value(data, limit=limit, field=field)
    if type(value) is not dict:
        raise MalformedBody.at(field, f"{kind_of(value)} where an object is due")
    return value


def parse_value(data: bytes, *, limit: int, field: str) -> Any:
    """Read any one JSON value as exactly as `parse_body` does. Raises the same errors."""
    values = _read(data, limit, field, many=False)
    return values[0]


def parse_values(data: bytes, *, limit: int, field: str) -> list[Any]:
    """Read JSON values that follow one another with or without white space between (NDJSON). Errors as `parse_body`."""
    return _read(data, limit, field, many=True)


def _read(data: bytes, limit: int, field: str, *, many: bool) -> list[Any]:
    if len(data) > limit:
        raise TooLarge.of(field, len(data), limit, field)
    if data.startswith(_BOM):
        raise MalformedBody.at(field, "begins with a byte order mark; JSON in UTF-8 has none")
    try:
        text = data.decode()
        values = list(_values(text)) if many else [_DECODER.decode(text)]
    except UnicodeDecodeError as error:
        raise MalformedBody.at(field, f"is not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise MalformedBody.at(field, f"is not JSON at line {error.lineno} column {error.colno}: {error.msg}") from None
    except _Unreadable as error:
        raise MalformedBody.at(field, str(error)) from None
    except RecursionError:
        raise MalformedBody.at(field, f"is nested deeper than {MAX_DEPTH} levels") from None
    except (ValueError, ArithmeticError):
        raise MalformedBody.at(field, f"holds a number of more than {MAX_DIGITS:,} digits") from None
    # Cheap upper bounds first: hardly any body needs the walk.
    if data.count(b"[") + data.count(b"{") > MAX_DEPTH and any(_deeper_than(value, MAX_DEPTH) for value in values):
        raise MalformedBody.at(field, f"is nested deeper than {MAX_DEPTH} levels")
    if _ESCAPED_SURROGATE.search(data) and any(_holds_surrogate(value) for value in values):
        raise MalformedBody.at(field, "holds half of a surrogate pair, which is no character")
    return values


def _values(text: str) -> Iterator[Any]:
    position = _skip_blank(text, 0)
    while position < len(text):
        value, position = _DECODER.raw_decode(text, position)
        yield value
        position = _skip_blank(text, position)


def _skip_blank(text: str, position: int) -> int:
    match = _BLANK.match(text, position)
    return match.end() if match else position


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _Unreadable(f"holds the key {key!r} twice in one object")
            seen.add(key)
    return value


def _constant(name: str) -> Any:
    raise _Unreadable(f"holds {name}, which is no JSON number")


_DECODER = json.JSONDecoder(parse_float=Decimal, parse_constant=_constant, object_pairs_hook=_object)


def _deeper_than(value: Any, levels: int) -> bool:
    layer = [value]
    for _ in range(levels):
        layer = [
            inner
            for outer in layer
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not layer:
            return False
    return any(isinstance(inner, dict | list) for inner in layer)


def _holds_surrogate(value: Any) -> bool:
    if isinstance(value, str):
        return any("\ud800" <= character <= "\udfff" for character in value)
    if isinstance(value, dict):
        return any(_holds_surrogate(part) for pair in value.items() for part in pair)
    return isinstance(value, list) and any(_holds_surrogate(part) for part in value)


def kind_of(value: object) -> str:
    """What JSON calls a value that was read: `a string`, `null`, `an integer`..."""
    return _KINDS.get(type(value), "an unknown value")


_KINDS: dict[type, str] = {
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    Decimal: "a number with a point or exponent",
    float: "a number with a point or exponent",
    type(None): "null",
    list: "an array",
    dict: "an object",
}


def encode(value: object) -> bytes:
    """The canonical form of a value that is in canonical order already: strings, booleans, integers of 64 bits, and
    `orjson.Fragment` (see the makers below) for every other number.
    """
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def encode_exactly(value: object) -> bytes:
    """The canonical form of any value that was read; numbers that JSON wrote with a point or exponent are decimals."""
    return encode(_encodable(value))


def _encodable(value: object) -> object:
    if isinstance(value, dict):
        return {key: _encodable(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_encodable(part) for part in value]
    if isinstance(value, Decimal):
        return decimal_fragment(value)
    if type(value) is int:
        return integer_value(value)
    return value


def integer_value(value: int) -> object:
    """An integer as `encode` takes it. Raises ValueError beyond MAX_DIGITS."""
    if -0x8000_0000_0000_0000 <= value <= 0xFFFF_FFFF_FFFF_FFFF:
        return value
    if not -_TOO_BIG < value < _TOO_BIG:
        raise ValueError(f"has more than {MAX_DIGITS:,} digits")
    return orjson.Fragment(str(value))


def decimal_fragment(value: Decimal) -> orjson.Fragment:
    """A decimal as `encode` takes it, with all its digits. Raises ValueError beyond MAX_DIGITS either side."""
    if not value:
        return orjson.Fragment("0")
    if not value.is_finite() or abs(value.adjusted()) >= MAX_DIGITS:
        raise ValueError(f"has more than {MAX_DIGITS:,} digits before or after the point")
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    if len(text) > 2 * MAX_DIGITS:
        raise ValueError(f"has more than {MAX_DIGITS:,} digits before or after the point")
    return orjson.Fragment(text)


def double_fragment(value: float) -> orjson.Fragment:
    """A finite double as `encode` takes it; zero has no sign."""
    return orjson.Fragment(repr(value or 0.0))


def document_hash(body: bytes) -> bytes:
    """The hash of a canonical body: 32 bytes of blake2b. Its hexadecimal form is the document's etag."""
    return blake2b(body, digest_size=32).digest()
