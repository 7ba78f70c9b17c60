"""Dead letters and the account of deliveries: listing, redriving, deleting."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ontomesh_event_gateway.domain.attempts import Attempt, AttemptOutcome, AttemptPage
from ontomesh_event_gateway.domain.caller import Caller
from ontomesh_event_gateway.domain.catalog import Catalog
from ontomesh_event_gateway.domain.consuming import require_consume, require_owner
from ontomesh_event_gateway.domain.model import Outcome, Result
from ontomesh_event_gateway.domain.paging import MAX_BYTES, make_token, page_size, read_token
from ontomesh_event_gateway.domain.publishing import Draft, Wishes
from ontomesh_event_gateway.domain.rights import attempt_gate, gate
from ontomesh_event_gateway.domain.spooling import REFUSED_SUBSCRIPTION
from ontomesh_event_gateway.domain.subscription import is_name
from ontomesh_event_gateway.errors import DeadLetterNotFound, InvalidPageToken, InvalidRequest, PermissionDenied
from ontomesh_event_gateway.ports import AttemptLog, DeadLetter, DeadLetterStore

MAX_IDS = 1_000
_SCAN = 200
_TOGETHER = 32
_MAX_DIGITS = 18


class Publish(Protocol):
    """What publishes again what was refused."""

    async def publish(self, caller: Caller, drafts: Sequence[Draft], wishes: Wishes) -> list[Result]:
        """A result for each event."""


@dataclass(frozen=True, slots=True)
class DeadLetterPage:
    """Dead letters, oldest first."""

    dead_letters: tuple[DeadLetter, ...]
    next_page_token: str


class DeadLetters:
    """The domain of `DeadLetterService`."""

    def __init__(self, catalog: Catalog, store: DeadLetterStore, attempts: AttemptLog, publishing: Publish) -> None:
        self._catalog = catalog
        self._store = store
        self._attempts = attempts
        self._publishing = publishing

    async def list(self, caller: Caller, subscription: str, asked: int, page_token: str) -> DeadLetterPage:
        """A page of dead letters."""
        self._require(caller, subscription)
        size = page_size(asked)
        listing = ("dead letters", subscription)
        after = _number(read_token(listing, page_token)) if page_token else 0
        found = await self._store.list(subscription, after, size + 1, MAX_BYTES)
        seen = found.letters[:size]
        more = found.more or len(found.letters) > size
        page = seen
        if subscription != REFUSED_SUBSCRIPTION:
            may_get = gate(caller.rights, subscription)
            page = [letter for letter in seen if may_get(letter.event)]
        return DeadLetterPage(tuple(page), make_token(listing, seen[-1].id) if more and seen else "")

    async def redrive(self, caller: Caller, subscription: str, ids: Sequence[str]) -> int:
        """Delivers dead letters again, all for no ids; returns how many."""
        self._require(caller, subscription, "redrive dead letters")
        _check_ids(ids)
        letters = await self._letters(subscription, ids) if ids else None
        if subscription == REFUSED_SUBSCRIPTION:
            return await self._each(subscription, letters, lambda letter: self._publish_again(caller, letter))
        return await self._each(subscription, letters, self._redrive)

    async def delete(self, caller: Caller, subscription: str, ids: Sequence[str]) -> int:
        """Deletes dead letters; returns how many."""
        self._require(caller, subscription, "delete dead letters")
        if not ids:
            raise InvalidRequest.at("ids", "are none")
        _check_ids(ids)
        letters = await self._letters(subscription, ids)
        return await self._each(subscription, letters, self._store.delete)

    async def attempts(
        self, caller: Caller, subscription: str, event_id: str, asked: int, page_token: str
    ) -> AttemptPage:
        """A page of attempts, newest first."""
        self._require(caller, subscription)
        size = page_size(asked)
        listing = ("attempts", subscription, event_id)
        before = _number(read_token(listing, page_token)) if page_token else 0
        found, goes_on = await self._attempts.list(subscription, event_id, before, size)
        may_know = attempt_gate(caller.rights)
        if subscription != REFUSED_SUBSCRIPTION:
            found = [attempt for attempt in found if may_know(attempt)]
        return AttemptPage(tuple(found), make_token(listing, str(goes_on)) if goes_on else "")

    def _require(self, caller: Caller, subscription: str, act: str = "") -> None:
        if subscription == REFUSED_SUBSCRIPTION:
            if not caller.rights.allows_everywhere("admin"):
                raise PermissionDenied(
                    f"{caller.principal} lacks the right to administer what was refused",
                    (),
                    {"principal": caller.principal, "right": "admin", "subscription": subscription},
                )
            return
        if not is_name(subscription):
            raise InvalidRequest.at("subscription", "is no subscription's name")
        require_consume(caller, subscription)
        one = self._catalog.get(subscription)
        if act:
            require_owner(caller, one, act)

    async def _letters(self, subscription: str, ids: Sequence[str]) -> Sequence[DeadLetter]:
        letters = []
        for start in range(0, len(ids), _TOGETHER):
            some = ids[start : start + _TOGETHER]
            found = await asyncio.gather(*(self._store.get(subscription, id_) for id_ in some))
            for id_, letter in zip(some, found, strict=True):
                if letter is None:
                    message = f"subscription {subscription!r} has no dead letter {id_!r}"
                    raise DeadLetterNotFound(message, (), {"subscription": subscription, "dead_letter": id_})
                letters.append(letter)
        return letters

    async def _each(
        self,
        subscription: str,
        letters: Sequence[DeadLetter] | None,
        act: Callable[[DeadLetter], Coroutine[Any, Any, bool]],
    ) -> int:
        """Acts on dead letters, or on all that there are now, in order; returns for how many it was done."""
        if letters is not None:
            return await _in_order(letters, act)
        count, after, end = 0, 0, await self._store.last(subscription)
        while after < end:
            found = await self._store.list(subscription, after, _SCAN, MAX_BYTES)
            some = [letter for letter in found.letters if int(letter.id) <= end]
            if not some:
                break
            count += await _in_order(some, act)
            after = int(some[-1].id)
        return count

    async def _redrive(self, letter: DeadLetter) -> bool:
        sequence = await self._store.redrive(letter)
        now = time.time_ns() // 1000
        self._attempts.record(
            Attempt(
                subscription=letter.subscription,
                event_id=letter.event.id,
                event_source=letter.event.source,
                event_type=letter.event.type,
                sequence=sequence,
                attempt=letter.attempts,
                outcome=AttemptOutcome.REDRIVEN,
                start_time=now,
                end_time=now,
            )
        )
        return await self._store.delete(letter)

    async def _publish_again(self, caller: Caller, letter: DeadLetter) -> bool:
        (result,) = await self._publishing.publish(caller, [Draft(letter.event)], Wishes(require_stored=True))
        if result.outcome in {Outcome.STORED, Outcome.DUPLICATE}:
            return await self._store.delete(letter)
        if result.outcome is Outcome.FAILED and result.error is not None:
            raise result.error
        return False


async def _in_order(letters: Sequence[DeadLetter], act: Callable[[DeadLetter], Coroutine[Any, Any, bool]]) -> int:
    count = 0
    for start in range(0, len(letters), _TOGETHER):
        # What is sent together goes in the order of the calls.
        done = await asyncio.gather(*(act(letter) for letter in letters[start : start + _TOGETHER]))
        count += sum(done)
    return count


def _check_ids(ids: Sequence[str]) -> None:
    if len(ids) > MAX_IDS:
        raise InvalidRequest.at("ids", f"are more than {MAX_IDS:,}")
    if len(set(ids)) < len(ids):
        raise InvalidRequest.at("ids", "hold one twice")


def _number(position: str) -> int:
    if not (position.isascii() and position.isdigit() and len(position) <= _MAX_DIGITS):
        raise InvalidPageToken.at("page_token", "was not issued by this method for these arguments")
    return int(position)
