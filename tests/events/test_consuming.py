"""Consuming by groups: at least once, shared, in order where asked, through deaths of consumers, gateways and broker."""

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from ontomesh.events.v1 import consume_service_pb2, subscription_pb2, subscription_service_pb2
from tests.events.groups import Caller, Consumer, calling, event, eventually, published, reason
from tests.events.serving import Nats, ServingGateway, serving_gateway, until

ALL = subscription_pb2.StartPoint(all=True)
pytestmark = pytest.mark.timeout(120)


def ids(deliveries: Sequence[consume_service_pb2.Delivery]) -> list[str]:
    """The events' ids."""
    return [one.event.id for one in deliveries]


async def test_competing_consumers_of_two_gateways_get_each_event_once_and_all_of_them_some(
    tmp_path: Path, nats: Nats
) -> None:
    home = tmp_path / "home"
    async with (
        serving_gateway(home, nats) as first,
        serving_gateway(home, nats, ONTOMESH_SPOOL=str(tmp_path / "spool")) as second,
        calling(first) as one,
        calling(second) as other,
    ):
        await one.create("group", start=ALL)
        await _known(other, "group")
        async with one.consumer("group") as a, one.consumer("group") as b, other.consumer("group") as c:
            consumers = (a, b, c)
            for start in range(0, 600, 50):
                await one.publish(*[event(number) for number in range(start, start + 50)])
            await until(lambda: sum(len(consumer.arrived) for consumer in consumers) >= 600, seconds=20)
            counts = Counter(id_ for consumer in consumers for id_ in ids(consumer.arrived))
            assert counts == {str(number): 1 for number in range(600)}
            assert all(len(consumer.arrived) > 30 for consumer in consumers)


async def test_credit_bounds_what_comes_and_is_the_consumers_alone(gateway: ServingGateway) -> None:
    async with calling(gateway) as caller:
        await caller.create("credit", start=ALL)
        await caller.publish(*[event(number) for number in range(20)])
        async with caller.consumer("credit", credit=3) as consumer:
            first = await consumer.take(3)
            await consumer.ack(*first)
            await _drained(caller, "credit", outstanding=0)
            assert not consumer.arrived
            await consumer.grant(2)
            assert ids(await consumer.take(2)) == ["3", "4"]
            await consumer.grant(10_001)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await consumer.ended()
            assert reason(refused.value) == "INVALID_REQUEST"


async def test_what_a_killed_consumer_had_goes_to_another_at_once(gateway: ServingGateway) -> None:
    async with calling(gateway) as caller:
        await caller.create("group", seconds=600, start=ALL)
        await caller.publish(*[event(number) for number in range(50)])
        async with caller.consumer("group") as killed:
            await killed.take(50)
            async with caller.consumer("group") as heir:
                await killed.close()
                again = await heir.take(50, seconds=10)
                assert sorted(ids(again), key=int) == [str(number) for number in range(50)]
                assert {one.attempt for one in again} == {2}


async def test_what_a_killed_gateway_had_comes_again_after_the_ack_deadline(tmp_path: Path, nats: Nats) -> None:
    home = tmp_path / "home"
    async with serving_gateway(home, nats, ONTOMESH_SPOOL=str(tmp_path / "spool")) as heir, calling(heir) as other:
        await other.create("group", seconds=2, start=ALL)
        await other.publish(*[event(number) for number in range(5)])
        async with serving_gateway(home, nats) as doomed, calling(doomed) as caller:
            await _known(caller, "group")
            async with caller.consumer("group") as consumer:
                await consumer.take(5)
                doomed.kill()
                await doomed.ended()
                async with other.consumer("group") as again:
                    assert sorted(ids(await again.take(5, seconds=10))) == ["0", "1", "2", "3", "4"]


async def test_a_nak_delays_and_in_progress_prolongs(gateway: ServingGateway) -> None:
    async with calling(gateway) as caller:
        await caller.create("group", seconds=1.5, start=ALL)
        await caller.publish(event("late"), event("slow"))
        async with caller.consumer("group") as consumer:
            late, slow = await consumer.take(2)
            clock = asyncio.get_running_loop().time
            begun = clock()
            await consumer.nak(late, seconds=0.6)
            again = (await consumer.take(1))[0]
            assert (again.event.id, again.attempt) == ("late", 2)
            assert 0.5 < clock() - begun < 1.4
            await consumer.ack(again)
            while clock() - begun < 3.2:
                await asyncio.sleep(0.3)
                await consumer.progress(slow)
            assert not consumer.arrived
            await consumer.ack(slow)
            await _drained(caller, "group", outstanding=0)
            assert not consumer.arrived


async def test_a_late_ack_is_passed_over(gateway: ServingGateway) -> None:
    async with calling(gateway) as caller:
        await caller.create("group", seconds=1, start=ALL)
        await caller.publish(event("one"))
        async with caller.consumer("group") as consumer:
            first = (await consumer.take(1))[0]
            second = (await consumer.take(1, seconds=5))[0]
            assert (second.event.id, second.attempt) == ("one", 2)
            await consumer.ack(first)
            third = (await consumer.take(1, seconds=5))[0]
            assert third.attempt == 3
            await consumer.ack(third)
            await _drained(caller, "group", outstanding=0)


async def test_by_key_keeps_the_order_of_each_key_through_naks_and_over_two_gateways(
    tmp_path: Path, nats: Nats
) -> None:
    home = tmp_path / "home"
    keys = [f"key{number}" for number in range(12)]
    done: dict[str, list[int]] = defaultdict(list)
    chance = random.Random(7)

    async def work(consumer: Consumer) -> None:
        while True:
            delivery = (await consumer.take(1))[0]
            await consumer.grant(1)
            key, _, number = delivery.event.id.partition("/")
            if chance.random() < 0.2:
                await consumer.nak(delivery, seconds=chance.choice((0, 0.02)))
            else:
                done[key].append(int(number))
                await consumer.ack(delivery)

    async with (
        serving_gateway(home, nats) as first,
        serving_gateway(home, nats, ONTOMESH_SPOOL=str(tmp_path / "spool")) as second,
        calling(first) as one,
        calling(second) as other,
    ):
        await one.create("ordered", start=ALL, ordering=subscription_pb2.ORDERING_BY_KEY, max_attempts=100)
        await _known(other, "ordered")
        await one.publish(*[event(f"{key}/{number}", key) for number in range(25) for key in keys])
        async with one.consumer("ordered", credit=8) as a, other.consumer("ordered", credit=8) as b:
            tasks = [asyncio.create_task(work(consumer)) for consumer in (a, b)]
            try:
                await until(lambda: sum(map(len, done.values())) >= 300, seconds=60)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
    assert done == {key: list(range(25)) for key in keys}


async def test_a_subscription_begins_where_it_is_told(gateway: ServingGateway) -> None:
    async with calling(gateway) as caller:
        before = await caller.publish(event("a"), event("b"))
        moment = Timestamp()
        async with caller.subscribed(start=ALL) as stream:
            seen = (await asyncio.wait_for(stream.read(), 10)).events
        moment.CopyFrom(seen[1].store_time)
        moment.FromMicroseconds(moment.ToMicroseconds())
        starts = {
            "all": (ALL, ["a", "b", "c"]),
            "new": (subscription_pb2.StartPoint(only_new=True), ["c"]),
            "sequence": (subscription_pb2.StartPoint(sequence=before[1]), ["b", "c"]),
            "time": (subscription_pb2.StartPoint(time=moment), None),
        }
        for name, (start, _) in starts.items():
            await caller.create(name, start=start)
        await caller.publish(event("c"))
        for name, (_, expected) in starts.items():
            async with caller.consumer(name) as consumer:
                got = ids(await consumer.until(lambda arrived: "c" in ids(arrived)))
                assert got == expected or (expected is None and "b" in got), name


async def test_a_start_that_is_not_retained_is_refused(tmp_path: Path, nats: Nats) -> None:
    async with (
        serving_gateway(tmp_path / "home", nats, ONTOMESH_EVENTS_MAX_AGE_SECONDS="2") as gateway,
        calling(gateway) as caller,
    ):
        await caller.publish(event("old"))

        async def refused_with(start: subscription_pb2.StartPoint) -> str:
            try:
                await caller.create(f"s{random.getrandbits(32)}", start=start)
            except grpc.aio.AioRpcError as error:
                return reason(error)
            return ""

        async def has_aged() -> bool:
            return await refused_with(subscription_pb2.StartPoint(sequence=1)) == "START_NOT_RETAINED"

        await eventually(has_aged)
        assert await refused_with(subscription_pb2.StartPoint(time=Timestamp(seconds=1))) == "START_NOT_RETAINED"
        assert await refused_with(subscription_pb2.StartPoint(time=Timestamp(seconds=1 << 33))) == "INVALID_REQUEST"
        assert await refused_with(ALL) == ""


async def test_a_pause_is_quiet_and_a_resume_goes_on_at_both_gateways(tmp_path: Path, nats: Nats) -> None:
    home = tmp_path / "home"
    async with (
        serving_gateway(home, nats) as first,
        serving_gateway(home, nats, ONTOMESH_SPOOL=str(tmp_path / "spool")) as second,
        calling(first) as one,
        calling(second) as other,
    ):
        await one.create("group", start=ALL)
        await _known(other, "group")
        async with other.consumer("group") as consumer:
            await one.publish(event("before"))
            held = (await consumer.take(1))[0]
            paused = subscription_service_pb2.PauseSubscriptionRequest(name="group")
            assert (await one.call(one.subscriptions.PauseSubscription, paused)).subscription.paused
            await _known(other, "group", paused=True)
            await one.publish(event("meanwhile"))
            await consumer.ack(held)
            await _drained(one, "group", outstanding=0)
            assert not consumer.arrived
            assert (await one.status("group")).pending == 1
            resumed = subscription_service_pb2.ResumeSubscriptionRequest(name="group")
            await one.call(one.subscriptions.ResumeSubscription, resumed)
            assert ids(await consumer.take(1)) == ["meanwhile"]


async def test_a_replay_moves_attached_consumers_back_and_forth(gateway: ServingGateway) -> None:
    async with calling(gateway) as caller:
        await caller.create("group", start=ALL)
        await caller.publish(*[event(number) for number in range(4)])
        async with caller.consumer("group") as consumer:
            first = await consumer.take(4)
            await consumer.ack(*first[:2])
            request = subscription_service_pb2.ReplaySubscriptionRequest(name="group", start=ALL)
            await caller.call(caller.subscriptions.ReplaySubscription, request)
            again = await consumer.take(4)
            assert ids(again) == ["0", "1", "2", "3"]
            assert {one.attempt for one in again} == {1}
            await consumer.ack(*first)  # they are out no more
            await consumer.ack(*again)
            await _drained(caller, "group", outstanding=0)
            request.start.CopyFrom(subscription_pb2.StartPoint(only_new=True))
            await caller.call(caller.subscriptions.ReplaySubscription, request)
            await caller.publish(event("new"))
            assert ids(await consumer.take(1)) == ["new"]


async def test_a_changed_filter_holds_for_attached_consumers(gateway: ServingGateway) -> None:
    async with calling(gateway) as caller:
        wide = subscription_pb2.Filter(types=["test.a", "test.b"])
        await caller.create("group", start=ALL, filter=wide)
        async with caller.consumer("group") as consumer:
            await caller.publish(event(1, type_="test.a"), event(2, type_="test.c"), event(3, type_="test.b"))
            assert ids(await consumer.take(2)) == ["1", "3"]
            await caller.update("group", ["filter"], filter=subscription_pb2.Filter(types=["test.c"]))
            await caller.publish(event(4, type_="test.a"), event(5, type_="test.c"))
            assert ids(await consumer.take(1)) == ["5"]


async def test_consumers_of_a_deleted_subscription_are_told(gateway: ServingGateway) -> None:
    async with calling(gateway) as caller:
        await caller.create("group")
        async with caller.consumer("group") as consumer:
            request = subscription_service_pb2.DeleteSubscriptionRequest(name="group")
            await caller.call(caller.subscriptions.DeleteSubscription, request)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await consumer.ended()
            assert reason(refused.value) == "SUBSCRIPTION_NOT_FOUND"
        await caller.create("group", start=ALL)


async def test_members_stay_through_a_restart_of_the_broker_and_nothing_is_lost(
    nats: Nats, gateway: ServingGateway
) -> None:
    async with calling(gateway) as caller:
        await caller.create("group", seconds=3, start=ALL)
        await caller.publish(*[event(number) for number in range(10)])
        async with caller.consumer("group") as consumer:
            first = await consumer.take(10)
            nats.kill()
            await consumer.ack(*first[:5])
            await nats.start()
            got = await consumer.until(lambda arrived: len(arrived) >= 5, seconds=30)
            assert set(ids(got)) >= set(ids(first[5:]))
            await consumer.ack(*got)
            await published(caller, "after")
            await consumer.until(lambda arrived: "after" in ids(arrived), seconds=30)


async def test_a_draining_gateway_ends_streams_and_gives_back_what_is_out(tmp_path: Path, nats: Nats) -> None:
    home = tmp_path / "home"
    async with serving_gateway(home, nats, ONTOMESH_SPOOL=str(tmp_path / "spool")) as heir, calling(heir) as other:
        await other.create("group", seconds=600, start=ALL)
        await other.publish(event("one"))
        async with serving_gateway(home, nats) as leaving, calling(leaving) as caller:
            await _known(caller, "group")
            async with caller.consumer("group") as consumer:
                await consumer.take(1)
                leaving.terminate()
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await consumer.ended()
                assert reason(refused.value) == "DRAINING"
                async with other.consumer("group") as again:
                    assert (await again.take(1))[0].attempt == 2
            assert await leaving.ended() == 0


async def _known(caller: Caller, name: str, *, paused: bool = False) -> None:
    """Waits until a gateway knows of a subscription as it is elsewhere."""
    request = subscription_service_pb2.GetSubscriptionRequest(name=name)

    async def is_known() -> bool:
        try:
            found = (await caller.call(caller.subscriptions.GetSubscription, request)).subscription
        except grpc.aio.AioRpcError as error:
            if reason(error) not in {"SUBSCRIPTION_NOT_FOUND", "BROKER_UNAVAILABLE"}:
                raise
            return False
        return bool(found.paused == paused)

    await eventually(is_known)


async def _drained(caller: Caller, name: str, outstanding: int) -> None:
    """Waits until so many events are with a subscription's consumers."""

    async def is_drained() -> bool:
        return bool((await caller.status(name)).outstanding == outstanding)

    await eventually(is_drained)
