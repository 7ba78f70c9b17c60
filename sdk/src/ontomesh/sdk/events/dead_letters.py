"""Events that could not be delivered, and what deliveries came to."""

from collections.abc import AsyncIterator, Iterable, Sequence

from ontomesh.events.v1 import dead_letter_service_pb2
from ontomesh.sdk.events import wire
from ontomesh.sdk.events.calls import GatewayCalls
from ontomesh.sdk.events.resources import Attempt, DeadLetter
from ontomesh.sdk.paging import Pages


class DeadLetterCalls(GatewayCalls):
    """Dead letters and attempts of subscriptions."""

    def dead_letters(
        self, subscription: str, *, page_size: int = 0, timeout: float | None = None
    ) -> AsyncIterator[DeadLetter]:
        """A subscription's dead letters, oldest first; those of `@publish` were refused when they were published.

        `timeout` is for each page.
        """

        async def fetch(token: str) -> tuple[Sequence[DeadLetter], str]:
            request = dead_letter_service_pb2.ListDeadLettersRequest(
                subscription=subscription, page_size=page_size, page_token=token
            )
            response = await self._raw.dead_letters.ListDeadLetters(request, timeout=timeout)
            return [wire.dead_letter(each) for each in response.dead_letters], response.next_page_token

        return Pages(fetch)

    async def redrive(self, subscription: str, ids: Iterable[str] = (), *, timeout: float | None = None) -> int:
        """How many dead letters are delivered again, from the first attempt on: these, or all that there are now.

        Raises:
            DeadLetterNotFound: There is none of one of the ids.
        """
        request = dead_letter_service_pb2.RedriveDeadLettersRequest(subscription=subscription, ids=ids)
        response = await self._raw.dead_letters.RedriveDeadLetters(request, timeout=timeout)
        return response.count

    async def delete_dead_letters(self, subscription: str, ids: Iterable[str], *, timeout: float | None = None) -> int:
        """How many dead letters are deleted.

        Raises:
            DeadLetterNotFound: There is none of one of the ids.
        """
        request = dead_letter_service_pb2.DeleteDeadLettersRequest(subscription=subscription, ids=ids)
        response = await self._raw.dead_letters.DeleteDeadLetters(request, timeout=timeout)
        return response.count

    def attempts(
        self, subscription: str, *, event_id: str = "", page_size: int = 0, timeout: float | None = None
    ) -> AsyncIterator[Attempt]:
        """What a subscription's deliveries came to, or those of one event, newest first.

        It tells as much as the subscription's `attempt_records` keeps. `timeout` is for each page.
        """

        async def fetch(token: str) -> tuple[Sequence[Attempt], str]:
            request = dead_letter_service_pb2.ListAttemptsRequest(
                subscription=subscription, event_id=event_id, page_size=page_size, page_token=token
            )
            response = await self._raw.dead_letters.ListAttempts(request, timeout=timeout)
            return [wire.attempt(each) for each in response.attempts], response.next_page_token

        return Pages(fetch)
