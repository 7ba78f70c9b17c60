"""The history of a database: log, refs, differences, verification."""

from collections.abc import AsyncIterator, Sequence

from ontomesh.kernel.v1 import commit_service_pb2, diff_service_pb2, ref_pb2
from ontomesh.sdk import convert
from ontomesh.sdk.paging import Pages
from ontomesh.sdk.raw import Raw
from ontomesh.sdk.resources import Commit, DocumentDiff, Resolved, VerifyProgress

VERIFY_TIMEOUT = 3600.0


class HistoryCalls:
    """Reading what was. Every `ref` that is left out means the connection's branch, else `main`."""

    name: str
    _raw: Raw

    def log(
        self, ref: str = "", *, first_parent: bool = False, page_size: int = 0, timeout: float | None = None
    ) -> AsyncIterator[Commit]:
        """The commits that a ref reaches, newest first; with `first_parent` without what merges brought in.

        `timeout` is for each page.
        """

        async def fetch(token: str) -> tuple[Sequence[Commit], str]:
            request = commit_service_pb2.ListCommitsRequest(
                database=self.name, ref=ref, first_parent=first_parent, page_size=page_size, page_token=token
            )
            response = await self._raw.commits.ListCommits(request, timeout=timeout)
            return [convert.commit(each) for each in response.commits], response.next_page_token

        return Pages(fetch)

    async def show(self, ref: str = "", *, timeout: float | None = None) -> Commit:
        """The commit that a ref names; `changes` gives what it changed."""
        request = commit_service_pb2.GetCommitRequest(database=self.name, ref=ref)
        response = await self._raw.commits.GetCommit(request, timeout=timeout)
        return convert.commit(response.commit)

    async def resolve(self, ref: str = "", *, timeout: float | None = None) -> Resolved:
        """The commit that a ref names now, and the branch that the ref begins with."""
        request = ref_pb2.ResolveRefRequest(database=self.name, ref=ref)
        response = await self._raw.refs.ResolveRef(request, timeout=timeout)
        return Resolved(convert.commit(response.commit), response.branch)

    def diff(
        self,
        base: str,
        target: str,
        *,
        include_bodies: bool = False,
        page_size: int = 0,
        timeout: float | None = None,
    ) -> AsyncIterator[DocumentDiff]:
        """The documents that differ between two refs, by id. `timeout` is for each page.

        An empty `base` means the first parent of `target`. Elements of the ontology appear as `@schema/<name>`.
        """

        async def fetch(token: str) -> tuple[Sequence[DocumentDiff], str]:
            request = diff_service_pb2.DiffRequest(
                database=self.name,
                base=base,
                target=target,
                include_bodies=include_bodies,
                page_size=page_size,
                page_token=token,
            )
            response = await self._raw.diffs.Diff(request, timeout=timeout)
            ends = response.base_commit, response.target_commit
            return [convert.document_diff(each, *ends) for each in response.documents], response.next_page_token

        return Pages(fetch)

    def changes(
        self, ref: str = "", *, include_bodies: bool = False, page_size: int = 0, timeout: float | None = None
    ) -> AsyncIterator[DocumentDiff]:
        """What the commit that a ref names changed against its first parent. `timeout` is for each page."""
        return self.diff("", ref, include_bodies=include_bodies, page_size=page_size, timeout=timeout)

    async def verify(self, ref: str = "", *, timeout: float = VERIFY_TIMEOUT) -> AsyncIterator[VerifyProgress]:
        """Recomputes the hashes of the whole history of a ref; gives its progress, the last with `done`.

        What does not match is a problem in the progress, not an error. `timeout` is for all of it.
        """
        request = commit_service_pb2.VerifyHistoryRequest(database=self.name, ref=ref)
        call = self._raw.commits.VerifyHistory(request, timeout=timeout)
        try:
            async for message in call:
                yield convert.progress(message)
        finally:
            call.cancel()
