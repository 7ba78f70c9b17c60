"""Commits, refs, diffs and merges."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from ontomesh.kernel.v1 import (
    commit_pb2,
    commit_service_pb2,
    commit_service_pb2_grpc,
    diff_service_pb2,
    diff_service_pb2_grpc,
    merge_service_pb2,
    merge_service_pb2_grpc,
    ref_pb2,
    ref_pb2_grpc,
)
from ontomesh_data_kernel.domain.commits import Commits
from ontomesh_data_kernel.domain.diffs import Diffs
from ontomesh_data_kernel.domain.locating import Refs
from ontomesh_data_kernel.domain.merges import Merges
from ontomesh_data_kernel.doors.caller import caller_now
from ontomesh_data_kernel.doors.grpc import convert


class CommitServicer(commit_service_pb2_grpc.CommitServiceServicer):
    """`CommitService` over the domain's commits."""

    def __init__(self, commits: Commits) -> None:
        self._commits = commits

    async def CreateCommit(  # noqa: N802 - the contract's name
        self, request: commit_service_pb2.CreateCommitRequest, context: object
    ) -> commit_service_pb2.CreateCommitResponse:
        """See the contract."""
        made = await self._commits.create(caller_now(), convert.commit_request(request))
        return commit_service_pb2.CreateCommitResponse(
            commit=convert.commit(made.commit),
            results=[commit_pb2.OperationResult(id=one.id, etag=one.etag) for one in made.results],
        )

    async def GetCommit(  # noqa: N802 - the contract's name
        self, request: commit_service_pb2.GetCommitRequest, context: object
    ) -> commit_service_pb2.GetCommitResponse:
        """See the contract."""
        found = await self._commits.get(caller_now(), request.database, request.ref)
        return commit_service_pb2.GetCommitResponse(commit=convert.commit(found))

    async def ListCommits(  # noqa: N802 - the contract's name
        self, request: commit_service_pb2.ListCommitsRequest, context: object
    ) -> commit_service_pb2.ListCommitsResponse:
        """See the contract."""
        page = await self._commits.list(
            caller_now(), request.database, request.ref, request.first_parent, request.page_size, request.page_token
        )
        return commit_service_pb2.ListCommitsResponse(
            commits=[convert.commit(one) for one in page.commits], next_page_token=page.next_page_token
        )

    async def VerifyHistory(  # noqa: N802 - the contract's name
        self, request: commit_service_pb2.VerifyHistoryRequest, context: object
    ) -> AsyncIterator[commit_service_pb2.VerifyHistoryResponse]:
        """See the contract."""
        async with aclosing(self._commits.verify(caller_now(), request.database, request.ref)) as told:
            async for progress in told:
                yield convert.verify_response(progress)


class RefServicer(ref_pb2_grpc.RefServiceServicer):
    """`RefService` over the domain's refs."""

    def __init__(self, refs: Refs) -> None:
        self._refs = refs

    async def ResolveRef(  # noqa: N802 - the contract's name
        self, request: ref_pb2.ResolveRefRequest, context: object
    ) -> ref_pb2.ResolveRefResponse:
        """See the contract."""
        found = await self._refs.resolve(caller_now(), request.database, request.ref)
        return ref_pb2.ResolveRefResponse(commit=convert.commit(found.commit), branch=found.branch)


class DiffServicer(diff_service_pb2_grpc.DiffServiceServicer):
    """`DiffService` over the domain's diffs."""

    def __init__(self, diffs: Diffs) -> None:
        self._diffs = diffs

    async def Diff(  # noqa: N802 - the contract's name
        self, request: diff_service_pb2.DiffRequest, context: object
    ) -> diff_service_pb2.DiffResponse:
        """See the contract."""
        page = await self._diffs.diff(
            caller_now(),
            request.database,
            request.base,
            request.target,
            request.include_bodies,
            request.page_size,
            request.page_token,
        )
        return diff_service_pb2.DiffResponse(
            documents=[convert.document_diff(one) for one in page.documents],
            next_page_token=page.next_page_token,
            base_commit=page.base_commit,
            target_commit=page.target_commit,
            total_size=page.total_size,
        )


class MergeServicer(merge_service_pb2_grpc.MergeServiceServicer):
    """`MergeService` over the domain's merges."""

    def __init__(self, merges: Merges) -> None:
        self._merges = merges

    async def Merge(  # noqa: N802 - the contract's name
        self, request: merge_service_pb2.MergeRequest, context: object
    ) -> merge_service_pb2.MergeResponse:
        """See the contract."""
        return convert.merge_response(await self._merges.merge(caller_now(), convert.merge_request(request)))

    async def ListConflicts(  # noqa: N802 - the contract's name
        self, request: merge_service_pb2.ListConflictsRequest, context: object
    ) -> merge_service_pb2.ListConflictsResponse:
        """See the contract."""
        page = await self._merges.conflicts(
            caller_now(), request.database, request.ours, request.theirs, request.page_size, request.page_token
        )
        return merge_service_pb2.ListConflictsResponse(
            conflicts=[convert.conflict(one) for one in page.conflicts],
            next_page_token=page.next_page_token,
            total_size=page.total_size,
        )
