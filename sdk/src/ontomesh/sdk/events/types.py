"""Event types, and the stream that holds the events."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from ontomesh.events.v1 import event_type_service_pb2
from ontomesh.sdk.events import wire
from ontomesh.sdk.events.calls import GatewayCalls
from ontomesh.sdk.events.resources import EventStream, EventType, OntologyClass
from ontomesh.sdk.paging import Pages


class EventTypeCalls(GatewayCalls):
    """What events of a type hold."""

    async def put_type(
        self,
        name: str,
        schema: str | Mapping[str, Any] | OntologyClass | None = None,
        *,
        description: str = "",
        etag: str = "",
        timeout: float | None = None,
    ) -> EventType:
        """The event type, new or replaced.

        Args:
            name: The `type` of its events.
            schema: What the data must fit: a JSON Schema (draft 2020-12), as text or as a dict, or a class.
            description: What such an event means.
            etag: The current one, to replace only that.
            timeout: Seconds that the call may take.

        Raises:
            InvalidSchema: The schema is none; `violations` says where.
            EtagMismatch: The type has changed since it had this etag.
        """
        message = event_type_service_pb2.EventType(name=name, description=description, etag=etag)
        if isinstance(schema, OntologyClass):
            message.ontology_class.database = schema.database
            message.ontology_class.branch = schema.branch
            message.ontology_class.name = schema.name
        elif schema is not None:
            message.json_schema = schema if isinstance(schema, str) else json.dumps(schema)
        request = event_type_service_pb2.PutEventTypeRequest(event_type=message)
        response = await self._raw.types.PutEventType(request, timeout=timeout)
        return wire.event_type(response.event_type)

    async def type(self, name: str, *, timeout: float | None = None) -> EventType:
        """An event type.

        Raises:
            EventTypeNotFound: There is none of this name.
        """
        request = event_type_service_pb2.GetEventTypeRequest(name=name)
        response = await self._raw.types.GetEventType(request, timeout=timeout)
        return wire.event_type(response.event_type)

    def types(self, *, page_size: int = 0, timeout: float | None = None) -> AsyncIterator[EventType]:
        """The event types, by name. `timeout` is for each page."""

        async def fetch(token: str) -> tuple[Sequence[EventType], str]:
            request = event_type_service_pb2.ListEventTypesRequest(page_size=page_size, page_token=token)
            response = await self._raw.types.ListEventTypes(request, timeout=timeout)
            return [wire.event_type(each) for each in response.event_types], response.next_page_token

        return Pages(fetch)

    async def delete_type(self, name: str, *, etag: str = "", timeout: float | None = None) -> None:
        """Deletes an event type; events of it are not checked any more.

        Raises:
            EventTypeNotFound: There is none of this name.
            EtagMismatch: It has changed since it had this etag.
        """
        request = event_type_service_pb2.DeleteEventTypeRequest(name=name, etag=etag)
        await self._raw.types.DeleteEventType(request, timeout=timeout)

    async def stream(self, *, timeout: float | None = None) -> EventStream:
        """How the stream of events is kept, and how full it is.

        Raises:
            BrokerUnavailable: The broker is away.
        """
        request = event_type_service_pb2.GetEventStreamRequest()
        return wire.event_stream(await self._raw.types.GetEventStream(request, timeout=timeout))
