"""The steps of a migration, as a caller asks for them. What each means is said in `ontology.proto`.

Values are JSON as the caller sent it; empty strings and bytes mean "not given".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

MAX_STEPS = 100


class OnError(Enum):
    """What becomes of a value that a cast cannot change."""

    REFUSE = "refuse"
    DEFAULT = "default"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class RenameClass:
    """Gives a class or enum another name."""

    name: str
    to: str


@dataclass(frozen=True, slots=True)
class RenameProperty:
    """Gives a property another name."""

    type: str
    property: str
    to: str


@dataclass(frozen=True, slots=True)
class SetDefault:
    """Gives a value to documents without one."""

    type: str
    property: str
    value: bytes


@dataclass(frozen=True, slots=True)
class CastProperty:
    """Changes a property's type, and its values."""

    type: str
    property: str
    range: str = ""
    family: str = ""
    on_error: OnError = OnError.REFUSE
    default: bytes = b""


@dataclass(frozen=True, slots=True)
class MoveProperty:
    """Moves a property into or out of a subdocument (`to`), or up or down the hierarchy (`to_type`)."""

    type: str
    path: str
    to: str = ""
    to_type: str = ""


@dataclass(frozen=True, slots=True)
class DeleteProperty:
    """Removes a property and its values."""

    type: str
    property: str


@dataclass(frozen=True, slots=True)
class DeleteClass:
    """Removes a class or enum and the documents of just this class; `unlink` removes what links to them."""

    name: str
    unlink: bool = False


Step = RenameClass | RenameProperty | SetDefault | CastProperty | MoveProperty | DeleteProperty | DeleteClass

FIELDS: dict[type[Step], str] = {
    RenameClass: "rename_class",
    RenameProperty: "rename_property",
    SetDefault: "set_default",
    CastProperty: "cast_property",
    MoveProperty: "move_property",
    DeleteProperty: "delete_property",
    DeleteClass: "delete_class",
}
"""Each step's field in the contract."""


def asked_steps(steps: Sequence[Step]) -> tuple[object, ...]:
    """Steps as tuples, for a digest of what was asked."""
    return tuple((type(step).__name__, *(getattr(step, name) for name in step.__slots__)) for step in steps)


def place_of(step: Step, index: int) -> str:
    """Where a step stands in a change of the ontology."""
    return f"migrations[{index}].{FIELDS[type(step)]}"
