"""Types of events: what their data must be, as callers register it."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import blake2b

import orjson

from ontomesh_event_gateway.domain.caller import Caller
from ontomesh_event_gateway.domain.json_schema import MAX_SCHEMA_BYTES, compile_text
from ontomesh_event_gateway.domain.kernel_events import RESERVED, is_kernel_type, kernel_schema
from ontomesh_event_gateway.domain.model import ClassName
from ontomesh_event_gateway.domain.paging import make_token, page_size, read_token
from ontomesh_event_gateway.errors import (
    EtagMismatch,
    EventTypeNotFound,
    InvalidRequest,
    InvalidSchema,
    PermissionDenied,
    TooLarge,
    Violation,
)
from ontomesh_event_gateway.ports import ClassSchemas, Record, RecordConflict, Records

MAX_DESCRIPTION_BYTES = 4_096
MAX_NAME = 256
_CLASS_PARTS = {"database": 128, "branch": 256, "name": 128}
_NAME = re.compile(r"[^\s*\x00-\x1f\x7f-\x9f]{1,256}")
DEFAULT_BRANCH = "main"
_SERVICES = "ontomesh"


@dataclass(frozen=True, slots=True)
class EventType:
    """A type. It has a JSON Schema, as text, or a class. `update_time` is in microseconds since the epoch."""

    name: str
    description: str = ""
    json_schema: str = ""
    ontology_class: ClassName | None = None
    update_time: int = 0
    author: str = ""
    etag: str = ""


@dataclass(frozen=True, slots=True)
class EventTypePage:
    """Types by name."""

    event_types: tuple[EventType, ...]
    next_page_token: str


class EventTypes:
    """The types that are registered."""

    def __init__(self, records: Records, classes: ClassSchemas, now: Callable[[], float] = time.time) -> None:
        self._records = records
        self._classes = classes
        self._now = now

    async def put(self, caller: Caller, wanted: EventType) -> EventType:
        """Creates or replaces a type; fields of violations are relative to it.

        Raises PermissionDenied, InvalidRequest, InvalidSchema, TooLarge, EtagMismatch, SchemaUnavailable,
        BrokerUnavailable.
        """
        _require_admin(caller)
        _check(wanted)
        if wanted.ontology_class is not None:
            named = wanted.ontology_class
            wanted = replace(wanted, ontology_class=replace(named, branch=named.branch or DEFAULT_BRANCH))
            assert wanted.ontology_class is not None
            await self._classes.find(wanted.ontology_class)
        else:
            _check_schema(wanted.json_schema)
        known = self._records.get(wanted.name)
        _expect(wanted.etag, known)
        made = replace(wanted, update_time=int(self._now() * 1_000_000), author=caller.principal, etag="")
        try:
            # Two that create at once are two that replace: the later one stays.
            revision = known.revision if known is not None and wanted.etag else None
            return read(await self._records.put(made.name, _written(made), revision))
        except RecordConflict as conflict:
            raise _mismatch(self._records.get(wanted.name)) from conflict

    def get(self, name: str) -> EventType:
        """A type, those that are built in among them. Raises EventTypeNotFound."""
        record = self._records.get(name)
        if record is not None:
            return read(record)
        if is_kernel_type(name):
            return EventType(name, "Built in.", kernel_schema(name), author=_SERVICES)
        raise _not_found(name)

    def list(self, size: int, token: str) -> EventTypePage:
        """A page of the types that are registered. Raises InvalidRequest, InvalidPageToken."""
        count = page_size(size)
        after = read_token(("event types",), token) if token else ""
        names = sorted(name for name in self._records.all() if name > after)
        found = [record for name in names[:count] if (record := self._records.get(name)) is not None]
        more = make_token(("event types",), names[count - 1]) if len(names) > count else ""
        return EventTypePage(tuple(read(record) for record in found), more)

    async def delete(self, caller: Caller, name: str, etag: str) -> None:
        """Deletes a type. Raises PermissionDenied, EventTypeNotFound, EtagMismatch, BrokerUnavailable."""
        _require_admin(caller)
        known = self._records.get(name)
        if known is None:
            raise _not_found(name)
        _expect(etag, known)
        try:
            await self._records.delete(name, known.revision)
        except RecordConflict as conflict:
            raise _mismatch(self._records.get(name)) from conflict


def registered(records: Records) -> list[EventType]:
    """Every type that is registered."""
    return [read(record) for record in records.all().values()]


def named_classes(records: Records) -> set[ClassName]:
    """The classes that types name."""
    return {one.ontology_class for one in registered(records) if one.ontology_class is not None}


def read(record: Record) -> EventType:
    """The type that a record holds."""
    stored = orjson.loads(record.value)
    named = stored.get("class")
    return EventType(
        record.key,
        stored["description"],
        stored["json_schema"],
        None if named is None else ClassName(*named),
        stored["update_time"],
        stored["author"],
        _etag(record),
    )


def _written(one: EventType) -> bytes:
    named = one.ontology_class
    return orjson.dumps(
        {
            "description": one.description,
            "json_schema": one.json_schema,
            "class": None if named is None else [named.database, named.branch, named.name],
            "update_time": one.update_time,
            "author": one.author,
        }
    )


def _etag(record: Record) -> str:
    return blake2b(b"%d\0" % record.revision + record.value, digest_size=12).hexdigest()


def _expect(etag: str, known: Record | None) -> None:
    if etag and (known is None or _etag(known) != etag):
        raise _mismatch(known)


def _mismatch(known: Record | None) -> EtagMismatch:
    now = _etag(known) if known is not None else ""
    return EtagMismatch.at("etag", "is not the current one: the type was changed or deleted meanwhile", etag=now)


def _not_found(name: str) -> EventTypeNotFound:
    return EventTypeNotFound(f"there is no event type {name[:MAX_NAME]!r}", (), {"type": name[:MAX_NAME]})


def _require_admin(caller: Caller) -> None:
    if not caller.rights.allows_everywhere("admin"):
        metadata = {"principal": caller.principal, "right": "admin", "database": "*"}
        raise PermissionDenied(f"{caller.principal} lacks the right to admin on every database.", (), metadata)


def _check(wanted: EventType) -> None:
    found: list[Violation] = []
    if not _NAME.fullmatch(wanted.name):
        found.append(Violation("name", f"is 1 to {MAX_NAME} characters without white space and '*'"))
    elif wanted.name.startswith(RESERVED):
        found.append(Violation("name", f"begins with {RESERVED!r}: such types are built in"))
    if len(wanted.description.encode()) > MAX_DESCRIPTION_BYTES:
        found.append(Violation("description", f"is longer than {MAX_DESCRIPTION_BYTES:,} bytes"))
    named = wanted.ontology_class
    if named is None and not wanted.json_schema:
        found.append(Violation("schema", "is required: json_schema or ontology_class"))
    if named is not None:
        if set(named.branch) & set(":@~"):
            found.append(Violation("ontology_class.branch", "is no branch: a class is that of a branch's head"))
        for part, limit in _CLASS_PARTS.items():
            text = getattr(named, part)
            if not text and part != "branch":
                found.append(Violation(f"ontology_class.{part}", "is required"))
            elif len(text) > limit:
                found.append(Violation(f"ontology_class.{part}", f"is longer than {limit} characters"))
    if found:
        raise InvalidRequest(f"{found[0].field}: {found[0].description}", found)


def _check_schema(text: str) -> None:
    size = len(text.encode())
    if size > MAX_SCHEMA_BYTES:
        description = f"has {size} bytes; at most {MAX_SCHEMA_BYTES} are taken"
        raise TooLarge.at("json_schema", description, limit=str(MAX_SCHEMA_BYTES), size=str(size))
    try:
        compile_text(text)
    except InvalidSchema as fault:
        raise fault.within("json_schema") from fault
