"""A commit of 20,000 documents: each one's event arrives, and neither kernel nor gateway holds them all at once."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from ontomesh.events.v1 import subscription_pb2
from ontomesh.sdk import connect
from ontomesh_chassis.home import ServiceToken, create_home_identity, create_service_tokens
from tests.contract.serving import OWNER, serving
from tests.events.serving import Nats, serving_gateway
from tests.events.stubs import Events, attribute

pytestmark = pytest.mark.xdist_group("events-large")

DOCUMENTS = 20_000
BODY_BYTES = 2_000
GROWTH_MB = 36
"""Less than the bodies take together."""
SCHEMA = [
    {
        "@type": "Class",
        "@id": "Part",
        "@key": {"@type": "Lexical", "@fields": ["name"]},
        "name": "xsd:string",
        "pad": "xsd:string",
    }
]


class Watch:
    """The most memory that a process has taken beyond what it had at first."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._first = self._process.memory_info().rss
        self.growth_mb = 0.0

    def look(self) -> None:
        self.growth_mb = max(self.growth_mb, (self._process.memory_info().rss - self._first) / 1e6)


@asynccontextmanager
async def watching(*watches: Watch) -> AsyncIterator[None]:
    async def look() -> None:
        while True:
            for watch in watches:
                watch.look()
            await asyncio.sleep(0.02)

    task = asyncio.create_task(look())
    try:
        yield
    finally:
        task.cancel()


def write_parts(path: Path) -> None:
    pad = "x" * BODY_BYTES
    lines = (json.dumps({"@type": "Part", "name": f"p{number}", "pad": pad}) for number in range(DOCUMENTS))
    path.write_text("\n".join(lines) + "\n", "utf-8")


@pytest.mark.timeout(180)
async def test_20_000_documents_of_one_commit_become_20_000_events_in_bounded_memory(
    tmp_path: Path, nats: Nats
) -> None:
    home, parts = tmp_path / "home", tmp_path / "parts.ndjson"
    create_home_identity(home, OWNER.removeprefix("user:"))
    create_service_tokens(home, [ServiceToken("relay.token", "service:relay", ("publish:ontomesh.*",))])
    await asyncio.to_thread(write_parts, parts)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    relaying = {
        "ONTOMESH_EVENTS_ADDRESS": f"127.0.0.1:{port}",
        "ONTOMESH_STORE": f"sqlite:///{home / 'data' / 'kernel.db'}",
        "ONTOMESH_LOG_LEVEL": "INFO",
    }
    async with serving(home, **relaying) as kernel, connect(kernel.grpc, home=home) as mesh:
        await mesh.databases.create("large")
        await mesh.database("large").apply_ontology(SCHEMA)
        await mesh.database("large").import_documents(parts)
        commit = await mesh.database("large").show()
        assert commit.change_count == DOCUMENTS
        # The gateway comes only now, so that what the import itself takes does not count.
        in_kernel = Watch(kernel.process.pid)
        async with serving_gateway(home, nats, ONTOMESH_EVENTS_GRPC_PORT=str(port)) as gateway:
            in_gateway = Watch(gateway.process.pid)
            events = Events(gateway.grpc, gateway.token())
            async with watching(in_kernel, in_gateway), asyncio.timeout(120):
                subjects = await subjects_of(events, commit.id)
            await events.close()
    assert sorted(subjects) == sorted(f"Part/p{number}" for number in range(DOCUMENTS))
    assert in_kernel.growth_mb < GROWTH_MB
    assert in_gateway.growth_mb < GROWTH_MB


async def subjects_of(events: Events, commit: str) -> list[str]:
    """The subjects of a commit's events, as many as there are documents."""
    found: list[str] = []
    async for one in events.stream(subscription_pb2.Filter(classes=["Part"])):
        assert attribute(one.event, "commit") == commit
        found.append(attribute(one.event, "subject"))
        if len(found) == DOCUMENTS:
            break
    return found
