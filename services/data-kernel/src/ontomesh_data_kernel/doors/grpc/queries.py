"""Queries, links to documents, and traversals."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from ontomesh.kernel.v1 import query_pb2, query_service_pb2, query_service_pb2_grpc
from ontomesh_data_kernel.domain.queries import Queries
from ontomesh_data_kernel.domain.query.asking import QueryRequest, ReferrersRequest, TraverseRequest, Visits
from ontomesh_data_kernel.domain.traversing import Links
from ontomesh_data_kernel.doors.caller import caller_now
from ontomesh_data_kernel.doors.grpc import convert
from ontomesh_data_kernel.errors import InvalidRequest

_Shaped = query_service_pb2.QueryDocumentsRequest | query_service_pb2.StreamQueryRequest


class QueryServicer(query_service_pb2_grpc.QueryServiceServicer):
    """`QueryService` over the domain's queries and links."""

    def __init__(self, queries: Queries, links: Links) -> None:
        self._queries = queries
        self._links = links

    async def QueryDocuments(  # noqa: N802 - the contract's name
        self, request: query_service_pb2.QueryDocumentsRequest, context: object
    ) -> query_service_pb2.QueryDocumentsResponse:
        """See the contract."""
        page = await self._queries.page(caller_now(), shaped(request), request.page_size, request.page_token)
        return query_service_pb2.QueryDocumentsResponse(
            documents=[convert.document(one) for one in page.documents],
            included=[convert.document(one) for one in page.included],
            next_page_token=page.next_page_token,
            commit=page.commit,
        )

    async def StreamQuery(  # noqa: N802 - the contract's name
        self, request: query_service_pb2.StreamQueryRequest, context: object
    ) -> AsyncIterator[query_service_pb2.StreamQueryResponse]:
        """See the contract."""
        pages = self._queries.stream(caller_now(), shaped(request), request.limit, request.page_token)
        async with aclosing(pages):
            async for page in pages:
                yield query_service_pb2.StreamQueryResponse(
                    documents=[convert.document(one) for one in page.documents],
                    included=[convert.document(one) for one in page.included],
                    next_page_token=page.next_page_token,
                    commit=page.commit,
                )

    async def CountDocuments(  # noqa: N802 - the contract's name
        self, request: query_service_pb2.CountDocumentsRequest, context: object
    ) -> query_service_pb2.CountDocumentsResponse:
        """See the contract."""
        asked = QueryRequest(request.database, request.ref, request.type, request.exact_type, request.filter)
        found = await self._queries.count(caller_now(), asked)
        return query_service_pb2.CountDocumentsResponse(count=found.count, commit=found.commit)

    async def ExplainQuery(  # noqa: N802 - the contract's name
        self, request: query_service_pb2.ExplainQueryRequest, context: object
    ) -> query_service_pb2.ExplainQueryResponse:
        """See the contract."""
        asked = QueryRequest(
            request.database, request.ref, request.type, request.exact_type, request.filter, request.order_by
        )
        told = await self._queries.explain(caller_now(), asked)
        plan = query_pb2.QueryPlan(
            access=told.plan.access,
            reads=told.plan.reads,
            reads_more=told.plan.is_more,
            residual=told.plan.residual,
            sorts=told.plan.sorts,
        )
        return query_service_pb2.ExplainQueryResponse(plan=plan, commit=told.commit)

    async def ListReferrers(  # noqa: N802 - the contract's name
        self, request: query_service_pb2.ListReferrersRequest, context: object
    ) -> query_service_pb2.ListReferrersResponse:
        """See the contract."""
        asked = ReferrersRequest(
            request.database, request.ref, request.id, tuple(request.properties), tuple(request.types)
        )
        page = await self._links.referrers(caller_now(), asked, request.page_size, request.page_token)
        return query_service_pb2.ListReferrersResponse(
            referrers=[query_pb2.Referrer(id=one.id, property=one.property) for one in page.referrers],
            next_page_token=page.next_page_token,
            commit=page.commit,
        )

    async def Traverse(  # noqa: N802 - the contract's name
        self, request: query_service_pb2.TraverseRequest, context: object
    ) -> AsyncIterator[query_service_pb2.TraverseResponse]:
        """See the contract."""
        async with aclosing(self._links.traverse(caller_now(), traverse_request(request))) as batches:
            async for batch in batches:
                yield _traversed(batch)


def shaped(request: _Shaped) -> QueryRequest:
    """A query for documents."""
    return QueryRequest(
        database=request.database,
        ref=request.ref,
        type=request.type,
        exact_type=request.exact_type,
        filter=request.filter,
        order_by=request.order_by,
        fields=tuple(request.fields),
        expand=tuple(request.expand),
    )


def traverse_request(request: query_service_pb2.TraverseRequest) -> TraverseRequest:
    """A traversal. Raises InvalidRequest for a direction that is none."""
    directions = query_service_pb2.TraverseRequest
    if request.direction not in (
        directions.DIRECTION_UNSPECIFIED,
        directions.DIRECTION_OUTGOING,
        directions.DIRECTION_INCOMING,
    ):
        raise InvalidRequest.at("direction", f"{request.direction} is no direction")
    return TraverseRequest(
        database=request.database,
        ref=request.ref,
        start_ids=tuple(request.start_ids),
        properties=tuple(request.properties),
        incoming=request.direction == directions.DIRECTION_INCOMING,
        max_depth=request.max_depth,
        limit=request.limit,
    )


def _traversed(batch: Visits) -> query_service_pb2.TraverseResponse:
    return query_service_pb2.TraverseResponse(
        visits=[
            query_pb2.Visit(id=one.id, depth=one.depth, via_id=one.via_id, via_property=one.via_property)
            for one in batch.visits
        ],
        commit=batch.commit,
        limit_reached=batch.limit_reached,
    )
