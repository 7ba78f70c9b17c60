"""Migrations: the ontology that steps lead to, and what becomes of each document."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ontomesh_data_kernel.domain.canonical import kind_of, parse_value
from ontomesh_data_kernel.domain.casting import TEXTS, Cast, scalar_cast
from ontomesh_data_kernel.domain.limits import MAX_BODY_BYTES
from ontomesh_data_kernel.domain.ontology import Element, Ontology, near
from ontomesh_data_kernel.domain.ontology.names import name_fault
from ontomesh_data_kernel.domain.ontology.parse import ElementParser
from ontomesh_data_kernel.domain.ontology.types import SCALARS, Fault, shown, wrong
from ontomesh_data_kernel.domain.rewriting import (
    Casting,
    Change,
    Rewrite,
    defaulted,
    for_all,
    moved,
    relinked,
    removed,
    renamed,
    retyped,
    several,
    unlinked,
)
from ontomesh_data_kernel.domain.sketching import Declaration, Json, Sketch, declaration, family_of, range_of
from ontomesh_data_kernel.domain.steps import (
    MAX_STEPS,
    CastProperty,
    DeleteClass,
    DeleteProperty,
    MoveProperty,
    OnError,
    RenameClass,
    RenameProperty,
    SetDefault,
    Step,
    place_of,
)
from ontomesh_data_kernel.errors import InvalidRequest, InvalidSchema, KernelError, TooLarge

_FAMILIES = ("Required", "Optional", "List", "Set")
_MANY = ("List", "Set")
_JSON = "sys:JSON"


class Migration:
    """Steps worked out on an ontology: what they leave of it, and of each document.

    `elements` are what is left, which need not fit together; `names` has what became of each class that had documents
    (None: removed); `concerned` holds the classes, by their old names, whose documents the steps may change.
    """

    def __init__(self, base: Ontology, steps: Sequence[Step], explicit: Mapping[str, Json]) -> None:
        """`explicit` are the elements that the change itself declares, by name.

        Raises InvalidSchema, InvalidRequest, MalformedBody, TooLarge; fields begin with `migrations[i]`.
        """
        if len(steps) > MAX_STEPS:
            raise TooLarge.of("steps of a migration", len(steps), MAX_STEPS, "migrations")
        self._sketch = Sketch.of(base.elements)
        self._explicit = explicit
        self.names: dict[str, str | None] = {
            name: name for name in self._sketch.classes() if not self._sketch.is_subdocument(name)
        }
        self._plans: dict[str, list[Rewrite]] = {}
        for index, step in enumerate(steps):
            try:
                self._take(step)
            except KernelError as error:
                raise error.within(place_of(step, index)) from None
        self.elements = self._parsed()

    @property
    def concerned(self) -> frozenset[str]:
        """The classes whose documents the steps may change."""
        return frozenset(self._plans)

    @property
    def renamed(self) -> frozenset[str]:
        """The classes whose documents get other ids, or go."""
        return frozenset(name for name, now in self.names.items() if now != name)

    def apply(self, body: Json) -> Json | None:
        """The document after all steps, None if it is removed; the body given is changed. Raises Fault."""
        left: Json | None = body
        for rewrite in self._plans.get(body["@type"], ()):
            if left is not None:
                left = rewrite.apply(left)
        return left

    def _parsed(self) -> list[tuple[str, Element]]:
        parser = ElementParser()
        parsed = [
            (f"@schema/{name}", parser.parse(value, f"@schema/{name}")) for name, value in self._sketch.elements.items()
        ]
        if parser.violations:
            first = parser.violations[0]
            message = f"the steps lead to no ontology: {first.field}: {first.description}"
            raise InvalidSchema(message, parser.violations)
        return [(place, element) for place, element in parsed if element is not None]

    # Steps

    def _take(self, step: Step) -> None:
        match step:
            case RenameClass():
                self._rename_class(step)
            case RenameProperty():
                self._rename_property(step)
            case SetDefault():
                self._set_default(step)
            case CastProperty():
                self._cast(step)
            case MoveProperty():
                self._move(step) if step.to or not step.to_type else self._move_declaration(step)
            case DeleteProperty():
                self._delete_property(step.type, step.property)
            case DeleteClass():
                self._delete_class(step)

    def _note(
        self,
        changes: Mapping[str, Change],
        before: Sketch,
        *,
        removes: str = "",
        renames: tuple[str, str] | None = None,
    ) -> None:
        """Add a rewrite of all documents that are or hold objects of these classes."""
        roots = before.holding({*changes, *([removes] if removes else ()), *([renames[0]] if renames else ())})
        rewrite = Rewrite(frozenset(roots), before.embedded(), dict(changes), removes, renames)
        for old, now in self.names.items():
            if now in roots:
                self._plans.setdefault(old, []).append(rewrite)

    def _rename_class(self, step: RenameClass) -> None:
        sketch = self._sketch
        if step.name not in sketch.elements or step.name == "@context":
            raise InvalidSchema.at("name", f"there is no class or enum {step.name!r}{near(step.name, sketch.elements)}")
        _check_name(step.to, "to")
        if step.to in sketch.elements:
            raise InvalidSchema.at("to", f"there is a class or enum {step.to!r}")
        before = sketch.copy()
        sketch.rename(step.name, step.to)
        if not before.is_class(step.name):
            return
        if before.is_subdocument(step.name):
            self._note({step.name: retyped(step.to)}, before)
            return
        links = before.links_to(step.name)
        self._note(
            {cls: relinked(properties, step.name, step.to) for cls, properties in links.items()},
            before,
            renames=(step.name, step.to),
        )
        for old, now in self.names.items():
            if now == step.name:
                self.names[old] = step.to

    def _rename_property(self, step: RenameProperty) -> None:
        sketch = self._sketch
        sketch.declared(sketch.named(step.type, "type"), step.property, "property")
        _check_name(step.to, "to")
        owners = sketch.subclasses(step.type)
        for owner in sorted(owners):
            if step.to in sketch.properties(owner):
                raise InvalidSchema.at("to", f"{owner} has a property {step.to!r}")
        before = sketch.copy()
        sketch.rewrite(owners, [step.property], [step.to])
        for owner in owners:
            place = sketch.home(owner, step.property)
            if place is not None:
                place[step.to] = place.pop(step.property)
        sketch.touch()
        for owner in sorted(owners):
            self._check_gone(owner, step.property)
        self._note(for_all(owners, renamed(step.property, step.to)), before)

    def _check_gone(self, owner: str, property: str) -> None:
        if property in self._sketch.properties(owner):
            other = next(one for one in self._sketch.ancestors(owner) if property in self._sketch.own(one))
            raise InvalidSchema.at("property", f"{owner} inherits {property!r} from {other} as well")

    def _set_default(self, step: SetDefault) -> None:
        sketch = self._sketch
        after = sketch.over(self._explicit)
        value = parse_value(step.value, limit=MAX_BODY_BYTES, field="value")
        properties = dict(after.properties(after.named(step.type, "type")))
        properties |= sketch.properties(step.type) if sketch.is_class(step.type) else {}
        if step.property not in properties:
            known = near(step.property, properties)
            raise InvalidSchema.at("property", f"{step.type} has no property {step.property!r}{known}")
        faults = [
            _misfit(view, view.properties(step.type)[step.property], value)
            for view in (after, sketch)
            if view.is_class(step.type) and step.property in view.properties(step.type)
        ]
        if all(faults):
            raise InvalidSchema.at("value", f"does not fit {step.type}.{step.property}: {faults[0]}")
        if sketch.is_class(step.type):
            self._note(for_all(sketch.subclasses(step.type), defaulted(step.property, value)), sketch)

    def _cast(self, step: CastProperty) -> None:
        sketch = self._sketch
        declared = sketch.declared(sketch.named(step.type, "type"), step.property, "property")
        choice = sketch.is_choice(step.type, step.property)
        family, range_ = family_of(declared), range_of(declared)
        if not step.family and not step.range:
            raise InvalidRequest.at("range", "a cast names another range, another family or both")
        if step.family and step.family not in _FAMILIES:
            raise InvalidSchema.at("family", f"{step.family!r} is none of {', '.join(_FAMILIES)}")
        if step.family and choice:
            raise InvalidSchema.at("family", f"{step.property!r} is one of several alternatives, so it has no family")
        if step.family and family not in _FAMILIES:
            raise InvalidSchema.at("family", f"{family} cannot become {step.family}")
        after = sketch.over(self._explicit)
        new_range = step.range or range_
        if new_range not in SCALARS and new_range != _JSON and new_range not in after.elements:
            known = near(new_range, [*SCALARS, *(name for name in after.elements if name != "@context")])
            raise InvalidSchema.at("range", f"there is no type, class or enum {new_range!r}{known}")
        new_family = step.family or family
        new: Declaration = declaration(new_family, new_range)
        if not step.family and isinstance(declared, dict):
            new = declared | {"@class": new_range}
        cast = _cast_between(after, range_, new_range)
        if cast is None:
            raise InvalidSchema.at("range", f"no value of {range_} is one of {new_range}")
        default = None
        if step.on_error is OnError.DEFAULT:
            default = parse_value(step.default, limit=MAX_BODY_BYTES, field="default")
            if fault := _misfit(after, new, default):
                raise InvalidSchema.at("default", f"does not fit {new_range}: {fault}")
        elif step.default:
            raise InvalidRequest.at("default", "goes with on_error default")
        subclasses = sketch.subclasses(step.type)
        own = {one for one in subclasses if one != step.type and step.property in sketch.own(one)}
        owners = subclasses - {below for one in own for below in sketch.subclasses(one)}
        casting = Casting(
            step.property,
            cast,
            family not in ("Required", "Optional"),
            new_family not in ("Required", "Optional"),
            new_family == "Required" and not choice,
            step.on_error,
            default,
        )
        self._note(for_all(owners, casting.change), sketch)
        place = sketch.home(step.type, step.property)
        assert place is not None
        place[step.property] = new
        sketch.touch()

    def _move(self, step: MoveProperty) -> None:
        sketch = self._sketch
        sketch.named(step.type, "type")
        if step.to_type:
            raise InvalidRequest.at("to_type", "goes without to")
        if not step.to or step.to == step.path:
            raise InvalidRequest.at("to", "is required: another path from the same class")
        source = sketch.hops(step.type, step.path, "path")
        target = sketch.hops(step.type, step.to, "to")
        declared = sketch.declared(source[-1].owner, source[-1].name, "path")
        _check_name(target[-1].name, "to")
        owner, name = target[-1].owner, target[-1].name
        there = target[-1].declared
        if there and there != declared:
            raise InvalidSchema.at("to", f"{owner} has a property {name!r} of another type")
        path, to = step.path.split("."), step.to.split(".")
        if to[: len(path)] == path:
            raise InvalidSchema.at("to", f"{step.path!r} cannot move into itself")
        before = sketch.copy()
        made = {}
        for depth, hop in enumerate(target[:-1], 1):
            made[".".join(to[:depth])] = range_of(hop.declared)
        sketch.rewrite(sketch.subclasses(step.type), path, to)
        for one in sketch.subclasses(source[-1].owner):
            sketch.remove(one, source[-1].name)
        sketch.elements[owner][name] = declared
        sketch.touch()
        self._note(for_all(before.subclasses(step.type), moved(path, to, made)), before)

    def _move_declaration(self, step: MoveProperty) -> None:
        sketch = self._sketch
        declared = sketch.declared(sketch.named(step.type, "type"), step.path, "path")
        sketch.named(step.to_type, "to_type")
        if step.to_type == step.type or not (
            step.to_type in sketch.ancestors(step.type) or step.to_type in sketch.subclasses(step.type)
        ):
            raise InvalidSchema.at("to_type", f"{step.to_type} is neither above nor below {step.type}")
        before = sketch.copy()
        sketch.remove(step.type, step.path)
        sketch.elements[step.to_type].setdefault(step.path, declared)
        sketch.touch()
        if step.to_type in before.subclasses(step.type):
            sketch.hand_down(step.type, step.to_type, step.path)
        touched = before.subclasses(step.type) | before.subclasses(step.to_type)
        self._note(for_all(touched, several(())), before)

    def _delete_property(self, type: str, property: str) -> None:
        self._sketch.declared(self._sketch.named(type, "type"), property, "property")
        self._delete_properties([(type, property)])

    def _delete_properties(self, declared: Sequence[tuple[str, str]]) -> None:
        """Remove properties from the classes that declare them, and from those below."""
        sketch = self._sketch
        before = sketch.copy()
        owned = [(owner, name) for type, name in declared for owner in sketch.subclasses(type)]
        for owner, name in owned:
            sketch.remove(owner, name)
        gone: dict[str, set[str]] = {}
        for owner, name in owned:
            if name not in sketch.properties(owner):  # else it is inherited from elsewhere
                gone.setdefault(name, set()).add(owner)
        changes: dict[str, list[Change]] = {}
        for name, owners in gone.items():
            sketch.rewrite(owners, [name], None)
            for owner in owners:
                changes.setdefault(owner, []).append(removed(name))
        self._note({owner: several(each) for owner, each in changes.items()}, before)

    def _delete_class(self, step: DeleteClass) -> None:
        sketch = self._sketch
        if step.name not in sketch.elements or step.name == "@context":
            raise InvalidSchema.at("name", f"there is no class or enum {step.name!r}{near(step.name, sketch.elements)}")
        if step.unlink:
            self._delete_properties(
                [
                    (owner, name)
                    for owner in sketch.classes()
                    for name, declared in sketch.own(owner).items()
                    if range_of(declared) == step.name and owner != step.name
                ]
            )
        before = sketch.copy()
        if before.is_class(step.name) and not before.is_subdocument(step.name):
            changes: dict[str, Change] = {}
            for cls, properties in before.links_to(step.name).items():
                optional = {
                    name: family_of(before.properties(cls)[name]) == "Optional" or before.is_choice(cls, name)
                    for name in properties
                }
                changes[cls] = unlinked(optional, step.name) if step.unlink else several(())
            self._note(changes, before, removes=step.name)
            for old, now in self.names.items():
                if now == step.name:
                    self.names[old] = None
        del sketch.elements[step.name]
        sketch.touch()


def _check_name(name: str, field: str) -> None:
    if fault := name_fault(name):
        raise InvalidSchema.at(field, fault)


_LINK = re.compile(r"[^/]+/.+")


def _cast_between(sketch: Sketch, old: str, new: str) -> Cast | None:
    """How values of any type become those of another; what the document's own check finds out is left to that."""
    if old == new or _JSON in (old, new):
        return _same
    if old in SCALARS and new in SCALARS:
        return scalar_cast(old, new)
    inner = {name for name in (old, new) if sketch.is_subdocument(name)}
    if inner:
        return _same if len(inner) == 2 else None
    if new in SCALARS:
        return scalar_cast("xsd:string", new)
    return _checked(sketch, new) if old not in SCALARS or old in TEXTS else None


def _same(value: object) -> object:
    return value


def _checked(sketch: Sketch, range_: str) -> Cast:
    def cast(value: object) -> object:
        if fault := _range_misfit(sketch, range_, value):
            raise wrong(fault)
        return value

    return cast


def _misfit(sketch: Sketch, declared: Declaration, value: object) -> str:
    """What keeps a value from being a property's; empty if nothing does that can be told without its document."""
    family, range_ = family_of(declared), range_of(declared)
    if value is None:
        return "null is no value"
    if family in ("Required", "Optional"):
        return _range_misfit(sketch, range_, value)
    if type(value) is not list:
        return f"{kind_of(value)} where an array is due"
    if family not in _MANY:
        return ""
    return next((fault for item in value if (fault := _range_misfit(sketch, range_, item))), "")


def _range_misfit(sketch: Sketch, range_: str, value: object) -> str:
    check: Callable[[object], object] | None = SCALARS.get(range_)
    if check is not None:
        try:
            check(value)
        except Fault as fault:
            return fault.faults[0][1]
        return ""
    element: Mapping[str, Any] = sketch.elements.get(range_, {})
    if element.get("@type") == "Enum":
        values = element["@value"]
        return "" if value in values else f"{shown(value)} is not a value of {range_}{near(str(value), values)}"
    if sketch.is_subdocument(range_):
        return "" if type(value) is dict else f"{kind_of(value)} where a {range_} is due"
    if sketch.is_class(range_):
        classes = sketch.subclasses(range_)
        fits = type(value) is str and _LINK.fullmatch(value) and value.partition("/")[0] in classes
        return "" if fits else f"{shown(value)} is not the id of a {range_}"
    return ""
