"""The gateway as its doors see it."""

from dataclasses import dataclass

from ontomesh_event_gateway.domain.consuming import Consuming
from ontomesh_event_gateway.domain.dead_letters import DeadLetters
from ontomesh_event_gateway.domain.event_types import EventTypes
from ontomesh_event_gateway.domain.publishing import Publishing
from ontomesh_event_gateway.domain.schema_changes import SchemaChanges
from ontomesh_event_gateway.domain.spooling import Spooling
from ontomesh_event_gateway.domain.subscribing import Subscribing
from ontomesh_event_gateway.domain.subscriptions import Subscriptions


@dataclass(frozen=True, slots=True)
class Gateway:
    """Everything that the doors call, a part for each service."""

    publishing: Publishing
    spooling: Spooling
    event_types: EventTypes
    schema_changes: SchemaChanges
    subscriptions: Subscriptions
    consuming: Consuming
    subscribing: Subscribing
    dead_letters: DeadLetters
