"""The HTTP door: a FastAPI application with the stages around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.telemetry import TelemetryConfig
from grpc import StatusCode
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from ontomesh_chassis.call import current_call
from ontomesh_chassis.health import Health
from ontomesh_chassis.http_stages import StagedApp, problem_response
from ontomesh_chassis.reply import HTTP_STATUS, Reply, Violation
from ontomesh_chassis.stages import Pipeline

OPEN_PATHS = ("/livez", "/readyz", "/metrics", "/docs", "/openapi.json")
MAX_VIOLATIONS = 100
_CODES = {status: code for code, status in reversed(HTTP_STATUS.items())} | {405: StatusCode.UNIMPLEMENTED}

# The stages make the server span; FastAPI's own would stand between it and the store's.
_NO_TELEMETRY_OF_ITS_OWN: TelemetryConfig = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "auto_configure": False,
}

PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "Why a request was refused (RFC 9457). Branch on `reason`, never on `detail`.",
    "required": ["type", "title", "status", "detail", "code", "reason", "violations", "metadata", "trace_id"],
    "properties": {
        "type": {"type": "string", "description": "urn:ontomesh:reason: and the reason."},
        "title": {"type": "string"},
        "status": {"type": "integer", "description": "The HTTP status."},
        "detail": {"type": "string", "description": "For people; may change."},
        "code": {"type": "string", "description": "The canonical gRPC code."},
        "reason": {"type": "string", "description": "The reason of the service's contract."},
        "violations": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"field": {"type": "string"}, "description": {"type": "string"}},
            },
        },
        "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
        "trace_id": {"type": "string"},
    },
}


class ServiceApp(FastAPI):
    """A FastAPI application whose OpenAPI document tells of the bearer token and of problem+json."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document, built once."""
        if self.openapi_schema is None:
            document = super().openapi()
            components = document.setdefault("components", {})
            components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
            schemas = components.setdefault("schemas", {})
            schemas["Problem"] = PROBLEM_SCHEMA
            for name in ("HTTPValidationError", "ValidationError"):
                schemas.pop(name, None)
            for path, operations in document.get("paths", {}).items():
                for operation in operations.values():
                    _describe_errors(operation, is_open=path in OPEN_PATHS)
        return self.openapi_schema or {}


def _describe_errors(operation: dict[str, Any], *, is_open: bool) -> None:
    if is_open:
        return
    operation["security"] = [{"bearer": []}]
    operation["responses"].pop("422", None)
    operation["responses"]["default"] = {
        "description": "Refused",
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


def create_app(title: str, version: str, *, pipeline: Pipeline, health: Health, description: str = "") -> FastAPI:
    """An application with the stages, problem+json for every error, and /livez, /readyz, /metrics and /docs.

    Routes are added by the caller. Within a route `current_call()` tells who calls.
    """
    app = ServiceApp(
        title=title, version=version, description=description, redoc_url=None, telemetry=_NO_TELEMETRY_OF_ITS_OWN
    )

    async def on_http_error(_request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        cause = error.__cause__
        if isinstance(cause, ClientDisconnect):
            raise cause
        # FastAPI turns what reading a body raises into a bare 400; the cause is what happened.
        if cause is not None and pipeline.errors.lookup(type(cause)) is not None:
            return _answer(pipeline.errors.reply(cause, current_call().trace_id))
        code = _CODES.get(error.status_code, StatusCode.UNKNOWN)
        reply = _invalid(pipeline, str(error.detail), code=code, status=error.status_code)
        return _answer(reply, error.headers or {})

    async def on_invalid(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        violations = [Violation(field_path(fault["loc"]), str(fault["msg"])) for fault in error.errors()]
        return _answer(_invalid(pipeline, "The request is invalid.", violations=violations[:MAX_VIOLATIONS]))

    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_middleware(StagedApp, pipeline=pipeline, open_paths=OPEN_PATHS)
    _add_probes(app, pipeline, health)
    return app


def _add_probes(app: FastAPI, pipeline: Pipeline, health: Health) -> None:
    @app.get("/livez", tags=["health"], summary="Whether the process runs")
    async def livez() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/readyz", tags=["health"], summary="Whether the service can serve; 503 when not")
    async def readyz() -> JSONResponse:
        failing = await health.failing()
        status = {"status": "not ready", "failing": failing} if failing else {"status": "ready"}
        return JSONResponse(status, status_code=503 if failing else 200)

    @app.get("/metrics", tags=["health"], summary="Metrics in Prometheus' text format")
    async def metrics() -> Response:
        return Response(pipeline.metrics.exposition(), headers={"content-type": pipeline.metrics.content_type})


def field_path(place: Sequence[int | str]) -> str:
    """A field's path as the gRPC door writes it, such as `operations[3].insert`.

    The part of the request it stands in (body, query, path) is left out, unless it is all there is.
    """
    parts = list(place)
    source = parts.pop(0) if parts and parts[0] in {"body", "query", "path", "header", "cookie"} else ""
    # A body that is no JSON is located by a character's position, which names no field.
    if source == "body" and len(parts) == 1 and isinstance(parts[0], int):
        parts = []
    path = ""
    for part in parts:
        path += f"[{part}]" if isinstance(part, int) else f"{'.' if path else ''}{part}"
    return path or str(source)


def _invalid(
    pipeline: Pipeline,
    message: str,
    *,
    code: StatusCode = StatusCode.INVALID_ARGUMENT,
    status: int | None = None,
    violations: Sequence[Violation] = (),
) -> Reply:
    metadata = {"trace_id": current_call().trace_id}
    reason = "INTERNAL" if status is not None and status >= 500 else "INVALID_REQUEST"
    return Reply(code, reason, message, pipeline.errors.domain, metadata, tuple(violations), http_override=status)


def _answer(reply: Reply, headers: Mapping[str, str] | None = None) -> Response:
    call = current_call()
    call.code, call.reason = reply.code, reply.reason
    body, own = problem_response(reply)
    return Response(body, status_code=reply.http_status, headers={**(headers or {}), **own})
