"""What a request over HTTP holds, numbers with all their digits."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ontomesh_data_kernel.domain.canonical import kind_of, parse_body
from ontomesh_data_kernel.doors.http.reading import Members
from ontomesh_data_kernel.errors import InvalidRequest

MAX_BODY_BYTES = 1 << 20


class Digits(float):
    """A number of a request with the text that it was written as; the double is the nearest, or infinite."""

    text: str

    def __new__(cls, text: str) -> "Digits":
        """The number of a JSON text."""
        made = super().__new__(cls, text)
        made.text = text
        return made


@dataclass(frozen=True, slots=True)
class GraphQLRequest:
    """A request as GraphQL over HTTP has it; `operation` None is the only one there is."""

    query: str
    variables: Mapping[str, Any]
    operation: str | None


def read_body(data: bytes) -> GraphQLRequest:
    """The request that a body holds; its `extensions` are ignored. Raises MalformedBody, TooLarge, InvalidRequest."""
    members = Members(parse_body(data, limit=MAX_BODY_BYTES))
    query, operation = members.text("query"), members.text("operationName")
    variables, extensions = members.take("variables"), members.take("extensions")
    members.end()
    if not query:
        raise InvalidRequest.at("query", "is required")
    for name, value in (("variables", variables), ("extensions", extensions)):
        if value is not None and not isinstance(value, dict):
            raise InvalidRequest.at(name, f"{kind_of(value)} where an object is due")
    return GraphQLRequest(query, _exact(variables or {}), operation or None)


def read_address(query: str, variables: str, operation: str) -> GraphQLRequest:
    """The request that an address holds. Raises MalformedBody, InvalidRequest."""
    if not query:
        raise InvalidRequest.at("query", "is required")
    given: Mapping[str, Any] = {}
    if variables and variables != "null":
        given = _exact(parse_body(variables.encode("utf-8", "replace"), limit=MAX_BODY_BYTES, field="variables"))
    return GraphQLRequest(query, given, operation or None)


def _exact(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _exact(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_exact(part) for part in value]
    return Digits(str(value)) if isinstance(value, Decimal) else value
