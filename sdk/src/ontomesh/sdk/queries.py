"""Finding documents: by what they hold, by what they link to, and by what links to them."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from typing import Literal, TypedDict, Unpack, overload

from ontomesh.kernel.v1 import query_service_pb2
from ontomesh.sdk import convert
from ontomesh.sdk.errors import Cancelled, Unavailable
from ontomesh.sdk.paging import Batches, Pages
from ontomesh.sdk.raw import Raw
from ontomesh.sdk.resources import AnyModel, Document, QueryPage, QueryPlan, Referrer, Visit

STREAM_TIMEOUT = 3600.0
RESUMPTIONS = 5
"""How often in a row a stream that breaks off goes on where it was, without a document coming in between."""

Direction = Literal["outgoing", "incoming"]

_DIRECTIONS = {
    "outgoing": query_service_pb2.TraverseRequest.DIRECTION_OUTGOING,
    "incoming": query_service_pb2.TraverseRequest.DIRECTION_INCOMING,
}
_PAUSE_SECONDS = 0.1


class QueryOptions(TypedDict, total=False):
    """The keywords of `query_page` that `query` passes on."""

    filter: str
    order_by: str
    fields: str | Iterable[str]
    expand: str | Iterable[str]
    exact_type: bool
    ref: str
    page_size: int
    timeout: float | None


class QueryCalls:
    """The finding half of a database. Every `ref` that is left out means the connection's branch, else `main`.

    A filter is written as `license = "MIT" AND requires.name = "lib*"`, an order as `"version desc, name"`; the
    languages are described in `proto/ontomesh/kernel/v1/query_service.proto`. `type` is a class's name or a model class.
    """

    name: str
    _raw: Raw

    @overload
    def query(self, type: "str | type[object]", **options: Unpack[QueryOptions]) -> AsyncIterator[Document]: ...
    @overload
    def query(
        self, type: "str | type[object]", *, model: type[AnyModel], **options: Unpack[QueryOptions]
    ) -> AsyncIterator[AnyModel]: ...
    @overload
    def query(
        self, type: "str | type[object]", *, model: type[AnyModel] | None, **options: Unpack[QueryOptions]
    ) -> AsyncIterator[Document | AnyModel]: ...
    def query(
        self, type: "str | type[object]", *, model: type[AnyModel] | None = None, **options: Unpack[QueryOptions]
    ) -> AsyncIterator[Document | AnyModel]:
        """The documents of a class and its subclasses that match, or the model instances for them, page by page.

        Further keywords are those of `query_page`; `timeout` is for each page. All documents come from the commit that
        the ref named when the first page was read, and a page is asked for when it is needed. The documents that
        `expand` leads to are in the `included` of each document.

        Raises (when iterated):
            InvalidFilter: The filter or the order is wrong; `violations` and `metadata["column"]` say where.
        """
        # What may be iterated over only once must last for every page.
        for name in ("fields", "expand"):
            if name in options:
                options[name] = _several(options[name])

        async def fetch(token: str) -> tuple[Sequence[Document | AnyModel], str]:
            page = await self.query_page(type, page_token=token, **options)
            if model is None:
                return page.documents, page.next_page_token
            return [document.as_model(model) for document in page.documents], page.next_page_token

        return Pages(fetch)

    async def query_page(
        self,
        type: "str | type[object]",
        *,
        filter: str = "",
        order_by: str = "",
        fields: str | Iterable[str] = (),
        expand: str | Iterable[str] = (),
        exact_type: bool = False,
        ref: str = "",
        page_size: int = 0,
        page_token: str = "",
        timeout: float | None = None,
    ) -> QueryPage:
        """One page of the documents of a class that match; its `next_page_token` asks for the next, with the same
        arguments.

        `fields` are the properties to return (all if there are none), as paths; `expand` the links whose documents
        come along, as paths such as `requires.license`. `page_size` is 1 to 1,000.

        Raises:
            InvalidFilter: The filter or the order is wrong; `violations` and `metadata["column"]` say where.
        """
        request = query_service_pb2.QueryDocumentsRequest(
            database=self.name,
            ref=ref,
            type=_name(type),
            exact_type=exact_type,
            filter=filter,
            order_by=order_by,
            fields=_several(fields),
            expand=_several(expand),
            page_size=page_size,
            page_token=page_token,
        )
        return convert.query_page(await self._raw.queries.QueryDocuments(request, timeout=timeout))

    def stream_query(
        self,
        type: "str | type[object]",
        *,
        filter: str = "",
        order_by: str = "",
        fields: str | Iterable[str] = (),
        expand: str | Iterable[str] = (),
        exact_type: bool = False,
        ref: str = "",
        limit: int = 0,
        timeout: float = STREAM_TIMEOUT,
    ) -> AsyncIterator[Document]:
        """The documents that match, all (or the first `limit`) in one call: for large results, where `query` would ask
        page by page.

        A stream that breaks off goes on where it was, at the same commit; no document comes twice. `timeout` is for
        all of it.
        """
        request = query_service_pb2.StreamQueryRequest(
            database=self.name,
            ref=ref,
            type=_name(type),
            exact_type=exact_type,
            filter=filter,
            order_by=order_by,
            fields=_several(fields),
            expand=_several(expand),
            limit=limit,
        )
        return Batches(self._streamed(request, timeout))

    async def count(
        self,
        type: "str | type[object]",
        *,
        filter: str = "",
        exact_type: bool = False,
        ref: str = "",
        timeout: float | None = None,
    ) -> int:
        """How many documents match."""
        request = query_service_pb2.CountDocumentsRequest(
            database=self.name, ref=ref, type=_name(type), exact_type=exact_type, filter=filter
        )
        response = await self._raw.queries.CountDocuments(request, timeout=timeout)
        return response.count

    async def explain(
        self,
        type: "str | type[object]",
        *,
        filter: str = "",
        order_by: str = "",
        exact_type: bool = False,
        ref: str = "",
        timeout: float | None = None,
    ) -> QueryPlan:
        """How the store would serve the query: which indexes, and how much it would read."""
        request = query_service_pb2.ExplainQueryRequest(
            database=self.name, ref=ref, type=_name(type), exact_type=exact_type, filter=filter, order_by=order_by
        )
        response = await self._raw.queries.ExplainQuery(request, timeout=timeout)
        return convert.query_plan(response.plan)

    def referrers(
        self,
        id: str,
        *,
        properties: str | Iterable[str] = (),
        types: Iterable["str | type[object]"] = (),
        ref: str = "",
        page_size: int = 0,
        timeout: float | None = None,
    ) -> AsyncIterator[Referrer]:
        """The links to a document, by the id of the document that holds the link; `timeout` is for each page.

        Only those of some properties (paths such as `requires` or `address.country`) or classes, where given.

        Raises (when iterated):
            DocumentNotFound: It does not exist and nothing links to it.
        """
        named, kinds = _several(properties), tuple(map(_name, types))

        async def fetch(token: str) -> tuple[Sequence[Referrer], str]:
            request = query_service_pb2.ListReferrersRequest(
                database=self.name,
                ref=ref,
                id=id,
                properties=named,
                types=kinds,
                page_size=page_size,
                page_token=token,
            )
            response = await self._raw.queries.ListReferrers(request, timeout=timeout)
            return [Referrer(each.id, each.property) for each in response.referrers], response.next_page_token

        return Pages(fetch)

    def traverse(
        self,
        start: str | Iterable[str],
        *,
        over: str | Iterable[str],
        max_depth: int,
        direction: Direction = "outgoing",
        limit: int = 0,
        ref: str = "",
        timeout: float = STREAM_TIMEOUT,
    ) -> AsyncIterator[Visit]:
        """The documents that the links `over` lead to from some documents on, the nearest first and each once.

        At most `limit` come (0 means 10,000; up to 100,000): if as many do, there may be more. What breaks off is not
        resumed. `timeout` is for all of it.

        Raises (when iterated):
            DocumentNotFound: A document to start at does not exist.
        """
        request = query_service_pb2.TraverseRequest(
            database=self.name,
            ref=ref,
            start_ids=_several(start),
            properties=_several(over),
            direction=_DIRECTIONS[direction],
            max_depth=max_depth,
            limit=limit,
        )
        return Batches(self._visits(request, timeout))

    async def _streamed(
        self, request: query_service_pb2.StreamQueryRequest, timeout: float
    ) -> AsyncGenerator[Sequence[Document]]:
        deadline = time.monotonic() + timeout
        limited = request.limit > 0
        tries = 0
        while True:
            call = self._raw.queries.StreamQuery(request, timeout=deadline - time.monotonic())
            try:
                async for message in call:
                    tries = 0
                    documents = convert.query_documents(message)
                    request.page_token = message.next_page_token
                    if limited:
                        request.limit -= len(documents)
                    yield documents
                    if not message.next_page_token or (limited and not request.limit):
                        return
                return
            except (Unavailable, Cancelled):
                # Before the first batch gRPC has tried again itself; behind it, it does not.
                tries += 1
                if not request.page_token or tries > RESUMPTIONS:
                    raise
            finally:
                call.cancel()
            await asyncio.sleep(_PAUSE_SECONDS * 2**tries)

    async def _visits(
        self, request: query_service_pb2.TraverseRequest, timeout: float
    ) -> AsyncGenerator[Sequence[Visit]]:
        call = self._raw.queries.Traverse(request, timeout=timeout)
        try:
            async for message in call:
                yield [Visit(each.id, each.depth, each.via_id, each.via_property) for each in message.visits]
        finally:
            call.cancel()


def _name(type: "str | type[object]") -> str:
    return type if isinstance(type, str) else type.__name__


def _several(given: str | Iterable[str]) -> tuple[str, ...]:
    """Several of a kind, where one may stand for itself."""
    return (given,) if isinstance(given, str) else tuple(given)
