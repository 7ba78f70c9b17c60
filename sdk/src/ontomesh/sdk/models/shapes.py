"""From the type of a model's field to the type of a property, and values there and back."""

import base64
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, ForwardRef, Literal, Union, get_args, get_origin

from pydantic import JsonValue, TypeAdapter

from ontomesh.sdk.encoding import plain
from ontomesh.sdk.models.links import Link
from ontomesh.sdk.models.markers import Xsd

_XSD: Mapping[object, str] = {
    str: "xsd:string",
    bool: "xsd:boolean",
    int: "xsd:integer",
    float: "xsd:double",
    Decimal: "xsd:decimal",
    datetime: "xsd:dateTime",
    date: "xsd:date",
    time: "xsd:time",
    timedelta: "xsd:dayTimeDuration",
    bytes: "xsd:base64Binary",
}
_LISTS = (list, tuple, Sequence)
_SETS = (set, frozenset, Set)

_JSON = (Any, JsonValue, dict[str, Any])
_DURATION = TypeAdapter(timedelta)

Family = Literal["One", "Optional", "List", "Set", "Array"]


@dataclass(frozen=True, slots=True)
class Shape:
    """A property's type: how many values, of what (`range`, as the schema language names it).

    `target` is the Python type behind the range: a scalar's, an Enum, the model of a subdocument, the values of a
    Literal, or what a `Link` is declared to lead to. `minimum` and `maximum` bound a Set, `dimensions` nest an Array.
    """

    family: Family
    range: str
    target: object
    minimum: int = 0
    maximum: int | None = None
    dimensions: int = 1

    @property
    def schema(self) -> str | dict[str, Any]:
        """The property in the schema language."""
        if self.family == "One":
            return self.range
        declared: dict[str, Any] = {"@type": self.family, "@class": self.range}
        if self.maximum is not None and self.minimum == self.maximum:
            declared["@cardinality"] = self.minimum
        else:
            bounds = {"@min_cardinality": self.minimum or None, "@max_cardinality": self.maximum}
            declared |= {name: bound for name, bound in bounds.items() if bound is not None}
        return declared | ({"@dimensions": self.dimensions} if self.dimensions != 1 else {})

    def write(self, value: Any) -> Any:
        """A field's value as JSON has it; Decimals stay, for their digits."""
        if self.family in ("One", "Optional"):
            return _write(value)
        if self.family == "Array":
            return _nested(value, self.dimensions, _write)
        items = [_write(item) for item in value]
        return sorted(items, key=str) if self.family == "Set" else items

    def read(self, value: Any) -> Any:
        """What pydantic is to make the field's value from; None for a property that the document lacks."""
        if self.family in ("One", "Optional"):
            return self._read(value)
        return _nested(value or (), self.dimensions, self._read)

    def _read(self, value: Any) -> Any:
        if self.target is bytes and isinstance(value, str):
            return base64.b64decode(value)
        if isinstance(value, Mapping) and is_subdocument(self.target):
            return self.target.from_document(value)  # type: ignore[attr-defined]
        return value


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
    if _is_list(origin, arguments):
        dimensions, element = 1, arguments[0]
        while _is_list(get_origin(element), get_args(element)):
            dimensions, element = dimensions + 1, get_args(element)[0]
        if dimensions > 1:
            return replace(_scalar("Array", element, (), where), dimensions=dimensions)
        return _scalar("List", element, (), where)
    if origin in _SETS:
        minimum, maximum = _bounds(metadata)
        return replace(_scalar("Set", arguments[0], (), where), minimum=minimum, maximum=maximum)
    return _scalar("One", annotation, metadata, where)


def is_subdocument(target: object) -> bool:
    """Whether a type is a model whose values lie within other documents."""
    return isinstance(target, type) and bool(getattr(target, "class_subdocument", False))


def _is_list(origin: object, arguments: tuple[Any, ...]) -> bool:
    return origin in _LISTS and (origin is not tuple or (len(arguments) == 2 and arguments[1] is Ellipsis))


def _bounds(metadata: Sequence[Any]) -> tuple[int, int | None]:
    """The fewest and the most values that a field allows."""
    minimum, maximum = 0, None
    for each in metadata:
        minimum = getattr(each, "min_length", None) or minimum
        maximum = getattr(each, "max_length", maximum)
    return minimum, maximum


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
    if get_origin(annotation) is Literal:
        values = get_args(annotation)
        if not all(isinstance(value, str) for value in values):
            raise TypeError(f"{where}: the values of a Literal must be strings, as those of an enum are")
        return Shape(family, _enum_name(where), values)
    if is_subdocument(annotation):
        return Shape(family, annotation.__name__, annotation)
    if any(annotation is each or annotation == each for each in _JSON):
        return Shape(family, "sys:JSON", annotation)
    try:
        return Shape(family, _XSD[annotation], annotation)
    except (KeyError, TypeError):
        hint = ""
        if hasattr(annotation, "to_document"):
            name = annotation.__name__
            hint = f"; link to it with Link[{name}], or declare it with `subdocument=True`"
        elif get_origin(annotation) in (Union, UnionType):
            hint = "; give each alternative a field of its own, marked OneOf(), or a model with `tagged=True`"
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


def _enum_name(where: str) -> str:
    """The name of the enum that a Literal stands for: Package.build_state gives PackageBuildState."""
    return "".join(part[:1].upper() + part[1:] for part in where.replace(".", "_").split("_"))


def _nested(value: Any, dimensions: int, each: Callable[[Any], Any]) -> list[Any]:
    if dimensions > 1:
        return [_nested(inner, dimensions - 1, each) for inner in value]
    return [each(item) for item in value]


def _write(value: Any) -> Any:
    if isinstance(value, timedelta):
        return _DURATION.dump_python(value, mode="json")
    if is_subdocument(type(value)):
        return value.to_document()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, date | time | Enum):
        return plain(value)
    return str(value) if isinstance(value, Link) else value
