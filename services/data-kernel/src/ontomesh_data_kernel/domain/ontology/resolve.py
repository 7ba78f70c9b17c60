"""Fitting elements together: inheritance, ranges and keys."""

from collections.abc import Mapping
from dataclasses import dataclass

from ontomesh_data_kernel.domain.ontology.hints import MAX_HINTS, near
from ontomesh_data_kernel.domain.ontology.model import ClassDef, EnumDef, Family, KeyKind, Property
from ontomesh_data_kernel.errors import Violation

MAX_ANCESTORS = 64
MAX_PROPERTIES = 100_000
"""Of all classes together, inherited ones counted for each: a short schema must not become a large ontology."""


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """Classes and enums that fit together, with what follows from inheritance.

    `properties` has every class's own and inherited ones by name; `ancestors` and `subclasses` include the class.
    """

    classes: Mapping[str, ClassDef]
    enums: Mapping[str, EnumDef]
    properties: Mapping[str, Mapping[str, Property]]
    ancestors: Mapping[str, frozenset[str]]
    subclasses: Mapping[str, frozenset[str]]

    def concrete(self, name: str) -> frozenset[str]:
        """The class and its subclasses, without the abstract ones: what documents of it can be."""
        return frozenset(sub for sub in self.subclasses[name] if not self.classes[sub].abstract)

    def is_link(self, declared: Property) -> bool:
        """Whether the property's values are ids of documents."""
        return declared.range in self.classes


class Resolver:
    """Resolves classes and enums and collects what does not fit; `places` says where each element stands."""

    def __init__(
        self, classes: Mapping[str, ClassDef], enums: Mapping[str, EnumDef], places: Mapping[str, str]
    ) -> None:
        self.violations: list[Violation] = []
        self._classes = classes
        self._enums = enums
        self._places = places
        self._ancestors: dict[str, frozenset[str]] = {}
        self._properties: dict[str, dict[str, Property]] = {}

    def resolve(self) -> Hierarchy:
        """The hierarchy; of no use if there are violations."""
        for name, cls in self._classes.items():
            self._check_parents(name, cls)
            for declared in cls.properties.values():
                self._check_range(name, declared)
        if not self.violations:
            self._find_ancestors()
        if not self.violations:
            self._flatten()
        if not self.violations:
            for name, cls in self._classes.items():
                self._check_key(name, cls)
        subclasses: dict[str, set[str]] = {name: set() for name in self._classes}
        for name, ancestors in self._ancestors.items():
            for ancestor in ancestors:
                subclasses[ancestor].add(name)
        frozen = {name: frozenset(subs) for name, subs in subclasses.items()}
        return Hierarchy(self._classes, self._enums, self._properties, self._ancestors, frozen)

    def _refuse(self, name: str, path: str, description: str) -> None:
        self.violations.append(Violation(f"{self._places[name]}.{path}", description))

    def _check_parents(self, name: str, cls: ClassDef) -> None:
        for parent in cls.parents:
            if parent in self._enums:
                self._refuse(name, "@inherits", f"{parent} is an enum, not a class")
            elif parent not in self._classes:
                self._refuse(name, "@inherits", f"there is no class {parent!r}{self._hint(parent)}")

    def _check_range(self, name: str, declared: Property) -> None:
        if not declared.is_scalar and declared.range not in self._classes and declared.range not in self._enums:
            hint = self._hint(declared.range)
            self._refuse(name, declared.name, f"there is no class or enum {declared.range!r}{hint}")

    def _hint(self, name: str) -> str:
        return near(name, [*self._classes, *self._enums], 1) if len(self.violations) < MAX_HINTS else ""

    def _find_ancestors(self) -> None:
        done: set[str] = set()
        for name in self._classes:
            # Iterative: a long chain of parents must not exhaust the stack.
            path: dict[str, None] = {}
            stack = [(name, False)]
            while stack:
                current, leaving = stack.pop()
                if leaving:
                    del path[current]
                    done.add(current)
                    ancestors = {current}.union(*(self._ancestors[up] for up in self._classes[current].parents))
                    if len(ancestors) > MAX_ANCESTORS:
                        self._refuse(current, "@inherits", f"{current} has more than {MAX_ANCESTORS} ancestors")
                        return
                    self._ancestors[current] = frozenset(ancestors)
                elif current in path:
                    circle = [*list(path)[list(path).index(current) :], current]
                    self._refuse(current, "@inherits", f"is its own ancestor: {' -> '.join(circle)}")
                    return
                elif current not in done:
                    path[current] = None
                    stack.append((current, True))
                    stack.extend((parent, False) for parent in self._classes[current].parents)

    def _flatten(self) -> None:
        total = 0
        # A class has more ancestors than each of its parents, so that its parents are flattened before it.
        for current in sorted(self._classes, key=lambda name: (len(self._ancestors[name]), name)):
            cls = self._classes[current]
            merged = dict(cls.properties)
            for parent in cls.parents:
                for declared in self._properties[parent].values():
                    mine = merged.setdefault(declared.name, declared)
                    if self._refines(mine, declared):
                        continue
                    if declared.name not in cls.properties and self._refines(declared, mine):
                        merged[declared.name] = declared
                    else:
                        self._refuse(
                            current, declared.name, f"is incompatible with {declared.name} of the parent {parent}"
                        )
            self._properties[current] = merged
            total += len(merged)
            if total > MAX_PROPERTIES:
                self._refuse(current, "@inherits", f"classes have more than {MAX_PROPERTIES:,} properties in all")
                return

    def _refines(self, narrow: Property, wide: Property) -> bool:
        """Whether every value of `narrow` is one of `wide`."""
        same_range = narrow.range == wide.range or wide.range in self._ancestors.get(narrow.range, ())
        tightened = narrow.family is Family.REQUIRED and wide.family is Family.OPTIONAL
        return same_range and (narrow.family is wide.family or tightened)

    def _check_key(self, name: str, cls: ClassDef) -> None:
        if cls.key is None or cls.key.kind not in (KeyKind.LEXICAL, KeyKind.HASH):
            return
        properties = self._properties[name]
        for index, field in enumerate(cls.key.fields):
            declared = properties.get(field)
            if declared is None:
                hint = near(field, properties, 1) if len(self.violations) < MAX_HINTS else ""
                self._refuse(name, f"@key.@fields[{index}]", f"{name} has no property {field!r}{hint}")
            elif declared.family is not Family.REQUIRED:
                family = declared.family.value
                self._refuse(name, f"@key.@fields[{index}]", f"{field} is {family}; a key's property is required")
