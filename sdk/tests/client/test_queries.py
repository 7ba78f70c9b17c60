import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from sdk.tests.client.kernel import Kernel, Refused, refusal

from ontomesh.kernel.v1 import document_pb2, query_pb2, query_service_pb2
from ontomesh.sdk import AsyncMesh, connect
from ontomesh.sdk.errors import ConnectionFailed, InvalidFilter, Unavailable
from ontomesh.sdk.models import DocumentModel, lexical
from ontomesh.sdk.queries import RESUMPTIONS
from ontomesh.sdk.resources import QueryPlan, Referrer, Visit

AWAY = Refused(grpc.StatusCode.UNAVAILABLE)


class Package(DocumentModel, key=lexical("name")):
    """A distribution."""

    name: str


def message(name: str) -> document_pb2.Document:
    body = b'{"@id":"Package/%s","@type":"Package","name":"%s"}' % (name.encode(), name.encode())
    return document_pb2.Document(id=f"Package/{name}", body=body, etag=f"e-{name}")


def answer_pages(kernel: Kernel, *pages: str) -> None:
    """Answers a query with pages of documents, each a letter."""

    def page(request: query_service_pb2.QueryDocumentsRequest, context: Any) -> Any:
        number = int(request.page_token or 0)
        token = str(number + 1) if number + 1 < len(pages) else ""
        return query_service_pb2.QueryDocumentsResponse(
            documents=map(message, pages[number]),
            included=[message("shared"), message(f"of-{number}")],
            next_page_token=token,
            commit="c1",
        )

    kernel.answers["QueryDocuments"] = page


def answer_stream(kernel: Kernel, names: str, *breaks: int) -> None:
    """Streams documents one by one from the token on; the nth stream breaks off behind `breaks[n]` of them."""
    left = list(breaks)

    def stream(request: query_service_pb2.StreamQueryRequest, context: Any) -> Iterator[Any]:
        first = int(request.page_token or 0)
        last = min(len(names), first + request.limit) if request.limit else len(names)
        until = left.pop(0) if left else None
        for sent, at in enumerate(range(first, last)):
            if sent == until:
                raise AWAY
            token = str(at + 1) if at + 1 < len(names) else ""
            yield query_service_pb2.StreamQueryResponse(
                documents=[message(names[at])], next_page_token=token, commit="c1"
            )

    kernel.answers["StreamQuery"] = stream


async def test_a_query_says_all_that_it_is_asked_and_reads_pages_as_they_are_needed(
    mesh: AsyncMesh, kernel: Kernel
) -> None:
    answer_pages(kernel, "ab", "c")
    found = mesh.database("catalog").query(
        Package,
        filter='name = "a*"',
        order_by="name desc",
        fields=(each for each in ("name", "version")),
        expand="requires",
        exact_type=True,
        ref="main~1",
        page_size=2,
    )
    assert kernel.seen == []
    assert [(await anext(found)).id, (await anext(found)).id] == ["Package/a", "Package/b"]
    assert len(kernel.seen) == 1
    assert [each.id async for each in found] == ["Package/c"]
    first, second = (each.request for each in kernel.seen)
    assert (first.page_token, second.page_token) == ("", "1")
    second.page_token = ""
    assert first == second
    assert first == query_service_pb2.QueryDocumentsRequest(
        database="catalog",
        ref="main~1",
        type="Package",
        exact_type=True,
        filter='name = "a*"',
        order_by="name desc",
        fields=["name", "version"],
        expand=["requires"],
        page_size=2,
    )


async def test_documents_know_what_was_included_with_their_page(mesh: AsyncMesh, kernel: Kernel) -> None:
    answer_pages(kernel, "a", "b")
    found = [each async for each in mesh.database("catalog").query("Package", expand=["requires"])]
    assert [sorted(each.included) for each in found] == [
        ["Package/of-0", "Package/shared"],
        ["Package/of-1", "Package/shared"],
    ]
    shared = found[0].included["Package/shared"]
    assert (shared.data["name"], shared.commit, dict(shared.included)) == ("shared", "c1", {})


async def test_a_query_gives_models_where_they_are_asked_for(mesh: AsyncMesh, kernel: Kernel) -> None:
    answer_pages(kernel, "a")
    assert [each.name async for each in mesh.database("catalog").query("Package", model=Package)] == ["a"]


async def test_one_page_tells_how_to_go_on(mesh: AsyncMesh, kernel: Kernel) -> None:
    answer_pages(kernel, "ab", "c")
    database = mesh.database("catalog")
    page = await database.query_page("Package")
    assert ([each.id for each in page.documents], page.commit) == (["Package/a", "Package/b"], "c1")
    assert sorted(page.included) == ["Package/of-0", "Package/shared"]
    last = await database.query_page("Package", page_token=page.next_page_token)
    assert ([each.id for each in last.documents], last.next_page_token) == (["Package/c"], "")


async def test_a_page_that_fails_is_asked_for_again_and_no_other(mesh: AsyncMesh, kernel: Kernel) -> None:
    answer_pages(kernel, "a", "b")
    found = mesh.database("catalog").query("Package")
    assert (await anext(found)).id == "Package/a"
    kernel.failures["QueryDocuments"] = [AWAY]
    assert (await anext(found)).id == "Package/b"
    assert [each.request.page_token for each in kernel.calls("QueryDocuments")] == ["", "1", "1"]


async def test_a_filter_that_is_refused_says_where(mesh: AsyncMesh, kernel: Kernel) -> None:
    kernel.failures["CountDocuments"] = [
        refusal("INVALID_ARGUMENT", "INVALID_FILTER", fields={"filter": "column 8: no value"}, metadata={"column": "8"})
    ]
    with pytest.raises(InvalidFilter) as refused:
        await mesh.database("catalog").count("Package", filter="name = ")
    assert refused.value.metadata["column"] == "8"


async def test_a_stream_gives_everything_in_one_call(mesh: AsyncMesh, kernel: Kernel) -> None:
    answer_stream(kernel, "abc")
    assert [each.id async for each in mesh.database("catalog").stream_query("Package")] == [
        f"Package/{name}" for name in "abc"
    ]
    assert len(kernel.seen) == 1


async def test_a_stream_that_breaks_off_goes_on_where_it_was(mesh: AsyncMesh, kernel: Kernel) -> None:
    answer_stream(kernel, "abcdef", 2, 1, 0)
    found = [each.id async for each in mesh.database("catalog").stream_query("Package", limit=5)]
    assert found == [f"Package/{name}" for name in "abcde"]
    calls = [(each.request.page_token, each.request.limit) for each in kernel.calls("StreamQuery")]
    # A stream that breaks off before its first batch is tried again by gRPC itself.
    assert calls == [("", 5), ("2", 3), ("3", 2), ("3", 2)]


async def test_a_stream_that_breaks_off_behind_its_last_document_has_ended(mesh: AsyncMesh, kernel: Kernel) -> None:
    def stream(request: Any, context: Any) -> Iterator[Any]:
        yield query_service_pb2.StreamQueryResponse(documents=[message("a")], commit="c1")
        raise AWAY

    kernel.answers["StreamQuery"] = stream
    assert [each.id async for each in mesh.database("catalog").stream_query("Package")] == ["Package/a"]


async def test_a_stream_that_makes_no_headway_is_given_up(
    mesh: AsyncMesh, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ontomesh.sdk.queries._PAUSE_SECONDS", 0.0)
    first = True

    def stream(request: query_service_pb2.StreamQueryRequest, context: Any) -> Iterator[Any]:
        nonlocal first
        if first:
            first = False
            yield query_service_pb2.StreamQueryResponse(documents=[message("a")], next_page_token="1")
        # A code that gRPC's own policy does not repeat.
        raise refusal("UNAVAILABLE", "DRAINING")

    kernel.answers["StreamQuery"] = stream
    found = mesh.database("catalog").stream_query("Package")
    assert (await anext(found)).id == "Package/a"
    with pytest.raises(Unavailable):
        await anext(found)
    assert len(kernel.calls("StreamQuery")) > RESUMPTIONS


async def test_who_leaves_a_stream_early_ends_it(mesh: AsyncMesh, kernel: Kernel) -> None:
    ended = threading.Event()

    def stream(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        context.add_callback(ended.set)
        for number in range(1_000_000):
            yield query_service_pb2.StreamQueryResponse(documents=[message("a")], next_page_token=str(number + 1))

    kernel.answers["StreamQuery"] = stream
    found = mesh.database("catalog").stream_query("Package")
    assert (await anext(found)).id == "Package/a"
    await found.aclose()  # type: ignore[attr-defined] # as the blocking client does
    assert await asyncio.to_thread(ended.wait, 10)


async def test_counts_and_plans(mesh: AsyncMesh, kernel: Kernel) -> None:
    kernel.answer("CountDocuments", query_service_pb2.CountDocumentsResponse(count=7, commit="c1"))
    plan = query_pb2.QueryPlan(access=["index Package.name"], reads=7, reads_more=True, residual="a = 1", sorts=True)
    kernel.answer("ExplainQuery", query_service_pb2.ExplainQueryResponse(plan=plan, commit="c1"))
    database = mesh.database("catalog")
    assert await database.count(Package, filter="a = 1", ref="dev") == 7
    assert kernel.seen[-1].request == query_service_pb2.CountDocumentsRequest(
        database="catalog", ref="dev", type="Package", filter="a = 1"
    )
    assert await database.explain("Package", order_by="name") == QueryPlan(
        ("index Package.name",), 7, True, "a = 1", True
    )


async def test_referrers_come_page_by_page(mesh: AsyncMesh, kernel: Kernel) -> None:
    def page(request: query_service_pb2.ListReferrersRequest, context: Any) -> Any:
        found = [query_pb2.Referrer(id=f"Package/{request.page_token}a", property="requires")]
        token = "" if request.page_token else "next-"
        return query_service_pb2.ListReferrersResponse(referrers=found, next_page_token=token)

    kernel.answers["ListReferrers"] = page
    found = mesh.database("catalog").referrers("Package/x", properties="requires", types=[Package, "App"], page_size=1)
    assert [each async for each in found] == [
        Referrer("Package/a", "requires"),
        Referrer("Package/next-a", "requires"),
    ]
    request = kernel.seen[0].request
    assert (request.id, list(request.properties), list(request.types)) == (
        "Package/x",
        ["requires"],
        ["Package", "App"],
    )


async def test_a_traversal_says_what_it_reaches_and_how(mesh: AsyncMesh, kernel: Kernel) -> None:
    def stream(request: Any, context: Any) -> Iterator[Any]:
        for depth in (1, 2):
            visit = query_pb2.Visit(id=f"P/{depth}", depth=depth, via_id=f"P/{depth - 1}", via_property="requires")
            yield query_service_pb2.TraverseResponse(visits=[visit], commit="c1")

    kernel.answers["Traverse"] = stream
    found = mesh.database("catalog").traverse("P/0", over="requires", max_depth=3, direction="incoming", limit=5)
    assert [each async for each in found] == [Visit("P/1", 1, "P/0", "requires"), Visit("P/2", 2, "P/1", "requires")]
    assert kernel.seen[-1].request == query_service_pb2.TraverseRequest(
        database="catalog",
        start_ids=["P/0"],
        properties=["requires"],
        direction=query_service_pb2.TraverseRequest.DIRECTION_INCOMING,
        max_depth=3,
        limit=5,
    )


async def test_a_traversal_that_breaks_off_says_so(mesh: AsyncMesh, kernel: Kernel) -> None:
    def stream(request: Any, context: Any) -> Iterator[Any]:
        yield query_service_pb2.TraverseResponse(visits=[query_pb2.Visit(id="P/1")])
        raise AWAY

    kernel.answers["Traverse"] = stream
    found = mesh.database("catalog").traverse(["P/0"], over=["requires"], max_depth=3)
    assert (await anext(found)).id == "P/1"
    with pytest.raises(ConnectionFailed):
        await anext(found)


def test_the_blocking_client_does_the_same(kernel: Kernel, home: Path) -> None:
    answer_pages(kernel, "ab", "c")
    answer_stream(kernel, "abc", 1)
    kernel.answer("CountDocuments", query_service_pb2.CountDocumentsResponse(count=7))
    with connect(kernel.address) as mesh:
        database = mesh.database("catalog")
        assert [each.name for each in database.query("Package", model=Package)] == ["a", "b", "c"]
        assert [each.id for each in database.stream_query("Package")] == ["Package/a", "Package/b", "Package/c"]
        assert database.count("Package") == 7
        unfinished = database.stream_query("Package")
        assert next(unfinished).id == "Package/a"
    del unfinished
