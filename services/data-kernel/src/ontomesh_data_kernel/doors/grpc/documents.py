"""Documents."""

from ontomesh.kernel.v1 import (
    document_pb2,
    document_service_pb2,
    document_service_pb2_grpc,
)
from ontomesh_data_kernel.domain.documents import Documents
from ontomesh_data_kernel.doors.caller import caller_now
from ontomesh_data_kernel.doors.grpc import convert


class DocumentServicer(document_service_pb2_grpc.DocumentServiceServicer):
    """`DocumentService` over the domain's documents."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def GetDocument(  # noqa: N802 - the contract's name
        self, request: document_service_pb2.GetDocumentRequest, context: object
    ) -> document_service_pb2.GetDocumentResponse:
        """See the contract."""
        found = await self._documents.get(caller_now(), request.database, request.ref, request.id)
        one = found.document
        document = document_pb2.Document(id=one.id, body=one.body, etag=one.etag)
        return document_service_pb2.GetDocumentResponse(document=document, commit=found.commit)

    async def BatchGetDocuments(  # noqa: N802 - the contract's name
        self, request: document_service_pb2.BatchGetDocumentsRequest, context: object
    ) -> document_service_pb2.BatchGetDocumentsResponse:
        """See the contract."""
        batch = await self._documents.batch_get(caller_now(), request.database, request.ref, request.ids)
        return document_service_pb2.BatchGetDocumentsResponse(
            documents=[convert.document(one) for one in batch.documents],
            missing_ids=batch.missing,
            commit=batch.commit,
        )

    async def ListDocuments(  # noqa: N802 - the contract's name
        self, request: document_service_pb2.ListDocumentsRequest, context: object
    ) -> document_service_pb2.ListDocumentsResponse:
        """See the contract."""
        page = await self._documents.list(
            caller_now(),
            request.database,
            request.ref,
            request.type,
            request.exact_type,
            request.page_size,
            request.page_token,
        )
        return document_service_pb2.ListDocumentsResponse(
            documents=[convert.document(one) for one in page.documents],
            next_page_token=page.next_page_token,
            commit=page.commit,
        )
