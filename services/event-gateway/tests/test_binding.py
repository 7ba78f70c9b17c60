"""The HTTP binding and the JSON format of CloudEvents."""

import json
from typing import Any

import pytest
from starlette.datastructures import Headers

from ontomesh.events.v1.cloud_event_pb2 import CloudEvent
from ontomesh_event_gateway.domain.publishing import Draft
from ontomesh_event_gateway.doors import convert
from ontomesh_event_gateway.doors.http.binding import BATCH, PROTOBUF, STRUCTURED, read_events
from ontomesh_event_gateway.errors import InvalidRequest

REQUIRED = {"specversion": "1.0", "id": "1", "source": "/a", "type": "t"}
CE = {f"ce-{name}": value for name, value in REQUIRED.items()}


def binary(body: bytes = b"", **headers: str) -> Draft:
    (draft,) = read_events(Headers(CE | {name.replace("_", "-"): value for name, value in headers.items()}), body)
    return draft


def structured(**members: Any) -> Draft:
    (draft,) = read_events(Headers({"content-type": STRUCTURED}), json.dumps(REQUIRED | members).encode())
    return draft


def message(draft: Draft) -> CloudEvent:
    assert draft.error is None
    return convert.event_proto(draft.event)


def fields(draft: Draft) -> list[str]:
    assert draft.error is not None
    return [violation.field for violation in draft.error.violations]


def test_a_binary_event_is_its_headers_and_its_body() -> None:
    one = message(binary(b'{"a":1}', content_type="application/json", ce_subject="s", ce_time="2026-01-02T03:04:05Z"))
    assert (one.id, one.source, one.type, one.spec_version) == ("1", "/a", "t", "1.0")
    assert one.binary_data == b'{"a":1}'
    assert one.attributes["datacontenttype"].ce_string == "application/json"
    assert one.attributes["subject"].ce_string == "s"
    assert one.attributes["time"].ce_timestamp.seconds == 1_767_323_045


def test_a_binary_event_without_body_and_type_has_no_data() -> None:
    assert message(binary()).WhichOneof("data") is None


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),
        ("a%25b", "a%b"),
        ('"quoted \\"text\\""', 'quoted "text"'),
        ('"a%20b"', "a b"),
        ("100%", "100%"),
        ("", ""),
    ],
)
def test_header_values_are_decoded(sent: str, read: str) -> None:
    assert message(binary(ce_note=sent)).attributes["note"].ce_string == read


def test_headers_that_are_no_utf_8_are_refused() -> None:
    assert fields(binary(ce_note="%ff")) == ["attributes.note"]


def test_a_binary_event_needs_its_version() -> None:
    assert fields(binary(ce_specversion="0.3")) == ["specversion"]
    (draft,) = read_events(Headers({"ce-id": "1"}), b"")
    assert fields(draft) == ["specversion"]


def test_a_structured_event_is_its_members() -> None:
    one = message(structured(flag=True, count=-3, text="x", gone=None, dataschema="urn:x:y"))
    assert one.attributes["flag"].ce_boolean is True
    assert one.attributes["count"].ce_integer == -3
    assert one.attributes["text"].ce_string == "x"
    assert one.attributes["dataschema"].ce_uri == "urn:x:y"
    assert "gone" not in one.attributes
    assert one.WhichOneof("data") is None


def test_json_data_keep_their_digits() -> None:
    body = (
        b'{"specversion":"1.0","id":"1","source":"/a","type":"t","data":{"a":1.50,"b":123456789012345678901234567890}}'
    )
    (draft,) = read_events(Headers({"content-type": f"{STRUCTURED}; charset=utf-8"}), body)
    assert message(draft).text_data == '{"a":1.50,"b":123456789012345678901234567890}'
    (draft,) = read_events(Headers({"content-type": BATCH}), b"[" + body + b"]")
    assert message(draft).text_data == '{"a":1.50,"b":123456789012345678901234567890}'


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({"data": "text"}, '"text"'),
        ({"data": "text", "datacontenttype": "text/plain"}, "text"),
        ({"data": "text", "datacontenttype": "application/vnd.x+json"}, '"text"'),
        ({"data": None, "datacontenttype": "application/json"}, "null"),
        ({"data": False}, "false"),
        ({"data": [1, {"ü": None}]}, '[1,{"ü":null}]'),
    ],
)
def test_data_are_read_by_their_content_type(members: dict[str, Any], text: str) -> None:
    assert message(structured(**members)).text_data == text


def test_base64_data_are_bytes() -> None:
    assert message(structured(data_base64="AP8=")).binary_data == b"\x00\xff"


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"specversion": None}, "specversion"),
        ({"specversion": "0.3"}, "specversion"),
        ({"id": 5}, "id"),
        ({"big": 1 << 31}, "attributes.big"),
        ({"part": 1.5}, "attributes.part"),
        ({"list": []}, "attributes.list"),
        ({"data_base64": "?"}, "data_base64"),
        ({"data_base64": 5}, "data_base64"),
        ({"data_base64": "AP8=", "data": 1}, "data_base64"),
    ],
)
def test_members_that_are_none_are_refused(members: dict[str, Any], field: str) -> None:
    assert fields(structured(**members)) == [field]


def test_a_batch_has_each_event_by_itself() -> None:
    body = json.dumps([REQUIRED, 5, REQUIRED | {"id": "2", "data": {}}]).encode()
    drafts = read_events(Headers({"content-type": BATCH}), body)
    assert [draft.error is None for draft in drafts] == [True, False, True]
    assert read_events(Headers({"content-type": BATCH}), b"[]") == []


def test_the_protobuf_format_is_read_as_it_is() -> None:
    one = CloudEvent(id="1", source="/a", spec_version="1.0", type="t", text_data="x")
    (draft,) = read_events(Headers({"content-type": PROTOBUF}), one.SerializeToString())
    assert message(draft) == one


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, b"{}"),
        ({"content-type": "application/json"}, b"{}"),
        ({"content-type": STRUCTURED}, b"[]"),
        ({"content-type": STRUCTURED}, b"{"),
        ({"content-type": BATCH}, b"{}"),
        ({"content-type": PROTOBUF}, b"\xff"),
        ({"content-type": "application/cloudevents+xml"}, b"<event/>"),
    ],
)
def test_requests_without_events_are_refused(headers: dict[str, str], body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        read_events(Headers(headers), body)


def test_a_batch_of_too_many_is_refused_before_any_is_read() -> None:
    with pytest.raises(InvalidRequest):
        read_events(Headers({"content-type": BATCH}), b"[" + b"0," * 1_000 + b"0]")
    assert len(read_events(Headers({"content-type": BATCH}), b"[" + b"0," * 999 + b"0]")) == 1_000


@pytest.mark.parametrize(("depth", "is_taken"), [(200, True), (300, False), (600, False)])
def test_deep_data_are_refused_and_no_fault(depth: int, is_taken: bool) -> None:
    body = json.dumps(REQUIRED).encode()[:-1] + b', "data": ' + b"[" * depth + b"]" * depth + b"}"
    (draft,) = read_events(Headers({"content-type": STRUCTURED}), body)
    assert draft.error is None if is_taken else fields(draft) == ["data"]
