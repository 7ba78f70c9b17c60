"""From decided document versions to a commit: reference checks, re-validation, the record and its id."""

from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ontomesh_data_kernel.domain.canonical import document_hash, parse_body
from ontomesh_data_kernel.domain.identity import Clock, identified
from ontomesh_data_kernel.domain.limits import MAX_BODY_BYTES
from ontomesh_data_kernel.domain.model import Commit
from ontomesh_data_kernel.domain.ontology import AffectedClasses, Ontology, Prepared, affected_classes
from ontomesh_data_kernel.errors import (
    DanglingLink,
    KernelError,
    SchemaViolatedByData,
    StillReferenced,
    Violation,
)
from ontomesh_data_kernel.ports import Draft, Facts, Head, Indexed, Needs, Point, Referrers, Version, Write

SCHEMA_CLASS = "@schema"
MAX_DATA_VIOLATIONS = 100
_MAX_TARGETS = 10


def class_of(id: str) -> str:
    """The class of a document, which its id begins with."""
    return id.partition("/")[0]


@dataclass(slots=True)
class Outcome:
    """What a commit leaves of the documents it names: new versions, deletions, and the versions at the head.

    `places` says where in the request a document's fields stand.
    """

    documents: dict[str, Prepared] = field(default_factory=dict)
    deleted: dict[str, None] = field(default_factory=dict)
    current: dict[str, Version] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)

    def link_targets(self) -> set[str]:
        """The documents that are linked to and not named by the commit."""
        targets = {target for document in self.documents.values() for _, target in document.links}
        return targets - self.documents.keys() - self.deleted.keys()


def check_references(
    outcome: Outcome, ontology: Ontology, known: Collection[str] = ()
) -> Generator[Needs, Facts, None]:
    """Check that no link of or to the commit's documents dangles; `known` exist for certain.

    Raises DanglingLink, StillReferenced.
    """
    targets = outcome.link_targets() - set(known)
    deleted = [id for id in outcome.deleted if id in outcome.current]
    paths = {
        f"{holder}.{name}" for cls in {class_of(id) for id in deleted} for holder, name in ontology.link_paths_to(cls)
    }
    referrers = None
    if deleted and paths:
        named = {*outcome.documents, *outcome.deleted}
        referrers = Referrers(tuple(deleted), tuple(sorted(paths)), named)
    existing: Collection[str] = ()
    if targets or referrers:
        facts = yield Needs(etags=targets, referrers=referrers)
        existing = facts.etags
        for id, holders in facts.referrers.items():
            raise StillReferenced.of(id, holders)
    missing = {target for target in targets if target not in existing} | outcome.deleted.keys()
    if missing:
        _refuse_dangling(outcome, missing)


def _refuse_dangling(outcome: Outcome, missing: Collection[str]) -> None:
    violations = [
        Violation(f"{outcome.places.get(id, id)}.{name}", f"links to {target!r}, which does not exist")
        for id, document in outcome.documents.items()
        for name, target in document.links
        if target in missing
    ]
    if violations:
        dangling = {t for d in outcome.documents.values() for _, t in d.links if t in missing}
        shown = sorted(dangling)[:_MAX_TARGETS]
        more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
        message = f"{violations[0].field} {violations[0].description}{more}"
        raise DanglingLink(message, violations[:MAX_DATA_VIOLATIONS], {"targets": ", ".join(shown)})


@dataclass(frozen=True, slots=True)
class Examined:
    """A document looked at under a new ontology: what it becomes, or what is wrong with it."""

    id: str
    version: Version
    document: Prepared | None
    violations: tuple[Violation, ...] = ()


class Revalidation:
    """Looks at existing documents under a changed ontology."""

    def __init__(self, old: Ontology, new: Ontology) -> None:
        self.old, self.new = old, new
        self.affected: AffectedClasses = affected_classes(old, new)
        concerned = self.affected.revalidate | self.affected.reindex | self.affected.rekeyed
        self.classes = tuple(sorted(concerned))

    def examine(self, documents: Iterable[tuple[str, bytes]]) -> list[Examined]:
        """Look at documents; those that stay as they are, index and all, are left out."""
        prepare = self.new.compile().prepare
        found = []
        for id, body in documents:
            version = Version(document_hash(body).hex(), body)
            if class_of(id) in self.affected.rekeyed:
                violation = Violation(id, "its class's @key cannot change while the class has documents")
                found.append(Examined(id, version, None, (violation,)))
                continue
            parsed = parse_body(body, limit=MAX_BODY_BYTES)
            try:
                document = prepare(parsed, document_id=id, random_id=_no_id)
            except KernelError as error:
                violations = tuple(violation.within(id) for violation in error.violations)
                found.append(Examined(id, version, None, violations or (Violation(id, error.message),)))
                continue
            if document.body != body or class_of(id) in self.affected.reindex:
                found.append(Examined(id, version, document))
        return found

    def settle(self, examined: Mapping[str, Examined], outcome: Outcome) -> None:
        """Add what the documents become to the outcome; those that the commit itself changes are not looked at.

        Raises SchemaViolatedByData.
        """
        named = outcome.documents.keys() | outcome.deleted.keys()
        violations: list[Violation] = []
        for id, one in examined.items():
            if id in named:
                continue
            violations += one.violations
            if one.document is not None:
                outcome.documents[id] = one.document
                outcome.current[id] = one.version
        if violations:
            more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
            raise SchemaViolatedByData(
                f"existing documents do not fit the ontology: {violations[0].field}: {violations[0].description}{more}",
                violations[:MAX_DATA_VIOLATIONS],
                {"violations": str(len(violations))},
            )


def _no_id() -> str:
    raise AssertionError("a stored document has its id")


@dataclass(frozen=True, slots=True)
class Record:
    """What a commit's record says beyond its changes."""

    branch: str
    author: str
    committer: str
    message: str
    metadata: Mapping[str, str]
    trace_id: str


def draft(
    head: Head,
    record: Record,
    outcome: Outcome,
    old: Ontology,
    new: Ontology,
    clock: Clock,
    reply: Callable[[Commit], bytes],
    merged: tuple[Point, int] | None = None,
) -> Draft:
    """The commit that makes the outcome; one that changes nothing has no writes."""
    writes = [*_schema_writes(old, new), *_document_writes(outcome, old)]
    changes = [(write.id, write.etag or None) for write in writes if not _is_touch(write, outcome)]
    time = max(clock(), head.time + 1, merged[1] + 1 if merged else 0)
    parents = (head.point.commit, *((merged[0].commit,) if merged else ()))
    commit = identified(
        Commit(
            id="",
            parents=parents,
            branch=record.branch,
            author=record.author,
            committer=record.committer,
            message=record.message,
            time=time,
            metadata=record.metadata,
            trace_id=record.trace_id,
            ontology_digest=new.digest,
            change_count=0,
        ),
        changes,
    )
    return Draft(commit, writes, reply(commit), merged[0] if merged else None)


def _is_touch(write: Write, outcome: Outcome) -> bool:
    current = outcome.current.get(write.id)
    return current is not None and current.etag == write.etag


def _document_writes(outcome: Outcome, old: Ontology) -> Sequence[Write]:
    links = old.compile().links
    writes = []
    for id, document in outcome.documents.items():
        current = outcome.current.get(id)
        was = Indexed(class_of(id), links(current.body)) if current is not None else None
        indexed = Indexed(document.cls, document.links)
        if current is not None and current.etag == document.etag and was == indexed:
            continue
        writes.append(Write(id, document.etag, document.body, indexed, was))
    for id in outcome.deleted:
        current = outcome.current.get(id)
        if current is not None:
            writes.append(Write(id, "", None, None, Indexed(class_of(id), links(current.body))))
    return writes


def _schema_writes(old: Ontology, new: Ontology) -> Sequence[Write]:
    if old.digest == new.digest:
        return ()
    before, after = old.element_bodies(), new.element_bodies()
    indexed = Indexed(SCHEMA_CLASS)
    writes = []
    for id in sorted(before.keys() | after.keys()):
        was, becomes = before.get(id), after.get(id)
        if was == becomes:
            continue
        etag = document_hash(becomes).hex() if becomes is not None else ""
        entry = indexed if becomes is not None else None
        writes.append(Write(id, etag, becomes, entry, indexed if was is not None else None))
    return writes
