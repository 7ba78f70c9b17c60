"""What is an event and what is none, attribute by attribute."""

import gc
import tracemalloc

import pytest

from ontomesh_event_gateway.domain.model import Event, Value
from ontomesh_event_gateway.domain.validating import MAX_VIOLATIONS, check_event
from ontomesh_event_gateway.errors import InvalidEvent, TooLarge


def event(id_: str = "1", source: str = "/shop", type_: str = "shop.order", **attributes: Value) -> Event:
    return Event(id_, source, type_, attributes)


def fields(one: Event) -> list[str]:
    with pytest.raises(InvalidEvent) as refused:
        check_event(one)
    return [violation.field for violation in refused.value.violations]


@pytest.mark.parametrize(
    "one",
    [
        event(),
        event(id_="ü" * 512),
        event(id_="with space"),
        event(source="urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66"),
        event(source="mailto:cncf-wg-serverless@lists.cncf.io"),
        event(source="https://example.org/a%20b?c=d#e"),
        event(source="1-555-123-4567"),
        event(source="a" * 1024),
        event(type_="x" * 256),
        event(type_="größe"),
        event(time="2026-01-02T03:04:05Z"),
        event(time="2026-01-02t03:04:05.123456789+05:30"),
        event(datacontenttype="application/json; charset=utf-8"),
        event(datacontenttype='multipart/form-data; boundary="a b"'),
        event(dataschema="https://example.org/schema"),
        event(dataschema="urn:x:y"),
        event(subject="anything at all"),
        event(partitionkey="k" * 1024, traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01"),
        event(a1=True, b2=-5, c3=b"\x00\x01", d4=""),
        Event("1", "/a", "t", {f"a{number}": number for number in range(32)}),
    ],
)
def test_events_of_cloudevents_are_taken(one: Event) -> None:
    check_event(one)


@pytest.mark.parametrize(
    ("one", "field"),
    [
        (event(id_=""), "id"),
        (event(id_="a" * 1025), "id"),
        (event(id_="ü" * 513), "id"),
        (event(id_="a\nb"), "id"),
        (event(id_="a\u0085b"), "id"),
        (event(id_="a\ufdd0"), "id"),
        (event(id_="a\U0001ffff"), "id"),
        (event(source=""), "source"),
        (event(source="a b"), "source"),
        (event(source="/a%2"), "source"),
        (event(source="/größe"), "source"),
        (event(source="a#b#c"), "source"),
        (event(source="a" * 1025), "source"),
        (event(type_=""), "type"),
        (event(type_="a b"), "type"),
        (event(type_="a\u00a0b"), "type"),
        (event(type_="x" * 257), "type"),
        (event(time="2026-13-02T03:04:05Z"), "attributes.time"),
        (event(time="2026-01-02 03:04:05Z"), "attributes.time"),
        (event(time="2026-01-02T03:04:05"), "attributes.time"),
        (event(time=5), "attributes.time"),
        (event(datacontenttype="json"), "attributes.datacontenttype"),
        (event(datacontenttype=""), "attributes.datacontenttype"),
        (event(dataschema="relative/path"), "attributes.dataschema"),
        (event(dataschema="http://a b"), "attributes.dataschema"),
        (event(subject=""), "attributes.subject"),
        (event(subject=True), "attributes.subject"),
        (event(partitionkey=""), "attributes.partitionkey"),
        (event(partitionkey="k" * 1025), "attributes.partitionkey"),
        (event(traceparent=1), "attributes.traceparent"),
        (event(Name="a"), "attributes.Name"),
        (event(a_b="a"), "attributes.a_b"),
        (event(**{"": "a"}), "attributes."),
        (event(**{"a" * 21: "a"}), "attributes." + "a" * 21),
        (event(data="a"), "attributes.data"),
        (event(specversion="1.0"), "attributes.specversion"),
        (event(note="a\x07"), "attributes.note"),
        (Event("1", "/a", "t", {f"a{number}": 1 for number in range(33)}), "attributes"),
        (event(a="x" * 10_000, b="ü" * 4_000), "attributes"),
    ],
)
def test_what_is_no_event_is_refused_with_the_attribute(one: Event, field: str) -> None:
    assert fields(one) == [field]


def test_every_fault_is_named_up_to_a_limit() -> None:
    assert fields(event(id_="", source="", type_="")) == ["id", "source", "type"]
    many = {f"a_{number}": "x" for number in range(30)}
    assert len(fields(event(**many))) == MAX_VIOLATIONS


def test_attribute_values_may_have_16_kib_together() -> None:
    check_event(event(a="x" * 16_384))
    assert fields(event(a="x" * 16_385)) == ["attributes"]


@pytest.mark.parametrize("data", [b"x" * (1 << 20), "x" * (1 << 20), "ü" * (1 << 19)])
def test_data_may_have_a_mebibyte(data: bytes | str) -> None:
    check_event(Event("1", "/a", "t", data=data))
    with pytest.raises(TooLarge) as refused:
        check_event(Event("1", "/a", "t", data=data + b"x" if isinstance(data, bytes) else data + "x"))
    assert refused.value.metadata == {"limit": "1048576", "size": "1048577"}


def test_days_are_those_of_the_calendar() -> None:
    check_event(event(time="2028-02-29T00:00:00Z"))
    check_event(event(time="0000-02-29T00:00:00Z"))
    for time in ("2026-02-29T00:00:00Z", "2026-04-31T00:00:00Z", "1900-02-29T00:00:00Z"):
        assert fields(event(time=time)) == ["attributes.time"]


def test_texts_over_their_limits_are_not_remembered() -> None:
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(50):
            long = f"{number}" + "x" * 200_000
            assert fields(event(source=long, type_=long, datacontenttype=f"a/{'x' * 10_000}{number};", **{long: "a"}))
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < 2_000_000
    finally:
        tracemalloc.stop()
