"""What a commit's events say, as far as that follows from the commit alone."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from ontomesh_data_kernel.domain.events import INLINE_BYTES, Origin, changed_paths, traceparent
from ontomesh_data_kernel.domain.model import Commit
from ontomesh_data_kernel.domain.ontology import EMPTY
from ontomesh_data_kernel.ports import LineChange

TRACE = "0af7651916cd43dd8448eb211c80319c"
COMMIT = Commit("ab" * 32, (), "team/ü", "user:ana", "user:ana", "m", 1_767_225_600_000_001, {}, TRACE, "", 1)
ORIGIN = Origin("shop", "team/ü", COMMIT, EMPTY, EMPTY)


def encoded(**values: Any) -> bytes:
    return orjson.dumps({"@id": "A/1", "@type": "A", **values}, option=orjson.OPT_SORT_KEYS)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (None, {"b": 1, "a": 2}, ["a", "b"]),
        ({"b": 1, "a": {"c": 1}}, None, ["a", "b"]),
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}, ["b"]),
        ({"a": 1}, {"b": 1}, ["a", "b"]),
        ({"a": 1}, {"a": 1.0}, ["a"]),
        ({"a": True}, {"a": 1}, ["a"]),
        ({"a": [1, 2]}, {"a": [2, 1]}, ["a"]),
        ({"p": {"@type": "P", "c": {"@type": "C", "x": 1, "y": 2}}}, {"p": {"@type": "P", "c": {"@type": "C", "x": 2}}},
         ["p.c.x", "p.c.y"]),
        ({"p": {"@type": "P", "x": 1}}, {"p": {"@type": "Q", "x": 1}}, ["p"]),
        ({"p": {"@type": "P", "x": 1}}, {}, ["p"]),
        ({"p": {"@id": "A/1/p/P/1", "@type": "P", "x": 1}}, {"p": {"@id": "A/1/p/P/2", "@type": "P", "x": 2}}, ["p.x"]),
    ],
)  # fmt: skip
def test_changed_paths_lead_through_subdocuments(before: Any, after: Any, expected: list[str]) -> None:
    bodies = [encoded(**values) if values is not None else None for values in (before, after)]
    assert list(changed_paths(*bodies)) == expected


def test_a_body_is_inline_up_to_64_kib() -> None:
    overhead = len(encoded(t=""))
    for size, is_inline in ((INLINE_BYTES, True), (INLINE_BYTES + 1, False)):
        body = encoded(t="x" * (size - overhead))
        assert len(body) == size
        data = orjson.loads(ORIGIN.event(LineChange("A/1", "e", body, None)).data)
        assert ("document" in data, data.get("document_omitted", False)) == (is_inline, not is_inline)


def test_numbers_keep_their_digits() -> None:
    body = b'{"@id":"A/1","@type":"A","big":123456789012345678901234567890,"d":1.50}'
    assert body in ORIGIN.event(LineChange("A/1", "e", body, None)).data


def test_an_event_is_named_by_its_cause() -> None:
    event = ORIGIN.event(LineChange("A/1", "e", encoded(), None))
    assert event.id == f"shop/team/ü/{COMMIT.id}/A/1"
    assert event.source == "/databases/shop/branches/team%2F%C3%BC"
    assert event.attributes["partitionkey"] == "shop/team/ü"
    assert event == ORIGIN.event(LineChange("A/1", "e", encoded(), None))


def test_ids_of_documents_with_long_ids_differ_and_fit() -> None:
    long = "A/" + "é" * 500
    ids = {ORIGIN.event(LineChange(long + end, "e", encoded(), None)).id for end in ("x", "y")}
    assert len(ids) == 2
    assert max(len(id.encode()) for id in ids) <= 1_024


def test_the_trace_begins_with_the_commits_span_or_a_part_of_its_id() -> None:
    assert traceparent(COMMIT) == f"00-{TRACE}-{'ab' * 8}-00"
    assert traceparent(replace(COMMIT, span_id="00f067aa0ba902b7")) == f"00-{TRACE}-00f067aa0ba902b7-01"
    for trace in ("", "t", "0" * 32, TRACE.upper(), TRACE + "0"):
        assert traceparent(replace(COMMIT, trace_id=trace)) == ""


def test_what_was_only_indexed_anew_is_silent() -> None:
    assert ORIGIN.is_silent(LineChange("A/1", "e", encoded(), encoded()))
    assert not ORIGIN.is_silent(LineChange("@schema/A", "e", b"{}", None))
