"""Bad input is refused with its code, reason and field at both doors, and changes nothing."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from grpc import StatusCode

from ontomesh.kernel.v1 import branch_service_pb2, database_service_pb2
from ontomesh.kernel.v1.error_reason_pb2 import ErrorReason
from ontomesh.sdk import errors as sdk_errors
from ontomesh_chassis import errors as chassis_errors
from ontomesh_data_kernel.doors.errors import TABLE
from tests.contract import calls
from tests.contract.doors import DoorName, Doors, doors_of
from tests.contract.refusals.row import Row
from tests.contract.refusals.table import rows
from tests.contract.serving import serving
from tests.contract.world import NEEDS, World, build

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("contract-refusals")]

ROWS = rows()
PROTO = Path(__file__).parents[2] / "proto" / "ontomesh" / "kernel" / "v1" / "error_reason.proto"

STATUS = {
    StatusCode.INVALID_ARGUMENT: 400,
    StatusCode.UNAUTHENTICATED: 401,
    StatusCode.PERMISSION_DENIED: 403,
    StatusCode.NOT_FOUND: 404,
    StatusCode.ALREADY_EXISTS: 409,
    StatusCode.ABORTED: 409,
    StatusCode.FAILED_PRECONDITION: 409,
    StatusCode.RESOURCE_EXHAUSTED: 413,
    StatusCode.UNAVAILABLE: 503,
}

NOT_PRODUCED = {
    "INTERNAL": "what the kernel has no answer for; the chassis' tests raise it",
    "UNSUPPORTED_BY_STORE": "the SQLite store can do all that the contract asks",
    "QUERY_TOO_COSTLY": "needs hundreds of thousands of documents",
    "AMBIGUOUS_REF": "two commits whose first eight digits agree take tens of thousands of commits",
    "STORE_UNAVAILABLE": "needs a store that is locked or gone",
    "STORE_FULL": "needs a full disk",
    "CORRUPT": "needs a damaged file",
    "DRAINING": "gRPC and HTTP refuse calls to a stopping service themselves",
}


@dataclass
class Scene:
    """A kernel's doors, what stands behind them, and how it stood after the row before."""

    doors: Doors
    world: World
    before: list[bytes]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    home = tmp_path_factory.mktemp("refusals")
    limit = {"ONTOMESH_MAX_MESSAGE_BYTES": str(36 << 20), "ONTOMESH_LOG_LEVEL": "WARNING"}
    async with serving(home, **NEEDS, **limit) as kernel, doors_of(kernel) as doors:
        world = await build(kernel, doors)
        yield Scene(doors, world, await standing(doors))


async def standing(doors: Doors) -> list[bytes]:
    """Every database and the head of every branch."""
    databases = await doors.ask(calls.list_databases(1000), database_service_pb2.ListDatabasesResponse)
    found = [databases.SerializeToString()]
    for database in databases.databases:
        branches = await doors.ask(
            calls.list_branches(database.name, page_size=1000), branch_service_pb2.ListBranchesResponse
        )
        found.append(branches.SerializeToString())
    return found


def promised_codes() -> dict[str, StatusCode]:
    """The code that the contract puts in brackets before each reason."""
    text = PROTO.read_text("utf-8")
    found = re.findall(r"// \[([A-Z_]+)\](?:(?!ERROR_REASON_).)*?ERROR_REASON_([A-Z_]+) =", text, re.DOTALL)
    return {reason: StatusCode[code] for code, reason in found}


CODES = promised_codes()
CASES = [pytest.param(row, door, id=f"{row.name} ({door})") for row in ROWS for door in row.doors]


@pytest.mark.parametrize(("row", "door"), CASES)
async def test_bad_input_gets_its_code_reason_and_field_and_changes_nothing(
    scene: Scene, row: Row, door: DoorName
) -> None:
    call = row.call(scene.world)
    if door == "http" and call.http is None:
        pytest.fail("the row must say that only the gRPC door can express it")
    before = scene.before
    try:
        refusal = await scene.doors.refused(door, call, scene.world.tokens[row.token], row.headers)
    finally:
        scene.before = await standing(scene.doors)
    assert (refusal.reason, refusal.code) == (row.reason, CODES[row.reason]), refusal
    assert refusal.fields == row.fields_at(door), refusal
    if door == "http":
        assert refusal.status == STATUS[refusal.code]
    promised = row.metadata(scene.world)
    assert {name: refusal.metadata.get(name) for name in promised} == promised
    assert re.fullmatch(r"[0-9a-f]{32}", refusal.trace_id)
    assert refusal.message
    assert scene.before == before


async def test_every_reason_of_the_contract_is_answered_by_the_kernel_and_known_to_the_sdk() -> None:
    reasons = {name.removeprefix("ERROR_REASON_") for name, _ in ErrorReason.items()} - {"UNSPECIFIED"}
    assert CODES.keys() == reasons
    raised = {reason: code for code, reason in TABLE.values()}
    raised |= {
        kind.reason: kind.code
        for kind in vars(chassis_errors).values()
        if isinstance(kind, type) and issubclass(kind, chassis_errors.ChassisError) and "reason" in vars(kind)
    }
    assert raised == CODES
    assert sdk_errors.REASONS.keys() == reasons
    assert {reason: kind.default_code for reason, kind in sdk_errors.REASONS.items()} == CODES


async def test_every_reason_is_produced_by_a_row_unless_it_is_said_why_not() -> None:
    produced = {row.reason for row in ROWS}
    assert produced.isdisjoint(NOT_PRODUCED)
    assert produced | NOT_PRODUCED.keys() == CODES.keys()
    for door in ("grpc", "http"):
        assert {row.reason for row in ROWS if door in row.doors} == produced
