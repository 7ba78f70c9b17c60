import json
from pathlib import Path

import grpc
import pytest
from sdk.tests.client.kernel import Kernel, Refused, refusal, serving

from ontomesh.kernel.v1 import document_service_pb2
from ontomesh.sdk import AsyncMesh, connect
from ontomesh.sdk.channel import service_config
from ontomesh.sdk.errors import Draining, NotFound


def away() -> Refused:
    return refusal("UNAVAILABLE", "DRAINING")


async def test_a_read_is_repeated_until_the_server_answers(mesh: AsyncMesh, kernel: Kernel) -> None:
    kernel.failures["GetDocument"] = [away(), Refused(grpc.StatusCode.UNAVAILABLE)]
    assert (await mesh.database("catalog").get("Package/a")).id == "Package/a"
    assert len(kernel.calls("GetDocument")) == 3


async def test_a_write_is_repeated_under_the_same_request_id(mesh: AsyncMesh, kernel: Kernel) -> None:
    kernel.failures["CreateCommit"] = [away(), away()]
    await mesh.database("catalog").insert({"@type": "Package"})
    calls = kernel.calls("CreateCommit")
    assert len(calls) == 3
    assert len({call.request.request_id for call in calls}) == 1


async def test_tries_end(mesh: AsyncMesh, kernel: Kernel) -> None:
    kernel.failures["GetDocument"] = [away() for _ in range(9)]
    with pytest.raises(Draining):
        await mesh.database("catalog").get("Package/a")
    assert len(kernel.calls("GetDocument")) == 4


@pytest.mark.parametrize("method", ["DeleteBranch", "DeleteDatabase", "UpdateDatabase"])
async def test_what_has_no_request_id_is_tried_once(mesh: AsyncMesh, kernel: Kernel, method: str) -> None:
    kernel.failures[method] = [away(), away()]
    calls = {
        "DeleteBranch": mesh.database("catalog").delete_branch("feature"),
        "DeleteDatabase": mesh.databases.delete("catalog"),
        "UpdateDatabase": mesh.databases.update("catalog", description=""),
    }
    wanted = calls.pop(method)
    for other in calls.values():
        other.close()
    with pytest.raises(Draining):
        await wanted
    assert len(kernel.calls(method)) == 1


async def test_what_the_server_refuses_is_not_repeated(mesh: AsyncMesh, kernel: Kernel) -> None:
    kernel.failures["GetDocument"] = [refusal("NOT_FOUND", "DOCUMENT_NOT_FOUND")]
    with pytest.raises(NotFound):
        await mesh.database("catalog").get("Package/a")
    assert len(kernel.calls("GetDocument")) == 1


async def test_retries_can_be_switched_off(kernel: Kernel, home: Path) -> None:
    kernel.failures["GetDocument"] = [away()]
    async with connect(kernel.address, retries=False) as mesh:
        with pytest.raises(Draining):
            await mesh.database("catalog").get("Package/a")
    assert len(kernel.calls("GetDocument")) == 1


async def test_a_restarted_server_is_found_again(home: Path) -> None:
    with serving() as kernel:
        port = int(kernel.address.rpartition(":")[2])
        async with connect(kernel.address) as mesh:
            await mesh.database("catalog").get("Package/a")
    with serving(port=port) as kernel:
        async with connect(kernel.address) as mesh:
            assert (await mesh.database("catalog").get("Package/a")).id == "Package/a"


async def test_calls_are_spread_over_all_servers_of_a_target(home: Path) -> None:
    with serving() as one, serving() as two:
        async with connect(f"ipv4:{one.address},{two.address}") as mesh:
            for _ in range(50):
                await mesh.raw.documents.GetDocument(
                    document_service_pb2.GetDocumentRequest(id="Package/a"), wait_for_ready=True
                )
                if one.seen and two.seen:
                    break
        assert one.seen
        assert two.seen


def test_the_service_config_throttles_retries_and_balances_load() -> None:
    config = json.loads(service_config(retries=True))
    assert config["loadBalancingConfig"] == [{"round_robin": {}}]
    assert config["retryThrottling"]["maxTokens"] > 0
    assert config["methodConfig"][0]["retryPolicy"]["retryableStatusCodes"] == ["UNAVAILABLE", "CANCELLED"]
    assert "methodConfig" not in json.loads(service_config(retries=False))
