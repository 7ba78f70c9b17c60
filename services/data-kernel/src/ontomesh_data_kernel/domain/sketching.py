"""An ontology in the making: elements in the schema language that need not fit together yet.

The steps of a migration are taken one after another, and only what the last one leaves must be sound. Elements are JSON
as `element_json` writes it.
"""

from collections.abc import Collection, Iterator, Mapping
from copy import deepcopy
from typing import Any, NamedTuple

from ontomesh_data_kernel.domain.ontology.hints import near
from ontomesh_data_kernel.domain.ontology.model import Element, element_json
from ontomesh_data_kernel.errors import InvalidSchema

Declaration = str | dict[str, Any]
Json = dict[str, Any]

_CLASSES = ("Class", "TaggedUnion")
_INDEXES = ("indexed", "unique", "dangling")
_MANY = ("List", "Set", "Array", "Cardinality")


class Hop(NamedTuple):
    """A property of a path: the class that declares it, its name and declaration."""

    owner: str
    name: str
    declared: Declaration


class Sketch:
    """Elements by name; `@context` is the context's."""

    def __init__(self, elements: Mapping[str, Json]) -> None:
        self.elements: dict[str, Json] = dict(elements)
        self._ancestors: dict[str, frozenset[str]] = {}
        self._subclasses: dict[str, set[str]] = {}
        self._properties: dict[str, Mapping[str, Declaration]] = {}

    def copy(self) -> "Sketch":
        """The same elements, which stay as they are now."""
        return Sketch(deepcopy(self.elements))

    def touch(self) -> None:
        """Forget what was worked out: an element has changed."""
        self._ancestors.clear()
        self._subclasses.clear()
        self._properties.clear()

    @classmethod
    def of(cls, elements: Collection[Element]) -> "Sketch":
        """A sketch to change; the elements themselves stay as they are."""
        values = (deepcopy(element_json(element)) for element in elements)
        return cls({str(value.get("@id", "@context")): value for value in values})

    def over(self, elements: Mapping[str, Json]) -> "Sketch":
        """This sketch with some elements in the place of its own."""
        return Sketch(self.elements | dict(elements))

    # What there is

    def is_class(self, name: str) -> bool:
        """Whether there is a class of this name."""
        return name != "@context" and self.elements.get(name, {}).get("@type") in _CLASSES

    def is_subdocument(self, name: str) -> bool:
        """Whether there is a class of this name whose values lie within documents."""
        return self.is_class(name) and "@subdocument" in self.elements[name]

    def is_abstract(self, name: str) -> bool:
        """Whether the class has no documents of just itself."""
        return "@abstract" in self.elements[name]

    def named(self, name: str, field: str) -> str:
        """The name, if it is a class's. Raises InvalidSchema."""
        if not self.is_class(name):
            known = [one for one in self.elements if self.is_class(one)]
            raise InvalidSchema.at(field, f"there is no class {name!r}{near(name, known)}")
        return name

    def classes(self) -> list[str]:
        """The names of all classes."""
        return [name for name in self.elements if self.is_class(name)]

    def parents(self, name: str) -> list[str]:
        """The classes that a class names as its parents, those that there are."""
        given = self.elements[name].get("@inherits", [])
        return [one for one in (given if isinstance(given, list) else [given]) if self.is_class(one)]

    def ancestors(self, name: str) -> frozenset[str]:
        """The class and all it inherits from."""
        known = self._ancestors.get(name)
        if known is None:
            found: set[str] = set()
            waiting = [name]
            while waiting:
                one = waiting.pop()
                if one not in found:
                    found.add(one)
                    waiting += self.parents(one)
            known = self._ancestors[name] = frozenset(found)
        return known

    def subclasses(self, name: str) -> set[str]:
        """The class and all that inherit from it."""
        if not self._subclasses:
            for one in self.classes():
                for ancestor in self.ancestors(one):
                    self._subclasses.setdefault(ancestor, set()).add(one)
        return set(self._subclasses.get(name, ()))

    def groups(self, name: str) -> list[Json]:
        """The `@oneOf` groups of a class."""
        given = self.elements[name].get("@oneOf", [])
        return given if isinstance(given, list) else [given]

    def home(self, name: str, property: str) -> Json | None:
        """The object that holds a class's own declaration of a property: the element, or a group of it."""
        places = [self.elements[name], *self.groups(name)]
        return next((place for place in places if property in place), None)

    def own(self, name: str) -> dict[str, Declaration]:
        """A class's own properties, those of its groups among them."""
        merged: Json = {}
        for place in (*self.groups(name), self.elements[name]):
            merged |= {key: declared for key, declared in place.items() if not key.startswith("@")}
        return merged

    def properties(self, name: str) -> Mapping[str, Declaration]:
        """A class's own and inherited properties."""
        known = self._properties.get(name)
        if known is None:
            merged: dict[str, Declaration] = {}
            for ancestor in sorted(self.ancestors(name), key=lambda one: (len(self.ancestors(one)), one)):
                merged |= self.own(ancestor)
            known = self._properties[name] = merged
        return known

    def declared(self, name: str, property: str, field: str) -> Declaration:
        """A class's own declaration of a property. Raises InvalidSchema."""
        own = self.own(name)
        if property not in own:
            holders = [one for one in self.ancestors(name) if property in self.own(one)]
            if holders:
                raise InvalidSchema.at(
                    field, f"{name} inherits {property!r} from {sorted(holders)[0]}: name that class"
                )
            known = self.properties(name)
            raise InvalidSchema.at(field, f"{name} has no property {property!r}{near(property, known)}")
        return own[property]

    def is_choice(self, name: str, property: str) -> bool:
        """Whether the property is one of a group, of which a document has exactly one."""
        return self.elements[name]["@type"] == "TaggedUnion" or property not in self.elements[name]

    def hops(self, name: str, path: str, field: str) -> list[Hop]:
        """The properties of a dotted path from a class, each but the last with one subdocument. Raises InvalidSchema."""
        found: list[Hop] = []
        owner = name
        *leading, last = path.split(".")
        for part in leading:
            properties = self.properties(owner)
            declared = properties.get(part)
            if declared is None:
                raise InvalidSchema.at(field, f"{owner} has no property {part!r}{near(part, properties)}")
            if family_of(declared) in _MANY or not self.is_subdocument(range_of(declared)):
                raise InvalidSchema.at(field, f"{part!r} of {owner} does not hold one subdocument")
            found.append(Hop(owner, part, declared))
            owner = range_of(declared)
        found.append(Hop(owner, last, self.properties(owner).get(last, "")))
        return found

    # Which documents a class's objects lie in

    def embedded(self) -> dict[str, tuple[str, ...]]:
        """The properties of each class that hold subdocuments."""
        return {
            name: tuple(p for p, declared in self.properties(name).items() if self.is_subdocument(range_of(declared)))
            for name in self.classes()
        }

    def holding(self, targets: Collection[str]) -> set[str]:
        """The classes of documents that are of these classes, or hold subdocuments that are."""
        holders = set(targets)
        ranges = {
            name: [
                self.subclasses(range_of(declared))
                for declared in self.properties(name).values()
                if self.is_subdocument(range_of(declared))
            ]
            for name in self.classes()
        }
        grown = True
        while grown:
            more = {name for name, held in ranges.items() if name not in holders and any(one & holders for one in held)}
            holders |= more
            grown = bool(more)
        return {name for name in holders if self.is_class(name) and not self.is_subdocument(name)}

    def links_to(self, name: str) -> dict[str, tuple[str, ...]]:
        """The properties of each class that may link to documents of just this class."""
        ranges = self.ancestors(name)
        links = {
            one: tuple(p for p, declared in self.properties(one).items() if range_of(declared) in ranges)
            for one in self.classes()
        }
        return {one: properties for one, properties in links.items() if properties}

    # Changing it

    def rename(self, name: str, to: str) -> None:
        """Give an element another name, wherever it is named."""
        self.touch()
        self.elements[to] = self.elements.pop(name) | {"@id": to}
        for element in self.elements.values():
            given = element.get("@inherits", [])
            if name in (given if isinstance(given, list) else [given]):
                renamed = [to if one == name else one for one in (given if isinstance(given, list) else [given])]
                element["@inherits"] = sorted(renamed) if isinstance(given, list) else renamed[0]
        for owner in self.classes():
            for place in (self.elements[owner], *self.groups(owner)):
                for key, declared in place.items():
                    if not key.startswith("@") and range_of(declared) == name:
                        place[key] = to if isinstance(declared, str) else declared | {"@class": to}

    def remove(self, name: str, property: str) -> Declaration | None:
        """Take a class's own declaration of a property out; None if it has none."""
        place = self.home(name, property)
        if place is None:
            return None
        self._properties.clear()
        declared: Declaration = place.pop(property)
        groups = [group for group in self.groups(name) if group]
        if "@oneOf" in self.elements[name]:
            self.elements[name]["@oneOf"] = groups
            if not groups:
                del self.elements[name]["@oneOf"]
        return declared

    def hand_down(self, name: str, to: str, property: str) -> None:
        """Let a class below declare the indexes that begin with a property."""
        above = self._indexes(name)
        for kind in _INDEXES:
            listed = [str(one) for one in above.get(kind, [])]
            moved = [one for one in listed if one.split(".")[0] == property]
            if moved:
                above[kind] = [one for one in listed if one not in moved]
                notes = self.elements[to].setdefault("@metadata", {}).setdefault("ontomesh", {})
                # The class below may have declared them as well.
                notes[kind] = list(dict.fromkeys([*notes.get(kind, []), *moved]))

    def _indexes(self, name: str) -> Json:
        notes = self.elements[name].get("@metadata")
        declared = notes.get("ontomesh") if isinstance(notes, dict) else None
        return declared if isinstance(declared, dict) else {}

    def rewrite(self, owners: Collection[str], path: list[str], to: list[str] | None) -> None:
        """Let keys, indexes and documentation name a property by its new path, or no more, wherever it is reached."""
        for name, element in self.elements.items():
            if not self.is_class(name) or (name not in owners and "@metadata" not in element):
                continue
            indexes = self._indexes(name)
            for kind in _INDEXES:
                if isinstance(indexes.get(kind), list):
                    indexes[kind] = list(dict.fromkeys(self._rewritten(name, indexes[kind], owners, path, to)))
            if name in owners and len(path) == 1:
                key = element.get("@key", {})
                if to is not None and "@fields" in key:
                    key["@fields"] = [".".join(to) if one == path[0] else one for one in key["@fields"]]
                _rewrite_documentation(element, path[0], to[0] if to is not None and len(to) == 1 else None)

    def _rewritten(
        self, name: str, paths: list[Any], owners: Collection[str], path: list[str], to: list[str] | None
    ) -> Iterator[Any]:
        for one in paths:
            parts = str(one).split(".")
            owner: str | None = name
            for index, part in enumerate(parts):
                if owner is None:
                    break
                if owner in owners and parts[index : index + len(path)] == path:
                    if to is not None:
                        yield ".".join([*parts[:index], *to, *parts[index + len(path) :]])
                    break
                declared = self.properties(owner).get(part)
                inner = range_of(declared) if declared is not None else ""
                owner = inner if self.is_class(inner) else None
            else:
                yield one
                continue
            if owner is None:
                yield one


def _rewrite_documentation(element: Json, property: str, to: str | None) -> None:
    given = element.get("@documentation")
    for entry in given if isinstance(given, list) else [given]:
        told = entry.get("@properties") if isinstance(entry, dict) else None
        if isinstance(told, dict) and property in told:
            text = told.pop(property)
            if to is not None:
                told[to] = text


def range_of(declared: Declaration) -> str:
    """The type of a property's values."""
    return declared if isinstance(declared, str) else str(declared.get("@class", ""))


def family_of(declared: Declaration) -> str:
    """How many values a property holds, as the schema language names it."""
    return "Required" if isinstance(declared, str) else str(declared.get("@type", ""))


def declaration(family: str, range_: str) -> Declaration:
    """A property's declaration."""
    return range_ if family == "Required" else {"@type": family, "@class": range_}


def objects(body: Json, embedded: Mapping[str, tuple[str, ...]], path: str = "") -> Iterator[tuple[str, Json]]:
    """A document and the subdocuments in it, each with its path; inner ones first."""
    for name in embedded.get(str(body.get("@type")), ()):
        if name in body:
            yield from _inner(body[name], embedded, f"{path}.{name}" if path else name)
    yield path, body


def _inner(value: object, embedded: Mapping[str, tuple[str, ...]], path: str) -> Iterator[tuple[str, Json]]:
    if isinstance(value, dict):
        yield from objects(value, embedded, path)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _inner(item, embedded, f"{path}[{index}]")
