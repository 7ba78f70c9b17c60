import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ontomesh_data_kernel.domain.canonical import (
    MAX_DEPTH,
    document_hash,
    encode_exactly,
    parse_body,
    parse_value,
    parse_values,
)
from ontomesh_data_kernel.domain.ontology import parse_schema
from ontomesh_data_kernel.errors import MalformedBody, TooLarge

VECTORS = json.loads((Path(__file__).parent / "vectors" / "canonical.json").read_text())
LIMIT = 1024 * 1024

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.decimals(allow_nan=False, allow_infinity=False, min_value=Decimal(-(10**30)), max_value=Decimal(10**30))
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
json_objects = st.dictionaries(st.text(), json_values, max_size=6)


@pytest.mark.parametrize("vector", VECTORS["documents"], ids=lambda vector: vector["name"])
def test_a_document_has_the_canonical_form_and_hash_of_its_vector(vector: dict[str, str]) -> None:
    compiled = parse_schema(VECTORS["schema"]).compile()
    body = parse_body(vector["input"].encode(), limit=LIMIT)
    prepared = compiled.prepare(body, document_id=None, random_id=lambda: VECTORS["random_id"])
    assert prepared.body.decode() == vector["canonical"]
    assert prepared.etag == vector["hash"]
    again = compiled.prepare(
        parse_body(prepared.body, limit=LIMIT), document_id=prepared.id, random_id=lambda: "another"
    )
    assert again == prepared


@given(json_objects)
def test_the_canonical_form_of_a_canonical_form_is_itself(value: dict[str, Any]) -> None:
    once = encode_exactly(value)
    assert encode_exactly(parse_body(once, limit=LIMIT)) == once


@given(json_objects, st.randoms())
def test_the_order_of_keys_does_not_matter(value: dict[str, Any], random: Any) -> None:
    pairs = list(value.items())
    random.shuffle(pairs)
    assert encode_exactly(dict(pairs)) == encode_exactly(value)


@given(json_objects)
def test_the_canonical_form_is_json_that_means_the_same(value: dict[str, Any]) -> None:
    assert json.loads(encode_exactly(value), parse_float=Decimal) == value


@given(st.dictionaries(st.text(), st.text() | st.booleans() | st.integers(-(10**30), 10**30) | st.none()))
def test_the_canonical_form_agrees_with_another_encoder(value: dict[str, Any]) -> None:
    expected = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert encode_exactly(value).decode() == expected


@given(json_values, json_values)
def test_equal_forms_have_equal_hashes_and_others_do_not(one: Any, other: Any) -> None:
    first, second = encode_exactly(one), encode_exactly(other)
    assert (first == second) == (document_hash(first) == document_hash(second))
    assert len(document_hash(first)) == 32


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b'{"a":1} x', "is not JSON"),
        (b"{'a':1}", "is not JSON"),
        (b'{"a":01}', "is not JSON"),
        (b'{"a":"\n"}', "is not JSON"),
        (b"[]", "an array where an object is due"),
        (b'"a"', "a string where an object is due"),
        (b"null", "null where an object is due"),
        (b'{"a":NaN}', "NaN"),
        (b'{"a":[-Infinity]}', "-Infinity"),
        (b'{"a":1,"b":2,"a":3}', "the key 'a' twice"),
        (b'{"x":{"b":1,"b":1}}', "the key 'b' twice"),
        (b'\xef\xbb\xbf{"a":1}', "byte order mark"),
        (b'{"a":"\xff"}', "not UTF-8 at byte 6"),
        (b'{"a":"\xed\xa0\x80"}', "not UTF-8"),
        ('{"a":1}'.encode("utf-16"), "not UTF-8"),
        (rb'{"a":"\ud800"}', "surrogate"),
        (rb'{"\udc00":1}', "surrogate"),
        (b'{"a":' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}", "deeper than 64"),
        (b'{"a":' * 100_000, "deeper than 64"),
        (b'{"a":' + b"9" * 5_000 + b"}", "more than 1,000 digits"),
        (b'{"a":1e9999999999999999999999}', "more than 1,000 digits"),
    ],
)
def test_a_malformed_body_is_refused_with_what_is_wrong(body: bytes, said: str) -> None:
    with pytest.raises(MalformedBody) as caught:
        parse_body(body, limit=LIMIT, field="insert.body")
    (violation,) = caught.value.violations
    assert violation.field == "insert.body"
    assert said in violation.description


def test_a_body_may_nest_just_as_deep_as_the_limit_and_hold_a_whole_surrogate_pair() -> None:
    inner = MAX_DEPTH - 1
    assert parse_body(b'{"a":' + b"[" * inner + b"]" * inner + b"}", limit=LIMIT)
    assert parse_body(b'{"a":[' + b"[]," * 200 + b"[]]}", limit=LIMIT)
    assert parse_body(rb'{"a":"\ud83d\ude00"}', limit=LIMIT) == {"a": "😀"}


def test_a_body_beyond_the_limit_is_too_large() -> None:
    assert parse_body(b'{"a":1}', limit=7)
    with pytest.raises(TooLarge) as caught:
        parse_body(b'{"a":1}', limit=6)
    assert caught.value.metadata == {"size": "7", "limit": "6"}


def test_numbers_are_read_exactly() -> None:
    body = parse_body(b'{"i":123456789012345678901234567890,"d":0.1000000000000000055511151231257827}', limit=LIMIT)
    assert body == {"i": 123456789012345678901234567890, "d": Decimal("0.1000000000000000055511151231257827")}


def test_values_may_follow_one_another() -> None:
    assert parse_values(b' {"a":1}\n[2]3 \n', limit=LIMIT, field="schema") == [{"a": 1}, [2], 3]
    assert parse_values(b" \n", limit=LIMIT, field="schema") == []
    assert parse_value(b" 1 ", limit=LIMIT, field="value") == 1
    with pytest.raises(MalformedBody):
        parse_values(b'{"a":1} {', limit=LIMIT, field="schema")
    with pytest.raises(MalformedBody):
        parse_value(b"1 2", limit=LIMIT, field="value")


@pytest.mark.parametrize("text", ["1e1000", "1e-1001", "1e999999", "0." + "1" * 2_000])
def test_a_short_exponent_does_not_become_a_long_number(text: str) -> None:
    with pytest.raises(ValueError, match="digits"):
        encode_exactly(Decimal(text))
