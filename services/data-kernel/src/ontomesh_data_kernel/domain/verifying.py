"""Verifying a history: every hash recomputed from what it vouches for."""

from collections.abc import AsyncIterator, Iterator

from ontomesh_data_kernel.domain.canonical import document_hash
from ontomesh_data_kernel.domain.identity import commit_id
from ontomesh_data_kernel.domain.model import VerifyProblem, VerifyProgress
from ontomesh_data_kernel.domain.ontology import SCHEMA_PREFIX, Ontology
from ontomesh_data_kernel.errors import KernelError
from ontomesh_data_kernel.ports import HistoryEntry, Point, Store

MAX_PROBLEMS = 100
_REPORT_EVERY = 200


async def verify(store: Store, database: str, point: Point) -> AsyncIterator[VerifyProgress]:
    """Walk everything that a point reaches, and tell how far it has come."""
    total = await store.count_history(point)
    commits = documents = found = 0
    fresh: list[VerifyProblem] = []
    async for entry in store.history(point):
        commits += 1
        documents += len(entry.changes)
        problems = list(_faults(entry))
        if any(change.id.startswith(SCHEMA_PREFIX) for change in entry.changes):
            problems += await _ontology_faults(store, entry)
        fresh += problems[: MAX_PROBLEMS - found]
        found += len(problems)
        if found >= MAX_PROBLEMS:
            break
        if commits % _REPORT_EVERY == 0:
            yield VerifyProgress(commits, documents, total, tuple(fresh), False)
            fresh = []
    if commits < total and found < MAX_PROBLEMS:
        fresh.append(VerifyProblem(point.commit, "", f"{total - commits} commits of its history are missing"))
    yield VerifyProgress(commits, documents, total, tuple(fresh), True)


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
        digest = Ontology.from_documents(await store.read_ontology(entry.point)).digest
    except KernelError as error:
        return [VerifyProblem(entry.commit.id, "", f"its ontology cannot be read: {error.message}")]
    if digest == entry.commit.ontology_digest:
        return []
    return [VerifyProblem(entry.commit.id, "", "its ontology's digest does not match its elements")]
