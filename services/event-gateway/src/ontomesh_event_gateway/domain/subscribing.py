"""Plain streams of events: read in order, kept nowhere."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from ontomesh_event_gateway.domain.caller import Caller
from ontomesh_event_gateway.domain.filters import Filter, compile_filter
from ontomesh_event_gateway.domain.model import StoredEvent
from ontomesh_event_gateway.domain.rights import gate
from ontomesh_event_gateway.domain.starting import Starting
from ontomesh_event_gateway.domain.subscription import Start, check_filter
from ontomesh_event_gateway.errors import InvalidRequest, PermissionDenied
from ontomesh_event_gateway.ports import EventLog


class Subscribing:
    """The domain of `Subscribe`."""

    def __init__(self, events: EventLog) -> None:
        self._events = events
        self._starting = Starting(events)

    @asynccontextmanager
    async def streaming(
        self, caller: Caller, filter_: Filter, start: Start
    ) -> AsyncIterator[AsyncIterator[Sequence[StoredEvent]]]:
        """For a block, the events that fit a filter and that the caller may consume, in batches that are never empty.

        Raises InvalidRequest, StartNotRetained, PermissionDenied, BrokerUnavailable.
        """
        try:
            check_filter(filter_)
        except InvalidRequest as refused:
            raise refused.within("filter") from None
        if not caller.rights.allows_event("consume", None):
            raise PermissionDenied(
                f"{caller.principal} lacks the right to consume any type of event outside of subscriptions",
                (),
                {"principal": caller.principal, "right": "consume"},
            )
        first = await self._starting.sequence(start, "start")
        fits, may_get = compile_filter(filter_), gate(caller.rights)

        async def wanted(batches: AsyncIterator[Sequence[StoredEvent]]) -> AsyncIterator[Sequence[StoredEvent]]:
            async for batch in batches:
                some = [one for one in batch if fits(one.event) and may_get(one.event)]
                if some:
                    yield some

        async with self._events.read(first, filter_.exact_types) as batches:
            yield wanted(batches)
