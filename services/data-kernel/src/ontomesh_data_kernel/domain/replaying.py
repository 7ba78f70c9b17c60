"""Writing commits that were made in another store, as they are: record, id and changes.

A commit is written on the branch of its name where that still stands on it in the source, so that the target's branches
grow as the source's did. All others are written on spare branches, which are deleted in the end.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from ontomesh_data_kernel.domain.drafting import SCHEMA_CLASS, class_of
from ontomesh_data_kernel.domain.model import Branch, Commit
from ontomesh_data_kernel.domain.ontologies import OntologyCache
from ontomesh_data_kernel.domain.ontology import SCHEMA_PREFIX, Ontology
from ontomesh_data_kernel.domain.refs import parse_ref
from ontomesh_data_kernel.errors import CommitNotFound, Corrupt, KernelError, StaleHead, StoreFull, StoreUnavailable
from ontomesh_data_kernel.ports import (
    Decision,
    Draft,
    Facts,
    Head,
    HistoryEntry,
    Indexed,
    Needs,
    Point,
    Store,
    StoredChange,
    Version,
    Write,
    weigh,
)

_SPARE = "copying-"
_MAX_FLYING = 256
_MAX_FLYING_BYTES = 8 << 20
_SHOWN_DOCUMENTS = 3


async def find_commit(store: Store, database: str, id: str) -> Point:
    """Where a commit is. Raises CommitNotFound."""
    return await store.resolve(database, parse_ref(f"commit:{id}"))


def is_spare(branch: str, branches: Collection[str]) -> bool:
    """Whether a branch of the target is one that a copy of `branches` made for itself."""
    return branch not in branches and branch.startswith(_SPARE) and branch.removeprefix(_SPARE).isdigit()


@dataclass(frozen=True, slots=True)
class _Replayed:
    """One commit to write: the ontologies before and after it, and the second parent of a merge."""

    entry: HistoryEntry
    branch: str
    old: Ontology
    new: Ontology
    merged: Point | None

    @property
    def size(self) -> int:
        """The bytes of its bodies."""
        return sum(len(change.body) for change in self.entry.changes if change.body is not None)

    def decide(self, head: Head) -> Decision:
        """The commit as it was made. Raises StaleHead at any other head than its parent."""
        commit, changes = self.entry.commit, self.entry.changes
        if head.point.commit != commit.parents[0]:
            raise StaleHead.of(self.branch, head.point.commit, commit.parents[0])
        replaced = [change.id for change in changes if change.before and not change.id.startswith(SCHEMA_PREFIX)]
        facts = (yield Needs(bodies=replaced)) if replaced else Facts()
        writes = [self._write(change, facts.bodies) for change in changes]
        return Draft(commit, writes, b"", self.merged)

    def _write(self, change: StoredChange, bodies: Mapping[str, Version]) -> Write:
        id, body = change.id, change.body
        etag = change.etag or ""
        if id.startswith(SCHEMA_PREFIX):
            indexed = Indexed(SCHEMA_CLASS)
            return Write(id, etag, body, indexed if body is not None else None, indexed if change.before else None)
        cls = class_of(id)
        old = None
        if change.before:
            current = bodies.get(id)
            if current is None or current.etag != change.before:
                raise Corrupt(f"the target does not hold {id!r} as it was written before commit {self.entry.commit.id}")
            old = Indexed(cls, *self.old.compile().index(current.body))
        new = Indexed(cls, *self.new.compile().index(body)) if body is not None else None
        return Write(id, etag, body, new, old)

    def refused(self, error: KernelError) -> KernelError:
        """A store's refusal of this commit, saying which it is and what it writes."""
        commit = self.entry.commit
        written = [change.id for change in self.entry.changes]
        fields = [violation.field for violation in error.violations]
        named = [field for field in dict.fromkeys(fields) if field.partition(".")[0] in written] or written
        more = f" and {len(named) - _SHOWN_DOCUMENTS} more" if len(named) > _SHOWN_DOCUMENTS else ""
        what = f"commit {commit.id[:12]} of branch {commit.branch!r} ({', '.join(named[:_SHOWN_DOCUMENTS])}{more})"
        return type(error)(
            f"{what} cannot be copied: {error.message}", error.violations, {**error.metadata, "commit": commit.id}
        )


class Replay:
    """Writes commits to the target, each after its parents; several at once, so that a sync serves many.

    `homes` says which commits are written on which of `branches`, the source's; `heads` where the target's branches
    stand, spare ones among them. Close it, by `async with`; `finish` tells that all that was taken is written.
    """

    def __init__(
        self,
        source: Store,
        target: Store,
        database: str,
        branches: Mapping[str, Branch],
        homes: Mapping[str, str],
        heads: Mapping[str, str],
        written: Callable[[], None],
    ) -> None:
        self._source, self._target, self._database = source, target, database
        self._branches, self._homes = branches, homes
        self._heads = dict(heads)
        self._written = written
        self._ontologies = OntologyCache(source)
        self._new: set[str] = set()
        self._spares: dict[tuple[str, str], str] = {}
        self._spare_count = 0
        self._flying: deque[tuple[_Replayed, asyncio.Task[None]]] = deque()
        self._flying_bytes = 0
        self.commits = 0
        self.documents = 0

    async def __aenter__(self) -> Self:
        for name, head in self._heads.items():
            if is_spare(name, self._branches):
                point = await find_commit(self._target, self._database, head)
                self._spares[head, (await self._target.describe(self._database, point)).branch] = name
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        tasks = [task for _, task in self._flying]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def drop(self, branch: str) -> None:
        """Delete a branch of the target."""
        await self._target.delete_branch(self._database, branch, self._heads.pop(branch))

    async def take(self, entry: HistoryEntry) -> None:
        """Write a commit unless the target has it. It may be written only later, in its order."""
        commit = entry.commit
        # What the target has, it has with all its ancestors.
        if self._new.isdisjoint(commit.parents) and await self._is_there(commit.id):
            self._written()
            return
        branch = self._homes.get(commit.id) or self._spare(commit)
        if not commit.parents or self._heads.get(branch) != commit.parents[0]:
            await self._place(branch, commit)
        self._new.add(commit.id)
        if not commit.parents:
            self._count(entry)
            return
        merged = None
        if len(commit.parents) > 1:
            if any(replayed.entry.commit.id == commit.parents[1] for replayed, _ in self._flying):
                await self._land()
            merged = await find_commit(self._target, self._database, commit.parents[1])
        old, new = await self._ontologies_of(entry)
        await self._start(_Replayed(entry, branch, old, new, merged))

    async def finish(self) -> None:
        """Wait until all that was taken is written; put the branches where the source has them, and no others."""
        await self._land()
        for branch in self._branches.values():
            if self._heads.get(branch.name) != branch.head:
                await self._replace(branch, await find_commit(self._target, self._database, branch.head))
        for name in [name for name in self._heads if is_spare(name, self._branches)]:
            await self.drop(name)

    async def _is_there(self, id: str) -> bool:
        try:
            await find_commit(self._target, self._database, id)
        except CommitNotFound:
            return False
        return True

    async def _ontologies_of(self, entry: HistoryEntry) -> tuple[Ontology, Ontology]:
        new = await self._ontologies.at(entry.point)
        if entry.parent_digest == new.digest:
            return new, new
        parent = await self._source.parent(entry.point)
        assert parent is not None
        return await self._ontologies.at(parent), new

    # Branches

    def _spare(self, commit: Commit) -> str:
        """A branch for a commit that no branch of the source stands on: the one of its line, or a new one."""
        name = self._spares.pop((commit.parents[0], commit.branch), None) if commit.parents else None
        while name is None:
            self._spare_count += 1
            free = f"{_SPARE}{self._spare_count}"
            name = free if free not in self._heads and free not in self._branches else None
        self._spares[commit.id, commit.branch] = name
        return name

    async def _place(self, name: str, commit: Commit) -> None:
        """Make a branch stand on a commit's parent, or begin with the commit if it has none."""
        await self._land()
        head = commit.id
        start: Point | Commit = commit
        if commit.parents:
            head = commit.parents[0]
            start = await find_commit(self._target, self._database, head)
        made = self._branches.get(name)
        await self._replace(Branch(name, head, made.create_time if made else commit.time, commit.time), start)

    async def _replace(self, branch: Branch, start: Point | Commit) -> None:
        """Make a branch; one of that name stands on a commit that the source has, so that nothing is lost with it."""
        if branch.name in self._heads:
            await self.drop(branch.name)
        await self._target.create_branch(self._database, branch, start, None)
        self._heads[branch.name] = branch.head

    # Commits on their way

    async def _start(self, replayed: _Replayed) -> None:
        self._heads[replayed.branch] = replayed.entry.commit.id
        self._flying.append((replayed, asyncio.create_task(self._commit(replayed))))
        self._flying_bytes += replayed.size
        while len(self._flying) > _MAX_FLYING or self._flying_bytes > _MAX_FLYING_BYTES:
            await self._land_first()

    async def _commit(self, replayed: _Replayed) -> None:
        weight = weigh(len(replayed.entry.changes), replayed.size)
        await self._target.commit(self._database, replayed.branch, replayed.decide, request=None, weight=weight)

    async def _land(self) -> None:
        while self._flying:
            await self._land_first()

    async def _land_first(self) -> None:
        replayed, task = self._flying.popleft()
        self._flying_bytes -= replayed.size
        try:
            try:
                await task
            except StaleHead:
                # The store may have taken it before the one ahead of it, which is written by now.
                await self._commit(replayed)
        except (StoreUnavailable, StoreFull):
            raise
        except KernelError as error:
            raise replayed.refused(error) from error
        self._count(replayed.entry)

    def _count(self, entry: HistoryEntry) -> None:
        self.commits += 1
        self.documents += len(entry.changes)
        self._written()
