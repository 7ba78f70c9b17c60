"""The generated stubs of every kernel service over one connection."""

from typing import cast

import grpc

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
)
from ontomesh.sdk.call import CallChannel


class Raw:
    """The services by name. Calls through them get the connection's token, deadline, trace, retries and errors."""

    def __init__(self, calls: CallChannel) -> None:
        # The stubs ask of a channel only what `CallChannel` has.
        channel = cast("grpc.aio.Channel", calls)
        self.branches = branch_service_pb2_grpc.BranchServiceStub(channel)
        self.commits = commit_service_pb2_grpc.CommitServiceStub(channel)
        self.databases = database_service_pb2_grpc.DatabaseServiceStub(channel)
        self.diffs = diff_service_pb2_grpc.DiffServiceStub(channel)
        self.documents = document_service_pb2_grpc.DocumentServiceStub(channel)
        self.exports = import_service_pb2_grpc.ExportServiceStub(channel)
        self.imports = import_service_pb2_grpc.ImportServiceStub(channel)
        self.merges = merge_service_pb2_grpc.MergeServiceStub(channel)
        self.ontologies = ontology_service_pb2_grpc.OntologyServiceStub(channel)
        self.queries = query_service_pb2_grpc.QueryServiceStub(channel)
        self.refs = ref_pb2_grpc.RefServiceStub(channel)
