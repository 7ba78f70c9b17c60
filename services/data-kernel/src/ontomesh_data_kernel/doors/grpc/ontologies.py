"""Ontologies, and changes of them that are only tried."""

from ontomesh.kernel.v1 import ontology_pb2, ontology_service_pb2, ontology_service_pb2_grpc
from ontomesh_data_kernel.domain.checking import OntologyChecks
from ontomesh_data_kernel.domain.ontologies import Ontologies
from ontomesh_data_kernel.doors.caller import caller_now
from ontomesh_data_kernel.doors.grpc.migrations import check_response, ontology_edit


class OntologyServicer(ontology_service_pb2_grpc.OntologyServiceServicer):
    """`OntologyService` over the domain's ontologies."""

    def __init__(self, ontologies: Ontologies, checks: OntologyChecks) -> None:
        self._ontologies = ontologies
        self._checks = checks

    async def GetOntology(  # noqa: N802 - the contract's name
        self, request: ontology_service_pb2.GetOntologyRequest, context: object
    ) -> ontology_service_pb2.GetOntologyResponse:
        """See the contract."""
        found = await self._ontologies.get(caller_now(), request.database, request.ref)
        ontology = ontology_pb2.Ontology(schema=found.schema, digest=found.digest)
        return ontology_service_pb2.GetOntologyResponse(ontology=ontology, commit=found.commit)

    async def GetClassSchema(  # noqa: N802 - the contract's name
        self, request: ontology_service_pb2.GetClassSchemaRequest, context: object
    ) -> ontology_service_pb2.GetClassSchemaResponse:
        """See the contract."""
        found = await self._ontologies.class_schema(caller_now(), request.database, request.ref, request.class_name)
        return ontology_service_pb2.GetClassSchemaResponse(
            json_schema=found.schema, ontology_digest=found.digest, commit=found.commit
        )

    async def CheckOntology(  # noqa: N802 - the contract's name
        self, request: ontology_service_pb2.CheckOntologyRequest, context: object
    ) -> ontology_service_pb2.CheckOntologyResponse:
        """See the contract."""
        found = await self._checks.check(
            caller_now(),
            request.database,
            request.ref,
            ontology_edit(request.change, "change"),
            request.changes_only,
            request.page_size,
            request.page_token,
        )
        return check_response(found)
