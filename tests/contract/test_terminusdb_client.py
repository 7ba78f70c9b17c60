"""The client of TerminusDB: what its answers mean, success answers that are none, and servers that do not answer.

The answers are a real server's (`recordings-reference`), served by a fake; the faults are a fake's own.
"""

import asyncio
import json
import socket
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ontomesh_data_kernel.adapters.terminusdb import open_store, read_url, woql
from ontomesh_data_kernel.adapters.terminusdb.client import Client, Refused, Unanswered
from ontomesh_data_kernel.adapters.terminusdb.reads import Reader
from ontomesh_data_kernel.errors import StoreUnavailable
from tests.contract.serving import until

REFERENCE = Path(__file__).with_name("recordings-reference") / "terminusdb-12.0.6.jsonl"
SLACK_SECONDS = 0.6
"""What a busy machine may add to a bound."""


Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Peer:
    """A server that does with each connection what it is told, and counts them."""

    port: int
    behave: Behaviour
    connections: int = 0

    def url(self, seconds: float = 1) -> str:
        """A store's URL for it."""
        return f"terminusdb://admin:root@127.0.0.1:{self.port}/admin?seconds={seconds:g}"

    def client(self, seconds: float = 5) -> Client:
        """A client of it."""
        return Client(read_url(self.url(seconds)))


@asynccontextmanager
async def peer(behave: Behaviour) -> AsyncIterator[Peer]:
    """A peer at a free port for a block."""
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made.connections += 1
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        task.add_done_callback(serving.discard)
        try:
            await made.behave(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the other side went away, or the test is over
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    made = Peer(server.sockets[0].getsockname()[1], behave)
    try:
        yield made
    finally:
        server.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        await server.wait_closed()


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """A request's head, once its body was read too."""
    head = await reader.readuntil(b"\r\n\r\n")
    lines = (line.partition(b":") for line in head.lower().splitlines())
    await reader.readexactly(next((int(value) for name, _, value in lines if name == b"content-length"), 0))
    return head


def answering(status: int, headers: Mapping[str, str], body: bytes) -> Behaviour:
    """Answers every request the same."""
    told = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"HTTP/1.1 {status} Told\r\n{told}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(head + body)
        await writer.drain()

    return behave


JSON = {"content-type": "application/json"}
WELL = answering(200, JSON, b'{"@type":"api:OkResponse","api:status":"api:success"}')


def reference(name: str) -> Behaviour:
    """Answers as the real server did in a reference exchange."""
    exchanges = (json.loads(line) for line in REFERENCE.read_text("utf-8").splitlines())
    told = next(one["response"] for one in exchanges if one["name"] == name)
    body = told["body"] if isinstance(told["body"], str) else json.dumps(told["body"])
    headers = {name: value for name, value in told["headers"].items() if name != "transfer-encoding"}
    return answering(told["status"], headers, body.encode())


# What an answer means


@pytest.mark.parametrize(
    ("name", "status", "kind", "lost_race"),
    [
        ("read-one-unknown", 404, "DocumentNotFound", False),
        ("read-unknown-database", 404, "UnknownDatabase", False),
        ("read-at-unknown-branch", 400, "UnresolvableAbsoluteDescriptor", False),
        ("read-at-unknown-commit", 500, "InternalServerError", False),
        ("db-create-exists", 400, "DatabaseAlreadyExists", False),
        ("insert-existing-id", 400, "DocumentIdAlreadyExists", False),
        ("insert-dangling-link", 400, "SchemaCheckFailure", False),
        ("commit-with-stale-data-version", 400, "DataVersionMismatch", True),
        ("woql-mixed-commit-stale-data-version", 400, "DataVersionMismatch", True),
        ("woql-mixed-commit-atomic-on-failure", 404, "DocumentNotFound", False),
        ("race-retries-0-loser", 500, "", True),
        ("race-other-branch-loser", 500, "", True),
        # Without a type, with a body of a third shape, in HTML, and as text under a status of 200.
        ("branch-origin-unknown-commit", 400, "", False),
        ("branch-without-body", 500, "", False),
        ("next-request-on-that-connection", 400, "", False),
        ("graphql-unknown-branch", 500, "", False),
        ("read-corrupted-array-holder", 500, "InternalServerError", False),
    ],
)
async def test_a_refusal_has_the_status_and_type_that_the_server_meant(
    name: str, status: int, kind: str, lost_race: bool
) -> None:
    async with peer(reference(name)) as made:
        client = made.client()
        with pytest.raises(Refused) as refused:
            await client.ask("GET", "document/admin/shop")
        await client.close()
    assert (refused.value.status, refused.value.kind, refused.value.lost_race) == (status, kind, lost_race)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("insert-dangling-link", "terminusdb:///data/Person/nobody"),
        ("branch-origin-unknown-commit", "origin commit zzz does not exist"),
        ("branch-without-body", "Arguments are not sufficiently instantiated"),
        ("next-request-on-that-connection", "400 Bad Request"),
    ],
)
async def test_a_refusal_says_what_the_server_said(name: str, part: str) -> None:
    async with peer(reference(name)) as made:
        client = made.client()
        with pytest.raises(Refused, match=part):
            await client.ask("GET", "document/admin/shop")
        await client.close()


async def test_a_refused_password_means_that_the_store_is_away() -> None:
    async with peer(reference("wrong-password-with-body")) as made:
        client = made.client()
        with pytest.raises(StoreUnavailable, match="Incorrect authentication information"):
            await client.ask("GET", "ok")
        await client.close()


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_the_answer_of_a_proxy_means_that_the_store_is_away(status: int) -> None:
    async with peer(answering(status, {"content-type": "text/html"}, b"<html>bad gateway</html>")) as made:
        client = made.client()
        with pytest.raises(StoreUnavailable):
            await client.ask("GET", "ok")
        await client.close()


# Answers that look like success


async def test_errors_of_graphql_under_200_are_refusals() -> None:
    async with peer(reference("graphql-error-unknown-field")) as made:
        client = made.client()
        with pytest.raises(Refused, match='Unknown field "nope"'):
            await client.graphql("shop", query="{Person{nope}}")
        await client.close()


async def test_an_error_record_in_the_stream_of_a_query_is_no_answer() -> None:
    async with peer(reference("woql-streaming-error-under-200")) as made:
        client = made.client()
        with pytest.raises((Refused, StoreUnavailable)):
            await client.woql("shop", query={"@type": "True"})
        with pytest.raises((Refused, StoreUnavailable)):
            await commit(client)
        await client.close()


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"@id":"Person/a","na', b"An error\n", b'{"bindings":[{}]'])
async def test_what_is_no_answer_to_a_commit_is_never_taken_for_one(body: bytes) -> None:
    async with peer(answering(200, JSON, body)) as made:
        client = made.client()
        with pytest.raises((Refused, StoreUnavailable)):
            await commit(client)
        await client.close()


@pytest.mark.parametrize("body", [b"", b"An error\n", b'{"@id":"Person/a","na', b'{"@id":"Person/a"}\nStatus: 500\n'])
async def test_what_is_no_document_is_never_taken_for_one(body: bytes) -> None:
    async with peer(answering(200, JSON, body)) as made:
        client = made.client()
        with pytest.raises(StoreUnavailable):
            await Reader(client).read_head("shop", "main", "Person/a")
        await client.close()


async def commit(client: Client, head: str = "") -> str | None:
    return await woql.commit(
        client, "shop", ("local", "branch", "main"), [woql.delete("Note/a")], author="a", message="m", head=head
    )


async def test_a_commit_returns_the_head_that_it_made() -> None:
    async with peer(reference("woql-mixed-commit")) as made:
        client = made.client()
        assert await commit(client, "l7obx80z9hcbrytmcqf0k5g4jww5zi0") == "n4j83jiookf76llqxf6rre39s7rfg4b"
        await client.close()


async def test_a_commit_whose_condition_did_not_hold_made_no_head() -> None:
    told = {"@type": "api:WoqlResponse", "api:status": "api:success", "api:variable_names": [], "bindings": []}
    body = json.dumps(told | {"deletes": 0, "inserts": 0, "transaction_retry_count": 0}).encode()
    async with peer(answering(200, JSON | {"terminusdb-data-version": "branch:c1"}, body)) as made:
        client = made.client()
        assert await commit(client, "c1") is None
        await client.close()


async def test_a_commit_that_left_the_head_where_it_was_is_never_taken_for_one() -> None:
    # The server said so, with 4 inserts, of a write of which nothing was stored.
    async with peer(reference("woql-write-that-reads-own-commits-graph-is-lost")) as made:
        client = made.client()
        with pytest.raises(StoreUnavailable):
            await commit(client, "48x3mdh05y6ucrot1f1y42qvuhfsmxe")
        await client.close()


# Servers that do not answer


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accept, and never answer."""
    await reader.read(-1)


async def trickling(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer a byte at a time, always soon enough for a limit on each read."""
    await read_request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.1)


async def resetting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reset the connection amid the answer."""
    await read_request(reader)
    writer.write(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"@type":')
    await writer.drain()
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def truncating(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Close amid a chunked answer."""
    await read_request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n[1,2]\r\n")
    await writer.drain()


async def hanging_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Close without an answer."""
    await read_request(reader)


@pytest.mark.parametrize("behave", [silent, trickling, resetting, truncating, hanging_up])
async def test_a_request_that_breaks_off_is_unanswered_within_its_time(behave: Behaviour) -> None:
    async with peer(behave) as made:
        store = await open_store(read_url(made.url(seconds=1)))
        for ask in (store.ping, lambda: store.get_database("shop"), lambda: store.list_databases("", 10)):
            began = time.monotonic()
            async with asyncio.timeout(10):
                with pytest.raises(Unanswered):
                    await ask()
            assert time.monotonic() - began < 1 + SLACK_SECONDS
        await store.close()


@pytest.fixture
def full_port() -> Any:
    """A port whose queue of connections is full, so that further ones get no answer at all."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
        for one in waiting:
            one.close()


async def test_a_server_that_takes_no_connections_is_unavailable_within_the_time(full_port: int) -> None:
    store = await open_store(read_url(Peer(full_port, silent).url(seconds=1)))
    began = time.monotonic()
    with pytest.raises(StoreUnavailable) as away:
        await store.ping()
    assert time.monotonic() - began < 1 + SLACK_SECONDS
    assert not isinstance(away.value, Unanswered), "nothing was sent"
    await store.close()


async def test_a_server_that_is_not_there_is_unavailable_at_once_and_nothing_was_sent() -> None:
    async with peer(silent) as gone:
        pass
    store = await open_store(read_url(gone.url()))
    began = time.monotonic()
    with pytest.raises(StoreUnavailable) as away:
        await store.ping()
    assert time.monotonic() - began < SLACK_SECONDS
    assert not isinstance(away.value, Unanswered)
    await store.close()


@pytest.mark.parametrize("behave", [silent, resetting])
async def test_calls_fail_at_once_while_the_server_does_not_answer_and_go_on_once_it_does(behave: Behaviour) -> None:
    async with peer(behave) as made:
        store = await open_store(read_url(made.url(seconds=0.5)))

        async def fails() -> bool:
            try:
                await store.ping()
            except StoreUnavailable:
                return True
            return False

        assert all(await asyncio.gather(*(fails() for _ in range(5))))
        before, began = made.connections, time.monotonic()
        assert all([await fails() for _ in range(20)])
        assert time.monotonic() - began < SLACK_SECONDS
        assert made.connections == before, "while the circuit is open the server is left alone"

        # One call a second is a trial; the others still fail at once.
        async with asyncio.timeout(3):
            while made.connections == before:
                assert all(await asyncio.gather(*(fails() for _ in range(20))))
        assert made.connections == before + 1

        made.behave = WELL
        async with asyncio.timeout(3):
            while await fails():  # noqa: ASYNC110 - no event tells of it
                await asyncio.sleep(0.05)
        assert not any([await fails() for _ in range(5)]), "one answer closes the circuit"
        await store.close()


async def test_refusals_are_answers_and_open_no_circuit() -> None:
    async with peer(reference("read-at-unknown-commit")) as made:
        client = made.client()
        for _ in range(20):
            with pytest.raises(Refused):
                await client.ask("GET", "document/admin/shop")
        assert made.connections == 20
        await client.close()


async def test_a_call_that_is_given_up_leaves_no_connection() -> None:
    async with peer(silent) as made:
        store = await open_store(read_url(made.url(seconds=20)))
        task = asyncio.create_task(store.ping())
        await until(lambda: made.connections == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        made.behave = WELL
        await store.ping()
        await store.close()
