"""The gRPC door serves the whole contract."""

import importlib
import pkgutil

import pytest
from google.protobuf.descriptor import ServiceDescriptor
from grpc import StatusCode, aio

import ontomesh.kernel.v1
from ontomesh.kernel.v1 import database_pb2, database_service_pb2, database_service_pb2_grpc, ref_pb2, ref_pb2_grpc
from ontomesh_data_kernel.domain.kernel import Kernel
from ontomesh_data_kernel.doors.grpc import grpc_services

CALLED = {"ontomesh.kernel.v1.CommitValidator"}
"""What the kernel calls; users implement it."""


def contract() -> dict[str, ServiceDescriptor]:
    """Every service of the contract's files."""
    found: dict[str, ServiceDescriptor] = {}
    for stub in pkgutil.iter_modules(ontomesh.kernel.v1.__path__, f"{ontomesh.kernel.v1.__name__}."):
        if stub.name.endswith("_pb2"):
            services = importlib.import_module(stub.name).DESCRIPTOR.services_by_name
            found |= {service.full_name: service for service in services.values()}
    return found


async def test_every_method_of_the_contract_has_a_handler(kernel: Kernel) -> None:
    services = {service.name: service.servicer for service in grpc_services(kernel)}
    served = {name: described for name, described in contract().items() if name not in CALLED}
    assert services.keys() == served.keys()
    for name, described in served.items():
        own = vars(type(services[name]))
        assert {method.name for method in described.methods} <= own.keys(), name


async def test_a_call_without_a_token_meets_no_handler(channel: aio.Channel) -> None:
    stub = database_service_pb2_grpc.DatabaseServiceStub(channel)
    with pytest.raises(aio.AioRpcError) as refused:
        await stub.ListDatabases(database_service_pb2.ListDatabasesRequest(), timeout=10)
    assert refused.value.code() is StatusCode.UNAUTHENTICATED


async def test_the_branch_of_the_metadata_stands_for_an_empty_ref(channel: aio.Channel, authorization: str) -> None:
    token = ("authorization", authorization)
    databases = database_service_pb2_grpc.DatabaseServiceStub(channel)
    request = database_service_pb2.CreateDatabaseRequest(database=database_pb2.Database(name="d"), request_id="once")
    made = await databases.CreateDatabase(request, metadata=(token,), timeout=10)
    assert made == await databases.CreateDatabase(request, metadata=(token,), timeout=10)
    refs = ref_pb2_grpc.RefServiceStub(channel)
    asked = ref_pb2.ResolveRefRequest(database="d")
    assert (await refs.ResolveRef(asked, metadata=(token,), timeout=10)).branch == "main"
    with pytest.raises(aio.AioRpcError) as refused:
        await refs.ResolveRef(asked, metadata=(token, ("x-ontomesh-branch", "none")), timeout=10)
    assert refused.value.code() is StatusCode.NOT_FOUND
