"""The kernel's gRPC services that compare and merge, over the store in memory."""

# ruff: noqa: N802 - the contract names the methods

from sdk.tests.cli.memory import Choice, Conflict, Documents, differing, merged, properties
from sdk.tests.cli.servicers import Context, Store, commit_message, document_message, page

from ontomesh.kernel.v1 import diff_pb2 as diffs
from ontomesh.kernel.v1 import diff_service_pb2 as diff_calls
from ontomesh.kernel.v1 import merge_pb2 as merges
from ontomesh.kernel.v1 import merge_service_pb2 as merge_calls
from ontomesh.kernel.v1 import ref_pb2 as refs
from ontomesh.kernel.v1.diff_service_pb2_grpc import DiffServiceServicer
from ontomesh.kernel.v1.merge_service_pb2_grpc import MergeServiceServicer
from ontomesh.kernel.v1.ref_pb2_grpc import RefServiceServicer

SIDES = {merges.MERGE_SIDE_OURS: "ours", merges.MERGE_SIDE_THEIRS: "theirs", merges.MERGE_SIDE_BASE: "base"}


class DiffServicer(DiffServiceServicer):
    def __init__(self, store: Store) -> None:
        self.store = store

    def Diff(self, request: diff_calls.DiffRequest, context: Context) -> diff_calls.DiffResponse:
        database = self.store[request.database]
        target, _branch = database.resolve(request.target)
        if request.base:
            before = database.resolve(request.base)[0].documents
        else:
            before = database.commits[target.parents[0]].documents if target.parents else {}
        keys = differing(before, target.documents)
        found, token = page(keys, request.page_size, request.page_token)
        messages = [_difference(key, before, target.documents, with_body=request.include_bodies) for key in found]
        return diff_calls.DiffResponse(
            documents=messages, next_page_token=token, target_commit=target.id, total_size=len(keys)
        )


def _difference(key: str, before: Documents, after: Documents, *, with_body: bool) -> diffs.DocumentDiff:
    kind = diffs.DocumentDiff.KIND_CHANGED
    if key not in before:
        kind = diffs.DocumentDiff.KIND_ADDED
    elif key not in after:
        kind = diffs.DocumentDiff.KIND_REMOVED
    old, new = properties(before.get(key)), properties(after.get(key))
    changed = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    return diffs.DocumentDiff(
        id=key,
        kind=kind,
        before=document_message(key, before[key], with_body=with_body) if key in before else None,
        after=document_message(key, after[key], with_body=with_body) if key in after else None,
        properties=[
            diffs.PropertyDiff(name=name, before=old.get(name, b""), after=new.get(name, b"")) for name in changed
        ]
        if kind == diffs.DocumentDiff.KIND_CHANGED
        else [],
    )


class MergeServicer(MergeServiceServicer):
    def __init__(self, store: Store) -> None:
        self.store = store

    def Merge(self, request: merge_calls.MergeRequest, context: Context) -> merge_calls.MergeResponse:
        self.store.requests.append(request)
        database = self.store[request.database]
        branch = request.branch or "main"
        ours, theirs = database.head(branch, request.expected_head), database.resolve(request.source)[0]
        base = database.ancestor(ours, theirs)
        answer = merge_calls.MergeResponse(ours_commit=ours.id, theirs_commit=theirs.id, base_commits=[base.id])
        if base.id == theirs.id:
            answer.outcome = merge_calls.MergeResponse.OUTCOME_UP_TO_DATE
            return answer
        choices = {(each.id, each.property): _choice(each) for each in request.resolutions}
        strategy = SIDES.get(request.strategy, "")
        outcome, conflicts = merged(base.documents, ours.documents, theirs.documents, choices, strategy)
        if conflicts:
            answer.outcome = merge_calls.MergeResponse.OUTCOME_CONFLICTS
            answer.conflict_count = len(conflicts)
            answer.conflicts.extend(map(_conflict_message, conflicts[:100]))
            return answer
        answer.outcome = merge_calls.MergeResponse.OUTCOME_MERGED
        made = database.commit(
            outcome,
            branch=branch,
            parents=(ours.id, theirs.id),
            message=request.message or f"Merge {request.source} into {branch}",
            validate_only=request.validate_only,
        )
        answer.commit.CopyFrom(commit_message(made))
        return answer

    def ListConflicts(
        self, request: merge_calls.ListConflictsRequest, context: Context
    ) -> merge_calls.ListConflictsResponse:
        database = self.store[request.database]
        ours, theirs = database.resolve(request.ours)[0], database.resolve(request.theirs)[0]
        base = database.ancestor(ours, theirs)
        _outcome, conflicts = merged(base.documents, ours.documents, theirs.documents, {}, "")
        found, token = page(conflicts, request.page_size, request.page_token)
        return merge_calls.ListConflictsResponse(
            conflicts=map(_conflict_message, found), next_page_token=token, total_size=len(conflicts)
        )


def _choice(resolution: merges.Resolution) -> Choice:
    return resolution.value if resolution.WhichOneof("choice") == "value" else SIDES[resolution.side]


def _conflict_message(conflict: Conflict) -> merges.Conflict:
    kind = merges.Conflict.KIND_BOTH_CHANGED
    if not conflict.property:
        kind = merges.Conflict.KIND_DELETED_BY_THEIRS if conflict.ours else merges.Conflict.KIND_DELETED_BY_OURS
    return merges.Conflict(
        id=conflict.id,
        property=conflict.property,
        kind=kind,
        base=conflict.base,
        ours=conflict.ours,
        theirs=conflict.theirs,
    )


class RefServicer(RefServiceServicer):
    def __init__(self, store: Store) -> None:
        self.store = store

    def ResolveRef(self, request: refs.ResolveRefRequest, context: Context) -> refs.ResolveRefResponse:
        commit, branch = self.store[request.database].resolve(request.ref)
        return refs.ResolveRefResponse(commit=commit_message(commit), branch=branch)
