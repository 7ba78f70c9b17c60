"""Events as messages and as the domain sees them."""

import pytest

from ontomesh.events.v1.cloud_event_pb2 import CloudEvent
from ontomesh_event_gateway.doors import convert
from ontomesh_event_gateway.doors.errors import TABLE
from ontomesh_event_gateway.errors import GatewayError, InvalidEvent


def whole() -> CloudEvent:
    message = CloudEvent(id="1", source="/a", spec_version="1.0", type="t", binary_data=b"\x00\xff")
    message.attributes["yes"].ce_boolean = True
    message.attributes["number"].ce_integer = -7
    message.attributes["text"].ce_string = "täxt"
    message.attributes["bytes"].ce_bytes = b"\x01"
    message.attributes["dataschema"].ce_uri = "urn:x:y"
    message.attributes["reference"].ce_uri_ref = "../x"
    message.attributes["time"].ce_timestamp.FromJsonString("2026-01-02T03:04:05.006700Z")
    return message


def test_an_event_has_all_of_its_message() -> None:
    event = convert.event(whole())
    assert (event.id, event.source, event.type, event.data) == ("1", "/a", "t", b"\x00\xff")
    assert event.attributes == {
        "yes": True,
        "number": -7,
        "text": "täxt",
        "bytes": b"\x01",
        "dataschema": "urn:x:y",
        "reference": "../x",
        "time": "2026-01-02T03:04:05.0067Z",
    }


def test_the_encoded_form_is_the_message() -> None:
    event = convert.event(whole())
    assert convert.event_proto(event) == whole()
    assert convert.decode(event.encoded) == event


def test_an_empty_version_becomes_1_0() -> None:
    event = convert.event(CloudEvent(id="1", source="/a", type="t"))
    assert convert.event_proto(event).spec_version == "1.0"


def test_data_of_each_kind() -> None:
    assert convert.event(CloudEvent(text_data="x")).data == "x"
    assert convert.event(CloudEvent(binary_data=b"")).data == b""
    assert convert.event(CloudEvent()).data is None
    packed = CloudEvent()
    packed.proto_data.Pack(CloudEvent(id="inner"))
    assert b"inner" in bytes(convert.event(packed).data or b"")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seconds", "nanos", "text"),
    [
        (0, 0, "1970-01-01T00:00:00Z"),
        (-1, 500_000_000, "1969-12-31T23:59:59.5Z"),
        (1_767_323_045, 1, "2026-01-02T03:04:05.000000001Z"),
        (-62_135_596_800, 0, "0001-01-01T00:00:00Z"),
        (253_402_300_799, 999_999_999, "9999-12-31T23:59:59.999999999Z"),
    ],
)
def test_times_are_rfc_3339(seconds: int, nanos: int, text: str) -> None:
    message = CloudEvent()
    message.attributes["time"].ce_timestamp.seconds = seconds
    message.attributes["time"].ce_timestamp.nanos = nanos
    assert convert.event(message).attributes["time"] == text
    assert message.attributes["time"].ce_timestamp.ToJsonString().rstrip("Z").rstrip("0") == text.rstrip("Z").rstrip(
        "0"
    )


def test_what_the_domain_does_not_see_is_refused_here() -> None:
    unset, late, odd = CloudEvent(), CloudEvent(), CloudEvent()
    unset.attributes["a"].SetInParent()
    late.attributes["time"].ce_timestamp.seconds = 253_402_300_800
    odd.attributes["time"].ce_timestamp.nanos = -1
    for message, field in (
        (CloudEvent(spec_version="0.3"), "spec_version"),
        (unset, "attributes.a"),
        (late, "attributes.time"),
        (odd, "attributes.time"),
    ):
        with pytest.raises(InvalidEvent) as refused:
            convert.event(message)
        assert [violation.field for violation in refused.value.violations] == [field]
        draft = convert.draft(message)
        assert isinstance(draft.error, InvalidEvent)
        assert convert.decode(draft.event.encoded) == draft.event


def test_bytes_that_are_no_message_are_refused() -> None:
    with pytest.raises(InvalidEvent):
        convert.decode(b"\xff\xff")


def test_an_event_without_data_keeps_the_rest() -> None:
    event = convert.without_data(convert.event(whole()))
    assert event.data is None
    assert convert.decode(event.encoded) == event
    assert event.attributes["text"] == "täxt"


@pytest.mark.parametrize("kind", [kind for kind in TABLE if issubclass(kind, GatewayError)])
def test_every_refusal_is_a_reason_of_the_contract(kind: type[GatewayError]) -> None:
    error = convert.event_error(kind.at("data.price", "is wrong"))
    assert error.reason
    assert error.violations[0].field == "data.price"
