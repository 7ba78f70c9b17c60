"""The generated stubs of every service: the kernel's over one connection, the event gateway's over another."""

from collections.abc import Callable
from typing import cast

import grpc

from ontomesh.events.v1 import (
    consume_service_pb2_grpc,
    dead_letter_service_pb2_grpc,
    event_type_service_pb2_grpc,
    publish_service_pb2_grpc,
    subscription_service_pb2_grpc,
)
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
from ontomesh.sdk.call import CallChannel


class Raw:
    """The services by name. Calls through them get the connection's token, deadline, trace, retries and errors."""

    def __init__(self, calls: CallChannel, events: "Callable[[], RawEvents]") -> None:
        self._events = events
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
        self.validators = validator_service_pb2_grpc.ValidatorServiceStub(channel)

    @property
    def events(self) -> "RawEvents":
        """The event gateway's services; the connection to it is opened with the first use.

        Raises:
            ConfigurationError: The mesh is opened in this process, where there is no gateway.
        """
        return self._events()


class RawEvents:
    """The event gateway's services by name."""

    def __init__(self, calls: CallChannel) -> None:
        channel = cast("grpc.aio.Channel", calls)
        self.consumers = consume_service_pb2_grpc.ConsumeServiceStub(channel)
        self.dead_letters = dead_letter_service_pb2_grpc.DeadLetterServiceStub(channel)
        self.publishers = publish_service_pb2_grpc.PublishServiceStub(channel)
        self.subscriptions = subscription_service_pb2_grpc.SubscriptionServiceStub(channel)
        self.types = event_type_service_pb2_grpc.EventTypeServiceStub(channel)
