"""The HTTP door: the same domain calls as the gRPC door's, for trying things and for small clients."""

from fastapi import Depends, FastAPI, HTTPException, Request

from ontomesh_chassis.health import Health
from ontomesh_chassis.http import create_app
from ontomesh_chassis.stages import Pipeline
from ontomesh_data_kernel.domain.kernel import Kernel
from ontomesh_data_kernel.doors.http.commits import commit_routes, merge_routes
from ontomesh_data_kernel.doors.http.databases import branch_routes, database_routes, ontology_routes
from ontomesh_data_kernel.doors.http.documents import document_routes
from ontomesh_data_kernel.doors.http.graphql import graphql_routes
from ontomesh_data_kernel.doors.http.imports import import_routes
from ontomesh_data_kernel.doors.http.migrations import check_routes
from ontomesh_data_kernel.doors.http.queries import link_routes, query_routes
from ontomesh_data_kernel.doors.http.validators import validator_routes

_DESCRIPTION = """
Typed, linked documents in databases with branches, commits, diff and merge. Every read takes a ref, every write is a
commit. Send the token as `Authorization: Bearer ...`; ids in addresses are percent-encoded once.
"""


def create_http_app(kernel: Kernel, pipeline: Pipeline, health: Health, version: str) -> FastAPI:
    """The HTTP door over a kernel."""
    app = create_app("Ontomesh data kernel", version, pipeline=pipeline, health=health, description=_DESCRIPTION)
    for routes in (
        *(database_routes, branch_routes, ontology_routes, check_routes, document_routes),
        *(query_routes, link_routes, graphql_routes, commit_routes, merge_routes, import_routes),
        validator_routes,
    ):
        app.include_router(routes(kernel), dependencies=[Depends(_whole_address)])
    return app


async def _whole_address(request: Request) -> None:
    # A route's pattern ends in `$`, which also stands before a last line end and so would cut it off an id.
    if request.scope["path"].endswith("\n"):
        raise HTTPException(404)
