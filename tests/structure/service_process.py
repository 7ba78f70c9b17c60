"""A service run from a prefix as an operator would run it, and just enough of a client to try it."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2

from ontomesh.events.v1 import cloud_event_pb2, publish_service_pb2, publish_service_pb2_grpc
from ontomesh.kernel.v1 import (
    commit_pb2,
    commit_service_pb2,
    commit_service_pb2_grpc,
    database_pb2,
    database_service_pb2,
    database_service_pb2_grpc,
    document_service_pb2,
    document_service_pb2_grpc,
    ontology_pb2,
)
from ontomesh_chassis.keys import generate_signing_key, mint, public_jwks
from tests.structure.prefix import Prefix

START_SECONDS = 30
CALL_SECONDS = 10
POLICY = """
[[rule]]
principals = ["user:ana"]
rights = ["*"]
databases = ["*"]
branches = ["*"]
"""


@dataclass(frozen=True)
class ServiceProcess:
    """A running service, with a channel to its gRPC door and a token that may do everything."""

    process: asyncio.subprocess.Process
    channel: grpc.aio.Channel
    token: str

    @classmethod
    @asynccontextmanager
    async def start(cls, prefix: Prefix, command: str, home: Path, **settings: str) -> AsyncIterator[Self]:
        """A service with its data below `home`; killed at the end if it still runs."""
        key = generate_signing_key()
        (home / "keys.json").write_text(json.dumps(public_jwks(key)), "utf-8")
        (home / "policy.toml").write_text(POLICY, "utf-8")
        reading, writing = os.pipe()
        process = await asyncio.create_subprocess_exec(
            prefix.path / "bin" / command,
            env={"ONTOMESH_HOME": str(home), "ONTOMESH_READY_FD": str(writing), **settings},
            cwd=home,
            pass_fds=[writing],
            stdout=sys.stderr,
        )
        os.close(writing)
        try:
            addresses = await asyncio.wait_for(_ready(reading), START_SECONDS)
            async with grpc.aio.insecure_channel(addresses["grpc"]) as channel:
                yield cls(process, channel, mint(key, "user:ana"))
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def healthy(self) -> bool:
        """Whether the service says that it serves; asked without a token."""
        # Called by name: the stub of grpc_health is not typed.
        check = self.channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        answer = await check(health_pb2.HealthCheckRequest(), timeout=CALL_SECONDS)
        return answer.status == health_pb2.HealthCheckResponse.SERVING

    async def stop(self) -> int:
        """The exit code after a polite end (SIGTERM)."""
        self.process.terminate()
        return await self.process.wait()

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What its token says for a call."""
        return (("authorization", f"Bearer {self.token}"),)


class KernelProcess(ServiceProcess):
    """A running kernel."""

    @classmethod
    def serve(cls, prefix: Prefix, home: Path) -> AbstractAsyncContextManager["KernelProcess"]:
        """A kernel on free ports."""
        free = {"ONTOMESH_KERNEL_GRPC_PORT": "0", "ONTOMESH_KERNEL_HTTP_PORT": "0"}
        return cls.start(prefix, "ontomesh-data-kernel", home, **free)

    async def create_database(self, name: str) -> None:
        """Makes an empty database."""
        stub = database_service_pb2_grpc.DatabaseServiceStub(self.channel)
        request = database_service_pb2.CreateDatabaseRequest(database=database_pb2.Database(name=name))
        await stub.CreateDatabase(request, timeout=CALL_SECONDS, metadata=self.metadata)

    async def commit(self, database: str, body: Mapping[str, object], schema: Sequence[Mapping[str, object]]) -> None:
        """Commits classes and a document of them to the branch `main`."""
        insert = commit_pb2.InsertOperation(body=json.dumps(body).encode())
        request = commit_service_pb2.CreateCommitRequest(
            database=database,
            branch="main",
            message="One document",
            operations=[commit_pb2.Operation(insert=insert)],
            ontology=ontology_pb2.OntologyChange(
                schema=json.dumps(schema).encode(), mode=ontology_pb2.OntologyChange.MODE_UPSERT
            ),
        )
        stub = commit_service_pb2_grpc.CommitServiceStub(self.channel)
        await stub.CreateCommit(request, timeout=CALL_SECONDS, metadata=self.metadata)

    async def get(self, database: str, identifier: str) -> bytes:
        """The body of a document at the head of `main`."""
        stub = document_service_pb2_grpc.DocumentServiceStub(self.channel)
        request = document_service_pb2.GetDocumentRequest(database=database, ref="main", id=identifier)
        answer = await stub.GetDocument(request, timeout=CALL_SECONDS, metadata=self.metadata)
        return answer.document.body


class GatewayProcess(ServiceProcess):
    """A running event gateway whose broker is away."""

    @classmethod
    def serve(cls, prefix: Prefix, home: Path) -> AbstractAsyncContextManager["GatewayProcess"]:
        """A gateway on free ports; nothing listens at the discard port, where it looks for NATS."""
        free = {"ONTOMESH_EVENTS_GRPC_PORT": "0", "ONTOMESH_EVENTS_HTTP_PORT": "0"}
        return cls.start(prefix, "ontomesh-event-gateway", home, ONTOMESH_NATS_URL="nats://127.0.0.1:9", **free)

    async def publish(self, type: str) -> str:
        """What became of an event of the type."""
        event = cloud_event_pb2.CloudEvent(id="1", source="/tried", type=type)
        stub = publish_service_pb2_grpc.PublishServiceStub(self.channel)
        request = publish_service_pb2.PublishRequest(events=[event])
        answer = await stub.Publish(request, timeout=CALL_SECONDS, metadata=self.metadata)
        return publish_service_pb2.PublishResult.Outcome.Name(answer.results[0].outcome)


async def _ready(descriptor: int) -> dict[str, str]:
    """The addresses that a service writes to its ready descriptor; an error if it ends without."""
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, os.fdopen(descriptor, "rb"))
    try:
        line = await reader.readline()
    finally:
        transport.close()
    assert line, "the service ended before it was ready"
    addresses: dict[str, str] = json.loads(line)
    return addresses
