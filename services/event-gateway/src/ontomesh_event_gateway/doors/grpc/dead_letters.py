"""Dead letters and attempts."""

from ontomesh.events.v1 import dead_letter_service_pb2 as pb
from ontomesh.events.v1 import dead_letter_service_pb2_grpc
from ontomesh_event_gateway.domain.dead_letters import DeadLetters
from ontomesh_event_gateway.doors import convert_subscriptions as convert
from ontomesh_event_gateway.doors.caller import caller_now


class DeadLetterServicer(dead_letter_service_pb2_grpc.DeadLetterServiceServicer):
    """`DeadLetterService` over the domain's dead letters."""

    def __init__(self, dead_letters: DeadLetters) -> None:
        self._dead_letters = dead_letters

    async def ListDeadLetters(  # noqa: N802 - the contract's name
        self, request: pb.ListDeadLettersRequest, context: object
    ) -> pb.ListDeadLettersResponse:
        """See the contract."""
        page = await self._dead_letters.list(caller_now(), request.subscription, request.page_size, request.page_token)
        letters = [convert.dead_letter_proto(one) for one in page.dead_letters]
        return pb.ListDeadLettersResponse(dead_letters=letters, next_page_token=page.next_page_token)

    async def RedriveDeadLetters(  # noqa: N802 - the contract's name
        self, request: pb.RedriveDeadLettersRequest, context: object
    ) -> pb.RedriveDeadLettersResponse:
        """See the contract."""
        count = await self._dead_letters.redrive(caller_now(), request.subscription, list(request.ids))
        return pb.RedriveDeadLettersResponse(count=count)

    async def DeleteDeadLetters(  # noqa: N802 - the contract's name
        self, request: pb.DeleteDeadLettersRequest, context: object
    ) -> pb.DeleteDeadLettersResponse:
        """See the contract."""
        count = await self._dead_letters.delete(caller_now(), request.subscription, list(request.ids))
        return pb.DeleteDeadLettersResponse(count=count)

    async def ListAttempts(  # noqa: N802 - the contract's name
        self, request: pb.ListAttemptsRequest, context: object
    ) -> pb.ListAttemptsResponse:
        """See the contract."""
        page = await self._dead_letters.attempts(
            caller_now(), request.subscription, request.event_id, request.page_size, request.page_token
        )
        attempts = [convert.attempt_proto(one) for one in page.attempts]
        return pb.ListAttemptsResponse(attempts=attempts, next_page_token=page.next_page_token)
