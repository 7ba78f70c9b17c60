"""Rendering the domain's nouns as JSON; bodies of documents go out as they are stored."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from fastapi import Response

from ontomesh_data_kernel.domain import model

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
COMMIT_HEADER = "Ontomesh-Commit"


def answer(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(orjson.dumps(value), status, dict(headers or {}), "application/json")


def versioned(value: object, etag: str, commit: str = "", *, is_known: bool = False) -> Response:
    """What a read answers: 304 without the value where the caller knows the etag."""
    headers = {"ETag": f'"{etag}"'} | ({COMMIT_HEADER: commit} if commit else {})
    return Response(status_code=304, headers=headers) if is_known else answer(value, headers=headers)


def raw(body: bytes | None) -> object:
    """JSON as stored; null where there is none."""
    return orjson.Fragment(body) if body is not None else None


def time(microseconds: int) -> str:
    """RFC 3339 in UTC with microseconds."""
    moment = _EPOCH + timedelta(microseconds=microseconds)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{microseconds % 1_000_000:06d}Z"


def database(one: model.Database) -> dict[str, Any]:
    """A database."""
    return {
        "name": one.name,
        "description": one.description,
        "create_time": time(one.create_time),
        "etag": one.etag,
    }


def database_page(page: model.DatabasePage) -> dict[str, Any]:
    """A page of databases."""
    return {"databases": [database(one) for one in page.databases], "next_page_token": page.next_page_token}


def branch(one: model.Branch) -> dict[str, Any]:
    """A branch."""
    return {
        "name": one.name,
        "head": one.head,
        "create_time": time(one.create_time),
        "update_time": time(one.update_time),
    }


def branch_page(page: model.BranchPage) -> dict[str, Any]:
    """A page of branches."""
    return {"branches": [branch(one) for one in page.branches], "next_page_token": page.next_page_token}


def ontology(one: model.OntologyAt) -> dict[str, Any]:
    """The ontology at a commit."""
    return {"schema": raw(one.schema), "digest": one.digest, "commit": one.commit}


def class_schema(one: model.ClassSchemaAt) -> object:
    """A class as JSON Schema, by itself: what a `$schema` or a `$ref` may point to."""
    return raw(one.schema)


def commit(one: model.Commit) -> dict[str, Any]:
    """A commit."""
    return {
        "id": one.id,
        "parents": one.parents,
        "branch": one.branch,
        "author": one.author,
        "committer": one.committer,
        "message": one.message,
        "create_time": time(one.time),
        "metadata": dict(one.metadata),
        "trace_id": one.trace_id,
        "ontology_digest": one.ontology_digest,
        "change_count": one.change_count,
    }


def commit_page(page: model.CommitPage) -> dict[str, Any]:
    """A page of a log."""
    return {"commits": [commit(one) for one in page.commits], "next_page_token": page.next_page_token}


def resolved(one: model.ResolvedRef) -> dict[str, Any]:
    """What a ref names."""
    return {"commit": commit(one.commit), "branch": one.branch}


def committed(one: model.Committed) -> dict[str, Any]:
    """A commit and what became of its operations."""
    return {
        "commit": commit(one.commit),
        "results": [{"id": result.id, "etag": result.etag} for result in one.results],
    }


def written(one: model.Committed) -> dict[str, Any]:
    """A commit of one operation, and the document that it concerned."""
    result = one.results[0]
    return {"id": result.id, "etag": result.etag, "commit": commit(one.commit)}


def document(one: model.Document) -> dict[str, Any]:
    """A document with its body as stored."""
    return {"id": one.id, "etag": one.etag, "body": raw(one.body)}


def document_page(page: model.DocumentPage) -> dict[str, Any]:
    """A page of documents of one commit."""
    found = [document(one) for one in page.documents]
    return {"documents": found, "next_page_token": page.next_page_token, "commit": page.commit}


def document_batch(batch: model.DocumentBatch) -> dict[str, Any]:
    """Documents by their ids, and the ids that there are not."""
    found = [document(one) for one in batch.documents]
    return {"documents": found, "missing_ids": batch.missing, "commit": batch.commit}


def document_diff(one: model.DocumentDiff) -> dict[str, Any]:
    """One document that differs; bodies only where they were asked for."""

    def side(version: model.Document | None) -> dict[str, Any] | None:
        if version is None:
            return None
        return {"id": version.id, "etag": version.etag, **({"body": raw(version.body)} if version.body else {})}

    return {
        "id": one.id,
        "kind": one.kind.value,
        "before": side(one.before),
        "after": side(one.after),
        "properties": [
            {"name": part.name, "before": raw(part.before), "after": raw(part.after)} for part in one.properties
        ],
    }


def diff_page(page: model.DiffPage) -> dict[str, Any]:
    """A page of differences."""
    return {
        "documents": [document_diff(one) for one in page.documents],
        "next_page_token": page.next_page_token,
        "base_commit": page.base_commit,
        "target_commit": page.target_commit,
        "total_size": page.total_size,
    }


def conflict(one: model.Conflict) -> dict[str, Any]:
    """One conflict of a merge."""
    return {
        "id": one.id,
        "property": one.property,
        "kind": one.kind.value,
        "base": raw(one.base),
        "ours": raw(one.ours),
        "theirs": raw(one.theirs),
    }


def conflict_page(page: model.ConflictPage) -> dict[str, Any]:
    """A page of conflicts."""
    found = [conflict(one) for one in page.conflicts]
    return {"conflicts": found, "next_page_token": page.next_page_token, "total_size": page.total_size}


def merged(one: model.MergeResult) -> dict[str, Any]:
    """How a merge ended."""
    return {
        "outcome": one.outcome.value,
        "commit": commit(one.commit) if one.commit is not None else None,
        "conflicts": [conflict(part) for part in one.conflicts],
        "conflict_count": one.conflict_count,
        "base_commits": one.base_commits,
        "ours_commit": one.ours_commit,
        "theirs_commit": one.theirs_commit,
    }


def progress(one: model.VerifyProgress) -> bytes:
    """How far a verification has come, as a line of JSON."""
    value = {
        "commits": one.commits,
        "documents": one.documents,
        "total_commits": one.total_commits,
        "problems": [{"commit": part.commit, "id": part.id, "description": part.description} for part in one.problems],
        "done": one.done,
    }
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)
