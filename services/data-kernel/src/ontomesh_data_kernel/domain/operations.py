"""Reading a commit's operations, and preparing what does not depend on the branch's documents."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ontomesh_data_kernel.domain.canonical import parse_body
from ontomesh_data_kernel.domain.limits import (
    MAX_BODY_BYTES,
    MAX_COMMIT_BYTES,
    MAX_OPERATIONS,
    check_document_id,
)
from ontomesh_data_kernel.domain.model import Delete, Insert, Operation, Put, Replace, Update
from ontomesh_data_kernel.domain.ontology import SCHEMA_PREFIX, Ontology, Prepared
from ontomesh_data_kernel.errors import DuplicateOperation, InvalidRequest, KernelError, TooLarge

_NAMES = {Insert: "insert", Replace: "replace", Put: "put", Update: "update", Delete: "delete"}


@dataclass(slots=True)
class Parsed:
    """An operation whose JSON is read. `field` is its place in the request; a drawn id is the same at every try."""

    operation: Operation
    field: str
    body: Mapping[str, Any] | None
    drawn_id: str = ""


@dataclass(frozen=True, slots=True)
class Ready:
    """An operation and the document it brings; None for updates and deletions, whose outcome the head decides."""

    parsed: Parsed
    id: str
    document: Prepared | None


def parse_operations(operations: Sequence[Operation]) -> list[Parsed]:
    """Read the operations' JSON. Raises TooLarge, InvalidRequest, MalformedBody."""
    if len(operations) > MAX_OPERATIONS:
        raise TooLarge.of("operations", len(operations), MAX_OPERATIONS, "operations")
    total = size_of(operations)
    if total > MAX_COMMIT_BYTES:
        raise TooLarge.of("the operations in bytes", total, MAX_COMMIT_BYTES, "operations")
    return [_parse(operation, index) for index, operation in enumerate(operations)]


def size_of(operations: Sequence[Operation]) -> int:
    """How many bytes operations bring."""
    return sum(map(_size, operations))


def _size(operation: Operation) -> int:
    if isinstance(operation, Delete):
        return len(operation.id)
    return len(operation.patch if isinstance(operation, Update) else operation.body)


def _parse(operation: Operation, index: int) -> Parsed:
    field = f"operations[{index}].{_NAMES[type(operation)]}"
    if isinstance(operation, Update | Delete):
        check_document_id(f"{field}.id", operation.id)
        if operation.id.startswith(SCHEMA_PREFIX):
            raise InvalidRequest.at(f"{field}.id", "names an element of the ontology, which changes with `ontology`")
    if isinstance(operation, Delete):
        return Parsed(operation, field, None)
    if isinstance(operation, Update):
        for name in operation.mask or ():
            if not name or name.startswith("@") or "." in name:
                raise InvalidRequest.at(f"{field}.update_mask", f"{name!r} is no name of a top-level property")
        return Parsed(operation, field, parse_body(operation.patch, limit=MAX_BODY_BYTES, field=f"{field}.patch"))
    return Parsed(operation, field, parse_body(operation.body, limit=MAX_BODY_BYTES, field=f"{field}.body"))


def prepare_operations(parsed: Sequence[Parsed], ontology: Ontology, draw_id: Callable[[], str]) -> list[Ready]:
    """Check the documents against an ontology and make their ids. Raises what `Compiled.prepare` raises, and
    DuplicateOperation.
    """
    prepare = ontology.compile().prepare
    ready: list[Ready] = []
    named: set[str] = set()
    for item in parsed:
        operation = item.operation
        if isinstance(operation, Update | Delete):
            one = Ready(item, operation.id, None)
        else:
            assert item.body is not None
            try:
                document = prepare(item.body, document_id=None, random_id=lambda item=item: _drawn(item, draw_id))  # type: ignore[misc]
            except KernelError as error:
                raise error.within(f"{item.field}.body") from None
            one = Ready(item, document.id, document)
        if one.id in named:
            raise DuplicateOperation.of(one.id, item.field)
        named.add(one.id)
        ready.append(one)
    return ready


def _drawn(item: Parsed, draw_id: Callable[[], str]) -> str:
    item.drawn_id = item.drawn_id or draw_id()
    return item.drawn_id


def updated(operation: Update, patch: Mapping[str, Any], current: Mapping[str, Any]) -> dict[str, Any]:
    """The document after an update."""
    if operation.mask is None:
        merged = merge_patch(current, patch)
        assert isinstance(merged, dict)
        return merged
    outcome = dict(current)
    for name in operation.mask:
        outcome.pop(name, None)
        if name in patch:
            outcome[name] = patch[name]
    return outcome


def merge_patch(target: object, patch: object) -> object:
    """Apply a JSON merge patch (RFC 7396, section 2)."""
    if not isinstance(patch, Mapping):
        return patch
    outcome = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            outcome.pop(name, None)
        else:
            outcome[name] = merge_patch(outcome.get(name), value)
    return outcome
