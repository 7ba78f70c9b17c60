"""Branches."""

from ontomesh_data_kernel.domain.caller import Caller
from ontomesh_data_kernel.domain.databases import first_commit
from ontomesh_data_kernel.domain.identity import Clock, request_key
from ontomesh_data_kernel.domain.limits import check_text, page_size
from ontomesh_data_kernel.domain.locating import find
from ontomesh_data_kernel.domain.model import Branch, BranchPage, Commit
from ontomesh_data_kernel.domain.paging import make_token, read_token
from ontomesh_data_kernel.domain.refs import DEFAULT_BRANCH, MAX_BRANCH_BYTES, check_branch, check_database
from ontomesh_data_kernel.errors import BranchNotFound, BranchProtected, CommitNotFound, KernelError
from ontomesh_data_kernel.ports import Point, Store


class Branches:
    """Creating, finding and deleting branches."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def create(
        self, caller: Caller, database: str, branch: str, start: str, empty: bool, request_id: str
    ) -> Branch:
        """Create a branch at the commit that `start` names, or an empty one."""
        caller.require("write", check_database(database), check_branch(branch))
        request = request_key(caller.principal, request_id, "create branch", database, branch, start, empty)
        now = self._clock()
        at: Point | Commit | KernelError
        if empty:
            at = first_commit(caller, branch, f"Create branch {branch}", now)
            head, time = at.id, at.time
        else:
            try:
                at = await find(self._store, caller, database, start, "from")
            except (BranchNotFound, CommitNotFound) as error:
                # The start may have been deleted since the same request was answered.
                if request is None:
                    raise
                at, head, time = error, "", 0
            else:
                head, time = at.commit, 0
        return await self._store.create_branch(database, Branch(branch, head, now, time), at, request)

    async def get(self, caller: Caller, database: str, branch: str) -> Branch:
        """Return a branch."""
        caller.require("read", check_database(database), check_branch(branch))
        return await self._store.get_branch(database, branch)

    async def list(self, caller: Caller, database: str, prefix: str, page_size_: int, page_token: str) -> BranchPage:
        """Return a page of the branches that the caller may read."""
        caller.require_any("read", check_database(database))
        check_text("prefix", prefix, MAX_BRANCH_BYTES)
        size = page_size(page_size_)
        listing = ("branches", database, prefix)
        after = read_token(listing, page_token, 1)[0] if page_token else ""
        readable: list[Branch] = []
        while len(readable) <= size:
            found = await self._store.list_branches(database, prefix, after, size + 1)
            readable += [branch for branch in found if caller.rights.allows("read", database, branch.name)]
            if len(found) <= size:
                break
            after = found[-1].name
        more = len(readable) > size
        page = readable[:size]
        return BranchPage(tuple(page), make_token(listing, page[-1].name) if more else "")

    async def delete(self, caller: Caller, database: str, branch: str, expected_head: str) -> None:
        """Delete a branch's name; its commits stay."""
        caller.require("write", check_database(database), check_branch(branch))
        if branch == DEFAULT_BRANCH:
            raise BranchProtected.at("branch", f"{branch!r} cannot be deleted", branch=branch)
        await self._store.delete_branch(database, branch, expected_head)
