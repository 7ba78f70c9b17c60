"""Imports and exports."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from ontomesh.kernel.v1 import import_service_pb2, import_service_pb2_grpc
from ontomesh_data_kernel.domain import model
from ontomesh_data_kernel.domain.exporting import Exports
from ontomesh_data_kernel.domain.importing import Imports, Piece
from ontomesh_data_kernel.doors.caller import caller_now
from ontomesh_data_kernel.doors.grpc import convert
from ontomesh_data_kernel.errors import InvalidRequest


class ImportServicer(import_service_pb2_grpc.ImportServiceServicer):
    """`ImportService` over the domain's imports."""

    def __init__(self, imports: Imports) -> None:
        self._imports = imports

    async def BeginImport(  # noqa: N802 - the contract's name
        self, request: import_service_pb2.BeginImportRequest, context: object
    ) -> import_service_pb2.BeginImportResponse:
        """See the contract."""
        begun = await self._imports.begin(caller_now(), request.database, request.branch, request.request_id)
        return import_service_pb2.BeginImportResponse(state=import_state(begun))

    async def UploadDocuments(  # noqa: N802 - the contract's name
        self, request: AsyncIterator[import_service_pb2.UploadDocumentsRequest], context: object
    ) -> AsyncIterator[import_service_pb2.UploadDocumentsResponse]:
        """See the contract."""
        requests = aiter(request)
        first = await anext(requests, None)
        if first is None:
            raise InvalidRequest.at("import_id", "is required in the first request")
        if first.data or first.is_last:
            raise InvalidRequest.at("data", "comes from the second request on, once the first is answered")
        pieces = _pieces(requests)
        async with aclosing(self._imports.upload(caller_now(), first.database, first.import_id, pieces)) as states:
            async for state in states:
                yield import_service_pb2.UploadDocumentsResponse(
                    offset=state.offset, documents=state.documents, fault_count=state.fault_count
                )

    async def FinishImport(  # noqa: N802 - the contract's name
        self, request: import_service_pb2.FinishImportRequest, context: object
    ) -> import_service_pb2.FinishImportResponse:
        """See the contract."""
        asked = model.FinishRequest(
            request.database,
            request.import_id,
            request.message,
            request.author,
            dict(request.metadata),
            request.insert_only,
            request.overwrite,
            request.expected_offset,
        )
        commit = await self._imports.finish(caller_now(), asked)
        return import_service_pb2.FinishImportResponse(commit=convert.commit(commit))

    async def GetImport(  # noqa: N802 - the contract's name
        self, request: import_service_pb2.GetImportRequest, context: object
    ) -> import_service_pb2.GetImportResponse:
        """See the contract."""
        found = await self._imports.get(caller_now(), request.database, request.import_id)
        return import_service_pb2.GetImportResponse(state=import_state(found))

    async def AbortImport(  # noqa: N802 - the contract's name
        self, request: import_service_pb2.AbortImportRequest, context: object
    ) -> import_service_pb2.AbortImportResponse:
        """See the contract."""
        await self._imports.abort(caller_now(), request.database, request.import_id)
        return import_service_pb2.AbortImportResponse()


async def _pieces(requests: AsyncIterator[import_service_pb2.UploadDocumentsRequest]) -> AsyncIterator[Piece]:
    async for request in requests:
        if request.database or request.import_id:
            raise InvalidRequest.at("import_id", "stands in the first request alone")
        yield Piece(request.offset, request.data, request.is_last)


class ExportServicer(import_service_pb2_grpc.ExportServiceServicer):
    """`ExportService` over the domain's exports."""

    def __init__(self, exports: Exports) -> None:
        self._exports = exports

    async def ExportDocuments(  # noqa: N802 - the contract's name
        self, request: import_service_pb2.ExportDocumentsRequest, context: object
    ) -> AsyncIterator[import_service_pb2.ExportDocumentsResponse]:
        """See the contract."""
        asked = (request.database, request.ref, request.type, request.exact_type, request.after)
        async with aclosing(self._exports.export(caller_now(), *asked)) as pieces:
            async for piece in pieces:
                yield import_service_pb2.ExportDocumentsResponse(
                    data=piece.data, documents=piece.documents, last_id=piece.last_id, commit=piece.commit
                )


def import_state(one: model.Import) -> import_service_pb2.Import:
    """An import."""
    return import_service_pb2.Import(
        id=one.id,
        branch=one.branch,
        documents=one.documents,
        offset=one.offset,
        lines=one.lines,
        fault_count=one.fault_count,
        faults=[
            import_service_pb2.ImportFault(line=fault.line, field=fault.field, description=fault.description)
            for fault in one.faults
        ],
        commit=one.commit,
        create_time=convert.timestamp(one.create_time),
        update_time=convert.timestamp(one.update_time),
    )
