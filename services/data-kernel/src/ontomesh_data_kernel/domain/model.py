"""The kernel's nouns, as its doors and its stores see them.

Ids of commits, etags and digests are lower-case hexadecimal; times are microseconds since the Unix epoch (UTC);
bodies are canonical JSON in UTF-8. What each field means is said in `proto/ontomesh/kernel/v1`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from ontomesh_data_kernel.domain.steps import Step


@dataclass(frozen=True, slots=True)
class Database:
    """A database's own record; `etag` changes with it."""

    name: str
    description: str
    create_time: int
    etag: str


@dataclass(frozen=True, slots=True)
class Branch:
    """A branch and where it stands."""

    name: str
    head: str
    create_time: int
    update_time: int


@dataclass(frozen=True, slots=True)
class Document:
    """A document at one commit; without its body where only the etag was asked for."""

    id: str
    body: bytes
    etag: str


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit's record. A commit that was only validated has no id.

    `span_id` is that of the call's server span, if that is recorded; it is told to nobody and is no part of the id.
    """

    id: str
    parents: tuple[str, ...]
    branch: str
    author: str
    committer: str
    message: str
    time: int
    metadata: Mapping[str, str]
    trace_id: str
    ontology_digest: str
    change_count: int
    span_id: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Insert:
    """Adds a document that must not exist."""

    body: bytes


@dataclass(frozen=True, slots=True)
class Replace:
    """Puts a document in the place of one that must exist (and have `etag`, if given)."""

    body: bytes
    etag: str = ""


@dataclass(frozen=True, slots=True)
class Put:
    """Inserts or replaces."""

    body: bytes


@dataclass(frozen=True, slots=True)
class Update:
    """A JSON merge patch, or with a mask the setting of just those top-level properties."""

    id: str
    patch: bytes
    mask: tuple[str, ...] | None = None
    etag: str = ""


@dataclass(frozen=True, slots=True)
class Delete:
    """Removes a document that nothing else links to."""

    id: str
    etag: str = ""


Operation = Insert | Replace | Put | Update | Delete


@dataclass(frozen=True, slots=True)
class OntologyEdit:
    """A change of the ontology within a commit: `schema` as the caller sent it (a JSON array or NDJSON).

    `migrations` are what becomes of the documents that are there, before `schema` is laid over what they lead to.
    """

    schema: bytes
    replace: bool = False
    remove: tuple[str, ...] = ()
    expected_digest: str = ""
    migrations: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class CommitRequest:
    """Everything a caller may say of a commit; empty strings mean "not given"."""

    database: str
    branch: str = ""
    operations: tuple[Operation, ...] = ()
    ontology: OntologyEdit | None = None
    message: str = ""
    author: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    expected_head: str = ""
    request_id: str = ""
    validate_only: bool = False


@dataclass(frozen=True, slots=True)
class OperationResult:
    """The document an operation concerned; no etag if it was deleted."""

    id: str
    etag: str


@dataclass(frozen=True, slots=True)
class Committed:
    """A commit and what became of its operations, in their order."""

    commit: Commit
    results: tuple[OperationResult, ...]


@dataclass(frozen=True, slots=True)
class OntologyAt:
    """The ontology at a commit, as one JSON array."""

    schema: bytes
    digest: str
    commit: str


@dataclass(frozen=True, slots=True)
class ClassSchemaAt:
    """A class as JSON Schema, with the ontology's digest and the commit it was read at."""

    schema: bytes
    digest: str
    commit: str


@dataclass(frozen=True, slots=True)
class DocumentAt:
    """A document and the id of the commit it was read at."""

    document: Document
    commit: str


@dataclass(frozen=True, slots=True)
class DocumentBatch:
    """Documents of one commit in the order asked for, and the ids that do not exist there."""

    documents: tuple[Document, ...]
    missing: tuple[str, ...]
    commit: str


@dataclass(frozen=True, slots=True)
class DocumentPage:
    """A page of a listing of one commit."""

    documents: tuple[Document, ...]
    next_page_token: str
    commit: str


@dataclass(frozen=True, slots=True)
class DatabasePage:
    """A page of databases by name."""

    databases: tuple[Database, ...]
    next_page_token: str


@dataclass(frozen=True, slots=True)
class BranchPage:
    """A page of branches by name."""

    branches: tuple[Branch, ...]
    next_page_token: str


@dataclass(frozen=True, slots=True)
class CommitPage:
    """A page of a log, newest first."""

    commits: tuple[Commit, ...]
    next_page_token: str


@dataclass(frozen=True, slots=True)
class ResolvedRef:
    """What a ref names; `branch` is empty for a `commit:` ref."""

    commit: Commit
    branch: str


class DiffKind(Enum):
    """How a document differs between two commits."""

    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class PropertyDiff:
    """One top-level property that differs; JSON values, None where it is absent."""

    name: str
    before: bytes | None
    after: bytes | None


@dataclass(frozen=True, slots=True)
class DocumentDiff:
    """One document that differs; the bodies of `before` and `after` are empty unless asked for."""

    id: str
    kind: DiffKind
    before: Document | None
    after: Document | None
    properties: tuple[PropertyDiff, ...]


@dataclass(frozen=True, slots=True)
class DiffPage:
    """A page of differences by document id; `base_commit` is empty when compared with nothing at all."""

    documents: tuple[DocumentDiff, ...]
    next_page_token: str
    base_commit: str
    target_commit: str
    total_size: int


class ConflictKind(Enum):
    """What the two sides of a merge did to one thing."""

    BOTH_CHANGED = "both_changed"
    BOTH_ADDED = "both_added"
    DELETED_BY_OURS = "deleted_by_ours"
    DELETED_BY_THEIRS = "deleted_by_theirs"


class MergeSide(Enum):
    """One of the three values of a conflict."""

    OURS = "ours"
    THEIRS = "theirs"
    BASE = "base"


@dataclass(frozen=True, slots=True)
class Conflict:
    """One conflict; `property` is empty if it is about the document as a whole; JSON values, None if absent."""

    id: str
    property: str
    kind: ConflictKind
    base: bytes | None
    ours: bytes | None
    theirs: bytes | None


@dataclass(frozen=True, slots=True)
class Resolution:
    """How to settle a conflict: a side, or a value as JSON. `property` empty: the whole document's conflicts."""

    id: str
    property: str
    choice: MergeSide | bytes


@dataclass(frozen=True, slots=True)
class MergeRequest:
    """Everything a caller may say of a merge; empty strings mean "not given"."""

    database: str
    branch: str
    source: str
    strategy: MergeSide | None = None
    resolutions: tuple[Resolution, ...] = ()
    message: str = ""
    author: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    expected_head: str = ""
    request_id: str = ""
    validate_only: bool = False


class MergeOutcome(Enum):
    """How a merge ended."""

    MERGED = "merged"
    UP_TO_DATE = "up_to_date"
    CONFLICTS = "conflicts"


@dataclass(frozen=True, slots=True)
class MergeResult:
    """How a merge ended; `conflicts` holds the first hundred of `conflict_count`."""

    outcome: MergeOutcome
    commit: Commit | None
    conflicts: tuple[Conflict, ...]
    conflict_count: int
    base_commits: tuple[str, ...]
    ours_commit: str
    theirs_commit: str


@dataclass(frozen=True, slots=True)
class ConflictPage:
    """A page of conflicts by document id and property."""

    conflicts: tuple[Conflict, ...]
    next_page_token: str
    total_size: int


@dataclass(frozen=True, slots=True)
class VerifyProblem:
    """One fault in a history; `id` is empty if the commit's own record is at fault."""

    commit: str
    id: str
    description: str


@dataclass(frozen=True, slots=True)
class VerifyProgress:
    """How far a verification has come; `problems` are those found since the report before."""

    commits: int
    documents: int
    total_commits: int
    problems: tuple[VerifyProblem, ...]
    done: bool


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a document of an import; `line` counts from 1, `field` is empty for the document as a whole."""

    line: int
    field: str
    description: str


@dataclass(frozen=True, slots=True)
class Import:
    """An import as it stands: `offset` and `lines` of its stream are durable, with `documents` in them that were staged.

    `ontologies` are those that staged documents fit, each as (digest, a commit that has it): one, except while they
    are checked again. `faults` holds the first hundred of `fault_count`; `commit` is empty until it is finished;
    `reviewed` is the commit whose versions the documents that were taken out equal, if any were; `revision` counts its
    changes.
    """

    id: str
    branch: str
    principal: str
    ontologies: tuple[tuple[str, str], ...]
    create_time: int
    update_time: int
    documents: int = 0
    offset: int = 0
    lines: int = 0
    fault_count: int = 0
    faults: tuple[Fault, ...] = ()
    commit: str = ""
    reviewed: str = ""
    revision: int = 0


@dataclass(frozen=True, slots=True)
class FinishRequest:
    """Everything a caller may say of the commit that an import becomes; empty strings mean "not given"."""

    database: str
    import_id: str
    message: str = ""
    author: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    insert_only: bool = False
    overwrite: bool = False
    expected_offset: int = 0


@dataclass(frozen=True, slots=True)
class ExportPiece:
    """Some lines of NDJSON, how many, and the id of the last document; of the first piece there may be none."""

    data: bytes
    documents: int
    last_id: str
    commit: str


@dataclass(frozen=True, slots=True)
class KernelEvent:
    """What a commit tells of one change; `data` is JSON, `time` in microseconds since the epoch, `attributes` are its further ones.

    `traceparent` is empty if the commit has no trace that could be named; `is_sampled` if spans of it are recorded.
    """

    id: str
    type: str
    source: str
    subject: str
    time: int
    data: bytes
    commit: str
    traceparent: str = ""
    is_sampled: bool = False
    attributes: Mapping[str, str] = field(default_factory=dict)
