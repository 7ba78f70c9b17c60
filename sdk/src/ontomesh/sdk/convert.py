"""Between the contract's messages and the SDK's own values."""

import json
from collections.abc import Iterable
from datetime import UTC
from typing import Any, Literal

from ontomesh.kernel.v1 import (
    branch_pb2,
    commit_pb2,
    commit_service_pb2,
    database_pb2,
    diff_pb2,
    document_pb2,
    import_service_pb2,
    merge_pb2,
    merge_service_pb2,
    ontology_pb2,
    ontology_service_pb2,
    query_pb2,
    query_service_pb2,
)
from ontomesh.sdk.decoding import decode
from ontomesh.sdk.encoding import encode, encode_list
from ontomesh.sdk.migrations import message_of
from ontomesh.sdk.operations import Body, Delete, OntologyChange, Replace, Resolution, Side, Update
from ontomesh.sdk.resources import (
    MISSING,
    Branch,
    ClassSchema,
    Commit,
    Committed,
    Conflict,
    Database,
    Document,
    DocumentDiff,
    Import,
    ImportFault,
    MergeResult,
    Missing,
    Ontology,
    OntologyCheck,
    OntologyDifference,
    OntologyViolation,
    OperationResult,
    Problem,
    PropertyDiff,
    QueryPage,
    QueryPlan,
    VerifyProgress,
)

DiffKind = Literal["added", "changed", "removed"]
ConflictKind = Literal["both_changed", "both_added", "deleted_by_ours", "deleted_by_theirs"]
DifferenceKind = Literal["added", "removed", "weakened", "strengthened", "noted", "migrated"]
Outcome = Literal["merged", "up_to_date", "conflicts"]

SIDES: dict[Side, merge_pb2.MergeSide.ValueType] = {
    "ours": merge_pb2.MERGE_SIDE_OURS,
    "theirs": merge_pb2.MERGE_SIDE_THEIRS,
    "base": merge_pb2.MERGE_SIDE_BASE,
}
_MODES = {
    "upsert": ontology_pb2.OntologyChange.MODE_UPSERT,
    "replace": ontology_pb2.OntologyChange.MODE_REPLACE,
}
_DIFF_KINDS: dict[int, DiffKind] = {
    diff_pb2.DocumentDiff.KIND_ADDED: "added",
    diff_pb2.DocumentDiff.KIND_CHANGED: "changed",
    diff_pb2.DocumentDiff.KIND_REMOVED: "removed",
}
_CONFLICT_KINDS: dict[int, ConflictKind] = {
    merge_pb2.Conflict.KIND_BOTH_CHANGED: "both_changed",
    merge_pb2.Conflict.KIND_BOTH_ADDED: "both_added",
    merge_pb2.Conflict.KIND_DELETED_BY_OURS: "deleted_by_ours",
    merge_pb2.Conflict.KIND_DELETED_BY_THEIRS: "deleted_by_theirs",
}
_OUTCOMES: dict[int, Outcome] = {
    merge_service_pb2.MergeResponse.OUTCOME_MERGED: "merged",
    merge_service_pb2.MergeResponse.OUTCOME_UP_TO_DATE: "up_to_date",
    merge_service_pb2.MergeResponse.OUTCOME_CONFLICTS: "conflicts",
}


_DIFFERENCE_KINDS: dict[int, DifferenceKind] = {
    ontology_service_pb2.OntologyDifference.KIND_ADDED: "added",
    ontology_service_pb2.OntologyDifference.KIND_REMOVED: "removed",
    ontology_service_pb2.OntologyDifference.KIND_WEAKENED: "weakened",
    ontology_service_pb2.OntologyDifference.KIND_STRENGTHENED: "strengthened",
    ontology_service_pb2.OntologyDifference.KIND_NOTED: "noted",
    ontology_service_pb2.OntologyDifference.KIND_MIGRATED: "migrated",
}


def database(message: database_pb2.Database) -> Database:
    """A database's record."""
    return Database(message.name, message.description, message.create_time.ToDatetime(UTC), message.etag)


def branch(message: branch_pb2.Branch) -> Branch:
    """A branch."""
    created, updated = message.create_time.ToDatetime(UTC), message.update_time.ToDatetime(UTC)
    return Branch(message.name, message.head, created, updated)


def document(message: document_pb2.Document, commit: str) -> Document:
    """A document as of a commit."""
    return Document(message.id, message.etag, commit, message.body)


def query_documents(
    message: query_service_pb2.QueryDocumentsResponse | query_service_pb2.StreamQueryResponse,
) -> tuple[Document, ...]:
    """The documents of a page, each with what the page includes."""
    included = {each.id: document(each, message.commit) for each in message.included}
    return tuple(Document(each.id, each.etag, message.commit, each.body, included) for each in message.documents)


def query_page(message: query_service_pb2.QueryDocumentsResponse) -> QueryPage:
    """A page of the documents that match."""
    included = {each.id: document(each, message.commit) for each in message.included}
    return QueryPage(query_documents(message), included, message.next_page_token, message.commit)


def query_plan(message: query_pb2.QueryPlan) -> QueryPlan:
    """How a query is served."""
    return QueryPlan(tuple(message.access), message.reads, message.reads_more, message.residual, message.sorts)


def commit(message: commit_pb2.Commit) -> Commit:
    """A commit's record."""
    return Commit(
        id=message.id,
        parents=tuple(message.parents),
        branch=message.branch,
        author=message.author,
        committer=message.committer,
        message=message.message,
        create_time=message.create_time.ToDatetime(UTC),
        metadata=dict(message.metadata),
        trace_id=message.trace_id,
        ontology_digest=message.ontology_digest,
        change_count=message.change_count,
    )


def committed(message: commit_service_pb2.CreateCommitResponse) -> Committed:
    """A commit with its results."""
    return Committed(commit(message.commit), tuple(OperationResult(each.id, each.etag) for each in message.results))


def document_diff(message: diff_pb2.DocumentDiff, base: str, target: str) -> DocumentDiff:
    """A document that differs between two commits."""
    return DocumentDiff(
        id=message.id,
        kind=_DIFF_KINDS.get(message.kind, "unknown"),
        before=document(message.before, base) if message.HasField("before") else None,
        after=document(message.after, target) if message.HasField("after") else None,
        properties=tuple(
            PropertyDiff(each.name, _value(each.before), _value(each.after)) for each in message.properties
        ),
    )


def conflict(message: merge_pb2.Conflict) -> Conflict:
    """A conflict of a merge."""
    return Conflict(
        id=message.id,
        property=message.property,
        kind=_CONFLICT_KINDS.get(message.kind, "unknown"),
        base=_value(message.base),
        ours=_value(message.ours),
        theirs=_value(message.theirs),
    )


def merge_result(message: merge_service_pb2.MergeResponse) -> MergeResult:
    """How a merge ended."""
    return MergeResult(
        outcome=_OUTCOMES.get(message.outcome, "unknown"),
        commit=commit(message.commit) if message.HasField("commit") else None,
        conflicts=tuple(conflict(each) for each in message.conflicts),
        conflict_count=message.conflict_count,
        base_commits=tuple(message.base_commits),
        ours_commit=message.ours_commit,
        theirs_commit=message.theirs_commit,
    )


def progress(message: commit_service_pb2.VerifyHistoryResponse) -> VerifyProgress:
    """A report of a verification."""
    problems = tuple(Problem(each.commit, each.id, each.description) for each in message.problems)
    return VerifyProgress(message.commits, message.documents, message.total_commits, problems, message.done)


def operations(
    insert: Iterable[Body],
    replace: Iterable[Body | Replace],
    put: Iterable[Body],
    update: Iterable[Update],
    delete: Iterable[str | Delete],
) -> list[commit_pb2.Operation]:
    """A commit's operations, in this order."""
    done = [commit_pb2.Operation(insert=commit_pb2.InsertOperation(body=encode(body))) for body in insert]
    done += [_replace(each) for each in replace]
    done += [commit_pb2.Operation(put=commit_pb2.PutOperation(body=encode(body))) for body in put]
    done += [_update(each) for each in update]
    done += [_delete(each) for each in delete]
    return done


def ontology_change(change: OntologyChange) -> ontology_pb2.OntologyChange:
    """A change of the ontology."""
    return ontology_pb2.OntologyChange(
        schema=change.schema if isinstance(change.schema, bytes) else _schema(list(change.schema)),
        mode=_MODES[change.mode],
        remove=change.remove,
        expected_digest=change.expected_digest,
        migrations=[message_of(step) for step in change.migrations],
    )


def class_schema(message: ontology_service_pb2.GetClassSchemaResponse) -> ClassSchema:
    """A class as JSON Schema; numbers in it are those of `json`, for the libraries that take it."""
    return ClassSchema(json.loads(message.json_schema), message.ontology_digest, message.commit)


def ontology_check(message: ontology_service_pb2.CheckOntologyResponse) -> OntologyCheck:
    """What trying a change has found."""
    schema = decode(message.ontology.schema) if message.ontology.schema else []
    return OntologyCheck(
        differences=tuple(
            OntologyDifference(
                _DIFFERENCE_KINDS.get(each.kind, "unknown"), each.element, each.property, each.description
            )
            for each in message.differences
        ),
        violations=tuple(OntologyViolation(each.id, each.field, each.description) for each in message.violations),
        next_page_token=message.next_page_token,
        examined=message.examined,
        changed=message.changed,
        violating=message.violating,
        classes=tuple(message.classes),
        commit=message.commit,
        ontology=Ontology(schema, message.ontology.digest, message.commit),
    )


def resolution(given: Resolution) -> merge_pb2.Resolution:
    """How to settle a conflict."""
    if given.side is not None:
        return merge_pb2.Resolution(id=given.id, property=given.property, side=SIDES[given.side])
    return merge_pb2.Resolution(id=given.id, property=given.property, value=encode(given.value))


def _replace(given: Body | Replace) -> commit_pb2.Operation:
    each = given if isinstance(given, Replace) else Replace(given)
    return commit_pb2.Operation(replace=commit_pb2.ReplaceOperation(body=encode(each.body), etag=each.etag))


def _update(each: Update) -> commit_pb2.Operation:
    operation = commit_pb2.UpdateOperation(id=each.id, patch=encode(each.patch), etag=each.etag)
    if each.mask is not None:
        operation.update_mask.paths.extend(each.mask)
        operation.update_mask.SetInParent()
    return commit_pb2.Operation(update=operation)


def _delete(given: str | Delete) -> commit_pb2.Operation:
    each = given if isinstance(given, Delete) else Delete(given)
    return commit_pb2.Operation(delete=commit_pb2.DeleteOperation(id=each.id, etag=each.etag))


def _schema(elements: list[Any]) -> bytes:
    models = [element for element in elements if isinstance(element, type)]
    dicts = [element for element in elements if not isinstance(element, type)]
    if models:
        # Only who has models pays for importing pydantic.
        from ontomesh.sdk.models import ontology_of

        dicts += ontology_of(*models)
    return encode_list(dicts)


def _value(text: bytes) -> Any | Missing:
    return decode(text) if text else MISSING


def import_state(one: import_service_pb2.Import) -> Import:
    """An import."""
    return Import(
        id=one.id,
        branch=one.branch,
        documents=one.documents,
        offset=one.offset,
        lines=one.lines,
        fault_count=one.fault_count,
        faults=tuple(ImportFault(fault.line, fault.field, fault.description) for fault in one.faults),
        commit=one.commit,
        create_time=one.create_time.ToDatetime(UTC),
        update_time=one.update_time.ToDatetime(UTC),
    )
