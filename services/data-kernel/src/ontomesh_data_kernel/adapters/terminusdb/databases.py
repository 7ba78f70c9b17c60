"""Databases by name: a record of each, and the server's database that holds it.

A database that is made anew under an old name is another one of the server's. A record marked `gone` is that of a
database whose deletion has begun: it names what is still to be dropped.
"""

from collections.abc import Sequence
from dataclasses import asdict

import orjson

from ontomesh_data_kernel.adapters.terminusdb.client import ATTEMPTS, Client, Refused, pause
from ontomesh_data_kernel.adapters.terminusdb.commits import Committer
from ontomesh_data_kernel.adapters.terminusdb.graph import Graph
from ontomesh_data_kernel.adapters.terminusdb.records import DATABASE, Records, Swap
from ontomesh_data_kernel.adapters.terminusdb.requests import Requests
from ontomesh_data_kernel.domain.model import Commit, Database
from ontomesh_data_kernel.errors import DatabaseAlreadyExists, DatabaseNotFound, EtagMismatch
from ontomesh_data_kernel.ports import RequestKey


class Databases:
    """The databases of one organisation and prefix, and what is known of each one's commits."""

    def __init__(self, client: Client, records: Records, requests: Requests, committer: Committer) -> None:
        self._client = client
        self._records = records
        self._requests = requests
        self._committer = committer
        self._natives: dict[str, str] = {}
        self._graphs: dict[str, Graph] = {}

    async def native(self, name: str) -> str:
        """The server's database behind a name, as last known. Raises DatabaseNotFound."""
        known = self._natives.get(name)
        if known is None:
            await self._record(name)
            known = self._natives[name]
        return known

    def graph(self, native: str) -> Graph:
        """The commits of one of the server's databases."""
        graph = self._graphs.get(native)
        if graph is None:
            graph = self._graphs[native] = Graph(self._client, native)
        return graph

    def forget(self, name: str) -> bool:
        """Forget what a name led to; False if nothing was known."""
        known = self._natives.pop(name, None)
        self._graphs.pop(known or "", None)
        return known is not None

    async def create(self, database: Database, root: Commit, request: RequestKey | None) -> Database:
        """See `ports.Store.create_database`."""
        kept = await self._requests.kept("", request)
        if kept.reply is not None:
            return Database(**orjson.loads(kept.reply))
        record = await self._records.get(DATABASE, database.name)
        if record is not None:
            if not _is_gone(record):
                raise DatabaseAlreadyExists.of(database.name)
            await self._drop(_native_of(record))
        native = f"{self._client.server.prefix}{database.name}.{root.id[:16]}"
        await self._create_native(native, database)
        await self._committer.begin(native, self.graph(native), "main", root, is_new=False)
        made = orjson.dumps(asdict(database) | {"native": native}).decode()
        swaps = [Swap(DATABASE, database.name, record, made)]
        if request is not None:
            reply = orjson.dumps(asdict(database)).decode()
            swaps.append(self._requests.answer("", request, kept.text, reply, done=True))
        if not await self._records.swap(*swaps):
            # Another gateway was first: with this request, or with one of its own.
            record = await self._records.get(DATABASE, database.name)
            if record is None or _native_of(record) != native:
                await self._drop(native)
            kept = await self._requests.kept("", request)
            if kept.reply is not None:
                return Database(**orjson.loads(kept.reply))
            raise DatabaseAlreadyExists.of(database.name)
        self._natives[database.name] = native
        return database

    async def _create_native(self, native: str, database: Database) -> None:
        body = {"label": database.name, "comment": database.description, "schema": True}
        for attempt in range(ATTEMPTS):
            try:
                await self._client.ask("POST", self._client.path("db", native), body=body)
            except Refused as error:
                exists = error.kind == "DatabaseAlreadyExists"
                if not (exists or error.lost_race) or attempt == ATTEMPTS - 1:
                    raise
                if exists and await self._records.get(DATABASE, database.name) is not None:
                    raise DatabaseAlreadyExists.of(database.name) from None
                # Half of it may be there: of a copy that was killed before the records told of it, or of an attempt
                # that lost its race after the server had noted the name.
                if exists:
                    await self._drop(native)
                await pause(attempt)
            else:
                return

    async def get(self, name: str) -> Database:
        """See `ports.Store.get_database`."""
        return _database(await self._record(name))

    async def list(self, after: str, limit: int) -> Sequence[Database]:
        """See `ports.Store.list_databases`."""
        found = [_database(text) for text in await self._records.list(DATABASE) if not _is_gone(text)]
        return sorted((one for one in found if one.name > after), key=lambda one: one.name)[:limit]

    async def update(self, database: Database, expected_etag: str) -> Database:
        """See `ports.Store.update_database`."""
        while True:
            record = await self._record(database.name)
            current = _database(record)
            if expected_etag and current.etag != expected_etag:
                raise EtagMismatch.of(database.name, current.etag, "database.etag")
            told = orjson.loads(record) | {"description": database.description, "etag": database.etag}
            changed = orjson.dumps(told).decode()
            if await self._records.swap(Swap(DATABASE, database.name, record, changed)):
                return _database(changed)

    async def delete(self, name: str, expected_etag: str) -> None:
        """See `ports.Store.delete_database`. Goes on with what was begun and left."""
        gone = await self._mark_gone(name, expected_etag)
        self._natives.pop(name, None)
        # Only then may the record go: while it is there, other gateways still write to the server's database.
        await self._drop(_native_of(gone))
        await self._records.swap(Swap(DATABASE, name, gone, None))

    async def _mark_gone(self, name: str, expected_etag: str) -> str:
        """The record, marked by this call or by another that was killed. Raises DatabaseNotFound, EtagMismatch."""
        while True:
            record = await self._records.get(DATABASE, name)
            if record is None:
                raise DatabaseNotFound.of(name)
            if _is_gone(record):
                return record
            if expected_etag and _database(record).etag != expected_etag:
                raise EtagMismatch.of(name, _database(record).etag, "etag")
            marked = orjson.dumps(orjson.loads(record) | {"gone": True}).decode()
            if await self._records.swap(Swap(DATABASE, name, record, marked)):
                return marked

    async def _drop(self, native: str) -> None:
        self._graphs.pop(native, None)
        try:
            await self._client.insist("DELETE", self._client.path("db", native), body={}, query={"force": "true"})
        except Refused as error:
            if error.kind != "UnknownDatabase":
                raise

    async def _record(self, name: str) -> str:
        record = await self._records.get(DATABASE, name)
        if record is None or _is_gone(record):
            self._natives.pop(name, None)
            raise DatabaseNotFound.of(name)
        self._natives[name] = _native_of(record)
        return record


def _database(record: str) -> Database:
    told = orjson.loads(record)
    return Database(told["name"], told["description"], told["create_time"], told["etag"])


def _native_of(record: str) -> str:
    native: str = orjson.loads(record)["native"]
    return native


def _is_gone(record: str) -> bool:
    """Whether the database is being deleted."""
    return bool(orjson.loads(record).get("gone"))
