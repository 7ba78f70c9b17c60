"""Databases and branches."""

from ontomesh.kernel.v1 import (
    branch_service_pb2,
    branch_service_pb2_grpc,
    database_service_pb2,
    database_service_pb2_grpc,
)
from ontomesh_data_kernel.domain.branches import Branches
from ontomesh_data_kernel.domain.databases import Databases
from ontomesh_data_kernel.doors.caller import caller_now
from ontomesh_data_kernel.doors.grpc import convert
from ontomesh_data_kernel.errors import InvalidRequest


class DatabaseServicer(database_service_pb2_grpc.DatabaseServiceServicer):
    """`DatabaseService` over the domain's databases."""

    def __init__(self, databases: Databases) -> None:
        self._databases = databases

    async def CreateDatabase(  # noqa: N802 - the contract's name
        self, request: database_service_pb2.CreateDatabaseRequest, context: object
    ) -> database_service_pb2.CreateDatabaseResponse:
        """See the contract."""
        asked = request.database
        made = await self._databases.create(caller_now(), asked.name, asked.description, request.request_id)
        return database_service_pb2.CreateDatabaseResponse(database=convert.database(made))

    async def GetDatabase(  # noqa: N802 - the contract's name
        self, request: database_service_pb2.GetDatabaseRequest, context: object
    ) -> database_service_pb2.GetDatabaseResponse:
        """See the contract."""
        found = await self._databases.get(caller_now(), request.name)
        return database_service_pb2.GetDatabaseResponse(database=convert.database(found))

    async def ListDatabases(  # noqa: N802 - the contract's name
        self, request: database_service_pb2.ListDatabasesRequest, context: object
    ) -> database_service_pb2.ListDatabasesResponse:
        """See the contract."""
        page = await self._databases.list(caller_now(), request.page_size, request.page_token)
        return database_service_pb2.ListDatabasesResponse(
            databases=[convert.database(one) for one in page.databases], next_page_token=page.next_page_token
        )

    async def UpdateDatabase(  # noqa: N802 - the contract's name
        self, request: database_service_pb2.UpdateDatabaseRequest, context: object
    ) -> database_service_pb2.UpdateDatabaseResponse:
        """See the contract."""
        for path in request.update_mask.paths:
            if path != "description":
                raise InvalidRequest.at("update_mask", f"{path!r} cannot be changed; only description can")
        asked = request.database
        changed = await self._databases.update(caller_now(), asked.name, asked.description, asked.etag)
        return database_service_pb2.UpdateDatabaseResponse(database=convert.database(changed))

    async def DeleteDatabase(  # noqa: N802 - the contract's name
        self, request: database_service_pb2.DeleteDatabaseRequest, context: object
    ) -> database_service_pb2.DeleteDatabaseResponse:
        """See the contract."""
        await self._databases.delete(caller_now(), request.name, request.etag)
        return database_service_pb2.DeleteDatabaseResponse()


class BranchServicer(branch_service_pb2_grpc.BranchServiceServicer):
    """`BranchService` over the domain's branches."""

    def __init__(self, branches: Branches) -> None:
        self._branches = branches

    async def CreateBranch(  # noqa: N802 - the contract's name
        self, request: branch_service_pb2.CreateBranchRequest, context: object
    ) -> branch_service_pb2.CreateBranchResponse:
        """See the contract."""
        # `from` is a Python keyword.
        start: str = getattr(request, "from")
        made = await self._branches.create(
            caller_now(), request.database, request.branch, start, request.empty, request.request_id
        )
        return branch_service_pb2.CreateBranchResponse(branch=convert.branch(made))

    async def GetBranch(  # noqa: N802 - the contract's name
        self, request: branch_service_pb2.GetBranchRequest, context: object
    ) -> branch_service_pb2.GetBranchResponse:
        """See the contract."""
        found = await self._branches.get(caller_now(), request.database, request.branch)
        return branch_service_pb2.GetBranchResponse(branch=convert.branch(found))

    async def ListBranches(  # noqa: N802 - the contract's name
        self, request: branch_service_pb2.ListBranchesRequest, context: object
    ) -> branch_service_pb2.ListBranchesResponse:
        """See the contract."""
        page = await self._branches.list(
            caller_now(), request.database, request.prefix, request.page_size, request.page_token
        )
        return branch_service_pb2.ListBranchesResponse(
            branches=[convert.branch(one) for one in page.branches], next_page_token=page.next_page_token
        )

    async def DeleteBranch(  # noqa: N802 - the contract's name
        self, request: branch_service_pb2.DeleteBranchRequest, context: object
    ) -> branch_service_pb2.DeleteBranchResponse:
        """See the contract."""
        await self._branches.delete(caller_now(), request.database, request.branch, request.expected_head)
        return branch_service_pb2.DeleteBranchResponse()
