"""From decided document versions to a commit: reference checks, re-validation, the record and its id."""

from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ontomesh_data_kernel.domain.canonical import document_hash
from ontomesh_data_kernel.domain.identity import Clock, identified
from ontomesh_data_kernel.domain.model import Commit
from ontomesh_data_kernel.domain.ontology import Ontology, Prepared
from ontomesh_data_kernel.errors import DanglingLink, StillReferenced, Violation
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

    def link_targets(self, ontology: Ontology) -> set[str]:
        """The documents that are linked to by what may not dangle, and not named by the commit."""
        targets = {target for document in self.documents.values() for _, target in _held_links(document, ontology)}
        return targets - self.documents.keys() - self.deleted.keys()


def _held_links(document: Prepared, ontology: Ontology) -> Iterable[tuple[str, str]]:
    """The document's links but for those that may dangle."""
    dangling = ontology.hierarchy.dangling[document.cls]
    return [link for link in document.links if link[0] not in dangling] if dangling else document.links


def check_references(
    outcome: Outcome, ontology: Ontology, known: Collection[str] = ()
) -> Generator[Needs, Facts, None]:
    """Check that no link of or to the commit's documents dangles; `known` exist for certain.

    Raises DanglingLink, StillReferenced.
    """
    targets = outcome.link_targets(ontology) - set(known)
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
        _refuse_dangling(outcome, ontology, missing)


def _refuse_dangling(outcome: Outcome, ontology: Ontology, missing: Collection[str]) -> None:
    violations = [
        Violation(f"{outcome.places.get(id, id)}.{name}", f"links to {target!r}, which does not exist")
        for id, document in outcome.documents.items()
        for name, target in _held_links(document, ontology)
        if target in missing
    ]
    if violations:
        dangling = {t for d in outcome.documents.values() for _, t in _held_links(d, ontology) if t in missing}
        shown = sorted(dangling)[:_MAX_TARGETS]
        more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
        message = f"{violations[0].field} {violations[0].description}{more}"
        raise DanglingLink(message, violations[:MAX_DATA_VIOLATIONS], {"targets": ", ".join(shown)})


@dataclass(frozen=True, slots=True)
class Record:
    """What a commit's record says beyond its changes."""

    branch: str
    author: str
    committer: str
    message: str
    metadata: Mapping[str, str]
    trace_id: str
    span_id: str = ""


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
            span_id=record.span_id,
        ),
        changes,
    )
    return Draft(commit, writes, reply(commit), merged[0] if merged else None)


def _is_touch(write: Write, outcome: Outcome) -> bool:
    current = outcome.current.get(write.id)
    return current is not None and current.etag == write.etag


def _document_writes(outcome: Outcome, old: Ontology) -> Sequence[Write]:
    index = old.compile().index
    writes = []
    for id, document in outcome.documents.items():
        current = outcome.current.get(id)
        was = Indexed(class_of(id), *index(current.body)) if current is not None else None
        indexed = Indexed(document.cls, document.links, document.values)
        if current is not None and current.etag == document.etag and was == indexed:
            continue
        writes.append(Write(id, document.etag, document.body, indexed, was))
    for id in outcome.deleted:
        current = outcome.current.get(id)
        if current is not None:
            writes.append(Write(id, "", None, None, Indexed(class_of(id), *index(current.body))))
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
