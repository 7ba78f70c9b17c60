"""The types that are built in: what the kernel says of its documents and its ontologies."""

import orjson

from ontomesh_event_gateway.domain.json_schema import DRAFT, compile_schema
from ontomesh_event_gateway.domain.model import Event
from ontomesh_event_gateway.errors import DataViolation, Violation

RESERVED = "ontomesh."
"""How types begin that are the services' own."""
DOCUMENT = "ontomesh.document."
"""How the types of the kernel's events of documents begin; the class's name follows."""
ONTOLOGY_CHANGED = "ontomesh.ontology.changed"

_TEXT = {"type": "string", "minLength": 1}
_CHANGE = {
    "id": _TEXT,
    "operation": {"enum": ["insert", "replace", "delete"]},
    "commit": _TEXT,
    "etag": {"type": ["string", "null"]},
}
_DOCUMENT_SCHEMA = {
    "$schema": DRAFT,
    "title": "A change of a document",
    "type": "object",
    "properties": {
        **_CHANGE,
        "class": _TEXT,
        "changed": {"type": "array", "items": {"type": "string"}},
        "changed_omitted": {"type": "boolean"},
        "document": {"type": "object"},
        "document_omitted": {"type": "boolean"},
    },
    "required": ["id", "class", "operation", "changed", "commit"],
}
_ONTOLOGY_SCHEMA = {
    "$schema": DRAFT,
    "title": "A change of an element of an ontology",
    "type": "object",
    "properties": _CHANGE,
    "required": ["id", "operation", "commit"],
}
_DOCUMENT_DATA = compile_schema(_DOCUMENT_SCHEMA)
_ONTOLOGY_DATA = compile_schema(_ONTOLOGY_SCHEMA)
_ATTRIBUTES = ("database", "branch", "operation", "commit", "subject")


def is_kernel_type(name: str) -> bool:
    """Whether events of the type are the kernel's."""
    return name == ONTOLOGY_CHANGED or (name.startswith(DOCUMENT) and len(name) > len(DOCUMENT))


def kernel_schema(name: str) -> str:
    """The JSON Schema of such a type's data."""
    return orjson.dumps(_ONTOLOGY_SCHEMA if name == ONTOLOGY_CHANGED else _DOCUMENT_SCHEMA).decode()


def check_kernel_event(event: Event) -> None:
    """Raises DataViolation unless an event of such a type has the attributes and the data that it must have."""
    names = _ATTRIBUTES if event.type == ONTOLOGY_CHANGED else (*_ATTRIBUTES, "class")
    attributes = event.attributes
    missing = [Violation(name, "is required") for name in names if not attributes.get(name)]
    if not missing and len(names) > len(_ATTRIBUTES) and event.type != DOCUMENT + event.text("class"):
        missing = [Violation("class", f"is not the class that the type {event.type!r} names")]
    if missing:
        raise DataViolation(f"{missing[0].field}: {missing[0].description}", missing, {"type": event.type})
    (_DOCUMENT_DATA if len(names) > len(_ATTRIBUTES) else _ONTOLOGY_DATA).check(event)
