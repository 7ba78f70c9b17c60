"""Merging branches of a database."""

import uuid
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

from ontomesh.kernel.v1 import merge_pb2, merge_service_pb2
from ontomesh.sdk import convert
from ontomesh.sdk.operations import Resolution, Side
from ontomesh.sdk.paging import Pages
from ontomesh.sdk.raw import Raw
from ontomesh.sdk.resources import Conflict, MergeResult


class MergeCalls:
    """Merging three ways, by document and property."""

    name: str
    _raw: Raw

    async def merge(
        self,
        source: str,
        *,
        into: str = "",
        strategy: Side | None = None,
        resolutions: Iterable[Resolution] = (),
        message: str = "",
        author: str = "",
        metadata: Mapping[str, str] | None = None,
        expected_head: str = "",
        request_id: str | None = None,
        validate_only: bool = False,
        timeout: float | None = None,
    ) -> MergeResult:
        """How the merge of the ref `source` into a branch (`main` unless given) ended.

        Conflicts are an outcome, no error: nothing is committed until resolutions, or a strategy for all that no
        resolution names, settle every one.

        Raises:
            MergeViolation: There is no conflict, but a link or the ontology would be broken.
            UnrelatedHistories: The two share no commit.
        """
        request = merge_service_pb2.MergeRequest(
            database=self.name,
            branch=into,
            source=source,
            strategy=merge_pb2.MERGE_SIDE_UNSPECIFIED if strategy is None else convert.SIDES[strategy],
            resolutions=[convert.resolution(each) for each in resolutions],
            message=message,
            author=author,
            metadata=metadata,
            expected_head=expected_head,
            request_id=request_id or str(uuid.uuid4()),
            validate_only=validate_only,
        )
        return convert.merge_result(await self._raw.merges.Merge(request, timeout=timeout))

    def conflicts(
        self, ours: str, theirs: str, *, page_size: int = 0, timeout: float | None = None
    ) -> AsyncIterator[Conflict]:
        """The conflicts that a merge of two refs has, by document and property. `timeout` is for each page."""

        async def fetch(token: str) -> tuple[Sequence[Conflict], str]:
            request = merge_service_pb2.ListConflictsRequest(
                database=self.name, ours=ours, theirs=theirs, page_size=page_size, page_token=token
            )
            response = await self._raw.merges.ListConflicts(request, timeout=timeout)
            return [convert.conflict(each) for each in response.conflicts], response.next_page_token

        return Pages(fetch)
