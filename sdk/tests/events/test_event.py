import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from ontomesh.events.v1.cloud_event_pb2 import CloudEvent
from ontomesh.sdk.events import Event, Filter, wire
from ontomesh.sdk.events.structured import event_of, to_json

NOON = datetime(2026, 11, 20, 12, 0, 0, 250_000, tzinfo=UTC)
CHANGE = Event.of(
    "ontomesh.document.Package",
    {"id": "Package/numpy", "changed": ["version"], "document": {"@id": "Package/numpy", "version": "2.2"}},
    source="/databases/catalog/branches/main",
    subject="Package/numpy",
    attributes={
        "database": "catalog",
        "branch": "main",
        "commit": "81399eee",
        "class": "Package",
        "ancestors": "Thing Software",
        "operation": "replace",
        "author": "user:ana",
    },
)


def test_a_new_event_has_a_random_id_and_the_time_of_now() -> None:
    first, second = Event.of("a"), Event.of("a")
    assert first.id != second.id
    assert first.time is not None
    assert abs((datetime.now(UTC) - first.time).total_seconds()) < 5
    assert (first.body, first.content_type, first.data) == (None, "", None)


@pytest.mark.parametrize(
    ("data", "content_type", "back"),
    [
        ({"b": [1, True, None]}, "application/json", {"b": [1, True, None]}),
        (Decimal("1.00000000000000000001"), "application/json", Decimal("1.00000000000000000001")),
        (7, "application/json", 7),
        ("plain words", "text/plain", "plain words"),
        (b"\x00\xff", "", b"\x00\xff"),
        (None, "", None),
    ],
)
def test_data_come_back_as_they_were(data: object, content_type: str, back: object) -> None:
    event = Event.of("a", data, source="/s", time=NOON, attributes={"n": 5, "t": NOON, "f": True, "raw": b"\x01"})
    assert event.content_type == content_type
    for received in (wire.event(wire.message_of(event)), Event(**vars(event))):
        assert received == event
        assert received.data == back


def test_bytes_count_as_the_content_type_that_they_are_given_with() -> None:
    assert Event.of("a", b'{"x": 1}', content_type="application/geo+json; v=1").data == {"x": 1}
    assert Event.of("a", "é".encode(), content_type="text/csv").data == "é"


def test_text_without_a_content_type_is_json_as_cloudevents_have_it() -> None:
    message = CloudEvent(id="1", source="/s", type="a", text_data='{"x":1}')
    assert wire.event(message).data == {"x": 1}


def test_a_time_that_other_senders_wrote_as_text_is_a_time() -> None:
    message = CloudEvent(id="1", source="/s", type="a")
    message.attributes["time"].ce_string = "2026-11-20T12:00:00.25Z"
    assert wire.event(message).time == NOON
    message.attributes["time"].ce_string = "noon"
    assert wire.event(message).time is None


def test_attributes_of_other_types_are_refused_before_anything_is_sent() -> None:
    with pytest.raises(TypeError, match="attribute n is a float"):
        wire.message_of(Event.of("a", attributes={"n": 1.5}))  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="time is a time without a time zone"):
        wire.message_of(Event.of("a", time=datetime(2026, 1, 1)))  # noqa: DTZ001 - what is to be refused


def test_a_kernel_event_says_what_happened_to_which_document() -> None:
    event = wire.event(wire.message_of(CHANGE))
    assert (event.database, event.branch, event.commit, event.author) == ("catalog", "main", "81399eee", "user:ana")
    assert (event.operation, event.document_class, event.ancestors) == ("replace", "Package", ("Thing", "Software"))
    assert event.changed == ("version",)
    assert event.document == {"@id": "Package/numpy", "version": "2.2"}


def test_other_events_are_no_changes_of_documents() -> None:
    event = Event.of("orders.placed", {"changed": ["x"], "document": {}})
    assert (event.database, event.operation, event.changed, event.document, event.ancestors) == ("", "", (), None, ())


@pytest.mark.parametrize("event", [CHANGE, Event.of("a", b"\x00", source="/s"), Event.of("a", "t", source="/s")])
def test_the_json_form_holds_the_whole_event(event: Event) -> None:
    text = to_json(event)
    assert json.loads(text)["specversion"] == "1.0"
    back = event_of(text)
    assert (back.id, back.source, back.time, back.data, back.attributes) == (
        event.id,
        event.source,
        event.time,
        event.data,
        event.attributes,
    )


def test_the_json_form_keeps_every_digit_of_the_data() -> None:
    event = Event.of("a", b'{"x":1.00000000000000000001}', source="/s", content_type="application/json")
    assert b'"data":{"x":1.00000000000000000001}' in to_json(event)
    assert event_of(to_json(event)).data == {"x": Decimal("1.00000000000000000001")}


@pytest.mark.parametrize(
    "text",
    [
        b"[]",
        b'{"specversion":"1.0","id":"1","source":"/s"}',
        b'{"specversion":"0.3","id":"1","source":"/s","type":"a"}',
        b'{"specversion":"1.0","id":1,"source":"/s","type":"a"}',
        b'{"specversion":"1.0","id":"1","source":"/s","type":"a","data_base64":"?"}',
    ],
)
def test_json_that_is_no_cloudevent_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError):
        event_of(text)


def test_a_part_of_a_filter_may_be_a_single_pattern() -> None:
    wanted = Filter(types="orders.*", classes=["Package"], attributes={"tenant": "a"})
    assert (wanted.types, wanted.classes, wanted.attributes) == (("orders.*",), ("Package",), {"tenant": ("a",)})
    assert wire.filter_of(wire.filter_message(wanted)) == wanted


@pytest.mark.parametrize("start", ["new", "all", 7, NOON])
def test_starts_come_back_as_they_were(start: object) -> None:
    assert wire.start_of(wire.start_message(start)) == start  # type: ignore[arg-type]


def test_what_is_no_start_is_refused() -> None:
    with pytest.raises(ValueError, match="a start is"):
        wire.start_message("yesterday")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="without a time zone"):
        wire.start_message(datetime(2026, 1, 1))  # noqa: DTZ001 - what is to be refused
