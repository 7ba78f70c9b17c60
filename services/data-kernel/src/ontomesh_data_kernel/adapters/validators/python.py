"""Validators that are functions of installed distributions, each call in a daemon thread of its own.

A call that does not return in time keeps its thread, which cannot be ended, and its place: of four.
"""

import asyncio
import inspect
import threading
from collections.abc import AsyncIterable, Callable, Iterable, Sequence
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from itertools import islice
from typing import Any

from ontomesh.sdk import validation
from ontomesh_data_kernel.domain.validators.judging import MAX_OBJECTIONS
from ontomesh_data_kernel.domain.validators.model import Cause, CheckFailed, Objection, Proposal, PythonCheck
from ontomesh_data_kernel.errors import InvalidRequest

GROUP = "ontomesh.validators"
MAX_CALLS = 4

Find = Callable[[str], EntryPoint | None]


def installed(name: str) -> EntryPoint | None:
    """The entry point of a name, None if nothing installed has one."""
    return next(iter(entry_points(group=GROUP, name=name)), None)


@dataclass(slots=True)
class _Calls:
    """The calls of one validator that have not returned; `late` are those that nobody waits for any more."""

    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_CALLS))
    late: int = 0


class PythonChecks:
    """Calls functions."""

    def __init__(self, find: Find = installed) -> None:
        self._find = find
        self._functions: dict[str, validation.Validate] = {}
        self._calls: dict[str, _Calls] = {}

    def examine(self, check: PythonCheck) -> None:
        """Refuse a function that is not installed here. Raises InvalidRequest."""
        if self._find(check.entry_point) is None:
            words = f"nothing that is installed with the kernel has the entry point {check.entry_point!r} in {GROUP}"
            raise InvalidRequest.at("validator.python.entry_point", words)

    async def judge(self, name: str, check: PythonCheck, pieces: Sequence[Proposal]) -> list[Objection]:
        """What the function objects to. Raises CheckFailed; the caller sets a time limit."""
        calls = self._calls.setdefault(name, _Calls())
        if calls.late >= MAX_CALLS:
            raise CheckFailed(Cause.ERROR, f"{calls.late} calls of it have not returned yet")
        call = _Call(lambda: self._function(check.entry_point), [_proposal(name, check, one) for one in pieces])
        await calls.slots.acquire()
        return await call.run(calls)

    def _function(self, name: str) -> validation.Validate:
        function = self._functions.get(name)
        if function is None:
            found = self._find(name)
            if found is None:
                raise CheckFailed(Cause.ERROR, f"nothing installed has the entry point {name!r}")
            function = self._functions[name] = found.load()
        return function


class _Call:
    """One call in its thread."""

    def __init__(self, load: Callable[[], validation.Validate], proposals: Sequence[validation.Proposal]) -> None:
        self._load = load
        self._proposals = proposals
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[list[Objection]] = self._loop.create_future()
        self._inner: tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]] | None = None
        self._is_late = False

    async def run(self, calls: _Calls) -> list[Objection]:
        """Start the thread, and return what it gives. Its slot is free once it has ended, whenever that is."""

        def ended(outcome: list[Objection] | BaseException) -> None:
            calls.slots.release()
            calls.late -= self._is_late
            if self._future.done():
                return
            if isinstance(outcome, list):
                self._future.set_result(outcome)
            else:
                self._future.set_exception(outcome)

        context = copy_context()
        try:
            threading.Thread(target=context.run, args=(self._work, ended), daemon=True, name="validator").start()
        except RuntimeError as error:
            calls.slots.release()
            raise CheckFailed(Cause.ERROR, f"no thread for it: {error}") from None
        try:
            return await self._future
        except asyncio.CancelledError:
            if not self._future.cancelled():
                raise  # it has just returned
            self._is_late = True
            calls.late += 1
            inner = self._inner
            if inner is not None:
                with suppress(RuntimeError):  # it has ended by now
                    inner[0].call_soon_threadsafe(inner[1].cancel)
            raise

    def _work(self, ended: Callable[[list[Objection] | BaseException], None]) -> None:
        outcome: list[Objection] | BaseException
        try:
            outcome = self._judge()
        except CheckFailed as failure:
            outcome = failure
        except BaseException as error:  # noqa: BLE001 - whatever it raises is its failure, and ends no thread of others
            outcome = CheckFailed(Cause.ERROR, _told(error))
        with suppress(RuntimeError):  # the kernel has ended by now
            self._loop.call_soon_threadsafe(ended, outcome)

    def _judge(self) -> list[Objection]:
        validate = self._load()
        objections: list[Objection] = []
        for proposal in self._proposals:
            made = validate(proposal)
            if inspect.isawaitable(made) or isinstance(made, AsyncIterable):
                made = asyncio.run(self._awaited(made))
            objections += _objections(made)
            if len(objections) >= MAX_OBJECTIONS or self._is_late:
                break
        return objections

    async def _awaited(self, made: Any) -> validation.Objections:
        task = asyncio.current_task()
        assert task is not None
        self._inner = (asyncio.get_running_loop(), task)
        if inspect.isawaitable(made):
            made = await made
        if isinstance(made, AsyncIterable):
            return [one async for one in made]
        return made  # type: ignore[no-any-return]


def _told(error: BaseException) -> str:
    """An error in words; its own may fail in turn."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - whatever it raises
        return type(error).__name__


def _objections(given: validation.Objections) -> list[Objection]:
    """At most as many as are kept. Raises CheckFailed for what are none."""
    if given is None:
        return []
    if not isinstance(given, Iterable):
        raise CheckFailed(Cause.ERROR, f"it gave {type(given).__name__} where objections are due")
    found = []
    for one in islice(given, MAX_OBJECTIONS):
        if not isinstance(one, validation.Objection):
            raise CheckFailed(Cause.ERROR, f"it gave {type(one).__name__} where an Objection is due")
        found.append(Objection(str(one.description), str(one.id), str(one.path)))
    return found


def _proposal(name: str, check: PythonCheck, proposal: Proposal) -> validation.Proposal:
    return validation.Proposal(
        name,
        proposal.attempt_id,
        proposal.database,
        proposal.branch,
        proposal.author,
        proposal.committer,
        proposal.message,
        dict(proposal.metadata),
        proposal.head,
        tuple(
            validation.ProposedChange(one.id, one.classes, one.before, one.after, one.paths) for one in proposal.changes
        ),
        proposal.is_merge,
        dict(check.parameters),
    )
