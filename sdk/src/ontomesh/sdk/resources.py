"""What calls give back. Everything here is a value: it does not change and holds no connection."""

import builtins
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from functools import cached_property
from typing import Any, Final, Literal, Protocol, Self, TypeVar

from ontomesh.sdk.decoding import decode


class Missing(Enum):
    """The type of `MISSING`."""

    MISSING = "missing"

    def __bool__(self) -> bool:
        return False


MISSING: Final = Missing.MISSING
"""Stands where a property has no value, which JSON's null would not tell."""


class Model(Protocol):
    """A class whose instances can be made from documents, such as a `DocumentModel`."""

    @classmethod
    def from_document(cls, document: "Document | Mapping[str, Any]", /) -> Self:
        """The instance for a document."""
        ...


AnyModel = TypeVar("AnyModel", bound=Model)


@dataclass(frozen=True)
class Document:
    """A document as it stands at a commit.

    Attributes:
        id: Its class, a slash and its key.
        etag: Changes with the body; equal bodies have equal etags.
        commit: Id of the commit it was read at; empty where that was not told.
        body: The canonical JSON, in UTF-8; empty if only the etag was asked for, and without the properties that a
            query's `fields` leave out.
        included: The documents that came along by a query's `expand`, by id; the same for all of a page.
    """

    id: str
    etag: str
    commit: str
    body: bytes = field(repr=False)
    included: "Mapping[str, Document]" = field(default_factory=dict, repr=False, compare=False)

    @property
    def type(self) -> str:
        """The name of its class (`@schema` for an element of the ontology)."""
        return self.id.partition("/")[0]

    @cached_property
    def data(self) -> dict[str, Any]:
        """The body as a dict, `@id` and `@type` included. Integers and decimals keep all their digits.

        Raises:
            ValueError: It came without its body.
        """
        if not self.body:
            raise ValueError(f"{self.id} came without its body; ask for it with `include_bodies=True`")
        data: dict[str, Any] = decode(self.body)
        return data

    def as_model(self, model: "builtins.type[AnyModel]") -> AnyModel:
        """The document as an instance of a model class."""
        return model.from_document(self)


@dataclass(frozen=True, slots=True)
class Batch:
    """Documents of one commit in the order asked for, and the ids that do not exist there."""

    documents: tuple[Document, ...]
    missing_ids: tuple[str, ...]
    commit: str


@dataclass(frozen=True, slots=True)
class QueryPage:
    """A page of the documents that match, and those that `expand` leads to from them, by id.

    `next_page_token` asks for the next page; empty on the last.
    """

    documents: tuple[Document, ...]
    included: Mapping[str, Document]
    next_page_token: str
    commit: str


@dataclass(frozen=True, slots=True)
class QueryPlan:
    """How the store serves a query; an estimate.

    Attributes:
        access: What is read: `index Package.license`, `class Package`.
        reads: How many documents or entries of indexes that is, and with `reads_more` more than that.
        residual: The parts of the filter that are tried on each document read.
        sorts: Whether all matches are sorted in memory before the first is answered.
    """

    access: tuple[str, ...]
    reads: int
    reads_more: bool
    residual: str
    sorts: bool


@dataclass(frozen=True, slots=True)
class Referrer:
    """A link to a document: the id of the document that holds it, and the property (a path) in which it does."""

    id: str
    property: str


@dataclass(frozen=True, slots=True)
class Visit:
    """A document that a traversal reached.

    Attributes:
        depth: How many links lie between it and the nearest start.
        via_id: The document that it was reached from.
        via_property: The property, as a path, that holds the link between the two.
    """

    id: str
    depth: int
    via_id: str
    via_property: str


@dataclass(frozen=True, slots=True)
class Database:
    """A database's own record; `etag` changes with it, not with commits."""

    name: str
    description: str
    create_time: datetime
    etag: str


@dataclass(frozen=True, slots=True)
class Branch:
    """A branch and where it stands: `head` is the id of its newest commit, made at `update_time`."""

    name: str
    head: str
    create_time: datetime
    update_time: datetime


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit's record. One that was only validated has no id.

    Attributes:
        id: 64 hexadecimal digits, a hash over everything here and over the whole history behind it.
        parents: Two for a merge, the branch's head first; none for the first commit of a history.
        author: Who it is by; the committer, unless that one may act for others and named somebody else.
        committer: The principal that made the call.
        create_time: By the kernel's clock, later than its parents' times.
        metadata: What the caller noted.
        trace_id: The W3C trace id of the call that made it.
        change_count: How many documents it changed against its first parent.
    """

    id: str
    parents: tuple[str, ...]
    branch: str
    author: str
    committer: str
    message: str
    create_time: datetime
    metadata: Mapping[str, str]
    trace_id: str
    ontology_digest: str
    change_count: int


@dataclass(frozen=True, slots=True)
class OperationResult:
    """The document an operation concerned, and its new etag; empty if it was deleted."""

    id: str
    etag: str


@dataclass(frozen=True, slots=True)
class Committed:
    """A commit and what became of its operations: inserts, replaces, puts, updates, deletes, each in their order."""

    commit: Commit
    results: tuple[OperationResult, ...]

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the documents concerned, generated ones included."""
        return tuple(result.id for result in self.results)


@dataclass(frozen=True, slots=True)
class Ontology:
    """The schema at a commit: its elements in the schema language, and their digest."""

    schema: list[dict[str, Any]]
    digest: str
    commit: str


@dataclass(frozen=True, slots=True)
class OntologyDifference:
    """One thing that a change does to an element of the ontology, or to a property of it.

    `kind` says what it means for documents that are there: nothing (`added`, `weakened`, `noted`), perhaps something
    (`removed`, `strengthened`), or that a step of the migration changes them (`migrated`).
    """

    kind: Literal["added", "removed", "weakened", "strengthened", "noted", "migrated", "unknown"]
    element: str
    property: str
    description: str


@dataclass(frozen=True, slots=True)
class OntologyViolation:
    """One thing that would not fit; `field` is the path within the document, empty for the document as a whole."""

    id: str
    field: str
    description: str


@dataclass(frozen=True, slots=True)
class OntologyCheck:
    """What a change of the ontology would come to, and a page of what would not fit.

    Attributes:
        next_page_token: Asks for the next page; empty on the last.
        examined: How many documents were looked at on this page and those before; `changed` of them would change, and
            `violating` would not fit.
        classes: The classes whose documents the change concerns.
        ontology: The ontology after the change; its `commit` is the one that it was tried at.
    """

    differences: tuple[OntologyDifference, ...]
    violations: tuple[OntologyViolation, ...]
    next_page_token: str
    examined: int
    changed: int
    violating: int
    classes: tuple[str, ...]
    commit: str
    ontology: Ontology


@dataclass(frozen=True, slots=True)
class ClassSchema:
    """A class as JSON Schema (draft 2020-12), as it was at a commit.

    Attributes:
        json_schema: The schema as a dict; links are checked for their form alone, and uniqueness not at all.
        ontology_digest: The digest of the ontology that it was made from.
    """

    json_schema: dict[str, Any]
    ontology_digest: str
    commit: str


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a ref names; `branch` is empty for a `commit:` ref."""

    commit: Commit
    branch: str


@dataclass(frozen=True, slots=True)
class PropertyDiff:
    """One property that differs; `MISSING` where it has no value."""

    name: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class DocumentDiff:
    """One document that differs. `properties` says where, for a changed one."""

    id: str
    kind: Literal["added", "changed", "removed", "unknown"]
    before: Document | None
    after: Document | None
    properties: tuple[PropertyDiff, ...]


@dataclass(frozen=True, slots=True)
class Conflict:
    """Where both sides of a merge changed the same thing; `MISSING` where a side has no value.

    `property` is empty if the conflict is about the document as a whole.
    """

    id: str
    property: str
    kind: Literal["both_changed", "both_added", "deleted_by_ours", "deleted_by_theirs", "unknown"]
    base: Any
    ours: Any
    theirs: Any


@dataclass(frozen=True, slots=True)
class MergeResult:
    """How a merge ended.

    Attributes:
        commit: The merge commit, if merged.
        conflicts: The first hundred of `conflict_count`; nothing was committed if there are any.
        base_commits: The common ancestors.
        ours_commit: The head that was merged into.
        theirs_commit: The commit that was merged.
    """

    outcome: Literal["merged", "up_to_date", "conflicts", "unknown"]
    commit: Commit | None
    conflicts: tuple[Conflict, ...]
    conflict_count: int
    base_commits: tuple[str, ...]
    ours_commit: str
    theirs_commit: str


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault in a history; `id` is empty if the commit's own record is at fault."""

    commit: str
    id: str
    description: str


@dataclass(frozen=True, slots=True)
class VerifyProgress:
    """How far a verification has come, and the problems found since the report before."""

    commits: int
    documents: int
    total_commits: int
    problems: tuple[Problem, ...]
    done: bool


@dataclass(frozen=True, slots=True)
class ImportFault:
    """What is wrong with a document of an import; `field` is empty for the document as a whole."""

    line: int
    field: str
    description: str


@dataclass(frozen=True, slots=True)
class Import:
    """An import as it stands.

    Attributes:
        documents: How many were uploaded.
        offset: Bytes of the stream that are durable.
        faults: The first hundred of `fault_count`; with any, the import cannot be finished.
        commit: The commit that it became; empty before.
    """

    id: str
    branch: str
    documents: int
    offset: int
    lines: int
    fault_count: int
    faults: tuple[ImportFault, ...]
    commit: str
    create_time: datetime
    update_time: datetime


@dataclass(frozen=True, slots=True)
class ImportProgress:
    """How far an import has come.

    Attributes:
        import_id: What resumes it, in another process too.
        documents: How many are durable.
        done_bytes: Bytes of the stream that are durable.
        total_bytes: How many there will be; None if that is not known.
        finishing: Whether all is uploaded and the commit is being made.
    """

    import_id: str
    documents: int
    done_bytes: int
    total_bytes: int | None
    finishing: bool


@dataclass(frozen=True, slots=True)
class Exported:
    """Some documents of an export: `data` holds whole lines of NDJSON.

    Attributes:
        last_id: Where to go on `after`, at the ref `commit:` and `commit`, if the export is broken off.
    """

    data: bytes
    documents: int
    last_id: str
    commit: str
