"""The ontology: the schema language, and documents checked against it."""

from ontomesh_data_kernel.domain.ontology.affected import AffectedClasses, affected_classes, fresh_uniques
from ontomesh_data_kernel.domain.ontology.changes import (
    ChangeMode,
    OntologyChange,
    apply,
    apply_to,
)
from ontomesh_data_kernel.domain.ontology.checks import MAX_VIOLATIONS
from ontomesh_data_kernel.domain.ontology.hierarchy import Hierarchy
from ontomesh_data_kernel.domain.ontology.hints import near
from ontomesh_data_kernel.domain.ontology.indexing import UniqueValue
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
from ontomesh_data_kernel.domain.ontology.validate import Compiled, Prepared

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
    "Hierarchy",
    "Key",
    "KeyKind",
    "Notes",
    "Ontology",
    "OntologyChange",
    "Prepared",
    "Property",
    "UniqueValue",
    "affected_classes",
    "apply",
    "apply_to",
    "fresh_uniques",
    "id_fault",
    "is_document_id",
    "near",
    "parse_schema",
    "parse_schema_text",
]
