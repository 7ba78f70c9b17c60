"""Having changes judged: all validators at once, each within its deadline, all within one budget."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ontomesh_data_kernel.domain.drafting import Record
from ontomesh_data_kernel.domain.validators.changed_paths import concerns
from ontomesh_data_kernel.domain.validators.model import (
    BuiltinCheck,
    Cause,
    Check,
    CheckFailed,
    FailurePolicy,
    Objection,
    Proposal,
    ProposedChange,
    Validator,
)
from ontomesh_data_kernel.errors import CommitRejected, ValidatorUnavailable
from ontomesh_data_kernel.ports import Checks

BUDGET_SECONDS = 30.0
MAX_OBJECTIONS = 100
MAX_PIECE_CHANGES = 1_000
MAX_PIECE_BYTES = 3 << 20
_IN_THREAD_BYTES = 64 << 10

logger = logging.getLogger(__name__)

Shown = Sequence[tuple[Validator, Sequence[ProposedChange]]]


@dataclass(slots=True)
class Session:
    """One attempt to commit: what all its calls say alike, and the seconds that are left for them."""

    id: str
    database: str
    record: Record
    is_merge: bool
    seconds: float = BUDGET_SECONDS
    shown: dict[str, int] = field(default_factory=dict)
    """Of validators that are shown a commit page by page, how many changes they were shown."""


class Judges:
    """Asks validators what they think of changes."""

    def __init__(self, checks: Checks, draw_id: Callable[[], str]) -> None:
        self._checks = checks
        self._draw_id = draw_id

    def session(self, database: str, record: Record, is_merge: bool = False) -> Session:
        """The session of an attempt to commit."""
        return Session(self._draw_id(), database, record, is_merge)

    async def judge(self, session: Session, head: str, shown: Shown, *, is_page: bool = False) -> list[int]:
        """Ask all validators at once; return how many changes each saw.

        What is a page of a commit has the whole budget to itself. Raises CommitRejected with what they object to, else
        ValidatorUnavailable.
        """
        if is_page:
            session.seconds = BUDGET_SECONDS
        began = time.monotonic()
        try:
            answers = await asyncio.gather(*(self._ask(session, head, one, changes) for one, changes in shown))
        finally:
            session.seconds -= time.monotonic() - began
        refuse(answers)
        if is_page:
            for answer in answers:
                session.shown[answer.validator.name] = session.shown.get(answer.validator.name, 0) + answer.changes
        return [answer.changes for answer in answers]

    async def _ask(self, session: Session, head: str, one: Validator, changes: Sequence[ProposedChange]) -> "Answer":
        heavy = sum(len(each.before or b"") + len(each.after or b"") for each in changes) > _IN_THREAD_BYTES
        seen = await asyncio.to_thread(_seen, one, changes) if heavy else _seen(one, changes)
        if not seen:
            return Answer(one)
        before = session.shown.get(one.name, 0)
        pieces = [_proposal(session, head, piece, before + earlier) for piece, earlier in _pieces(seen, one.check)]
        try:
            seconds = min(one.deadline / 1e6, session.seconds)
            if seconds <= 0:
                raise CheckFailed(Cause.DEADLINE, "the time of all validators together is over")
            objections = await self._checks.judge(one, pieces, seconds)
            return Answer(one, len(seen), tuple(objections[:MAX_OBJECTIONS]))
        except CheckFailed as failure:
            if one.failure_policy is FailurePolicy.REJECT:
                return Answer(one, len(seen), failure=failure)
            logger.warning("validator %s failed, and the commit goes on without it: %s", one.name, failure)
            return Answer(one, len(seen))


@dataclass(frozen=True, slots=True)
class Answer:
    """What one validator had to say of so many changes."""

    validator: Validator
    changes: int = 0
    objections: tuple[Objection, ...] = ()
    failure: CheckFailed | None = None


def refuse(answers: Sequence[Answer]) -> None:
    """Raise CommitRejected if any validator objects, else ValidatorUnavailable if one failed that must not."""
    objecting = [answer for answer in answers if answer.objections]
    if objecting:
        violations = [one.by(answer.validator.name) for answer in objecting for one in answer.objections]
        names = ",".join(answer.validator.name for answer in objecting)
        more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
        message = f"validators object to the commit: {violations[0].field}: {violations[0].description}{more}"
        raise CommitRejected(message, violations[:MAX_OBJECTIONS], {"validators": names})
    for answer in answers:
        if answer.failure is not None:
            raise ValidatorUnavailable.of(answer.validator.name, answer.failure.cause.value)


def _proposal(session: Session, head: str, changes: Sequence[ProposedChange], earlier: int) -> Proposal:
    record = session.record
    return Proposal(
        session.id,
        session.database,
        record.branch,
        record.author,
        record.committer,
        record.message,
        record.metadata,
        head,
        changes,
        session.is_merge,
        earlier,
    )


def _seen(one: Validator, changes: Sequence[ProposedChange]) -> Sequence[ProposedChange]:
    """The changes of those properties that the validator asks for; makes the paths that it will be shown."""
    paths = one.match.paths
    if paths:
        return [each for each in changes if any(concerns(path, asked) for path in each.touched for asked in paths)]
    if not isinstance(one.check, BuiltinCheck):
        for each in changes:
            _ = each.paths
    return changes


def _pieces(changes: Sequence[ProposedChange], check: Check) -> list[tuple[Sequence[ProposedChange], int]]:
    """The changes in pieces that fit a call, each with how many come before it."""
    pieces: list[tuple[Sequence[ProposedChange], int]] = []
    start = size = 0
    for index, one in enumerate(changes):
        weight = len(one.id) + len(one.before or b"") + len(one.after or b"")
        if not isinstance(check, BuiltinCheck):
            weight += sum(map(len, one.paths))
        if index > start and (index - start >= MAX_PIECE_CHANGES or size + weight > MAX_PIECE_BYTES):
            pieces.append((changes[start:index], start))
            start, size = index, 0
        size += weight
    return [*pieces, (changes[start:], start)]
