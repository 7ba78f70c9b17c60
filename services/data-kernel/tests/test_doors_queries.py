"""Queries at both doors: what a request says is what the domain is asked, and who goes away ends the work."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest
from grpc import aio

from ontomesh.kernel.v1 import query_service_pb2, query_service_pb2_grpc
from ontomesh_chassis.server import Addresses
from ontomesh_data_kernel.domain.caller import Caller
from ontomesh_data_kernel.domain.kernel import Kernel
from ontomesh_data_kernel.domain.model import Document
from ontomesh_data_kernel.domain.query.asking import (
    Counted,
    Explained,
    QueryPage,
    QueryRequest,
    Referrer,
    ReferrerPage,
    ReferrersRequest,
    TraverseRequest,
    Visit,
    Visits,
)
from ontomesh_data_kernel.domain.query.tree import Plan
from ontomesh_data_kernel.doors.grpc.queries import shaped, traverse_request
from ontomesh_data_kernel.errors import InvalidRequest

HEAD = "c" * 64
PAGE = QueryPage((Document("A/1", b'{"@id":"A/1"}', "e1"),), (Document("B/2", b'{"@id":"B/2"}', "e2"),), "more", HEAD)
QUERY = "/v1/databases/d/query"
DOCUMENTS = "/v1/databases/d/documents"


class Endless:
    """Queries and links that record what they are asked; their streams end only when they are closed."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.closed = asyncio.Event()

    async def page(self, caller: Caller, request: QueryRequest, page_size: int, page_token: str) -> QueryPage:
        self.asked.append((request, page_size, page_token))
        return PAGE

    async def stream(
        self, caller: Caller, request: QueryRequest, limit: int, page_token: str
    ) -> AsyncGenerator[QueryPage]:
        self.asked.append((request, limit, page_token))
        try:
            while True:
                await asyncio.sleep(0)
                yield PAGE
        finally:
            self.closed.set()

    async def count(self, caller: Caller, request: QueryRequest) -> Counted:
        self.asked.append((request,))
        return Counted(7, HEAD)

    async def explain(self, caller: Caller, request: QueryRequest) -> Explained:
        self.asked.append((request,))
        return Explained(Plan(("index A.b",), 7, True, "c = 1", True), HEAD)

    async def referrers(
        self, caller: Caller, request: ReferrersRequest, page_size: int, page_token: str
    ) -> ReferrerPage:
        self.asked.append((request, page_size, page_token))
        return ReferrerPage((Referrer("A/1", "b.c"),), "more", HEAD)

    async def traverse(self, caller: Caller, request: TraverseRequest) -> AsyncGenerator[Visits]:
        self.asked.append((request,))
        try:
            while True:
                await asyncio.sleep(0)
                yield Visits((Visit("A/1", 1, "A/0", "b"),), HEAD)
        finally:
            self.closed.set()


@pytest.fixture
def endless(kernel: Kernel) -> Endless:
    """What stands in the place of the kernel's queries, put there before the doors are served."""
    made = Endless()
    vars(kernel).update(queries=made, links=made)
    return made


@pytest.fixture
def doors(endless: Endless, served: Addresses) -> Addresses:
    return served


@pytest.fixture
async def client(doors: Addresses, authorization: str) -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=doors.http, headers={"authorization": authorization}) as made:
        yield made


def test_every_field_of_a_query_arrives() -> None:
    for kind in (query_service_pb2.QueryDocumentsRequest, query_service_pb2.StreamQueryRequest):
        request = kind(
            database="d",
            ref="r",
            type="T",
            exact_type=True,
            filter="f",
            order_by="o",
            fields=["a", "b"],
            expand=["c"],
            page_token="t",
        )
        own = {"limit", "page_size"}
        told = {field.name for field, _ in request.ListFields()}
        assert told == {field.name for field in request.DESCRIPTOR.fields} - own
        assert shaped(request) == QueryRequest("d", "r", "T", True, "f", "o", ("a", "b"), ("c",))


def test_every_field_of_a_traversal_arrives() -> None:
    request = query_service_pb2.TraverseRequest(
        database="d",
        ref="r",
        start_ids=["A/1"],
        properties=["b"],
        direction=query_service_pb2.TraverseRequest.DIRECTION_INCOMING,
        max_depth=3,
        limit=4,
    )
    assert {field.name for field, _ in request.ListFields()} == {field.name for field in request.DESCRIPTOR.fields}
    assert traverse_request(request) == TraverseRequest("d", "r", ("A/1",), ("b",), True, 3, 4)
    request.direction = query_service_pb2.TraverseRequest.DIRECTION_UNSPECIFIED
    assert not traverse_request(request).incoming
    request.direction = 9  # type: ignore[assignment] # what it must not be
    with pytest.raises(InvalidRequest):
        traverse_request(request)


async def test_an_address_says_all_that_a_query_can(client: httpx.AsyncClient, endless: Endless) -> None:
    shape = {"ref": "r", "type": "T", "exact_type": "true", "filter": "f = 1", "order_by": "o desc"}
    parts: dict[str, Any] = {**shape, "fields": ["a,b", "c.d"], "expand": "e"}
    answer = await client.get(QUERY, params={**parts, "page_size": 7, "page_token": "t"})
    asked = QueryRequest("d", "r", "T", True, "f = 1", "o desc", ("a", "b", "c.d"), ("e",))
    assert endless.asked == [(asked, 7, "t")]
    assert answer.json() == {
        "documents": [{"id": "A/1", "etag": "e1", "body": {"@id": "A/1"}}],
        "included": [{"id": "B/2", "etag": "e2", "body": {"@id": "B/2"}}],
        "next_page_token": "more",
        "commit": HEAD,
    }
    assert (await client.get(f"{QUERY}:count", params={**shape, "order_by": ""})).json() == {"count": 7, "commit": HEAD}
    assert endless.asked[-1] == (QueryRequest("d", "r", "T", True, "f = 1"),)
    plan = {"access": ["index A.b"], "reads": 7, "reads_more": True, "residual": "c = 1", "sorts": True}
    assert (await client.get(f"{QUERY}:explain", params=shape)).json() == {"plan": plan, "commit": HEAD}
    assert endless.asked[-1] == (QueryRequest("d", "r", "T", True, "f = 1", "o desc"),)


async def test_an_id_may_hold_anything_where_it_stands_in_the_query(
    client: httpx.AsyncClient, endless: Endless
) -> None:
    id = "A/x%2Fy?z#&=ü"
    params: dict[str, Any] = {"id": id, "property": ["b", "c.d"], "type": "A,B", "page_size": 1}
    answer = await client.get(f"{DOCUMENTS}:referrers", params=params)
    assert answer.json() == {
        "referrers": [{"id": "A/1", "property": "b.c"}],
        "next_page_token": "more",
        "commit": HEAD,
    }
    assert endless.asked == [(ReferrersRequest("d", "", id, ("b", "c.d"), ("A", "B")), 1, "")]


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        (f"{QUERY}:stream?type=T&limit=3", (QueryRequest("d", type="T"), 3, "")),
        (
            f"{DOCUMENTS}:traverse?id=A%2F1&id=A%2F2,3&property=b,c&incoming=true&max_depth=4&limit=5",
            (TraverseRequest("d", "", ("A/1", "A/2,3"), ("b", "c"), True, 4, 5),),
        ),
    ],
)
async def test_who_leaves_a_stream_over_http_ends_its_work(
    client: httpx.AsyncClient, endless: Endless, path: str, asked: tuple[Any, ...]
) -> None:
    async with client.stream("GET", path) as answer:
        assert answer.headers["content-type"] == "application/x-ndjson"
        lines = answer.aiter_lines()
        assert HEAD in await anext(lines)
        assert endless.asked == [asked]
    await asyncio.wait_for(endless.closed.wait(), 10)


async def test_who_leaves_a_stream_over_grpc_ends_its_work(
    doors: Addresses, endless: Endless, authorization: str
) -> None:
    async with aio.insecure_channel(doors.grpc) as channel:
        stub = query_service_pb2_grpc.QueryServiceStub(channel)
        metadata = (("authorization", authorization),)
        for call in (
            stub.StreamQuery(query_service_pb2.StreamQueryRequest(database="d"), metadata=metadata, timeout=20),
            stub.Traverse(query_service_pb2.TraverseRequest(database="d"), metadata=metadata, timeout=20),
        ):
            endless.closed.clear()
            first: Any = await call.read()
            assert first.commit == HEAD
            call.cancel()
            await asyncio.wait_for(endless.closed.wait(), 10)
