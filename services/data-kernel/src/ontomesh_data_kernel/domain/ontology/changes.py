"""Changing an ontology, and which documents a change concerns."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from ontomesh_data_kernel.domain.ontology.model import SCHEMA_PREFIX, Context, Element
from ontomesh_data_kernel.domain.ontology.ontology import Ontology, parse_elements, refuse
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
    return apply_to(base.elements, change)


def apply_to(elements: Iterable[Element], change: OntologyChange) -> Ontology:
    """As `apply`, to elements that need not fit together by themselves."""
    named = parse_elements(change.elements)
    if change.mode is ChangeMode.REPLACE:
        if change.remove:
            refuse([Violation("remove", "goes with upserting; replacing removes whatever is not named")])
        return Ontology.of(named).within_limit()
    kept = {_name(element): element for element in elements}
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
