"""Reading requests: JSON with all its digits, and members that are what they should be."""

import re
from typing import Any, TypeVar

from fastapi import Request

from ontomesh_data_kernel.domain.canonical import encode_exactly, kind_of, parse_body, parse_value
from ontomesh_data_kernel.domain.limits import MAX_COMMIT_BYTES
from ontomesh_data_kernel.errors import InvalidRequest

T = TypeVar("T")

_QUOTED = re.compile(r'\s*(?:W/)?"([^"]*)"\s*')


async def read_value(request: Request) -> Any:
    """The request's body as any JSON value, numbers exact."""
    return parse_value(await request.body(), limit=2 * MAX_COMMIT_BYTES, field="body")


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
        return encode_exactly(self.take(name))

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
    """The etag of an If-Match header; empty where there is none."""
    if header is None:
        return ""
    quoted = _QUOTED.fullmatch(header)
    return quoted.group(1) if quoted else header.strip()
