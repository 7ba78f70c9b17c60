"""Imports and exports over HTTP, as NDJSON."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect

from ontomesh_data_kernel.domain import model
from ontomesh_data_kernel.domain.importing import Piece
from ontomesh_data_kernel.domain.kernel import Kernel
from ontomesh_data_kernel.domain.limits import MAX_PIECE_BYTES
from ontomesh_data_kernel.doors.caller import caller_now
from ontomesh_data_kernel.doors.http import answers, examples
from ontomesh_data_kernel.doors.http.parameters import Branch, Message, Ref, RequestId, json_answer
from ontomesh_data_kernel.doors.http.reading import read_members
from ontomesh_data_kernel.errors import ImportOutOfStep, KernelError, StoreUnavailable

_LINES = "application/x-ndjson"
_COMMIT = answers.commit(examples.COMMIT)
_IMPORT = model.Import("8pQ6", "main", "user:ana", (), 1_767_225_600_000_000, 1_767_225_601_000_000, 2, 86, 2)
_NDJSON = b'{"@type":"Person","name":"ada","scores":[]}\n{"@type":"Person","name":"bob","scores":[]}\n'

InsertOnly = Annotated[bool, Query(description="Refuses documents that the branch has already.")]
Overwrite = Annotated[bool, Query(description="Replaces documents that others changed meanwhile.")]
After = Annotated[str, Query(description="Goes on after the document of this id.")]


def import_routes(kernel: Kernel) -> APIRouter:
    """Routes of imports and exports."""
    routes = APIRouter(prefix="/v1/databases/{database}", tags=["imports"])

    @routes.post(
        "/imports",
        status_code=201,
        summary="Import NDJSON of any length as one commit; all of it, or nothing",
        openapi_extra={
            "requestBody": {
                "required": True,
                "description": "A document a line.",
                "content": {_LINES: {"schema": {"type": "string"}, "example": _NDJSON.decode()}},
            }
        },
        responses=json_answer({"commit": _COMMIT, "documents": 2}, status=201),
    )
    async def import_documents(
        database: str,
        request: Request,
        branch: Branch = "",
        message: Message = "",
        insert_only: InsertOnly = False,
        overwrite: Overwrite = False,
        request_id: RequestId = "",
    ) -> Response:
        caller = caller_now()
        one = await kernel.imports.begin(caller, database, branch, request_id)
        try:
            state = one if one.commit else await _upload(kernel, database, one, request)
            asked = model.FinishRequest(
                database, one.id, message, insert_only=insert_only, overwrite=overwrite, expected_offset=state.offset
            )
            commit = await kernel.imports.finish(caller, asked)
        except (KernelError, ClientDisconnect) as error:
            # By its request id another call may be going on with it, or go on with it later.
            if not request_id or not isinstance(error, (ImportOutOfStep, StoreUnavailable, ClientDisconnect)):
                with suppress(KernelError):
                    await kernel.imports.abort(caller_now(), database, one.id)
            raise
        headers = {
            answers.COMMIT_HEADER: commit.id,
            "Location": f"/v1/databases/{database}/commits/commit:{commit.id}",
        }
        return answers.answer({"commit": answers.commit(commit), "documents": state.documents}, 201, headers)

    @routes.get("/imports/{id}", summary="An import as it stands", responses=json_answer(import_state(_IMPORT)))
    async def get_import(database: str, id: str) -> Response:
        return answers.answer(import_state(await kernel.imports.get(caller_now(), database, id)))

    @routes.post(
        "/imports/{id}:finish",
        status_code=201,
        summary="Make the commit of an import that was uploaded by gRPC",
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": {"type": "object"}, "example": {"message": "packages"}}},
            }
        },
        responses=json_answer({"commit": _COMMIT}, status=201),
    )
    async def finish_import(database: str, id: str, request: Request) -> Response:
        body = await read_members(request)
        asked = model.FinishRequest(
            database,
            id,
            body.text("message"),
            body.text("author"),
            insert_only=body.flag("insert_only"),
            overwrite=body.flag("overwrite"),
            expected_offset=body.number("expected_offset"),
        )
        body.end()
        commit = await kernel.imports.finish(caller_now(), asked)
        return answers.answer({"commit": answers.commit(commit)}, 201, {answers.COMMIT_HEADER: commit.id})

    @routes.delete("/imports/{id}", status_code=204, summary="Give an import up")
    async def abort_import(database: str, id: str) -> Response:
        await kernel.imports.abort(caller_now(), database, id)
        return Response(status_code=204)

    @routes.get(
        "/export",
        summary="The documents of a class, or of all, as NDJSON by class and id",
        response_class=StreamingResponse,
        responses={
            200: {
                "description": "A document a line.",
                "content": {_LINES: {"schema": {"type": "string"}, "example": _NDJSON.decode()}},
            }
        },
    )
    async def export_documents(
        database: str, ref: Ref = "", type: str = "", exact_type: bool = False, after: After = ""
    ) -> Response:
        pieces = kernel.exports.export(caller_now(), database, ref, type, exact_type, after)
        # The first piece comes before the answer begins: what it refuses is a problem with a status of its own.
        first = await anext(pieces)
        return StreamingResponse(_data(pieces), headers={answers.COMMIT_HEADER: first.commit}, media_type=_LINES)

    return routes


async def _upload(kernel: Kernel, database: str, one: model.Import, request: Request) -> model.Import:
    """Upload the request's body; what is durable of an earlier try is passed over."""
    state = one
    pieces = _pieces(request, one.offset)
    async with aclosing(kernel.imports.upload(caller_now(), database, one.id, pieces)) as told:
        async for now in told:
            state = now
    return state


async def _pieces(request: Request, durable: int) -> AsyncIterator[Piece]:
    offset = 0
    async for chunk in request.stream():
        for start in range(0, len(chunk), MAX_PIECE_BYTES):
            part = chunk[start : start + MAX_PIECE_BYTES]
            known = min(max(durable - offset, 0), len(part))
            offset += len(part)
            if part[known:]:
                yield Piece(offset - len(part) + known, part[known:])
    yield Piece(max(offset, durable), b"", is_last=True)


async def _data(pieces: AsyncGenerator[model.ExportPiece]) -> AsyncIterator[bytes]:
    async with aclosing(pieces) as told:
        async for piece in told:
            if piece.data:
                yield piece.data


def import_state(one: model.Import) -> dict[str, Any]:
    """An import."""
    return {
        "id": one.id,
        "branch": one.branch,
        "documents": one.documents,
        "offset": one.offset,
        "lines": one.lines,
        "fault_count": one.fault_count,
        "faults": [
            {"line": fault.line, "field": fault.field, "description": fault.description} for fault in one.faults
        ],
        "commit": one.commit,
        "create_time": answers.time(one.create_time),
        "update_time": answers.time(one.update_time),
    }
