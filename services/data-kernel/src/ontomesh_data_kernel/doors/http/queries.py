"""Queries, links to documents, and traversals over HTTP."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Annotated, Any, TypeVar

import orjson
from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse

from ontomesh_data_kernel.domain.kernel import Kernel
from ontomesh_data_kernel.domain.query.asking import (
    Counted,
    Explained,
    QueryPage,
    QueryRequest,
    ReferrerPage,
    ReferrersRequest,
    TraverseRequest,
    Visits,
)
from ontomesh_data_kernel.doors.caller import caller_now
from ontomesh_data_kernel.doors.http import answers, examples
from ontomesh_data_kernel.doors.http.parameters import IfNoneMatch, PageSize, PageToken, Ref, json_answer
from ontomesh_data_kernel.doors.http.reading import is_known

T = TypeVar("T")

_LINES = "application/x-ndjson"

Type = Annotated[str, Query(description="Documents of this class and its subclasses.")]
ExactType = Annotated[bool, Query(description="Leaves out the subclasses.")]
Filter = Annotated[
    str,
    Query(
        description='What they must be, in the language of AIP-160: `license = "MIT" AND requires.name = "lib*"`.',
        openapi_examples={"equal": {"value": 'name = "ada"'}, "through a link": {"value": "friend.nick:*"}},
    ),
]
OrderBy = Annotated[str, Query(description="Up to 4 paths: `version desc, name`.")]
Fields = Annotated[list[str] | None, Query(description="The properties to return; repeated, or joined by commas.")]
Expand = Annotated[
    list[str] | None, Query(description="Links whose documents come along; repeated, or joined by commas.")
]
Property = Annotated[list[str] | None, Query(description="Links to follow, as paths; repeated, or joined by commas.")]


def query_routes(kernel: Kernel) -> APIRouter:
    """Routes that find documents."""
    routes = APIRouter(prefix="/v1/databases/{database}", tags=["queries"])

    @routes.get(
        "/query",
        summary="A page of the documents of a class that match a filter",
        responses=json_answer(query_page(examples.QUERIED), conditional=True),
    )
    async def query_documents(
        database: str,
        ref: Ref = "",
        type: Type = "",
        exact_type: ExactType = False,
        filter: Filter = "",
        order_by: OrderBy = "",
        fields: Fields = None,
        expand: Expand = None,
        page_size: PageSize = 0,
        page_token: PageToken = "",
        if_none_match: IfNoneMatch = None,
    ) -> Response:
        asked = QueryRequest(database, ref, type, exact_type, filter, order_by, _split(fields), _split(expand))
        page = await kernel.queries.page(caller_now(), asked, page_size, page_token)
        # At one commit an address has one answer.
        known = is_known(if_none_match, page.commit)
        return answers.versioned(query_page(page), page.commit, page.commit, is_known=known)

    @routes.get(
        "/query:stream",
        summary="All documents that match; a line of JSON for each batch, as a page of them",
        response_class=StreamingResponse,
        responses=_lines_of(query_page(examples.QUERIED)),
    )
    async def stream_query(
        database: str,
        ref: Ref = "",
        type: Type = "",
        exact_type: ExactType = False,
        filter: Filter = "",
        order_by: OrderBy = "",
        fields: Fields = None,
        expand: Expand = None,
        limit: Annotated[int, Query(description="Stops after so many documents; 0 means never.")] = 0,
        page_token: PageToken = "",
    ) -> Response:
        asked = QueryRequest(database, ref, type, exact_type, filter, order_by, _split(fields), _split(expand))
        return await _streamed(kernel.queries.stream(caller_now(), asked, limit, page_token), query_page)

    @routes.get(
        "/query:count",
        summary="How many documents match",
        responses=json_answer(counted(examples.COUNTED), conditional=True),
    )
    async def count_documents(
        database: str,
        ref: Ref = "",
        type: Type = "",
        exact_type: ExactType = False,
        filter: Filter = "",
        if_none_match: IfNoneMatch = None,
    ) -> Response:
        found = await kernel.queries.count(caller_now(), QueryRequest(database, ref, type, exact_type, filter))
        known = is_known(if_none_match, found.commit)
        return answers.versioned(counted(found), found.commit, found.commit, is_known=known)

    @routes.get(
        "/query:explain",
        summary="How the store serves a query",
        responses=json_answer(explained(examples.EXPLAINED)),
    )
    async def explain_query(
        database: str,
        ref: Ref = "",
        type: Type = "",
        exact_type: ExactType = False,
        filter: Filter = "",
        order_by: OrderBy = "",
    ) -> Response:
        asked = QueryRequest(database, ref, type, exact_type, filter, order_by)
        return answers.answer(explained(await kernel.queries.explain(caller_now(), asked)))

    return routes


def link_routes(kernel: Kernel) -> APIRouter:
    """Routes that follow links. Ids stand in the query, for they may hold anything that an address may."""
    routes = APIRouter(prefix="/v1/databases/{database}", tags=["queries"])

    @routes.get(
        "/documents:referrers",
        summary="The links to a document",
        responses=json_answer(referrer_page(examples.REFERRERS), conditional=True),
    )
    async def list_referrers(
        database: str,
        id: Annotated[str, Query(description="The id of the document that is linked to.")] = "",
        ref: Ref = "",
        property: Property = None,
        type: Annotated[
            list[str] | None, Query(description="Only links of documents of these classes and their subclasses.")
        ] = None,
        page_size: PageSize = 0,
        page_token: PageToken = "",
        if_none_match: IfNoneMatch = None,
    ) -> Response:
        asked = ReferrersRequest(database, ref, id, _split(property), _split(type))
        page = await kernel.links.referrers(caller_now(), asked, page_size, page_token)
        known = is_known(if_none_match, page.commit)
        return answers.versioned(referrer_page(page), page.commit, page.commit, is_known=known)

    @routes.get(
        "/documents:traverse",
        summary="The documents that links lead to, breadth first; a line of JSON for each batch",
        response_class=StreamingResponse,
        responses=_lines_of(visited(examples.VISITS)),
    )
    async def traverse(
        database: str,
        id: Annotated[list[str] | None, Query(description="The ids to begin at; repeated.")] = None,
        ref: Ref = "",
        property: Property = None,
        incoming: Annotated[bool, Query(description="Follows links backwards.")] = False,
        max_depth: Annotated[int, Query(description="How many links deep at the most: 1 to 100.")] = 0,
        limit: Annotated[int, Query(description="How many at the most: 1 to 100,000; 0 means 10,000.")] = 0,
    ) -> Response:
        asked = TraverseRequest(database, ref, tuple(id or ()), _split(property), incoming, max_depth, limit)
        return await _streamed(kernel.links.traverse(caller_now(), asked), visited)

    return routes


def query_page(page: QueryPage) -> dict[str, Any]:
    """A page of the documents that match."""
    return {
        "documents": [answers.document(one) for one in page.documents],
        "included": [answers.document(one) for one in page.included],
        "next_page_token": page.next_page_token,
        "commit": page.commit,
    }


def counted(one: Counted) -> dict[str, Any]:
    """How many documents match."""
    return {"count": one.count, "commit": one.commit}


def explained(one: Explained) -> dict[str, Any]:
    """How a query is served."""
    plan = {
        "access": one.plan.access,
        "reads": one.plan.reads,
        "reads_more": one.plan.is_more,
        "residual": one.plan.residual,
        "sorts": one.plan.sorts,
    }
    return {"plan": plan, "commit": one.commit}


def referrer_page(page: ReferrerPage) -> dict[str, Any]:
    """A page of the links to a document."""
    found = [{"id": one.id, "property": one.property} for one in page.referrers]
    return {"referrers": found, "next_page_token": page.next_page_token, "commit": page.commit}


def visited(batch: Visits) -> dict[str, Any]:
    """A batch of a traversal."""
    visits = [
        {"id": one.id, "depth": one.depth, "via_id": one.via_id, "via_property": one.via_property}
        for one in batch.visits
    ]
    return {"visits": visits, "commit": batch.commit, "limit_reached": batch.limit_reached}


async def _streamed(batches: AsyncGenerator[T], render: Callable[[T], object]) -> Response:
    # The first is awaited here, so that a refusal is an answer of its own.
    first = await anext(batches)

    async def lines() -> AsyncIterator[bytes]:
        async with aclosing(batches):
            yield _line(render(first))
            async for batch in batches:
                yield _line(render(batch))

    return StreamingResponse(lines(), media_type=_LINES)


def _line(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)


def _lines_of(example: object) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {_LINES: {"example": _line(example).decode()}}}}


def _split(given: list[str] | None) -> tuple[str, ...]:
    return tuple(part.strip() for text in given or () if text for part in text.split(","))
