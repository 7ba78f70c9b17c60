"""A class as JSON Schema (draft 2020-12), for those who check documents without the kernel.

The schema takes every document that `Compiled.prepare` takes, and refuses what that refuses for its form alone. It cannot
tell: whether links lead anywhere, whether values are unique, whether an `@id` is the one that the class's key makes, how
many *different* values a Set has where JSON writes one value in several ways, that `1.0` is no integer, and how deep and
large a document is.
"""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from ontomesh_data_kernel.domain.ontology.hierarchy import Hierarchy
from ontomesh_data_kernel.domain.ontology.json_scalars import EXACT_SCALARS, NOT_IN_URIS, SCALAR_SCHEMAS, JsonSchema
from ontomesh_data_kernel.domain.ontology.keys import MAX_ID_BYTES
from ontomesh_data_kernel.domain.ontology.model import JSON, UNIT, Family, Property

DRAFT = "https://json-schema.org/draft/2020-12/schema"

_NOTHING: JsonSchema = {"not": {}}


def class_schema(hierarchy: Hierarchy, name: str) -> dict[str, Any]:
    """The schema of documents of the class and of its subclasses; of subdocuments, if it is a class of those."""
    return {"$schema": DRAFT, "title": name, **_Writer(hierarchy).write(name)}


class _Writer:
    """Writes one schema; what it refers to is gathered under `$defs`."""

    def __init__(self, hierarchy: Hierarchy) -> None:
        self._hierarchy = hierarchy
        self._definitions: dict[str, JsonSchema] = {}

    def write(self, name: str) -> JsonSchema:
        """The schema and its definitions."""
        schema = self._instances(name)
        return {**schema, "$defs": dict(sorted(self._definitions.items()))}

    def _instances(self, name: str) -> JsonSchema:
        """Documents or subdocuments of the class or its subclasses. Which of them it is, `@type` says, so that faults
        are those of that class alone.
        """
        classes = sorted(self._hierarchy.concrete(name))
        if not classes:
            return _NOTHING
        if len(classes) == 1:
            return self._object(classes[0])
        return {
            "type": "object",
            "required": ["@type"],
            "properties": {"@type": {"enum": classes}},
            "allOf": [
                {"if": {"properties": {"@type": {"const": one}}, "required": ["@type"]}, "then": self._object(one)}
                for one in classes
            ],
        }

    def _referred(self, key: str, schema: JsonSchema | None = None) -> JsonSchema:
        if schema is not None:
            self._definitions[key] = schema
        return {"$ref": f"#/$defs/{quote(key)}"}

    def _object(self, name: str) -> JsonSchema:
        if name not in self._definitions:
            self._definitions[name] = {}
            self._definitions[name] = self._written(name)
        return self._referred(name)

    def _written(self, name: str) -> JsonSchema:
        declared = self._hierarchy.properties[name]
        cls = self._hierarchy.classes[name]
        required = sorted(one.name for one in declared.values() if one.is_required)
        if cls.subdocument:
            # Where there is but one class that it can be, `@type` may be left out or null.
            own: dict[str, JsonSchema] = {"@type": {"enum": [name, None]}, "@id": {"type": "string"}}
        else:
            own = {"@type": {"const": name}, "@id": {**_id_of([name]), "type": ["string", "null"]}}
            required = ["@type", *required]
        schema: dict[str, Any] = {
            "title": name,
            "type": "object",
            "properties": own | {one.name: self._property(one) for one in declared.values()},
            "additionalProperties": False,
        }
        if required:
            schema["required"] = required
        groups = [_exactly_one(declared[one] for one in sorted(group)) for group in self._hierarchy.groups[name]]
        return schema | ({"allOf": groups} if groups else {})

    def _property(self, declared: Property) -> JsonSchema:
        schema = self._range(declared.range)
        if declared.family is Family.LIST:
            schema = {"type": "array", "items": schema}
        elif declared.family is Family.SET:
            schema = self._set(schema, declared)
        elif declared.family is Family.ARRAY:
            schema = _not_null(schema)
            for _ in range(declared.dimensions):
                schema = {"type": "array", "items": schema}
        return _not_null(schema) if declared.is_required else _or_null(schema)

    def _set(self, schema: JsonSchema, declared: Property) -> JsonSchema:
        bounds: dict[str, Any] = {"minItems": declared.minimum} if declared.minimum else {}
        if declared.maximum is not None and self._is_exact(declared.range):
            # Values that are there twice count once.
            bounds["anyOf"] = [{"maxItems": declared.maximum}, {"not": {"uniqueItems": True}}]
        return {"type": "array", "items": schema, **bounds}

    def _is_exact(self, range_: str) -> bool:
        return range_ in EXACT_SCALARS or range_ in self._hierarchy.enums

    def _range(self, range_: str) -> JsonSchema:
        if range_ == JSON:
            return {}
        if range_ == UNIT:
            return {"const": []}
        if range_ in self._hierarchy.enums:
            return self._referred(range_, {"title": range_, "enum": list(self._hierarchy.enums[range_].values)})
        cls = self._hierarchy.classes.get(range_)
        if cls is None:
            return SCALAR_SCHEMAS[range_]
        if not cls.subdocument:
            return self._referred(f"@link.{range_}", self._link(range_))
        concrete = self._hierarchy.concrete(range_)
        if len(concrete) == 1:
            return self._object(min(concrete))
        key = f"@any.{range_}"
        if key not in self._definitions:
            self._definitions[key] = {}
            self._definitions[key] = self._instances(range_)
        return self._referred(key)

    def _link(self, range_: str) -> JsonSchema:
        classes = sorted(self._hierarchy.concrete(range_))
        if not classes:
            return _NOTHING
        id_ = _id_of(classes)
        return {
            "type": ["string", "object"],
            **id_,
            "properties": {"@id": {"type": "string", **id_}},
            "required": ["@id"],
            "additionalProperties": False,
        }


def _id_of(classes: list[str]) -> dict[str, Any]:
    return {"pattern": f"^(?:{'|'.join(classes)})/[^{NOT_IN_URIS}]+$", "maxLength": MAX_ID_BYTES}


def _exactly_one(group: Iterable[Property]) -> JsonSchema:
    """One of the properties is there; null stands for nothing, and so does an empty Set."""

    def chosen(one: Property) -> Mapping[str, Any]:
        nothing: list[object] = [None, []] if one.family is Family.SET else [None]
        return {"properties": {one.name: {"not": {"enum": nothing}}}, "required": [one.name]}

    return {"oneOf": [chosen(one) for one in group]}


def _or_null(schema: JsonSchema) -> JsonSchema:
    if not schema:
        return schema
    if "type" in schema:
        known = schema["type"]
        return {**schema, "type": [*([known] if isinstance(known, str) else known), "null"]}
    # Not `anyOf`, of which faults do not say what is wrong within the value.
    return {"if": {"type": "null"}, "else": schema}


def _not_null(schema: JsonSchema) -> JsonSchema:
    return schema or {"not": {"type": "null"}}
