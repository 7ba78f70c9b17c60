"""Plain streams of events, without acknowledgements."""

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

from ontomesh.events.v1 import consume_service_pb2, event_type_service_pb2
from ontomesh.sdk.call import FOREVER
from ontomesh.sdk.errors import ConnectionFailed, OntomeshError, StartNotRetained
from ontomesh.sdk.events import wire
from ontomesh.sdk.events.calls import GatewayCalls
from ontomesh.sdk.events.passing import may_pass
from ontomesh.sdk.events.resources import Filter, Received, Start
from ontomesh.sdk.paging import Batches
from ontomesh.sdk.patience import Patience

_log = logging.getLogger(__name__)


class SubscribeCalls(GatewayCalls):
    """Receiving events without acknowledgements."""

    def subscribe(
        self, filter: Filter | None = None, *, start: Start = "new", tries: int | None = None
    ) -> AsyncIterator[Received]:
        """The events that fit a filter, in the stream's order, for as long as one iterates.

        Nothing is kept of the caller at the gateway: keep `sequence` and begin with the next one. A stream that breaks
        goes on by itself after the last event that it got.

        Args:
            filter: Which events; else all that the caller may consume.
            start: Where to begin: `new`, `all`, a sequence or a time.
            tries: How often in a row to try a gateway that is away before that is raised; None for without end.

        Raises:
            StartNotRetained: The stream does not reach back to the start.
        """
        return Batches(self._subscribe(filter, start, tries))

    async def _subscribe(
        self, filter: Filter | None, start: Start, tries: int | None
    ) -> AsyncGenerator[Sequence[Received]]:
        wanted, begun = wire.filter_message(filter), False
        patience = Patience(tries)
        while True:
            try:
                if start == "new":
                    # By its sequence, so that nothing is missed if the stream breaks before the first event.
                    state = await self._raw.types.GetEventStream(event_type_service_pb2.GetEventStreamRequest())
                    start = state.last_sequence + 1
                request = consume_service_pb2.SubscribeRequest(filter=wanted, start=wire.start_message(start))
                async for response in self._raw.consumers.Subscribe(request, timeout=FOREVER):
                    patience.succeeded()
                    begun = True
                    if response.events:
                        yield [wire.received(each) for each in response.events]
                        start = response.events[-1].sequence + 1
                failure: OntomeshError = ConnectionFailed("the event gateway ended the stream")
            except StartNotRetained:
                if not begun:
                    raise
                _log.warning("the stream of events went on while nobody listened; it begins with the oldest now")
                start = "all"
                continue
            except OntomeshError as error:
                failure = error
            if not may_pass(failure) or not await patience.again():
                raise failure
