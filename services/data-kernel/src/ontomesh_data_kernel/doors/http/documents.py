"""Documents over HTTP: each write is a commit of one operation."""

from urllib.parse import quote

from fastapi import APIRouter, Request, Response

from ontomesh_data_kernel.domain.kernel import Kernel
from ontomesh_data_kernel.domain.model import (
    CommitRequest,
    Committed,
    Delete,
    Insert,
    Operation,
    Put,
    Replace,
    Update,
)
from ontomesh_data_kernel.doors.caller import caller_now
from ontomesh_data_kernel.doors.http import answers, examples
from ontomesh_data_kernel.doors.http.parameters import (
    Branch,
    IfMatch,
    IfNoneMatch,
    Message,
    PageSize,
    PageToken,
    Ref,
    RequestId,
    json_answer,
    json_body,
)
from ontomesh_data_kernel.doors.http.reading import as_sent, etag_of, is_known, located, read_members, read_value
from ontomesh_data_kernel.errors import InvalidDocumentId, KernelError

_WRITTEN = answers.written(examples.COMMITTED)


def document_routes(kernel: Kernel) -> APIRouter:
    """Routes of documents."""
    routes = APIRouter(prefix="/v1/databases/{database}", tags=["documents"])

    async def commit(database: str, operation: Operation, branch: str, message: str, request_id: str) -> Committed:
        request = CommitRequest(database, branch, (operation,), message=message, request_id=request_id)
        try:
            return await kernel.commits.create(caller_now(), request)
        except KernelError as error:
            raise located(error) from None

    def written(made: Committed, status: int = 200, location: str = "") -> Response:
        etag = made.results[0].etag
        headers = {answers.COMMIT_HEADER: made.commit.id}
        if etag:
            headers["ETag"] = f'"{etag}"'
        if location:
            headers["Location"] = location
        return answers.answer(answers.written(made), status, headers)

    @routes.get(
        "/documents",
        summary="The documents of a class with its subclasses, or of all, by id",
        responses=json_answer(answers.document_page(examples.DOCUMENTS)),
    )
    async def list_documents(
        database: str,
        ref: Ref = "",
        type: str = "",
        exact_type: bool = False,
        page_size: PageSize = 0,
        page_token: PageToken = "",
    ) -> Response:
        page = await kernel.documents.list(caller_now(), database, ref, type, exact_type, page_size, page_token)
        return answers.answer(answers.document_page(page))

    @routes.post(
        "/documents",
        status_code=201,
        summary="Insert a document",
        openapi_extra=json_body(examples.PERSON, "The document."),
        responses=json_answer(_WRITTEN, status=201),
    )
    async def insert_document(
        database: str, request: Request, branch: Branch = "", message: Message = "", request_id: RequestId = ""
    ) -> Response:
        operation = Insert(as_sent(await read_value(request)))
        made = await commit(database, operation, branch, message, request_id)
        place = f"/v1/databases/{database}/documents/{quote(made.results[0].id)}"
        return written(made, 201, f"{place}?ref={made.commit.branch}")

    @routes.post(
        "/documents:batchGet",
        summary="Several documents of one commit",
        openapi_extra=json_body({"ids": ["Person/ada", "Person/bob"], "ref": "main"}),
        responses=json_answer(answers.document_batch(examples.BATCH)),
    )
    async def batch_get_documents(database: str, request: Request) -> Response:
        body = await read_members(request)
        ids, ref = body.texts("ids"), body.text("ref")
        body.end()
        batch = await kernel.documents.batch_get(caller_now(), database, ref, ids)
        return answers.answer(answers.document_batch(batch))

    @routes.get(
        "/documents/{id:path}",
        summary="A document's body, exactly as stored",
        responses=json_answer(answers.raw(examples.DOCUMENT.body), conditional=True),
    )
    async def get_document(database: str, id: str, ref: Ref = "", if_none_match: IfNoneMatch = None) -> Response:
        found = await kernel.documents.get(caller_now(), database, ref, id)
        body, etag = answers.raw(found.document.body), found.document.etag
        return answers.versioned(body, etag, found.commit, is_known=is_known(if_none_match, etag))

    @routes.put(
        "/documents/{id:path}",
        summary="Put a document: If-Match replaces just that version, If-None-Match: * only inserts",
        openapi_extra=json_body(examples.NICKED, "The whole document."),
        responses=json_answer(_WRITTEN),
    )
    async def put_document(
        database: str,
        id: str,
        request: Request,
        branch: Branch = "",
        message: Message = "",
        if_match: IfMatch = None,
        if_none_match: IfNoneMatch = None,
        request_id: RequestId = "",
    ) -> Response:
        value = await read_value(request)
        if isinstance(value, dict) and value.setdefault("@id", id) != id:
            description = f"is {value['@id']!r} where the address names {id!r}"
            raise InvalidDocumentId.at("@id", description, given=str(value["@id"]), expected=id)
        body = as_sent(value)
        operation: Operation = Put(body)
        if if_none_match is not None and if_none_match.strip() == "*":
            operation = Insert(body)
        elif if_match is not None:
            operation = Replace(body, etag_of(if_match))
        return written(await commit(database, operation, branch, message, request_id))

    @routes.patch(
        "/documents/{id:path}",
        summary="Change a document by a JSON merge patch",
        openapi_extra=json_body(examples.NICK, media_type="application/merge-patch+json"),
        responses=json_answer(_WRITTEN),
    )
    async def patch_document(
        database: str,
        id: str,
        request: Request,
        branch: Branch = "",
        message: Message = "",
        if_match: IfMatch = None,
        request_id: RequestId = "",
    ) -> Response:
        patch = as_sent(await read_value(request))
        operation = Update(id, patch, None, etag_of(if_match))
        return written(await commit(database, operation, branch, message, request_id))

    @routes.delete(
        "/documents/{id:path}",
        summary="Delete a document that nothing links to",
        responses=json_answer(_WRITTEN | {"etag": ""}),
    )
    async def delete_document(
        database: str,
        id: str,
        branch: Branch = "",
        message: Message = "",
        if_match: IfMatch = None,
        request_id: RequestId = "",
    ) -> Response:
        return written(await commit(database, Delete(id, etag_of(if_match)), branch, message, request_id))

    return routes
