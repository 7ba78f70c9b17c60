"""Imports where the store has no staging: kept in the kernel's memory, and an ordinary commit at the end."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ontomesh_data_kernel.domain.canonical import parse_body
from ontomesh_data_kernel.domain.deciding import reply_of
from ontomesh_data_kernel.domain.drafting import Outcome, Record, check_references, draft
from ontomesh_data_kernel.domain.identity import Clock
from ontomesh_data_kernel.domain.limits import MAX_BODY_BYTES, MAX_COMMIT_BYTES, MAX_FAULTS, MAX_OPERATIONS
from ontomesh_data_kernel.domain.model import Commit, Fault, FinishRequest, Import
from ontomesh_data_kernel.domain.ontologies import OntologyCache
from ontomesh_data_kernel.domain.ontology import Prepared
from ontomesh_data_kernel.domain.refusing import conflicting, existing, faults_refused, no_id, nothing_changed
from ontomesh_data_kernel.domain.uniqueness import check_unique
from ontomesh_data_kernel.domain.validators.hearing import Hearings
from ontomesh_data_kernel.errors import (
    ImportNotFound,
    ImportOutOfStep,
    KernelError,
    RequestIdReused,
    StoreUnavailable,
    UnsupportedByStore,
    Violation,
)
from ontomesh_data_kernel.ports import (
    Decision,
    Head,
    Needs,
    Point,
    RequestKey,
    StagedWrite,
    Store,
    Stored,
    Version,
    Write,
    weigh,
)

MAX_OPEN = 8
_LIFETIME = 24 * 3_600 * 1_000_000


@dataclass(slots=True)
class _Kept:
    one: Import
    base: Point
    request: RequestKey | None
    size: int = 0
    writes: dict[str, tuple[int, Write]] = field(default_factory=dict)


class Gathered:
    """Imports in memory: at most MAX_OPEN, each within the limits of a commit."""

    def __init__(self, store: Store, ontologies: OntologyCache, clock: Clock, hearings: Hearings | None = None) -> None:
        self._store = store
        self._ontologies = ontologies
        self._clock = clock
        self._hearings = hearings
        self._kept: dict[tuple[str, str, str], _Kept] = {}

    async def begin(self, database: str, one: Import, base: Point, request: RequestKey | None) -> Import:
        """See `ports.Staging`. Raises StoreUnavailable while as many as there may be are open."""
        now = self._clock()
        self._kept = {key: kept for key, kept in self._kept.items() if kept.one.update_time > now - _LIFETIME}
        if request is not None:
            for (place, principal, _), kept in self._kept.items():
                known = kept.request
                if (place, principal) == (database, one.principal) and known is not None and known.id == request.id:
                    if known.digest != request.digest:
                        raise RequestIdReused.of(request.id)
                    return kept.one
        if sum(1 for kept in self._kept.values() if not kept.one.commit) >= MAX_OPEN:
            raise StoreUnavailable(f"{MAX_OPEN} imports are open, as many as this kernel keeps for a store of its kind")
        self._kept[database, one.principal, one.id] = _Kept(one, base, request)
        return one

    async def get(self, database: str, principal: str, id: str) -> tuple[Import, Point]:
        """See `ports.Staging`."""
        kept = self._kept.get((database, principal, id))
        if kept is None:
            await self._store.get_database(database)
            raise ImportNotFound.of(database, id)
        return kept.one, kept.base

    async def stage(
        self, database: str, before: Import, after: Import, writes: Sequence[StagedWrite]
    ) -> Mapping[str, int]:
        """See `ports.Staging`. Raises UnsupportedByStore beyond the limits of a commit."""
        kept = self._at_revision(database, before)
        known = {one.write.id: kept.writes[one.write.id][0] for one in writes if one.write.id in kept.writes}
        if known:
            return known
        size = kept.size + sum(len(one.write.body or b"") for one in writes)
        if len(kept.writes) + len(writes) > MAX_OPERATIONS or size > MAX_COMMIT_BYTES:
            limits = f"{MAX_OPERATIONS:,} documents and {MAX_COMMIT_BYTES >> 20} MiB"
            raise UnsupportedByStore(f"the store behind this kernel takes imports of up to {limits} alone")
        kept.writes.update((one.write.id, (one.line, one.write)) for one in writes)
        kept.size, kept.one = size, after
        return {}

    async def drop(self, database: str, one: Import) -> None:
        """See `ports.Staging`."""
        self._at_revision(database, one)
        del self._kept[database, one.principal, one.id]

    def _at_revision(self, database: str, one: Import) -> _Kept:
        kept = self._kept.get((database, one.principal, one.id))
        if kept is None:
            raise ImportNotFound.of(database, one.id)
        if kept.one.commit:
            raise ImportOutOfStep.of("the import is finished", kept.one.offset)
        if kept.one.revision != one.revision:
            raise ImportOutOfStep.of("another call has moved the import on meanwhile", kept.one.offset)
        return kept

    async def finish(self, request: FinishRequest, record: Record, one: Import, base: Point) -> Commit:
        """Commit what was gathered. Raises what is wrong with it as a whole."""
        kept = self._at_revision(request.database, one)
        lines = {id: line for id, (line, _) in kept.writes.items()}
        bodies = {id: write.body or b"" for id, (_, write) in kept.writes.items()}

        def decide(head: Head) -> Decision:
            ontology = yield from self._ontologies.at_head(head)
            documents = _prepared(bodies, lines, ontology.compile().prepare)
            facts = yield Needs(bodies=list(documents), since=base)
            _refuse_others(request, documents, facts.bodies, facts.changed, lines)
            places = {id: f"line {line}" for id, line in lines.items()}
            outcome = Outcome(documents, {}, dict(facts.bodies), places)
            yield from check_references(outcome, ontology)
            yield from check_unique(outcome, ontology, ontology)
            made = draft(head, record, outcome, ontology, ontology, self._clock, lambda commit: reply_of(commit, ()))
            if not made.writes:
                raise nothing_changed()
            if hearing is not None:
                hearing.require(head, made, outcome, ontology, ontology)
            return made

        weight = weigh(len(bodies), kept.size)

        async def store() -> Stored:
            return await self._store.commit(request.database, one.branch, decide, request=None, weight=weight)

        hearing = self._hearings.of(request.database, record) if self._hearings is not None else None
        stored = await (store() if hearing is None else hearing.through(store))
        assert stored.draft is not None
        commit = stored.draft.commit
        kept.one = replace(one, commit=commit.id, revision=one.revision + 1)
        kept.writes, kept.size = {}, 0
        return commit


def _prepared(
    bodies: Mapping[str, bytes], lines: Mapping[str, int], prepare: Callable[..., Prepared]
) -> dict[str, Prepared]:
    documents: dict[str, Prepared] = {}
    faults: list[Fault] = []
    for id, body in bodies.items():
        try:
            documents[id] = prepare(parse_body(body, limit=MAX_BODY_BYTES), document_id=id, random_id=no_id)
        except KernelError as error:
            found = error.violations or (Violation("", error.message),)
            faults += [Fault(lines[id], violation.field, violation.description) for violation in found]
    if faults:
        raise faults_refused(faults[:MAX_FAULTS], len(faults))
    return documents


def _refuse_others(
    request: FinishRequest,
    documents: Mapping[str, Prepared],
    current: Mapping[str, Version],
    changed: Collection[str],
    lines: Mapping[str, int],
) -> None:
    """Refuse what exists where all is to be new, and what others changed since the import began."""
    if request.insert_only and current:
        raise existing([(lines[id], id) for id in current], len(current))
    if not request.overwrite:
        differing = [
            (lines[id], id, id in current)
            for id in changed
            if id in documents and (id not in current or current[id].etag != documents[id].etag)
        ]
        if differing:
            raise conflicting(sorted(differing), len(differing))
