"""Finishing an import: reviewing what was staged at the branch's head, and making it the next commit.

The review reads whatever it must while others go on writing. The store makes the commit only if what was reviewed still
holds by then; if not, it is reviewed again at the head of that moment.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from ontomesh_data_kernel.domain import refusing
from ontomesh_data_kernel.domain.canonical import parse_body
from ontomesh_data_kernel.domain.drafting import Record, class_of
from ontomesh_data_kernel.domain.identity import ChangesHash, Clock
from ontomesh_data_kernel.domain.limits import MAX_BODY_BYTES, MAX_FAULTS
from ontomesh_data_kernel.domain.model import Commit, Fault, FinishRequest, Import
from ontomesh_data_kernel.domain.ontologies import OntologyCache
from ontomesh_data_kernel.domain.ontology import Ontology, UniqueValue
from ontomesh_data_kernel.domain.ontology.indexing import Links, Values
from ontomesh_data_kernel.domain.ontology.types import shown
from ontomesh_data_kernel.domain.refs import parse_ref
from ontomesh_data_kernel.domain.validators.hearing import Hearings, Unjudged
from ontomesh_data_kernel.domain.validators.staged import StagedHearing
from ontomesh_data_kernel.errors import ImportConflict, KernelError, StoreUnavailable, UniqueViolation, Violation
from ontomesh_data_kernel.ports import (
    Draft,
    Head,
    Indexed,
    Point,
    Rules,
    Staged,
    StagedWrite,
    Staging,
    Store,
    Write,
)

_PAGE = 500
_TRIES = 12


class Finisher:
    """Makes commits of imports."""

    def __init__(
        self,
        store: Store,
        staging: Staging,
        ontologies: OntologyCache,
        clock: Clock,
        hearings: Hearings | None = None,
    ) -> None:
        self._store = store
        self._staging = staging
        self._ontologies = ontologies
        self._clock = clock
        self._hearings = hearings

    async def finish(self, request: FinishRequest, record: Record, one: Import, base: Point) -> Commit:
        """Make the commit. Raises what is wrong with the import as a whole."""
        hearing: StagedHearing | None = None
        if self._hearings is not None:
            hearing = StagedHearing(self._hearings, self._store, self._staging, request.database, record)
        for _ in range(_TRIES):
            head = await self._store.resolve(request.database, parse_ref(one.branch))
            ontology = await self._ontologies.at(head)
            if [digest for digest, _ in one.ontologies] != [ontology.digest]:
                one = await self._check_again(request.database, one, head, ontology)
            review = _Review(self._store, self._staging, request, one, ontology, self._clock)
            rules = rules_of(ontology)
            changes = await review.run(base, head, record, rules)
            one = review.one
            if hearing is not None:
                await hearing.judge(one, head, ontology)

            def make(head: Head, ontology: Ontology = ontology, changes: ChangesHash = changes) -> Draft:
                commit = Commit(
                    id="",
                    parents=(head.point.commit,),
                    branch=record.branch,
                    author=record.author,
                    committer=record.committer,
                    message=record.message,
                    time=max(self._clock(), head.time + 1),
                    metadata=record.metadata,
                    trace_id=record.trace_id,
                    ontology_digest=ontology.digest,
                    change_count=0,
                    span_id=record.span_id,
                )
                if hearing is not None:
                    hearing.require()
                return Draft(changes.identified(commit), (), b"")

            with suppress(Unjudged):
                draft = await self._staging.finish(request.database, one, head, rules, make)
                if draft is not None:
                    return draft.commit
        raise StoreUnavailable(
            f"others change what the import depends on faster than it can be reviewed; it was tried {_TRIES} times"
        )

    async def _check_again(self, database: str, one: Import, head: Point, ontology: Ontology) -> Import:
        """Check every staged document under the ontology of the head. Raises ImportInvalid.

        Until it is done the import is noted to have documents of several ontologies: it may be broken off.
        """
        indexes = [(await self._ontology_at(database, commit)).compile().index for _, commit in one.ontologies]
        one = await save(
            self._staging, database, one, (), self._clock, (*one.ontologies, (ontology.digest, head.commit))
        )
        faults: list[Fault] = []
        after = ""
        while page := await self._staging.staged(database, one, head, after, _PAGE, bodies=True):
            writes, found = await asyncio.to_thread(_restaged, page, ontology, indexes)
            faults += found
            if writes and not faults:
                one = await save(self._staging, database, one, writes, self._clock)
            if len(faults) >= MAX_FAULTS:
                break
            after = page[-1].id
        if faults:
            raise refusing.faults_refused(faults[:MAX_FAULTS], len(faults))
        return await save(self._staging, database, one, (), self._clock, ((ontology.digest, head.commit),))

    async def _ontology_at(self, database: str, commit: str) -> Ontology:
        return await self._ontologies.at(await self._store.resolve(database, parse_ref(f"commit:{commit}")))


_Index = Callable[[bytes], tuple[Links, Values]]


def _restaged(
    page: Sequence[Staged], ontology: Ontology, indexes: Sequence[_Index]
) -> tuple[list[StagedWrite], list[Fault]]:
    """What becomes of staged documents under another ontology, and what is wrong with them.

    Without indexes of what is staged now, they are those that are not any more.
    """
    prepare = ontology.compile().prepare
    writes: list[StagedWrite] = []
    faults: list[Fault] = []
    for staged in page:
        assert staged.body is not None
        body = parse_body(staged.body, limit=MAX_BODY_BYTES)
        try:
            made = prepare(body, document_id=staged.id, random_id=refusing.no_id)
        except KernelError as error:
            found = error.violations or (Violation("", error.message),)
            faults += [Fault(staged.line, violation.field, violation.description) for violation in found]
            continue
        new = Indexed(made.cls, made.links, made.values)
        old = _indexed_by(indexes, made.cls, staged.body) if indexes else None
        if new != old or made.body != staged.body:
            writes.append(StagedWrite(staged.line, Write(made.id, made.etag, made.body, new, old)))
    return writes, faults


def _indexed_by(indexes: Sequence[_Index], cls: str, body: bytes) -> Indexed:
    """What is indexed of a staged document under any of the ontologies that it may have been staged under."""
    links: dict[tuple[str, str], None] = {}
    values: dict[tuple[str, bytes], None] = {}
    for index in indexes:
        with suppress(KeyError):  # a class that one of them lacks
            found = index(body)
            links.update(dict.fromkeys(found[0]))
            values.update(dict.fromkeys(found[1]))
    return Indexed(cls, tuple(links), tuple(values))


class _Review:
    """What there is to say of an import at one head."""

    def __init__(
        self, store: Store, staging: Staging, request: FinishRequest, one: Import, ontology: Ontology, clock: Clock
    ) -> None:
        self.one = one
        self._store = store
        self._staging = staging
        self._request = request
        self._ontology = ontology
        self._clock = clock

    async def run(self, base: Point, head: Point, record: Record, rules: Rules) -> ChangesHash:
        """The changes against the head. Takes out what equals it. Raises ImportConflict, DocumentAlreadyExists,
        DanglingLink, UniqueViolation, EmptyCommit.
        """
        database = self._request.database
        await self._settle(await self._changed(base, head), head)
        if self.one.reviewed and self.one.reviewed != base.commit:
            reviewed = await self._store.resolve(database, parse_ref(f"commit:{self.one.reviewed}"))
            await self._settle(await self._changed(reviewed, head), head, taken_out=True)
        changes = ChangesHash(record.author, record.branch)
        existing: list[tuple[int, str]] = []
        kept, after = 0, ""
        while page := await self._staging.staged(database, self.one, head, after, _PAGE, bodies=False):
            kept += len(page)
            if self._request.insert_only:
                existing += [(staged.line, staged.id) for staged in page if staged.current is not None]
            elif equal := [staged.id for staged in page if staged.current == staged.etag]:
                await self._take_out(equal, head)
            different = [(staged.id, staged.etag) for staged in page if staged.current != staged.etag]
            await asyncio.to_thread(changes.add, different)
            after = page[-1].id
        taken_out = self.one.documents - kept
        if self._request.insert_only and (existing or taken_out):
            earlier = await self._staging.taken_out(database, self.one, MAX_FAULTS) if taken_out else ()
            raise refusing.existing(sorted([*existing, *earlier]), len(existing) + taken_out)
        if not changes.count:
            raise refusing.nothing_changed()
        unlinked = await self._staging.unlinked(database, self.one, head, rules)
        if unlinked:
            raise refusing.dangling(unlinked)
        await self._refuse_rivals(head, rules)
        return changes

    async def _changed(self, since: Point, head: Point) -> list[str]:
        if since.commit == head.commit:
            return []
        return [change.id for change in await self._store.changed(since, head)]

    async def _settle(self, ids: Sequence[str], head: Point, *, taken_out: bool = False) -> None:
        """Look at what others changed: refuse it, or let the import's documents win; if asked, those taken out alone."""
        conflicts: list[tuple[int, str, bool]] = []
        for start in range(0, len(ids), _PAGE):
            asked = ids[start : start + _PAGE]
            found = await self._staging.staged_of(self._request.database, self.one, head, asked)
            differing = [one for one in found if one.etag != one.current and (one.is_same or not taken_out)]
            conflicts += [(staged.line, staged.id, staged.current is not None) for staged in differing]
            back = [staged for staged in differing if staged.is_same]
            if back and self._request.overwrite:
                await self._take_back(back)
        if conflicts and not self._request.overwrite:
            raise refusing.conflicting(sorted(conflicts), len(conflicts))

    async def _take_out(self, ids: Sequence[str], head: Point) -> None:
        found = await self._staging.staged_of(self._request.database, self.one, head, ids)
        index = self._ontology.compile().index

        def writes() -> list[StagedWrite]:
            return [
                StagedWrite(one.line, Write(one.id, one.etag, None, None, Indexed(class_of(one.id), *index(one.body))))
                for one in found
                if one.body is not None
            ]

        gone = await asyncio.to_thread(writes)
        one = replace(self.one, reviewed=head.commit)
        self.one = await save(self._staging, self._request.database, one, gone, self._clock)

    async def _take_back(self, found: Sequence[Staged]) -> None:
        for one in found:
            if one.body is None:
                raise ImportConflict(f"the branch was moved so that {one.id!r} cannot be read any more; begin anew")
        # The ontology may be another than the one that they fit when they were taken out.
        made, faults = await asyncio.to_thread(_restaged, found, self._ontology, ())
        if faults:
            raise refusing.faults_refused(faults[:MAX_FAULTS], len(faults))
        writes = [replace(one, is_back=True) for one in made]
        self.one = await save(self._staging, self._request.database, self.one, writes, self._clock)

    async def _refuse_rivals(self, head: Point, rules: Rules) -> None:
        """Look closely at documents that may have one value. Raises UniqueViolation."""
        database, compiled = self._request.database, self._ontology.compile()
        for rival in await self._staging.rivals(database, self.one, head, rules):
            staged = {one.id: one for one in await self._staging.staged_of(database, self.one, head, rival.ids)}
            others = await self._store.read_many(head, [id for id in rival.ids if id not in staged])
            bodies = {id: one.body for id, one in staged.items()} | {id: one.body for id, one in others.items()}
            holders: dict[tuple[str, str, bytes, object], str] = {}
            for id, body in bodies.items():
                for value in compiled.unique(class_of(id), body) if body is not None else ():
                    # A long text's key is shortened, so that the text itself must tell.
                    text = value.canonical if value.is_shortened else None
                    first = holders.setdefault((value.declarer, value.path, value.key, text), id)
                    if first != id:
                        late, early = (id, first) if id in staged else (first, id)
                        raise _not_unique(staged[late].line, late, early, value)


def _not_unique(line: int, id: str, holder: str, value: UniqueValue) -> UniqueViolation:
    described = (
        f"is {shown(value.canonical)}, which {holder!r} has as well, and {value.declarer}.{value.path} is unique"
    )
    return UniqueViolation.at(f"line {line}.{value.path}", described, id=id, property=value.path, holder=holder)


async def save(
    staging: Staging,
    database: str,
    one: Import,
    writes: Sequence[StagedWrite],
    clock: Clock,
    ontologies: tuple[tuple[str, str], ...] | None = None,
) -> Import:
    """Write changes of what was staged, and the import's next revision."""
    named = one.ontologies if ontologies is None else ontologies
    after = replace(one, ontologies=named, revision=one.revision + 1, update_time=clock())
    await staging.stage(database, one, after, writes)
    return after


def rules_of(ontology: Ontology) -> Rules:
    """What an ontology says of documents together."""
    hierarchy = ontology.hierarchy
    groups: dict[tuple[str, str], list[str]] = {}
    for cls in sorted(hierarchy.unique):
        for path, declarer in hierarchy.unique[cls].items():
            groups.setdefault((declarer, path), []).append(f"{cls}.{path}")
    compiled = ontology.compile()

    def unique_values(body: bytes) -> Sequence[tuple[str, bytes]]:
        cls = str(parse_body(body, limit=len(body)).get("@type"))
        return [(f"{cls}.{value.path}", value.key) for value in compiled.unique(cls, body)]

    dangling = {f"{cls}.{path}" for cls, paths in hierarchy.dangling.items() for path in paths}
    return Rules(dangling, [tuple(group) for group in groups.values()], unique_values)
