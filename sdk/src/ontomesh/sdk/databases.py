"""Managing databases."""

import uuid
from collections.abc import AsyncIterator, Sequence

from ontomesh.kernel.v1 import database_pb2, database_service_pb2
from ontomesh.sdk import convert
from ontomesh.sdk.paging import Pages
from ontomesh.sdk.raw import Raw
from ontomesh.sdk.resources import Database


class AsyncDatabases:
    """The databases of a kernel."""

    __slots__ = ("_raw",)

    def __init__(self, raw: Raw) -> None:
        self._raw = raw

    async def create(
        self, name: str, *, description: str = "", request_id: str | None = None, timeout: float | None = None
    ) -> Database:
        """The new database; it has one branch, `main`, with an empty first commit.

        Raises:
            DatabaseAlreadyExists: The name is taken.
        """
        request = database_service_pb2.CreateDatabaseRequest(
            database=database_pb2.Database(name=name, description=description),
            request_id=request_id or str(uuid.uuid4()),
        )
        response = await self._raw.databases.CreateDatabase(request, timeout=timeout)
        return convert.database(response.database)

    async def get(self, name: str, *, timeout: float | None = None) -> Database:
        """A database's record.

        Raises:
            DatabaseNotFound: There is none of this name.
        """
        request = database_service_pb2.GetDatabaseRequest(name=name)
        response = await self._raw.databases.GetDatabase(request, timeout=timeout)
        return convert.database(response.database)

    def list(self, *, page_size: int = 0, timeout: float | None = None) -> AsyncIterator[Database]:
        """The databases that the caller may read, by name. `timeout` is for each page."""

        async def fetch(token: str) -> tuple[Sequence[Database], str]:
            request = database_service_pb2.ListDatabasesRequest(page_size=page_size, page_token=token)
            response = await self._raw.databases.ListDatabases(request, timeout=timeout)
            return [convert.database(each) for each in response.databases], response.next_page_token

        return Pages(fetch)

    async def update(self, name: str, *, description: str, etag: str = "", timeout: float | None = None) -> Database:
        """The database with a new description.

        Raises:
            EtagMismatch: It has changed since it had this etag.
        """
        request = database_service_pb2.UpdateDatabaseRequest(
            database=database_pb2.Database(name=name, description=description, etag=etag)
        )
        request.update_mask.paths.append("description")
        response = await self._raw.databases.UpdateDatabase(request, timeout=timeout)
        return convert.database(response.database)

    async def delete(self, name: str, *, etag: str = "", timeout: float | None = None) -> None:
        """Deletes a database with all its history, at once and for good.

        Raises:
            EtagMismatch: It has changed since it had this etag.
        """
        request = database_service_pb2.DeleteDatabaseRequest(name=name, etag=etag)
        await self._raw.databases.DeleteDatabase(request, timeout=timeout)
