import json
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from ontomesh.sdk import Document
from ontomesh.sdk.decoding import decode
from ontomesh.sdk.encoding import encode
from ontomesh.sdk.models import Link


class Colour(Enum):
    RED = "red"


class Shade(StrEnum):
    DARK = "dark"


class Point(BaseModel):
    x: Decimal
    seen: datetime | None = None
    parts: list[dict[str, Decimal]] = []


@dataclass(frozen=True)
class View(Mapping[str, int]):
    items_: tuple[tuple[str, int], ...]

    def __getitem__(self, key: str) -> int:
        return dict(self.items_)[key]

    def __iter__(self) -> Iterator[str]:
        return iter(dict(self.items_))

    def __len__(self) -> int:
        return len(self.items_)


finite = st.decimals(allow_nan=False, allow_infinity=False)
plain_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(plain_values)
def test_what_json_has_comes_back_as_it_was(value: Any) -> None:
    assert decode(encode(value)) == value


@given(plain_values, finite)
def test_a_decimal_elsewhere_changes_nothing(value: Any, number: Decimal) -> None:
    # With a Decimal in it a value is written in another way, which must come to the same.
    both = encode({"plain": value, "number": number})
    assert both == b'{"plain":%s,"number":%s}' % (encode(value), str(number).encode())


@given(finite)
def test_a_decimal_keeps_its_value(number: Decimal) -> None:
    found = decode(encode(number))
    assert Decimal(repr(found) if isinstance(found, float) else found) == number


@pytest.mark.parametrize(
    ("literal", "expected"),
    [
        ("1.5", 1.5),
        ("1.50", 1.5),
        ("1e3", 1000.0),
        ("-0.0", -0.0),
        ("0.1", 0.1),
        ("0.1000000000000000055511151231257827", Decimal("0.1000000000000000055511151231257827")),
        ("3.14159265358979323846264338327950288", Decimal("3.14159265358979323846264338327950288")),
        ("1e400", Decimal("1e400")),
        ("12345678901234567890.1", Decimal("12345678901234567890.1")),
        ("9007199254740993", 9007199254740993),
        ("123456789012345678901234567890", 123456789012345678901234567890),
    ],
)
def test_a_number_is_a_float_only_where_no_digit_is_lost(literal: str, expected: object) -> None:
    found = decode(literal.encode())
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("1.10"), "1.10"),
        (datetime(2026, 11, 20, 12, 30, tzinfo=UTC), '"2026-11-20T12:30:00Z"'),
        (datetime(2026, 11, 20, 12, 30, tzinfo=timezone(timedelta(hours=2))), '"2026-11-20T12:30:00+02:00"'),
        (datetime(2026, 11, 20, 12, 30), '"2026-11-20T12:30:00"'),  # noqa: DTZ001 - what becomes of one is the point
        (date(2026, 11, 20), '"2026-11-20"'),
        (time(12, 30), '"12:30:00"'),
        (Colour.RED, '"red"'),
        (Shade.DARK, '"dark"'),
        (Link[Any]("Package/numpy"), '"Package/numpy"'),
        ({"b", "a", "c"}, '["a","b","c"]'),
        (frozenset({Decimal("2.5")}), "[2.5]"),
        ((1, "é"), '[1,"é"]'),
        (Point(x=Decimal("1.10"), parts=[{"a": Decimal("0.10")}]), '{"x":1.10,"seen":null,"parts":[{"a":0.10}]}'),
        (View((("a", 1),)), '{"a":1}'),
        (OrderedDict(a=1), '{"a":1}'),
        (Document("A/1", "", "", b'{"@id":"A/1"}'), '{"@id":"A/1"}'),
        ({1: 2, None: 3, 0.5: 4, False: 5}, '{"1":2,"null":3,"0.5":4,"false":5}'),
        ({}, "{}"),
        ([], "[]"),
    ],
)
def test_python_values_have_a_form_in_json(value: object, text: str) -> None:
    assert encode(value).decode() == text
    assert encode({"v": value, "d": Decimal(1)}).decode() == f'{{"v":{text},"d":1}}'


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ({"a": {"b": [0, 1j]}}, TypeError, r"^a\.b\[1\] is a complex"),
        ({"a": b"raw"}, TypeError, "^a is a bytes"),
        (object(), TypeError, "^the value is a object"),
        ({"a": [float("nan")]}, ValueError, r"^a\[0\] is nan"),
        ({"a": Decimal("Infinity")}, ValueError, "^a is Infinity"),
        ({"b": {(1, 2): 3}}, TypeError, r"^b has the key \(1, 2\)"),
    ],
)
def test_what_json_cannot_hold_is_named_by_its_path(value: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        encode(value)


def test_bytes_are_json_already() -> None:
    assert encode(b'{"a": 1}') == b'{"a": 1}'


def test_sets_are_written_in_one_order_whatever_the_hash_seed() -> None:
    assert json.loads(encode({str(number) for number in range(50)})) == sorted(str(number) for number in range(50))
