"""Filters against a naive evaluator, and what they cost."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ontomesh_event_gateway.domain.filters import AttributeFilter, Filter, compile_filter, text_of
from ontomesh_event_gateway.domain.model import Event
from ontomesh_event_gateway.domain.patterns import compile_patterns

_TEXTS = st.text("ab.*", max_size=6)
_PATTERNS = st.lists(st.text("ab.*", min_size=1, max_size=6), max_size=3)
_NAMES = st.sampled_from(["Person", "Agent", "Thing", "Place"])
_PATHS = st.sampled_from(["address", "address.city", "addressed", "name", "tags[0].label"])


def naive_pattern(pattern: str, text: str) -> bool:
    """By the definition: `*` is any characters."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text, re.DOTALL) is not None


def naive_any(patterns: tuple[str, ...], text: str) -> bool:
    return any(naive_pattern(pattern, text) for pattern in patterns)


def naive_within(inner: str, outer: str) -> bool:
    return inner == outer or inner.startswith((f"{outer}.", f"{outer}["))


def naive(filter_: Filter, event: Event) -> bool:
    """The contract, word for word."""
    is_document = event.type.startswith("ontomesh.document.")
    is_kernel = is_document or event.type.startswith("ontomesh.ontology.")
    told = [
        not filter_.types or naive_any(filter_.types, event.type),
        not filter_.sources or naive_any(filter_.sources, event.source),
        not filter_.subjects or naive_any(filter_.subjects, str(event.attributes.get("subject", ""))),
    ]
    for one in filter_.attributes:
        value = event.attributes.get(one.name)
        told.append(value is not None and naive_any(one.patterns, text_of(value)))
    for name in ("database", "branch", "operation"):
        patterns = {
            "database": filter_.databases,
            "branch": filter_.branches,
            "operation": filter_.operations,
        }[name]
        if patterns:
            told.append(is_kernel and name in event.attributes and naive_any(patterns, str(event.attributes[name])))
    if filter_.classes:
        classes = {str(event.attributes.get("class", "")), *str(event.attributes.get("ancestors", "")).split(" ")}
        told.append(is_document and bool(classes & set(filter_.classes)))
    if filter_.paths:
        changed = json.loads(event.data or "{}").get("changed", [])
        told.append(
            is_document
            and any(naive_within(path, want) or naive_within(want, path) for path in changed for want in filter_.paths)
        )
    return all(told)


@st.composite
def events(draw: st.DrawFn) -> Event:
    attributes: dict[str, Any] = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "subject": _TEXTS,
                "ab": st.one_of(_TEXTS, st.booleans(), st.integers(0, 9)),
                "database": _TEXTS,
                "branch": _TEXTS,
                "operation": st.sampled_from(["insert", "replace", "delete"]),
                "class": _NAMES,
                "ancestors": st.lists(_NAMES, max_size=2).map(" ".join),
            },
        )
    )
    type_ = draw(st.one_of(_TEXTS, st.sampled_from(["ontomesh.document.a", "ontomesh.ontology.changed"])))
    data = draw(st.one_of(st.none(), st.lists(_PATHS, max_size=2).map(lambda paths: json.dumps({"changed": paths}))))
    return Event("1", draw(_TEXTS), type_, attributes, data)


_FILTERS = st.builds(
    Filter,
    types=_PATTERNS.map(tuple),
    sources=_PATTERNS.map(tuple),
    subjects=_PATTERNS.map(tuple),
    attributes=st.lists(st.builds(AttributeFilter, st.just("ab"), _PATTERNS.map(tuple)), max_size=1).map(tuple),
    classes=st.lists(_NAMES, max_size=2).map(tuple),
    databases=_PATTERNS.map(tuple),
    branches=_PATTERNS.map(tuple),
    operations=st.lists(st.sampled_from(["insert", "delete"]), max_size=2).map(tuple),
    paths=st.lists(_PATHS, max_size=2).map(tuple),
)
_PARTS = st.sampled_from([
    "types", "sources", "subjects", "attributes", "classes", "databases", "branches", "operations", "paths",
])  # fmt: skip


@given(_FILTERS, st.sets(_PARTS, max_size=3), events())
def test_a_compiled_filter_says_what_the_contract_says(filter_: Filter, parts: set[str], event: Event) -> None:
    chosen = Filter(**{part: getattr(filter_, part) for part in parts})
    assert compile_filter(chosen)(event) == naive(chosen, event)


@given(_PATTERNS, _TEXTS)
def test_patterns_match_as_they_are_defined(patterns: list[str], text: str) -> None:
    assert compile_patterns(patterns)(text) == naive_any(tuple(patterns), text)


def test_a_hostile_pattern_takes_no_time() -> None:
    assert not compile_patterns(["*a" * 400 + "*b"])("a" * 1_000)


@pytest.mark.parametrize(
    ("types", "exact"),
    [((), ()), (("a", "b"), ("a", "b")), (("a", "b*"), ())],
)
def test_only_filters_without_patterns_of_types_are_narrowed_by_the_broker(
    types: tuple[str, ...], exact: tuple[str, ...]
) -> None:
    assert Filter(types=types).exact_types == exact


def test_data_that_are_no_json_change_nothing() -> None:
    event = Event("1", "s", "ontomesh.document.A", {}, "{")
    assert not compile_filter(Filter(paths=("name",)))(event)
