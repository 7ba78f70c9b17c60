"""The ontology: the schema language, and documents checked against it."""

from ontomesh_data_kernel.domain.ontology.changes import (
    AffectedClasses,
    ChangeMode,
    OntologyChange,
    affected_classes,
    apply,
)
from ontomesh_data_kernel.domain.ontology.hints import near
from ontomesh_data_kernel.domain.ontology.keys import MAX_ID_BYTES, id_fault, is_document_id
from ontomesh_data_kernel.domain.ontology.model import (
    CONTEXT_ID,
    SCHEMA_PREFIX,
    ClassDef,
    Context,
    Element,
    EnumDef,
    Family,
    Key,
    KeyKind,
    Notes,
    Property,
)
from ontomesh_data_kernel.domain.ontology.ontology import EMPTY, MAX_SCHEMA_BYTES, Ontology, parse_schema
from ontomesh_data_kernel.domain.ontology.parse import parse_schema_text
from ontomesh_data_kernel.domain.ontology.validate import MAX_VIOLATIONS, Compiled, Prepared

__all__ = [
    "CONTEXT_ID",
    "EMPTY",
    "MAX_ID_BYTES",
    "MAX_SCHEMA_BYTES",
    "MAX_VIOLATIONS",
    "SCHEMA_PREFIX",
    "AffectedClasses",
    "ChangeMode",
    "ClassDef",
    "Compiled",
    "Context",
    "Element",
    "EnumDef",
    "Family",
    "Key",
    "KeyKind",
    "Notes",
    "Ontology",
    "OntologyChange",
    "Prepared",
    "Property",
    "affected_classes",
    "apply",
    "id_fault",
    "is_document_id",
    "near",
    "parse_schema",
    "parse_schema_text",
]
