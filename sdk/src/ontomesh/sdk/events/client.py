"""The client of the event gateway."""

import asyncio

from ontomesh.sdk.events.consuming import GRACE_SECONDS, ConsumeCalls
from ontomesh.sdk.events.dead_letters import DeadLetterCalls
from ontomesh.sdk.events.publisher import OUTSTANDING, AsyncPublisher, Types
from ontomesh.sdk.events.publishing import PublishCalls
from ontomesh.sdk.events.subscribing import SubscribeCalls
from ontomesh.sdk.events.subscriptions import SubscriptionCalls
from ontomesh.sdk.events.types import EventTypeCalls


class AsyncEvents(PublishCalls, SubscribeCalls, ConsumeCalls, SubscriptionCalls, DeadLetterCalls, EventTypeCalls):
    """Publishing, receiving and managing events.

    Calls take `timeout` in seconds; without one, the connection's own counts.
    """

    @property
    def source(self) -> str:
        """The source of events that name none."""
        return self._source

    def publisher(
        self,
        *,
        source: str = "",
        types: Types | None = None,
        content_type: str = "",
        require_stored: bool = False,
        retry_for: float = 60.0,
        outstanding: int = OUTSTANDING,
    ) -> AsyncPublisher:
        """A publisher of many events over one stream, to be used as a context.

        A program that publishes with nats-py moves to it by its own calls: `await publisher.publish(subject, payload)`.

        Args:
            source: The source of its events; else the connection's.
            types: The event types of subjects, as a mapping or a function; else subjects are types. A subject that is
                mapped stays the event's subject.
            content_type: What payloads are, such as `application/json`; else unsaid.
            require_stored: Refuses to leave events in the gateway's spool while the broker is away.
            retry_for: Seconds for which a gateway that accepts nothing is tried, before waiting events fail.
            outstanding: How many events may wait for their answers.
        """
        publisher = AsyncPublisher(
            self._connect,
            source or self._source,
            types=types,
            content_type=content_type,
            require_stored=require_stored,
            retry_for=retry_for,
            outstanding=outstanding,
            ended=self._publishers.discard,
        )
        self._publishers.add(publisher)
        return publisher

    async def finish(self) -> None:
        """Ends publishers once they are flushed, and consumers once they have finished what they handle."""
        ends = [publisher.close() for publisher in self._publishers]
        ends += [feed.close(GRACE_SECONDS) for feed in self._feeds]
        await asyncio.gather(*ends)
