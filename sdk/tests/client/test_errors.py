import re
from pathlib import Path

import grpc
import pytest
from sdk.tests.client.kernel import Kernel, Refused, refusal

from ontomesh.kernel.v1.error_reason_pb2 import ErrorReason
from ontomesh.sdk import AsyncMesh, errors
from ontomesh.sdk.errors import GROUPS, REASONS, OntomeshError, Violation

CONTRACT = Path(__file__).parents[3] / "proto" / "ontomesh" / "kernel" / "v1" / "error_reason.proto"
CONTRACT_REASONS = {name.removeprefix("ERROR_REASON_") for name, number in ErrorReason.items() if number}


def codes_of_the_contract() -> dict[str, str]:
    """The gRPC code that stands in brackets before each reason."""
    codes: dict[str, str] = {}
    code = ""
    for line in CONTRACT.read_text("utf-8").splitlines():
        if stated := re.match(r"\s+// \[([A-Z_]+)\]", line):
            code = stated[1]
        elif named := re.match(r"\s+ERROR_REASON_(\w+) = [1-9]", line):
            codes[named[1]] = code
    return codes


def test_every_reason_of_the_contract_has_a_class() -> None:
    assert set(REASONS) == CONTRACT_REASONS


def test_no_two_reasons_share_a_class() -> None:
    assert len(set(REASONS.values())) == len(REASONS)


def test_each_class_bears_the_name_of_its_reason() -> None:
    for reason, kind in REASONS.items():
        assert kind.__name__ == "".join(word.capitalize() for word in reason.split("_"))


def test_each_class_belongs_to_the_group_of_its_code() -> None:
    codes = codes_of_the_contract()
    assert set(codes) == CONTRACT_REASONS
    for reason, kind in REASONS.items():
        code = grpc.StatusCode[codes[reason]]
        assert issubclass(kind, GROUPS[code])
        assert kind.default_code is code


async def fail(mesh: AsyncMesh, kernel: Kernel, refused: Refused) -> OntomeshError:
    kernel.failures["GetDocument"] = [refused]
    with pytest.raises(OntomeshError) as caught:
        await mesh.database("catalog").get("Package/a")
    return caught.value


async def test_a_refusal_arrives_as_the_class_of_its_reason_with_all_it_says(mesh: AsyncMesh, kernel: Kernel) -> None:
    error = await fail(
        mesh,
        kernel,
        refusal(
            "INVALID_ARGUMENT",
            "SCHEMA_VIOLATION",
            fields={"operations[0].insert.body.name": "is missing"},
            metadata={"trace_id": "ab" * 16, "id": "Package/a"},
            retry_ms=1500,
        ),
    )
    assert type(error) is errors.SchemaViolation
    assert isinstance(error, errors.InvalidArgument)
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert error.reason == "SCHEMA_VIOLATION"
    assert error.message == "refused: SCHEMA_VIOLATION"
    assert error.violations == (Violation("operations[0].insert.body.name", "is missing"),)
    assert error.metadata["id"] == "Package/a"
    assert error.trace_id == "ab" * 16
    assert error.retry_after == 1.5
    assert "operations[0].insert.body.name: is missing" in str(error)
    assert isinstance(error.__cause__, grpc.aio.AioRpcError)


async def test_an_unknown_reason_falls_back_to_its_code(mesh: AsyncMesh, kernel: Kernel) -> None:
    error = await fail(mesh, kernel, refusal("NOT_FOUND", "SHELF_NOT_FOUND"))
    assert type(error) is errors.NotFound
    assert error.reason == "SHELF_NOT_FOUND"


async def test_a_reason_of_another_domain_is_not_taken_for_the_kernels(mesh: AsyncMesh, kernel: Kernel) -> None:
    error = await fail(mesh, kernel, refusal("NOT_FOUND", "DOCUMENT_NOT_FOUND", domain="proxy.example"))
    assert type(error) is errors.NotFound
    assert error.reason == "DOCUMENT_NOT_FOUND"


@pytest.mark.parametrize("details", [b"\xff\xff", b"\x08\x07"], ids=["not a status", "of another code"])
async def test_details_that_make_no_sense_leave_the_code(mesh: AsyncMesh, kernel: Kernel, details: bytes) -> None:
    trailing = (("grpc-status-details-bin", details), ("x-ontomesh-trace-id", "cd" * 16))
    error = await fail(mesh, kernel, Refused(grpc.StatusCode.NOT_FOUND, trailing))
    assert type(error) is errors.NotFound
    assert error.reason == ""
    assert error.trace_id == "cd" * 16


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
async def test_every_code_without_details_has_a_class(mesh: AsyncMesh, kernel: Kernel, code: grpc.StatusCode) -> None:
    kernel.failures["GetDocument"] = [Refused(code) for _ in range(4)]
    with pytest.raises(OntomeshError) as caught:
        await mesh.database("catalog").get("Package/a")
    assert caught.value.code is code
    assert isinstance(caught.value, GROUPS.get(code, OntomeshError))
    assert caught.value.message
