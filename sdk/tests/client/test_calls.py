import asyncio
import threading
from pathlib import Path
from typing import Any

import grpc
import pytest
from sdk.tests.client.kernel import Kernel, document

from ontomesh.kernel.v1 import commit_service_pb2, document_service_pb2
from ontomesh.sdk import AsyncMesh, connect
from ontomesh.sdk.errors import ConfigurationError, ConnectionFailed, DeadlineExceeded


async def test_a_call_has_the_connections_deadline_unless_it_names_one(mesh: AsyncMesh, kernel: Kernel) -> None:
    database = mesh.database("catalog")
    await database.get("Package/a")
    await database.get("Package/a", timeout=5)
    await mesh.raw.documents.GetDocument(document_service_pb2.GetDocumentRequest(id="Package/a"))
    first, second, raw = (call.seconds for call in kernel.calls("GetDocument"))
    assert 25 < first < 31
    assert 4 < second < 6
    assert 25 < raw < 31


async def test_a_call_without_an_answer_ends_at_its_deadline(mesh: AsyncMesh, kernel: Kernel) -> None:
    over = threading.Event()

    def silent(request: Any, context: grpc.ServicerContext) -> Any:
        context.add_callback(over.set)
        over.wait(10)
        return document("Package/a")

    kernel.answers["GetDocument"] = silent
    with pytest.raises(DeadlineExceeded, match=r"within 0\.2 s") as caught:
        await mesh.database("catalog").get("Package/a", timeout=0.2)
    assert kernel.address in str(caught.value)
    assert caught.value.code is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_cancelled_call_is_cancelled_at_the_server_too(mesh: AsyncMesh, kernel: Kernel) -> None:
    arrived, over = threading.Event(), threading.Event()

    def silent(request: Any, context: grpc.ServicerContext) -> Any:
        context.add_callback(over.set)
        arrived.set()
        over.wait(10)
        return document("Package/a")

    kernel.answers["GetDocument"] = silent
    task = asyncio.ensure_future(mesh.database("catalog").get("Package/a"))
    assert await asyncio.to_thread(arrived.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(over.wait, 10)


async def test_each_call_bears_an_id_of_its_own(mesh: AsyncMesh, kernel: Kernel) -> None:
    for _ in range(3):
        await mesh.database("catalog").get("Package/a")
    ids = {call.metadata["x-request-id"] for call in kernel.seen}
    assert len(ids) == 3
    assert all(0 < len(each) <= 128 for each in ids)


async def test_branch_and_author_of_the_connection_travel_with_each_call(kernel: Kernel, home: Path) -> None:
    async with connect(kernel.address, branch="feature/x", author="user:bob") as mesh:
        await mesh.database("catalog").get("Package/a")
        await mesh.raw.documents.GetDocument(
            document_service_pb2.GetDocumentRequest(id="Package/a"),
            metadata=(("x-ontomesh-branch", "other"), ("x-request-id", "mine")),
        )
    typed, raw = (call.metadata for call in kernel.seen)
    assert (typed["x-ontomesh-branch"], typed["x-ontomesh-author"]) == ("feature/x", "user:bob")
    assert (raw["x-ontomesh-branch"], raw["x-request-id"]) == ("other", "mine")


async def test_a_write_has_a_request_id_unless_given_one(mesh: AsyncMesh, kernel: Kernel) -> None:
    database = mesh.database("catalog")
    await database.commit(insert=[{"@type": "Package"}])
    await database.commit(insert=[{"@type": "Package"}])
    await database.commit(insert=[{"@type": "Package"}], request_id="mine")
    first, second, given = (call.request.request_id for call in kernel.seen)
    assert first
    assert second
    assert first != second
    assert given == "mine"


async def test_a_raw_write_gets_a_request_id_and_leaves_the_message_alone(mesh: AsyncMesh, kernel: Kernel) -> None:
    request = commit_service_pb2.CreateCommitRequest(database="catalog")
    await mesh.raw.commits.CreateCommit(request)
    await mesh.raw.commits.CreateCommit(request)
    first, second = (call.request.request_id for call in kernel.seen)
    assert first
    assert first != second
    assert request.request_id == ""


async def test_raw_calls_tell_their_metadata(mesh: AsyncMesh, kernel: Kernel) -> None:
    def traced(request: Any, context: grpc.ServicerContext) -> Any:
        context.set_trailing_metadata((("x-ontomesh-trace-id", "t"),))
        return document("Package/a")

    kernel.answers["GetDocument"] = traced
    call = mesh.raw.documents.GetDocument(document_service_pb2.GetDocumentRequest(id="Package/a"))
    assert (await call).document.id == "Package/a"
    assert (await call.trailing_metadata())["x-ontomesh-trace-id"] == "t"
    assert await call.code() is grpc.StatusCode.OK
    assert call.done()


async def test_health_is_false_where_nobody_answers(home: Path) -> None:
    async with connect("127.0.0.1:1", retries=False) as mesh:
        assert not await mesh.health()


async def test_an_address_without_a_server_is_named_with_what_to_do(home: Path) -> None:
    async with connect("127.0.0.1:1", retries=False) as mesh:
        with pytest.raises(ConnectionFailed, match=r"127\.0\.0\.1:1 .*`make up` or `ontomesh up`"):
            await mesh.database("catalog").get("Package/a")


def test_a_timeout_must_be_positive(home: Path) -> None:
    with pytest.raises(ConfigurationError, match="positive"):
        connect(timeout=0)
