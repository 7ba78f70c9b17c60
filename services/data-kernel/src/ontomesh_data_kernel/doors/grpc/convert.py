"""From the domain's nouns to the contract's messages, and from requests to the domain's."""

from google.protobuf.timestamp_pb2 import Timestamp

from ontomesh.kernel.v1 import (
    branch_pb2,
    commit_pb2,
    commit_service_pb2,
    database_pb2,
    diff_pb2,
    document_pb2,
    merge_pb2,
    merge_service_pb2,
)
from ontomesh_data_kernel.domain import model
from ontomesh_data_kernel.doors.grpc.migrations import ontology_edit
from ontomesh_data_kernel.errors import InvalidRequest


def timestamp(microseconds: int) -> Timestamp:
    """A time in microseconds since the epoch."""
    seconds, rest = divmod(microseconds, 1_000_000)
    return Timestamp(seconds=seconds, nanos=rest * 1_000)


def database(one: model.Database) -> database_pb2.Database:
    """A database."""
    return database_pb2.Database(
        name=one.name, description=one.description, create_time=timestamp(one.create_time), etag=one.etag
    )


def branch(one: model.Branch) -> branch_pb2.Branch:
    """A branch."""
    return branch_pb2.Branch(
        name=one.name,
        head=one.head,
        create_time=timestamp(one.create_time),
        update_time=timestamp(one.update_time),
    )


def document(one: model.Document) -> document_pb2.Document:
    """A document, its body as stored."""
    return document_pb2.Document(id=one.id, body=one.body, etag=one.etag)


def commit(one: model.Commit) -> commit_pb2.Commit:
    """A commit."""
    return commit_pb2.Commit(
        id=one.id,
        parents=one.parents,
        branch=one.branch,
        author=one.author,
        committer=one.committer,
        message=one.message,
        create_time=timestamp(one.time),
        metadata=one.metadata,
        trace_id=one.trace_id,
        ontology_digest=one.ontology_digest,
        change_count=one.change_count,
    )


def commit_request(request: commit_service_pb2.CreateCommitRequest) -> model.CommitRequest:
    """A request to commit. Raises InvalidRequest for an operation that says nothing."""
    edit = request.ontology
    return model.CommitRequest(
        database=request.database,
        branch=request.branch,
        operations=tuple(operation(one, index) for index, one in enumerate(request.operations)),
        ontology=ontology_edit(edit) if request.HasField("ontology") else None,
        message=request.message,
        author=request.author,
        metadata=dict(request.metadata),
        expected_head=request.expected_head,
        request_id=request.request_id,
        validate_only=request.validate_only,
    )


def operation(one: commit_pb2.Operation, index: int) -> model.Operation:
    """One operation of a commit."""
    match one.WhichOneof("operation"):
        case "insert":
            return model.Insert(one.insert.body)
        case "replace":
            return model.Replace(one.replace.body, one.replace.etag)
        case "put":
            return model.Put(one.put.body)
        case "update":
            mask = tuple(one.update.update_mask.paths) if one.update.HasField("update_mask") else None
            return model.Update(one.update.id, one.update.patch, mask, one.update.etag)
        case "delete":
            return model.Delete(one.delete.id, one.delete.etag)
        case _:
            raise InvalidRequest.at(f"operations[{index}]", "is one of insert, replace, put, update and delete")


_DIFF_KINDS = {
    model.DiffKind.ADDED: diff_pb2.DocumentDiff.KIND_ADDED,
    model.DiffKind.CHANGED: diff_pb2.DocumentDiff.KIND_CHANGED,
    model.DiffKind.REMOVED: diff_pb2.DocumentDiff.KIND_REMOVED,
}


def document_diff(one: model.DocumentDiff) -> diff_pb2.DocumentDiff:
    """One document that differs."""
    return diff_pb2.DocumentDiff(
        id=one.id,
        kind=_DIFF_KINDS[one.kind],
        before=document(one.before) if one.before is not None else None,
        after=document(one.after) if one.after is not None else None,
        properties=[
            diff_pb2.PropertyDiff(name=part.name, before=part.before or b"", after=part.after or b"")
            for part in one.properties
        ],
    )


_CONFLICT_KINDS = {
    model.ConflictKind.BOTH_CHANGED: merge_pb2.Conflict.KIND_BOTH_CHANGED,
    model.ConflictKind.BOTH_ADDED: merge_pb2.Conflict.KIND_BOTH_ADDED,
    model.ConflictKind.DELETED_BY_OURS: merge_pb2.Conflict.KIND_DELETED_BY_OURS,
    model.ConflictKind.DELETED_BY_THEIRS: merge_pb2.Conflict.KIND_DELETED_BY_THEIRS,
}


def conflict(one: model.Conflict) -> merge_pb2.Conflict:
    """One conflict of a merge."""
    return merge_pb2.Conflict(
        id=one.id,
        property=one.property,
        kind=_CONFLICT_KINDS[one.kind],
        base=one.base or b"",
        ours=one.ours or b"",
        theirs=one.theirs or b"",
    )


_SIDES: dict[int, model.MergeSide] = {
    merge_pb2.MERGE_SIDE_OURS: model.MergeSide.OURS,
    merge_pb2.MERGE_SIDE_THEIRS: model.MergeSide.THEIRS,
    merge_pb2.MERGE_SIDE_BASE: model.MergeSide.BASE,
}


def merge_request(request: merge_service_pb2.MergeRequest) -> model.MergeRequest:
    """A request to merge. Raises InvalidRequest for sides and resolutions that say nothing."""
    strategy = None
    if request.strategy != merge_pb2.MERGE_SIDE_UNSPECIFIED:
        strategy = _side(request.strategy, "strategy")
    return model.MergeRequest(
        database=request.database,
        branch=request.branch,
        source=request.source,
        strategy=strategy,
        resolutions=tuple(_resolution(one, f"resolutions[{index}]") for index, one in enumerate(request.resolutions)),
        message=request.message,
        author=request.author,
        metadata=dict(request.metadata),
        expected_head=request.expected_head,
        request_id=request.request_id,
        validate_only=request.validate_only,
    )


def _resolution(one: merge_pb2.Resolution, field: str) -> model.Resolution:
    match one.WhichOneof("choice"):
        case "side":
            return model.Resolution(one.id, one.property, _side(one.side, f"{field}.side"))
        case "value":
            return model.Resolution(one.id, one.property, one.value)
        case _:
            raise InvalidRequest.at(field, "has a side or a value")


def _side(side: int, field: str) -> model.MergeSide:
    known = _SIDES.get(side)
    if known is None:
        raise InvalidRequest.at(field, "is one of MERGE_SIDE_OURS, MERGE_SIDE_THEIRS and MERGE_SIDE_BASE")
    return known


_OUTCOMES = {
    model.MergeOutcome.MERGED: merge_service_pb2.MergeResponse.OUTCOME_MERGED,
    model.MergeOutcome.UP_TO_DATE: merge_service_pb2.MergeResponse.OUTCOME_UP_TO_DATE,
    model.MergeOutcome.CONFLICTS: merge_service_pb2.MergeResponse.OUTCOME_CONFLICTS,
}


def merge_response(one: model.MergeResult) -> merge_service_pb2.MergeResponse:
    """How a merge ended."""
    return merge_service_pb2.MergeResponse(
        outcome=_OUTCOMES[one.outcome],
        commit=commit(one.commit) if one.commit is not None else None,
        conflicts=[conflict(part) for part in one.conflicts],
        conflict_count=one.conflict_count,
        base_commits=one.base_commits,
        ours_commit=one.ours_commit,
        theirs_commit=one.theirs_commit,
    )


def verify_response(one: model.VerifyProgress) -> commit_service_pb2.VerifyHistoryResponse:
    """How far a verification has come."""
    return commit_service_pb2.VerifyHistoryResponse(
        commits=one.commits,
        documents=one.documents,
        total_commits=one.total_commits,
        problems=[
            commit_service_pb2.VerifyProblem(commit=part.commit, id=part.id, description=part.description)
            for part in one.problems
        ],
        done=one.done,
    )
