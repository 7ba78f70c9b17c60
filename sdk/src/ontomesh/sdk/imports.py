"""Importing and exporting documents in bulk."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing

from ontomesh.kernel.v1 import import_service_pb2
from ontomesh.sdk import convert
from ontomesh.sdk.errors import Unavailable, ValidatorUnavailable
from ontomesh.sdk.patience import Patience
from ontomesh.sdk.raw import Raw
from ontomesh.sdk.resources import Commit, Exported, Import, ImportProgress
from ontomesh.sdk.sources import Documents, pieces_of, size_of
from ontomesh.sdk.uploading import Upload

BULK_TIMEOUT = 86_400.0


class ImportCalls:
    """Bulk calls of a database."""

    name: str
    _raw: Raw

    async def import_documents(
        self,
        source: Documents,
        *,
        branch: str = "",
        message: str = "",
        author: str = "",
        metadata: Mapping[str, str] | None = None,
        insert_only: bool = False,
        overwrite: bool = False,
        request_id: str = "",
        resume: str = "",
        progress: Callable[[ImportProgress], None] | None = None,
        timeout: float = BULK_TIMEOUT,
    ) -> Commit:
        """Brings documents in as one commit, however many: inserts, or replaces those of the same id.

        Nobody sees any of them before the end. A connection that breaks, or a server that restarts, is waited for; in
        another process the import goes on by `resume`, with the same source.

        Args:
            source: A path or an open file of NDJSON or of one JSON array (as TerminusDB exports it), or documents.
            branch: Where to commit; the connection's branch if left out.
            message: What the commit does, for people.
            author: Whom it is by, if not the caller.
            metadata: Notes that stay with the commit.
            insert_only: Refuses documents that the branch has already.
            overwrite: Replaces documents that others changed since the import began, which refuse it otherwise.
            request_id: Finds the import again that was begun by this id, so that the call can be made again.
            resume: The id of an import that was broken off.
            progress: Is told how far it has come, on the event loop: it must not take long.
            timeout: Seconds that all of it may take.

        Raises:
            ImportInvalid: Documents do not fit the ontology; its violations name their lines.
            ImportConflict: Others changed documents of the import meanwhile.
        """
        state = await (self.get_import(resume) if resume else self.begin_import(branch, request_id=request_id))
        total = size_of(source)

        def tell(offset: int, documents: int, *, finishing: bool = False) -> None:
            if progress is not None:
                progress(ImportProgress(state.id, documents, offset, total, finishing))

        tell(state.offset, state.documents)
        expected = 0
        if not state.commit:
            async with aclosing(pieces_of(source, state.offset)) as pieces:
                upload = Upload(self._raw, self.name, state, pieces, tell, timeout)
                await upload.run()
            expected = upload.offset
            tell(upload.offset, upload.documents, finishing=True)
        request = import_service_pb2.FinishImportRequest(
            database=self.name,
            import_id=state.id,
            message=message,
            author=author,
            metadata=metadata,
            insert_only=insert_only,
            overwrite=overwrite,
            expected_offset=expected,
        )
        patience = Patience()
        while True:
            try:
                response = await self._raw.imports.FinishImport(request, timeout=timeout)
            except ValidatorUnavailable:
                raise  # each try would have every document judged again
            except Unavailable:
                # Finishing again gives the same commit.
                if not await patience.again():
                    raise
            else:
                return convert.commit(response.commit)

    async def begin_import(self, branch: str = "", *, request_id: str = "", timeout: float | None = None) -> Import:
        """A new import, which `import_documents` resumes; or the one that the request id began, finished or not."""
        request = import_service_pb2.BeginImportRequest(database=self.name, branch=branch, request_id=request_id)
        return convert.import_state((await self._raw.imports.BeginImport(request, timeout=timeout)).state)

    async def get_import(self, import_id: str, *, timeout: float | None = None) -> Import:
        """An import of this caller as it stands.

        Raises:
            ImportNotFound: There is none, or not any more: without an upload it is kept for 24 hours.
        """
        request = import_service_pb2.GetImportRequest(database=self.name, import_id=import_id)
        return convert.import_state((await self._raw.imports.GetImport(request, timeout=timeout)).state)

    async def abort_import(self, import_id: str, *, timeout: float | None = None) -> None:
        """Gives an import up; what it uploaded is deleted."""
        request = import_service_pb2.AbortImportRequest(database=self.name, import_id=import_id)
        await self._raw.imports.AbortImport(request, timeout=timeout)

    async def export_documents(
        self,
        type: "str | type[object]" = "",
        *,
        ref: str = "",
        exact_type: bool = False,
        after: str = "",
        timeout: float = BULK_TIMEOUT,
    ) -> AsyncIterator[Exported]:
        """The documents of a class with its subclasses, or of all, as lines of NDJSON, by class and id.

        All are of one commit, which each part names; the first part may be empty. A connection that breaks is made
        anew. In another process the export goes on by `after` and the ref `commit:` with that commit.
        """
        name = type if isinstance(type, str) else type.__name__
        patience = Patience()
        while True:
            request = import_service_pb2.ExportDocumentsRequest(
                database=self.name, ref=ref, type=name, exact_type=exact_type, after=after
            )
            try:
                call = self._raw.exports.ExportDocuments(request, timeout=timeout)
                try:
                    async for part in call:
                        ref, after = f"commit:{part.commit}", part.last_id
                        patience.succeeded()
                        yield Exported(part.data, part.documents, part.last_id, part.commit)
                finally:
                    call.cancel()
            except Unavailable:
                if not await patience.again():
                    raise
            else:
                return
