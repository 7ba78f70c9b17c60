"""Checking events against the schemas of their types."""

import asyncio
import logging
from collections.abc import Collection
from typing import Protocol

from ontomesh_event_gateway.domain.event_types import EventType, read
from ontomesh_event_gateway.domain.json_schema import compile_text
from ontomesh_event_gateway.domain.kernel_events import RESERVED, check_kernel_event, is_kernel_type
from ontomesh_event_gateway.domain.model import ClassName, Event
from ontomesh_event_gateway.errors import InvalidSchema, SchemaUnavailable, UnknownEventType
from ontomesh_event_gateway.ports import ClassSchemas, Record, Records

logger = logging.getLogger(__name__)

MAX_REMEMBERED = 10_000
"""Types of which it is known how they are checked; publishers choose their names."""


class _Check(Protocol):
    def __call__(self, event: Event, /) -> None: ...


class TypeSchemas:
    """The schemas of the types that are registered, compiled once for as long as a type stays as it is."""

    def __init__(self, records: Records, classes: ClassSchemas, *, is_strict: bool = False) -> None:
        self._records = records
        self._classes = classes
        self._is_strict = is_strict
        self._checks: dict[str, _Check] = {}
        self._named: dict[str, ClassName] = {}
        records.on_change(self._forget)

    async def load(self, types: Collection[str]) -> None:
        """Compiles what `check` needs for events of these types, and asks the kernel for classes that were never known."""
        for name in types:
            if name not in self._checks:
                await self._prepare(name)
            named = self._named.get(name)
            if named is not None:
                await self._classes.load(named)

    def check(self, event: Event) -> None:
        """Raises DataViolation, its fields relative to the event, UnknownEventType, SchemaUnavailable."""
        check = self._checks.get(event.type)
        if check is None:
            check = self._made(event.type)
            self._remember(event.type, check)
        check(event)

    async def _prepare(self, name: str) -> None:
        record = self._records.get(name)
        one = read(record) if record is not None else None
        if one is None or one.ontology_class is not None:
            self._remember(name, self._made(name))
            return
        check = await asyncio.to_thread(_compiled, one)
        if self._records.get(name) is record:
            self._remember(name, check)

    def _made(self, name: str) -> _Check:
        record = self._records.get(name)
        if record is not None:
            one = read(record)
            if one.ontology_class is None:
                return _compiled(one)
            classes, named = self._classes, one.ontology_class
            self._named[name] = named
            return lambda event: classes.schema(named).check(event)
        if is_kernel_type(name):
            return check_kernel_event
        return _unknown if self._is_strict or name.startswith(RESERVED) else _anything

    def _remember(self, name: str, check: _Check) -> None:
        if len(self._checks) >= MAX_REMEMBERED:
            self._checks.clear()
        self._checks[name] = check

    def _forget(self, name: str, _record: Record | None) -> None:
        self._checks.pop(name, None)
        self._named.pop(name, None)


def _compiled(one: EventType) -> _Check:
    try:
        return compile_text(one.json_schema).check
    except InvalidSchema:
        # It was checked when it was registered, perhaps by a newer gateway.
        logger.exception("the schema of the event type %s cannot be compiled", one.name)
        return _unavailable


def _anything(_event: Event) -> None:
    """Whatever is not registered may hold anything."""


def _unknown(event: Event) -> None:
    raise UnknownEventType.at("type", f"{event.type!r} is not registered", type=event.type)


def _unavailable(event: Event) -> None:
    raise SchemaUnavailable(f"the schema of {event.type!r} cannot be used by this gateway", (), {"type": event.type})
