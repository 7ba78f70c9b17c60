"""The routes that take GraphQL, as the specification "GraphQL over HTTP" has them.

What is wrong with the HTTP request, its token or its ref is answered as on every other route. What is wrong with the
GraphQL is answered as GraphQL does: with its status where the caller takes `application/graphql-response+json`, under
200 where only `application/json` is taken.
"""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Header, HTTPException, Query, Request, Response

from ontomesh_chassis.call import current_call
from ontomesh_data_kernel.domain.kernel import Kernel
from ontomesh_data_kernel.doors.caller import caller_now
from ontomesh_data_kernel.doors.errors import error_table
from ontomesh_data_kernel.doors.http.answers import COMMIT_HEADER
from ontomesh_data_kernel.doors.http.graphql.requests import GraphQLRequest, read_address, read_body
from ontomesh_data_kernel.doors.http.parameters import Ref, json_body

if TYPE_CHECKING:
    from ontomesh_data_kernel.doors.http.graphql.engine import Engine

_GRAPHQL = "application/graphql-response+json"
_JSON = "application/json"
_TAKEN = {"*/*": _GRAPHQL, "application/*": _GRAPHQL, _GRAPHQL: _GRAPHQL, _JSON: _JSON}

_EXAMPLE = {
    "query": "query People($name: String!) { persons(filter: {name: {startsWith: $name}}) { nodes { name } } }",
    "variables": {"name": "a"},
}
_ANSWER = {
    "data": {"persons": {"nodes": [{"name": "ada"}]}},
    "extensions": {"commit": "fcde2b2edba56bf408601fb721fe9b5c338d10ee429ea04fae5511b68fbf8fb9"},
}
_CONTENT = {"schema": {"type": "object"}, "example": _ANSWER}
_FAULTS = {"schema": {"type": "object"}}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The data, and errors of single fields.", "content": {_GRAPHQL: _CONTENT, _JSON: _CONTENT}},
    **{
        status: {"description": description, "content": {_GRAPHQL: _FAULTS, "application/problem+json": _FAULTS}}
        for status, description in (
            (400, "The query, its variables or the request are invalid."),
            (413, "The query is too large."),
            (429, "The query is too costly."),
        )
    },
}


_Accept = Annotated[str | None, Header(description=f"`{_GRAPHQL}`, which is the default, or `{_JSON}`.")]


def graphql_routes(kernel: Kernel) -> APIRouter:
    """Routes of GraphQL."""
    routes = APIRouter(prefix="/v1/databases/{database}", tags=["graphql"])
    loaded: list[Engine] = []

    async def engine() -> "Engine":
        if not loaded:
            # The library takes longer to import than the rest of the door: not before somebody asks, nor on the loop.
            made = (await asyncio.to_thread(_engine))(error_table())
            if not loaded:
                loaded.append(made)
        return loaded[0]

    async def answered(database: str, ref: str, accept: str | None, asked: GraphQLRequest) -> Response:
        media_type = _media_type(accept)
        snapshot = await kernel.snapshots.open(caller_now(), database, ref)
        answer = await (await engine()).answer(snapshot, asked, current_call().trace_id)
        status = answer.refusal.http_status if answer.refusal and media_type == _GRAPHQL else 200
        headers = {COMMIT_HEADER: snapshot.commit, "Vary": "Accept"}
        return Response(answer.body, status, headers, media_type)

    @routes.post(
        "/graphql",
        summary="Read by GraphQL, at one commit; the schema follows from the ontology there",
        openapi_extra=json_body(_EXAMPLE, "As in GraphQL over HTTP: query, variables, operationName."),
        responses=_RESPONSES,
    )
    async def post_graphql(database: str, request: Request, ref: Ref = "", accept: _Accept = None) -> Response:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _JSON:
            raise HTTPException(415, f"The body is to be {_JSON}.")
        data = await request.body()
        return await answered(database, ref, accept, await asyncio.to_thread(read_body, data))

    @routes.get("/graphql", summary="The same, the request in the address", responses=_RESPONSES)
    async def get_graphql(
        database: str,
        query: Annotated[str, Query(description="The text of the query.", examples=["{ __typename }"])] = "",
        variables: Annotated[str, Query(description="A JSON object.")] = "",
        operation: Annotated[str, Query(alias="operationName", description="Which operation of the query.")] = "",
        ref: Ref = "",
        accept: _Accept = None,
    ) -> Response:
        return await answered(database, ref, accept, read_address(query, variables, operation))

    return routes


def _engine() -> "type[Engine]":
    from ontomesh_data_kernel.doors.http.graphql.engine import Engine

    return Engine


def _media_type(accept: str | None) -> str:
    """Which of the two the caller takes, as it ranks them. Raises HTTPException 406."""
    best, most = "", 0.0
    for part in (accept or "*/*").lower().split(","):
        name, *parameters = (each.strip() for each in part.split(";"))
        weight = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    weight = float(parameter[2:])
                except ValueError:
                    weight = 0.0
        if name in _TAKEN and weight > most:
            best, most = _TAKEN[name], weight
    if not best:
        raise HTTPException(406, f"There are {_GRAPHQL} and {_JSON}.")
    return best
