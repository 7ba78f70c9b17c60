"""The ontology that models describe, in TerminusDB's JSON schema language."""

import inspect
import sys
from enum import Enum
from typing import Any, ForwardRef

from ontomesh.sdk.models.document import DocumentModel, markers_of, properties_of
from ontomesh.sdk.models.markers import Dangling, Indexed, OneOf, Unique
from ontomesh.sdk.models.shapes import Shape


def ontology_of(*models: type[DocumentModel]) -> list[dict[str, Any]]:
    """The schema's elements for these models and all they build on: base classes, link targets, enums.

    A class before those that inherit from it. A link target that is only named and not known where its model is
    defined is left to the kernel, which may know it.

    Raises:
        TypeError: A field has a type that the schema language does not have; two classes have one name.
    """
    elements: dict[str, dict[str, Any]] = {}
    sources: dict[str, type] = {}
    for model in models:
        _add(model, elements, sources)
    return list(elements.values())


def _add(element: type, elements: dict[str, dict[str, Any]], sources: dict[str, type]) -> None:
    name = element.__name__
    if name in sources:
        if sources[name] is not element:
            raise TypeError(f"{sources[name].__module__} and {element.__module__} both define {name}")
        return
    sources[name] = element
    if issubclass(element, Enum):
        elements[name] = _enum(element)
        return
    assert issubclass(element, DocumentModel)
    parents = _parents(element)
    for parent in parents:
        _add(parent, elements, sources)
    elements[name] = _class(element, parents)
    for name, (_, shape) in properties_of(element).items():
        if isinstance(shape.target, tuple):
            if _is_own(element, name, parents):
                _add_literal(shape, element, elements, sources)
            continue
        target = _resolved(shape.target, element)
        if isinstance(target, type) and issubclass(target, Enum | DocumentModel):
            _add(target, elements, sources)


def _add_literal(shape: Shape, owner: type, elements: dict[str, dict[str, Any]], sources: dict[str, type]) -> None:
    """The enum that a Literal stands for."""
    assert isinstance(shape.target, tuple)
    element = {"@type": "Enum", "@id": shape.range, "@value": list(shape.target)}
    if elements.get(shape.range, element) != element:
        raise TypeError(f"the Literal of {owner.__name__} and another element are both called {shape.range}")
    elements[shape.range] = element
    sources[shape.range] = owner


def _class(model: type[DocumentModel], parents: list[type[DocumentModel]]) -> dict[str, Any]:
    element: dict[str, Any] = {"@type": "TaggedUnion" if model.class_tagged else "Class", "@id": model.__name__}
    if parents:
        names = [parent.__name__ for parent in parents]
        element["@inherits"] = names[0] if len(names) == 1 else names
    if model.class_abstract:
        element["@abstract"] = []
    if model.class_subdocument:
        element["@subdocument"] = []
    if model.class_unfoldable:
        element["@unfoldable"] = []
    properties = properties_of(model)
    if model.class_key is not None:
        element["@key"] = {"@type": model.class_key.kind}
        if model.class_key.fields:
            if unknown := [field for field in model.class_key.fields if field not in properties]:
                raise TypeError(f"the key of {model.__name__} names {', '.join(unknown)}, which it does not have")
            element["@key"]["@fields"] = [properties[field][0] for field in model.class_key.fields]
    own = {name: properties[name] for name in properties if _is_own(model, name, parents)}
    described = {alias: model.model_fields[name].description for name, (alias, _) in own.items()}
    documentation = _documentation(model, {alias: text for alias, text in described.items() if text})
    if documentation:
        element["@documentation"] = documentation
    if metadata := _metadata(model, own):
        element["@metadata"] = metadata
    groups: dict[str, dict[str, Any]] = {}
    for name, (alias, shape) in own.items():
        group = next((each.group for each in markers_of(model, name) if isinstance(each, OneOf)), None)
        if model.class_tagged or group is not None:
            # An alternative is there or not: its type alone says what it holds.
            declared = shape.range if shape.family in ("One", "Optional") else shape.schema
            (element if group is None else groups.setdefault(group, {}))[alias] = declared
        else:
            element[alias] = shape.schema
    if groups:
        element["@oneOf"] = next(iter(groups.values())) if len(groups) == 1 else list(groups.values())
    return element


def _metadata(model: type[DocumentModel], own: dict[str, tuple[str, Shape]]) -> dict[str, Any]:
    """The class's own metadata, with what markers and keywords say of indexes and events."""
    declared: dict[str, object] = {}
    for kind, marker, paths in (
        ("indexed", Indexed, model.class_indexed),
        ("unique", Unique, model.class_unique),
        ("dangling", Dangling, ()),
    ):
        marked = [
            alias
            for name, (alias, _) in own.items()
            if any(isinstance(each, marker) for each in markers_of(model, name))
        ]
        if marked or paths:
            declared[kind] = [*marked, *paths]
    if model.class_events is not None:
        declared["events"] = model.class_events
    metadata = dict(model.class_metadata or {})
    if declared:
        metadata["ontomesh"] = {**metadata.get("ontomesh", {}), **declared}
    return metadata


def _enum(kind: type[Enum]) -> dict[str, Any]:
    values = [member.value for member in kind]
    if not all(isinstance(value, str) for value in values):
        raise TypeError(f"the values of {kind.__name__} must be strings, as the schema language has them")
    element: dict[str, Any] = {"@type": "Enum", "@id": kind.__name__, "@value": values}
    if documentation := _documentation(kind, {}):
        element["@documentation"] = documentation
    return element


def _documentation(element: type, properties: dict[str, str]) -> Any:
    if getattr(element, "class_documentation", None) is not None:
        return element.class_documentation  # type: ignore[attr-defined]
    # Only the class's own docstring: `getdoc` would take that of a base.
    text = element.__dict__.get("__doc__")
    documentation: dict[str, Any] = {"@comment": inspect.cleandoc(text)} if text else {}
    if properties:
        documentation["@properties"] = properties
    return documentation


def _parents(model: type[DocumentModel]) -> list[type[DocumentModel]]:
    return [base for base in model.__bases__ if issubclass(base, DocumentModel) and base is not DocumentModel]


def _is_own(model: type[DocumentModel], name: str, parents: list[type[DocumentModel]]) -> bool:
    return name in inspect.get_annotations(model) or not any(name in parent.model_fields for parent in parents)


def _resolved(target: object, model: type[DocumentModel]) -> object:
    """What a link leads to, if it was declared by name."""
    name = target.__forward_arg__ if isinstance(target, ForwardRef) else target
    if not isinstance(name, str):
        return target
    if name == model.__name__:
        return model
    return getattr(sys.modules.get(model.__module__), name, None)
