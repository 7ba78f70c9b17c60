"""Commits, logs, diffs and merges over HTTP."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from ontomesh_data_kernel.domain import model
from ontomesh_data_kernel.domain.kernel import Kernel
from ontomesh_data_kernel.doors.caller import caller_now
from ontomesh_data_kernel.doors.http import answers, examples
from ontomesh_data_kernel.doors.http.migrations import read_edit
from ontomesh_data_kernel.doors.http.parameters import PageSize, PageToken, Ref, RequestId, json_answer, json_body
from ontomesh_data_kernel.doors.http.reading import Members, as_sent, read_members
from ontomesh_data_kernel.errors import InvalidRequest

_LINES = "application/x-ndjson"
_COMMIT = answers.commit(examples.COMMIT)


def commit_routes(kernel: Kernel) -> APIRouter:
    """Routes of commits and of the history."""
    routes = APIRouter(prefix="/v1/databases/{database}", tags=["commits"])

    @routes.post(
        "/commits",
        status_code=201,
        summary="Commit operations and an ontology change as one atomic step",
        openapi_extra=json_body(examples.COMMIT_REQUEST),
        responses=json_answer(
            answers.committed(examples.COMMITTED),
            "Committed. With validate_only: 200, and a commit without an id.",
            201,
        ),
    )
    async def create_commit(database: str, request: Request, request_id: RequestId = "") -> Response:
        asked = _commit_request(database, await read_members(request), request_id)
        made = await kernel.commits.create(caller_now(), asked)
        if asked.validate_only:
            return answers.answer(answers.committed(made))
        headers = {
            answers.COMMIT_HEADER: made.commit.id,
            "Location": f"/v1/databases/{database}/commits/commit:{made.commit.id}",
        }
        return answers.answer(answers.committed(made), 201, headers)

    @routes.get(
        "/commits",
        summary="The commits that a ref reaches, newest first",
        responses=json_answer(answers.commit_page(examples.COMMITS)),
    )
    async def list_commits(
        database: str, ref: Ref = "", first_parent: bool = False, page_size: PageSize = 0, page_token: PageToken = ""
    ) -> Response:
        page = await kernel.commits.list(caller_now(), database, ref, first_parent, page_size, page_token)
        return answers.answer(answers.commit_page(page))

    @routes.get("/commits/{ref:path}", summary="The commit that a ref names", responses=json_answer(_COMMIT))
    async def get_commit(database: str, ref: str) -> Response:
        return answers.answer(answers.commit(await kernel.commits.get(caller_now(), database, ref)))

    @routes.get(
        "/refs/{ref:path}",
        summary="What a ref names now",
        responses=json_answer(answers.resolved(examples.RESOLVED)),
    )
    async def resolve_ref(database: str, ref: str) -> Response:
        found = await kernel.refs.resolve(caller_now(), database, ref)
        return answers.answer(answers.resolved(found))

    @routes.get(
        "/verify",
        summary="Recompute every hash that a ref reaches; a line of JSON for each report",
        response_class=StreamingResponse,
        responses={200: {"content": {_LINES: {"example": answers.progress(examples.REPORT).decode()}}}},
    )
    async def verify_history(database: str, ref: Ref = "") -> Response:
        reports = kernel.commits.verify(caller_now(), database, ref)
        # The first is awaited here, so that a refusal is an answer of its own.
        first = await anext(reports)

        async def lines() -> AsyncIterator[bytes]:
            async with aclosing(reports):
                yield answers.progress(first)
                async for report in reports:
                    yield answers.progress(report)

        return StreamingResponse(lines(), media_type=_LINES)

    return routes


def merge_routes(kernel: Kernel) -> APIRouter:
    """Routes that compare and merge."""
    routes = APIRouter(prefix="/v1/databases/{database}", tags=["diff and merge"])

    @routes.get(
        "/diff",
        summary="The documents that differ between two refs; without a base, what a commit changed",
        responses=json_answer(answers.diff_page(examples.DIFF)),
    )
    async def diff(
        database: str,
        base: str = "",
        target: str = "",
        include_bodies: bool = False,
        page_size: PageSize = 0,
        page_token: PageToken = "",
    ) -> Response:
        page = await kernel.diffs.diff(caller_now(), database, base, target, include_bodies, page_size, page_token)
        return answers.answer(answers.diff_page(page))

    @routes.post(
        "/merges",
        summary="Merge a ref into a branch; conflicts are the answer, not an error",
        openapi_extra=json_body(examples.MERGE_REQUEST),
        responses=json_answer(answers.merged(examples.MERGED)),
    )
    async def merge(database: str, request: Request, request_id: RequestId = "") -> Response:
        asked = _merge_request(database, await read_members(request), request_id)
        return answers.answer(answers.merged(await kernel.merges.merge(caller_now(), asked)))

    @routes.get(
        "/conflicts",
        summary="The conflicts that a merge of two refs has",
        responses=json_answer(answers.conflict_page(examples.CONFLICTS)),
    )
    async def list_conflicts(
        database: str, ours: str = "", theirs: str = "", page_size: PageSize = 0, page_token: PageToken = ""
    ) -> Response:
        page = await kernel.merges.conflicts(caller_now(), database, ours, theirs, page_size, page_token)
        return answers.answer(answers.conflict_page(page))

    return routes


def _metadata(body: Members) -> dict[str, str]:
    value = body.take("metadata")
    if value is None:
        return {}
    members = Members(value, body.at("metadata"))
    return {name: members.text(name) for name in value}


def _commit_request(database: str, body: Members, request_id: str) -> model.CommitRequest:
    operations = tuple(_operation(item, f"operations[{index}]") for index, item in enumerate(body.items("operations")))
    request = model.CommitRequest(
        database=database,
        branch=body.text("branch"),
        operations=operations,
        ontology=read_edit(body.take("ontology")) if body.has("ontology") else None,
        message=body.text("message"),
        author=body.text("author"),
        metadata=_metadata(body),
        expected_head=body.text("expected_head"),
        request_id=body.text("request_id") or request_id,
        validate_only=body.flag("validate_only"),
    )
    body.end()
    return request


def _operation(value: object, place: str) -> model.Operation:
    choices = Members(value, place)
    names = [name for name in ("insert", "replace", "put", "update", "delete") if choices.has(name)]
    if len(names) != 1:
        raise InvalidRequest.at(place, "is one of insert, replace, put, update and delete")
    name = names[0]
    members = Members(choices.take(name), f"{place}.{name}")
    choices.end()
    operation: model.Operation
    if name == "insert":
        operation = model.Insert(members.json("body"))
    elif name == "replace":
        operation = model.Replace(members.json("body"), members.text("etag"))
    elif name == "put":
        operation = model.Put(members.json("body"))
    elif name == "update":
        mask = members.texts("update_mask") if members.has("update_mask") else None
        operation = model.Update(members.text("id"), members.json("patch"), mask, members.text("etag"))
    else:
        operation = model.Delete(members.text("id"), members.text("etag"))
    members.end()
    return operation


def _merge_request(database: str, body: Members, request_id: str) -> model.MergeRequest:
    resolutions = tuple(
        _resolution(item, f"resolutions[{index}]") for index, item in enumerate(body.items("resolutions"))
    )
    request = model.MergeRequest(
        database=database,
        branch=body.text("branch"),
        source=body.text("source"),
        strategy=_side(body.text("strategy"), "strategy") if body.has("strategy") else None,
        resolutions=resolutions,
        message=body.text("message"),
        author=body.text("author"),
        metadata=_metadata(body),
        expected_head=body.text("expected_head"),
        request_id=body.text("request_id") or request_id,
        validate_only=body.flag("validate_only"),
    )
    body.end()
    return request


def _resolution(value: object, place: str) -> model.Resolution:
    members = Members(value, place)
    id, name = members.text("id"), members.text("property")
    if members.has("side"):
        choice: model.MergeSide | bytes = _side(members.text("side"), f"{place}.side")
    else:
        choice = _chosen(members, place)
    members.end()
    return model.Resolution(id, name, choice)


def _chosen(members: Members, place: str) -> bytes:
    if not members.has("value"):
        raise InvalidRequest.at(place, "has a side or a value")
    value: Any = members.take("value")
    return as_sent(value)


def _side(text: str, field: str) -> model.MergeSide:
    try:
        return model.MergeSide(text)
    except ValueError:
        raise InvalidRequest.at(field, f"{text!r} is none of ours, theirs and base") from None
