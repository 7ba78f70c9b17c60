"""Paths of properties against an ontology: from the classes that a document may have, hop by hop.

What goes wrong is a PathFault, which says at which name of the path; who reads the path knows where that stands.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ontomesh_data_kernel.domain.ontology import Family, Ontology, Property, near
from ontomesh_data_kernel.domain.query.tree import Hop, Path

MAX_HOPS = 8

JSON = "sys:JSON"
SUBDOCUMENT = "subdocument"

_NAMED_CLASSES = 4
_SINGLE = (Family.REQUIRED, Family.OPTIONAL)


class PathFault(Exception):
    """A path leads nowhere; `index` is the name at fault."""

    def __init__(self, index: int, description: str) -> None:
        super().__init__(description)
        self.index = index
        self.description = description


@dataclass(frozen=True, slots=True)
class Found:
    """A path and what the ontology says of its end: the values of its enums, the range of its links, and whether
    every hop has at most one value.
    """

    path: Path
    enum_values: tuple[str, ...] = ()
    range: str = ""
    is_single: bool = True


class Paths:
    """Resolves paths of documents of these concrete classes; every path once. Not for several threads."""

    def __init__(self, ontology: Ontology, classes: Collection[str]) -> None:
        self._hierarchy = ontology.hierarchy
        self._classes = tuple(sorted(classes))
        self._found: dict[tuple[str, ...], Found] = {}

    def find(self, names: Sequence[str]) -> Found:
        """The path of these names; `type` is `sys:JSON` or `subdocument` where it ends at one. Raises PathFault."""
        key = tuple(names)
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = self._find(key)
        return found

    def _find(self, names: tuple[str, ...]) -> Found:
        if len(names) > MAX_HOPS:
            raise PathFault(MAX_HOPS, f"at most {MAX_HOPS} names are allowed in a path")
        classes, is_single = self._classes, True
        hops: list[Hop] = []
        found: Found | None = None
        for index, name in enumerate(names):
            if hops and not hops[-1].targets:
                kind = "holds any JSON" if found and found.path.type == JSON else "holds values"
                raise PathFault(index, f"{names[index - 1]} {kind}, which no path leads into")
            if name in ("@id", "@type"):
                return self._own(names, index, hops, is_single)
            declared = self._declared(classes, name, index)
            hop, found, only = self._hop(declared, name, index)
            hops.append(hop)
            is_single = is_single and only
            classes = hop.targets
        if found is None:
            raise PathFault(0, "a property is due")
        path = Path(tuple(hops), found.path.type, self._is_indexed(hops))
        return Found(path, found.enum_values, found.range, is_single)

    def _is_indexed(self, hops: Sequence[Hop]) -> bool:
        """Whether all classes index what stands beyond the last link that the path follows."""
        begin = max((index + 1 for index, hop in enumerate(hops[:-1]) if not hop.is_embedded), default=0)
        name = ".".join(hop.name for hop in hops[begin:])
        return all(name in self._hierarchy.indexed.get(cls, ()) for cls in hops[begin].classes)

    def _own(self, names: tuple[str, ...], index: int, hops: list[Hop], is_single: bool) -> Found:
        """`@id` or `@type` of the documents, or subdocuments, reached."""
        name = names[index]
        if index != len(names) - 1:
            raise PathFault(index + 1, f"{name} is a text, which no path leads into")
        if name == "@id" and hops:
            if hops[-1].is_embedded:
                raise PathFault(index, "a subdocument has no @id")
            # The link is the id, so that nothing need be followed.
            return Found(Path(tuple(hops), "link"), range=" or ".join(hops[-1].targets), is_single=is_single)
        return Found(Path(tuple(hops), name), hops[-1].targets if hops else self._classes, is_single=is_single)

    def _declared(self, classes: tuple[str, ...], name: str, index: int) -> dict[str, Property]:
        properties = self._hierarchy.properties
        declared = {cls: properties[cls][name] for cls in classes if name in properties[cls]}
        if not declared:
            known = {known for cls in classes for known in properties[cls]}
            where = " or ".join(classes) if len(classes) <= _NAMED_CLASSES else f"any of {len(classes)} classes"
            raise PathFault(index, f"there is no property {name!r} in {where}{near(name, known)}")
        return declared

    def _hop(self, declared: dict[str, Property], name: str, index: int) -> tuple[Hop, Found, bool]:
        kinds: dict[str, str] = {}
        for cls, each in declared.items():
            kinds.setdefault(self._kind(each), cls)
        if len(kinds) > 1:
            of = " but ".join(f"{kind} in {cls}" for kind, cls in sorted(kinds.items())[:2])
            raise PathFault(index, f"{name} is {of}; ask for documents of one of them")
        kind = next(iter(kinds))
        ranges = {each.range for each in declared.values()}
        targets: tuple[str, ...] = ()
        if kind in ("link", SUBDOCUMENT):
            # A class without any concrete one has no documents, but still properties to check a path by.
            concrete = {cls for each in ranges for cls in self._hierarchy.concrete(each) or (each,)}
            targets = tuple(sorted(concrete))
        hop = Hop(name, tuple(sorted(declared)), targets, kind == SUBDOCUMENT)
        named = [self._hierarchy.enums[each] for each in sorted(ranges)] if kind == "enum" else []
        values = tuple(value for enum in named for value in enum.values)
        is_single = all(each.family in _SINGLE for each in declared.values())
        return hop, Found(Path((hop,), kind), values, " or ".join(sorted(ranges))), is_single

    def _kind(self, declared: Property) -> str:
        if declared.is_scalar:
            return declared.range
        if declared.range in self._hierarchy.enums:
            return "enum"
        if self._hierarchy.is_embedded(declared):
            return SUBDOCUMENT
        return "link" if self._hierarchy.is_link(declared) else JSON
