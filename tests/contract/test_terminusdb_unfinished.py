"""What a gateway leaves on a TerminusDB server when it dies amid several writes: the next one finds all of it or none.

Each sweep lets a gateway die at each of an operation's requests that write: the server has done it, and the answer is
lost. A gateway that dies anywhere before its next write, and with that one unsent, leaves the very same on the server.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from ssl import create_default_context
from typing import Protocol
from urllib.parse import quote, urlsplit

import httpx
import pytest

from ontomesh_data_kernel.adapters.opening import OpenStore, open_store
from ontomesh_data_kernel.adapters.terminusdb import read_url
from ontomesh_data_kernel.adapters.terminusdb.client import Server
from ontomesh_data_kernel.domain.canonical import document_hash
from ontomesh_data_kernel.domain.model import Branch, Commit, Database
from ontomesh_data_kernel.domain.refs import parse_ref
from ontomesh_data_kernel.errors import (
    BranchAlreadyExists,
    BranchNotFound,
    DatabaseAlreadyExists,
    DatabaseNotFound,
    RequestIdReused,
    StoreUnavailable,
)
from ontomesh_data_kernel.ports import RequestKey, Store
from tests.contract.drafts import DB, Hand, make_database, root_commit
from tests.contract.stores import SERVER, START, StoreInUse, store_in_use, using

on_a_server = [
    pytest.mark.terminusdb,
    pytest.mark.live,
    pytest.mark.skipif(not SERVER, reason="ONTOMESH_TEST_TERMINUSDB_URL names no server"),
]

WEEK = 7 * 86_400 * 1_000_000
SECOND = 1_000_000
READS = (b"GET ", b"HEAD ", b"POST /api/graphql/")
MAX_WRITES = 20


def key(id: str, asked: bytes = b"asked") -> RequestKey:
    return RequestKey("user:ana", id, document_hash(asked))


# The way from a gateway to the server, and its end


Operation = Callable[[Store, str], Awaitable[object]]
"""Does something with a store, about a name."""


class Creation(Protocol):
    """Creates a branch by a request."""

    async def __call__(self, store: Store, name: str, request: str = "r1", asked: bytes = b"asked") -> Branch:
        """The branch."""
        ...


class Line:
    """All that connects a gateway with the server; it breaks for good with the answer to one of the writes, the `at`th."""

    def __init__(self, server: Server, at: int) -> None:
        self._server, self._at = server, at
        self._writes = 0
        self.is_cut = False

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one request and its answer; a gateway's connection is for one."""
        try:
            request = await _request(reader)
            if self.is_cut:
                return
            answer = await self._ask(request)
            self._writes += not request.startswith(READS)
            self.is_cut = self._writes == self._at
            if not self.is_cut:
                writer.write(answer)
                await writer.drain()
        finally:
            writer.close()

    async def _ask(self, request: bytes) -> bytes:
        where = urlsplit(self._server.url)
        tls = create_default_context(cafile=self._server.certificate or None) if where.scheme == "https" else None
        reader, writer = await asyncio.open_connection(where.hostname, where.port, ssl=tls)
        try:
            writer.write(request)
            return await reader.read()
        finally:
            writer.close()


async def _request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    lines = (line.partition(b":") for line in head.lower().splitlines())
    return head + await reader.readexactly(
        next((int(value) for name, _, value in lines if name == b"content-length"), 0)
    )


@asynccontextmanager
async def gateway(server: StoreInUse, place: Path) -> AsyncIterator[OpenStore]:
    """A gateway that has just started, for a block."""
    opened = await server.open(place)
    try:
        yield opened
    finally:
        await opened.close()


async def dies(server: StoreInUse, place: Path, at: int, operation: Operation, name: str) -> bool:
    """Whether a gateway has died at that write of an operation, which else has passed."""
    to = read_url(server.url(place))
    line = Line(to, at)
    async with await asyncio.start_server(line.carry, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        who = f"{quote(to.user, safe='')}:{quote(to.password, safe='')}"
        url = f"terminusdb://{who}@127.0.0.1:{port}/{quote(to.organization)}?prefix={to.prefix}"
        opened = await open_store(url, clock=server.clock)
        try:
            await operation(opened, name)
        except StoreUnavailable:
            assert line.is_cut
        else:
            assert not line.is_cut, "what was not answered is told as done"
        finally:
            await opened.close()
    return line.is_cut


async def deaths(
    server: StoreInUse,
    operation: Operation,
    *,
    prepare: Operation | None = None,
    half_done: Operation | None = None,
    is_first: bool = False,
) -> AsyncIterator[tuple[Store, str]]:
    """A gateway started after each death amid an operation, and the operation's name.

    Each operation has a name of its own, for which `prepare` was done before, and `half_done` by a gateway that died at
    the first of its writes. There is the database `DB`, or nothing at all if the operation `is_first` on the server.
    """
    async with gateway(server, server.folder) as before:
        if not is_first:
            await make_database(before)
        for at in range(1, MAX_WRITES):
            name = f"n{at}"
            place = server.folder / name if is_first else server.folder
            if prepare is not None:
                await prepare(before, name)
            if half_done is not None:
                assert await dies(server, place, 1, half_done, name)
            if not await dies(server, place, at, operation, name):
                assert at > 1
                return
            async with gateway(server, place) as after:
                yield after, name
    raise AssertionError("the operation has no end")


@pytest.fixture
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StoreInUse]:
    """The server, for stores that nobody else uses."""
    with using("terminusdb", request.node.nodeid, tmp_path) as made:
        yield made


def native_databases(server: StoreInUse, name: str) -> list[str]:
    """The server's own databases for a database."""
    to = read_url(server.url(server.folder))
    query = f'{{UserDatabase(filter:{{name:{{startsWith:"{to.prefix}{name}."}}}}){{name}}}}'
    told = httpx.post(
        f"{to.url}/api/graphql/_system",
        json={"query": query},
        auth=(to.user, to.password),
        verify=to.certificate or True,
        headers={"connection": "close"},
    )
    return [one["name"] for one in told.raise_for_status().json()["data"]["UserDatabase"]]


# What there is


async def seen_database(store: Store, name: str) -> Database | None:
    """A database that is there for whoever asks whatever, or for nobody."""
    listed = {one.name: one for one in await store.list_databases("", 100)}
    if name not in listed:
        asking = (
            store.get_database(name),
            store.resolve(name, parse_ref("main")),
            store.list_branches(name, "", "", 10),
        )
        for asked in asking:
            with pytest.raises(DatabaseNotFound):
                await asked
        return None
    assert await store.get_database(name) == listed[name]
    assert [one.name for one in await store.list_branches(name, "", "", 10)] == ["main"]
    await go_on(Hand(store, name))
    return listed[name]


async def seen_branch(store: Store, name: str) -> Branch | None:
    """A branch of `DB` that is there for whoever asks whatever, or for nobody."""
    listed = {one.name: one for one in await store.list_branches(DB, name, "", 1)}
    if name not in listed:
        for asked in (store.get_branch(DB, name), store.resolve(DB, parse_ref(name)), go_on(Hand(store), name)):
            with pytest.raises(BranchNotFound):
                await asked
        return None
    assert await store.get_branch(DB, name) == listed[name]
    assert (await store.resolve(DB, parse_ref(name))).commit == listed[name].head
    return listed[name]


async def go_on(hand: Hand, branch: str = "main") -> Commit:
    """A commit on a branch, where that stands."""
    made = await hand.made(branch=branch)
    assert (await hand.at(branch)).commit == made.id
    return made


# What is done by name


async def create_database(store: Store, name: str) -> Database:
    """A database, by the request `r1`."""
    return await make_database(store, name, key("r1" + name))


async def delete_database(store: Store, name: str) -> None:
    """No database any more."""
    await store.delete_database(name, "")


async def fork(store: Store, name: str, request: str = "r1", asked: bytes = b"asked") -> Branch:
    """A branch of `DB` at the head of `main`."""
    return await Hand(store).fork(name, request=key(request + name, asked))


async def begin(store: Store, name: str, request: str = "r1", asked: bytes = b"asked") -> Branch:
    """A branch of `DB` with a history of its own."""
    now = store_in_use().clock()
    root = root_commit(name, now)
    return await store.create_branch(DB, Branch(name, root.id, now, now), root, key(request + name, asked))


async def delete_branch(store: Store, name: str) -> None:
    """No branch any more."""
    await store.delete_branch(DB, name, "")


# Deaths amid an operation


class TestUnfinished:
    pytestmark = on_a_server

    @pytest.mark.parametrize("is_deleted_again", [True, False])
    async def test_a_deletion_of_a_database_is_done_or_not_begun_and_can_be_finished(
        self, server: StoreInUse, is_deleted_again: bool
    ) -> None:
        async for after, name in deaths(server, delete_database, prepare=create_database):
            was = await seen_database(after, name)
            if is_deleted_again:
                try:
                    await delete_database(after, name)
                except DatabaseNotFound:
                    assert was is None
                assert await seen_database(after, name) is None
                with pytest.raises(DatabaseNotFound):
                    await delete_database(after, name)
                assert not native_databases(server, name)
            elif was is not None:
                with pytest.raises(DatabaseAlreadyExists):
                    await make_database(after, name)
                continue
            made = await make_database(after, name)
            assert await seen_database(after, name) == made
            assert len(native_databases(server, name)) == 1
            history = await after.log(await Hand(after, name).at(), True, None, 10)
            assert [commit.message for commit in history] == ["by hand", "begin"]

    @pytest.mark.parametrize("half_done", [None, delete_database])
    async def test_a_creation_of_a_database_is_done_or_not_begun_and_answered_once(
        self, server: StoreInUse, half_done: Operation | None
    ) -> None:
        async def prepare(store: Store, name: str) -> None:
            if half_done is not None:
                await make_database(store, name)

        async for after, name in deaths(
            server, create_database, prepare=prepare, half_done=half_done, is_first=half_done is None
        ):
            was = await seen_database(after, name)
            made = await create_database(after, name)
            assert was in (None, made)
            assert await create_database(after, name) == made
            assert await seen_database(after, name) == made
            with pytest.raises(RequestIdReused):
                await make_database(after, name, key("r1" + name, b"otherwise"))
            with pytest.raises(DatabaseAlreadyExists):
                await make_database(after, name, key("r2" + name))

    async def test_a_copy_of_a_database_begins_anew_unless_it_was_done(self, server: StoreInUse) -> None:
        """A copy begins with the commit that it copies, the same each time."""
        now = server.clock()
        root = root_commit("main", now)

        async def copy(store: Store, name: str) -> Database:
            return await store.create_database(Database(name, "a copy", now, f"{now:x}"), root, None)

        async for after, name in deaths(server, copy):
            if await seen_database(after, name) is None:
                await copy(after, name)
            with pytest.raises(DatabaseAlreadyExists):
                await copy(after, name)
            assert await seen_database(after, name) is not None
            assert len(native_databases(server, name)) == 1

    @pytest.mark.parametrize("create", [fork, begin])
    async def test_a_creation_of_a_branch_is_done_or_not_begun_and_answered_once(
        self, server: StoreInUse, create: Creation
    ) -> None:
        async for after, name in deaths(server, create):
            was = await seen_branch(after, name)
            await go_on(Hand(after))
            gone_on = await go_on(Hand(after), name) if was is not None else None
            made = await create(after, name)
            assert was is None or was.head == made.head
            assert await create(after, name) == made
            with pytest.raises(RequestIdReused):
                await create(after, name, asked=b"otherwise")
            now = await seen_branch(after, name)
            assert now is not None
            assert now.head == (gone_on.id if gone_on is not None else made.head)
            assert now.create_time == made.create_time

    @pytest.mark.parametrize(("create", "create_otherwise"), [(fork, fork), (begin, fork)])
    async def test_a_branch_is_made_by_one_request_alone(
        self, server: StoreInUse, create: Creation, create_otherwise: Creation
    ) -> None:
        async for after, name in deaths(server, create):
            was = await seen_branch(after, name)
            if was is not None:
                with pytest.raises(BranchAlreadyExists):
                    await create_otherwise(after, name, "r2")
                assert (await create(after, name)).head == was.head
            else:
                made = await create_otherwise(after, name, "r2")
                assert await seen_branch(after, name) == made
                with pytest.raises(BranchAlreadyExists):
                    await create(after, name)
                assert await seen_branch(after, name) == made
            await go_on(Hand(after), name)

    @pytest.mark.parametrize("then", [delete_branch, fork, begin])
    async def test_a_deletion_of_a_branch_is_done_or_not_begun_and_can_be_finished(
        self, server: StoreInUse, then: Operation
    ) -> None:
        async for after, name in deaths(server, delete_branch, prepare=fork):
            was = await seen_branch(after, name)
            if then is not delete_branch:
                if was is None:
                    made = await (fork if then is fork else begin)(after, name, "r2")
                    assert await seen_branch(after, name) == made
                await go_on(Hand(after), name)
                continue
            try:
                await delete_branch(after, name)
            except BranchNotFound:
                assert was is None
            assert await seen_branch(after, name) is None
            with pytest.raises(BranchNotFound):
                await delete_branch(after, name)
            made = await fork(after, name, "r2")
            assert await seen_branch(after, name) == made


# Requests after seven days


@pytest.mark.usefixtures("store")
class TestLapsedRequests:
    async def test_a_creation_of_a_database_is_answered_for_seven_days_and_then_done_anew(
        self, store: StoreInUse, tmp_path: Path
    ) -> None:
        now = START

        def clock() -> int:
            return now

        async def create(name: str, asked: bytes = b"asked") -> Database:
            made = Database(name, f"about {name}", now, f"{now:x}")
            return await opened.create_database(made, root_commit("main", now), key("r1", asked))

        opened = await store.open(tmp_path / "kernel.db", clock)
        first = await create("first")
        now = START + WEEK - SECOND
        assert await create("first") == first
        with pytest.raises(RequestIdReused):
            await create("second", b"otherwise")
        now = START + WEEK + SECOND
        with pytest.raises(DatabaseAlreadyExists):
            await create("first")
        second = await create("second", b"otherwise")
        assert second.create_time == now
        assert await opened.list_databases("", 10) == [first, second]
        now += WEEK - SECOND
        assert await create("second", b"otherwise") == second
        with pytest.raises(RequestIdReused):
            await create("first")
        await opened.close()

    async def test_a_creation_of_a_branch_is_answered_for_seven_days_and_then_done_anew(
        self, store: StoreInUse, tmp_path: Path
    ) -> None:
        now = START

        def clock() -> int:
            return now

        async def create(name: str, asked: bytes = b"asked") -> Branch:
            start = await opened.resolve(DB, parse_ref("main"))
            return await opened.create_branch(DB, Branch(name, start.commit, now, 0), start, key("r1", asked))

        opened = await store.open(tmp_path / "kernel.db", clock)
        await make_database(opened)
        first = await create("first")
        now = START + WEEK - SECOND
        assert await create("first") == first
        with pytest.raises(RequestIdReused):
            await create("second", b"otherwise")
        now = START + WEEK + SECOND
        with pytest.raises(BranchAlreadyExists):
            await create("first")
        second = await create("second", b"otherwise")
        assert (second.name, second.create_time) == ("second", now)
        now += WEEK - SECOND
        assert await create("second", b"otherwise") == second
        with pytest.raises(RequestIdReused):
            await create("first")
        assert await opened.get_branch(DB, "first") == first
        await opened.close()

    async def test_a_commit_is_answered_for_seven_days_and_then_made_anew(
        self, store: StoreInUse, tmp_path: Path
    ) -> None:
        path = tmp_path / "kernel.db"
        opened = await store.open(path)
        await make_database(opened)
        first = await Hand(opened).made(request=key("r1"))
        await opened.close()
        for passed, is_new in ((WEEK - SECOND, False), (WEEK + SECOND, True)):
            now = first.time + passed
            later = await store.open(path, partial(int, now))
            hand = Hand(later)
            if not is_new:
                assert await hand.commit(request=key("r1")) is None
                with pytest.raises(RequestIdReused):
                    await hand.commit(request=key("r1", b"otherwise"))
                assert (await hand.at()).commit == first.id
            else:
                anew = await hand.made(request=key("r1", b"otherwise"))
                assert anew.parents == (first.id,)
            await later.close()
