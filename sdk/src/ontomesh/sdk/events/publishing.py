"""Publishing a few events at a time."""

from ontomesh.events.v1 import publish_service_pb2
from ontomesh.sdk.errors import OntomeshError
from ontomesh.sdk.events import wire
from ontomesh.sdk.events.calls import GatewayCalls
from ontomesh.sdk.events.event import Event
from ontomesh.sdk.events.origin import started
from ontomesh.sdk.events.resources import Published


class PublishCalls(GatewayCalls):
    """Publishing."""

    async def publish(
        self, *events: Event, require_stored: bool = False, timeout: float | None = None
    ) -> tuple[Published, ...]:
        """What became of the events, up to 1,000, in their order; they are in the stream or on their way there.

        Events of one call become durable together and stay in order. Publishing the same again after an error helps
        where the error may pass; what is in the stream already is a duplicate then.

        Args:
            events: What to publish.
            require_stored: Refuses to leave events in the gateway's spool while the broker is away.
            timeout: Seconds that the call may take.

        Raises:
            InvalidEvent: An event is no CloudEvent.
            DataViolation: The data do not fit the schema of the event's type.
            BrokerUnavailable: The broker is away, and the events had to be stored.
            OntomeshError: Whatever else kept the first event from being accepted.
        """
        results = await self.try_publish(*events, require_stored=require_stored, timeout=timeout)
        for result in results:
            if not result.accepted:
                raise result.error or OntomeshError(f"the event gateway answered {result.outcome!r}, with no reason")
        return results

    async def try_publish(
        self,
        *events: Event,
        require_stored: bool = False,
        dead_letter_refused: bool = False,
        timeout: float | None = None,
    ) -> tuple[Published, ...]:
        """What became of each event, as `publish` but without raising what is said of single events.

        With `dead_letter_refused`, events that are refused for good are kept as dead letters of `@publish`.
        """
        request = publish_service_pb2.PublishRequest(
            events=[started(wire.message_of(event, self._source)) for event in events],
            require_stored=require_stored,
            dead_letter_refused=dead_letter_refused,
        )
        response = await self._raw.publishers.Publish(request, timeout=timeout)
        return tuple(wire.published(result) for result in response.results)
