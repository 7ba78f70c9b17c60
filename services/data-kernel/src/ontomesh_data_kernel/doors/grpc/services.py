"""The services of the gRPC door."""

from ontomesh.kernel.v1 import (
    branch_service_pb2_grpc,
    commit_service_pb2_grpc,
    database_service_pb2_grpc,
    diff_service_pb2_grpc,
    document_service_pb2_grpc,
    import_service_pb2_grpc,
    merge_service_pb2_grpc,
    ontology_service_pb2_grpc,
    query_service_pb2_grpc,
    ref_pb2_grpc,
    validator_service_pb2_grpc,
)
from ontomesh_chassis.server import GrpcService
from ontomesh_data_kernel.domain.kernel import Kernel
from ontomesh_data_kernel.doors.grpc.commits import CommitServicer, DiffServicer, MergeServicer, RefServicer
from ontomesh_data_kernel.doors.grpc.databases import BranchServicer, DatabaseServicer
from ontomesh_data_kernel.doors.grpc.documents import DocumentServicer
from ontomesh_data_kernel.doors.grpc.imports import ExportServicer, ImportServicer
from ontomesh_data_kernel.doors.grpc.ontologies import OntologyServicer
from ontomesh_data_kernel.doors.grpc.queries import QueryServicer
from ontomesh_data_kernel.doors.grpc.validators import ValidatorServicer

_PACKAGE = "ontomesh.kernel.v1"


def grpc_services(kernel: Kernel) -> list[GrpcService]:
    """Every service of the contract over one kernel."""
    return [
        GrpcService(add, servicer, f"{_PACKAGE}.{name}")
        for add, servicer, name in (
            (
                database_service_pb2_grpc.add_DatabaseServiceServicer_to_server,
                DatabaseServicer(kernel.databases),
                "DatabaseService",
            ),
            (
                branch_service_pb2_grpc.add_BranchServiceServicer_to_server,
                BranchServicer(kernel.branches),
                "BranchService",
            ),
            (
                document_service_pb2_grpc.add_DocumentServiceServicer_to_server,
                DocumentServicer(kernel.documents),
                "DocumentService",
            ),
            (
                ontology_service_pb2_grpc.add_OntologyServiceServicer_to_server,
                OntologyServicer(kernel.ontologies, kernel.ontology_checks),
                "OntologyService",
            ),
            (
                commit_service_pb2_grpc.add_CommitServiceServicer_to_server,
                CommitServicer(kernel.commits),
                "CommitService",
            ),
            (
                query_service_pb2_grpc.add_QueryServiceServicer_to_server,
                QueryServicer(kernel.queries, kernel.links),
                "QueryService",
            ),
            (
                import_service_pb2_grpc.add_ImportServiceServicer_to_server,
                ImportServicer(kernel.imports),
                "ImportService",
            ),
            (
                import_service_pb2_grpc.add_ExportServiceServicer_to_server,
                ExportServicer(kernel.exports),
                "ExportService",
            ),
            (ref_pb2_grpc.add_RefServiceServicer_to_server, RefServicer(kernel.refs), "RefService"),
            (diff_service_pb2_grpc.add_DiffServiceServicer_to_server, DiffServicer(kernel.diffs), "DiffService"),
            (merge_service_pb2_grpc.add_MergeServiceServicer_to_server, MergeServicer(kernel.merges), "MergeService"),
            (
                validator_service_pb2_grpc.add_ValidatorServiceServicer_to_server,
                ValidatorServicer(kernel.validators, kernel.relay_status),
                "ValidatorService",
            ),
        )
    ]
