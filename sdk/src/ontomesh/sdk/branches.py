"""Branches of a database."""

import uuid
from collections.abc import AsyncIterator, Sequence

from ontomesh.kernel.v1 import branch_service_pb2
from ontomesh.sdk import convert
from ontomesh.sdk.paging import Pages
from ontomesh.sdk.raw import Raw
from ontomesh.sdk.resources import Branch


class BranchCalls:
    """Making, finding and deleting branches."""

    name: str
    _raw: Raw

    async def branch(self, name: str, *, timeout: float | None = None) -> Branch:
        """A branch and its head.

        Raises:
            BranchNotFound: There is none of this name.
        """
        request = branch_service_pb2.GetBranchRequest(database=self.name, branch=name)
        response = await self._raw.branches.GetBranch(request, timeout=timeout)
        return convert.branch(response.branch)

    def branches(self, prefix: str = "", *, page_size: int = 0, timeout: float | None = None) -> AsyncIterator[Branch]:
        """The branches whose names begin with `prefix`, by name. `timeout` is for each page."""

        async def fetch(token: str) -> tuple[Sequence[Branch], str]:
            request = branch_service_pb2.ListBranchesRequest(
                database=self.name, prefix=prefix, page_size=page_size, page_token=token
            )
            response = await self._raw.branches.ListBranches(request, timeout=timeout)
            return [convert.branch(each) for each in response.branches], response.next_page_token

        return Pages(fetch)

    async def create_branch(
        self,
        name: str,
        *,
        start: str = "",
        empty: bool = False,
        request_id: str | None = None,
        timeout: float | None = None,
    ) -> Branch:
        """The new branch, at the ref `start`, or with a history of its own if `empty`.

        Raises:
            BranchAlreadyExists: The name is taken.
            ValueError: Both `start` and `empty` are given.
        """
        if start and empty:
            raise ValueError("an empty branch has no start")
        request = branch_service_pb2.CreateBranchRequest(
            database=self.name, branch=name, request_id=request_id or str(uuid.uuid4())
        )
        if empty:
            request.empty = True
        elif start:
            setattr(request, "from", start)
        response = await self._raw.branches.CreateBranch(request, timeout=timeout)
        return convert.branch(response.branch)

    async def delete_branch(self, name: str, *, expected_head: str = "", timeout: float | None = None) -> None:
        """Deletes a branch's name; its commits stay readable by their ids.

        Raises:
            BranchProtected: It is `main`.
            StaleHead: The branch is not at `expected_head`.
        """
        request = branch_service_pb2.DeleteBranchRequest(database=self.name, branch=name, expected_head=expected_head)
        await self._raw.branches.DeleteBranch(request, timeout=timeout)
