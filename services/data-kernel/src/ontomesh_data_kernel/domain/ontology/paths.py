"""Dotted paths of classes: what `@metadata` declares of them, and the links that stand within subdocuments."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from ontomesh_data_kernel.domain.ontology.hierarchy import Hierarchy
from ontomesh_data_kernel.domain.ontology.hints import near
from ontomesh_data_kernel.domain.ontology.model import MAX_HOPS, ClassDef, Property

MAX_INDEXED = 64
"""Indexed paths of one class, inherited and unique ones among them: each costs every write of a document."""
MAX_LINK_PATHS = 10_000
"""Paths of links within subdocuments, of all classes together: subdocuments that contain each other have many."""

Refuse = Callable[[str, str, str], None]
"""Notes a fault: (class, where in it, description)."""


class Paths:
    """Works out the paths of a hierarchy whose elements fit together otherwise."""

    def __init__(self, hierarchy: Hierarchy, refuse: Refuse) -> None:
        self._hierarchy = hierarchy
        self._refuse = refuse
        self._holding = self._holding_links()
        self._leading: dict[str, tuple[Property, ...]] = {}

    def flattened(self) -> Hierarchy:
        """The hierarchy with its paths; of no use if something was refused."""
        indexed: dict[str, dict[str, str]] = {}
        unique: dict[str, dict[str, str]] = {}
        dangling: dict[str, frozenset[str]] = {}
        ancestors, classes = self._hierarchy.ancestors, self._hierarchy.classes
        # A class has more ancestors than each of its parents.
        for name in sorted(classes, key=lambda name: (len(ancestors[name]), name)):
            cls = classes[name]
            own = self._own(cls)
            above = [indexed[parent] for parent in cls.parents]
            indexed[name] = {path: type for paths in (*above, own) for path, type in paths.items()}
            if len(indexed[name]) > MAX_INDEXED:
                where = "@metadata.ontomesh.indexed"
                self._refuse(name, where, f"{name} has more than {MAX_INDEXED} indexed paths, inherited ones included")
            unique[name] = self._unique(cls, unique)
            inherited: Iterable[str] = (path for parent in cls.parents for path in dangling[parent])
            dangling[name] = frozenset((*inherited, *cls.dangling))
        links = self._links()
        return replace(
            self._hierarchy, indexed=indexed, unique=unique, dangling=dangling, links=links, holding=self._holding
        )

    def _own(self, cls: ClassDef) -> dict[str, str]:
        """Check what the class declares, and return the types of the paths that it indexes."""
        listed = {"indexed": cls.indexed, "unique": cls.unique, "dangling": cls.dangling}
        types: dict[str, str] = {}
        for key, paths in listed.items():
            for index, path in enumerate(paths):
                where = f"@metadata.ontomesh.{key}[{index}]"
                if cls.subdocument:
                    self._refuse(
                        cls.name, where, "a subdocument is indexed by the classes that hold it: declare it there"
                    )
                    continue
                declared = self._follow(cls, path, where)
                fault = self._fault(declared, is_link=key == "dangling") if declared is not None else ""
                if fault:
                    self._refuse(cls.name, where, fault)
                elif declared is not None and key != "dangling":
                    types[path] = declared.range if declared.is_scalar else "enum"
        return types

    def _follow(self, cls: ClassDef, path: str, where: str) -> Property | None:
        """The property at the end of a path through subdocuments; what is wrong with the path is noted."""
        holder, *hops = cls.name, *path.split(".")
        for index, hop in enumerate(hops):
            properties = self._hierarchy.properties[holder]
            declared = properties.get(hop)
            if declared is None:
                self._refuse(cls.name, where, f"{holder} has no property {hop!r}{near(hop, properties, 1)}")
                return None
            if index == len(hops) - 1:
                return declared
            if not self._hierarchy.is_embedded(declared):
                leads = "leads to other documents" if self._hierarchy.is_link(declared) else f"is of {declared.range}"
                self._refuse(cls.name, where, f"{hop} {leads}; such a path leads through subdocuments alone")
                return None
            holder = declared.range
        return None

    def _fault(self, declared: Property, *, is_link: bool) -> str:
        name = declared.name
        if self._hierarchy.is_link(declared):
            return "" if is_link else f"{name} is a link, and links have an index always"
        if is_link:
            return f"{name} is no link, which alone can dangle"
        if self._hierarchy.is_embedded(declared):
            return f"{name} is a subdocument: name one of its properties, such as {name}.city"
        if declared.is_scalar or declared.range in self._hierarchy.enums:
            return ""
        return f"{name} is of {declared.range}, which has no index"

    def _unique(self, cls: ClassDef, known: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
        """The class's unique paths and who declared each: the uppermost, so that a subclass may repeat it."""
        merged: dict[str, str] = {}
        for parent in cls.parents:
            for path, declarer in known[parent].items():
                other = merged.setdefault(path, declarer)
                if other != declarer:
                    where = "@inherits"
                    both = f"{other} and {declarer} both declare {path} unique, each among its own documents"
                    self._refuse(cls.name, where, f"{both}: declare it once, in a class that both inherit from")
        for path in cls.unique:
            merged.setdefault(path, cls.name)
        return merged

    # Links within subdocuments

    def _links(self) -> dict[str, dict[str, frozenset[str]]]:
        found: dict[str, dict[str, frozenset[str]]] = {}
        total = 0
        for name, cls in self._hierarchy.classes.items():
            if cls.subdocument:
                continue
            within = self._within(name)
            total += len(within)
            if total > MAX_LINK_PATHS:
                fault = (
                    f"more than {MAX_LINK_PATHS:,} paths of up to {MAX_HOPS} properties lead to links in subdocuments"
                )
                self._refuse(name, "@subdocument", f"{fault}, which contain each other")
                break
            if within:
                found[name] = {path: frozenset(ranges) for path, ranges in within.items()}
        return found

    def _within(self, name: str) -> dict[str, set[str]]:
        """The paths to links within the subdocuments of a class, with the ranges of each; a few too many are enough."""
        found: dict[str, set[str]] = {}
        layer = {("", name): None}
        for depth in range(MAX_HOPS):
            deeper: dict[tuple[str, str], None] = {}
            for prefix, holder in layer:
                for declared in self._of_range(holder) if depth else self._leading_to_links(holder):
                    if not self._hierarchy.is_link(declared):
                        deeper[f"{prefix}{declared.name}.", declared.range] = None
                    elif depth:
                        found.setdefault(prefix + declared.name, set()).add(declared.range)
                if len(found) + len(deeper) > MAX_LINK_PATHS:
                    return found | {f"{prefix}{range_}": {range_} for prefix, range_ in deeper}
            layer = deeper
        return found

    def _of_range(self, range_: str) -> tuple[Property, ...]:
        """The properties of subdocuments of a range that are links or lead to some, each once."""
        if range_ not in self._leading:
            possible = (one for cls in self._hierarchy.concrete(range_) for one in self._leading_to_links(cls))
            self._leading[range_] = tuple({(one.name, one.range): one for one in possible}.values())
        return self._leading[range_]

    def _leading_to_links(self, name: str) -> Iterator[Property]:
        for declared in self._hierarchy.properties[name].values():
            if declared.range in self._holding or self._hierarchy.is_link(declared):
                yield declared

    def _holding_links(self) -> frozenset[str]:
        """The subdocuments that may hold a link, however deep; abstract ones by what inherits from them."""
        hierarchy = self._hierarchy
        linking = (
            name
            for name, properties in hierarchy.properties.items()
            if hierarchy.classes[name].subdocument and any(hierarchy.is_link(one) for one in properties.values())
        )
        reached = {ancestor for name in hierarchy.containing(linking) for ancestor in hierarchy.ancestors[name]}
        return frozenset(name for name in reached if hierarchy.classes[name].subdocument)
