"""Deciding a commit at the head of its branch."""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import orjson

from ontomesh_data_kernel.domain.canonical import parse_body
from ontomesh_data_kernel.domain.drafting import Outcome, Record, check_references, class_of, draft
from ontomesh_data_kernel.domain.identity import Clock
from ontomesh_data_kernel.domain.limits import MAX_BODY_BYTES, MAX_SCHEMA_BYTES
from ontomesh_data_kernel.domain.migrating import Migration
from ontomesh_data_kernel.domain.model import (
    Commit,
    CommitRequest,
    Delete,
    Insert,
    OntologyEdit,
    OperationResult,
    Replace,
    Update,
)
from ontomesh_data_kernel.domain.ontologies import OntologyCache
from ontomesh_data_kernel.domain.ontology import (
    SCHEMA_PREFIX,
    ChangeMode,
    Ontology,
    OntologyChange,
    Prepared,
    apply_to,
    parse_schema_text,
)
from ontomesh_data_kernel.domain.ontology.model import element_json
from ontomesh_data_kernel.domain.ontology.ontology import parse_elements
from ontomesh_data_kernel.domain.ontology.types import Fault
from ontomesh_data_kernel.domain.operations import Parsed, Ready, prepare_operations, size_of, updated
from ontomesh_data_kernel.domain.revalidating import Examined, Revalidation
from ontomesh_data_kernel.domain.uniqueness import check_held, check_unique
from ontomesh_data_kernel.domain.validators.hearing import Hearing
from ontomesh_data_kernel.errors import (
    DocumentAlreadyExists,
    DocumentNotFound,
    EmptyCommit,
    EtagMismatch,
    InvalidRequest,
    KernelError,
    SchemaViolation,
    StaleHead,
    Violation,
)
from ontomesh_data_kernel.ports import Decision, Draft, Facts, Head, Needs, Point, Version, weigh

_REVALIDATION_WEIGHT = 1_000


@dataclass(slots=True)
class Precheck:
    """What was found under the ontology `base`, before the transaction or in it.

    `examined` holds the existing documents that the new ontology concerns, as of `point`; without one they are yet
    to be examined.
    """

    base: Ontology
    target: Ontology | None = None
    ready: Sequence[Ready] = ()
    revalidation: Revalidation | None = None
    examined: dict[str, Examined] = field(default_factory=dict)
    point: Point | None = None
    refused: KernelError | None = None


class Attempt:
    """One commit on its way: what it asks for, and what is known so far."""

    def __init__(
        self,
        request: CommitRequest,
        record: Record,
        parsed: Sequence[Parsed],
        ontologies: OntologyCache,
        clock: Clock,
        draw_id: Callable[[], str],
    ) -> None:
        self._request = request
        self._record = record
        self._parsed = parsed
        self._ontologies = ontologies
        self._clock = clock
        self._draw_id = draw_id
        self.precheck: Precheck | None = None
        self.hearing: Hearing | None = None

    @property
    def branch(self) -> str:
        """The branch to commit on."""
        return self._record.branch

    @property
    def weight(self) -> int:
        """About how much work the transaction is, as far as the request shows it; see `ports.weigh`."""
        revalidates = self._request.ontology is not None
        return request_weight(self._request) + (_REVALIDATION_WEIGHT if revalidates else 0)

    def prepare(self, base: Ontology) -> Precheck:
        """Check everything that depends on the ontology alone."""
        edit = self._request.ontology
        target, migration = (base, None) if edit is None else changed_ontology(base, edit)
        ready = prepare_operations(self._parsed, target, self._draw_id)
        if migration is not None:
            _check_names(ready, migration)
        changed = migration is not None or target.digest != base.digest
        return Precheck(base, target, ready, Revalidation(base, target, migration) if changed else None)

    def decide(self, head: Head) -> Decision:
        """Decide the commit at a head; see `ports.Decision`."""
        request = self._request
        if request.expected_head and request.expected_head != head.point.commit:
            raise StaleHead.of(self._record.branch, head.point.commit, request.expected_head)
        base = yield from self._ontologies.at_head(head)
        self._ontologies.met(request.database, self._record.branch, base)
        precheck = self.precheck
        if precheck is None or precheck.base.digest != base.digest:
            precheck = self.prepare(base)
        if precheck.refused is not None:
            raise precheck.refused
        target = precheck.target or base
        outcome, results = yield from self._apply(precheck, target, head)
        examined: Mapping[str, Examined] = {}
        if precheck.revalidation is not None:
            examined = yield from _examined_at(head, precheck, precheck.revalidation)
            precheck.revalidation.settle(examined, outcome)
            yield from check_held(examined, outcome)
        yield from check_references(outcome, target)
        yield from check_unique(outcome, base, target, examined)
        made = draft(head, self._record, outcome, base, target, self._clock, lambda commit: reply_of(commit, results))
        if not made.writes:
            raise EmptyCommit("the commit would change nothing")
        if self.hearing is not None:
            self.hearing.require(head, made, outcome, base, target)
        if target is not base:
            self._ontologies.remember(target)
        if request.validate_only:
            made = replace(made, commit=replace(made.commit, id=""))
        return made

    def _apply(
        self, precheck: Precheck, target: Ontology, head: Head
    ) -> Generator[Needs, Facts, tuple[Outcome, list[OperationResult]]]:
        ready = precheck.ready
        migration = precheck.revalidation.migration if precheck.revalidation is not None else None
        facts = yield Needs(bodies=[one.id for one in ready])
        outcome = Outcome(current=dict(facts.bodies))
        results = []
        for one in ready:
            version = facts.bodies.get(one.id)
            _check_presence(one, version, head)
            if isinstance(one.parsed.operation, Delete):
                outcome.deleted[one.id] = None
                results.append(OperationResult(one.id, ""))
                continue
            document, place = one.document, "body"
            if isinstance(one.parsed.operation, Update):
                assert version is not None
                document, place = _update(one.parsed, one.parsed.operation, version, target, migration), "patch"
            assert document is not None
            outcome.documents[one.id] = document
            outcome.places[one.id] = f"{one.parsed.field}.{place}"
            results.append(OperationResult(one.id, document.etag))
        return outcome, results


def _check_presence(one: Ready, version: Version | None, head: Head) -> None:
    operation, parsed = one.parsed.operation, one.parsed
    if isinstance(operation, Insert):
        if version is not None:
            raise DocumentAlreadyExists.of(one.id, parsed.field)
        return
    etag = operation.etag if isinstance(operation, Replace | Update | Delete) else ""
    if etag and (version is None or version.etag != etag):
        raise EtagMismatch.of(one.id, version.etag if version else "", f"{parsed.field}.etag")
    if version is None and isinstance(operation, Replace | Update | Delete):
        raise DocumentNotFound.of(one.id, head.point.commit, parsed.field)


def _check_names(ready: Sequence[Ready], migration: Migration) -> None:
    """Raise InvalidRequest for an operation on a document whose id the migration changes."""
    for one in ready:
        if class_of(one.id) in migration.renamed:
            description = (
                f"the same change renames or removes the class {class_of(one.id)}: commit this before or after"
            )
            raise InvalidRequest.at(one.parsed.field, description)


def _update(
    parsed: Parsed, operation: Update, version: Version, target: Ontology, migration: Migration | None
) -> Prepared:
    assert parsed.body is not None
    current = parse_body(version.body, limit=MAX_BODY_BYTES)
    if migration is not None:
        try:
            current = migration.apply(current) or current
        except Fault as fault:
            faults = [Violation(*one).within(operation.id) for one in fault.faults]
            message = f"the migration cannot change {operation.id!r}: {faults[0].field}: {faults[0].description}"
            raise SchemaViolation(message, [one.within(f"{parsed.field}.id") for one in faults]) from None
    changed = updated(operation, parsed.body, current)
    try:
        return target.compile().prepare(changed, document_id=operation.id, random_id=str)
    except KernelError as error:
        raise error.within(f"{parsed.field}.patch") from None


def _examined_at(
    head: Head, precheck: Precheck, revalidation: Revalidation
) -> Generator[Needs, Facts, Mapping[str, Examined]]:
    """Bring what was examined before the transaction up to the head."""
    if not revalidation.classes:
        return {}
    if precheck.point is None:
        facts = yield Needs(instances=revalidation.classes)
        return {one.id: one for one in revalidation.examine(facts.instances)}
    if precheck.point.commit == head.point.commit:
        return precheck.examined
    facts = yield Needs(since=precheck.point)
    moved = [id for id in facts.changed if class_of(id) in revalidation.classes]
    examined = {id: one for id, one in precheck.examined.items() if id not in facts.changed}
    if moved:
        facts = yield Needs(bodies=moved)
        bodies = [(id, version.body) for id, version in facts.bodies.items()]
        examined.update((one.id, one) for one in revalidation.examine(bodies))
    return examined


def changed_ontology(base: Ontology, edit: OntologyEdit, field: str = "ontology") -> tuple[Ontology, Migration | None]:
    """The ontology after an edit, and its migration if it has one. Raises EtagMismatch, InvalidSchema, InvalidRequest,
    MalformedBody, TooLarge; fields begin with `field`.
    """
    if edit.expected_digest and edit.expected_digest != base.digest:
        raise EtagMismatch.of(SCHEMA_PREFIX.rstrip("/"), base.digest, f"{field}.expected_digest")
    elements = parse_schema_text(edit.schema, limit=MAX_SCHEMA_BYTES, field=f"{field}.schema") if edit.schema else []
    mode = ChangeMode.REPLACE if edit.replace else ChangeMode.UPSERT
    try:
        migration = None
        if edit.migrations:
            declared = [element_json(element) for _, element in parse_elements(elements)]
            explicit = {str(element.get("@id", "@context")): element for element in declared}
            migration = Migration(base, edit.migrations, explicit)
        left = base.elements if migration is None else [element for _, element in migration.elements]
        return apply_to(left, OntologyChange(elements, mode, edit.remove)), migration
    except KernelError as error:
        raise error.within(field) from None


def request_weight(request: CommitRequest) -> int:
    """How much work it is to write a request's documents."""
    return weigh(len(request.operations), size_of(request.operations))


def reply_of(commit: Commit, results: Sequence[OperationResult]) -> bytes:
    """What is kept of a commit's answer for its request id."""
    return orjson.dumps({"commit": commit.id, "results": [[result.id, result.etag] for result in results]})


__all__ = ["Attempt", "Draft", "Precheck", "changed_ontology", "reply_of", "request_weight"]
