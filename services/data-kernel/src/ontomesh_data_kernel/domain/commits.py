"""Committing, and reading the history."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import TypeVar

import orjson

from ontomesh_data_kernel.domain.caller import Caller
from ontomesh_data_kernel.domain.deciding import Attempt, Precheck, request_weight
from ontomesh_data_kernel.domain.drafting import Record
from ontomesh_data_kernel.domain.examining import examine_instances
from ontomesh_data_kernel.domain.identity import Clock, request_key
from ontomesh_data_kernel.domain.limits import (
    MAX_AUTHOR_BYTES,
    MAX_MESSAGE_BYTES,
    check_metadata,
    check_request_id,
    check_text,
    fitting,
    page_size,
)
from ontomesh_data_kernel.domain.locating import find, find_again, writable
from ontomesh_data_kernel.domain.model import (
    Commit,
    CommitPage,
    CommitRequest,
    Committed,
    OperationResult,
    VerifyProgress,
)
from ontomesh_data_kernel.domain.ontologies import OntologyCache
from ontomesh_data_kernel.domain.operations import parse_operations
from ontomesh_data_kernel.domain.paging import make_token, read_number, read_token
from ontomesh_data_kernel.domain.refs import parse_ref
from ontomesh_data_kernel.domain.steps import asked_steps
from ontomesh_data_kernel.domain.validators.hearing import Hearings
from ontomesh_data_kernel.domain.verifying import verify
from ontomesh_data_kernel.errors import BranchNotFound, InvalidRequest, KernelError
from ontomesh_data_kernel.ports import RequestKey, Store, Stored

T = TypeVar("T")

_IN_THREAD = 64
"""From this weight on, what needs no store is done in a thread: the event loop serves others meanwhile."""


class Commits:
    """Writing and reading commits."""

    def __init__(
        self,
        store: Store,
        ontologies: OntologyCache,
        clock: Clock,
        draw_id: Callable[[], str],
        hearings: Hearings | None = None,
    ) -> None:
        self._store = store
        self._ontologies = ontologies
        self._clock = clock
        self._draw_id = draw_id
        self._hearings = hearings

    async def create(self, caller: Caller, request: CommitRequest) -> Committed:
        """Commit operations and an ontology change as one atomic step."""
        record = record_of(caller, request.database, request.branch, request.author, request.message, request.metadata)
        check_request_id(request.request_id)
        if not request.operations and request.ontology is None:
            raise InvalidRequest.at("operations", "a commit has operations, an ontology change or both")
        weight = request_weight(request)
        parsed = await _off_loop(weight, lambda: parse_operations(request.operations))
        key = None if request.validate_only else await _off_loop(weight, lambda: _key(caller, request, record))
        attempt = Attempt(request, record, parsed, self._ontologies, self._clock, self._draw_id)
        await self._precheck(request, attempt)

        async def store() -> Stored:
            return await self._store.commit(
                request.database,
                record.branch,
                attempt.decide,
                request=key,
                weight=attempt.weight,
                dry_run=request.validate_only,
            )

        attempt.hearing = self._hearings.of(request.database, record) if self._hearings is not None else None
        stored = await (store() if attempt.hearing is None else attempt.hearing.through(store))
        return await committed(
            self._store, request.database, stored.reply, stored.draft.commit if stored.draft else None
        )

    async def _precheck(self, request: CommitRequest, attempt: Attempt) -> None:
        """Do what can be done before the transaction, under the ontology that the head is likely to have.

        What it refuses is refused for good unless the request has an id: it may have been answered before, under
        another ontology or before the branch was deleted, and then that answer stands.
        """
        guess = self._ontologies.last(request.database, attempt.branch) if request.ontology is None else None
        if guess is not None:
            try:
                attempt.precheck = await _off_loop(attempt.weight, lambda: attempt.prepare(guess))
            except KernelError:
                pass  # perhaps another ontology is in force by now: the store is asked
            else:
                return
        try:
            point = await self._store.resolve(request.database, parse_ref(attempt.branch))
        except BranchNotFound:
            if not request.request_id:
                raise
            return
        ontology = await self._ontologies.at(point)
        try:
            precheck = await _off_loop(attempt.weight, lambda: attempt.prepare(ontology))
            if precheck.revalidation is not None:
                precheck.examined = await examine_instances(self._store, point, precheck.revalidation)
                precheck.point = point
        except KernelError as error:
            if not request.request_id:
                raise
            attempt.precheck = Precheck(ontology, refused=error)
        else:
            attempt.precheck = precheck

    async def get(self, caller: Caller, database: str, ref: str) -> Commit:
        """Return the commit that a ref names."""
        point = await find(self._store, caller, database, ref)
        return await self._store.describe(database, point)

    async def list(
        self, caller: Caller, database: str, ref: str, first_parent: bool, page_size_: int, page_token: str
    ) -> CommitPage:
        """Return a page of the commits that a ref reaches, newest first."""
        size = page_size(page_size_)
        listing = ("commits", database, ref, first_parent)
        after: tuple[int, str] | None = None
        if page_token:
            start, time, last = read_token(listing, page_token, 3)
            point = await find_again(self._store, caller, database, ref, start)
            after = (read_number(time), last)
        else:
            point = await find(self._store, caller, database, ref)
        commits = await self._store.log(point, first_parent, after, size + 1)
        page = tuple(commits[: min(size, fitting(_bytes_of(commit) for commit in commits))])
        more = len(commits) > len(page)
        token = make_token(listing, point.commit, str(page[-1].time), page[-1].id) if more else ""
        return CommitPage(page, token)

    async def verify(self, caller: Caller, database: str, ref: str) -> AsyncGenerator[VerifyProgress]:
        """Recompute every hash that a ref reaches, and tell how far it has come."""
        point = await find(self._store, caller, database, ref)
        async with aclosing(verify(self._store, database, point)) as told:
            async for progress in told:
                yield progress


def _bytes_of(commit: Commit) -> int:
    return len(commit.message.encode()) + sum(len(key) + len(value.encode()) for key, value in commit.metadata.items())


def record_of(
    caller: Caller, database: str, branch: str, author: str, message: str, metadata: Mapping[str, str]
) -> Record:
    """Check what a caller says of a commit. Raises InvalidRequest, TooLarge, PermissionDenied, ForgedAuthor."""
    name = writable(caller, database, branch)
    check_text("message", message, MAX_MESSAGE_BYTES)
    check_metadata(metadata)
    asked = check_text("author", author or caller.author, MAX_AUTHOR_BYTES)
    named = caller.author_of(asked, database, name)
    return Record(name, named, caller.principal, message, metadata, caller.trace_id, caller.span_id)


def _key(caller: Caller, request: CommitRequest, record: Record) -> RequestKey | None:
    edit = request.ontology
    operations = tuple(
        (type(operation).__name__, *(getattr(operation, name) for name in operation.__slots__))
        for operation in request.operations
    )
    return request_key(
        caller.principal,
        request.request_id,
        "commit",
        record.branch,
        operations,
        ()
        if edit is None
        else (edit.schema, edit.replace, edit.remove, edit.expected_digest, *asked_steps(edit.migrations)),
        record.message,
        record.author,
        tuple(sorted(record.metadata.items())),
        request.expected_head,
    )


async def committed(store: Store, database: str, reply: bytes, commit: Commit | None) -> Committed:
    """The answer to a commit: of its draft, or of the reply that an earlier call left."""
    kept = orjson.loads(reply)
    if commit is None:
        point = await store.resolve(database, parse_ref(f"commit:{kept['commit']}"))
        commit = await store.describe(database, point)
    return Committed(commit, tuple(OperationResult(id, etag) for id, etag in kept["results"]))


async def _off_loop(weight: int, work: Callable[[], T]) -> T:
    return await asyncio.to_thread(work) if weight >= _IN_THREAD else work()
