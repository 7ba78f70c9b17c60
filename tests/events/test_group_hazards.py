"""What may go wrong with groups beside their members' own doings: credit, partitions of the network, replays, leavings."""

import asyncio
import shutil
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import orjson
import pytest
from nats.aio.client import Client

from ontomesh.events.v1 import consume_service_pb2, subscription_pb2, subscription_service_pb2
from tests.events.groups import Caller, calling, event, eventually, published, reason
from tests.events.serving import Nats, ServingGateway, running_nats, serving_gateway, until
from tests.events.test_dead_letters import letters
from tests.events.wires import cut_wire

ALL = subscription_pb2.StartPoint(all=True)
BY_KEY = subscription_pb2.ORDERING_BY_KEY
pytestmark = pytest.mark.timeout(120)


async def test_what_waits_for_credit_has_not_been_tried(gateway: ServingGateway) -> None:
    async with calling(gateway) as caller:
        await caller.create("group", seconds=1, start=ALL, ordering=BY_KEY, max_attempts=2)
        await caller.publish(*[event(number, f"key{number}") for number in range(12)])
        async with caller.consumer("group", credit=1) as consumer:
            first = (await consumer.take(1))[0]
            for _ in range(20):
                await asyncio.sleep(0.25)
                await consumer.progress(first)
            await consumer.ack(first)
            await consumer.grant(100)
            rest = await consumer.until(lambda arrived: len({one.event.id for one in arrived}) == 11, seconds=10)
            assert {one.attempt for one in rest} == {1}
            await consumer.ack(*rest)
        assert await letters(caller, "group", 0) == []


async def test_a_new_member_gets_what_waits_for_credit(gateway: ServingGateway) -> None:
    async with calling(gateway) as caller:
        await caller.create("group", seconds=600, start=ALL)
        async with caller.consumer("group", credit=5) as full:
            async with caller.consumer("group", credit=5):
                pass
            await caller.publish(*[event(number) for number in range(10)])
            await full.take(5)
            async with caller.consumer("group", credit=5) as free:
                assert {one.attempt for one in await free.take(5, seconds=5)} == {1}


async def test_members_elsewhere_get_what_waits_for_credit_here(tmp_path: Path, nats: Nats) -> None:
    home = tmp_path / "home"
    async with (
        serving_gateway(home, nats) as first,
        serving_gateway(home, nats, ONTOMESH_SPOOL=str(tmp_path / "spool")) as second,
        calling(first) as one,
        calling(second) as other,
    ):
        await one.create("group", seconds=600, start=ALL, ordering=BY_KEY)
        await one.publish(*[event(number, f"key{number}") for number in range(12)])
        async with one.consumer("group", credit=1) as full:
            await full.take(1)
            async with other.consumer("group") as free:
                got = await free.until(lambda arrived: len({one.event.id for one in arrived}) >= 6, seconds=10)
                assert {each.attempt for each in got} == {1}


async def test_members_with_all_the_credit_there_can_be_get_each_event_once(gateway: ServingGateway) -> None:
    async with calling(gateway) as caller, AsyncExitStack() as stack:
        await caller.create("group", start=ALL)
        consumers = [await stack.enter_async_context(caller.consumer("group", credit=10_000)) for _ in range(60)]
        for start in range(0, 2_000, 200):
            await caller.publish(*[event(number) for number in range(start, start + 200)])
            await until(lambda: sum(len(consumer.arrived) for consumer in consumers) >= 200, seconds=20)
            arrived = [one for consumer in consumers for one in consumer.arrived]
            assert Counter(one.event.id for one in arrived) == {str(at): 1 for at in range(start, start + 200)}
            assert {one.attempt for one in arrived} == {1}
            for consumer in consumers:
                await consumer.ack(*consumer.arrived)
                consumer.arrived.clear()


async def test_a_member_that_does_not_read_holds_up_no_other(gateway: ServingGateway) -> None:
    async with calling(gateway) as caller, calling(gateway) as reader:
        await caller.create("group", seconds=3, start=ALL)
        stream: Any = caller.consuming.Consume(metadata=caller.metadata)
        begin = consume_service_pb2.ConsumeStart(subscription="group", credit=1_000)
        await stream.write(consume_service_pb2.ConsumeRequest(start=begin))
        assert not (await stream.read()).deliveries
        async with reader.consumer("group", credit=1_000) as quick:
            for start in range(0, 120, 6):
                made = [event(number) for number in range(start, start + 6)]
                for one in made:
                    one.text_data = f'"{"x" * 500_000}"'
                await reader.publish(*made)
            got: set[str] = set()
            while len(got) < 110:
                (delivery,) = await quick.take(1, seconds=15)
                got.add(delivery.event.id)
                await quick.ack(delivery)
        stream.cancel()


async def test_a_replay_takes_no_credit_for_what_was_never_sent(gateway: ServingGateway) -> None:
    async with calling(gateway) as caller:
        await caller.create("group", start=ALL, max_outstanding=100)
        for start in range(0, 100, 20):
            made = [event(number) for number in range(start, start + 20)]
            for one in made:
                one.text_data = f'"{"x" * 20_000}"'
            await caller.publish(*made)
        stream: Any = caller.consuming.Consume(metadata=caller.metadata)
        start_request = consume_service_pb2.ConsumeStart(subscription="group", credit=150)
        await stream.write(consume_service_pb2.ConsumeRequest(start=start_request))
        assert not (await stream.read()).deliveries

        async def is_out() -> bool:
            return bool((await caller.status("group")).outstanding == 100)

        await eventually(is_out)
        replay = subscription_service_pb2.ReplaySubscriptionRequest(name="group", start=ALL)
        await caller.call(caller.subscriptions.ReplaySubscription, replay)
        count = 0
        async with asyncio.timeout(15):
            while count < 150:
                got = (await stream.read()).deliveries
                count += len(got)
                ack = consume_service_pb2.ConsumeAck(deliveries=[one.number for one in got])
                await stream.write(consume_service_pb2.ConsumeRequest(ack=ack))
                if count >= 100 and len({one.event.id for one in got}) and got[-1].event.id == "99":
                    break
        assert got[-1].event.id == "99"
        stream.cancel()


async def test_a_large_event_with_a_long_error_becomes_a_dead_letter(tmp_path: Path) -> None:
    async with (
        running_nats(tmp_path / "nats", max_payload="1MB") as nats,
        serving_gateway(tmp_path / "home", nats) as gateway,
        calling(gateway) as caller,
    ):
        await caller.create("group", start=ALL)
        large = event("large")
        large.text_data = f'"{"x" * 1_047_800}"'
        await caller.publish(large)
        async with caller.consumer("group") as consumer:
            await consumer.reject((await consumer.take(1))[0], "ü" * 512)
            (letter,) = await letters(caller, "group", 1)
            assert letter.event == large
            assert letter.error.startswith("ü" * 32)


async def test_a_gateway_that_was_cut_off_does_not_undo_a_changed_filter(tmp_path: Path, nats: Nats) -> None:
    home = tmp_path / "home"
    async with (
        serving_gateway(home, nats) as first,
        cut_wire(nats.port) as wire,
        serving_gateway(
            home, nats, ONTOMESH_SPOOL=str(tmp_path / "spool"), ONTOMESH_NATS_URL=f"nats://127.0.0.1:{wire.port}"
        ) as second,
        calling(first) as one,
        calling(second) as other,
    ):
        await one.create("group", start=ALL, filter=subscription_pb2.Filter(types=["test.a"]))
        await _known(other, "group")
        async with other.consumer("group") as consumer:
            await one.publish(event("a1", type_="test.a"))
            await consumer.ack(*(await consumer.take(1)))
            await wire.cut()
            await one.update("group", ["filter"], filter=subscription_pb2.Filter(types=["test.a", "test.b"]))
            await one.publish(event("b2", type_="test.b"), event("a3", type_="test.a"))
            await wire.mend()
            got = await consumer.take(2, seconds=15)
            assert [each.event.id for each in got] == ["b2", "a3"]


async def test_a_member_is_not_handed_on_to_a_namesake_of_its_subscription(tmp_path: Path, nats: Nats) -> None:
    home = tmp_path / "home"
    async with (
        serving_gateway(home, nats) as first,
        cut_wire(nats.port) as wire,
        serving_gateway(
            home, nats, ONTOMESH_SPOOL=str(tmp_path / "spool"), ONTOMESH_NATS_URL=f"nats://127.0.0.1:{wire.port}"
        ) as second,
        calling(first) as owner,
        calling(second, "user:ben", ["consume:test.*"]) as ben,
    ):
        await ben.create("group", start=ALL)
        async with ben.consumer("group") as consumer:
            await wire.cut()
            delete = subscription_service_pb2.DeleteSubscriptionRequest(name="group")

            async def is_deleted() -> bool:
                try:
                    await owner.call(owner.subscriptions.DeleteSubscription, delete)
                except grpc.aio.AioRpcError as error:
                    return reason(error) != "SUBSCRIPTION_NOT_FOUND" and _fail(error)
                return True

            await eventually(is_deleted)
            await owner.create("group", start=ALL)
            await owner.publish(event("secret"))
            await wire.mend()
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await consumer.ended()
            assert reason(refused.value) == "SUBSCRIPTION_NOT_FOUND"
            assert not consumer.arrived


async def test_changes_at_once_leave_the_broker_with_the_last_of_them(nats: Nats, gateway: ServingGateway) -> None:
    client = await _client(nats)
    async with calling(gateway) as caller:
        await caller.create("group", start=ALL)
        async with caller.consumer("group"):
            pass
        for round_ in range(10):
            types = [f"test.r{round_}.t{number}" for number in range(6)]
            await asyncio.gather(
                *(_changed(caller, "group", subscription_pb2.Filter(types=[type_])) for type_ in types),
                return_exceptions=True,
            )
            request = subscription_service_pb2.GetSubscriptionRequest(name="group")
            held = (await caller.call(caller.subscriptions.GetSubscription, request)).subscription.filter.types
            answer = orjson.loads((await client.request("$JS.API.CONSUMER.LIST.ONTOMESH_EVENTS", b"")).data)
            (subjects,) = [one["config"]["filter_subjects"] for one in answer["consumers"]]
            assert f"ontomesh.ev.*.{held[0].replace('.', '=2E')}" in subjects, round_
    await client.close()


async def test_a_new_subscription_has_nothing_that_a_halfway_deletion_left(nats: Nats, gateway: ServingGateway) -> None:
    client = await _client(nats)
    js = client.jetstream()
    left = event("left").SerializeToString()
    await js.publish("ontomesh.dead.group", left, headers={"Ontomesh-Attempts": "1"})
    await js.publish("ontomesh.rd.group.3", left)
    await client.close()
    async with calling(gateway) as caller:
        await caller.create("group", start=ALL)
        assert await letters(caller, "group", 0) == []
        await caller.publish(event("own"))
        async with caller.consumer("group") as consumer:
            assert [one.event.id for one in await consumer.take(1)] == ["own"]


async def test_readers_that_do_not_read_hold_up_no_drain(tmp_path: Path, nats: Nats) -> None:
    home = tmp_path / "home"
    async with serving_gateway(home, nats, ONTOMESH_SPOOL=str(tmp_path / "spool")) as heir, calling(heir) as other:
        await other.create("group", seconds=600, start=ALL)
        for start in range(0, 100, 20):
            made = [event(number) for number in range(start, start + 20)]
            for one in made:
                one.text_data = f'"{"x" * 20_000}"'
            await other.publish(*made)
        async with serving_gateway(home, nats) as leaving, calling(leaving) as caller:
            await _known(caller, "group")
            stream: Any = caller.consuming.Consume(metadata=caller.metadata)
            start_request = consume_service_pb2.ConsumeStart(subscription="group", credit=100)
            await stream.write(consume_service_pb2.ConsumeRequest(start=start_request))
            assert not (await stream.read()).deliveries
            plain: Any = caller.consuming.Subscribe(
                consume_service_pb2.SubscribeRequest(start=ALL), metadata=caller.metadata
            )
            assert not (await plain.read()).events

            async def is_out() -> bool:
                return bool((await other.status("group")).outstanding == 100)

            await eventually(is_out)
            leaving.terminate()
            async with other.consumer("group") as again:
                await again.take(100, seconds=10)
            # It ends in time, and says that there was one who did not hear of it.
            assert await leaving.ended() in {0, 1}


async def test_a_broker_that_comes_back_empty_ends_what_was_there(nats: Nats, gateway: ServingGateway) -> None:
    async with calling(gateway) as caller:
        await caller.create("group", start=ALL)
        await caller.publish(*[event(number) for number in range(5)])
        async with caller.consumer("group") as consumer, caller.subscribed(start=ALL) as stream:
            await consumer.ack(*(await consumer.take(5)))
            count = 0
            while count < 5:
                count += len((await stream.read()).events)
            nats.stop()
            shutil.rmtree(nats.folder / "data")
            await nats.start()
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await consumer.ended()
            assert reason(refused.value) == "SUBSCRIPTION_NOT_FOUND"
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await asyncio.wait_for(stream.read(), 20)
            assert reason(refused.value) == "START_NOT_RETAINED"
        assert any("was lost and made anew: 1 records" in str(line) for line in gateway.logged())
        await caller.create("group", start=ALL)
        await published(caller, "new")
        async with caller.consumer("group") as consumer:
            assert [one.event.id for one in await consumer.take(1)] == ["new"]


def _fail(error: Exception) -> bool:
    raise error


async def _client(nats: Nats) -> Client:
    client = Client()
    await client.connect(nats.url, token=nats.token)
    return client


async def _changed(caller: Caller, name: str, filter_: subscription_pb2.Filter) -> None:
    await caller.update(name, ["filter"], filter=filter_)


async def _known(caller: Caller, name: str) -> None:
    request = subscription_service_pb2.GetSubscriptionRequest(name=name)

    async def is_known() -> bool:
        try:
            await caller.call(caller.subscriptions.GetSubscription, request)
        except grpc.aio.AioRpcError as error:
            return reason(error) not in {"SUBSCRIPTION_NOT_FOUND", "BROKER_UNAVAILABLE"} and _fail(error)
        return True

    await eventually(is_known)
