"""JSON without loss: what Python's numbers, dates and sets become, and how the numbers come back."""

import json
from collections.abc import Callable, Iterable, Mapping, Set
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any

from ontomesh.sdk.resources import Document

_text: Callable[[str], str] = json.JSONEncoder(ensure_ascii=False).encode


class _NeedsExactness(Exception):
    """A value that the standard encoder cannot write."""


def encode(value: object) -> bytes:
    """A value as JSON in UTF-8.

    Takes what JSON has, and Decimal (its exact digits, as a number), date, time and datetime (ISO 8601), Enum (its
    value), sets (as sorted lists), tuples, pydantic models and `Document`. Bytes count as JSON already.

    Raises:
        TypeError: Something else is in it; the message says where.
        ValueError: A number is not finite.
    """
    if isinstance(value, bytes):
        return value
    if isinstance(value, Document):
        return value.body
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=plain)
    except (_NeedsExactness, TypeError, ValueError):
        # Slower, but it writes Decimals and knows the path of what it cannot write.
        pieces: list[str] = []
        _write(value, "", pieces)
        text = "".join(pieces)
    return text.encode()


def encode_list(values: Iterable[object]) -> bytes:
    """Values as one JSON array."""
    return b"[" + b",".join(encode(value) for value in values) + b"]"


def plain(value: object) -> Any:
    """What stands for a value that JSON does not know.

    Raises:
        TypeError: Nothing does.
    """
    if isinstance(value, Decimal):
        raise _NeedsExactness
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Set):
        # In a fixed order, so that the same commit sent twice is the same request.
        return sorted(value, key=encode)
    if isinstance(value, Document):
        return value.data
    if isinstance(value, Mapping):
        return dict(value)
    # Models are known by their methods: importing pydantic would cost every user of plain dicts its start-up time.
    if callable(to_document := getattr(value, "to_document", None)):
        return to_document()
    if callable(dump := getattr(value, "model_dump", None)):
        return _exact(dump(mode="python", by_alias=True), dump(mode="json", by_alias=True))
    raise TypeError


def _exact(python: Any, written: Any) -> Any:
    """A model's JSON form, with the Decimals that this form has turned into strings."""
    if isinstance(python, Decimal):
        return python
    if isinstance(written, dict) and isinstance(python, Mapping):
        return {key: _exact(value, written[key]) for (key, value), key in zip(python.items(), written, strict=True)}
    if isinstance(written, list) and isinstance(python, list | tuple | Set):
        return [_exact(value, item) for value, item in zip(python, written, strict=True)]
    return written


def _write(value: object, path: str, pieces: list[str]) -> None:
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise ValueError(f"{path or 'the value'} is {value}, which JSON cannot hold")
        pieces.append(str(value))
    elif isinstance(value, dict):
        separator = "{"
        for key, item in value.items():
            name = _name(key, path)
            pieces.append(f"{separator}{_text(name)}:")
            _write(item, f"{path}.{name}" if path else name, pieces)
            separator = ","
        pieces.append("}" if value else "{}")
    elif isinstance(value, list | tuple):
        separator = "["
        for index, item in enumerate(value):
            pieces.append(separator)
            _write(item, f"{path}[{index}]", pieces)
            separator = ","
        pieces.append("]" if value else "[]")
    elif value is None or isinstance(value, str | int | float):
        try:
            pieces.append(json.dumps(value, ensure_ascii=False, allow_nan=False))
        except ValueError as error:
            raise ValueError(f"{path or 'the value'} is {value!r}, which JSON cannot hold") from error
    else:
        try:
            replacement = plain(value)
        except TypeError as error:
            kind = type(value).__name__
            raise TypeError(f"{path or 'the value'} is a {kind}, which JSON cannot hold") from error
        _write(replacement, path, pieces)


def _name(key: object, path: str) -> str:
    if isinstance(key, str):
        return key
    if key is None or isinstance(key, int | float):
        return json.dumps(key)  # As the standard encoder does.
    raise TypeError(f"{path or 'the value'} has the key {key!r}, which cannot be a property's name")
