"""Fitting elements together: inheritance, ranges and keys."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from ontomesh_data_kernel.domain.ontology.hierarchy import Hierarchy
from ontomesh_data_kernel.domain.ontology.hints import MAX_HINTS, near
from ontomesh_data_kernel.domain.ontology.model import JSON, UNIT, ClassDef, EnumDef, Family, KeyKind, Property
from ontomesh_data_kernel.domain.ontology.paths import Paths
from ontomesh_data_kernel.errors import Violation

MAX_ANCESTORS = 64
MAX_PROPERTIES = 100_000
"""Of all classes together, inherited ones counted for each: a short schema must not become a large ontology."""


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
        self._groups: dict[str, tuple[frozenset[str], ...]] = {}

    def resolve(self) -> Hierarchy:
        """The hierarchy; of no use if there are violations."""
        for name, cls in self._classes.items():
            self._check_parents(name, cls)
            for declared in _declared(cls):
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
        hierarchy = Hierarchy(
            self._classes, self._enums, self._properties, self._ancestors, frozen, groups=self._groups
        )
        if self.violations:
            return hierarchy
        paths = Paths(hierarchy, self._refuse)
        return replace(paths.flattened(), silent=self._silent())

    def _silent(self) -> frozenset[str]:
        """The classes that want no events: those that say so, or have such a parent and do not say otherwise."""
        found: set[str] = set()
        for name in sorted(self._classes, key=lambda name: (len(self._ancestors[name]), name)):
            cls = self._classes[name]
            if cls.subdocument and cls.events is not None:
                where = "@metadata.ontomesh.events"
                self._refuse(name, where, "a subdocument has no events of its own: say it in the classes that hold it")
            if cls.events is False or (cls.events is None and not found.isdisjoint(cls.parents)):
                found.add(name)
        return frozenset(found)

    def _refuse(self, name: str, path: str, description: str) -> None:
        self.violations.append(Violation(f"{self._places[name]}.{path}", description))

    def _check_parents(self, name: str, cls: ClassDef) -> None:
        for parent in cls.parents:
            if parent in self._enums:
                self._refuse(name, "@inherits", f"{parent} is an enum, not a class")
            elif parent not in self._classes:
                self._refuse(name, "@inherits", f"there is no class {parent!r}{self._hint(parent)}")
            else:
                self._check_kind(name, cls, self._classes[parent])

    def _check_kind(self, name: str, cls: ClassDef, parent: ClassDef) -> None:
        if parent.subdocument and not cls.subdocument:
            self._refuse(name, "@subdocument", f"is required, as in the parent {parent.name}: a subclass is one too")
        elif cls.subdocument and not parent.subdocument and not parent.abstract:
            self._refuse(name, "@inherits", f"{parent.name} has documents of its own, which a subdocument is none of")

    def _check_range(self, name: str, declared: Property) -> None:
        if declared.is_scalar or declared.range in (JSON, UNIT):
            return
        if declared.range not in self._classes and declared.range not in self._enums:
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
            own = {declared.name for declared in _declared(cls)}
            merged = {declared.name: declared for declared in _declared(cls)}
            for parent in cls.parents:
                for declared in self._properties[parent].values():
                    mine = merged.setdefault(declared.name, declared)
                    if self._refines(mine, declared):
                        continue
                    if declared.name not in own and self._refines(declared, mine):
                        merged[declared.name] = declared
                    else:
                        self._refuse(
                            current, declared.name, f"is incompatible with {declared.name} of the parent {parent}"
                        )
            self._properties[current] = merged
            inherited = [group for parent in cls.parents for group in self._groups[parent]]
            self._groups[current] = tuple(dict.fromkeys([*inherited, *map(frozenset, cls.one_of)]))
            total += len(merged)
            if total > MAX_PROPERTIES:
                self._refuse(current, "@inherits", f"classes have more than {MAX_PROPERTIES:,} properties in all")
                return

    def _refines(self, narrow: Property, wide: Property) -> bool:
        """Whether every value of `narrow` is one of `wide`."""
        same_range = narrow.range == wide.range or (
            wide.range in self._ancestors.get(narrow.range, ())
            and self._classes[narrow.range].subdocument == self._classes[wide.range].subdocument
        )
        if not same_range:
            return False
        if narrow.family is Family.REQUIRED and wide.family is Family.OPTIONAL:
            return True
        return narrow.family is wide.family and within(narrow, wide)

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


def _declared(cls: ClassDef) -> Iterator[Property]:
    """The class's own properties, alternatives among them."""
    yield from cls.properties.values()
    for group in cls.one_of:
        yield from group.values()


def within(narrow: Property, wide: Property) -> bool:
    """Whether a property of the same family holds as many values at least, and at most, as another one allows."""
    if narrow.minimum < wide.minimum or narrow.dimensions != wide.dimensions:
        return False
    return wide.maximum is None or (narrow.maximum is not None and narrow.maximum <= wide.maximum)
