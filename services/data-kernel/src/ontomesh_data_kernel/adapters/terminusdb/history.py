"""What a database's commits tell: where a ref leads, and what each of them changed."""

from collections.abc import Collection, Mapping, Sequence

from ontomesh_data_kernel.adapters.terminusdb.databases import Databases
from ontomesh_data_kernel.adapters.terminusdb.graph import Entry, Graph, one_of
from ontomesh_data_kernel.adapters.terminusdb.points import address, encoded, point_of
from ontomesh_data_kernel.adapters.terminusdb.reads import Reader
from ontomesh_data_kernel.domain.model import Commit
from ontomesh_data_kernel.domain.refs import Ref
from ontomesh_data_kernel.errors import CommitNotFound
from ontomesh_data_kernel.ports import Change, HistoryEntry, Point, StoredChange, Version


class History:
    """The history of any database."""

    def __init__(self, databases: Databases, reader: Reader) -> None:
        self._databases = databases
        self._reader = reader

    async def resolve(self, database: str, ref: Ref) -> Point:
        """See `ports.Store`."""
        native = await self._databases.native(database)
        graph = self._databases.graph(native)
        if ref.branch:
            entry: Entry | None = (await graph.tip(encoded(ref.branch), ref.branch)).entry
        else:
            entry = one_of(await graph.find(ref.commit), ref.text, database)
        assert entry is not None
        if ref.ancestor:
            entry = graph.back(entry.commit.id, ref.ancestor)
        elif ref.time is not None:
            until = ref.time
            entry = next((one for one in graph.first_parents(entry.commit.id) if one.commit.time <= until), None)
        if entry is None:
            raise CommitNotFound.of(database, ref.text, "its history does not reach back so far")
        return point_of(native, entry, ref.branch)

    def log(self, point: Point, first_parent: bool, after: tuple[int, str] | None, limit: int) -> Sequence[Commit]:
        """See `ports.Store`."""
        graph = self._databases.graph(address(point)[0])
        entries = graph.first_parents(point.commit) if first_parent else graph.reached(point.commit).values()
        keyed = [((entry.commit.time, entry.commit.id), entry.commit) for entry in entries]
        keyed = [one for one in keyed if after is None or one[0] < after]
        return [commit for _, commit in sorted(keyed, key=lambda one: one[0], reverse=True)[:limit]]

    async def changed(self, base: Point | None, target: Point) -> Sequence[Change]:
        """See `ports.Store`."""
        graph = self._databases.graph(address(target)[0])
        if base is None:
            ids = {id for entry in graph.first_parents(target.commit) for id in entry.changed}
        else:
            ids = graph.changed_between(base.commit, target.commit)
        old = await self._reader.versions(*address(base), base.ontology_digest, ids) if base is not None else {}
        new = await self._reader.versions(*address(target), target.ontology_digest, ids)
        changes = []
        for id in sorted(ids):
            before, after = old.get(id), new.get(id)
            if (before and before.etag) != (after and after.etag):
                changes.append(Change(id, before.etag if before else None, after.etag if after else None))
        return changes

    def entries(self, points: Collection[Point], excluding: Collection[Point]) -> Sequence[Entry]:
        """What points reach and those excluded do not, each after its parents: a commit is always later than they."""
        graph = self._databases.graph(address(next(iter(points)))[0])
        left_out = graph.reached(*(point.commit for point in excluding))
        reached = graph.reached(*(point.commit for point in points))
        entries = [entry for id, entry in reached.items() if id not in left_out]
        return sorted(entries, key=lambda one: (one.commit.time, one.commit.id))

    async def told(self, native: str, graph: Graph, entry: Entry) -> HistoryEntry:
        """A commit with what it changed."""
        commit, parent = entry.commit, graph.back(entry.commit.id, 1)
        old: Mapping[str, Version] = {}
        if parent is not None:
            digest = parent.commit.ontology_digest
            old = await self._reader.versions(native, parent.backend, digest, entry.changed)
        new = await self._reader.versions(native, entry.backend, commit.ontology_digest, entry.changed)
        changes = []
        for id in entry.changed:
            before, after = old.get(id), new.get(id)
            etag = after.etag if after else None
            changes.append(StoredChange(id, etag, after.body if after else None, before.etag if before else None))
        digest = parent.commit.ontology_digest if parent is not None else ""
        return HistoryEntry(point_of(native, entry), commit, commit.parents, digest, changes)
