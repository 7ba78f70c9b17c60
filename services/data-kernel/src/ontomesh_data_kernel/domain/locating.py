"""From the refs that callers send to points in history that they may read."""

from ontomesh_data_kernel.domain.caller import Caller
from ontomesh_data_kernel.domain.model import ResolvedRef
from ontomesh_data_kernel.domain.refs import DEFAULT_BRANCH, Ref, check_branch, check_database, parse_ref
from ontomesh_data_kernel.errors import CommitNotFound, InvalidPageToken, InvalidRef
from ontomesh_data_kernel.ports import Point, Store


async def find(store: Store, caller: Caller, database: str, ref: str, field: str = "ref") -> Point:
    """Resolve a ref for reading. Raises InvalidRef, PermissionDenied and what `Store.resolve` raises."""
    parsed = readable(caller, database, ref, field)
    point = await store.resolve(database, parsed)
    if not parsed.branch:
        caller.require("read", database, point.branch)
    return point


def readable(caller: Caller, database: str, ref: str, field: str = "ref") -> Ref:
    """The ref that a caller means to read. Raises InvalidRef, PermissionDenied.

    A ref without a branch is of a commit: the branch that it was made on is yet to be checked.
    """
    check_database(database)
    parsed = parse_ref(ref or caller.branch or DEFAULT_BRANCH, field)
    if parsed.branch:
        caller.require("read", database, parsed.branch)
    else:
        caller.require_any("read", database)
    return parsed


async def find_again(store: Store, caller: Caller, database: str, ref: str, commit: str, field: str = "ref") -> Point:
    """The point of an earlier page of a listing at `ref`: the ref must still be readable and reach the commit.

    Raises InvalidPageToken besides what `find` raises.
    """
    now = await find(store, caller, database, ref, field)
    if now.commit == commit:
        return now
    try:
        then = await store.resolve(database, parse_ref(f"commit:{commit}", "page_token"))
    except (CommitNotFound, InvalidRef):
        then = None
    if then is not None and await store.is_ancestor(then, now, first_parent=True):
        return then
    if then is None or not await store.is_ancestor(then, now):
        raise InvalidPageToken.at("page_token", f"the history of {ref!r} was rewritten since the first page")
    # It came with a merge, perhaps from a branch that the ref's own right does not cover.
    caller.require("read", database, then.branch)
    return then


def writable(caller: Caller, database: str, branch: str) -> str:
    """The branch that a caller means to write. Raises InvalidRequest, PermissionDenied."""
    check_database(database)
    name = check_branch(branch or caller.branch or DEFAULT_BRANCH)
    caller.require("write", database, name)
    return name


class Refs:
    """Resolving refs."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def resolve(self, caller: Caller, database: str, ref: str) -> ResolvedRef:
        """Return the commit that a ref names now."""
        point = await find(self._store, caller, database, ref)
        named = parse_ref(ref or caller.branch or DEFAULT_BRANCH).branch
        return ResolvedRef(await self._store.describe(database, point), named)
