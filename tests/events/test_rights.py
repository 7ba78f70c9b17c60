"""What of the events reaches whom, by the policy in force at delivery."""

import asyncio

import grpc
import pytest

from ontomesh.events.v1 import cloud_event_pb2, subscription_pb2, subscription_service_pb2
from tests.events.groups import Caller, Consumer, calling, event, reason
from tests.events.serving import OWNER, ServingGateway
from tests.events.test_dead_letters import attempts, letters

ALL = subscription_pb2.StartPoint(all=True)
pytestmark = pytest.mark.timeout(120)


def rule(principal: str, rights: str, databases: str = "", branches: str = "", types: str = "") -> str:
    """A rule of a policy; empty parts are none."""
    lines = [f'principals = ["{principal}"]', f"rights = {rights}"]
    lines += [f'databases = ["{databases or "none"}"]', f'branches = ["{branches or "none"}"]']
    if types:
        lines += [f'types = ["{types}"]', 'subscriptions = ["*"]']
    return "[[rule]]\n" + "\n".join(lines) + "\n"


OWNERS = rule(OWNER, '["*"]', "*", "*")


async def govern(gateway: ServingGateway, *rules: str) -> None:
    """Puts a policy in force."""
    changes = len(_changes(gateway))
    (gateway.home / "policy.toml").write_text("\n".join((OWNERS, *rules)), "utf-8")
    async with calling(gateway) as caller, asyncio.timeout(10):
        while len(_changes(gateway)) == changes:
            async with caller.subscribed():  # the file is looked at when it is needed
                await asyncio.sleep(0.05)


def _changes(gateway: ServingGateway) -> list[object]:
    return [line for line in gateway.logged() if line.get("event") == "policy_changed"]


def commit(id_: str, branch: str, type_: str = "ontomesh.document.Person") -> cloud_event_pb2.CloudEvent:
    """A kernel event."""
    attributes = {"database": "staff", "branch": branch, "operation": "insert", "commit": "c", "subject": "Person/ana"}
    made = event(id_, type_=type_, author="user:ana", **attributes, **{"class": "Person", "ancestors": "Agent"})
    made.source = f"/databases/staff/branches/{branch}"
    made.attributes["datacontenttype"].ce_string = "application/json"
    made.text_data = (
        '{"id": "Person/ana", "class": "Person", "operation": "insert", "changed": ["name"], "commit": "c"}'
    )
    return made


async def test_kernel_events_of_branches_that_the_owner_may_not_read_never_arrive(gateway: ServingGateway) -> None:
    reads_main = rule("user:ben", '["read", "consume"]', "staff", "main", "*")
    await govern(gateway, reads_main)
    async with calling(gateway) as owner, calling(gateway, "user:ben") as ben:
        await ben.create("bens", start=ALL)
        async with ben.consumer("bens") as consumer, ben.subscribed(start=ALL) as stream:
            await owner.publish(commit("1", "main"), commit("2", "secret"), event("3"))
            await _gets(consumer, "1", "3")
            streamed = await stream.read()
            assert [one.event.id for one in streamed.events] == ["1", "3"]
            await govern(gateway, reads_main, rule("user:ben", '["read"]', "staff", "secret"))
            await owner.publish(commit("4", "secret", "ontomesh.ontology.changed"))
            await _gets(consumer, "4")
            await govern(gateway, reads_main)
            await owner.publish(commit("5", "secret"), commit("6", "main"))
            await _gets(consumer, "6")


async def test_dead_letters_and_attempts_tell_nobody_of_events_that_it_may_not_get(gateway: ServingGateway) -> None:
    eves = rule("user:eve", '["read", "consume"]', "staff", "main", "*")
    await govern(gateway, eves)
    async with calling(gateway) as owner, calling(gateway, "user:eve") as eve:
        await owner.create("all", start=ALL)
        await owner.publish(commit("1", "main"), commit("2", "secret"), event("3"))
        async with owner.consumer("all") as consumer:
            for delivery in await consumer.take(3):
                await consumer.reject(delivery)
            assert [one.event.id for one in await letters(owner, "all", 3)] == ["1", "2", "3"]
        assert [one.event.id for one in await letters(eve, "all", 2)] == ["1", "3"]
        await attempts(owner, "all", 3)
        assert {one.event_id for one in await attempts(eve, "all", 2)} == {"1", "3"}


async def test_types_are_held_to_the_rights_that_the_creating_token_named(gateway: ServingGateway) -> None:
    async with (
        calling(gateway) as owner,
        calling(gateway, "user:ben", ["consume:test.a/bens", "consume:test.b/bens"]) as narrow,
        calling(gateway, "user:ben", ["consume:*", "read"]) as wide,
    ):
        await narrow.create("bens", start=ALL)
        async with wide.consumer("bens") as consumer:
            await owner.publish(event("1", type_="test.a"), event("2", type_="test.c"), event("3", type_="test.b"))
            await _gets(consumer, "1", "3")


async def test_only_the_owner_consumes_and_only_it_or_an_administrator_changes(gateway: ServingGateway) -> None:
    async with (
        calling(gateway) as owner,
        calling(gateway, "user:ben", ["consume"]) as ben,
        calling(gateway, "user:eve", ["consume"]) as eve,
        calling(gateway, "user:kim", ["read"]) as kim,
    ):
        await ben.create("bens")
        for other in (owner, eve, kim):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                async with other.consumer("bens"):
                    pass
            assert reason(refused.value) == "PERMISSION_DENIED"
        pause = subscription_service_pb2.PauseSubscriptionRequest(name="bens")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await eve.call(eve.subscriptions.PauseSubscription, pause)
        assert reason(refused.value) == "PERMISSION_DENIED"
        await owner.call(owner.subscriptions.PauseSubscription, pause)
        assert await _listed(eve) == ["bens"]
        assert await _listed(kim) == []


async def _gets(consumer: Consumer, *expected: str) -> None:
    got = await consumer.take(len(expected))
    assert [one.event.id for one in got] == list(expected)
    await consumer.ack(*got)


async def _listed(caller: Caller) -> list[str]:
    request = subscription_service_pb2.ListSubscriptionsRequest()
    answer = await caller.call(caller.subscriptions.ListSubscriptions, request)
    return [one.name for one in answer.subscriptions]
