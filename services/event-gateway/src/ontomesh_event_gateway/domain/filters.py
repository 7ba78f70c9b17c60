"""Filters: which events are wanted, compiled once and asked for each event."""

from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from ontomesh_event_gateway.domain.model import Event
from ontomesh_event_gateway.domain.patterns import ANY, compile_patterns

DOCUMENT_TYPES = "ontomesh.document."
KERNEL_TYPES = (DOCUMENT_TYPES, "ontomesh.ontology.")
"""How the types of the kernel's events begin."""
OPERATIONS = ("insert", "replace", "delete")
_CORE = ("id", "source", "type")

Test = Callable[[Event], bool]


@dataclass(frozen=True, slots=True)
class AttributeFilter:
    """What one attribute must be."""

    name: str
    patterns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events are wanted: see the contract. An empty part asks for nothing."""

    types: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    attributes: tuple[AttributeFilter, ...] = ()
    classes: tuple[str, ...] = ()
    databases: tuple[str, ...] = ()
    branches: tuple[str, ...] = ()
    operations: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()

    @property
    def exact_types(self) -> tuple[str, ...]:
        """The types that alone can fit, where they are known; empty where any may."""
        return () if any(ANY in pattern for pattern in self.types) else self.types


def compile_filter(filter_: Filter) -> Test:
    """Tells of an event whether it fits."""
    tests = tuple(_tests(filter_))
    if not tests:
        return lambda _event: True
    if len(tests) == 1:
        return tests[0]
    return lambda event: all(test(event) for test in tests)


def is_kernel_event(event: Event) -> bool:
    """Whether the event is of a type that is the kernel's own."""
    return event.type.startswith(KERNEL_TYPES)


def _tests(filter_: Filter) -> Iterator[Test]:
    """The tests of an event, the cheap ones first."""
    if filter_.types:
        yield _of_type(compile_patterns(filter_.types))
    if filter_.sources:
        yield _of_source(compile_patterns(filter_.sources))
    if filter_.subjects:
        yield _of_text("subject", compile_patterns(filter_.subjects))
    for one in filter_.attributes:
        yield _of_attribute(one.name, compile_patterns(one.patterns))
    if filter_.databases or filter_.branches or filter_.operations:
        yield is_kernel_event
    if filter_.classes or filter_.paths:
        yield lambda event: event.type.startswith(DOCUMENT_TYPES)
    for name, patterns in (
        ("database", filter_.databases),
        ("branch", filter_.branches),
        ("operation", filter_.operations),
    ):
        if patterns:
            yield _of_attribute(name, compile_patterns(patterns))
    if filter_.classes:
        yield _of_class(frozenset(filter_.classes))
    if filter_.paths:
        yield _of_paths(filter_.paths)


def _of_type(fits: Callable[[str], bool]) -> Test:
    return lambda event: fits(event.type)


def _of_source(fits: Callable[[str], bool]) -> Test:
    return lambda event: fits(event.source)


def _of_text(name: str, fits: Callable[[str], bool]) -> Test:
    return lambda event: fits(event.text(name))


def _of_attribute(name: str, fits: Callable[[str], bool]) -> Test:
    if name in _CORE:
        return lambda event: fits(getattr(event, name))

    def test(event: Event) -> bool:
        value = event.attributes.get(name)
        return value is not None and fits(text_of(value))

    return test


def text_of(value: object) -> str:
    """An attribute's value as text, by the type system of CloudEvents."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return b64encode(value).decode()
    return str(value)


def _of_class(classes: frozenset[str]) -> Test:
    def test(event: Event) -> bool:
        return event.text("class") in classes or not classes.isdisjoint(event.text("ancestors").split())

    return test


def _of_paths(paths: Sequence[str]) -> Test:
    """Whether a changed path is one of `paths`, lies within one, or holds one."""
    exact = frozenset(paths)
    within = tuple(f"{path}{mark}" for path in paths for mark in ".[")
    around = frozenset(outer for path in paths for outer in _outer(path))

    def test(event: Event) -> bool:
        return any(path in exact or path.startswith(within) or path in around for path in _changed(event))

    return test


def _outer(path: str) -> Iterator[str]:
    for at, character in enumerate(path):
        if character in ".[":
            yield path[:at]


def _changed(event: Event) -> Sequence[str]:
    try:
        data: Any = orjson.loads(event.data or b"null")
    except orjson.JSONDecodeError:
        return ()
    changed = data.get("changed") if isinstance(data, dict) else None
    return [path for path in changed if isinstance(path, str)] if isinstance(changed, list) else ()
