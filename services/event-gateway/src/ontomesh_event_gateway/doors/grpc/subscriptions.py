"""Managing subscriptions."""

from ontomesh.events.v1 import subscription_service_pb2 as pb
from ontomesh.events.v1 import subscription_service_pb2_grpc
from ontomesh_event_gateway.domain.schema_changes import Gone, SchemaChanges
from ontomesh_event_gateway.domain.subscriptions import Subscriptions
from ontomesh_event_gateway.doors import convert_subscriptions as convert
from ontomesh_event_gateway.doors.caller import caller_now, claim_now
from ontomesh_event_gateway.errors import InvalidRequest


class SubscriptionServicer(subscription_service_pb2_grpc.SubscriptionServiceServicer):
    """`SubscriptionService` over the domain's subscriptions."""

    def __init__(self, subscriptions: Subscriptions, schema_changes: SchemaChanges) -> None:
        self._subscriptions = subscriptions
        self._schema_changes = schema_changes

    async def CreateSubscription(  # noqa: N802 - the contract's name
        self, request: pb.CreateSubscriptionRequest, context: object
    ) -> pb.CreateSubscriptionResponse:
        """See the contract."""
        try:
            asked = convert.subscription(request.subscription)
            made = await self._subscriptions.create(caller_now(), asked, claim_now())
        except InvalidRequest as refused:
            raise refused.within("subscription") from None
        return pb.CreateSubscriptionResponse(subscription=convert.subscription_proto(made))

    async def GetSubscription(  # noqa: N802 - the contract's name
        self, request: pb.GetSubscriptionRequest, context: object
    ) -> pb.GetSubscriptionResponse:
        """See the contract."""
        found = self._subscriptions.get(caller_now(), request.name)
        return pb.GetSubscriptionResponse(subscription=convert.subscription_proto(found))

    async def ListSubscriptions(  # noqa: N802 - the contract's name
        self, request: pb.ListSubscriptionsRequest, context: object
    ) -> pb.ListSubscriptionsResponse:
        """See the contract."""
        page = self._subscriptions.list(caller_now(), request.page_size, request.page_token, dict(request.labels))
        found = [convert.subscription_proto(one) for one in page.subscriptions]
        return pb.ListSubscriptionsResponse(subscriptions=found, next_page_token=page.next_page_token)

    async def UpdateSubscription(  # noqa: N802 - the contract's name
        self, request: pb.UpdateSubscriptionRequest, context: object
    ) -> pb.UpdateSubscriptionResponse:
        """See the contract."""
        mask = list(request.update_mask.paths)
        try:
            changed = await self._subscriptions.update(caller_now(), convert.subscription(request.subscription), mask)
        except InvalidRequest as refused:
            raise (refused if _is_of_mask(refused) else refused.within("subscription")) from None
        return pb.UpdateSubscriptionResponse(subscription=convert.subscription_proto(changed))

    async def DeleteSubscription(  # noqa: N802 - the contract's name
        self, request: pb.DeleteSubscriptionRequest, context: object
    ) -> pb.DeleteSubscriptionResponse:
        """See the contract."""
        await self._subscriptions.delete(caller_now(), request.name, request.etag)
        return pb.DeleteSubscriptionResponse()

    async def PauseSubscription(  # noqa: N802 - the contract's name
        self, request: pb.PauseSubscriptionRequest, context: object
    ) -> pb.PauseSubscriptionResponse:
        """See the contract."""
        paused = await self._subscriptions.pause(caller_now(), request.name)
        return pb.PauseSubscriptionResponse(subscription=convert.subscription_proto(paused))

    async def ResumeSubscription(  # noqa: N802 - the contract's name
        self, request: pb.ResumeSubscriptionRequest, context: object
    ) -> pb.ResumeSubscriptionResponse:
        """See the contract."""
        resumed = await self._subscriptions.resume(caller_now(), request.name)
        return pb.ResumeSubscriptionResponse(subscription=convert.subscription_proto(resumed))

    async def ReplaySubscription(  # noqa: N802 - the contract's name
        self, request: pb.ReplaySubscriptionRequest, context: object
    ) -> pb.ReplaySubscriptionResponse:
        """See the contract."""
        if request.start.WhichOneof("point") is None:
            raise InvalidRequest.at("start", "is missing")
        moved = await self._subscriptions.replay(caller_now(), request.name, convert.start(request.start, "start"))
        return pb.ReplaySubscriptionResponse(subscription=convert.subscription_proto(moved))

    async def GetSubscriptionStatus(  # noqa: N802 - the contract's name
        self, request: pb.GetSubscriptionStatusRequest, context: object
    ) -> pb.GetSubscriptionStatusResponse:
        """See the contract."""
        return convert.status_proto(await self._subscriptions.status(caller_now(), request.name))

    async def CheckSchemaChange(  # noqa: N802 - the contract's name
        self, request: pb.CheckSchemaChangeRequest, context: object
    ) -> pb.CheckSchemaChangeResponse:
        """See the contract."""
        gone = Gone(request.database, request.branch, tuple(request.classes), tuple(request.properties))
        return pb.CheckSchemaChangeResponse(
            broken=[
                pb.BrokenBySchema(
                    subscription=one.subscription,
                    event_type=one.event_type,
                    owner=one.owner,
                    field=one.field,
                    missing=one.missing,
                )
                for one in self._schema_changes.check(caller_now(), gone)
            ]
        )


def _is_of_mask(refused: InvalidRequest) -> bool:
    return any(violation.field.startswith("update_mask") for violation in refused.violations)
