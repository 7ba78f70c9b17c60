"""Ontologies and the documents that fit them, as plain dictionaries.

An ontology is {name: element}, in the schema language: of classes with at most one parent, and enums. Numbers are int,
or Decimal where a document may hold one.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import orjson

Document = dict[str, Any]
Snapshot = dict[str, Document]
Schema = dict[str, Document]

INVALID = ("InvalidSchema", "InvalidRequest")
UNFORESEEN = ("this model does not tell",)
VIOLATED = ("SchemaViolatedByData", "DanglingLink", "StillReferenced")
SCALARS = ("xsd:string", "xsd:integer", "xsd:decimal", "xsd:boolean")


@dataclass(frozen=True)
class Refused(Exception):
    """The kernel must refuse, with an error of one of these names."""

    errors: tuple[str, ...]


def demand(holds: object, errors: tuple[str, ...] = INVALID) -> None:
    if not holds:
        raise Refused(errors)


# Ontologies


def family(declared: Any) -> str:
    return "Required" if isinstance(declared, str) else str(declared["@type"])


def range_of(declared: Any) -> str:
    return declared if isinstance(declared, str) else str(declared["@class"])


def declared_as(family_: str, range_: str) -> Any:
    return range_ if family_ == "Required" else {"@type": family_, "@class": range_}


def is_many(declared: Any) -> bool:
    return family(declared) in ("Set", "List")


def is_class(schema: Schema, name: str) -> bool:
    return schema.get(name, {}).get("@type") == "Class"


def is_embedded(schema: Schema, name: str) -> bool:
    return is_class(schema, name) and "@subdocument" in schema[name]


def above(schema: Schema, name: str) -> list[str]:
    """The class and its ancestors, those that there are."""
    found = []
    while is_class(schema, name):
        found.append(name)
        name = schema[name].get("@inherits", "")
    return found


def below(schema: Schema, name: str) -> list[str]:
    return [one for one in schema if name in above(schema, one)]


def own(schema: Schema, name: str) -> dict[str, Any]:
    return {key: value for key, value in schema[name].items() if not key.startswith("@")}


def properties(schema: Schema, name: str) -> dict[str, Any]:
    return {key: value for one in reversed(above(schema, name)) for key, value in own(schema, one).items()}


def indexed(schema: Schema, name: str) -> list[str]:
    listed: list[str] = schema[name].get("@metadata", {}).get("ontomesh", {}).get("indexed", [])
    return listed


def with_index(element: Document, paths: list[str]) -> Document:
    return {**element, "@metadata": {"ontomesh": {"indexed": list(dict.fromkeys(paths))}}}


def is_redeclared(schema: Schema) -> bool:
    """Whether a class declares what it inherits, which may be sound or not."""
    return any(
        own(schema, name).keys() & properties(schema, schema[name]["@inherits"]).keys()
        for name in schema
        if is_class(schema, schema[name].get("@inherits", ""))
    )


def check_sound(schema: Schema) -> None:
    """Raises Refused for an ontology whose elements do not fit together."""
    demand(not is_redeclared(schema), UNFORESEEN)
    for name in schema:
        if not is_class(schema, name):
            continue
        parent = schema[name].get("@inherits")
        demand(parent is None or is_class(schema, parent))
        demand(all(range_of(one) in SCALARS or range_of(one) in schema for one in own(schema, name).values()))
    for name in filter(lambda one: is_class(schema, one), schema):
        demand(not (is_embedded(schema, name) and indexed(schema, name)))
        for path in indexed(schema, name):
            range_ = name
            for part in path.split("."):
                demand(range_ == name or is_embedded(schema, range_))
                demand(part in properties(schema, range_))
                range_ = range_of(properties(schema, range_)[part])
            demand(not is_class(schema, range_))


# Documents


def objects(value: Any) -> Iterator[Document]:
    """A document and the subdocuments in it."""
    if isinstance(value, dict):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from objects(part)


def links(schema: Schema, one: Document, way: str = "") -> Iterator[tuple[str, str]]:
    """(path, id) of all links of a document."""
    for name, declared in properties(schema, one["@type"]).items():
        value = one.get(name, [])
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, dict):
                yield from links(schema, item, f"{way}{name}.")
            elif is_class(schema, range_of(declared)):
                yield f"{way}{name}", item


def fit_value(schema: Schema, range_: str, value: Any) -> Any:
    """A value as it is stored. Raises Refused."""
    if range_ == "xsd:decimal":
        if type(value) is str and re.fullmatch(r"[+-]?\d+(\.\d+)?", value):
            return Decimal(value)
        demand(type(value) in (int, Decimal), VIOLATED)
    elif range_ in SCALARS:
        demand(type(value) is {"xsd:string": str, "xsd:integer": int, "xsd:boolean": bool}[range_], VIOLATED)
    elif is_embedded(schema, range_):
        demand(isinstance(value, dict) and value["@type"] in below(schema, range_), VIOLATED)
        return fit_object(schema, value)
    elif is_class(schema, range_):
        demand(type(value) is str and value.partition("/")[0] in below(schema, range_), VIOLATED)
    else:
        demand(type(value) is str and value in schema[range_]["@value"], VIOLATED)
    return value


def _text(value: Any) -> bytes:
    """A value as it is stored, which a Set's are in the order of."""

    def number(one: Decimal) -> int | float:
        return int(one) if one == int(one) else float(one)

    return orjson.dumps(value, number, orjson.OPT_SORT_KEYS)


def fit_object(schema: Schema, one: Document) -> Document:
    """An object as it is stored. Raises Refused."""
    demand(is_class(schema, one["@type"]), VIOLATED)
    declared = properties(schema, one["@type"])
    kept = {key: value for key, value in one.items() if key.startswith("@")}
    for name, value in one.items():
        if name in kept:
            continue
        demand(name in declared, VIOLATED)
        range_ = range_of(declared[name])
        demand(isinstance(value, list) == is_many(declared[name]), VIOLATED)
        if not is_many(declared[name]):
            kept[name] = fit_value(schema, range_, value)
            continue
        items = [fit_value(schema, range_, item) for item in value]
        if family(declared[name]) == "Set":
            items = sorted((item for at, item in enumerate(items) if item not in items[:at]), key=_text)
        if items or family(declared[name]) == "List":
            kept[name] = items
    demand(all(name in kept for name, one in declared.items() if family(one) in ("Required", "List")), VIOLATED)
    return kept


def fit(schema: Schema, documents: Snapshot) -> Snapshot:
    """All documents as they are stored. Raises Refused."""
    fitted = {id: fit_object(schema, one) for id, one in documents.items()}
    for one in fitted.values():
        demand(all(target in fitted for _, target in links(schema, one)), VIOLATED)
    return fitted


def settled(schema: Schema, documents: Snapshot) -> Any:
    """Documents such that equal ones are equal: a Set has no order."""

    def of(one: Document) -> Document:
        declared = properties(schema, one["@type"])
        return {name: part(declared.get(name), value) for name, value in sorted(one.items())}

    def part(declared: Any, value: Any) -> Any:
        if isinstance(value, list):
            items = [part(None, item) for item in value]
            return sorted(items, key=repr) if family(declared) == "Set" else items
        if isinstance(value, dict):
            return of(value)
        return ("number", Decimal(value).normalize()) if type(value) in (int, Decimal) else value

    return {id: of(one) for id, one in documents.items()}


def shapes(schema: Schema) -> Any:
    """Ontologies such that those that mean the same are equal."""
    return {
        name: (
            {key: value for key, value in one.items() if key != "@metadata"},
            sorted(indexed(schema, name)),
        )
        for name, one in schema.items()
    }
