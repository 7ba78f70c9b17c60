"""Databases, branches and ontologies over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from ontomesh_data_kernel.domain.kernel import Kernel
from ontomesh_data_kernel.domain.model import CommitRequest, OntologyEdit
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
from ontomesh_data_kernel.doors.http.reading import as_sent, etag_of, is_known, read_members, read_value
from ontomesh_data_kernel.errors import InvalidRequest

_DATABASE = answers.database(examples.DATABASE)
_BRANCH = answers.branch(examples.BRANCH)
_COMMITTED = answers.committed(examples.COMMITTED)

Removed = Annotated[tuple[str, ...], Query(description="A class or enum to remove; repeated for several.")]


def database_routes(kernel: Kernel) -> APIRouter:
    """Routes of databases."""
    routes = APIRouter(prefix="/v1/databases", tags=["databases"])

    @routes.get(
        "",
        summary="The databases that you may read, by name",
        responses=json_answer(answers.database_page(examples.DATABASES)),
    )
    async def list_databases(page_size: PageSize = 0, page_token: PageToken = "") -> Response:
        page = await kernel.databases.list(caller_now(), page_size, page_token)
        return answers.answer(answers.database_page(page))

    @routes.post(
        "",
        status_code=201,
        summary="Create a database",
        openapi_extra=json_body({"name": "catalog", "description": "What we run"}),
        responses=json_answer(_DATABASE, status=201),
    )
    async def create_database(request: Request, request_id: RequestId = "") -> Response:
        body = await read_members(request)
        name, description = body.text("name"), body.text("description")
        body.end()
        made = await kernel.databases.create(caller_now(), name, description, request_id)
        return answers.answer(answers.database(made), 201, {"Location": f"/v1/databases/{made.name}"})

    @routes.get("/{database}", summary="A database", responses=json_answer(_DATABASE, conditional=True))
    async def get_database(database: str, if_none_match: IfNoneMatch = None) -> Response:
        found = await kernel.databases.get(caller_now(), database)
        return answers.versioned(answers.database(found), found.etag, is_known=is_known(if_none_match, found.etag))

    @routes.patch(
        "/{database}",
        summary="Change a database's description",
        openapi_extra=json_body({"description": "What we run"}),
        responses=json_answer(_DATABASE),
    )
    async def update_database(database: str, request: Request, if_match: IfMatch = None) -> Response:
        body = await read_members(request)
        description = body.text("description")
        body.end()
        changed = await kernel.databases.update(caller_now(), database, description, etag_of(if_match))
        return answers.versioned(answers.database(changed), changed.etag)

    @routes.delete("/{database}", status_code=204, summary="Delete a database with all its history")
    async def delete_database(database: str, if_match: IfMatch = None) -> Response:
        await kernel.databases.delete(caller_now(), database, etag_of(if_match))
        return Response(status_code=204)

    return routes


def branch_routes(kernel: Kernel) -> APIRouter:
    """Routes of branches."""
    routes = APIRouter(prefix="/v1/databases/{database}/branches", tags=["branches"])

    @routes.get(
        "",
        summary="The branches that you may read, by name",
        responses=json_answer(answers.branch_page(examples.BRANCHES)),
    )
    async def list_branches(
        database: str, prefix: str = "", page_size: PageSize = 0, page_token: PageToken = ""
    ) -> Response:
        page = await kernel.branches.list(caller_now(), database, prefix, page_size, page_token)
        return answers.answer(answers.branch_page(page))

    @routes.post(
        "",
        status_code=201,
        summary="Create a branch at a ref, or an empty one",
        openapi_extra=json_body({"branch": "trial", "from": "main"}),
        responses=json_answer(_BRANCH, status=201),
    )
    async def create_branch(database: str, request: Request, request_id: RequestId = "") -> Response:
        body = await read_members(request)
        branch, start, empty = body.text("branch"), body.text("from"), body.flag("empty")
        body.end()
        if empty and start:
            raise InvalidRequest.at("empty", "an empty branch does not begin at a ref")
        made = await kernel.branches.create(caller_now(), database, branch, start, empty, request_id)
        location = f"/v1/databases/{database}/branches/{made.name}"
        return answers.answer(answers.branch(made), 201, {"Location": location})

    @routes.get("/{branch:path}", summary="A branch", responses=json_answer(_BRANCH, conditional=True))
    async def get_branch(database: str, branch: str, if_none_match: IfNoneMatch = None) -> Response:
        found = await kernel.branches.get(caller_now(), database, branch)
        return answers.versioned(answers.branch(found), found.head, is_known=is_known(if_none_match, found.head))

    @routes.delete("/{branch:path}", status_code=204, summary="Delete a branch's name; its commits stay")
    async def delete_branch(database: str, branch: str, if_match: IfMatch = None) -> Response:
        await kernel.branches.delete(caller_now(), database, branch, etag_of(if_match))
        return Response(status_code=204)

    return routes


def ontology_routes(kernel: Kernel) -> APIRouter:
    """Routes of the ontology."""
    routes = APIRouter(prefix="/v1/databases/{database}/ontology", tags=["ontology"])

    @routes.get(
        "",
        summary="The ontology at a ref",
        responses=json_answer(answers.ontology(examples.ONTOLOGY), conditional=True),
    )
    async def get_ontology(database: str, ref: Ref = "", if_none_match: IfNoneMatch = None) -> Response:
        found = await kernel.ontologies.get(caller_now(), database, ref)
        known = is_known(if_none_match, found.digest)
        return answers.versioned(answers.ontology(found), found.digest, found.commit, is_known=known)

    @routes.get(
        "/classes/{name}/schema",
        summary="A class at a ref as JSON Schema (draft 2020-12)",
        responses=json_answer(answers.class_schema(examples.CLASS_SCHEMA), conditional=True),
    )
    async def get_class_schema(database: str, name: str, ref: Ref = "", if_none_match: IfNoneMatch = None) -> Response:
        found = await kernel.ontologies.class_schema(caller_now(), database, ref, name)
        known = is_known(if_none_match, found.digest)
        return answers.versioned(answers.class_schema(found), found.digest, found.commit, is_known=known)

    async def commit(database: str, edit: OntologyEdit, branch: str, message: str, request_id: str) -> Response:
        made = await kernel.commits.create(
            caller_now(),
            CommitRequest(database, branch, ontology=edit, message=message, request_id=request_id),
        )
        return answers.answer(answers.committed(made), headers={answers.COMMIT_HEADER: made.commit.id})

    @routes.put(
        "",
        summary="Commit this as the whole ontology",
        openapi_extra=json_body(examples.SCHEMA),
        responses=json_answer(_COMMITTED),
    )
    async def replace_ontology(
        database: str,
        request: Request,
        branch: Branch = "",
        message: Message = "",
        if_match: IfMatch = None,
        request_id: RequestId = "",
    ) -> Response:
        schema = as_sent(await read_value(request))
        edit = OntologyEdit(schema, replace=True, expected_digest=etag_of(if_match))
        return await commit(database, edit, branch, message, request_id)

    @routes.patch(
        "",
        summary="Commit these elements into the ontology, and others out of it",
        openapi_extra=json_body(examples.PLACES),
        responses=json_answer(_COMMITTED),
    )
    async def upsert_ontology(
        database: str,
        request: Request,
        remove: Removed = (),
        branch: Branch = "",
        message: Message = "",
        if_match: IfMatch = None,
        request_id: RequestId = "",
    ) -> Response:
        schema = as_sent(await read_value(request))
        edit = OntologyEdit(schema, remove=remove, expected_digest=etag_of(if_match))
        return await commit(database, edit, branch, message, request_id)

    return routes
