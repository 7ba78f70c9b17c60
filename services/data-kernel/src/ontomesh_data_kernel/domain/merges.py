"""Merging one line of history into a branch."""

import asyncio
from collections.abc import Generator, Mapping
from dataclasses import replace

import orjson

from ontomesh_data_kernel.domain.caller import Caller
from ontomesh_data_kernel.domain.commits import record_of
from ontomesh_data_kernel.domain.drafting import Record, check_references, class_of, draft
from ontomesh_data_kernel.domain.examining import examine_instances
from ontomesh_data_kernel.domain.identity import Clock, request_key
from ontomesh_data_kernel.domain.limits import check_request_id, fitting, page_size
from ontomesh_data_kernel.domain.locating import find, find_again
from ontomesh_data_kernel.domain.merging import MergePlan, Resolutions, Sides
from ontomesh_data_kernel.domain.model import (
    Conflict,
    ConflictPage,
    MergeOutcome,
    MergeRequest,
    MergeResult,
    MergeSide,
)
from ontomesh_data_kernel.domain.ontologies import OntologyCache
from ontomesh_data_kernel.domain.paging import make_token, read_number, read_token
from ontomesh_data_kernel.domain.refs import parse_ref
from ontomesh_data_kernel.domain.revalidating import Examined, Revalidation
from ontomesh_data_kernel.domain.uniqueness import check_held, check_unique
from ontomesh_data_kernel.domain.validators.hearing import Hearing, Hearings
from ontomesh_data_kernel.errors import (
    BranchNotFound,
    CommitNotFound,
    DanglingLink,
    InvalidRequest,
    KernelError,
    MalformedBody,
    MergeViolation,
    StaleHead,
    StillReferenced,
    StoreUnavailable,
    UniqueViolation,
    UnrelatedHistories,
    Violation,
)
from ontomesh_data_kernel.ports import Decision, Facts, Head, Needs, Point, RequestKey, Store, Stored

SHOWN_CONFLICTS = 100
_ATTEMPTS = 8


class _Ended(Exception):
    """The merge ended without a commit."""

    def __init__(self, result: MergeResult) -> None:
        super().__init__()
        self.result = result


class _Moved(Exception):
    """The branch moved in a way that asks for a new plan."""


class Merges:
    """Merging."""

    def __init__(self, store: Store, ontologies: OntologyCache, clock: Clock, hearings: Hearings | None = None) -> None:
        self._store = store
        self._ontologies = ontologies
        self._clock = clock
        self._hearings = hearings

    async def merge(self, caller: Caller, request: MergeRequest) -> MergeResult:
        """Merge a ref into a branch and commit the outcome, or tell what is in conflict."""
        if not request.source:
            raise InvalidRequest.at("source", "is required: the ref to merge")
        branch = request.branch or caller.branch or "main"
        message = request.message or f"Merge {request.source} into {branch}"
        record = record_of(caller, request.database, branch, request.author, message, request.metadata)
        check_request_id(request.request_id)
        resolutions = Resolutions(request.resolutions, request.strategy)
        key = None if request.validate_only else _key(caller, request, record)
        try:
            theirs = await find(self._store, caller, request.database, request.source, "source")
            caller.require("read", request.database, branch)  # conflicts show what is there
        except (BranchNotFound, CommitNotFound) as error:
            return await self._answered(request, record, key, error)
        hearings = self._hearings
        hearing = hearings.of(request.database, record, is_merge=True) if hearings is not None else None
        for _ in range(_ATTEMPTS):
            try:
                return await self._attempt(request, record, theirs, resolutions, key, hearing)
            except _Ended as end:
                return end.result
            except _Moved:
                continue
        raise StoreUnavailable(f"branch {branch!r} was merged into by others {_ATTEMPTS} times meanwhile")

    async def _attempt(
        self,
        request: MergeRequest,
        record: Record,
        theirs: Point,
        resolutions: Resolutions,
        key: RequestKey | None,
        hearing: Hearing | None,
    ) -> MergeResult:
        try:
            ours = await self._store.resolve(request.database, parse_ref(record.branch))
            plan = await self._plan(request.database, ours, theirs, resolutions)
        except (BranchNotFound, UnrelatedHistories, MalformedBody) as error:
            return await self._answered(request, record, key, error)
        if plan is None and key is None and request.expected_head in ("", ours.commit):
            return _up_to_date(ours, theirs)
        examined: dict[str, Examined] = {}
        revalidation = plan.revalidation() if plan is not None and not plan.conflicts else None
        if revalidation is not None:
            examined = await examine_instances(self._store, ours, revalidation)

        def decide(head: Head) -> Decision:
            if request.expected_head and request.expected_head != head.point.commit:
                raise StaleHead.of(record.branch, head.point.commit, request.expected_head)
            if plan is None:
                raise _Moved if head.point.commit != ours.commit else _Ended(_up_to_date(ours, theirs))
            return (yield from self._decide(head, record, plan, revalidation, dict(examined), hearing))

        async def store() -> Stored:
            return await self._store.commit(
                request.database,
                record.branch,
                decide,
                request=key,
                weight=plan.weight + len(examined) if plan is not None else 1,
                dry_run=request.validate_only,
            )

        stored = await (store() if hearing is None else hearing.through(store))
        return await self._merged(request, stored)

    async def _answered(
        self, request: MergeRequest, record: Record, key: RequestKey | None, refusal: KernelError
    ) -> MergeResult:
        """The answer that an earlier call with the same request id got; what it merged may be gone. Raises `refusal`
        if there was none.
        """

        def refuse(head: Head) -> Decision:
            yield Needs()
            raise refusal

        if key is None:
            raise refusal
        stored = await self._store.commit(request.database, record.branch, refuse, request=key, weight=1)
        return await self._merged(request, stored)

    async def _merged(self, request: MergeRequest, stored: Stored) -> MergeResult:
        kept = orjson.loads(stored.reply)
        if stored.draft is not None:
            commit = replace(stored.draft.commit, id="") if request.validate_only else stored.draft.commit
        else:
            point = await self._store.resolve(request.database, parse_ref(f"commit:{kept['commit']}"))
            commit = await self._store.describe(request.database, point)
        return MergeResult(MergeOutcome.MERGED, commit, (), 0, tuple(kept["bases"]), *commit.parents)

    def _decide(
        self,
        head: Head,
        record: Record,
        plan: MergePlan,
        revalidation: Revalidation | None,
        examined: dict[str, Examined],
        hearing: Hearing | None,
    ) -> Decision:
        if head.point.commit != plan.ours.commit:
            if head.point.ontology_digest != plan.ours_ontology.digest:
                raise _Moved
            examinable = not plan.conflicts
            plan = plan.fork()
            yield from _catch_up(plan, revalidation, examined)
            if not examinable and not plan.conflicts:
                raise _Moved
        if conflicts := plan.all_conflicts():
            raise _Ended(_conflicted(plan, head.point, conflicts))
        plan.check_resolutions()
        plan.check_faults()
        outcome = replace(plan.outcome, documents=dict(plan.outcome.documents), current=dict(plan.outcome.current))
        if revalidation is not None:
            revalidation.settle(examined, outcome)
            yield from check_held(examined, outcome)
        try:
            yield from check_references(outcome, plan.merged_ontology)
            yield from check_unique(outcome, plan.ours_ontology, plan.merged_ontology, examined)
        except (DanglingLink, StillReferenced, UniqueViolation) as error:
            violations = error.violations or (Violation(error.metadata.get("id", ""), error.message),)
            raise MergeViolation(f"the merge breaks a reference: {error.message}", violations, error.metadata) from None
        bases = [base.commit for base in plan.bases]
        made = draft(
            head,
            record,
            outcome,
            plan.ours_ontology,
            plan.merged_ontology,
            self._clock,
            lambda commit: orjson.dumps({"commit": commit.id, "bases": bases}),
            (plan.theirs, plan.theirs_time),
        )
        if hearing is not None:
            hearing.require(head, made, outcome, plan.ours_ontology, plan.merged_ontology)
        return made

    async def _plan(self, database: str, ours: Point, theirs: Point, resolutions: Resolutions) -> MergePlan | None:
        """Work a merge out; None if theirs has nothing that ours lacks. Raises UnrelatedHistories."""
        bases = await self._store.merge_bases(ours, theirs)
        if not bases:
            raise UnrelatedHistories(f"{ours.commit[:12]} and {theirs.commit[:12]} share no commit")
        if any(base.commit == theirs.commit for base in bases):
            return None
        changed = [await self._store.changed(base, theirs) for base in bases]
        ids = sorted({change.id for changes in changed for change in changes})
        sides = Sides(
            ids,
            [await self._store.read_many(base, ids) for base in bases],
            dict(await self._store.read_many(ours, ids)),
            await self._store.read_many(theirs, ids),
        )
        plan = MergePlan(
            ours,
            theirs,
            (await self._store.describe(database, theirs)).time,
            bases,
            await self._ontologies.at(ours),
            await self._store.read_ontology(ours),
            sides,
            resolutions,
        )
        await asyncio.to_thread(plan.work_out)
        return plan

    async def conflicts(
        self, caller: Caller, database: str, ours: str, theirs: str, page_size_: int, page_token: str
    ) -> ConflictPage:
        """Return a page of the conflicts that a merge of two refs has."""
        size = page_size(page_size_)
        if not theirs:
            raise InvalidRequest.at("theirs", "is required: the ref to merge")
        listing = ("conflicts", database, ours, theirs)
        skip = 0
        if page_token:
            mine, other, position = read_token(listing, page_token, 3)
            skip = read_number(position)
            our_point = await find_again(self._store, caller, database, ours, mine, "ours")
            their_point = await find_again(self._store, caller, database, theirs, other, "theirs")
        else:
            our_point = await find(self._store, caller, database, ours, "ours")
            their_point = await find(self._store, caller, database, theirs, "theirs")
        plan = await self._plan(database, our_point, their_point, Resolutions((), None))
        found = plan.all_conflicts() if plan is not None else []
        page = _first(found[skip : skip + size])
        end = skip + len(page)
        token = make_token(listing, our_point.commit, their_point.commit, str(end)) if end < len(found) else ""
        return ConflictPage(page, token, len(found))


def _catch_up(
    plan: MergePlan, revalidation: Revalidation | None, examined: dict[str, Examined]
) -> Generator[Needs, Facts, None]:
    """Bring a plan to where the branch stands now."""
    facts = yield Needs(since=plan.ours)
    if facts.merged:
        raise _Moved
    changed = set(facts.changed)
    concerned = [id for id in plan.sides.ids if id in changed]
    classes = revalidation.classes if revalidation is not None else ()
    moved = [id for id in changed if class_of(id) in classes]
    for id in moved:
        examined.pop(id, None)
    if concerned or moved:
        facts = yield Needs(bodies={*concerned, *moved})
        for id in concerned:
            plan.sides.ours.pop(id, None)
            if id in facts.bodies:
                plan.sides.ours[id] = facts.bodies[id]
        plan.update(concerned)
        if revalidation is not None:
            bodies = [(id, facts.bodies[id].body) for id in moved if id in facts.bodies]
            examined.update((one.id, one) for one in revalidation.examine(bodies))


def _up_to_date(ours: Point, theirs: Point) -> MergeResult:
    return MergeResult(MergeOutcome.UP_TO_DATE, None, (), 0, (theirs.commit,), ours.commit, theirs.commit)


def _first(conflicts: list[Conflict]) -> tuple[Conflict, ...]:
    """As many of the conflicts as fit into an answer."""
    sizes = (sum(len(value or b"") for value in (one.base, one.ours, one.theirs)) for one in conflicts)
    return tuple(conflicts[: fitting(sizes)])


def _conflicted(plan: MergePlan, ours: Point, conflicts: list[Conflict]) -> MergeResult:
    bases = tuple(base.commit for base in plan.bases)
    shown = _first(conflicts[:SHOWN_CONFLICTS])
    return MergeResult(MergeOutcome.CONFLICTS, None, shown, len(conflicts), bases, ours.commit, plan.theirs.commit)


def _key(caller: Caller, request: MergeRequest, record: Record) -> RequestKey | None:
    def choice(value: MergeSide | bytes) -> object:
        return value if isinstance(value, bytes) else value.value

    metadata: Mapping[str, str] = record.metadata
    return request_key(
        caller.principal,
        request.request_id,
        "merge",
        record.branch,
        request.source,
        request.strategy.value if request.strategy else "",
        tuple((one.id, one.property, choice(one.choice)) for one in request.resolutions),
        record.message,
        record.author,
        tuple(sorted(metadata.items())),
        request.expected_head,
    )
