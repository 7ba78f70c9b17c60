"""Copying a database from one store to another: its record, its branches, and every commit with its id.

What the target has is left out, so that a copy that was broken off, or has fallen behind, goes on where it stands.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from ontomesh_data_kernel.domain.model import Branch, Commit, Database, VerifyProblem
from ontomesh_data_kernel.domain.refs import DEFAULT_BRANCH
from ontomesh_data_kernel.domain.replaying import Replay, find_commit, is_spare
from ontomesh_data_kernel.domain.verifying import verify
from ontomesh_data_kernel.errors import CommitNotFound, DatabaseAlreadyExists, DatabaseNotFound
from ontomesh_data_kernel.ports import Point, Store

_PAGE = 1_000
_FIRST_PAGE = 32


@dataclass(frozen=True, slots=True)
class CopyProgress:
    """How far the copy of a database has come: of `total` commits `done` are written, or verified."""

    database: str
    verifying: bool
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class CopyPlan:
    """What there is to copy of a database: `commits`, of `total`, are not in the target yet.

    `branches` are the source's with the points they stand at; `there` the target's, `known` where those stand in the
    source, and `others` the target's branches that the source has not.
    """

    database: Database
    branches: Mapping[str, Branch]
    heads: Sequence[Point]
    commits: int
    total: int
    existing: Database | None
    there: Mapping[str, Branch]
    known: Sequence[Point]

    @property
    def others(self) -> tuple[str, ...]:
        """The target's branches that the source has not; a copy leaves them alone."""
        return tuple(name for name in self.there if name not in self.branches and not is_spare(name, self.branches))


@dataclass(frozen=True, slots=True)
class Copied:
    """What a copy did: the commits and document versions it wrote, and what is wrong with the target's history."""

    commits: int
    documents: int
    problems: tuple[VerifyProblem, ...]


async def list_databases(store: Store) -> AsyncIterator[Database]:
    """Iterate over a store's databases by name."""
    after = ""
    while page := await store.list_databases(after, _PAGE):
        for database in page:
            yield database
        after = page[-1].name


async def plan_copy(source: Store, target: Store | None, name: str) -> CopyPlan:
    """Compare a database with the target's of the same name, if there is one; None stands for a store without any.

    Raises DatabaseNotFound, and DatabaseAlreadyExists if the target's holds what the source's does not.
    """
    database = await source.get_database(name)
    branches = await _branches(source, name)
    points = [await find_commit(source, name, branch.head) for branch in branches.values()]
    total = await source.count_history(*points)
    existing = await _existing(target, name)
    if target is None or existing is None:
        return CopyPlan(database, branches, points, total, total, None, {}, ())
    there = await _branches(target, name)
    known = [await _known(source, name, branch) for branch in there.values()]
    commits = await source.count_history(*points, excluding=known)
    return CopyPlan(database, branches, points, commits, total, existing, there, known)


async def copy_database(source: Store, target: Store, plan: CopyPlan, report: Callable[[CopyProgress], None]) -> Copied:
    """Do what was planned, then verify the target's history; nobody else may write to the target meanwhile.

    Broken off at any moment, it leaves what a new plan and copy bring to the same end. Raises UnsupportedByStore, and
    what else the target refuses, with the commit at fault; what came before it stays.
    """
    name, done = plan.database.name, 0

    def wrote() -> None:
        nonlocal done
        done += 1
        report(CopyProgress(name, False, done, plan.commits))

    homes, root = await _homes(source, plan)
    existing = plan.existing
    heads = {branch.name: branch.head for branch in plan.there.values()}
    if existing is None:
        assert root is not None
        existing = await target.create_database(plan.database, root, None)
        heads = {DEFAULT_BRANCH: root.id}
    outdated = [one for one in plan.there.values() if _is_outdated(one, plan.branches.get(one.name))]
    async with Replay(source, target, name, plan.branches, homes, heads, wrote) as replay:
        for branch in outdated:
            await replay.drop(branch.name)
        async with aclosing(source.history(*plan.heads, excluding=plan.known)) as history:
            async for batch in history:
                for entry in batch:
                    await replay.take(entry)
        await replay.finish()
    if (existing.description, existing.etag) != (plan.database.description, plan.database.etag):
        await target.update_database(plan.database, existing.etag)
    problems = [*await _differences(target, plan), *await _verified(target, plan, report)]
    created = 1 if plan.existing is None else 0
    return Copied(created + replay.commits, replay.documents, tuple(problems))


def _is_outdated(there: Branch, branch: Branch | None) -> bool:
    """Whether a branch was deleted in the source and made anew since it was copied."""
    return branch is not None and branch.name != DEFAULT_BRANCH and branch.create_time != there.create_time


async def _existing(target: Store | None, name: str) -> Database | None:
    if target is None:
        return None
    try:
        return await target.get_database(name)
    except DatabaseNotFound:
        return None


async def _branches(store: Store, database: str) -> dict[str, Branch]:
    found: dict[str, Branch] = {}
    after = ""
    while page := await store.list_branches(database, "", after, _PAGE):
        found.update((branch.name, branch) for branch in page)
        after = page[-1].name
    return found


async def _known(source: Store, database: str, branch: Branch) -> Point:
    """Where a branch of the target's stands in the source."""
    try:
        return await find_commit(source, database, branch.head)
    except CommitNotFound:
        what = f"its branch {branch.name!r} is at {branch.head[:12]}, a commit that the source has not"
        raise DatabaseAlreadyExists(
            f"the target has a database {database!r} with another history: {what}", (), {"database": database}
        ) from None


async def _homes(source: Store, plan: CopyPlan) -> tuple[dict[str, str], Commit | None]:
    """The branch of each commit to be written that was made on one and that the branch still continues.

    With it the commit that the database began with, unless the target has it.
    """
    homes: dict[str, str] = {}
    root: Commit | None = None
    for point, branch in zip(plan.heads, plan.branches.values(), strict=True):
        there = plan.there.get(branch.name)
        async with aclosing(_line(source, point)) as line:
            async for commit in line:
                if commit.branch != branch.name or (there is not None and commit.id == there.head):
                    break
                homes[commit.id] = branch.name
                if branch.name == DEFAULT_BRANCH:
                    root = commit
    return homes, root


async def _line(source: Store, point: Point) -> AsyncGenerator[Commit]:
    """A commit and its first parents, newest first."""
    after: tuple[int, str] | None = None
    size = _FIRST_PAGE
    while page := await source.log(point, True, after, size):
        for commit in page:
            yield commit
        after = (page[-1].time, page[-1].id)
        size = _PAGE


async def _differences(target: Store, plan: CopyPlan) -> Collection[VerifyProblem]:
    """What of the target's record and branches is not as it is in the source."""
    name = plan.database.name
    problems: list[VerifyProblem] = []
    if await target.get_database(name) != plan.database:
        problems.append(VerifyProblem("", "", "the database's record is not the source's"))
    there = await _branches(target, name)
    problems += (
        VerifyProblem(branch.head, "", f"branch {branch.name!r} is not as it is in the source")
        for branch in plan.branches.values()
        if there.get(branch.name) != branch
    )
    return problems


async def _verified(target: Store, plan: CopyPlan, report: Callable[[CopyProgress], None]) -> Collection[VerifyProblem]:
    """Walk the target's history, and count it."""
    name = plan.database.name
    problems: list[VerifyProblem] = []
    points = [await find_commit(target, name, branch.head) for branch in plan.branches.values()]
    commits = 0
    async with aclosing(verify(target, name, *points)) as told:
        async for progress in told:
            problems += progress.problems
            commits = progress.total_commits
            report(CopyProgress(name, True, progress.commits, progress.total_commits))
    if commits != plan.total:
        problems.append(VerifyProblem("", "", f"it has {commits:,} commits where the source has {plan.total:,}"))
    return problems
