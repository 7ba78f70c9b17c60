"""Managing subscriptions."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import timedelta

from ontomesh.events.v1 import subscription_pb2, subscription_service_pb2
from ontomesh.sdk.events import wire
from ontomesh.sdk.events.calls import GatewayCalls
from ontomesh.sdk.events.resources import (
    AttemptRecords,
    BrokenBySchema,
    Filter,
    Ordering,
    Start,
    Subscription,
    SubscriptionStatus,
)
from ontomesh.sdk.paging import Pages


class SubscriptionCalls(GatewayCalls):
    """Subscriptions, and how far they have come."""

    async def create_subscription(
        self,
        name: str,
        filter: Filter | None = None,
        *,
        start: Start = "new",
        ordering: Ordering = "unordered",
        description: str = "",
        ack_deadline: timedelta | float | None = None,
        max_attempts: int = 0,
        max_outstanding: int = 0,
        attempt_records: AttemptRecords = "failures",
        labels: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Subscription:
        """The new subscription; its events wait for consumers from now on.

        Args:
            name: Its name: letters, digits, `.`, `_` and `-`.
            filter: Which events it wants; else all that the caller may consume.
            start: Where it begins: `new`, `all`, a sequence or a time.
            ordering: `by_key` keeps events of one key in order.
            description: What it is for.
            ack_deadline: Seconds that a consumer may take for an event; 30 unless given.
            max_attempts: How often an event is tried before it becomes a dead letter; 10 unless given.
            max_outstanding: How many events may be with its consumers at once; 1,000 unless given.
            attempt_records: Whether `attempts` tells of failures, or of everything.
            labels: Notes for people and programs.
            timeout: Seconds that the call may take.

        Raises:
            SubscriptionAlreadyExists: The name is taken.
            StartNotRetained: The stream does not reach back to the start.
        """
        message = subscription_pb2.Subscription(
            name=name,
            description=description,
            filter=wire.filter_message(filter),
            start=wire.start_message(start),
            ordering=wire.ORDERINGS[ordering],
            max_attempts=max_attempts,
            max_outstanding=max_outstanding,
            attempt_records=wire.ATTEMPT_RECORDS[attempt_records],
            labels=labels,
        )
        if ack_deadline is not None:
            message.ack_deadline.FromTimedelta(wire.seconds(ack_deadline))
        request = subscription_service_pb2.CreateSubscriptionRequest(subscription=message)
        response = await self._raw.subscriptions.CreateSubscription(request, timeout=timeout)
        return wire.subscription(response.subscription)

    async def subscription(self, name: str, *, timeout: float | None = None) -> Subscription:
        """A subscription.

        Raises:
            SubscriptionNotFound: There is none of this name.
        """
        request = subscription_service_pb2.GetSubscriptionRequest(name=name)
        response = await self._raw.subscriptions.GetSubscription(request, timeout=timeout)
        return wire.subscription(response.subscription)

    def subscriptions(
        self, *, labels: Mapping[str, str] | None = None, page_size: int = 0, timeout: float | None = None
    ) -> AsyncIterator[Subscription]:
        """The subscriptions that the caller may consume from, or those with these labels, by name.

        `timeout` is for each page.
        """

        async def fetch(token: str) -> tuple[Sequence[Subscription], str]:
            request = subscription_service_pb2.ListSubscriptionsRequest(
                page_size=page_size, page_token=token, labels=labels
            )
            response = await self._raw.subscriptions.ListSubscriptions(request, timeout=timeout)
            return [wire.subscription(each) for each in response.subscriptions], response.next_page_token

        return Pages(fetch)

    async def update_subscription(
        self,
        name: str,
        *,
        filter: Filter | None = None,
        description: str | None = None,
        ack_deadline: timedelta | float | None = None,
        max_attempts: int | None = None,
        max_outstanding: int | None = None,
        attempt_records: AttemptRecords | None = None,
        labels: Mapping[str, str] | None = None,
        etag: str = "",
        timeout: float | None = None,
    ) -> Subscription:
        """The subscription with what is given here; a filter holds for events delivered from then on.

        Raises:
            SubscriptionNotFound: There is none of this name.
            EtagMismatch: It has changed since it had this etag.
        """
        message = subscription_pb2.Subscription(name=name, etag=etag)
        request = subscription_service_pb2.UpdateSubscriptionRequest(subscription=message)
        message = request.subscription
        paths = request.update_mask.paths
        if filter is not None:
            message.filter.CopyFrom(wire.filter_message(filter))
            paths.append("filter")
        if description is not None:
            message.description = description
            paths.append("description")
        if ack_deadline is not None:
            message.ack_deadline.FromTimedelta(wire.seconds(ack_deadline))
            paths.append("ack_deadline")
        if max_attempts is not None:
            message.max_attempts = max_attempts
            paths.append("max_attempts")
        if max_outstanding is not None:
            message.max_outstanding = max_outstanding
            paths.append("max_outstanding")
        if attempt_records is not None:
            message.attempt_records = wire.ATTEMPT_RECORDS[attempt_records]
            paths.append("attempt_records")
        if labels is not None:
            message.labels.update(labels)
            paths.append("labels")
        response = await self._raw.subscriptions.UpdateSubscription(request, timeout=timeout)
        return wire.subscription(response.subscription)

    async def delete_subscription(self, name: str, *, etag: str = "", timeout: float | None = None) -> None:
        """Deletes a subscription with its position, its dead letters and its attempts.

        Raises:
            SubscriptionNotFound: There is none of this name.
            EtagMismatch: It has changed since it had this etag.
        """
        request = subscription_service_pb2.DeleteSubscriptionRequest(name=name, etag=etag)
        await self._raw.subscriptions.DeleteSubscription(request, timeout=timeout)

    async def pause(self, name: str, *, timeout: float | None = None) -> Subscription:
        """The subscription, from now on without deliveries; its events wait."""
        request = subscription_service_pb2.PauseSubscriptionRequest(name=name)
        response = await self._raw.subscriptions.PauseSubscription(request, timeout=timeout)
        return wire.subscription(response.subscription)

    async def resume(self, name: str, *, timeout: float | None = None) -> Subscription:
        """The subscription, delivered again."""
        request = subscription_service_pb2.ResumeSubscriptionRequest(name=name)
        response = await self._raw.subscriptions.ResumeSubscription(request, timeout=timeout)
        return wire.subscription(response.subscription)

    async def replay(self, name: str, start: Start, *, timeout: float | None = None) -> Subscription:
        """The subscription, which goes on at another point of the stream, back or forth.

        Raises:
            SubscriptionNotFound: There is none of this name.
            StartNotRetained: The stream does not reach back that far.
        """
        request = subscription_service_pb2.ReplaySubscriptionRequest(name=name, start=wire.start_message(start))
        response = await self._raw.subscriptions.ReplaySubscription(request, timeout=timeout)
        return wire.subscription(response.subscription)

    async def subscription_status(self, name: str, *, timeout: float | None = None) -> SubscriptionStatus:
        """How far a subscription has come.

        Raises:
            SubscriptionNotFound: There is none of this name.
        """
        request = subscription_service_pb2.GetSubscriptionStatusRequest(name=name)
        response = await self._raw.subscriptions.GetSubscriptionStatus(request, timeout=timeout)
        return wire.subscription_status(response)

    async def check_schema_change(
        self,
        database: str,
        branch: str,
        classes: Iterable[str] = (),
        properties: Iterable[str] = (),
        *,
        timeout: float | None = None,
    ) -> tuple[BrokenBySchema, ...]:
        """The subscriptions and event types that name classes, or properties as `Class.property`, that would be gone.

        Those of all owners, for whoever may read the branch.
        """
        request = subscription_service_pb2.CheckSchemaChangeRequest(
            database=database, branch=branch, classes=classes, properties=properties
        )
        response = await self._raw.subscriptions.CheckSchemaChange(request, timeout=timeout)
        return tuple(wire.broken(each) for each in response.broken)
