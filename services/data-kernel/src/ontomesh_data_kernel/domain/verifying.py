"""Verifying a history: every hash recomputed from what it vouches for."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing

from ontomesh_data_kernel.domain.canonical import document_hash
from ontomesh_data_kernel.domain.identity import commit_id
from ontomesh_data_kernel.domain.model import VerifyProblem, VerifyProgress
from ontomesh_data_kernel.domain.ontology import SCHEMA_PREFIX, Ontology
from ontomesh_data_kernel.errors import KernelError
from ontomesh_data_kernel.ports import HistoryEntry, Point, Store

MAX_PROBLEMS = 100


async def verify(store: Store, database: str, *points: Point) -> AsyncGenerator[VerifyProgress]:
    """Walk everything that points reach, and tell how far it has come. Raises CommitNotFound if it is deleted."""
    total = await store.count_history(*points)
    commits = documents = found = 0
    async with aclosing(store.history(*points)) as history:
        async for batch in history:
            problems = await asyncio.to_thread(_faults_of, batch)
            for entry in batch:
                if any(change.id.startswith(SCHEMA_PREFIX) for change in entry.changes):
                    problems += await _ontology_faults(store, entry)
            commits += len(batch)
            documents += sum(len(entry.changes) for entry in batch)
            shown = tuple(problems[: MAX_PROBLEMS - found])
            found += len(shown)
            yield VerifyProgress(commits, documents, total, shown, False)
            if found == MAX_PROBLEMS:
                break
    missing: tuple[VerifyProblem, ...] = ()
    if commits < total and found < MAX_PROBLEMS:
        await store.describe(database, points[0])
        missing = (VerifyProblem(points[0].commit, "", f"{total - commits} commits of its history are missing"),)
    yield VerifyProgress(commits, documents, total, missing, True)


def _faults_of(entries: Sequence[HistoryEntry]) -> list[VerifyProblem]:
    return [problem for entry in entries for problem in _faults(entry)]


def _faults(entry: HistoryEntry) -> Iterator[VerifyProblem]:
    commit = entry.commit
    for change in entry.changes:
        if (change.body is None) != (change.etag is None):
            yield VerifyProblem(commit.id, change.id, "has a body without a hash, or a hash without a body")
        elif change.body is not None and document_hash(change.body).hex() != change.etag:
            yield VerifyProblem(commit.id, change.id, "its body does not match its hash")
    changed = [(change.id, change.etag) for change in entry.changes if change.etag != change.before]
    if commit.parents != entry.parents:
        yield VerifyProblem(commit.id, "", "its parents' own ids are not those it names")
    if len(changed) != commit.change_count:
        yield VerifyProblem(commit.id, "", f"changes {len(changed)} documents where it says {commit.change_count}")
    if commit_id(commit, changed) != commit.id:
        yield VerifyProblem(commit.id, "", "its id is not the hash of its record and changes")
    changes_ontology = any(change.id.startswith(SCHEMA_PREFIX) for change in entry.changes)
    if entry.parents and commit.ontology_digest != entry.parent_digest and not changes_ontology:
        yield VerifyProblem(commit.id, "", "its ontology differs from its parent's without a change of it")


async def _ontology_faults(store: Store, entry: HistoryEntry) -> list[VerifyProblem]:
    try:
        elements = await store.read_ontology(entry.point)
        digest = (await asyncio.to_thread(Ontology.from_documents, elements)).digest
    except KernelError as error:
        return [VerifyProblem(entry.commit.id, "", f"its ontology cannot be read: {error.message}")]
    if digest == entry.commit.ontology_digest:
        return []
    return [VerifyProblem(entry.commit.id, "", "its ontology's digest does not match its elements")]
