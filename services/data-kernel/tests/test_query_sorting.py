import json
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ontomesh_data_kernel.domain.canonical import encode
from ontomesh_data_kernel.domain.ontology.types import SCALARS, Fault
from ontomesh_data_kernel.domain.query.sorting import (
    EXACT_TYPES,
    KEYS,
    MAX_STRING_BYTES,
    NUMBER_TYPES,
    ORDERED_TYPES,
    STRING_TYPES,
    sort_key,
)

INTEGERS = st.integers() | st.integers(-(10**40), 10**40) | st.integers(0, 999).map(lambda power: 10**power)
DECIMALS = st.decimals(allow_nan=False, allow_infinity=False, places=12) | st.decimals(
    Decimal("-9.99"), Decimal("9.99"), places=2
)
DOUBLES = st.floats(allow_nan=False, allow_infinity=False)
# Values that differ little make neighbours of keys, where an order breaks first.
NUMBERS = st.one_of(
    INTEGERS.map(lambda value: ("xsd:integer", value)),
    DECIMALS.map(lambda value: ("xsd:decimal", value)),
    DOUBLES.map(lambda value: ("xsd:double", Decimal(repr(value)))),
    st.integers(-300, 300).map(lambda value: ("xsd:short", value)),
    st.integers(-300, 300).map(lambda value: ("xsd:decimal", Decimal(value).scaleb(-2))),
)
WHEN = datetime.fromisoformat
OFFSETS = st.none() | st.integers(-14 * 60, 14 * 60)


def offset_text(minutes: int | None) -> str:
    if minutes is None:
        return ""
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


def key_of(type: str, value: Any) -> bytes:
    return sort_key(type, SCALARS[type](value))


def held(order: list[tuple[bytes, Any]]) -> None:
    """The keys order as the values do."""
    for left_key, left in order:
        for right_key, right in order:
            assert (left_key < right_key) == (left < right)
            assert (left_key == right_key) == (left == right)


def parsed_back(canonical: object) -> list[object]:
    body = encode({"p": canonical})
    exact = json.loads(body, parse_float=Decimal)["p"]
    return [exact, json.loads(body)["p"]]


@given(st.lists(NUMBERS, min_size=2, max_size=6))
def test_numbers_of_all_types_order_as_numbers(numbers: list[tuple[str, Any]]) -> None:
    held([(key_of(type, value), Fraction(value)) for type, value in numbers])


@given(DECIMALS, st.integers(0, 900))
def test_long_decimals_that_differ_in_the_last_digit_differ_in_order(value: Decimal, digits: int) -> None:
    longer = f"{value:f}{'' if '.' in f'{value:f}' else '.'}{'0' * digits}1"
    # Digits appended lead away from zero.
    assert (key_of("xsd:decimal", longer) > key_of("xsd:decimal", value)) == (not longer.startswith("-"))


def test_numbers_have_one_key_however_they_are_typed_and_written() -> None:
    keys = {
        key_of("xsd:integer", 100),
        key_of("xsd:decimal", "100.00"),
        key_of("xsd:double", Decimal("1e2")),
        key_of("xsd:float", 100),
        *(sort_key("xsd:decimal", value) for value in (100, 100.0, Decimal("1E+2"), Decimal("100.000"))),
    }
    assert len(keys) == 1
    zeros = (0, -0.0, Decimal("-0.00"), Decimal("0E+5"), orjson.Fragment("0"), orjson.Fragment(b"0.0"))
    assert len({sort_key("xsd:double", zero) for zero in zeros}) == 1


@given(st.lists(NUMBERS, min_size=2, max_size=4))
def test_no_key_of_a_number_begins_another(numbers: list[tuple[str, Any]]) -> None:
    keys = {key_of(type, value) for type, value in numbers}
    assert not any(a != b and a.startswith(b) for a in keys for b in keys)


@given(st.data(), st.sampled_from(sorted(NUMBER_TYPES)))
def test_numbers_parsed_back_from_a_body_have_the_same_key(data: st.DataObject, type: str) -> None:
    value = data.draw(
        DECIMALS if type == "xsd:decimal" else DOUBLES if type in ("xsd:double", "xsd:float") else INTEGERS
    )
    try:
        canonical = SCALARS[type](Decimal(repr(value)) if isinstance(value, float) else value)
    except Fault:
        return
    exact, doubled = parsed_back(canonical)
    assert sort_key(type, exact) == sort_key(type, canonical)
    if type not in EXACT_TYPES:
        assert sort_key(type, doubled) == sort_key(type, orjson.loads(encode(canonical))) == sort_key(type, canonical)


@given(st.lists(st.text(max_size=5) | st.text("ab\U0001f600\uffff", max_size=3), min_size=2, max_size=6))
def test_strings_order_by_code_points(texts: list[str]) -> None:
    held([(key_of("xsd:string", text), [ord(character) for character in text]) for text in texts])


@pytest.mark.parametrize("character", ["a", "é", "€", "\U0001f600"])
def test_long_strings_have_the_key_of_their_first_256_bytes(character: str) -> None:
    text = "x" + character * 400
    key = key_of("xsd:string", text)
    assert key == text.encode()[:MAX_STRING_BYTES]
    assert key == key_of("xsd:string", text + "more")
    assert key_of("xsd:string", "w" + text) < key < key_of("xsd:string", "y")


def test_booleans_order_false_first() -> None:
    assert key_of("xsd:boolean", False) < key_of("xsd:boolean", True)


@given(
    st.lists(
        st.tuples(
            st.datetimes(WHEN("0001-01-02"), WHEN("9999-12-30"))
            | st.datetimes(WHEN("2026-01-01"), WHEN("2026-01-01T00:00:02")),
            OFFSETS,
            st.sampled_from(["", "0", "001", "5", "500000001", "9"]),
        ),
        min_size=2,
        max_size=5,
    )
)
def test_moments_order_as_instants(moments: list[tuple[datetime, int | None, str]]) -> None:
    order = []
    for moment, offset, fraction in moments:
        whole = moment.replace(microsecond=0)
        text = f"{whole.isoformat()}{'.' if fraction else ''}{fraction}{offset_text(offset)}"
        instant = (whole - timedelta(minutes=offset or 0), Decimal(f"0.{fraction or 0}"))
        order.append((key_of("xsd:dateTime", text), instant))
        if offset is not None:
            assert key_of("xsd:dateTimeStamp", text) == order[-1][0]
    held(order)


@given(
    st.lists(st.tuples(st.dates(date(2025, 12, 30), date(2026, 1, 2)) | st.dates(), OFFSETS), min_size=2, max_size=5)
)
def test_days_order_by_the_instant_that_they_begin_at(days: list[tuple[date, int | None]]) -> None:
    order = [
        (key_of("xsd:date", day.isoformat() + offset_text(offset)), day.toordinal() * 1440 - (offset or 0))
        for day, offset in days
    ]
    held(order)


@pytest.mark.parametrize(
    ("type", "ascending"),
    [
        ("time", ["00:00:00", "09:59:59.999", "11:00:00+01:00", "10:00:00.5", "10:00:01Z", "23:59:59"]),
        ("gYear", ["0001", "2025-14:00", "2026+01:00", "2026", "2026-01:00", "9999"]),
        ("gYearMonth", ["2025-12", "2026-01+02:00", "2026-01", "2026-02"]),
        ("gMonth", ["--01", "--02", "--12"]),
        ("gMonthDay", ["--02-28", "--02-29", "--03-01+00:01", "--03-01", "--12-31"]),
        ("gDay", ["---01", "---09", "---10+01:00", "---10Z", "---31"]),
        ("duration", ["-P1Y", "-P1D", "-PT0.5S", "PT0S", "PT0.5S", "P30D", "P1M", "P31D", "P365D", "P1Y", "P366D"]),
        ("yearMonthDuration", ["-P1M", "P0M", "P11M", "P1Y", "P1Y1M"]),
        ("dayTimeDuration", ["-P1D", "PT0S", "PT23H", "P1D", "P1DT0.000000001S"]),
    ],
)
def test_times_and_durations_order_by_what_they_mean(type: str, ascending: list[str]) -> None:
    keys = [key_of(f"xsd:{type}", text) for text in ascending]
    assert keys == sorted(set(keys))


PART = st.integers(0, 999_999_999)


@given(st.lists(st.tuples(*(st.just(0) | PART for _ in range(7)), st.booleans()), min_size=2, max_size=4))
def test_durations_order_by_length(parts: list[tuple[int, ...]]) -> None:
    order = []
    for years, months, days, hours, minutes, seconds, nanoseconds, negative in parts:
        text = f"{'-' if negative else ''}P{years}Y{months}M{days}DT{hours}H{minutes}M{seconds}.{nanoseconds:09}S"
        length = (years * 12 + months) * 2_629_746 + days * 86_400 + hours * 3_600 + minutes * 60 + seconds
        exact = length * 10**9 + nanoseconds
        order.append((key_of("xsd:duration", text), -exact if negative else exact))
    held(order)


def test_every_scalar_type_and_enums_links_and_ids_have_keys() -> None:
    assert set(KEYS) == {*SCALARS, "enum", "link", "@id", "@type"}
    assert set(SCALARS) - ORDERED_TYPES == {"xsd:boolean", "xsd:base64Binary", "xsd:hexBinary"}
    assert STRING_TYPES < ORDERED_TYPES
    maker: Callable[[object], bytes] = KEYS["enum"]
    assert maker("b") > maker("a")
