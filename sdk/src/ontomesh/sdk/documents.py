"""Reading documents and ontologies."""

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import overload

from ontomesh.kernel.v1 import document_service_pb2, ontology_service_pb2
from ontomesh.sdk import convert
from ontomesh.sdk.decoding import decode
from ontomesh.sdk.paging import Pages
from ontomesh.sdk.raw import Raw
from ontomesh.sdk.resources import AnyModel, Batch, Document, Ontology


class DocumentCalls:
    """The reading half of a database. Every `ref` that is left out means the connection's branch, else `main`."""

    name: str
    _raw: Raw

    def __init__(self, name: str, raw: Raw) -> None:
        self.name = name
        self._raw = raw

    @overload
    async def get(self, id: str, *, ref: str = "", timeout: float | None = None) -> Document: ...
    @overload
    async def get(self, id: str, *, ref: str = "", model: type[AnyModel], timeout: float | None = None) -> AnyModel: ...
    @overload
    async def get(
        self, id: str, *, ref: str = "", model: type[AnyModel] | None, timeout: float | None = None
    ) -> Document | AnyModel: ...
    async def get(
        self, id: str, *, ref: str = "", model: type[AnyModel] | None = None, timeout: float | None = None
    ) -> Document | AnyModel:
        """A document, or the model instance for it.

        Raises:
            DocumentNotFound: There is none of this id at the ref.
        """
        request = document_service_pb2.GetDocumentRequest(database=self.name, ref=ref, id=id)
        response = await self._raw.documents.GetDocument(request, timeout=timeout)
        document = convert.document(response.document, response.commit)
        return document if model is None else document.as_model(model)

    async def batch_get(self, ids: Iterable[str], *, ref: str = "", timeout: float | None = None) -> Batch:
        """Up to 1,000 documents of one commit, and the ids that do not exist there."""
        request = document_service_pb2.BatchGetDocumentsRequest(database=self.name, ref=ref, ids=ids)
        response = await self._raw.documents.BatchGetDocuments(request, timeout=timeout)
        documents = tuple(convert.document(each, response.commit) for each in response.documents)
        return Batch(documents, tuple(response.missing_ids), response.commit)

    def documents(
        self,
        type: "str | type[object]" = "",
        *,
        ref: str = "",
        exact_type: bool = False,
        page_size: int = 0,
        timeout: float | None = None,
    ) -> AsyncIterator[Document]:
        """The documents of a class (a name or a model class) and its subclasses, or all, by id.

        All come from the commit that the ref named when the first page was read. `timeout` is for each page.
        """
        name = type if isinstance(type, str) else type.__name__

        async def fetch(token: str) -> tuple[Sequence[Document], str]:
            request = document_service_pb2.ListDocumentsRequest(
                database=self.name, ref=ref, type=name, exact_type=exact_type, page_size=page_size, page_token=token
            )
            response = await self._raw.documents.ListDocuments(request, timeout=timeout)
            return [convert.document(each, response.commit) for each in response.documents], response.next_page_token

        return Pages(fetch)

    async def ontology(self, ref: str = "", *, timeout: float | None = None) -> Ontology:
        """The ontology at a ref; empty if it never had one."""
        request = ontology_service_pb2.GetOntologyRequest(database=self.name, ref=ref)
        response = await self._raw.ontologies.GetOntology(request, timeout=timeout)
        schema = decode(response.ontology.schema) if response.ontology.schema else []
        return Ontology(schema, response.ontology.digest, response.commit)
