"""Subscriptions as resources."""

from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from google.protobuf.duration_pb2 import Duration

from ontomesh.events.v1 import subscription_pb2, subscription_service_pb2
from tests.events.groups import Caller, calling, event, fields_of, reason
from tests.events.serving import Nats, ServingGateway, serving_gateway

ALL = subscription_pb2.StartPoint(all=True)
pytestmark = pytest.mark.timeout(120)


async def get(caller: Caller, name: str) -> subscription_pb2.Subscription:
    """A subscription."""
    request = subscription_service_pb2.GetSubscriptionRequest(name=name)
    answer: subscription_service_pb2.GetSubscriptionResponse = await caller.call(
        caller.subscriptions.GetSubscription, request
    )
    return answer.subscription


async def listed(caller: Caller, **fields: Any) -> tuple[list[str], str]:
    """A page of names, and the token for the next."""
    request = subscription_service_pb2.ListSubscriptionsRequest(**fields)
    page = await caller.call(caller.subscriptions.ListSubscriptions, request)
    return [one.name for one in page.subscriptions], page.next_page_token


async def test_a_subscription_is_made_with_defaults_found_changed_and_deleted(gateway: ServingGateway) -> None:
    async with calling(gateway) as caller:
        request = subscription_service_pb2.CreateSubscriptionRequest(
            subscription=subscription_pb2.Subscription(name="a.b-c_1", owner="user:eve", paused=True)
        )
        made = (await caller.call(caller.subscriptions.CreateSubscription, request)).subscription
        assert made == await get(caller, "a.b-c_1")
        assert (made.owner, made.paused, made.ack_deadline.seconds) == ("user:ana", False, 30)
        assert (made.max_attempts, made.max_outstanding) == (10, 1_000)
        assert made.ordering == subscription_pb2.ORDERING_UNORDERED
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await caller.call(caller.subscriptions.CreateSubscription, request)
        assert reason(refused.value) == "SUBSCRIPTION_ALREADY_EXISTS"
        changed = await caller.update("a.b-c_1", ["labels", "max_attempts"], labels={"x": "y"}, etag=made.etag)
        assert (dict(changed.labels), changed.max_attempts) == ({"x": "y"}, 10)
        assert changed.etag != made.etag
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await caller.update("a.b-c_1", ["description"], description="x", etag=made.etag)
        assert reason(refused.value) == "ETAG_MISMATCH"
        delete = subscription_service_pb2.DeleteSubscriptionRequest(name="a.b-c_1", etag=made.etag)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await caller.call(caller.subscriptions.DeleteSubscription, delete)
        assert reason(refused.value) == "ETAG_MISMATCH"
        delete.etag = changed.etag
        await caller.call(caller.subscriptions.DeleteSubscription, delete)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await get(caller, "a.b-c_1")
        assert reason(refused.value) == "SUBSCRIPTION_NOT_FOUND"


async def test_a_new_subscription_of_an_old_name_has_nothing_of_the_old_one(gateway: ServingGateway) -> None:
    async with calling(gateway) as caller:
        await caller.create("again", start=ALL)
        await caller.publish(event(1), event(2))
        async with caller.consumer("again") as consumer:
            first, second = await consumer.take(2)
            await consumer.reject(first)
            await consumer.ack(second)
        delete = subscription_service_pb2.DeleteSubscriptionRequest(name="again")
        await caller.call(caller.subscriptions.DeleteSubscription, delete)
        await caller.create("again", start=ALL)
        status = await caller.status("again")
        assert (status.pending, status.dead_letters, status.acknowledged_sequence) == (2, 0, 0)
        async with caller.consumer("again") as consumer:
            assert [one.attempt for one in await consumer.take(2)] == [1, 1]


async def test_pages_are_by_name_and_by_label(gateway: ServingGateway) -> None:
    async with calling(gateway) as caller:
        for name in ("c", "a", "d", "b"):
            await caller.create(name, labels={"hook": "1"} if name in "ad" else {})
        first, token = await listed(caller, page_size=3)
        assert (first, await listed(caller, page_size=3, page_token=token)) == (["a", "b", "c"], (["d"], ""))
        assert await listed(caller, labels={"hook": "1"}) == (["a", "d"], "")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await listed(caller, page_token=token, labels={"hook": "1"})
        assert reason(refused.value) == "INVALID_PAGE_TOKEN"


MALFORMED: list[tuple[dict[str, Any], str]] = [
    ({"name": ""}, "subscription.name"),
    ({"name": "-x"}, "subscription.name"),
    ({"name": "x" * 129}, "subscription.name"),
    ({"name": "@publish"}, "subscription.name"),
    ({"description": "x" * 4_097}, "subscription.description"),
    ({"ack_deadline": Duration(seconds=3_601)}, "subscription.ack_deadline"),
    ({"ack_deadline": Duration(nanos=1)}, "subscription.ack_deadline"),
    ({"ack_deadline": Duration(seconds=1, nanos=-1)}, "subscription.ack_deadline"),
    ({"max_attempts": 1_001}, "subscription.max_attempts"),
    ({"max_attempts": -1}, "subscription.max_attempts"),
    ({"max_outstanding": 10_001}, "subscription.max_outstanding"),
    ({"ordering": 7}, "subscription.ordering"),
    ({"attempt_records": 7}, "subscription.attempt_records"),
    ({"labels": {"": "x"}}, "subscription.labels"),
    ({"labels": {str(number): "" for number in range(65)}}, "subscription.labels"),
    ({"filter": subscription_pb2.Filter(types=["a", ""])}, "subscription.filter.types[1]"),
    ({"filter": subscription_pb2.Filter(types=["a"] * 101)}, "subscription.filter.types"),
    ({"filter": subscription_pb2.Filter(operations=["update"])}, "subscription.filter.operations[0]"),
    ({"filter": subscription_pb2.Filter(classes=["Per*"])}, "subscription.filter.classes[0]"),
    (
        {"filter": subscription_pb2.Filter(attributes=[subscription_pb2.AttributeFilter(name="X", patterns=["*"])])},
        "subscription.filter.attributes[0].name",
    ),
    ({"start": subscription_pb2.StartPoint(sequence=0)}, "subscription.start.sequence"),
    ({"start": subscription_pb2.StartPoint(only_new=False)}, "subscription.start.only_new"),
]


async def test_what_is_malformed_is_refused_by_its_field(gateway: ServingGateway) -> None:
    async with calling(gateway) as caller:
        for fields, named in MALFORMED:
            request = subscription_service_pb2.CreateSubscriptionRequest(
                subscription=subscription_pb2.Subscription(**{"name": "x", **fields})
            )
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await caller.call(caller.subscriptions.CreateSubscription, request)
            assert (reason(refused.value), fields_of(refused.value)) == ("INVALID_REQUEST", [named])


async def test_what_cannot_be_changed_is_refused(gateway: ServingGateway) -> None:
    async with calling(gateway) as caller:
        await caller.create("x")
        for mask, named in ((["ordering"], "update_mask.paths[0]"), ([], "update_mask")):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await caller.update("x", mask)
            assert fields_of(refused.value) == [named]


async def test_subscriptions_can_be_read_while_the_broker_is_away_and_not_be_made(
    nats: Nats, gateway: ServingGateway
) -> None:
    async with calling(gateway) as caller:
        made = await caller.create("x")
        nats.kill()
        assert await get(caller, "x") == made
        assert await listed(caller) == (["x"], "")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await caller.create("y")
        assert reason(refused.value) == "BROKER_UNAVAILABLE"
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            async with caller.consumer("x"):
                pass
        assert reason(refused.value) == "BROKER_UNAVAILABLE"


async def test_subscriptions_outlive_gateways(tmp_path: Path, nats: Nats) -> None:
    async with serving_gateway(tmp_path / "home", nats) as gateway, calling(gateway) as caller:
        made = await caller.create("x", start=ALL)
    async with serving_gateway(tmp_path / "home", nats) as gateway, calling(gateway) as caller:
        assert await get(caller, "x") == made


async def test_the_http_door_shows_and_steers_subscriptions(gateway: ServingGateway) -> None:
    async with calling(gateway) as caller:
        await caller.create("x", start=ALL, labels={"a": "b"})
        await caller.publish(event(1))
        async with caller.consumer("x") as consumer:
            await consumer.reject((await consumer.take(1))[0], "bad")
            headers = {"authorization": f"Bearer {gateway.token()}"}
            async with httpx.AsyncClient(base_url=gateway.http, headers=headers) as http:
                while not (found := (await http.get("/v1/subscriptions/x/dead-letters")).json()["dead_letters"]):
                    pass
                assert (found[0]["error"], found[0]["event"]["data"]) == ("bad", {"number": "1"})
                page = (await http.get("/v1/subscriptions", params={"label": "a=b"})).json()
                assert [one["name"] for one in page["subscriptions"]] == ["x"]
                assert (await http.get("/v1/subscriptions/x")).json() == page["subscriptions"][0]
                status = (await http.get("/v1/subscriptions/x/status")).json()
                assert (status["dead_letters"], status["consumers"]) == (1, 1)
                redriven = await http.post("/v1/subscriptions/x/dead-letters:redrive", json={"ids": [found[0]["id"]]})
                assert redriven.json() == {"count": 1}
                await consumer.take(1)
                assert (await http.post("/v1/subscriptions/x:pause")).json()["paused"] is True
                assert "paused" not in (await http.post("/v1/subscriptions/x:resume")).json()
                moved = await http.post("/v1/subscriptions/x:replay", json={"all": True})
                assert moved.status_code == 200
                missing = await http.get("/v1/subscriptions/y")
                assert (missing.status_code, missing.json()["reason"]) == (404, "SUBSCRIPTION_NOT_FOUND")
                metrics = (await http.get("/metrics")).text
                for name in ("consumer_lag_events", "outstanding_events", "attached_consumers", "dead_letters_total"):
                    assert f'ontomesh_{name}{{subscription="x"}}' in metrics
