"""A real gRPC server on a free port over the services in memory."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status
from sdk.tests.cli.comparing import DiffServicer, MergeServicer, RefServicer
from sdk.tests.cli.finding import QueryServicer
from sdk.tests.cli.memory import Refusal
from sdk.tests.cli.servicers import (
    TRACE,
    BranchServicer,
    CommitServicer,
    DatabaseServicer,
    DocumentServicer,
    OntologyServicer,
    Store,
)
from sdk.tests.cli.validators import Validators

from ontomesh.kernel.v1.branch_service_pb2_grpc import add_BranchServiceServicer_to_server
from ontomesh.kernel.v1.commit_service_pb2_grpc import add_CommitServiceServicer_to_server
from ontomesh.kernel.v1.database_service_pb2_grpc import add_DatabaseServiceServicer_to_server
from ontomesh.kernel.v1.diff_service_pb2_grpc import add_DiffServiceServicer_to_server
from ontomesh.kernel.v1.document_service_pb2_grpc import add_DocumentServiceServicer_to_server
from ontomesh.kernel.v1.merge_service_pb2_grpc import add_MergeServiceServicer_to_server
from ontomesh.kernel.v1.ontology_service_pb2_grpc import add_OntologyServiceServicer_to_server
from ontomesh.kernel.v1.query_service_pb2_grpc import add_QueryServiceServicer_to_server
from ontomesh.kernel.v1.ref_pb2_grpc import add_RefServiceServicer_to_server
from ontomesh.kernel.v1.validator_service_pb2_grpc import add_ValidatorServiceServicer_to_server

CODES = {
    "TOKEN_MISSING": code_pb2.UNAUTHENTICATED,
    "DATABASE_NOT_FOUND": code_pb2.NOT_FOUND,
    "BRANCH_NOT_FOUND": code_pb2.NOT_FOUND,
    "COMMIT_NOT_FOUND": code_pb2.NOT_FOUND,
    "DOCUMENT_NOT_FOUND": code_pb2.NOT_FOUND,
    "VALIDATOR_NOT_FOUND": code_pb2.NOT_FOUND,
    "DATABASE_ALREADY_EXISTS": code_pb2.ALREADY_EXISTS,
    "BRANCH_ALREADY_EXISTS": code_pb2.ALREADY_EXISTS,
    "DOCUMENT_ALREADY_EXISTS": code_pb2.ALREADY_EXISTS,
    "STALE_HEAD": code_pb2.ABORTED,
    "EMPTY_COMMIT": code_pb2.FAILED_PRECONDITION,
    "BRANCH_PROTECTED": code_pb2.FAILED_PRECONDITION,
    "UNRELATED_HISTORIES": code_pb2.FAILED_PRECONDITION,
    "PERMISSION_DENIED": code_pb2.PERMISSION_DENIED,
}
SERVING = b"\x08\x01"
"""`grpc.health.v1.HealthCheckResponse(status=SERVING)`."""

Handler = Any  # gRPC's own classes are generic in their types only.


class Doorkeeper(grpc.ServerInterceptor):
    """Wants a token, and turns refusals into errors with their details."""

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Handler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        handler = continuation(handler_call_details)
        if handler is None or "Health" in handler_call_details.method:
            return handler
        known = dict(handler_call_details.invocation_metadata)
        behaviour = handler.unary_stream if handler.response_streaming else handler.unary_unary
        assert behaviour is not None

        def guarded(request: Any, context: grpc.ServicerContext) -> Any:
            with _refusals(context):
                if "authorization" not in known:
                    raise Refusal("TOKEN_MISSING", "the call carries no bearer token")
                return behaviour(request, context)

        def streamed(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            with _refusals(context):
                yield from behaviour(request, context)

        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(
                streamed, handler.request_deserializer, handler.response_serializer
            )
        return grpc.unary_unary_rpc_method_handler(guarded, handler.request_deserializer, handler.response_serializer)


@contextmanager
def _refusals(context: grpc.ServicerContext) -> Iterator[None]:
    try:
        yield
    except Refusal as refusal:
        info = error_details_pb2.ErrorInfo(
            reason=refusal.reason, domain="kernel.ontomesh", metadata={**refusal.metadata, "trace_id": TRACE}
        )
        violations = error_details_pb2.BadRequest(
            field_violations=[
                error_details_pb2.BadRequest.FieldViolation(field=field, description=text)
                for field, text in refusal.violations
            ]
        )
        details = [any_pb2.Any(), any_pb2.Any()]
        details[0].Pack(info)
        details[1].Pack(violations)
        code = CODES.get(refusal.reason, code_pb2.INVALID_ARGUMENT)
        status = status_pb2.Status(code=code, message=refusal.message, details=details)
        context.abort_with_status(rpc_status.to_status(status))


@contextmanager
def serving(store: Store) -> Iterator[str]:
    """The address of a server over the store."""
    with ThreadPoolExecutor(4) as workers:
        server = grpc.server(workers, interceptors=[Doorkeeper()])
        add_DatabaseServiceServicer_to_server(DatabaseServicer(store), server)
        add_BranchServiceServicer_to_server(BranchServicer(store), server)
        add_DocumentServiceServicer_to_server(DocumentServicer(store), server)
        add_OntologyServiceServicer_to_server(OntologyServicer(store), server)
        add_CommitServiceServicer_to_server(CommitServicer(store), server)
        add_DiffServiceServicer_to_server(DiffServicer(store), server)
        add_MergeServiceServicer_to_server(MergeServicer(store), server)
        add_QueryServiceServicer_to_server(QueryServicer(store), server)
        add_RefServiceServicer_to_server(RefServicer(store), server)
        add_ValidatorServiceServicer_to_server(Validators(), server)
        health: Handler = grpc.unary_unary_rpc_method_handler(lambda _request, _context: SERVING)
        server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": health})]
        )
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop(None).wait()
