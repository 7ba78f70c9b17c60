"""A gRPC server that speaks the kernel's contract and answers as a test says."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from ontomesh.kernel.v1 import (
    branch_service_pb2_grpc,
    commit_service_pb2,
    commit_service_pb2_grpc,
    database_service_pb2_grpc,
    diff_service_pb2_grpc,
    document_pb2,
    document_service_pb2,
    document_service_pb2_grpc,
    merge_service_pb2_grpc,
    ontology_service_pb2_grpc,
    query_service_pb2_grpc,
    ref_pb2_grpc,
)

ADD: tuple[Callable[[Any, grpc.Server], None], ...] = (
    branch_service_pb2_grpc.add_BranchServiceServicer_to_server,
    commit_service_pb2_grpc.add_CommitServiceServicer_to_server,
    database_service_pb2_grpc.add_DatabaseServiceServicer_to_server,
    diff_service_pb2_grpc.add_DiffServiceServicer_to_server,
    document_service_pb2_grpc.add_DocumentServiceServicer_to_server,
    merge_service_pb2_grpc.add_MergeServiceServicer_to_server,
    ontology_service_pb2_grpc.add_OntologyServiceServicer_to_server,
    query_service_pb2_grpc.add_QueryServiceServicer_to_server,
    ref_pb2_grpc.add_RefServiceServicer_to_server,
)
STREAMS = frozenset(("VerifyHistory", "StreamQuery", "Traverse"))


@dataclass(frozen=True)
class Seen:
    """A call as it arrived."""

    method: str
    request: Any
    metadata: dict[str, str]
    seconds: float


class Refused(Exception):
    """Makes an answer fail: with a `google.rpc.Status`, or a bare code."""

    def __init__(
        self, failure: status_pb2.Status | grpc.StatusCode, trailing: tuple[tuple[str, str | bytes], ...] = ()
    ) -> None:
        self.failure = failure
        self.trailing = trailing


Answer = Callable[[Any, grpc.ServicerContext], Any]


@dataclass
class Kernel:
    """Records every call; answers by `answers`, after the `failures` of the method are used up."""

    address: str = ""
    seen: list[Seen] = field(default_factory=list)
    answers: dict[str, Answer] = field(default_factory=dict)
    failures: dict[str, list[Refused]] = field(default_factory=dict)

    def answer(self, method: str, response: Any) -> None:
        """Always answers a method so."""
        self.answers[method] = lambda request, context: response

    def calls(self, method: str) -> list[Seen]:
        return [each for each in self.seen if each.method == method]

    def __getattr__(self, method: str) -> Any:
        if not method[0].isupper():
            raise AttributeError(method)
        answer = self._stream if method in STREAMS else self._unary
        return lambda *call: answer(method, *call)

    def _unary(self, method: str, request: Any, context: grpc.ServicerContext) -> Any:
        self._record(method, request, context)
        try:
            if waiting := self.failures.get(method):
                raise waiting.pop(0)
            return self.answers[method](request, context)
        except Refused as refused:
            _abort(context, refused)

    def _stream(self, method: str, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        self._record(method, request, context)
        try:
            yield from self.answers[method](request, context)
        except Refused as refused:
            _abort(context, refused)

    def _record(self, method: str, request: Any, context: grpc.ServicerContext) -> None:
        metadata = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
        self.seen.append(Seen(method, request, metadata, context.time_remaining() or 0.0))


def _abort(context: grpc.ServicerContext, refused: Refused) -> None:
    context.set_trailing_metadata(refused.trailing)
    if isinstance(refused.failure, grpc.StatusCode):
        context.abort(refused.failure, "")
    context.abort_with_status(rpc_status.to_status(refused.failure))


def refusal(
    code: str,
    reason: str,
    *,
    domain: str = "kernel.ontomesh",
    fields: dict[str, str] | None = None,
    metadata: dict[str, str] | None = None,
    retry_ms: int = 0,
) -> Refused:
    """A failure with the details that the kernel sends."""
    status = status_pb2.Status(code=code_pb2.Code.Value(code), message=f"refused: {reason}")
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason=reason, domain=domain, metadata=metadata))
    if fields:
        request = error_details_pb2.BadRequest()
        for path, description in fields.items():
            request.field_violations.add(field=path, description=description)
        status.details.add().Pack(request)
    if retry_ms:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(retry_ms)
        status.details.add().Pack(retry)
    return Refused(status)


def document(id: str, body: bytes = b"", commit: str = "c1") -> document_service_pb2.GetDocumentResponse:
    """An answer that holds a document."""
    body = body or b'{"@id":"%s","@type":"%s"}' % (id.encode(), id.partition("/")[0].encode())
    return document_service_pb2.GetDocumentResponse(
        document=document_pb2.Document(id=id, body=body, etag="e1"), commit=commit
    )


@contextmanager
def serving(credentials: grpc.ServerCredentials | None = None, port: int = 0) -> Iterator[Kernel]:
    """A kernel on a free port; it answers documents by their ids, and commits, unless told otherwise."""
    kernel = Kernel()
    kernel.answers["GetDocument"] = lambda request, context: document(request.id)
    kernel.answer("CreateCommit", commit_service_pb2.CreateCommitResponse())
    # A port belongs to one server, so that a test never meets another test's.
    server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
    for add in ADD:
        add(kernel, server)
    target = f"127.0.0.1:{port}"
    port = server.add_insecure_port(target) if credentials is None else server.add_secure_port(target, credentials)
    kernel.address = f"127.0.0.1:{port}"
    server.start()
    try:
        yield kernel
    finally:
        server.stop(None).wait()
