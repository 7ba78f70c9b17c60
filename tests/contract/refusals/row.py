"""A row of the table of bad input, and the calls that many rows make."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.contract import calls
from tests.contract.calls import (
    Call,
    create_commit,
)
from tests.contract.doors import DOORS, DoorName
from tests.contract.world import DB, World

Make = Callable[[World], Call]
BODY = "operations[0].insert.body"


@dataclass(frozen=True)
class Row:
    """One bad call: its reason (which fixes code and HTTP status), and the fields that its violations name.

    `http_fields` where the HTTP door, which reads the request as one JSON text, must name another field.
    """

    name: str
    reason: str
    call: Make
    fields: tuple[str, ...] = ()
    http_fields: tuple[str, ...] | None = None
    token: str = "owner"
    headers: Mapping[str, str] = field(default_factory=dict)
    doors: tuple[DoorName, ...] = DOORS
    metadata: Callable[[World], Mapping[str, str]] = lambda w: {}

    def fields_at(self, door: DoorName) -> tuple[str, ...]:
        """The fields that this door names."""
        return self.fields if door == "grpc" or self.http_fields is None else self.http_fields


def always(call: Call) -> Make:
    """The same call in any world."""
    return lambda _: call


def told(**metadata: str) -> Callable[[World], Mapping[str, str]]:
    """The same metadata in any world."""
    return lambda _: metadata


def commit_of(*operations: calls.Json, **rest: Any) -> Make:
    """A commit on main."""
    return lambda _: create_commit(DB, *operations, **rest)


def schema_of(*elements: object, **rest: Any) -> Make:
    """A change of the ontology of main."""
    return lambda _: create_commit(DB, ontology={"schema": list(elements), **rest})
