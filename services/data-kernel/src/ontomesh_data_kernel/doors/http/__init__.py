"""The HTTP door."""

from ontomesh_data_kernel.doors.http.app import create_http_app

__all__ = ["create_http_app"]
