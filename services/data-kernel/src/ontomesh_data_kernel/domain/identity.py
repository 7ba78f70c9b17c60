"""The id of a commit, and the digests that make writes idempotent."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from hashlib import blake2b

from ontomesh_data_kernel.domain.canonical import encode
from ontomesh_data_kernel.domain.limits import check_request_id
from ontomesh_data_kernel.domain.model import Commit
from ontomesh_data_kernel.ports import RequestKey

Clock = Callable[[], int]
"""Tells the time in microseconds since the epoch."""


def commit_id(commit: Commit, changes: Iterable[tuple[str, str | None]]) -> str:
    """The id of a commit that changed these (document id, etag or None if deleted) against its first parent.

    blake2b-256 over the canonical JSON of the record without its id and change count; `changes` are sorted by id.
    """
    record = {
        "author": commit.author,
        "branch": commit.branch,
        "changes": sorted([id, etag] for id, etag in changes),
        "committer": commit.committer,
        "message": commit.message,
        "metadata": dict(commit.metadata),
        "ontology": commit.ontology_digest,
        "parents": list(commit.parents),
        "time": commit.time,
        "trace": commit.trace_id,
    }
    return blake2b(encode(record), digest_size=32).hexdigest()


class ChangesHash:
    """The id of a commit of any number of changes, in one pass over them: it is as `commit_id` makes it.

    The changes of an author's commit on a branch are added in order of their ids; `identified` may then be asked more
    than once.
    """

    def __init__(self, author: str, branch: str) -> None:
        self.count = 0
        self._digest = blake2b(
            b'{"author":%s,"branch":%s,"changes":[' % (encode(author), encode(branch)), digest_size=32
        )

    def add(self, changes: Sequence[tuple[str, str | None]]) -> None:
        """Add changes, as (document id, etag or None if deleted)."""
        if changes:
            self._digest.update((b"," if self.count else b"") + encode(changes)[1:-1])
            self.count += len(changes)

    def identified(self, commit: Commit) -> Commit:
        """The commit, which has the author and the branch, with its id and its number of changes."""
        rest = {
            "committer": commit.committer,
            "message": commit.message,
            "metadata": dict(commit.metadata),
            "ontology": commit.ontology_digest,
            "parents": list(commit.parents),
            "time": commit.time,
            "trace": commit.trace_id,
        }
        digest = self._digest.copy()
        digest.update(b"]," + encode(rest)[1:])
        return replace(commit, id=digest.hexdigest(), change_count=self.count)


def identified(commit: Commit, changes: list[tuple[str, str | None]]) -> Commit:
    """The commit with its id and its number of changes."""
    return Commit(
        commit_id(commit, changes),
        commit.parents,
        commit.branch,
        commit.author,
        commit.committer,
        commit.message,
        commit.time,
        commit.metadata,
        commit.trace_id,
        commit.ontology_digest,
        len(changes),
        commit.span_id,
    )


def request_key(principal: str, request_id: str, *asked: object) -> RequestKey | None:
    """The key of an idempotent write, None without a request id; `asked` is all that the caller asked for."""
    if not request_id:
        return None
    return RequestKey(principal, check_request_id(request_id), _digest(asked).digest())


def digest_of(asked: object) -> str:
    """A digest of what a caller asked for, hexadecimal."""
    return _digest(asked).hexdigest()


def _digest(asked: object) -> blake2b:
    digest = blake2b(digest_size=32)
    _feed(digest.update, asked)
    return digest


def _feed(update: Callable[[bytes], None], value: object) -> None:
    """Digest a value so that different values give different bytes: each part with its kind and length."""
    if isinstance(value, tuple | list):
        update(b"(%d:" % len(value))
        for part in value:
            _feed(update, part)
    elif isinstance(value, bytes):
        update(b"b%d:" % len(value))
        update(value)
    else:
        text = f"{type(value).__name__} {value}".encode()
        update(b"s%d:" % len(text))
        update(text)


def increasing(clock: Clock) -> Clock:
    """A clock that never shows the same time twice."""
    last = 0

    def tell() -> int:
        nonlocal last
        last = max(last + 1, clock())
        return last

    return tell


def system_clock() -> int:
    """The system's time in microseconds since the epoch."""
    return time.time_ns() // 1_000
