"""What an ontology's elements come to once they fit together."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ontomesh_data_kernel.domain.ontology.model import ClassDef, EnumDef, Property


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """Classes and enums that fit together, with what follows from inheritance.

    `properties` has every class's own and inherited ones by name, those of `one_of` among them; `ancestors` and
    `subclasses` include the class. `indexed` has, by class, the type (`xsd:...` or `enum`) of every indexed path, unique
    ones included; `unique` the paths by class and the class that declared each; `dangling` the links that may dangle.
    `links` has the links that lead out of subdocuments, by path, with their ranges; those of the class itself are its
    properties. `holding` has the subdocuments that may hold links, however deep.
    `groups` has the groups of properties of which a document has exactly one. `silent` has the classes of whose
    documents commits make no events.
    """

    classes: Mapping[str, ClassDef]
    enums: Mapping[str, EnumDef]
    properties: Mapping[str, Mapping[str, Property]]
    ancestors: Mapping[str, frozenset[str]]
    subclasses: Mapping[str, frozenset[str]]
    indexed: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    unique: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    dangling: Mapping[str, frozenset[str]] = field(default_factory=dict)
    links: Mapping[str, Mapping[str, frozenset[str]]] = field(default_factory=dict)
    groups: Mapping[str, tuple[frozenset[str], ...]] = field(default_factory=dict)
    holding: frozenset[str] = frozenset()
    silent: frozenset[str] = frozenset()

    def concrete(self, name: str) -> frozenset[str]:
        """The class and its subclasses, without the abstract ones: what documents of it can be, or subdocuments if it
        is one.
        """
        is_sub = self.classes[name].subdocument
        found = (self.classes[sub] for sub in self.subclasses[name])
        return frozenset(sub.name for sub in found if not sub.abstract and sub.subdocument == is_sub)

    def containing(self, inner: Iterable[str]) -> frozenset[str]:
        """Those of the classes, and the classes that may have them as subdocuments, however deep; no abstract ones."""
        holders: dict[str, list[str]] = {}
        for name, properties in self.properties.items():
            if not self.classes[name].abstract:
                for range_ in {one.range for one in properties.values() if self.is_embedded(one)}:
                    holders.setdefault(range_, []).append(name)
        found = {name for name in inner if not self.classes[name].abstract}
        frontier = list(found)
        while frontier:
            for range_ in self.ancestors[frontier.pop()]:
                more = [name for name in holders.pop(range_, ()) if name not in found]
                found.update(more)
                frontier += more
        return frozenset(found)

    def is_link(self, declared: Property) -> bool:
        """Whether the property's values are ids of documents."""
        cls = self.classes.get(declared.range)
        return cls is not None and not cls.subdocument

    def is_embedded(self, declared: Property) -> bool:
        """Whether the property's values are subdocuments."""
        cls = self.classes.get(declared.range)
        return cls is not None and cls.subdocument
