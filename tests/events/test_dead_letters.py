"""Dead letters: made when nothing helps, never lost on the way, and redriven."""

import asyncio

import grpc
import pytest

from ontomesh.events.v1 import (
    dead_letter_service_pb2,
    event_type_service_pb2,
    publish_service_pb2,
    subscription_pb2,
)
from tests.events.groups import Caller, calling, event, reason
from tests.events.serving import ServingGateway

ALL = subscription_pb2.StartPoint(all=True)
Attempt = dead_letter_service_pb2.Attempt
PublishResult = publish_service_pb2.PublishResult
pytestmark = pytest.mark.timeout(120)


async def letters(caller: Caller, subscription: str, count: int) -> list[dead_letter_service_pb2.DeadLetter]:
    """A subscription's dead letters, once there are so many."""
    request = dead_letter_service_pb2.ListDeadLettersRequest(subscription=subscription)
    async with asyncio.timeout(20):
        while True:
            found = (await caller.call(caller.dead_letters.ListDeadLetters, request)).dead_letters
            if len(found) == count:
                return list(found)
            await asyncio.sleep(0.05)


async def redrive(caller: Caller, subscription: str, *ids: str) -> int:
    """Redrives dead letters; returns how many."""
    request = dead_letter_service_pb2.RedriveDeadLettersRequest(subscription=subscription, ids=ids)
    return int((await caller.call(caller.dead_letters.RedriveDeadLetters, request)).count)


async def attempts(caller: Caller, subscription: str, count: int, event_id: str = "") -> list[Attempt]:
    """A subscription's attempts, once there are so many."""
    request = dead_letter_service_pb2.ListAttemptsRequest(subscription=subscription, event_id=event_id)
    async with asyncio.timeout(20):
        while True:
            found = (await caller.call(caller.dead_letters.ListAttempts, request)).attempts
            if len(found) >= count:
                return list(found)
            await asyncio.sleep(0.05)


async def test_an_event_that_is_refused_too_often_becomes_a_dead_letter_and_is_redriven(
    gateway: ServingGateway,
) -> None:
    async with calling(gateway) as caller:
        await caller.create("group", start=ALL, max_attempts=3)
        (sequence,) = await caller.publish(event("bad"))
        async with caller.consumer("group", name="worker") as consumer:
            for attempt in (1, 2, 3):
                delivery = (await consumer.take(1))[0]
                assert delivery.attempt == attempt
                await consumer.nak(delivery, error=f"no {attempt}")
            (letter,) = await letters(caller, "group", 1)
            assert (letter.event.id, letter.error, letter.attempts, letter.sequence) == ("bad", "no 3", 3, sequence)
            assert (await caller.status("group")).dead_letters == 1
            assert await redrive(caller, "group") == 1
            again = (await consumer.take(1))[0]
            assert (again.event, again.attempt) == (delivery.event, 1)
            await consumer.ack(again)
            assert await letters(caller, "group", 0) == []
            told = await attempts(caller, "group", 4, event_id="bad")
            outcomes = [
                Attempt.OUTCOME_REDRIVEN,
                Attempt.OUTCOME_DEAD_LETTERED,
                Attempt.OUTCOME_NAK,
                Attempt.OUTCOME_NAK,
            ]
            assert [one.outcome for one in told] == outcomes
            assert [one.error for one in told] == ["", "no 3", "no 2", "no 1"]
            assert told[-1].consumer == "worker"


async def test_an_event_that_nobody_answers_for_becomes_a_dead_letter(gateway: ServingGateway) -> None:
    async with calling(gateway) as caller:
        await caller.create("group", seconds=1, start=ALL, max_attempts=2)
        await caller.publish(event("silent"))
        async with caller.consumer("group") as consumer:
            assert [one.attempt for one in await consumer.take(2)] == [1, 2]
            (letter,) = await letters(caller, "group", 1)
            assert letter.attempts == 2
            assert "ack_deadline" in letter.error


async def test_a_rejected_event_is_a_dead_letter_at_once_and_frees_its_key(gateway: ServingGateway) -> None:
    async with calling(gateway) as caller:
        await caller.create("group", start=ALL, ordering=subscription_pb2.ORDERING_BY_KEY)
        await caller.publish(event("first", "key"), event("second", "key"))
        async with caller.consumer("group") as consumer:
            first = (await consumer.take(1))[0]
            assert not consumer.arrived
            await consumer.reject(first, "never again")
            assert (await consumer.take(1))[0].event.id == "second"
            (letter,) = await letters(caller, "group", 1)
            assert (letter.event.id, letter.error) == ("first", "never again")


async def test_dead_letters_are_listed_in_pages_and_deleted_by_id(gateway: ServingGateway) -> None:
    async with calling(gateway) as caller:
        await caller.create("group", start=ALL)
        await caller.publish(*[event(number) for number in range(7)])
        async with caller.consumer("group") as consumer:
            for delivery in await consumer.take(7):
                await consumer.reject(delivery, "bad: \n ü")
            found = await letters(caller, "group", 7)
        assert found[0].error == "bad: \n ü"
        pages = []
        request = dead_letter_service_pb2.ListDeadLettersRequest(subscription="group", page_size=3)
        while True:
            page = await caller.call(caller.dead_letters.ListDeadLetters, request)
            pages.append([one.id for one in page.dead_letters])
            request.page_token = page.next_page_token
            if not page.next_page_token:
                break
        assert pages == [[one.id for one in found[start : start + 3]] for start in (0, 3, 6)]
        delete = dead_letter_service_pb2.DeleteDeadLettersRequest(subscription="group", ids=pages[0])
        assert (await caller.call(caller.dead_letters.DeleteDeadLetters, delete)).count == 3
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await caller.call(caller.dead_letters.DeleteDeadLetters, delete)
        assert reason(refused.value) == "DEAD_LETTER_NOT_FOUND"
        assert await redrive(caller, "group", *pages[2]) == 1
        assert [one.id for one in await letters(caller, "group", 3)] == pages[1]


async def test_a_redriven_event_is_its_own_subscriptions_alone(gateway: ServingGateway) -> None:
    async with calling(gateway) as caller:
        for name in ("one", "other"):
            await caller.create(name, start=ALL)
        await caller.publish(event("bad"))
        async with caller.consumer("one") as one, caller.consumer("other") as other, caller.subscribed() as stream:
            await other.ack(*(await other.take(1)))
            await one.reject((await one.take(1))[0])
            await letters(caller, "one", 1)
            assert await redrive(caller, "one") == 1
            assert (await one.take(1))[0].event.id == "bad"
            await caller.publish(event("next"))
            assert [each.event.id for each in await other.take(1)] == ["next"]
            assert [each.event.id for each in (await stream.read()).events] == ["next"]


async def test_all_deliveries_are_recorded_where_it_is_asked_for(gateway: ServingGateway) -> None:
    async with calling(gateway) as caller:
        await caller.create("all", start=ALL, attempt_records=subscription_pb2.ATTEMPT_RECORDS_ALL)
        await caller.publish(*[event(number) for number in range(30)])
        async with caller.consumer("all") as consumer:
            await consumer.ack(*(await consumer.take(30)))
            told = await attempts(caller, "all", 30)
            assert [one.event_id for one in told] == [str(number) for number in reversed(range(30))]
            assert {one.outcome for one in told} == {Attempt.OUTCOME_ACKNOWLEDGED}
        request = dead_letter_service_pb2.ListAttemptsRequest(subscription="all", page_size=20)
        page = await caller.call(caller.dead_letters.ListAttempts, request)
        request.page_token = page.next_page_token
        rest = await caller.call(caller.dead_letters.ListAttempts, request)
        assert [one.event_id for one in (*page.attempts, *rest.attempts)] == [one.event_id for one in told]
        assert not rest.next_page_token


async def test_what_was_refused_when_it_was_published_is_published_again(gateway: ServingGateway) -> None:
    strict = event_type_service_pb2.EventType(name="test.b", json_schema='{"required": ["paid"]}')
    async with calling(gateway, "user:ben", ["publish:test.b", "consume"]) as ben, calling(gateway) as owner:
        await owner.call(owner.types.PutEventType, event_type_service_pb2.PutEventTypeRequest(event_type=strict))
        request = publish_service_pb2.PublishRequest(
            events=[event("refused", type_="test.b"), event("denied", type_="test.c")],
            require_stored=True,
            dead_letter_refused=True,
        )
        results = (await ben.call(ben.publishing.Publish, request)).results
        assert [one.outcome for one in results] == [PublishResult.OUTCOME_DEAD_LETTERED, PublishResult.OUTCOME_REFUSED]
        await owner.call(owner.types.DeleteEventType, event_type_service_pb2.DeleteEventTypeRequest(name="test.b"))
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await letters(ben, "@publish", 1)
        assert reason(refused.value) == "PERMISSION_DENIED"
        (letter,) = await letters(owner, "@publish", 1)
        assert (letter.event.id, letter.sequence) == ("refused", 0)
        async with owner.subscribed() as stream:
            assert await redrive(owner, "@publish", letter.id) == 1
            assert [one.event.id for one in (await stream.read()).events] == ["refused"]
        assert await letters(owner, "@publish", 0) == []
