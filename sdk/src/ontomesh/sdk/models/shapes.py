"""From the type of a model's field to the type of a property, and values there and back."""

import base64
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, ForwardRef, Literal, Union, get_args, get_origin

from ontomesh.sdk.encoding import plain
from ontomesh.sdk.models.links import Link

_XSD: Mapping[object, str] = {
    str: "xsd:string",
    bool: "xsd:boolean",
    int: "xsd:integer",
    float: "xsd:double",
    Decimal: "xsd:decimal",
    datetime: "xsd:dateTime",
    date: "xsd:date",
    time: "xsd:time",
    bytes: "xsd:base64Binary",
}
_LISTS = (list, tuple, Sequence)
_SETS = (set, frozenset, Set)

Family = Literal["One", "Optional", "List", "Set"]


@dataclass(frozen=True, slots=True)
class Xsd:
    """Names a property's type where Python has no type of its own: `Annotated[str, Xsd("xsd:anyURI")]`."""

    name: str


@dataclass(frozen=True, slots=True)
class Shape:
    """A property's type: how many values, of what (`range`, as the schema language names it).

    `target` is the Python type behind the range: a scalar's, an Enum, or what a `Link` is declared to lead to.
    """

    family: Family
    range: str
    target: object

    @property
    def schema(self) -> str | dict[str, str]:
        """The property in the schema language."""
        return self.range if self.family == "One" else {"@type": self.family, "@class": self.range}

    def write(self, value: Any) -> Any:
        """A field's value as JSON has it; Decimals stay, for their digits."""
        if self.family in ("One", "Optional"):
            return _write(value)
        items = [_write(item) for item in value]
        return sorted(items, key=str) if self.family == "Set" else items

    def read(self, value: Any) -> Any:
        """What pydantic is to make the field's value from; None for a property that the document lacks."""
        if self.family in ("One", "Optional"):
            return self._read(value)
        return [self._read(item) for item in value or ()]

    def _read(self, value: Any) -> Any:
        return base64.b64decode(value) if self.target is bytes and isinstance(value, str) else value


def shape_of(annotation: Any, metadata: Sequence[Any], where: str) -> Shape:
    """The shape of a field of this type; `where` names the field in errors.

    Raises:
        TypeError: The schema language has nothing for it.
    """
    annotation, metadata = _bare(annotation, metadata)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType) and len(arguments) == 2 and NoneType in arguments:
        inner = next(each for each in arguments if each is not NoneType)
        return _scalar("Optional", inner, metadata, where)
    if origin in _LISTS and (origin is not tuple or (len(arguments) == 2 and arguments[1] is Ellipsis)):
        return _scalar("List", arguments[0], (), where)
    if origin in _SETS:
        return _scalar("Set", arguments[0], (), where)
    return _scalar("One", annotation, metadata, where)


def _scalar(family: Family, annotation: Any, metadata: Sequence[Any], where: str) -> Shape:
    annotation, metadata = _bare(annotation, metadata)
    named = next((each.name for each in metadata if isinstance(each, Xsd)), None)
    if named is not None:
        return Shape(family, named, annotation)
    if get_origin(annotation) is Link:
        (target,) = get_args(annotation)
        return Shape(family, _class_name(target), target)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return Shape(family, annotation.__name__, annotation)
    try:
        return Shape(family, _XSD[annotation], annotation)
    except (KeyError, TypeError):
        hint = f"; link to it with Link[{annotation.__name__}]" if hasattr(annotation, "to_document") else ""
        raise TypeError(f"{where}: the schema language has no type for {annotation}{hint}") from None


def _bare(annotation: Any, metadata: Sequence[Any]) -> tuple[Any, Sequence[Any]]:
    if get_origin(annotation) is Annotated:
        annotation, *inner = get_args(annotation)
        return annotation, [*metadata, *inner]
    return annotation, metadata


def _class_name(target: Any) -> str:
    if isinstance(target, ForwardRef):
        return target.__forward_arg__
    return target if isinstance(target, str) else str(target.__name__)


def _write(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, date | time | Enum):
        return plain(value)
    return str(value) if isinstance(value, Link) else value
