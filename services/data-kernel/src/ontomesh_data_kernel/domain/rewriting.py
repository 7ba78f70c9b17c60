"""What the steps of a migration do to one document at a time."""

from collections.abc import Callable, Collection, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from ontomesh_data_kernel.domain.canonical import kind_of
from ontomesh_data_kernel.domain.casting import Cast
from ontomesh_data_kernel.domain.ontology.types import Fault
from ontomesh_data_kernel.domain.sketching import Json, objects
from ontomesh_data_kernel.domain.steps import OnError

Change = Callable[[Json], None]
"""Changes one object, a document or a subdocument, in place. Raises Fault with paths within it."""

Embedded = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Rewrite:
    """One step, on the documents of the classes in `roots`, by their names before it.

    `change` is for the objects of each class in it; `removes` and `renames` are for whole documents.
    """

    roots: frozenset[str]
    embedded: Embedded
    changes: Mapping[str, Change]
    removes: str = ""
    renames: tuple[str, str] | None = None

    def apply(self, body: Json) -> Json | None:
        """The document after the step, None if it is removed. Raises Fault."""
        if body["@type"] == self.removes:
            return None
        for path, one in objects(body, self.embedded):
            change = self.changes.get(str(one.get("@type")))
            if change is None:
                continue
            try:
                change(one)
            except Fault as fault:
                joint = "." if path else ""
                raise Fault(*((f"{path}{joint}{inner}", description) for inner, description in fault.faults)) from None
        if self.renames is not None and body["@type"] == self.renames[0]:
            body["@type"] = self.renames[1]
            body["@id"] = f"{self.renames[1]}/{body['@id'].partition('/')[2]}"
        return body


def renamed(property: str, to: str) -> Change:
    """Another name for a property."""

    def change(one: Json) -> None:
        if property in one:
            one[to] = one.pop(property)

    return change


def removed(property: str) -> Change:
    """No such property any more."""

    def change(one: Json) -> None:
        one.pop(property, None)

    return change


def defaulted(property: str, value: object) -> Change:
    """A value where there is none."""

    def change(one: Json) -> None:
        if property not in one:
            one[property] = deepcopy(value)  # later steps change it in place

    return change


def retyped(to: str) -> Change:
    """Another class for a subdocument."""

    def change(one: Json) -> None:
        one["@type"] = to

    return change


def relinked(properties: Sequence[str], name: str, to: str) -> Change:
    """Links to documents of a class that has another name."""
    old, new = f"{name}/", f"{to}/"

    def moved(value: object) -> object:
        if type(value) is str:
            return new + value[len(old) :] if value.startswith(old) else value
        return [moved(item) for item in value] if type(value) is list else value

    def change(one: Json) -> None:
        for property in properties:
            if property in one:
                one[property] = moved(one[property])

    return change


def unlinked(properties: Mapping[str, bool], name: str) -> Change:
    """No links to documents of a class; `properties` says of each whether it may be absent."""
    prefix = f"{name}/"

    def change(one: Json) -> None:
        for property, optional in properties.items():
            value = one.get(property)
            if type(value) is list:
                one[property] = [item for item in value if not (type(item) is str and item.startswith(prefix))]
            elif optional and type(value) is str and value.startswith(prefix):
                del one[property]

    return change


def several(changes: Sequence[Change]) -> Change:
    """One change after another."""

    def change(one: Json) -> None:
        for each in changes:
            each(one)

    return change


@dataclass(frozen=True, slots=True)
class Casting:
    """How a property's whole value changes: each value by `cast`, and from one family to another."""

    property: str
    cast: Cast
    was_many: bool
    is_many: bool
    is_required: bool
    on_error: OnError
    default: object = None

    def change(self, one: Json) -> None:
        """Change an object. Raises Fault."""
        if self.property not in one:
            if self.is_required and self.on_error is OnError.DEFAULT:
                one[self.property] = deepcopy(self.default)
            return
        try:
            value = self._whole(one[self.property])
        except Fault as fault:
            if self.on_error is OnError.REFUSE:
                raise Fault(*((f"{self.property}{path}", text) for path, text in fault.faults)) from None
            value = deepcopy(self.default) if self.on_error is OnError.DEFAULT else None
        if value is None:
            del one[self.property]
        else:
            one[self.property] = value

    def _whole(self, value: object) -> object:
        if not self.was_many:
            return [self.cast(value)] if self.is_many else self.cast(value)
        assert isinstance(value, list)
        if not self.is_many and len(value) > 1:
            raise Fault(("", f"has {len(value)} values, where one property holds at most one"))
        items = [self._item(index, item) for index, item in enumerate(value)]
        if self.is_many:
            return items
        if not items and self.is_required and self.on_error is OnError.DEFAULT:
            return deepcopy(self.default)
        return items[0] if items else None

    def _item(self, index: int, item: object) -> object:
        try:
            return self.cast(item)
        except Fault as fault:
            raise Fault(*((f"[{index}]{path}", text) for path, text in fault.faults)) from None


def moved(path: Sequence[str], to: Sequence[str], made: Mapping[str, str]) -> Change:
    """A value from one path to another; `made` has the class of a subdocument by the path that leads to it."""

    def change(one: Json) -> None:
        holder = _reach(one, path[:-1])
        if holder is None or path[-1] not in holder:
            return
        target = one
        for depth, part in enumerate(to[:-1], 1):
            if part not in target:
                target[part] = {"@type": made[".".join(to[:depth])]}
            target = _object(target[part], ".".join(to[:depth]))
        if to[-1] in target:
            raise Fault((".".join(to), f"has a value already, so that {'.'.join(path)} cannot move there"))
        target[to[-1]] = holder.pop(path[-1])

    return change


def _reach(one: Json, path: Sequence[str]) -> Json | None:
    holder: Json | None = one
    for part in path:
        if holder is None or part not in holder:
            return None
        holder = _object(holder[part], part)
    return holder


def _object(value: object, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Fault((path, f"{kind_of(value)} where a subdocument was due"))
    return value


def for_all(classes: Collection[str], change: Change) -> dict[str, Change]:
    """The same change for the objects of several classes."""
    return dict.fromkeys(classes, change)
