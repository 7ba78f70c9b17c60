"""Events, by the event gateway: `mesh.events`, and the values that its calls take and give.

    from ontomesh.sdk import connect
    from ontomesh.sdk.events import Event, Filter

    with connect() as mesh:                 # or: async with connect() as mesh
        mesh.events.publish(Event.of("orders.placed", {"order": 7, "total": 12.5}))
        for received in mesh.events.subscribe(Filter(types="orders.*"), start="all"):
            print(received.sequence, received.event.data)

A program that publishes with nats-py moves to `mesh.events.publisher()`.
"""

from ontomesh.sdk.events.client import AsyncEvents
from ontomesh.sdk.events.delivery import Delivery, Reject, Retry
from ontomesh.sdk.events.event import Event
from ontomesh.sdk.events.publisher import AsyncPublisher
from ontomesh.sdk.events.resources import (
    Attempt,
    BrokenBySchema,
    DeadLetter,
    EventStream,
    EventType,
    Filter,
    OntologyClass,
    Published,
    Received,
    Start,
    Subscription,
    SubscriptionStatus,
)

__all__ = [
    "AsyncEvents",
    "AsyncPublisher",
    "Attempt",
    "BrokenBySchema",
    "DeadLetter",
    "Delivery",
    "Event",
    "EventStream",
    "EventType",
    "Filter",
    "OntologyClass",
    "Published",
    "Received",
    "Reject",
    "Retry",
    "Start",
    "Subscription",
    "SubscriptionStatus",
]
