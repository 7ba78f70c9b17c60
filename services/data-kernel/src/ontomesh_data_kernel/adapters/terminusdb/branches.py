"""Branches: the server's own, with a record of when each was made.

A branch and the answer to the request for it cannot be written at once. So the request is noted first, and a later try
knows the branch for its own.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import unquote

import orjson

from ontomesh_data_kernel.adapters.terminusdb.client import Client, Refused, pause
from ontomesh_data_kernel.adapters.terminusdb.commits import Committer
from ontomesh_data_kernel.adapters.terminusdb.databases import Databases
from ontomesh_data_kernel.adapters.terminusdb.graph import BranchClosed, Graph
from ontomesh_data_kernel.adapters.terminusdb.points import address, encoded
from ontomesh_data_kernel.adapters.terminusdb.records import BRANCH, Records, Swap, joined
from ontomesh_data_kernel.adapters.terminusdb.requests import Requests
from ontomesh_data_kernel.domain.model import Branch, Commit
from ontomesh_data_kernel.errors import (
    BranchAlreadyExists,
    BranchNotFound,
    KernelError,
    RequestIdReused,
    StaleHead,
    StoreUnavailable,
)
from ontomesh_data_kernel.ports import Point, RequestKey

_PATIENCE = 12
"""How often to ask whether others finish what they began with a branch: over about a second."""


class Branches:
    """The branches of any database."""

    def __init__(
        self, client: Client, records: Records, requests: Requests, databases: Databases, committer: Committer
    ) -> None:
        self._client = client
        self._records = records
        self._requests = requests
        self._databases = databases
        self._committer = committer
        self.on_delete: Callable[[str, str, Branch], Awaitable[None]] | None = None

    async def create(
        self, database: str, branch: Branch, start: Point | Commit | KernelError, request: RequestKey | None
    ) -> Branch:
        """See `ports.Store.create_branch`."""
        native = await self._databases.native(database)
        graph = self._databases.graph(native)
        kept = await self._requests.kept(native, request)
        if kept.reply is not None and kept.done:
            return Branch(*orjson.loads(kept.reply))
        if request is not None and self._requests.made(graph, request) is not None:
            raise RequestIdReused.of(request.id)
        if isinstance(start, KernelError):
            raise start
        time = start.time if isinstance(start, Commit) else graph.at(start.commit).commit.time
        made = Branch(branch.name, branch.head, branch.create_time, time)
        earlier = Branch(*orjson.loads(kept.reply)) if kept.reply is not None else None
        if earlier is not None:
            is_there = await self._was_made(native, graph, database, earlier)
        else:
            is_there = await self._is_there(graph, database, made, begun=False)
        noted = kept.text
        if earlier is not None and is_there:
            made = earlier
        elif request is not None:
            noted = await self._note(native, request, made, kept.text)
        if not is_there and isinstance(start, Commit):
            await self._begin(native, graph, database, made, start)
        elif not is_there and isinstance(start, Point):
            await self._fork(native, graph, database, made, start, begun=request is not None)
        finish = []
        if request is not None:
            finish = [self._requests.answer(native, request, noted, _reply_of(made), done=True)]
        await self._put(native, made, finish)
        return made

    async def _is_there(self, graph: Graph, database: str, branch: Branch, *, begun: bool) -> bool:
        """Whether an earlier try of the same request made the branch already. Raises BranchAlreadyExists."""
        try:
            tip = await graph.tip(encoded(branch.name), branch.name)
        except BranchNotFound:
            return False
        if begun and tip.entry.commit.id == branch.head:
            return True
        raise BranchAlreadyExists.of(database, branch.name, tip.entry.commit.id)

    async def _was_made(self, native: str, graph: Graph, database: str, branch: Branch) -> bool:
        """As `_is_there`, of a try that was killed: the branch may have gone on since, or be another's by now."""
        try:
            tip = await graph.tip(encoded(branch.name), branch.name)
        except BranchNotFound:
            return False
        record = await self._records.get(BRANCH, joined((native, branch.name)))
        # Without a record the branch is of a try that was killed, and this is one.
        is_anothers = record is not None and orjson.loads(record)["created"] != branch.create_time
        if is_anothers or all(entry.commit.id != branch.head for entry in graph.first_parents(tip.entry.commit.id)):
            raise BranchAlreadyExists.of(database, branch.name, tip.entry.commit.id)
        return True

    async def _note(self, native: str, request: RequestKey, made: Branch, old: str | None) -> str | None:
        """Note what a request is about to make, and return the note. Raises StoreUnavailable."""
        note = self._requests.answer(native, request, old, _reply_of(made), done=False)
        if not await self._records.swap(note):
            raise StoreUnavailable("the same request is being answered at this moment")
        return note.new

    async def _begin(self, native: str, graph: Graph, database: str, branch: Branch, root: Commit) -> None:
        try:
            await self._committer.begin(native, graph, encoded(branch.name), root, is_new=True)
        except Refused as error:
            if error.kind != "BranchExistsError":
                raise
            try:
                tip = await graph.tip(encoded(branch.name), branch.name)
            except BranchClosed:
                await self._clear(native, graph, database, branch, begun=False)
                await self._committer.begin(native, graph, encoded(branch.name), root, is_new=True)
            except BranchNotFound:
                # Whoever made it was killed before its first commit.
                await self._committer.begin(native, graph, encoded(branch.name), root, is_new=False)
            else:
                raise BranchAlreadyExists.of(database, branch.name, tip.entry.commit.id) from None

    async def _fork(self, native: str, graph: Graph, database: str, made: Branch, start: Point, *, begun: bool) -> None:
        _, backend = address(start)
        origin = f"{self._client.server.organization}/{native}/local/commit/{backend}"
        path = self._client.path("branch", native, "local", "branch", encoded(made.name))
        try:
            await self._client.insist("POST", path, body={"origin": origin})
        except Refused as error:
            if error.kind != "BranchExistsError":
                raise
            if not await self._clear(native, graph, database, made, begun=begun):
                await self._client.insist("POST", path, body={"origin": origin})

    async def _clear(self, native: str, graph: Graph, database: str, branch: Branch, *, begun: bool) -> bool:
        """Free a name of what is no branch, once whoever was at it has had time to finish; as `_is_there`."""
        for attempt in range(_PATIENCE):
            if await self._is_there(graph, database, branch, begun=begun):
                return True
            await pause(attempt)
        await self._drop(native, branch.name)
        return False

    async def _drop(self, native: str, name: str) -> None:
        path = self._client.path("branch", native, "local", "branch", encoded(name))
        try:
            await self._client.insist("DELETE", path, body={})
        except Refused as error:
            if error.kind != "BranchDoesNotExistError":
                raise

    async def _put(self, native: str, made: Branch, others: Sequence[Swap]) -> None:
        key = joined((native, made.name))
        text = orjson.dumps({"name": made.name, "native": native, "created": made.create_time}).decode()
        while True:
            old = await self._records.get(BRANCH, key)
            if await self._records.swap(Swap(BRANCH, key, old, text), *others):
                return
            for one in others:
                if await self._records.get(one.kind, one.key) != one.old:
                    return  # the same request was sent twice, and the other has finished it

    async def get(self, database: str, name: str) -> Branch:
        """See `ports.Store.get_branch`."""
        native = await self._databases.native(database)
        graph = self._databases.graph(native)
        tip, record = await asyncio.gather(
            graph.tip(encoded(name), name), self._records.get(BRANCH, joined((native, name)))
        )
        return await self._branch(database, name, tip.entry.commit, record, graph)

    async def _branch(self, database: str, name: str, head: Commit, record: str | None, graph: Graph) -> Branch:
        created = orjson.loads(record)["created"] if record is not None else None
        if created is None:
            # `main` is as old as its database, and a branch made elsewhere as its first commit.
            created = (await self._databases.get(database)).create_time if name == "main" else _began(graph, name, head)
        return Branch(name, head.id, created, head.time)

    async def list(self, database: str, prefix: str, after: str, limit: int) -> Sequence[Branch]:
        """See `ports.Store.list_branches`."""
        native = await self._databases.native(database)
        query = "{Branch{name head{identifier}}}"
        told = await self._client.graphql(native, "local", "_commits", query=query)
        heads = {unquote(one["name"]): one["head"]["identifier"] for one in told["Branch"] if one["head"]}
        names = sorted(name for name in heads if name.startswith(prefix) and name > after)
        texts = [orjson.loads(text) for text in await self._records.list(BRANCH)]
        records = {one["name"]: orjson.dumps(one).decode() for one in texts if one["native"] == native}
        found: list[Branch] = []
        graph = self._databases.graph(native)
        for name in names:
            try:
                tip = await graph.tip(encoded(name), name, heads[name])
            except BranchNotFound:
                continue
            found.append(await self._branch(database, name, tip.entry.commit, records.get(name), graph))
            if len(found) == limit:
                break
        return found

    async def delete(self, database: str, name: str, expected_head: str) -> None:
        """See `ports.Store.delete_branch`."""
        native = await self._databases.native(database)
        graph = self._databases.graph(native)
        closed = False
        while not closed:
            try:
                tip = await graph.tip(encoded(name), name)
            except BranchClosed:
                break  # whoever began it was killed
            if expected_head and tip.entry.commit.id != expected_head:
                raise StaleHead.of(name, tip.entry.commit.id, expected_head)
            if self.on_delete is not None:
                # Noted too early it is only read too far: what is there is noted again, once the branch is closed.
                await self.on_delete(native, database, await self.get(database, name))
            # The server deletes whatever the head is by then: so first nobody can move it any more.
            closed = await self._committer.close_branch(native, graph, encoded(name), tip)
        await self._drop(native, name)
        key = joined((native, name))
        record = await self._records.get(BRANCH, key)
        if record is not None:
            await self._records.swap(Swap(BRANCH, key, record, None))


def _began(graph: Graph, name: str, head: Commit) -> int:
    """The time of the oldest of the commits up to a head that were made on a branch; the head's if it was not."""
    began = head.time
    for entry in graph.first_parents(head.id):
        if entry.commit.branch != name:
            break
        began = entry.commit.time
    return began


def _reply_of(branch: Branch) -> str:
    return orjson.dumps([branch.name, branch.head, branch.create_time, branch.update_time]).decode()
