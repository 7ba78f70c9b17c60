"""Migrations on whole dictionaries: every step anew on every document, and then all of them against the ontology.

What the kernel's migrations must be like, as plainly as can be.
"""

import re
from collections.abc import Callable
from copy import deepcopy
from decimal import Decimal
from typing import Any

import orjson

from ontomesh_data_kernel.domain.steps import (
    CastProperty,
    DeleteClass,
    DeleteProperty,
    MoveProperty,
    OnError,
    RenameClass,
    RenameProperty,
    SetDefault,
    Step,
)
from tests.contract.naive_ontologies import (
    SCALARS,
    VIOLATED,
    Document,
    Refused,
    Schema,
    Snapshot,
    above,
    below,
    check_sound,
    declared_as,
    demand,
    family,
    fit,
    fit_value,
    indexed,
    is_class,
    is_embedded,
    is_many,
    objects,
    own,
    properties,
    range_of,
    with_index,
)

_TRUTHS = {"true": True, "1": True, "false": False, "0": False}


def migrate(schema: Schema, documents: Snapshot, steps: list[Step], explicit: Schema) -> tuple[Schema, Snapshot]:
    """What steps, and the elements declared with them, leave of an ontology and its documents. Raises Refused."""
    naive = _Migration(deepcopy(schema), deepcopy(documents), explicit)
    violated = False
    for step in steps:
        # A step that names what is not there is refused before any document is looked at.
        violated = naive.take(step) or violated
    after = naive.schema | explicit
    check_sound(after)
    demand(not violated, VIOLATED)
    return after, fit(after, naive.documents)


class _Migration:
    def __init__(self, schema: Schema, documents: Snapshot, explicit: Schema) -> None:
        self.schema = schema
        self.documents = documents
        self.explicit = explicit

    def take(self, step: Step) -> bool:
        """Take a step; whether a document is in its way."""
        match step:
            case RenameClass(name, to):
                return self.rename_class(name, to)
            case RenameProperty(cls, name, to):
                return self.rename_property(cls, name, to)
            case SetDefault(cls, name, value):
                return self.set_default(cls, name, orjson.loads(value))
            case CastProperty():
                return self.cast(step)
            case MoveProperty(cls, path, to, to_type):
                return self.move(cls, path.split("."), to.split(".")) if to else self.move_to(cls, path, to_type)
            case DeleteProperty(cls, name):
                return self.delete_property(cls, name)
            case DeleteClass(name, unlink):
                return self.delete_class(name, unlink)

    def each(self, classes: list[str], change: Callable[[Document], None]) -> bool:
        """Change all objects of classes; whether one could not be."""
        violated = False
        for document in self.documents.values():
            for one in list(objects(document)):
                if one["@type"] in classes:
                    try:
                        change(one)
                    except Refused:
                        violated = True
        return violated

    def declares(self, cls: str, name: str) -> None:
        demand(is_class(self.schema, cls) and name in own(self.schema, cls))

    def rewrite_indexes(self, cls: str, path: list[str], to: list[str] | None) -> None:
        """Let indexes that lead through a path of a class, or of one below it, lead elsewhere or go."""
        for name in filter(lambda one: is_class(self.schema, one), self.schema):
            kept = []
            for text in indexed(self.schema, name):
                parts, holder, at = text.split("."), name, 0
                while at < len(parts) and not (cls in above(self.schema, holder) and parts[at:][: len(path)] == path):
                    holder = range_of(properties(self.schema, holder).get(parts[at], ""))
                    at += 1
                if at == len(parts):
                    kept.append(text)
                elif to is not None:
                    kept.append(".".join([*parts[:at], *to, *parts[at + len(path) :]]))
            if "@metadata" in self.schema[name]:
                self.schema[name] = with_index(self.schema[name], kept)

    def rename_class(self, name: str, to: str) -> bool:
        demand(name in self.schema and to not in self.schema)
        before = self.schema
        self.schema = {}
        for old, element in before.items():
            changed = {
                key: declared_as(family(value), to) if not key.startswith("@") and range_of(value) == name else value
                for key, value in element.items()
            }
            if changed.get("@inherits") == name:
                changed["@inherits"] = to
            self.schema[to if old == name else old] = {**changed, "@id": to if old == name else old}
        if is_class(before, name):
            self.documents = {self._new(id, name, to): self._renamed(before, one, name, to) for id, one in self.all()}
        return False

    def all(self) -> list[tuple[str, Document]]:
        return list(self.documents.items())

    def _new(self, id: str, name: str, to: str) -> str:
        return f"{to}/{id.partition('/')[2]}" if id.partition("/")[0] == name else id

    def _renamed(self, before: Schema, one: Document, name: str, to: str) -> Document:
        def part(value: Any, range_: str) -> Any:
            if isinstance(value, list):
                return [part(item, range_) for item in value]
            if isinstance(value, dict):
                return self._renamed(before, value, name, to)
            return self._new(value, name, to) if is_class(before, range_) else value

        declared = properties(before, one["@type"])
        changed = {key: part(value, range_of(declared[key])) for key, value in one.items() if key in declared}
        own_ = {"@type": to if one["@type"] == name else one["@type"]}
        return changed | own_ | ({"@id": self._new(one["@id"], name, to)} if "@id" in one else {})

    def rename_property(self, cls: str, name: str, to: str) -> bool:
        self.declares(cls, name)
        owners = below(self.schema, cls)
        demand(not any(to in properties(self.schema, one) for one in owners))
        self.rewrite_indexes(cls, [name], [to])
        self.schema[cls] = {to if key == name else key: value for key, value in self.schema[cls].items()}
        return self.each(owners, lambda one: one.update({to: one.pop(name)}) if name in one else None)

    def set_default(self, cls: str, name: str, value: Any) -> bool:
        fits = False
        for view in (self.schema | self.explicit, self.schema):
            if is_class(view, cls) and name in properties(view, cls):
                fits = fits or _fits_alone(view, properties(view, cls)[name], value)
        demand(fits)
        return self.each(below(self.schema, cls), lambda one: one.update({name: deepcopy(one.get(name, value))}))

    def cast(self, step: CastProperty) -> bool:
        self.declares(step.type, step.property)
        old = self.schema[step.type][step.property]
        new = declared_as(step.family or family(old), step.range or range_of(old))
        view = self.schema | self.explicit
        demand(range_of(new) in SCALARS or range_of(new) in view)
        demand(may_become(view, range_of(old), range_of(new)))
        default = orjson.loads(step.default) if step.default else None
        demand(step.on_error is not OnError.DEFAULT or _fits_alone(view, new, default))

        def change(one: Document) -> None:
            if step.property not in one:
                value = default if family(new) == "Required" else None
            else:
                given = one.pop(step.property)
                try:
                    items = [become(view, range_of(old), range_of(new), item) for item in _as_list(given)]
                    demand(is_many(new) or len(items) <= 1)
                    value = items if is_many(new) else items[0] if items else None
                    if value is None and family(new) == "Required":
                        value = default
                except Refused:
                    if step.on_error is OnError.REFUSE:
                        raise
                    value = default
            if value is not None:
                one[step.property] = deepcopy(value)

        violated = self.each(below(self.schema, step.type), change)
        self.schema[step.type][step.property] = new
        return violated

    def _owner(self, cls: str, path: list[str]) -> str:
        for part in path[:-1]:
            declared = properties(self.schema, cls).get(part)
            demand(declared is not None and not is_many(declared) and is_embedded(self.schema, range_of(declared)))
            cls = range_of(declared)
        return cls

    def move(self, cls: str, path: list[str], to: list[str]) -> bool:
        demand(is_class(self.schema, cls) and path != to)
        source, target = self._owner(cls, path), self._owner(cls, to)
        self.declares(source, path[-1])
        demand(to[: len(path)] != path)
        declared = self.schema[source][path[-1]]
        demand(properties(self.schema, target).get(to[-1], declared) == declared)
        before = deepcopy(self.schema)
        self.rewrite_indexes(cls, path, to)
        del self.schema[source][path[-1]]
        self.schema[target][to[-1]] = declared

        def change(one: Document) -> None:
            holder: Document | None = one
            for part in path[:-1]:
                holder = holder.get(part) if holder is not None else None
            if holder is None or path[-1] not in holder:
                return
            place, owner = one, cls
            for part in to[:-1]:
                owner = range_of(properties(before, owner)[part])
                place = place.setdefault(part, {"@type": owner})
            demand(to[-1] not in place, VIOLATED)
            place[to[-1]] = holder.pop(path[-1])

        return self.each(below(before, cls), change)

    def move_to(self, cls: str, name: str, to: str) -> bool:
        self.declares(cls, name)
        demand(to != cls and (to in above(self.schema, cls) or to in below(self.schema, cls)))
        listed = indexed(self.schema, cls)
        moved = [one for one in listed if one.split(".")[0] == name]
        if moved and to in below(self.schema, cls):
            self.schema[to] = with_index(self.schema[to], [*indexed(self.schema, to), *moved])
            self.schema[cls] = with_index(self.schema[cls], [one for one in listed if one not in moved])
        self.schema[to].setdefault(name, self.schema[cls].pop(name))
        return False

    def delete_property(self, cls: str, name: str) -> bool:
        self.declares(cls, name)
        self.rewrite_indexes(cls, [name], None)
        del self.schema[cls][name]
        return self.each(below(self.schema, cls), lambda one: one.pop(name, None))

    def delete_class(self, name: str, unlink: bool) -> bool:
        demand(name in self.schema)
        for cls in filter(lambda one: one != name and is_class(self.schema, one), list(self.schema) * unlink):
            for key, declared in own(self.schema, cls).items():
                if range_of(declared) == name:
                    self.delete_property(cls, key)
        if is_class(self.schema, name):
            gone = [id for id in self.documents if id.partition("/")[0] == name]
            self.documents = {id: one for id, one in self.documents.items() if id not in gone}
            for document in self.documents.values() if unlink else ():
                for one in objects(document):
                    self._unlink(one, gone)
        del self.schema[name]
        return False

    def _unlink(self, one: Document, gone: list[str]) -> None:
        for key, declared in properties(self.schema, one["@type"]).items():
            if is_class(self.schema, range_of(declared)) and key in one:
                if is_many(declared):
                    one[key] = [item for item in one[key] if item not in gone]
                elif one[key] in gone and family(declared) == "Optional":
                    del one[key]


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _fits_alone(schema: Schema, declared: Any, value: Any) -> bool:
    try:
        demand(value is not None and isinstance(value, list) == is_many(declared))
        for item in _as_list(value):
            fit_value(schema, range_of(declared), item)
    except Refused:
        return False
    return True


def may_become(schema: Schema, old: str, new: str) -> bool:
    """Whether values of one type ever become those of another."""
    embedded = is_embedded(schema, old) + is_embedded(schema, new)
    return embedded != 1 and (new in SCALARS or embedded == 2 or old == new or old not in SCALARS[1:])


def become(schema: Schema, old: str, new: str, value: Any) -> Any:
    """A value as one of another type. Raises Refused."""
    if old == new or isinstance(value, dict):
        return value
    if new == "xsd:string":
        return value if type(value) is str else str(value).lower()
    if new == "xsd:boolean":
        known = _TRUTHS.get(value) if type(value) is str else bool(value) if value in (0, 1) else None
        demand(known is not None)
        return known
    if new in SCALARS:
        demand(type(value) is not str or re.fullmatch(r"[+-]?\d+(\.\d+)?", value))
        number = Decimal(int(value) if type(value) is bool else value)
        whole = number == int(number)
        demand(whole or new == "xsd:decimal")
        return int(number) if whole else number
    fit_value(schema, new, value)
    return value
