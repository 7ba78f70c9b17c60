"""Publishing over HTTP on a real NATS server."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.events.serving import Nats, ServingGateway

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
BINARY = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/shop", "ce-type": "shop.order"}


def one(id_: str, **members: Any) -> dict[str, Any]:
    return {"specversion": "1.0", "id": id_, "source": "/shop", "type": "shop.order", **members}


@pytest.fixture
async def http(gateway: ServingGateway) -> AsyncIterator[httpx.AsyncClient]:
    allowed = {"authorization": f"Bearer {gateway.token()}"}
    async with httpx.AsyncClient(base_url=gateway.http, headers=allowed) as client:
        yield client


async def test_all_modes_store_events(http: httpx.AsyncClient) -> None:
    binary = await http.post("/v1/events", headers=BINARY | {"content-type": "application/json"}, content=b"{}")
    structured = await http.post("/v1/events", headers={"content-type": STRUCTURED}, json=one("2", data={"a": 1}))
    batch = await http.post("/v1/events", headers={"content-type": BATCH}, json=[one("3"), one("4"), one("2")])
    assert binary.json() == {"results": [{"outcome": "STORED", "sequence": 1}]}
    assert structured.json() == {"results": [{"outcome": "STORED", "sequence": 2}]}
    assert [result["outcome"] for result in batch.json()["results"]] == ["STORED", "STORED", "DUPLICATE"]
    stream = (await http.get("/v1/stream")).json()
    assert (stream["events"], stream["first_sequence"], stream["last_sequence"]) == (4, 1, 4)
    assert (stream["deduplication_window"], stream["replicas"], stream["spool_events"]) == ("120s", 1, 0)


async def test_a_single_event_that_is_refused_is_a_problem(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/events", headers=BINARY | {"ce-source": "no reference"}, content=b"")
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["reason"] == "INVALID_EVENT"
    assert [violation["field"] for violation in problem["violations"]] == ["source"]


async def test_a_batch_has_a_result_for_each_event(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/events", headers={"content-type": BATCH}, json=[one("1"), one("", data=1), 5])
    assert answer.status_code == 200
    first, *refused = answer.json()["results"]
    assert first == {"outcome": "STORED", "sequence": 1}
    assert [result["outcome"] for result in refused] == ["REFUSED", "REFUSED"]
    assert refused[0]["error"]["violations"] == [{"field": "id", "description": "is required"}]


async def test_a_request_without_an_event_is_a_problem(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/events", content=b"{}", headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["reason"]) == (400, "INVALID_REQUEST")


async def test_rights_are_those_of_the_other_door(http: httpx.AsyncClient, gateway: ServingGateway) -> None:
    other = {"authorization": f"Bearer {gateway.token('service:till', ['publish:stock.*'])}"}
    answer = await http.post("/v1/events", headers=BINARY | other)
    assert (answer.status_code, answer.json()["reason"]) == (403, "PERMISSION_DENIED")


async def test_while_nats_is_away_events_are_spooled_unless_they_must_be_stored(
    http: httpx.AsyncClient, nats: Nats
) -> None:
    nats.kill()
    assert (await http.post("/v1/events", headers=BINARY)).json() == {"results": [{"outcome": "SPOOLED"}]}
    answer = await http.post("/v1/events?require_stored=true", headers=BINARY)
    assert (answer.status_code, answer.json()["reason"]) == (503, "BROKER_UNAVAILABLE")
    assert (await http.get("/v1/stream")).status_code == 503
    metrics = (await http.get("/metrics")).text
    assert 'ontomesh_published_events_total{outcome="spooled"} 1.0' in metrics
    assert "ontomesh_spool_events 1.0" in metrics


async def test_openapi_tells_of_all_modes(http: httpx.AsyncClient) -> None:
    document = (await http.get("/openapi.json")).json()
    content = document["paths"]["/v1/events"]["post"]["requestBody"]["content"]
    assert {STRUCTURED, BATCH} < set(content)
    assert "/v1/stream" in document["paths"]
