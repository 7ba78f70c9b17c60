"""Every refusal of the kernel reaches the caller of either door with its code, reason, fields and retry."""

import inspect

import httpx
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode, aio

from ontomesh.kernel.v1 import document_service_pb2, document_service_pb2_grpc
from ontomesh.kernel.v1.error_reason_pb2 import ErrorReason
from ontomesh_chassis import errors as chassis_errors
from ontomesh_chassis.reply import HTTP_STATUS
from ontomesh_data_kernel import errors
from ontomesh_data_kernel.domain.caller import Caller
from ontomesh_data_kernel.domain.documents import Documents
from ontomesh_data_kernel.domain.kernel import Kernel
from ontomesh_data_kernel.domain.model import DocumentAt
from ontomesh_data_kernel.doors.errors import TABLE

REFUSALS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, errors.KernelError) and kind is not errors.KernelError
]


class Refusing(Documents):
    """Documents that cannot be got, for a reason of the test's choice."""

    def __init__(self, refusal: Exception) -> None:
        self.refusal = refusal

    async def get(self, caller: Caller, database: str, ref: str, id: str) -> DocumentAt:
        raise self.refusal


@pytest.fixture
def refusing(kernel: Kernel) -> Refusing:
    kernel.documents = Refusing(RuntimeError("no refusal was chosen"))
    return kernel.documents


def test_every_refusal_stands_in_the_table_once_and_nothing_else_does() -> None:
    assert set(REFUSALS) == set(TABLE)
    reasons = [reason for _, reason in TABLE.values()]
    assert len(set(reasons)) == len(reasons)


def test_every_reason_of_the_contract_has_a_class_of_the_kernel_or_of_the_chassis() -> None:
    own = {reason for _, reason in TABLE.values()}
    shared = {
        kind.reason
        for _, kind in inspect.getmembers(chassis_errors, inspect.isclass)
        if issubclass(kind, chassis_errors.ChassisError)
    }
    assert own | shared == {name.removeprefix("ERROR_REASON_") for name, _ in ErrorReason.items()} - {"UNSPECIFIED"}


async def test_every_refusal_is_answered_alike_at_both_doors(
    refusing: Refusing, http: httpx.AsyncClient, channel: aio.Channel, authorization: str
) -> None:
    for kind in REFUSALS:
        refusing.refusal = kind("what is wrong", [errors.Violation("id", "is wrong")], {"id": "A/b"})
        code, reason = TABLE[kind]
        is_worth_a_retry = kind in {errors.StoreUnavailable, errors.ValidatorUnavailable}

        problem = await http.get("/v1/databases/d/documents/A/b")
        told = problem.json()
        assert (told["reason"], told["code"], told["detail"]) == (reason, code.name, "what is wrong")
        assert problem.status_code == (413 if reason == "TOO_LARGE" else HTTP_STATUS[code])
        assert told["violations"] == [{"field": "id", "description": "is wrong"}]
        assert told["metadata"] == {"id": "A/b"}
        assert ("retry-after" in problem.headers) == is_worth_a_retry

        error = await _grpc_error(channel, authorization)
        info, bad, retry = _details(error)
        assert (info.reason, error.code(), error.details()) == (reason, code, "what is wrong")
        assert (info.domain, info.metadata["id"]) == ("kernel.ontomesh", "A/b")
        assert [(one.field, one.description) for one in bad.field_violations] == [("id", "is wrong")]
        assert (retry.retry_delay.ToTimedelta().total_seconds() > 0) == is_worth_a_retry


async def test_what_the_table_does_not_know_is_internal_and_tells_nothing(
    refusing: Refusing,
    http: httpx.AsyncClient,
    channel: aio.Channel,
    authorization: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    refusing.refusal = RuntimeError("a secret")
    problem = await http.get("/v1/databases/d/documents/A/b")
    assert (problem.status_code, problem.json()["reason"]) == (500, "INTERNAL")
    error = await _grpc_error(channel, authorization)
    assert error.code() is StatusCode.INTERNAL
    assert "secret" not in problem.text + str(error.details()) + repr(error.trailing_metadata())
    assert caplog.text.count("a secret") == 2


async def _grpc_error(channel: aio.Channel, authorization: str) -> aio.AioRpcError:
    stub = document_service_pb2_grpc.DocumentServiceStub(channel)
    request = document_service_pb2.GetDocumentRequest(database="d", id="A/b")
    with pytest.raises(aio.AioRpcError) as refused:
        await stub.GetDocument(request, metadata=(("authorization", authorization),), timeout=10)
    return refused.value


def _details(
    error: aio.AioRpcError,
) -> tuple[error_details_pb2.ErrorInfo, error_details_pb2.BadRequest, error_details_pb2.RetryInfo]:
    trailers = dict(error.trailing_metadata() or ())
    status = status_pb2.Status.FromString(bytes(trailers["grpc-status-details-bin"]))
    info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    for detail in status.details:
        assert detail.Unpack(info) or detail.Unpack(bad) or detail.Unpack(retry)
    return info, bad, retry
