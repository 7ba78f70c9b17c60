"""The steps of a migration: what becomes of the documents that are there when the ontology changes.

    from ontomesh.sdk.migrations import CastProperty, RenameClass, SetDefault

    catalog.migrate(
        RenameClass("Package", "Project"),
        SetDefault("Project", "license", "unknown"),
        CastProperty("Project", "license", family="Required"),
        message="every project has a license",
    )

Steps are taken in order, all in one commit. What each does in full is said in `proto/ontomesh/kernel/v1/ontology.proto`.
A step may also be a dict, as a file of steps holds it: `{"rename_class": {"name": "Package", "to": "Project"}}`.
"""

from collections.abc import Mapping
from dataclasses import MISSING as REQUIRED
from dataclasses import dataclass, fields
from typing import Any, Literal

from ontomesh.kernel.v1 import ontology_pb2
from ontomesh.sdk.encoding import encode
from ontomesh.sdk.resources import MISSING, Missing

OnError = Literal["refuse", "default", "remove"]

_ON_ERROR = {
    "refuse": ontology_pb2.CastProperty.ON_ERROR_REFUSE,
    "default": ontology_pb2.CastProperty.ON_ERROR_DEFAULT,
    "remove": ontology_pb2.CastProperty.ON_ERROR_REMOVE,
}


@dataclass(frozen=True, slots=True)
class RenameClass:
    """Gives a class or enum another name; ids of its documents, and links to them, follow."""

    name: str
    to: str


@dataclass(frozen=True, slots=True)
class RenameProperty:
    """Gives a property another name, in the class that declares it and below."""

    type: str
    property: str
    to: str


@dataclass(frozen=True, slots=True)
class SetDefault:
    """Gives a value to documents that have none."""

    type: str
    property: str
    value: Any


@dataclass(frozen=True, slots=True)
class CastProperty:
    """Changes a property's type, and the values with it.

    Attributes:
        range: The new type, such as `xsd:decimal`; the old one if left out.
        family: Required, Optional, List or Set; the old one if left out.
        on_error: What becomes of a value that cannot be changed: `refuse` the migration, put `default` in its place,
            or `remove` it.
    """

    type: str
    property: str
    range: str = ""
    family: str = ""
    on_error: OnError = "refuse"
    default: Any | Missing = MISSING


@dataclass(frozen=True, slots=True)
class MoveProperty:
    """Moves a property into a subdocument or out of one (`to`, a path), or to a class above or below (`to_type`)."""

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
    """Removes a class or enum with its documents; with `unlink` also what links to them."""

    name: str
    unlink: bool = False


Step = RenameClass | RenameProperty | SetDefault | CastProperty | MoveProperty | DeleteProperty | DeleteClass

STEPS: Mapping[str, type[Step]] = {
    "rename_class": RenameClass,
    "rename_property": RenameProperty,
    "set_default": SetDefault,
    "cast_property": CastProperty,
    "move_property": MoveProperty,
    "delete_property": DeleteProperty,
    "delete_class": DeleteClass,
}
"""The steps by their names in a file, which are those of the contract."""

_NAMES = {kind: name for name, kind in STEPS.items()}


def step_of(given: Step | Mapping[str, Any]) -> Step:
    """A step, from itself or from a dict with its name and members.

    Raises:
        ValueError: The dict is no step; the message says why.
    """
    if not isinstance(given, Mapping):
        return given
    if len(given) != 1 or next(iter(given)) not in STEPS:
        raise ValueError(
            f"a step has one of the members {', '.join(STEPS)}, not {', '.join(map(str, given)) or 'none'}"
        )
    ((name, members),) = given.items()
    known = {each.name: each for each in fields(STEPS[name])}
    if not isinstance(members, Mapping):
        raise ValueError(f"{name} holds an object with {', '.join(known)}")
    if unknown := [each for each in members if each not in known]:
        raise ValueError(f"{name} has no member {unknown[0]}; it has {', '.join(known)}")
    if missing := [each for each, one in known.items() if one.default is REQUIRED and each not in members]:
        raise ValueError(f"{name} lacks {', '.join(missing)}")
    return STEPS[name](**members)


def message_of(given: Step | Mapping[str, Any]) -> ontology_pb2.Migration:
    """A step as the contract has it."""
    step = step_of(given)
    made = ontology_pb2.Migration()
    target = getattr(made, _NAMES[type(step)])
    target.SetInParent()
    for each in fields(step):
        value = getattr(step, each.name)
        if each.name == "on_error":
            if value not in _ON_ERROR:
                raise ValueError(f"on_error is one of {', '.join(_ON_ERROR)}, not {value!r}")
            target.on_error = _ON_ERROR[value]
        elif each.name in ("value", "default"):
            if value is not MISSING:
                setattr(target, each.name, encode(value))
        else:
            setattr(target, each.name, value)
    return made


__all__ = [
    "CastProperty",
    "DeleteClass",
    "DeleteProperty",
    "MoveProperty",
    "RenameClass",
    "RenameProperty",
    "SetDefault",
    "Step",
    "message_of",
    "step_of",
]
