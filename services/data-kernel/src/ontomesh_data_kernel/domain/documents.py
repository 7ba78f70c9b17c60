"""Reading documents."""

from collections.abc import Sequence

from ontomesh_data_kernel.domain.caller import Caller
from ontomesh_data_kernel.domain.limits import (
    MAX_BATCH_BYTES,
    MAX_BATCH_IDS,
    MAX_PAGE_BYTES,
    check_document_id,
    page_size,
)
from ontomesh_data_kernel.domain.locating import find, find_again, readable
from ontomesh_data_kernel.domain.model import Document, DocumentAt, DocumentBatch, DocumentPage
from ontomesh_data_kernel.domain.ontologies import OntologyCache
from ontomesh_data_kernel.domain.ontology import near
from ontomesh_data_kernel.domain.paging import make_token, read_token
from ontomesh_data_kernel.errors import DocumentNotFound, InvalidRequest, UnknownClass
from ontomesh_data_kernel.ports import Point, Store


class Documents:
    """Reading documents at any ref."""

    def __init__(self, store: Store, ontologies: OntologyCache) -> None:
        self._store = store
        self._ontologies = ontologies

    async def get(self, caller: Caller, database: str, ref: str, id: str) -> DocumentAt:
        """Return one document."""
        check_document_id("id", id)
        parsed = readable(caller, database, ref)
        point, version = await self._store.read_at(database, parsed, id)
        if not parsed.branch:
            caller.require("read", database, point.branch)
        if version is None:
            raise DocumentNotFound.of(id, point.commit)
        return DocumentAt(Document(id, version.body, version.etag), point.commit)

    async def batch_get(self, caller: Caller, database: str, ref: str, ids: Sequence[str]) -> DocumentBatch:
        """Return several documents of one commit, in the order asked."""
        wanted = list(dict.fromkeys(ids))
        if not 1 <= len(ids) <= MAX_BATCH_IDS:
            raise InvalidRequest.at("ids", f"{len(ids)} ids where 1 to {MAX_BATCH_IDS} are due")
        for index, id in enumerate(ids):
            check_document_id(f"ids[{index}]", id)
        point = await find(self._store, caller, database, ref)
        found = await self._store.read_many(point, wanted, MAX_BATCH_BYTES)
        documents = tuple(Document(id, found[id].body, found[id].etag) for id in wanted if id in found)
        return DocumentBatch(documents, tuple(id for id in wanted if id not in found), point.commit)

    async def list(
        self, caller: Caller, database: str, ref: str, type: str, exact_type: bool, page_size_: int, page_token: str
    ) -> DocumentPage:
        """Return a page of the documents of a class, or of all, by id; the pages are of one commit."""
        size = page_size(page_size_)
        listing = ("documents", database, ref, type, exact_type)
        after = ""
        if page_token:
            commit, after = read_token(listing, page_token, 2)
            point = await find_again(self._store, caller, database, ref, commit)
        else:
            point = await find(self._store, caller, database, ref)
        classes = await self._classes(point, type, exact_type)
        documents, more = await self._store.list_documents(point, classes, after, size, MAX_PAGE_BYTES)
        token = make_token(listing, point.commit, documents[-1].id) if more else ""
        return DocumentPage(tuple(documents), token, point.commit)

    async def _classes(self, point: Point, type: str, exact: bool) -> Sequence[str]:
        ontology = await self._ontologies.at(point)
        if not type:
            return sorted(ontology.classes)
        if type not in ontology.classes:
            raise UnknownClass.at("type", f"the ontology has no class {type!r}{near(type, ontology.classes)}")
        return [type] if exact else sorted(ontology.subclasses(type))
