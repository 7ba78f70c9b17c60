"""The service that registers types of events, and tells of the stream that holds them."""

from ontomesh.events.v1 import event_type_service_pb2 as pb
from ontomesh.events.v1 import event_type_service_pb2_grpc
from ontomesh_event_gateway.domain.event_types import EventType, EventTypes
from ontomesh_event_gateway.domain.model import ClassName
from ontomesh_event_gateway.domain.spooling import Spooling
from ontomesh_event_gateway.doors import convert
from ontomesh_event_gateway.doors.caller import caller_now
from ontomesh_event_gateway.errors import GatewayError


class EventTypeServicer(event_type_service_pb2_grpc.EventTypeServiceServicer):
    """See the contract."""

    def __init__(self, event_types: EventTypes, spooling: Spooling) -> None:
        self._event_types = event_types
        self._spooling = spooling

    async def PutEventType(  # noqa: N802 - the contract's name
        self, request: pb.PutEventTypeRequest, context: object
    ) -> pb.PutEventTypeResponse:
        """See the contract."""
        try:
            made = await self._event_types.put(caller_now(), _read(request.event_type))
        except GatewayError as error:
            raise error.within("event_type") from error
        return pb.PutEventTypeResponse(event_type=_message(made))

    async def GetEventType(  # noqa: N802 - the contract's name
        self, request: pb.GetEventTypeRequest, context: object
    ) -> pb.GetEventTypeResponse:
        """See the contract."""
        return pb.GetEventTypeResponse(event_type=_message(self._event_types.get(request.name)))

    async def ListEventTypes(  # noqa: N802 - the contract's name
        self, request: pb.ListEventTypesRequest, context: object
    ) -> pb.ListEventTypesResponse:
        """See the contract."""
        page = self._event_types.list(request.page_size, request.page_token)
        return pb.ListEventTypesResponse(
            event_types=[_message(one) for one in page.event_types], next_page_token=page.next_page_token
        )

    async def DeleteEventType(  # noqa: N802 - the contract's name
        self, request: pb.DeleteEventTypeRequest, context: object
    ) -> pb.DeleteEventTypeResponse:
        """See the contract."""
        await self._event_types.delete(caller_now(), request.name, request.etag)
        return pb.DeleteEventTypeResponse()

    async def GetEventStream(  # noqa: N802 - the contract's name
        self, request: pb.GetEventStreamRequest, context: object
    ) -> pb.GetEventStreamResponse:
        """See the contract."""
        return convert.stream_state(*await self._spooling.state())


def _read(message: pb.EventType) -> EventType:
    named = message.ontology_class
    return EventType(
        message.name,
        message.description,
        message.json_schema,
        ClassName(named.database, named.branch, named.name) if message.HasField("ontology_class") else None,
        etag=message.etag,
    )


def _message(one: EventType) -> pb.EventType:
    message = pb.EventType(name=one.name, description=one.description, etag=one.etag, author=one.author)
    named = one.ontology_class
    if named is not None:
        message.ontology_class.CopyFrom(pb.ClassSchema(database=named.database, branch=named.branch, name=named.name))
    else:
        message.json_schema = one.json_schema
    if one.update_time:
        message.update_time.CopyFrom(convert.time_proto(one.update_time))
    return message
