"""The kernel's calls as either door takes them, described once.

A document in a call is a dict, or bytes that are sent as they are: the HTTP door gets them spliced into its JSON.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from google.protobuf import json_format
from google.protobuf.message import Message

from ontomesh.kernel.v1 import (
    branch_service_pb2,
    commit_pb2,
    commit_service_pb2,
    database_pb2,
    database_service_pb2,
    diff_service_pb2,
    document_service_pb2,
    import_service_pb2,
    merge_pb2,
    merge_service_pb2,
    ontology_pb2,
    ontology_service_pb2,
    query_service_pb2,
    ref_pb2,
    validator_pb2,
    validator_service_pb2,
)

Json = Mapping[str, Any]


@dataclass(frozen=True)
class HttpCall:
    """A request to the HTTP door; `query` leaves out what is empty, and says every element of a list."""

    verb: str
    path: str
    query: Mapping[str, Any] = field(default_factory=dict)
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """The path with its query."""
        given = "&".join(
            f"{name}={quote(str(part), safe='')}"
            for name, value in self.query.items()
            if value
            for part in (value if isinstance(value, list | tuple) else (value,))
        )
        return f"{self.path}?{given}" if given else self.path


@dataclass(frozen=True)
class Call:
    """One call: `method` with `request` (or its bytes) at the gRPC door, `http` at the other, where that has it."""

    method: str
    request: Message | bytes
    http: HttpCall | None = None

    @property
    def path(self) -> str:
        """The method's path."""
        return f"/ontomesh.kernel.v1.{self.method}"

    @property
    def payload(self) -> bytes:
        """The request's bytes."""
        return self.request if isinstance(self.request, bytes) else self.request.SerializeToString()


def spliced(value: object) -> bytes:
    """JSON in which bytes stand for themselves."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, Mapping):
        members = (json.dumps(name).encode() + b":" + spliced(part) for name, part in value.items())
        return b"{" + b",".join(members) + b"}"
    if isinstance(value, list | tuple):
        return b"[" + b",".join(spliced(part) for part in value) + b"]"
    return json.dumps(value).encode()


def database_path(database: str) -> str:
    return f"/v1/databases/{quote(database, safe='')}"


def create_database(name: str, description: str = "", request_id: str = "") -> Call:
    request = database_service_pb2.CreateDatabaseRequest(
        database=database_pb2.Database(name=name, description=description), request_id=request_id
    )
    headers = {"idempotency-key": request_id} if request_id else {}
    body = spliced({"name": name, "description": description})
    return Call("DatabaseService/CreateDatabase", request, HttpCall("POST", "/v1/databases", {}, body, headers))


def get_database(name: str) -> Call:
    request = database_service_pb2.GetDatabaseRequest(name=name)
    return Call("DatabaseService/GetDatabase", request, HttpCall("GET", database_path(name)))


def list_databases(page_size: int = 0, page_token: str = "") -> Call:
    request = database_service_pb2.ListDatabasesRequest(page_size=page_size, page_token=page_token)
    query = {"page_size": page_size, "page_token": page_token}
    return Call("DatabaseService/ListDatabases", request, HttpCall("GET", "/v1/databases", query))


def update_database(name: str, description: str, etag: str = "", mask: Sequence[str] = ()) -> Call:
    """A mask is the gRPC door's alone."""
    request = database_service_pb2.UpdateDatabaseRequest(
        database=database_pb2.Database(name=name, description=description, etag=etag)
    )
    request.update_mask.paths.extend(mask)
    headers = {"if-match": f'"{etag}"'} if etag else {}
    http = HttpCall("PATCH", database_path(name), {}, spliced({"description": description}), headers)
    return Call("DatabaseService/UpdateDatabase", request, None if mask else http)


def delete_database(name: str, etag: str = "") -> Call:
    request = database_service_pb2.DeleteDatabaseRequest(name=name, etag=etag)
    headers = {"if-match": f'"{etag}"'} if etag else {}
    return Call("DatabaseService/DeleteDatabase", request, HttpCall("DELETE", database_path(name), headers=headers))


def create_branch(database: str, branch: str, start: str = "", empty: bool = False, request_id: str = "") -> Call:
    request = branch_service_pb2.CreateBranchRequest(database=database, branch=branch, request_id=request_id)
    if empty:
        request.empty = True
    elif start:
        setattr(request, "from", start)
    body = spliced({"branch": branch, "from": start, "empty": empty})
    headers = {"idempotency-key": request_id} if request_id else {}
    http = HttpCall("POST", f"{database_path(database)}/branches", {}, body, headers)
    return Call("BranchService/CreateBranch", request, http)


def get_branch(database: str, branch: str) -> Call:
    request = branch_service_pb2.GetBranchRequest(database=database, branch=branch)
    http = HttpCall("GET", f"{database_path(database)}/branches/{quote(branch)}") if branch else None
    return Call("BranchService/GetBranch", request, http)


def list_branches(database: str, prefix: str = "", page_size: int = 0, page_token: str = "") -> Call:
    request = branch_service_pb2.ListBranchesRequest(
        database=database, prefix=prefix, page_size=page_size, page_token=page_token
    )
    query = {"prefix": prefix, "page_size": page_size, "page_token": page_token}
    return Call("BranchService/ListBranches", request, HttpCall("GET", f"{database_path(database)}/branches", query))


def delete_branch(database: str, branch: str, expected_head: str = "") -> Call:
    request = branch_service_pb2.DeleteBranchRequest(database=database, branch=branch, expected_head=expected_head)
    headers = {"if-match": f'"{expected_head}"'} if expected_head else {}
    http = HttpCall("DELETE", f"{database_path(database)}/branches/{quote(branch)}", headers=headers)
    return Call("BranchService/DeleteBranch", request, http)


def get_document(database: str, id: str, ref: str = "") -> Call:
    request = document_service_pb2.GetDocumentRequest(database=database, ref=ref, id=id)
    http = HttpCall("GET", f"{database_path(database)}/documents/{quote(id)}", {"ref": ref})
    return Call("DocumentService/GetDocument", request, http if id else None)


def batch_get(database: str, ids: Sequence[str], ref: str = "") -> Call:
    request = document_service_pb2.BatchGetDocumentsRequest(database=database, ref=ref, ids=ids)
    body = spliced({"ids": list(ids), "ref": ref})
    http = HttpCall("POST", f"{database_path(database)}/documents:batchGet", {}, body)
    return Call("DocumentService/BatchGetDocuments", request, http)


def list_documents(database: str, ref: str = "", type: str = "", page_size: int = 0, page_token: str = "") -> Call:
    request = document_service_pb2.ListDocumentsRequest(
        database=database, ref=ref, type=type, page_size=page_size, page_token=page_token
    )
    query = {"ref": ref, "type": type, "page_size": page_size, "page_token": page_token}
    return Call(
        "DocumentService/ListDocuments", request, HttpCall("GET", f"{database_path(database)}/documents", query)
    )


def get_ontology(database: str, ref: str = "") -> Call:
    request = ontology_service_pb2.GetOntologyRequest(database=database, ref=ref)
    http = HttpCall("GET", f"{database_path(database)}/ontology", {"ref": ref})
    return Call("OntologyService/GetOntology", request, http)


def create_commit(database: str, *operations: Json, ontology: Json | None = None, **rest: Any) -> Call:
    """Operations and ontology as the HTTP door has them: `{"insert": {"body": {...}}}`."""
    body: dict[str, Any] = {"operations": list(operations), **rest}
    request = commit_service_pb2.CreateCommitRequest(
        database=database, operations=[_operation(one) for one in operations], **rest
    )
    if ontology is not None:
        body["ontology"] = ontology
        request.ontology.CopyFrom(_ontology_change(ontology))
    http = HttpCall("POST", f"{database_path(database)}/commits", {}, spliced(body))
    return Call("CommitService/CreateCommit", request, http)


_MODES = {
    "upsert": ontology_pb2.OntologyChange.MODE_UPSERT,
    "replace": ontology_pb2.OntologyChange.MODE_REPLACE,
}


def class_schema(database: str, name: str, ref: str = "") -> Call:
    request = ontology_service_pb2.GetClassSchemaRequest(database=database, ref=ref, class_name=name)
    path = f"{database_path(database)}/ontology/classes/{quote(name, safe='')}/schema"
    return Call("OntologyService/GetClassSchema", request, HttpCall("GET", path, {"ref": ref}))


def check_ontology(database: str, change: Json | None = None, ref: str = "", **rest: Any) -> Call:
    """A change as the HTTP door has it; `rest` are page_size, page_token and changes_only."""
    request = ontology_service_pb2.CheckOntologyRequest(
        database=database, ref=ref, change=_ontology_change(change or {}), **rest
    )
    body = spliced({"change": change} if change is not None else {})
    http = HttpCall("POST", f"{database_path(database)}/ontology:check", {"ref": ref, **rest}, body)
    return Call("OntologyService/CheckOntology", request, http)


def _ontology_change(change: Json) -> ontology_pb2.OntologyChange:
    return ontology_pb2.OntologyChange(
        schema=spliced(change["schema"]) if "schema" in change else b"",
        mode=_MODES[change.get("mode", "upsert")],
        remove=change.get("remove", ()),
        expected_digest=change.get("expected_digest", ""),
        migrations=[_migration(step) for step in change.get("migrations", ())],
    )


def _migration(step: Json) -> ontology_pb2.Migration:
    made = ontology_pb2.Migration()
    for kind, members in step.items():
        target = getattr(made, kind)
        target.SetInParent()
        for name, value in members.items():
            if name == "on_error":
                target.on_error = ontology_pb2.CastProperty.OnError.Value(f"ON_ERROR_{value.upper()}")
            else:
                setattr(target, name, spliced(value) if name in ("value", "default") else value)
    return made


def insert(body: Json | bytes) -> Json:
    return {"insert": {"body": body}}


def put(body: Json | bytes) -> Json:
    return {"put": {"body": body}}


def replace(body: Json | bytes, etag: str = "") -> Json:
    return {"replace": {"body": body, "etag": etag}}


def update(id: str, patch: Json | bytes, etag: str = "", mask: Sequence[str] | None = None) -> Json:
    return {"update": {"id": id, "patch": patch, "etag": etag} | ({} if mask is None else {"update_mask": list(mask)})}


def delete(id: str, etag: str = "") -> Json:
    return {"delete": {"id": id, "etag": etag}}


def _operation(one: Json) -> commit_pb2.Operation:
    if not one:
        return commit_pb2.Operation()
    ((kind, parts),) = one.items()
    given = dict(parts)
    for name in ("body", "patch"):
        if name in given:
            given[name] = spliced(given[name])
    made = commit_pb2.Operation()
    target = getattr(made, kind)
    target.SetInParent()
    for name, value in given.items():
        if name == "update_mask":
            target.update_mask.SetInParent()
            target.update_mask.paths.extend(value)
        else:
            setattr(target, name, value)
    return made


def get_commit(database: str, ref: str) -> Call:
    request = commit_service_pb2.GetCommitRequest(database=database, ref=ref)
    http = HttpCall("GET", f"{database_path(database)}/commits/{quote(ref, safe='')}") if ref else None
    return Call("CommitService/GetCommit", request, http)


def list_commits(database: str, ref: str = "", page_size: int = 0, page_token: str = "") -> Call:
    request = commit_service_pb2.ListCommitsRequest(
        database=database, ref=ref, page_size=page_size, page_token=page_token
    )
    query = {"ref": ref, "page_size": page_size, "page_token": page_token}
    return Call("CommitService/ListCommits", request, HttpCall("GET", f"{database_path(database)}/commits", query))


def resolve_ref(database: str, ref: str) -> Call:
    request = ref_pb2.ResolveRefRequest(database=database, ref=ref)
    http = HttpCall("GET", f"{database_path(database)}/refs/{quote(ref, safe='')}") if ref else None
    return Call("RefService/ResolveRef", request, http)


def diff(database: str, base: str, target: str, page_size: int = 0, page_token: str = "") -> Call:
    request = diff_service_pb2.DiffRequest(
        database=database, base=base, target=target, page_size=page_size, page_token=page_token
    )
    query = {"base": base, "target": target, "page_size": page_size, "page_token": page_token}
    return Call("DiffService/Diff", request, HttpCall("GET", f"{database_path(database)}/diff", query))


def merge(database: str, source: str, branch: str = "", resolutions: Sequence[Json] = (), **rest: Any) -> Call:
    """Resolutions as the HTTP door has them: `{"id": ..., "property": ..., "side": "ours"}` or a `value`."""
    body = {"source": source, "branch": branch, "resolutions": list(resolutions), **rest}
    request = merge_service_pb2.MergeRequest(
        database=database,
        source=source,
        branch=branch,
        resolutions=[_resolution(one) for one in resolutions],
        **rest,
    )
    http = HttpCall("POST", f"{database_path(database)}/merges", {}, spliced(body))
    return Call("MergeService/Merge", request, http)


_SIDES = {
    "ours": merge_pb2.MERGE_SIDE_OURS,
    "theirs": merge_pb2.MERGE_SIDE_THEIRS,
    "base": merge_pb2.MERGE_SIDE_BASE,
}


def _resolution(one: Json) -> merge_pb2.Resolution:
    made = merge_pb2.Resolution(id=one["id"], property=one.get("property", ""))
    if "side" in one:
        made.side = _SIDES[one["side"]]
    elif "value" in one:
        made.value = spliced(one["value"])
    return made


def list_conflicts(database: str, ours: str, theirs: str, page_size: int = 0, page_token: str = "") -> Call:
    request = merge_service_pb2.ListConflictsRequest(
        database=database, ours=ours, theirs=theirs, page_size=page_size, page_token=page_token
    )
    query = {"ours": ours, "theirs": theirs, "page_size": page_size, "page_token": page_token}
    return Call("MergeService/ListConflicts", request, HttpCall("GET", f"{database_path(database)}/conflicts", query))


def query_documents(database: str, type: str, filter: str = "", **rest: Any) -> Call:
    return _query("QueryDocuments", "query", database, type=type, filter=filter, **rest)


def stream_query(database: str, type: str, filter: str = "", **rest: Any) -> Call:
    return _query("StreamQuery", "query:stream", database, type=type, filter=filter, **rest)


def count_documents(database: str, type: str, filter: str = "", **rest: Any) -> Call:
    return _query("CountDocuments", "query:count", database, type=type, filter=filter, **rest)


def explain_query(database: str, type: str, filter: str = "", **rest: Any) -> Call:
    return _query("ExplainQuery", "query:explain", database, type=type, filter=filter, **rest)


def list_referrers(database: str, id: str, **rest: Any) -> Call:
    names = {"properties": "property", "types": "type"}
    return _query("ListReferrers", "documents:referrers", database, names, id=id, **rest)


def traverse(
    database: str, starts: Sequence[str], over: Sequence[str], max_depth: int, incoming: bool = False, **rest: Any
) -> Call:
    names = {"start_ids": "id", "properties": "property"}
    given = {"start_ids": list(starts), "properties": list(over), "max_depth": max_depth, **rest}
    call = _query("Traverse", "documents:traverse", database, names, **given)
    assert isinstance(call.request, query_service_pb2.TraverseRequest)
    assert call.http is not None
    if not incoming:
        return call
    call.request.direction = query_service_pb2.TraverseRequest.DIRECTION_INCOMING
    http = dataclasses.replace(call.http, query={**call.http.query, "incoming": "true"})
    return dataclasses.replace(call, http=http)


def _query(method: str, path: str, database: str, names: Mapping[str, str] | None = None, **given: Any) -> Call:
    """A call of `QueryService`; `names` are what the HTTP door calls fields that are lists."""
    request = getattr(query_service_pb2, f"{method}Request")(database=database, **given)
    query = {(names or {}).get(name, name): value for name, value in given.items()}
    return Call(f"QueryService/{method}", request, HttpCall("GET", f"{database_path(database)}/{path}", query))


def begin_import(database: str, branch: str = "", request_id: str = "", body: bytes = b"") -> Call:
    request = import_service_pb2.BeginImportRequest(database=database, branch=branch, request_id=request_id)
    headers = {"idempotency-key": request_id} if request_id else {}
    http = HttpCall("POST", f"/v1/databases/{database}/imports", {"branch": branch}, body, headers)
    return Call("ImportService/BeginImport", request, http)


def get_import(database: str, id: str) -> Call:
    request = import_service_pb2.GetImportRequest(database=database, import_id=id)
    return Call("ImportService/GetImport", request, HttpCall("GET", f"/v1/databases/{database}/imports/{quote(id)}"))


def abort_import(database: str, id: str) -> Call:
    request = import_service_pb2.AbortImportRequest(database=database, import_id=id)
    http = HttpCall("DELETE", f"/v1/databases/{database}/imports/{quote(id)}")
    return Call("ImportService/AbortImport", request, http)


def finish_import(database: str, id: str, **rest: Any) -> Call:
    request = import_service_pb2.FinishImportRequest(database=database, import_id=id, **rest)
    http = HttpCall("POST", f"/v1/databases/{database}/imports/{quote(id)}:finish", body=json.dumps(rest).encode())
    return Call("ImportService/FinishImport", request, http)


def upload(database: str, id: str, **rest: Any) -> Call:
    """The first request of an upload alone."""
    request = import_service_pb2.UploadDocumentsRequest(database=database, import_id=id, **rest)
    return Call("ImportService/UploadDocuments", request)


def export_documents(database: str, type: str = "", ref: str = "", after: str = "") -> Call:
    request = import_service_pb2.ExportDocumentsRequest(database=database, ref=ref, type=type, after=after)
    http = HttpCall("GET", f"/v1/databases/{database}/export", {"ref": ref, "type": type, "after": after})
    return Call("ExportService/ExportDocuments", request, http)


def put_validator(name: str, etag: str = "", **given: Any) -> Call:
    """A validator by its members at the HTTP door, which has other forms of `deadline` and `failure_policy`."""
    members = {key: part for key, part in given.items() if key not in ("deadline_ms", "failure_policy")}
    asked = validator_pb2.Validator()
    json_format.ParseDict({"name": name, "etag": etag, **members}, asked)
    if "deadline_ms" in given:
        asked.deadline.FromMilliseconds(given["deadline_ms"])
    if "failure_policy" in given:
        policies = validator_pb2.FailurePolicy.DESCRIPTOR.values_by_name
        known = policies.get(f"FAILURE_POLICY_{given['failure_policy'].upper()}")
        asked.failure_policy = validator_pb2.FailurePolicy.ValueType(known.number if known is not None else 9)
    headers = {"if-match": f'"{etag}"'} if etag else {}
    http = HttpCall("PUT", f"/v1/validators/{quote(name, safe='')}", {}, json.dumps(given).encode(), headers)
    request = validator_service_pb2.PutValidatorRequest(validator=asked)
    return Call("ValidatorService/PutValidator", request, http if name else None)


def get_validator(name: str) -> Call:
    request = validator_service_pb2.GetValidatorRequest(name=name)
    return Call("ValidatorService/GetValidator", request, HttpCall("GET", f"/v1/validators/{quote(name, safe='')}"))


def list_validators(page_size: int = 0, page_token: str = "") -> Call:
    request = validator_service_pb2.ListValidatorsRequest(page_size=page_size, page_token=page_token)
    query = {"page_size": page_size, "page_token": page_token}
    return Call("ValidatorService/ListValidators", request, HttpCall("GET", "/v1/validators", query))


def delete_validator(name: str, etag: str = "") -> Call:
    request = validator_service_pb2.DeleteValidatorRequest(name=name, etag=etag)
    headers = {"if-match": f'"{etag}"'} if etag else {}
    http = HttpCall("DELETE", f"/v1/validators/{quote(name, safe='')}", headers=headers)
    return Call("ValidatorService/DeleteValidator", request, http)


def get_relay_status() -> Call:
    return Call("ValidatorService/GetRelayStatus", validator_service_pb2.GetRelayStatusRequest())
