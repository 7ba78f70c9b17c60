from datetime import timedelta

import pytest
from sdk.tests.events.gateway import Gateway
from sdk.tests.events.memory import Consumer

from ontomesh.sdk import AsyncMesh, errors
from ontomesh.sdk.events import BrokenBySchema, Event, Filter, OntologyClass, Published


async def test_a_subscription_is_made_changed_and_deleted(mesh: AsyncMesh) -> None:
    events = mesh.events
    made = await events.create_subscription(
        "billing",
        Filter(types=["orders.*"], classes=["Order"]),
        start="all",
        ordering="by_key",
        ack_deadline=90,
        max_attempts=3,
        attempt_records="all",
        labels={"team": "a"},
    )
    assert made == await events.subscription("billing")
    assert (made.ordering, made.ack_deadline, made.max_attempts) == ("by_key", timedelta(seconds=90), 3)
    assert (made.attempt_records, made.start, made.owner) == ("all", "all", "user:ana")
    with pytest.raises(errors.SubscriptionAlreadyExists):
        await events.create_subscription("billing")
    changed = await events.update_subscription(
        "billing", filter=Filter(types="orders.placed"), description="new", max_attempts=5, etag=made.etag
    )
    assert (changed.filter.types, changed.filter.classes) == (("orders.placed",), ())
    assert (changed.description, changed.max_attempts, changed.labels) == ("new", 5, {"team": "a"})
    with pytest.raises(errors.EtagMismatch):
        await events.update_subscription("billing", description="stale", etag=made.etag)
    assert (await events.pause("billing")).paused
    assert not (await events.resume("billing")).paused
    await events.delete_subscription("billing")
    with pytest.raises(errors.SubscriptionNotFound) as caught:
        await events.subscription("billing")
    assert caught.value.metadata["subscription"] == "billing"


async def test_subscriptions_are_listed_over_pages_and_by_label(mesh: AsyncMesh) -> None:
    for index in range(5):
        await mesh.events.create_subscription(f"s{index}", labels={"hook": "after"} if index % 2 else {})
    assert [each.name async for each in mesh.events.subscriptions(page_size=2)] == ["s0", "s1", "s2", "s3", "s4"]
    assert [each.name async for each in mesh.events.subscriptions(labels={"hook": "after"})] == ["s1", "s3"]


async def test_dead_letters_are_listed_redriven_and_deleted(mesh: AsyncMesh, gateway: Gateway) -> None:
    events = mesh.events
    await events.create_subscription("s", start="all")
    await events.publish(*(Event.of("a", index, id=str(index)) for index in range(3)))
    memory = gateway.memory
    with memory.changed:
        sub, consumer = memory.sub("s"), Consumer("c1", 10)
        for delivery in memory.due(sub, consumer):
            memory.done(sub, consumer, delivery.number, lambda sequence: memory.bury(sub, sequence, consumer, "bad"))
    letters = [each async for each in events.dead_letters("s", page_size=2)]
    assert [(each.id, each.event.data, each.error, each.attempts) for each in letters] == [
        ("d1", 0, "bad", 1),
        ("d2", 1, "bad", 1),
        ("d3", 2, "bad", 1),
    ]
    tries = [each async for each in events.attempts("s", event_id="1")]
    assert [(each.event_id, each.outcome, each.consumer) for each in tries] == [("1", "dead_lettered", "c1")]
    assert await events.delete_dead_letters("s", ["d1"]) == 1
    assert await events.redrive("s", ["d2"]) == 1
    assert await events.redrive("s") == 1
    with pytest.raises(errors.DeadLetterNotFound):
        await events.redrive("s", ["d9"])
    status = await events.subscription_status("s")
    assert (status.pending, status.dead_letters) == (2, 0)


async def test_a_subscription_is_replayed_from_another_point(mesh: AsyncMesh, gateway: Gateway) -> None:
    await mesh.events.create_subscription("s")
    await mesh.events.publish(*(Event.of("a", id=str(index)) for index in range(5)))
    assert (await mesh.events.subscription_status("s")).pending == 5
    await mesh.events.replay("s", 4)
    assert (await mesh.events.subscription_status("s")).pending == 2
    gateway.memory.first = 3
    with pytest.raises(errors.StartNotRetained):
        await mesh.events.replay("s", 1)


async def test_event_types_have_a_schema_or_a_class(mesh: AsyncMesh) -> None:
    events = mesh.events
    await events.put_type("a", {"type": "object"}, description="any object")
    await events.put_type("b", OntologyClass("catalog", "Package"))
    await events.put_type("c")
    found = {each.name: each.schema async for each in events.types()}
    assert found == {"a": '{"type": "object"}', "b": OntologyClass("catalog", "Package"), "c": None}
    assert (await events.type("a")).description == "any object"
    await events.delete_type("a")
    with pytest.raises(errors.EventTypeNotFound):
        await events.type("a")


async def test_the_stream_tells_how_it_is_kept(mesh: AsyncMesh) -> None:
    assert (await mesh.events.stream()).first_time is None
    assert await mesh.events.publish(Event.of("a")) == (Published("stored", 1),)
    stream = await mesh.events.stream()
    assert (stream.events, stream.first_sequence, stream.last_sequence) == (1, 1, 1)
    assert (stream.max_age, stream.deduplication_window) == (timedelta(days=7), timedelta(minutes=2))
    assert stream.first_time is not None


async def test_a_schema_change_tells_whom_it_would_break(mesh: AsyncMesh) -> None:
    await mesh.events.create_subscription("s", Filter(classes=["Order", "Package"]))
    broken = await mesh.events.check_schema_change("catalog", "main", classes=["Package"])
    assert broken == (BrokenBySchema("s", "", "user:ana", "filter.classes[1]", "Package"),)
