"""The kernel's gRPC services over the store in memory."""

# ruff: noqa: N802 - the contract names the methods

import hashlib
import json
import threading
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TypeVar

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from sdk.tests.cli.memory import (
    START,
    Commit,
    Database,
    Documents,
    Refusal,
    canonical,
)

from ontomesh.kernel.v1 import branch_pb2 as branches
from ontomesh.kernel.v1 import branch_service_pb2 as branch_calls
from ontomesh.kernel.v1 import commit_pb2 as commits
from ontomesh.kernel.v1 import commit_service_pb2 as commit_calls
from ontomesh.kernel.v1 import database_pb2 as databases
from ontomesh.kernel.v1 import database_service_pb2 as database_calls
from ontomesh.kernel.v1 import document_pb2 as documents
from ontomesh.kernel.v1 import document_service_pb2 as document_calls
from ontomesh.kernel.v1 import ontology_pb2 as ontologies
from ontomesh.kernel.v1 import ontology_service_pb2 as ontology_calls
from ontomesh.kernel.v1.branch_service_pb2_grpc import BranchServiceServicer
from ontomesh.kernel.v1.commit_service_pb2_grpc import CommitServiceServicer
from ontomesh.kernel.v1.database_service_pb2_grpc import DatabaseServiceServicer
from ontomesh.kernel.v1.document_service_pb2_grpc import DocumentServiceServicer
from ontomesh.kernel.v1.ontology_service_pb2_grpc import OntologyServiceServicer

Context = grpc.ServicerContext
T = TypeVar("T")

SCHEMA = "@schema/"
TRACE = "0af7651916cd43dd8448eb211c80319c"


class Store:
    """The databases, and what a test may bend."""

    def __init__(self) -> None:
        self.databases: dict[str, Database] = {}
        self.problems: list[commit_calls.VerifyProblem] = []
        self.requests: list[object] = []
        self.gate = threading.Event()  # A verification waits for it half-way.
        self.gate.set()

    def create(self, name: str, description: str = "") -> Database:
        if name in self.databases:
            raise Refusal("DATABASE_ALREADY_EXISTS", f"database {name!r} exists", database=name)
        database = Database(name, description)
        database.commit({}, message="created")
        self.databases[name] = database
        return database

    def __getitem__(self, name: str) -> Database:
        if name not in self.databases:
            raise Refusal("DATABASE_NOT_FOUND", f"no database {name!r}", database=name)
        return self.databases[name]


def stamp(moment: datetime) -> Timestamp:
    made = Timestamp()
    made.FromDatetime(moment)
    return made


def etag(body: bytes) -> str:
    return hashlib.blake2b(body, digest_size=32).hexdigest()


def page(items: Sequence[T], size: int, token: str) -> tuple[Sequence[T], str]:
    first = int(token or 0)
    last = first + (size or 100)
    return items[first:last], str(last) if last < len(items) else ""


def commit_message(commit: Commit) -> commits.Commit:
    return commits.Commit(
        id=commit.id,
        parents=commit.parents,
        branch=commit.branch,
        author=commit.author,
        committer=commit.committer,
        message=commit.message,
        create_time=stamp(commit.time),
        metadata=commit.metadata,
        trace_id=TRACE,
        ontology_digest=etag(b"schema"),
        change_count=commit.change_count,
    )


def document_message(identifier: str, body: bytes, *, with_body: bool = True) -> documents.Document:
    return documents.Document(id=identifier, body=body if with_body else b"", etag=etag(body))


class DatabaseServicer(DatabaseServiceServicer):
    def __init__(self, store: Store) -> None:
        self.store = store

    def _message(self, name: str) -> databases.Database:
        database = self.store[name]
        return databases.Database(
            name=name, description=database.description, create_time=stamp(START), etag=etag(name.encode())
        )

    def CreateDatabase(
        self, request: database_calls.CreateDatabaseRequest, context: Context
    ) -> database_calls.CreateDatabaseResponse:
        self.store.create(request.database.name, request.database.description)
        return database_calls.CreateDatabaseResponse(database=self._message(request.database.name))

    def GetDatabase(
        self, request: database_calls.GetDatabaseRequest, context: Context
    ) -> database_calls.GetDatabaseResponse:
        return database_calls.GetDatabaseResponse(database=self._message(request.name))

    def ListDatabases(
        self, request: database_calls.ListDatabasesRequest, context: Context
    ) -> database_calls.ListDatabasesResponse:
        found, token = page(sorted(self.store.databases), request.page_size, request.page_token)
        return database_calls.ListDatabasesResponse(databases=map(self._message, found), next_page_token=token)

    def UpdateDatabase(
        self, request: database_calls.UpdateDatabaseRequest, context: Context
    ) -> database_calls.UpdateDatabaseResponse:
        self.store[request.database.name].description = request.database.description
        return database_calls.UpdateDatabaseResponse(database=self._message(request.database.name))

    def DeleteDatabase(
        self, request: database_calls.DeleteDatabaseRequest, context: Context
    ) -> database_calls.DeleteDatabaseResponse:
        del self.store.databases[self.store[request.name].name]
        return database_calls.DeleteDatabaseResponse()


class BranchServicer(BranchServiceServicer):
    def __init__(self, store: Store) -> None:
        self.store = store

    def _message(self, database: str, name: str) -> branches.Branch:
        head = self.store[database].head(name)
        return branches.Branch(name=name, head=head.id, create_time=stamp(START), update_time=stamp(head.time))

    def CreateBranch(
        self, request: branch_calls.CreateBranchRequest, context: Context
    ) -> branch_calls.CreateBranchResponse:
        database = self.store[request.database]
        if request.branch in database.branches:
            raise Refusal("BRANCH_ALREADY_EXISTS", f"branch {request.branch!r} exists", branch=request.branch)
        if request.empty:
            database.commit({}, branch=request.branch, message="created")
        else:
            start, _branch = database.resolve(getattr(request, "from"))
            database.branches[request.branch] = start.id
        return branch_calls.CreateBranchResponse(branch=self._message(request.database, request.branch))

    def GetBranch(self, request: branch_calls.GetBranchRequest, context: Context) -> branch_calls.GetBranchResponse:
        return branch_calls.GetBranchResponse(branch=self._message(request.database, request.branch))

    def ListBranches(
        self, request: branch_calls.ListBranchesRequest, context: Context
    ) -> branch_calls.ListBranchesResponse:
        names = sorted(name for name in self.store[request.database].branches if name.startswith(request.prefix))
        found, token = page(names, request.page_size, request.page_token)
        messages = [self._message(request.database, name) for name in found]
        return branch_calls.ListBranchesResponse(branches=messages, next_page_token=token)

    def DeleteBranch(
        self, request: branch_calls.DeleteBranchRequest, context: Context
    ) -> branch_calls.DeleteBranchResponse:
        database = self.store[request.database]
        database.head(request.branch, request.expected_head)
        if request.branch == "main":
            raise Refusal("BRANCH_PROTECTED", "the branch 'main' cannot be deleted", branch="main")
        del database.branches[request.branch]
        return branch_calls.DeleteBranchResponse()


class DocumentServicer(DocumentServiceServicer):
    def __init__(self, store: Store) -> None:
        self.store = store

    def GetDocument(
        self, request: document_calls.GetDocumentRequest, context: Context
    ) -> document_calls.GetDocumentResponse:
        commit, _branch = self.store[request.database].resolve(request.ref)
        if request.id not in commit.documents:
            raise Refusal("DOCUMENT_NOT_FOUND", f"no document {request.id!r}", id=request.id, commit=commit.id)
        found = document_message(request.id, commit.documents[request.id])
        return document_calls.GetDocumentResponse(document=found, commit=commit.id)

    def BatchGetDocuments(
        self, request: document_calls.BatchGetDocumentsRequest, context: Context
    ) -> document_calls.BatchGetDocumentsResponse:
        commit, _branch = self.store[request.database].resolve(request.ref)
        found = [document_message(key, commit.documents[key]) for key in request.ids if key in commit.documents]
        missing = [key for key in request.ids if key not in commit.documents]
        return document_calls.BatchGetDocumentsResponse(documents=found, missing_ids=missing, commit=commit.id)

    def ListDocuments(
        self, request: document_calls.ListDocumentsRequest, context: Context
    ) -> document_calls.ListDocumentsResponse:
        commit, _branch = self.store[request.database].resolve(request.ref)
        prefix = f"{request.type}/" if request.type else ""
        wanted = sorted(key for key in commit.documents if key.startswith(prefix) and not key.startswith(SCHEMA))
        found, token = page(wanted, request.page_size, request.page_token)
        bodies = [document_message(key, commit.documents[key]) for key in found]
        return document_calls.ListDocumentsResponse(documents=bodies, next_page_token=token, commit=commit.id)


class OntologyServicer(OntologyServiceServicer):
    def __init__(self, store: Store) -> None:
        self.store = store

    def GetClassSchema(
        self, request: ontology_calls.GetClassSchemaRequest, context: Context
    ) -> ontology_calls.GetClassSchemaResponse:
        raise Refusal("UNKNOWN_CLASS", f"no class {request.class_name!r}")

    def GetOntology(
        self, request: ontology_calls.GetOntologyRequest, context: Context
    ) -> ontology_calls.GetOntologyResponse:
        commit, _branch = self.store[request.database].resolve(request.ref)
        elements = [body for key, body in sorted(commit.documents.items()) if key.startswith(SCHEMA)]
        schema = b"[" + b",".join(elements) + b"]"
        found = ontologies.Ontology(schema=schema, digest=etag(schema))
        return ontology_calls.GetOntologyResponse(ontology=found, commit=commit.id)

    def CheckOntology(
        self, request: ontology_calls.CheckOntologyRequest, context: Context
    ) -> ontology_calls.CheckOntologyResponse:
        """Two pages of a violation each, of the documents that are called `odd...`."""
        self.store.requests.append(request)
        commit, _branch = self.store[request.database].resolve(request.ref)
        odd = [key for key in commit.documents if "/odd" in key and not request.changes_only]
        found, token = page(odd, 1, request.page_token)
        kinds = ontology_calls.OntologyDifference
        return ontology_calls.CheckOntologyResponse(
            differences=[
                kinds(kind=kinds.KIND_ADDED, element="Note", description="a new class"),
                kinds(kind=kinds.KIND_STRENGTHENED, element="Package", property="version", description="is required"),
                kinds(kind=kinds.KIND_REMOVED, element="Package", property="size", description="was xsd:integer"),
            ],
            violations=[
                ontology_calls.OntologyViolation(id=key, field="version", description="is required") for key in found
            ],
            next_page_token=token,
            examined=len(commit.documents),
            changed=1,
            violating=len(odd),
            classes=["Package"],
            commit=commit.id,
        )


class CommitServicer(CommitServiceServicer):
    def __init__(self, store: Store) -> None:
        self.store = store

    def CreateCommit(
        self, request: commit_calls.CreateCommitRequest, context: Context
    ) -> commit_calls.CreateCommitResponse:
        self.store.requests.append(request)
        database = self.store[request.database]
        head = database.head(request.branch, request.expected_head)
        after = dict(head.documents)
        if request.HasField("ontology"):
            _change_schema(after, request.ontology)
        results = [_apply(after, index, operation) for index, operation in enumerate(request.operations)]
        made = database.commit(
            after,
            branch=request.branch or "main",
            parents=(head.id,),
            message=request.message,
            author=request.author or "user:ana",
            metadata=dict(request.metadata),
            validate_only=request.validate_only,
        )
        return commit_calls.CreateCommitResponse(commit=commit_message(made), results=results)

    def GetCommit(self, request: commit_calls.GetCommitRequest, context: Context) -> commit_calls.GetCommitResponse:
        commit, _branch = self.store[request.database].resolve(request.ref)
        return commit_calls.GetCommitResponse(commit=commit_message(commit))

    def ListCommits(
        self, request: commit_calls.ListCommitsRequest, context: Context
    ) -> commit_calls.ListCommitsResponse:
        database = self.store[request.database]
        commit, _branch = database.resolve(request.ref)
        history = database.history(commit, first_parent=request.first_parent)
        found, token = page(history, request.page_size, request.page_token)
        return commit_calls.ListCommitsResponse(commits=map(commit_message, found), next_page_token=token)

    def VerifyHistory(
        self, request: commit_calls.VerifyHistoryRequest, context: Context
    ) -> Iterator[commit_calls.VerifyHistoryResponse]:
        database = self.store[request.database]
        commit, _branch = database.resolve(request.ref)
        total = len(database.history(commit))
        yield commit_calls.VerifyHistoryResponse(commits=1, documents=1, total_commits=total)
        self.store.gate.wait(30)
        yield commit_calls.VerifyHistoryResponse(
            commits=total, documents=2 * total, total_commits=total, problems=self.store.problems, done=True
        )


def _change_schema(after: Documents, change: ontologies.OntologyChange) -> None:
    if change.mode == ontologies.OntologyChange.MODE_REPLACE:
        for key in [key for key in after if key.startswith(SCHEMA)]:
            del after[key]
    for element in json.loads(change.schema or b"[]"):
        after[SCHEMA + element["@id"]] = canonical(element)
    for name in change.remove:
        del after[SCHEMA + name]


def _apply(after: Documents, index: int, operation: commits.Operation) -> commits.OperationResult:
    kind = operation.WhichOneof("operation")
    assert kind is not None
    if kind == "delete":
        _existing(after, operation.delete.id)
        del after[operation.delete.id]
        return commits.OperationResult(id=operation.delete.id)
    if kind == "update":
        document = json.loads(_existing(after, operation.update.id))
        document.update(json.loads(operation.update.patch))
        document = {name: value for name, value in document.items() if value is not None}
    else:
        document = json.loads(getattr(operation, kind).body)
    if "@type" not in document:
        field = f"operations[{index}].{kind}.body"
        raise Refusal("UNKNOWN_CLASS", "the document has no class", ((f"{field}.@type", "is missing"),))
    if len(document.get("name", "")) > 20:
        raise Refusal(
            "SCHEMA_VIOLATION",
            "1 document does not fit its class",
            ((f"operations[{index}].{kind}.body.name", "is longer than 20"),),
        )
    identifier = document.setdefault("@id", f"{document['@type']}/{document.get('name', '')}")
    if kind == "insert" and identifier in after:
        raise Refusal("DOCUMENT_ALREADY_EXISTS", f"{identifier} exists", id=identifier)
    if kind == "replace":
        _existing(after, identifier)
    # As it came, so that a test can see that no digit was lost; the real kernel stores a canonical form.
    after[identifier] = canonical(document) if kind == "update" else _with_id(getattr(operation, kind).body, identifier)
    return commits.OperationResult(id=identifier, etag=etag(after[identifier]))


def _with_id(body: bytes, identifier: str) -> bytes:
    return body if b'"@id"' in body else b'{"@id":' + canonical(identifier) + b"," + body.lstrip()[1:]


def _existing(after: Documents, identifier: str) -> bytes:
    if identifier not in after:
        raise Refusal("DOCUMENT_NOT_FOUND", f"no document {identifier!r}", id=identifier)
    return after[identifier]
