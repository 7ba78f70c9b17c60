"""The HTTP door: the same domain calls as the gRPC door's."""

from fastapi import FastAPI

from ontomesh_chassis.health import Health
from ontomesh_chassis.http import create_app
from ontomesh_chassis.stages import Pipeline
from ontomesh_event_gateway.domain.gateway import Gateway
from ontomesh_event_gateway.doors.http.dead_letters import dead_letter_routes
from ontomesh_event_gateway.doors.http.event_types import event_type_routes
from ontomesh_event_gateway.doors.http.publish import publish_routes
from ontomesh_event_gateway.doors.http.subscriptions import subscription_routes

_DESCRIPTION = """
Typed CloudEvents: publishing by the HTTP binding of CloudEvents, subscriptions, dead letters and types of events.
Consuming is gRPC's. Send the token as `Authorization: Bearer ...`.
"""


def create_http_app(gateway: Gateway, pipeline: Pipeline, health: Health, version: str) -> FastAPI:
    """The HTTP door over a gateway."""
    app = create_app("Ontomesh event gateway", version, pipeline=pipeline, health=health, description=_DESCRIPTION)
    for routes in (publish_routes, event_type_routes, subscription_routes, dead_letter_routes):
        app.include_router(routes(gateway))
    return app
