"""Databases."""

from dataclasses import replace

from ontomesh_data_kernel.domain.caller import Caller
from ontomesh_data_kernel.domain.identity import Clock, identified, request_key
from ontomesh_data_kernel.domain.limits import MAX_DESCRIPTION_BYTES, check_text, page_size
from ontomesh_data_kernel.domain.model import Commit, Database, DatabasePage
from ontomesh_data_kernel.domain.ontology import EMPTY
from ontomesh_data_kernel.domain.paging import make_token, read_token
from ontomesh_data_kernel.domain.refs import DEFAULT_BRANCH, check_database
from ontomesh_data_kernel.ports import Store


def first_commit(caller: Caller, branch: str, message: str, time: int) -> Commit:
    """The empty commit that a history begins with."""
    author, trace, span = caller.principal, caller.trace_id, caller.span_id
    return identified(Commit("", (), branch, author, author, message, time, {}, trace, EMPTY.digest, 0, span), [])


class Databases:
    """Creating, finding, changing and deleting databases."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def create(self, caller: Caller, name: str, description: str, request_id: str) -> Database:
        """Create a database with an empty branch `main`."""
        check_database(name, "database.name")
        check_text("database.description", description, MAX_DESCRIPTION_BYTES)
        caller.require("admin", name)
        request = request_key(caller.principal, request_id, "create database", name, description)
        now = self._clock()
        root = first_commit(caller, DEFAULT_BRANCH, f"Create database {name}", now)
        return await self._store.create_database(Database(name, description, now, f"{now:x}"), root, request)

    async def get(self, caller: Caller, name: str) -> Database:
        """Return a database."""
        caller.require_any("read", check_database(name, "name"))
        return await self._store.get_database(name)

    async def list(self, caller: Caller, page_size_: int, page_token: str) -> DatabasePage:
        """Return a page of the databases that the caller may read."""
        size = page_size(page_size_)
        after = read_token(("databases",), page_token, 1)[0] if page_token else ""
        readable: list[Database] = []
        while len(readable) <= size:
            found = await self._store.list_databases(after, size + 1)
            readable += [database for database in found if caller.rights.allows_any("read", database.name)]
            if len(found) <= size:
                break
            after = found[-1].name
        more = len(readable) > size
        page = readable[:size]
        return DatabasePage(tuple(page), make_token(("databases",), page[-1].name) if more else "")

    async def update(self, caller: Caller, name: str, description: str, etag: str) -> Database:
        """Set a database's description."""
        caller.require("admin", check_database(name, "database.name"))
        check_text("database.description", description, MAX_DESCRIPTION_BYTES)
        database = await self._store.get_database(name)
        changed = replace(database, description=description, etag=f"{self._clock():x}")
        return await self._store.update_database(changed, etag)

    async def delete(self, caller: Caller, name: str, etag: str) -> None:
        """Delete a database with all it holds."""
        caller.require("admin", check_database(name, "name"))
        await self._store.delete_database(name, etag)
