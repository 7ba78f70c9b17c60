import json
import re
from pathlib import Path

import grpc
import pytest
from sdk.tests.events.gateway import Gateway

from ontomesh.cli.hints import hint_for
from ontomesh.events.v1.error_reason_pb2 import ErrorReason
from ontomesh.events.v1.event_type_service_pb2 import GetEventStreamRequest
from ontomesh.sdk import AsyncMesh, connect, errors
from ontomesh.sdk.config import find_events_address
from ontomesh.sdk.errors import EVENT_REASONS, GROUPS
from ontomesh.sdk.events import Event
from ontomesh.sdk.mesh import AsyncMesh as Client
from ontomesh.sdk.settings import Settings

CONTRACT = Path(__file__).parents[3] / "proto" / "ontomesh" / "events" / "v1" / "error_reason.proto"
SELF_EXPLAINING = {"INVALID_REQUEST", "INVALID_PAGE_TOKEN", "INVALID_EVENT", "DATA_VIOLATION", "INVALID_SCHEMA"}


def codes_of_the_contract() -> dict[str, str]:
    """The gRPC code that stands in brackets before each reason."""
    codes: dict[str, str] = {}
    code = ""
    for line in CONTRACT.read_text("utf-8").splitlines():
        if stated := re.match(r"\s+// \[([A-Z_]+)\]", line):
            code = stated[1]
        elif named := re.match(r"\s+ERROR_REASON_(\w+) = [1-9]", line):
            codes[named[1]] = code
    return codes


def test_every_reason_has_a_class_of_its_name_and_code() -> None:
    codes = codes_of_the_contract()
    assert set(EVENT_REASONS) == set(codes)
    assert set(codes) == {name.removeprefix("ERROR_REASON_") for name, number in ErrorReason.items() if number}
    for reason, kind in EVENT_REASONS.items():
        assert kind.__name__ == "".join(word.capitalize() for word in reason.split("_"))
        assert issubclass(kind, GROUPS[grpc.StatusCode[codes[reason]]])


def test_every_reason_that_does_not_explain_itself_has_a_hint() -> None:
    metadata = {"right": "publish", "type": "a", "principal": "user:ana"}
    for reason in set(EVENT_REASONS) - SELF_EXPLAINING:
        assert hint_for(reason, metadata), reason


def test_the_gateway_is_found_as_the_kernel_is(tmp_path: Path) -> None:
    assert find_events_address(None, tmp_path, {}) == "127.0.0.1:50053"
    (tmp_path / "client.json").write_text(json.dumps({"address": "k:1", "events": "home:1"}))
    assert find_events_address(None, tmp_path, {}) == "home:1"
    assert find_events_address(None, tmp_path, {"ONTOMESH_EVENTS_ADDRESS": "variable:1"}) == "variable:1"
    assert find_events_address("given:1", tmp_path, {"ONTOMESH_EVENTS_ADDRESS": "variable:1"}) == "given:1"
    (tmp_path / "client.json").write_text(json.dumps({"events": 7}))
    with pytest.raises(errors.ConfigurationError, match="does not name an `events`"):
        find_events_address(None, tmp_path, {})


async def test_a_mesh_without_a_gateway_says_so() -> None:
    mesh = Client(Settings(address="the store in this process", channel=lambda: grpc.aio.insecure_channel("x:1")))
    with pytest.raises(errors.ConfigurationError, match="need an event gateway"):
        _ = mesh.events
    with pytest.raises(errors.ConfigurationError, match="need an event gateway"):
        _ = mesh.raw.events
    await mesh.close()


async def test_a_gateway_that_is_away_is_named_and_the_kernel_is_not_blamed(home: Path) -> None:
    async with connect("127.0.0.1:1", events_address="127.0.0.1:2", timeout=10) as mesh:
        with pytest.raises(errors.ConnectionFailed, match=r"cannot reach the event gateway at 127\.0\.0\.1:2"):
            await mesh.events.publish(Event.of("a"))


async def test_a_gateway_that_is_away_does_not_open_the_circuit_of_the_kernel(home: Path, gateway: Gateway) -> None:
    async with connect(gateway.address, events_address="127.0.0.1:2", retries=False) as mesh:
        for _ in range(6):
            with pytest.raises(errors.Unavailable):
                await mesh.events.stream()
        with pytest.raises(errors.CircuitOpen, match="the event gateway"):
            await mesh.events.stream()
        with pytest.raises(errors.Unimplemented):
            await mesh.databases.get("catalog")


async def test_the_stubs_get_the_same_token_and_errors(gateway: Gateway, home: Path) -> None:
    async with connect("127.0.0.1:1", events_address=gateway.address, token="secret") as mesh:
        answer = await mesh.raw.events.types.GetEventStream(GetEventStreamRequest())
        assert answer.sync_interval == "always"
        await mesh.events.publish(Event.of("a"))
    assert {metadata["authorization"] for _, metadata in gateway.seen} == {"Bearer secret"}


async def test_events_of_a_program_have_its_name_as_their_source(gateway: Gateway, home: Path) -> None:
    async with connect("127.0.0.1:1", events_address=gateway.address) as mesh:
        assert mesh.events.source.startswith("/programs/")
        await mesh.events.publish(Event.of("a"))
        assert gateway.memory.stream[0].event.source == mesh.events.source


async def test_nothing_connects_before_events_are_used(gateway: Gateway, mesh: AsyncMesh) -> None:
    _ = mesh.events
    assert gateway.seen == []
