"""Reading requests: JSON with all its digits, and members that are what they should be."""

import re
from decimal import Decimal
from typing import Any, TypeVar

import orjson
from fastapi import Request

from ontomesh_data_kernel.domain.canonical import kind_of, parse_body, parse_value
from ontomesh_data_kernel.domain.limits import MAX_COMMIT_BYTES
from ontomesh_data_kernel.errors import InvalidRequest, KernelError, Violation

T = TypeVar("T")

_OPERATION = re.compile(r"operations\[0\]\.[a-z]+(?P<content>\.body|\.patch)?(?:\.|(?=:|$|\s))")
_QUOTED = re.compile(r'\s*(?:W/)?"([^"]*)"\s*')


async def read_value(request: Request) -> Any:
    """The request's body as any JSON value, numbers exact."""
    return parse_value(await request.body(), limit=2 * MAX_COMMIT_BYTES, field="body")


def as_sent(value: object) -> bytes:
    """A value that was read, as JSON again. Its numbers stay as the caller wrote them: 1.0 is no integer, and what is
    too long for the kernel is the domain's to refuse.
    """
    return orjson.dumps(_sent(value))


def _sent(value: object) -> object:
    if isinstance(value, dict):
        return {key: _sent(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_sent(part) for part in value]
    if isinstance(value, Decimal) or type(value) is int:
        return orjson.Fragment(str(value))
    return value


async def read_members(request: Request) -> "Members":
    """The request's body as the members of an object."""
    return Members(parse_body(await request.body(), limit=2 * MAX_COMMIT_BYTES, field="body"))


class Members:
    """The members of an object of the request; each is asked for once, then `end` refuses what nobody asked for."""

    def __init__(self, value: object, place: str = "") -> None:
        if not isinstance(value, dict):
            raise InvalidRequest.at(place or "body", f"{kind_of(value)} where an object is due")
        self._members = dict(value)
        self._place = place

    def at(self, name: str) -> str:
        """The path of a member."""
        return f"{self._place}.{name}" if self._place else name

    def take(self, name: str) -> Any:
        """A member as it is; None where it is absent."""
        return self._members.pop(name, None)

    def text(self, name: str) -> str:
        """A string; empty where it is absent."""
        return self._typed(name, str, "a string", "")

    def flag(self, name: str) -> bool:
        """A boolean; false where it is absent."""
        return self._typed(name, bool, "true or false", False)

    def number(self, name: str) -> int:
        """An integer from 0 on; 0 where it is absent."""
        value = self.take(name)
        if value is None:
            return 0
        if type(value) is not int or not 0 <= value < 1 << 63:
            raise InvalidRequest.at(self.at(name), "an integer from 0 to 2^63 - 1 is due")
        return value

    def items(self, name: str) -> list[Any]:
        """An array; empty where it is absent."""
        return self._typed(name, list, "an array", [])

    def texts(self, name: str) -> tuple[str, ...]:
        """An array of strings; empty where it is absent."""
        items = self.items(name)
        for index, item in enumerate(items):
            if not isinstance(item, str):
                raise InvalidRequest.at(f"{self.at(name)}[{index}]", f"{kind_of(item)} where a string is due")
        return tuple(items)

    def json(self, name: str) -> bytes:
        """A value as JSON, with all its digits. Raises InvalidRequest where it is absent."""
        if name not in self._members:
            raise InvalidRequest.at(self.at(name), "is required")
        return as_sent(self.take(name))

    def has(self, name: str) -> bool:
        """Whether the member is there and not null."""
        return self._members.get(name) is not None

    def _typed(self, name: str, kind: type[T], due: str, absent: T) -> T:
        value = self.take(name)
        if value is None:
            return absent
        if not isinstance(value, kind):
            raise InvalidRequest.at(self.at(name), f"{kind_of(value)} where {due} is due")
        return value

    def end(self) -> None:
        """Raise InvalidRequest for members that nobody asked for."""
        for name in self._members:
            raise InvalidRequest.at(self.at(name), "there is no such member")


def etag_of(header: str | None) -> str:
    """The etag of an If-Match header; empty where there is none, or where any will do (`*`)."""
    if header is None or header.strip() == "*":
        return ""
    quoted = _QUOTED.fullmatch(header)
    return quoted.group(1) if quoted else header.strip()


def is_known(if_none_match: str | None, etag: str) -> bool:
    """Whether an If-None-Match header names the etag, weak or not, or is `*` (RFC 9110, 13.1.2)."""
    if if_none_match is None:
        return False
    return if_none_match.strip() == "*" or etag in _QUOTED.findall(if_none_match)


def located(error: KernelError) -> KernelError:
    """A refusal of a commit's one operation, its fields as the caller of a document's route sent them: the document's
    properties by name, else `body`, `id` or `etag`.
    """
    if any(_OPERATION.match(violation.field) for violation in error.violations):
        violations = [Violation(_own(violation.field), violation.description) for violation in error.violations]
        return type(error)(_OPERATION.sub("", error.message, count=1), violations, error.metadata)
    return error


def _own(field: str) -> str:
    place = _OPERATION.match(field)
    if place is None:
        return field
    return field[place.end() :] or ("body" if place["content"] else "id")
