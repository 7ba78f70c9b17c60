"""What a commit tells the world: an event for each document and each element of the ontology that it changed.

Everything of an event follows from its commit, so that it is the same however often it is made.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any
from urllib.parse import quote

import orjson

from ontomesh_data_kernel.domain.drafting import class_of
from ontomesh_data_kernel.domain.model import Commit, KernelEvent
from ontomesh_data_kernel.domain.ontology import SCHEMA_PREFIX, Ontology
from ontomesh_data_kernel.domain.properties import property_changes, split
from ontomesh_data_kernel.ports import LineChange

DOCUMENT_TYPE = "ontomesh.document."
"""How the types of events of documents begin; the class follows."""
ONTOLOGY_TYPE = "ontomesh.ontology.changed"
INLINE_BYTES = 64 << 10
"""Bodies up to this size are in their events."""
CHANGED_BYTES = 64 << 10
"""Of the paths that changed, so many are in an event as fit in about this."""

_MAX_ID_BYTES = 1_024
_PATH_BYTES = 3
_TRACE_DIGITS = 32


@dataclass(frozen=True, slots=True)
class Origin:
    """A commit as its events bear it, with the ontologies at it and before it."""

    database: str
    branch: str
    commit: Commit
    ontology: Ontology
    ontology_before: Ontology

    def is_silent(self, change: LineChange) -> bool:
        """Whether there is no event of a change: the class wants none, or the document was indexed anew only."""
        if change.body == change.before:
            return True
        return not change.id.startswith(SCHEMA_PREFIX) and class_of(change.id) in self._holder(change).hierarchy.silent

    def event(self, change: LineChange) -> KernelEvent:
        """The event of a change that is not silent."""
        commit, place = self.commit, f"{self.database}/{self.branch}"
        operation = "delete" if change.body is None else "insert" if change.before is None else "replace"
        attributes = {
            "database": self.database,
            "branch": self.branch,
            "operation": operation,
            "commit": commit.id,
            "author": commit.author,
            "partitionkey": place,
        }
        data: dict[str, Any] = {"id": change.id}
        kind = ONTOLOGY_TYPE
        if not change.id.startswith(SCHEMA_PREFIX):
            name = data["class"] = attributes["class"] = class_of(change.id)
            kind = DOCUMENT_TYPE + name
            if ancestors := sorted(self._holder(change).ancestors(name) - {name}):
                attributes["ancestors"] = " ".join(ancestors)
        changed, is_whole = _fitting(changed_paths(change.before, change.body))
        data |= {"operation": operation, "changed": changed, "commit": commit.id, "etag": change.etag}
        if not is_whole:
            data["changed_omitted"] = True
        if change.body is not None and len(change.body) <= INLINE_BYTES:
            data["document"] = orjson.Fragment(change.body)
        elif change.body is not None:
            data["document_omitted"] = True
        trace = traceparent(commit)
        if trace:
            attributes["traceparent"] = trace
        return KernelEvent(
            id=_id(f"{place}/{commit.id}/", change.id),
            type=kind,
            source=_source(self.database, self.branch),
            subject=change.id,
            time=commit.time,
            data=orjson.dumps(data),
            commit=commit.id,
            traceparent=trace,
            is_sampled=bool(trace and commit.span_id),
            attributes=attributes,
        )

    def _holder(self, change: LineChange) -> Ontology:
        """The ontology that has the document's class: the commit may have taken both away."""
        return self.ontology if change.body is not None else self.ontology_before


@lru_cache(maxsize=4096)
def _source(database: str, branch: str) -> str:
    return f"/databases/{quote(database, safe='')}/branches/{quote(branch, safe='')}"


def _id(place: str, id: str) -> str:
    """The event's id; of one that would be too long, the document's id is cut and closed with its digest."""
    room = _MAX_ID_BYTES - len(place.encode())
    if len(id.encode()) <= room:
        return place + id
    digest = blake2b(id.encode(), digest_size=16).hexdigest()
    return f"{place}{id.encode()[: room - len(digest) - 1].decode(errors='ignore')}~{digest}"


def traceparent(commit: Commit) -> str:
    """The W3C context in which a commit was made; without a span of its own, part of its id stands for one."""
    trace = commit.trace_id
    if len(trace) != _TRACE_DIGITS or trace.strip("0123456789abcdef") or not trace.strip("0"):
        return ""
    span = commit.span_id or commit.id[:16]
    return f"00-{trace}-{span}-{'01' if commit.span_id else '00'}" if span.strip("0") else ""


def changed_paths(before: bytes | None, after: bytes | None) -> Iterator[str]:
    """Iterate over the paths that differ between two canonical bodies, in order: dotted through subdocuments that both
    have; without one of the bodies, the other's properties.
    """
    if before is None or after is None:
        yield from (name for name in orjson.loads(after or before or b"{}") if not name.startswith("@"))
        return
    yield from _between(before, after, "")


def _fitting(paths: Iterator[str]) -> tuple[list[str], bool]:
    """The first of the paths, and whether these are all: through subdocuments they may be far longer than the bodies."""
    found: list[str] = []
    size = 0
    for path in paths:
        size += len(path) + _PATH_BYTES
        if size > CHANGED_BYTES:
            return found, False
        found.append(path)
    return found, True


def _between(before: bytes, after: bytes, within: str) -> Iterator[str]:
    for name, was, becomes in property_changes(before, after):
        path = within + name
        if name != "@type" and was is not None and becomes is not None and _is_one(was, becomes):
            yield from _between(was, becomes, f"{path}.")
        elif name != "@type" or not within:
            yield path


def _is_one(before: bytes, after: bytes) -> bool:
    """Whether both are subdocuments of one class."""
    if not (before.startswith(b"{") and after.startswith(b"{")):
        return False
    return split(before).get("@type") == split(after).get("@type")
