"""The HTTP door."""

from ontomesh_event_gateway.doors.http.app import create_http_app

__all__ = ["create_http_app"]
