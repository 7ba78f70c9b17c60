"""Finding documents by what they hold."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from ontomesh_data_kernel.domain.caller import Caller
from ontomesh_data_kernel.domain.expanding import MAX_INCLUDED, expand
from ontomesh_data_kernel.domain.limits import MAX_PAGE_BYTES, MAX_PAGE_SIZE, page_size
from ontomesh_data_kernel.domain.locating import find, find_again
from ontomesh_data_kernel.domain.model import Document
from ontomesh_data_kernel.domain.ontologies import OntologyCache
from ontomesh_data_kernel.domain.ontology import Ontology
from ontomesh_data_kernel.domain.paging import make_token, read_token
from ontomesh_data_kernel.domain.query.asking import Counted, Explained, QueryPage, QueryRequest
from ontomesh_data_kernel.domain.query.language import compile_query
from ontomesh_data_kernel.domain.query.paths import Paths
from ontomesh_data_kernel.domain.query.picking import pick
from ontomesh_data_kernel.domain.query.shaping import Expansion, Fields, resolve_expand, resolve_fields
from ontomesh_data_kernel.domain.query.tree import Query
from ontomesh_data_kernel.errors import InvalidPageToken, InvalidRequest, TooLarge, Violation
from ontomesh_data_kernel.ports import Point, Store

MAX_LIMIT = (1 << 63) - 1

_REMEMBERED = 256
_SHORT = 512
"""Characters of a filter that is compiled on the event loop, and remembered."""
_MAX_POSITION = 4_096


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A query that was checked against the ontology of a point."""

    point: Point
    query: Query
    listing: tuple[object, ...]
    fields: Fields | None
    expansion: Expansion


class Queries:
    """Finding documents at any ref."""

    def __init__(self, store: Store, ontologies: OntologyCache) -> None:
        self._store = store
        self._ontologies = ontologies
        self._compiled: OrderedDict[tuple[str, str, bool, str, str], Query] = OrderedDict()

    async def page(self, caller: Caller, request: QueryRequest, page_size_: int, page_token: str) -> QueryPage:
        """Return a page of the documents that match; the pages are of one commit."""
        size = page_size(page_size_)
        prepared, position = await self._prepare(caller, request, page_token)
        return await self._page(prepared, position, size)

    async def stream(
        self, caller: Caller, request: QueryRequest, limit: int, page_token: str
    ) -> AsyncGenerator[QueryPage]:
        """Iterate over all documents that match, or the first `limit` (0: all), in batches; at least one comes."""
        if not 0 <= limit <= MAX_LIMIT:
            raise InvalidRequest.at("limit", f"{limit} is negative; 0 means no limit")
        prepared, position = await self._prepare(caller, request, page_token)
        left = limit or MAX_LIMIT
        while True:
            page = await self._page(prepared, position, min(left, MAX_PAGE_SIZE))
            yield page
            left -= len(page.documents)
            if not page.next_page_token or not left:
                return
            position = read_token(prepared.listing, page.next_page_token, 2)[1]

    async def count(self, caller: Caller, request: QueryRequest) -> Counted:
        """Return how many documents match."""
        prepared, _ = await self._prepare(caller, request, "")
        return Counted(await self._store.count(prepared.point, prepared.query), prepared.point.commit)

    async def explain(self, caller: Caller, request: QueryRequest) -> Explained:
        """Say how the store would serve the query."""
        prepared, _ = await self._prepare(caller, request, "")
        return Explained(await self._store.explain(prepared.point, prepared.query), prepared.point.commit)

    async def _prepare(self, caller: Caller, request: QueryRequest, page_token: str) -> tuple[_Prepared, str]:
        """The query, checked, and the store's position that the page token stands for."""
        listing = (
            *("query", request.database, request.ref, request.type, request.exact_type),
            *(request.filter, request.order_by, list(request.fields), list(request.expand)),
        )
        position = ""
        if page_token:
            commit, position = read_token(listing, page_token, 2)
            if not (position.isascii() and position.isprintable() and len(position) <= _MAX_POSITION):
                raise InvalidPageToken.at("page_token", "was not issued by this method for these arguments")
            point = await find_again(self._store, caller, request.database, request.ref, commit)
        else:
            point = await find(self._store, caller, request.database, request.ref)
        ontology = await self._ontologies.at(point)
        query = await self._compile(ontology, request)
        # As `compile_query` has it: an abstract class without subclasses has properties, though no documents.
        paths = Paths(ontology, query.classes or ((request.type,) if request.type else ()))
        fields, expansion = resolve_fields(paths, request.fields), resolve_expand(paths, request.expand)
        return _Prepared(point, query, listing, fields, expansion), position

    async def _compile(self, ontology: Ontology, request: QueryRequest) -> Query:
        asked = (request.type, request.exact_type, request.filter, request.order_by)
        if len(request.filter) > _SHORT or len(request.order_by) > _SHORT:
            return await asyncio.to_thread(compile_query, ontology, *asked)
        key = (ontology.digest, *asked)
        query = self._compiled.get(key)
        if query is None:
            query = self._compiled[key] = compile_query(ontology, *asked)
            if len(self._compiled) > _REMEMBERED:
                self._compiled.popitem(last=False)
        return query

    async def _page(self, prepared: _Prepared, position: str, limit: int) -> QueryPage:
        point, query = prepared.point, prepared.query
        # What is included shares the page's bytes with the documents.
        most = MAX_PAGE_BYTES // 2 if prepared.expansion else MAX_PAGE_BYTES
        part = await self._store.select(point, query, position, limit, most)
        included: tuple[Document, ...] = ()
        if prepared.expansion and part.documents:
            count, included = await self._expanded(prepared, part.documents)
            if count < len(part.documents):
                part = await self._store.select(point, query, position, count, most)
        documents = tuple(part.documents)
        if prepared.fields is not None:
            documents = await asyncio.to_thread(_cut, documents, prepared.fields)
        token = make_token(prepared.listing, point.commit, part.position) if part.position else ""
        return QueryPage(documents, included, token, point.commit)

    async def _expanded(self, prepared: _Prepared, documents: Sequence[Document]) -> tuple[int, tuple[Document, ...]]:
        """How many of the documents, from the first on, fit a page with all that they include; and that.

        Raises TooLarge if the first alone includes too much.
        """
        count = len(documents)
        while True:
            some = documents[:count]
            # A document of the page that is cut to some fields comes along whole where a link leads to it.
            leave_out = {document.id for document in some} if prepared.fields is None else set()
            room = max(0, MAX_PAGE_BYTES - sum(len(document.body) for document in some))
            try:
                included = await expand(
                    self._store,
                    prepared.point,
                    some,
                    prepared.expansion,
                    leave_out=leave_out,
                    max_bytes=room,
                )
            except TooLarge as error:
                if count == 1:
                    raise _too_much(documents[0].id, error) from None
                count //= 2
            else:
                return count, included


def _cut(documents: Sequence[Document], fields: Fields) -> tuple[Document, ...]:
    return tuple(Document(one.id, pick(one.body, fields), one.etag) for one in documents)


def _too_much(id: str, error: TooLarge) -> TooLarge:
    description = (
        f"{id} alone leads to more than {MAX_INCLUDED:,} documents or {MAX_PAGE_BYTES >> 20} MiB with it: expand fewer"
        " links, or page through them by a query of their own"
    )
    return TooLarge(f"expand: {description}", (Violation("expand", description),), error.metadata)
