"""Cutting a stored body down to some of its properties."""

import json
from typing import Any

import orjson

from ontomesh_data_kernel.domain.query.shaping import Fields

_INT64_DIGITS = 18


def _integer(text: str) -> object:
    return int(text) if len(text) <= _INT64_DIGITS else orjson.Fragment(text)


# Numbers pass through as they are written, which is their canonical form.
_DECODER = json.JSONDecoder(parse_float=orjson.Fragment, parse_int=_integer)
_ALWAYS = ("@id", "@type")


def pick(body: bytes, fields: Fields) -> bytes:
    """A canonical body with only these properties, `@id` and `@type`; canonical itself."""
    return orjson.dumps(_kept(_DECODER.decode(body.decode()), fields))


def _kept(value: dict[str, Any], fields: Fields) -> dict[str, Any]:
    return {
        name: part if (below := fields.get(name)) is None else _below(part, below)
        for name, part in value.items()
        if name in fields or name in _ALWAYS
    }


def _below(value: Any, fields: Fields) -> Any:
    if isinstance(value, list):
        return [_below(part, fields) for part in value]
    return _kept(value, fields) if isinstance(value, dict) else value
