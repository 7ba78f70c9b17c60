"""The refusals of imports as a whole; fields begin with the line of the document."""

from collections.abc import Sequence

from ontomesh_data_kernel.domain.limits import MAX_FAULTS
from ontomesh_data_kernel.domain.model import Fault
from ontomesh_data_kernel.errors import (
    DanglingLink,
    DocumentAlreadyExists,
    EmptyCommit,
    ImportConflict,
    ImportInvalid,
    Violation,
)
from ontomesh_data_kernel.ports import StagedLink

_SHOWN = 10


def faults_refused(faults: Sequence[Fault], count: int) -> ImportInvalid:
    """Documents do not fit the ontology, or come twice: the first of `count` faults."""
    violations = [Violation(_field(fault.line, fault.field), fault.description) for fault in faults]
    message = f"documents of the import are invalid: {_first_of(violations, count)}"
    return ImportInvalid(message, violations, {"violations": str(count)})


def existing(found: Sequence[tuple[int, str]], count: int) -> DocumentAlreadyExists:
    """Documents, the first of `count`, exist where all are to be new; each as (line, id)."""
    violations = [Violation(_field(line), f"{id!r} exists already") for line, id in found[:MAX_FAULTS]]
    message = _first_of(violations, count) if violations else f"{count:,} of the documents exist already"
    return DocumentAlreadyExists(message, violations, {"id": found[0][1] if found else ""})


def conflicting(found: Sequence[tuple[int, str, bool]], count: int) -> ImportConflict:
    """Others changed documents, the first of `count`, each as (line, id, whether it exists still)."""
    violations = [
        Violation(_field(line), f"{id!r} was {'changed' if exists else 'deleted'} by others since the import began")
        for line, id, exists in found[:MAX_FAULTS]
    ]
    return ImportConflict(_first_of(violations, count), violations, {"documents": str(count)})


def dangling(links: Sequence[StagedLink]) -> DanglingLink:
    """Links to what does not exist."""
    violations = [
        Violation(_field(link.line, link.path), f"links to {link.target!r}, which does not exist") for link in links
    ]
    targets = ", ".join(sorted({link.target for link in links})[:_SHOWN])
    return DanglingLink(_first_of(violations, len(violations)), violations, {"targets": targets})


def nothing_changed() -> EmptyCommit:
    """The branch has all of it."""
    return EmptyCommit("the import would change nothing: the branch has all of its documents as they are")


def _field(line: int, path: str = "") -> str:
    return f"line {line}.{path}" if path else f"line {line}"


def _first_of(violations: Sequence[Violation], count: int) -> str:
    more = f" (and {count - 1:,} more)" if count > 1 else ""
    return f"{violations[0].field}: {violations[0].description}{more}"


def no_id() -> str:
    """For documents that have their ids."""
    raise AssertionError("a staged document has its id")
