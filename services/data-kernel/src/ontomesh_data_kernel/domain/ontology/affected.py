"""Which documents a change of the ontology concerns."""

from collections.abc import Mapping
from dataclasses import dataclass

from ontomesh_data_kernel.domain.ontology.hierarchy import Hierarchy
from ontomesh_data_kernel.domain.ontology.model import Family, Property
from ontomesh_data_kernel.domain.ontology.ontology import Ontology
from ontomesh_data_kernel.domain.ontology.resolve import within


@dataclass(frozen=True, slots=True)
class AffectedClasses:
    """What a change of the ontology asks of existing documents, by their classes (of the old ontology, concrete).

    `revalidate`: documents may no longer fit, have another canonical form, share a value that is now unique, or hold
    links that may no longer dangle. `reindex`: which of their paths are links or indexed has changed (a part of
    `revalidate` or not). `rekeyed`: their ids would be made otherwise, so that the change is only sound while there are
    none.
    """

    revalidate: frozenset[str]
    reindex: frozenset[str]
    rekeyed: frozenset[str]


def affected_classes(old: Ontology, new: Ontology) -> AffectedClasses:
    """The classes whose documents a change concerns. What only weakens a class does not affect it: further classes,
    enum values, alternatives, optional properties and Sets, required becoming optional, wider ranges of links and
    subdocuments, wider cardinalities, uniqueness that ends, links that may dangle, notes.
    """
    before, after = old.hierarchy, new.hierarchy
    weakening = _Weakening(before, after)
    fresh = fresh_uniques(old, new)
    revalidate, reindex, rekeyed = set(), set(), set()
    for name, cls in before.classes.items():
        if cls.abstract or cls.subdocument:
            continue
        successor = after.classes.get(name)
        if successor is None or successor.abstract or successor.subdocument:
            revalidate.add(name)
            continue
        if successor.effective_key != cls.effective_key:
            rekeyed.add(name)
        if weakening.is_indexed_otherwise(name):
            reindex.add(name)
        if not weakening.holds(name) or name in fresh or before.dangling[name] - after.dangling[name]:
            revalidate.add(name)
    return AffectedClasses(frozenset(revalidate), frozenset(reindex), frozenset(rekeyed))


def fresh_uniques(old: Ontology, new: Ontology) -> Mapping[str, frozenset[str]]:
    """The paths, by concrete class, that are unique among other documents than before: their values may be shared. All
    classes that share the uniqueness are named, so that all their documents are compared.
    """
    before, after = old.hierarchy, new.hierarchy
    scopes: set[tuple[str, str]] = set()
    for name, paths in after.unique.items():
        if name not in before.classes or before.classes[name].abstract:
            continue
        known, properties = before.unique[name], before.properties[name]
        scopes.update(
            (declarer, path)
            for path, declarer in paths.items()
            if (known.get(path), before.indexed[name].get(path)) != (declarer, after.indexed[name][path])
            and path.partition(".")[0] in properties
        )
    fresh: dict[str, set[str]] = {}
    for declarer, path in scopes:
        for name in after.concrete(declarer):
            fresh.setdefault(name, set()).add(path)
    return {name: frozenset(paths) for name, paths in fresh.items()}


class _Weakening:
    """Tells of each class whether what fitted before fits after, in the same canonical form.

    Each class is looked at once, however many documents and subdocuments it lies in: a short schema may have a thousand
    subdocuments in each of a thousand classes.
    """

    def __init__(self, before: Hierarchy, after: Hierarchy) -> None:
        self._before, self._after = before, after
        self._wider: dict[tuple[str, str], bool] = {}
        concrete = [name for name, cls in before.classes.items() if not cls.abstract]
        self._stronger = before.containing(
            name for name in concrete if name not in after.classes or not self._is_weaker(name)
        )
        self._relinked = before.containing(name for name in concrete if self._links_otherwise(name))

    def holds(self, name: str) -> bool:
        """Whether every document of the class that fitted before fits after."""
        return name not in self._stronger

    def is_indexed_otherwise(self, name: str) -> bool:
        """Whether a document's links or indexed values may be others than before."""
        before, after = self._before, self._after
        # A document has no values of properties that are new.
        known = before.properties[name]
        indexed = {path: type for path, type in after.indexed[name].items() if path.partition(".")[0] in known}
        return before.indexed[name] != indexed or name in self._relinked

    def _links_otherwise(self, name: str) -> bool:
        """Whether other properties of the class itself are links, or hold subdocuments with links in them, than before."""
        now = self._after.properties.get(name)
        return now is not None and any(
            self._leads_otherwise(declared, now.get(key)) for key, declared in self._before.properties[name].items()
        )

    def _leads_otherwise(self, old: Property, new: Property | None) -> bool:
        before, after = self._before, self._after
        if new is not None and before.is_embedded(old) and after.is_embedded(new):
            return False  # the links in it are its classes' own
        was = before.is_link(old), old.range in before.holding
        return was != ((after.is_link(new), new.range in after.holding) if new is not None else (False, False))

    def _is_weaker(self, name: str) -> bool:
        old, new = self._before.properties[name], self._after.properties[name]
        if any(declared.is_required for key, declared in new.items() if key not in old):
            return False
        if not all(key in new and self._is_wider(declared, new[key]) for key, declared in old.items()):
            return False
        # A required property was a group of one.
        chosen = [frozenset((key,)) for key, declared in old.items() if declared.family is Family.REQUIRED]
        groups = [*self._before.groups[name], *chosen]
        return all(
            any(group <= wider and not (wider - group) & old.keys() for group in groups)
            for wider in self._after.groups[name]
        )

    def _is_wider(self, old: Property, new: Property) -> bool:
        loosened = old.family is Family.REQUIRED and new.family is Family.OPTIONAL
        if not loosened and not (new.family is old.family and within(old, new)):
            return False
        if old.range not in self._before.classes and old.range not in self._before.enums:
            return old.range == new.range
        ranges = (old.range, new.range)
        if ranges not in self._wider:
            self._wider[ranges] = self._is_wider_range(old, new)
        return self._wider[ranges]

    def _is_wider_range(self, old: Property, new: Property) -> bool:
        before, after = self._before, self._after
        if old.range in before.enums:
            enum = after.enums.get(new.range)
            return enum is not None and set(before.enums[old.range].values) <= set(enum.values)
        kind = after.is_link if before.is_link(old) else after.is_embedded
        return kind(new) and before.concrete(old.range) <= after.concrete(new.range)
