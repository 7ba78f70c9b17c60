"""Parameters that several routes take, and how OpenAPI tells of bodies that the routes read and write themselves."""

from typing import Annotated, Any

import orjson
from fastapi import Header, Query

Ref = Annotated[str, Query(description="Where to read: a branch, commit:<id>, main~3, main@<RFC 3339 time>.")]
Branch = Annotated[str, Query(description="The branch to commit on; main by default.")]
Message = Annotated[str, Query(description="What the commit does, for people.")]
PageSize = Annotated[int, Query(description="How many at the most: 1 to 1,000; 0 means 100.")]
PageToken = Annotated[str, Query(description="next_page_token of the answer before.")]
IfMatch = Annotated[str | None, Header(description="The etag (or head) that must still hold.")]
IfNoneMatch = Annotated[str | None, Header(description="What the caller has already: an etag, several, or *.")]
RequestId = Annotated[
    str, Header(alias="Idempotency-Key", description="The same key and body within 7 days do nothing twice.")
]


def json_body(example: object, description: str = "", media_type: str = "application/json") -> dict[str, Any]:
    """The `openapi_extra` of a route that reads a JSON body, by an example."""
    return {"requestBody": {"required": True, "description": description, "content": _content(example, media_type)}}


def json_answer(
    example: object, description: str = "The answer.", status: int = 200, *, conditional: bool = False
) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that answers with JSON, by an example; `conditional` if it reads If-None-Match."""
    shown = orjson.loads(orjson.dumps(example))
    told: dict[int | str, dict[str, Any]] = {status: {"description": description, "content": _content(shown)}}
    return told | {304: {"description": "If-None-Match names the etag."}} if conditional else told


def _content(example: object, media_type: str = "application/json") -> dict[str, Any]:
    kind = "array" if isinstance(example, list) else "object"
    return {media_type: {"schema": {"type": kind}, "example": example}}
