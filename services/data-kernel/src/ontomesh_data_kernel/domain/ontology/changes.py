"""Changing an ontology, and which documents a change concerns."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from ontomesh_data_kernel.domain.ontology.model import SCHEMA_PREFIX, Context, Element, Family, Property
from ontomesh_data_kernel.domain.ontology.ontology import Ontology, parse_elements, refuse
from ontomesh_data_kernel.domain.ontology.resolve import Hierarchy
from ontomesh_data_kernel.errors import Violation


class ChangeMode(Enum):
    """What happens to elements that a change does not name: they stay, or they go."""

    UPSERT = "upsert"
    REPLACE = "replace"


@dataclass(frozen=True, slots=True)
class OntologyChange:
    """Elements to add or replace as a whole, and names of classes and enums to remove (only when upserting)."""

    elements: Sequence[object] = ()
    mode: ChangeMode = ChangeMode.UPSERT
    remove: tuple[str, ...] = ()


def apply(base: Ontology, change: OntologyChange) -> Ontology:
    """The ontology after the change. Raises InvalidSchema, TooLarge.

    Violations' fields are `schema[2].author` and `remove[0]`; a fault in an element that the change does not name has
    its document's id: `@schema/Person.author`.
    """
    named = parse_elements(change.elements)
    if change.mode is ChangeMode.REPLACE:
        if change.remove:
            refuse([Violation("remove", "goes with upserting; replacing removes whatever is not named")])
        return Ontology.of(named).within_limit()
    kept = {_name(element): element for element in base.elements}
    _remove(kept, change, {_name(element) for _, element in named})
    for _, element in named:
        kept.pop(_name(element), None)
    outcome = Ontology.of([*named, *((SCHEMA_PREFIX + name, element) for name, element in kept.items())])
    return outcome.within_limit()


def _name(element: Element) -> str:
    return "@context" if isinstance(element, Context) else element.name


def _remove(kept: dict[str, Element], change: OntologyChange, named: set[str]) -> None:
    violations = []
    for index, name in enumerate(change.remove):
        if name in change.remove[:index]:
            violations.append(Violation(f"remove[{index}]", f"{name!r} is named twice"))
        elif name in named:
            violations.append(Violation(f"remove[{index}]", f"{name!r} is declared by the same change"))
        elif name == "@context" or name not in kept:
            violations.append(Violation(f"remove[{index}]", f"there is no class or enum {name!r}"))
    refuse(violations)
    for name in change.remove:
        del kept[name]


@dataclass(frozen=True, slots=True)
class AffectedClasses:
    """What a change of the ontology asks of existing documents, by their classes (of the old ontology, concrete).

    `revalidate`: documents may no longer fit, or have another canonical form. `reindex`: which of their properties are
    links has changed (a part of `revalidate` or not). `rekeyed`: their ids would be made otherwise, so that the change
    is only sound while there are none.
    """

    revalidate: frozenset[str]
    reindex: frozenset[str]
    rekeyed: frozenset[str]


def affected_classes(old: Ontology, new: Ontology) -> AffectedClasses:
    """The classes whose documents a change concerns. What only weakens a class does not affect it: further classes,
    enum values, optional properties and Sets, required becoming optional, wider ranges of links, notes.
    """
    before, after = old.hierarchy, new.hierarchy
    revalidate, reindex, rekeyed = set(), set(), set()
    for name, cls in before.classes.items():
        if cls.abstract:
            continue
        successor = after.classes.get(name)
        if successor is None or successor.abstract:
            revalidate.add(name)
            continue
        if successor.effective_key != cls.effective_key:
            rekeyed.add(name)
        if _links(before, name) != _links(after, name):
            reindex.add(name)
        if not _weakened(before, after, name):
            revalidate.add(name)
    return AffectedClasses(frozenset(revalidate), frozenset(reindex), frozenset(rekeyed))


def _links(hierarchy: Hierarchy, name: str) -> set[str]:
    return {declared.name for declared in hierarchy.properties[name].values() if hierarchy.is_link(declared)}


def _weakened(before: Hierarchy, after: Hierarchy, name: str) -> bool:
    """Whether every document of the class that fitted before fits after, in the same canonical form."""
    old, new = before.properties[name], after.properties[name]
    if any(declared.is_required for key, declared in new.items() if key not in old):
        return False
    return all(key in new and _widened(before, after, declared, new[key]) for key, declared in old.items())


def _widened(before: Hierarchy, after: Hierarchy, old: Property, new: Property) -> bool:
    loosened = old.family is Family.REQUIRED and new.family is Family.OPTIONAL
    if new.family is not old.family and not loosened:
        return False
    if before.is_link(old):
        return after.is_link(new) and before.concrete(old.range) <= after.concrete(new.range)
    if old.range in before.enums:
        enum = after.enums.get(new.range)
        return enum is not None and set(before.enums[old.range].values) <= set(enum.values)
    return old.range == new.range
