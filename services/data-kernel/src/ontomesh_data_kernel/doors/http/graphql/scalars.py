"""The scalars of the schema, and how values of an ontology's types travel as them.

GraphQL's Int has 32 bits and many clients read numbers as doubles, so whatever exceeds those goes out as a string of
digits; as input both a number and a string serve. Nothing is rounded on the way.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import orjson
from graphql import (
    FloatValueNode,
    GraphQLBoolean,
    GraphQLError,
    GraphQLFloat,
    GraphQLInt,
    GraphQLScalarType,
    GraphQLString,
    IntValueNode,
    StringValueNode,
    ValueNode,
)

from ontomesh_data_kernel.domain.canonical import encode_exactly
from ontomesh_data_kernel.domain.query.sorting import STRING_TYPES
from ontomesh_data_kernel.doors.http.graphql.requests import Digits

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_MAX_DIGITS = 2_000


def _digits(value: object) -> str:
    text = value.text if isinstance(value, Digits) else value
    if type(text) is int or type(text) is float:
        text = repr(text)
    if isinstance(text, str) and len(text) <= _MAX_DIGITS and _NUMBER.fullmatch(text):
        return text
    raise GraphQLError("a number is due, or its digits in a string")


def _digits_literal(node: ValueNode, _variables: Mapping[str, Any] | None = None) -> str:
    if isinstance(node, IntValueNode | FloatValueNode | StringValueNode):
        return _digits(node.value)
    raise GraphQLError("a number is due, or its digits in a string", node)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise GraphQLError("a string is due")


def _text_literal(node: ValueNode, _variables: Mapping[str, Any] | None = None) -> str:
    if isinstance(node, StringValueNode):
        return node.value
    raise GraphQLError("a string is due", node)


@dataclass(frozen=True, slots=True)
class Kind:
    """How the values of a type of the ontology go out, and what they may be compared by.

    `out` makes the value that orjson writes of one that was parsed from a body; None if that is it already. With `exact`
    the body must have been parsed with all digits.
    """

    scalar: str
    out: Callable[[Any], object] | None = None
    exact: bool = False
    operators: tuple[str, ...] = ("eq", "ne", "in")


_ORDERED = ("eq", "ne", "in", "lt", "le", "gt", "ge")
_STRING = (*_ORDERED, "startsWith")


def _decimal_text(value: Any) -> str:
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def json_out(value: Any) -> orjson.Fragment:
    """Any JSON value that was parsed exactly."""
    return orjson.Fragment(encode_exactly(value))


KINDS: dict[str, Kind] = {
    **{name: Kind("String", operators=_STRING) for name in STRING_TYPES},
    **{f"xsd:{name}": Kind("String") for name in ("base64Binary", "hexBinary")},
    **{
        f"xsd:{name}": Kind("String", operators=_ORDERED)
        for name in ("gYear", "gYearMonth", "gMonth", "gMonthDay", "gDay")
    },
    "xsd:boolean": Kind("Boolean"),
    **{
        f"xsd:{name}": Kind("Int", int, operators=_ORDERED)
        for name in ("byte", "short", "int", "unsignedByte", "unsignedShort")
    },
    **{f"xsd:{name}": Kind("Float", float, operators=_ORDERED) for name in ("double", "float")},
    **{f"xsd:{name}": Kind("Long", str, operators=_ORDERED) for name in ("long", "unsignedInt", "unsignedLong")},
    **{
        f"xsd:{name}": Kind("Integer", str, exact=True, operators=_ORDERED)
        for name in ("integer", "positiveInteger", "nonNegativeInteger", "negativeInteger", "nonPositiveInteger")
    },
    "xsd:decimal": Kind("Decimal", _decimal_text, exact=True, operators=_ORDERED),
    **{f"xsd:{name}": Kind("DateTime", operators=_ORDERED) for name in ("dateTime", "dateTimeStamp")},
    "xsd:date": Kind("Date", operators=_ORDERED),
    "xsd:time": Kind("Time", operators=_ORDERED),
    **{
        f"xsd:{name}": Kind("Duration", operators=_ORDERED)
        for name in ("duration", "yearMonthDuration", "dayTimeDuration")
    },
    "sys:JSON": Kind("JSON", json_out, exact=True, operators=()),
    "sys:Unit": Kind("JSON", json_out, exact=True, operators=()),
}
"""By the type's name in a schema."""

_DESCRIPTIONS = {
    "Long": "A whole number of 64 bits, as a string of its digits; a number serves as input too.",
    "Integer": "A whole number of any size, as a string of its digits; a number serves as input too.",
    "Decimal": "An exact decimal, as a string of its digits; a number serves as input too.",
    "DateTime": "A date and time as XML Schema writes them, `2026-11-20T10:00:00Z`.",
    "Date": "A date as XML Schema writes it, `2026-11-20`.",
    "Time": "A time of the day as XML Schema writes it, `10:00:00`.",
    "Duration": "A duration as XML Schema writes it, `P1DT2H`.",
    "JSON": "Any JSON value, as it is stored: its numbers have all their digits.",
}
BUILT_IN = {"String": GraphQLString, "Int": GraphQLInt, "Float": GraphQLFloat, "Boolean": GraphQLBoolean}


def make_scalars(name_of: Callable[[str], str]) -> dict[str, GraphQLScalarType]:
    """Every scalar by the name that `Kind` has for it; `name_of` gives the name that the schema has."""
    made = dict(BUILT_IN)
    for name, description in _DESCRIPTIONS.items():
        parse, literal = (
            (_digits, _digits_literal) if name in ("Long", "Integer", "Decimal") else (_text, _text_literal)
        )
        made[name] = GraphQLScalarType(name_of(name), description=description, parse_value=parse, parse_literal=literal)
    return made


def filter_text(value: object) -> str:
    """A coerced value of an input as a filter writes it."""
    if isinstance(value, Digits):
        return value.text
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else repr(value)
