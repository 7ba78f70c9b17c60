"""The GraphQL schema of an ontology.

- A class is an object type of its name: the documents (or subdocuments) that are exactly of it. A class that is abstract
  or has subclasses is also an interface, `Any<Class>`, and links and root fields lead to that.
- Every document is a `Document`: `_id`, `_etag`, `_type`, `_json`, `_referrers`, and a `_<property>_of_<Class>` for each
  property by which others may link to it.
- At the root are `document(id)`, and for every class of documents `package(id)` and `packages(filter, where, ...)`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLEnumValue,
    GraphQLField,
    GraphQLID,
    GraphQLInt,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNamedOutputType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    GraphQLString,
)

from ontomesh_data_kernel.domain.ontology import ClassDef, Family, Hierarchy, Notes, Ontology, Property
from ontomesh_data_kernel.domain.query.paths import Paths
from ontomesh_data_kernel.doors.http.graphql.filters import FilterTypes
from ontomesh_data_kernel.doors.http.graphql.meaning import (
    DEFAULT_FIRST,
    Documents,
    Embedded,
    Link,
    Meaning,
    OneDocument,
    Own,
    Part,
    Referrers,
    Reverse,
    Values,
    meant,
)
from ontomesh_data_kernel.doors.http.graphql.names import field_name, free, many, one, type_name, value_name
from ontomesh_data_kernel.doors.http.graphql.scalars import KINDS, make_scalars
from ontomesh_data_kernel.errors import TooLarge

MAX_CLASSES = 2_000
MAX_FIELDS = 50_000
"""Fields of all types of documents together, inherited and reverse ones counted for each."""


@dataclass(frozen=True, slots=True)
class Built:
    """The schema of an ontology; `types` has the object types of its concrete classes."""

    schema: GraphQLSchema
    types: Mapping[str, GraphQLObjectType]
    filters: FilterTypes
    hierarchy: Hierarchy


def build(ontology: Ontology) -> Built:
    """The schema. Raises TooLarge beyond MAX_CLASSES or MAX_FIELDS; may take a second near those."""
    if len(ontology.classes) > MAX_CLASSES:
        raise TooLarge.of("classes of a GraphQL schema", len(ontology.classes), MAX_CLASSES)
    return _Builder(ontology).build()


@dataclass(frozen=True, slots=True)
class _Incoming:
    """A property that links, and the field that leads back over it."""

    name: str
    reverse: Reverse
    holder: str


class _Builder:
    def __init__(self, ontology: Ontology) -> None:
        self._ontology = ontology
        self._hierarchy = ontology.hierarchy
        self._names = {"String", "Int", "Float", "Boolean", "ID"}
        # The ontology's own names come first, so that what else is made up cannot take them.
        for name in (*ontology.classes, *ontology.enums):
            self._names.add(type_name(name))
        self._scalars = make_scalars(self._free)
        self._enums = {name: self._enum(name) for name in sorted(ontology.enums)}
        self._incoming = self._find_incoming()
        self._check_size()
        self.filters = FilterTypes(ontology, self._scalars, self._enums, self._free)
        self._page_info = self._make_page_info()
        self._document = GraphQLInterfaceType(
            self._free("Document"), lambda: self._document_fields(None), description="Any document."
        )
        self._referrers = self._make_referrers()
        self._interfaces: dict[str, GraphQLInterfaceType] = {}
        self._objects: dict[str, GraphQLObjectType] = {}
        for name in sorted(ontology.classes):
            self._make_class(name, ontology.classes[name])
        self._connections: dict[str, GraphQLObjectType] = {}
        for name in sorted(ontology.classes):
            if not ontology.classes[name].subdocument:
                self._connections[name] = self._make_connection(name)

    def build(self) -> Built:
        query = GraphQLObjectType(self._free("Query"), self._root_fields)
        # Every type that refers to others is named: the library follows the rest by recursion, as far as the stack goes.
        types = [
            *(self._document, *self._interfaces.values(), *self._objects.values()),
            *(*self._connections.values(), *self.filters.all()),
        ]
        schema = GraphQLSchema(query=query, types=types, assume_valid=True)
        return Built(schema, self._objects, self.filters, self._hierarchy)

    def _free(self, wanted: str) -> str:
        return free(wanted, self._names)

    def _enum(self, name: str) -> GraphQLEnumType:
        declared = self._ontology.enums[name]
        values = {value_name(value): GraphQLEnumValue(value) for value in declared.values}
        return GraphQLEnumType(type_name(name), values, description=_told(declared.notes))

    def _check_size(self) -> None:
        size = sum(
            len(properties) + len(self._incoming.get(name, ()))
            for name, properties in self._hierarchy.properties.items()
        )
        if size > MAX_FIELDS:
            raise TooLarge.of("fields of a GraphQL schema", size, MAX_FIELDS)

    def _find_incoming(self) -> dict[str, list[_Incoming]]:
        """By class, the properties by which documents may link to its own."""
        hierarchy = self._hierarchy
        found: dict[str, list[_Incoming]] = {}
        taken = {field_name(name) for properties in hierarchy.properties.values() for name in properties}
        total = 0
        for holder in sorted(hierarchy.classes):
            for path, ranges in self._links_of(holder):
                if any(
                    path == inherited
                    for parent in hierarchy.classes[holder].parents
                    for inherited, _ in self._links_of(parent)
                ):
                    continue
                names = path.split(".")
                holders = tuple(sorted(hierarchy.concrete(holder)))
                way = Paths(self._ontology, holders or (holder,)).find(names).path
                reverse = Reverse(tuple(f"{cls}.{path}" for cls in holders), way, holders)
                back = f"{'_'.join(map(field_name, names))}_of_{type_name(holder)}"
                name = free(back if back.startswith("_") else f"_{back}", taken)
                targets = {target for range in ranges for target in hierarchy.subclasses[range]}
                total += len(targets)
                if total > MAX_FIELDS:
                    raise TooLarge.of("fields of a GraphQL schema", total, MAX_FIELDS)
                for target in targets:
                    found.setdefault(target, []).append(_Incoming(name, reverse, holder))
        return found

    def _links_of(self, holder: str) -> Iterator[tuple[str, frozenset[str]]]:
        """The paths by which documents of a class link, with what they may link to."""
        hierarchy = self._hierarchy
        if hierarchy.classes[holder].subdocument:
            return
        for name, declared in hierarchy.properties[holder].items():
            if hierarchy.is_link(declared):
                yield name, frozenset((declared.range,))
        yield from hierarchy.links.get(holder, {}).items()

    # Types

    def _make_class(self, name: str, cls: ClassDef) -> None:
        told = _told(cls.notes)
        peers = [sub for sub in self._hierarchy.subclasses[name] if self._is_peer(sub, name)]
        if cls.abstract or len(peers) > 1:
            self._interfaces[name] = GraphQLInterfaceType(
                self._free(f"Any{type_name(name)}"),
                lambda: self._fields_of(name),
                interfaces=lambda: self._ancestors_of(name, itself=False),
                description=told,
            )
        if not cls.abstract:
            self._objects[name] = GraphQLObjectType(
                type_name(name),
                lambda: self._fields_of(name),
                interfaces=lambda: self._ancestors_of(name, itself=True),
                description=told,
                extensions={"class": name},
            )

    def _is_peer(self, name: str, other: str) -> bool:
        """Whether both are classes of documents, or both of subdocuments."""
        classes = self._hierarchy.classes
        return classes[name].subdocument == classes[other].subdocument

    def _ancestors_of(self, name: str, *, itself: bool) -> list[GraphQLInterfaceType]:
        found = [
            self._interfaces[ancestor]
            for ancestor in sorted(self._hierarchy.ancestors[name])
            if ancestor in self._interfaces and self._is_peer(ancestor, name) and (itself or ancestor != name)
        ]
        return found if self._hierarchy.classes[name].subdocument else [self._document, *found]

    def _type_of(self, name: str) -> GraphQLNamedOutputType:
        """What leads to the documents of a class and its subclasses."""
        return self._interfaces.get(name) or self._objects[name]

    def _fields_of(self, name: str) -> dict[str, GraphQLField]:
        cls = self._hierarchy.classes[name]
        told = _told_of_properties(self._hierarchy.ancestors[name], self._hierarchy.classes)
        fields = {
            field_name(declared.name): self._property(declared, told.get(declared.name))
            for declared in self._hierarchy.properties[name].values()
        }
        if cls.subdocument:
            fields["_type"] = _field(
                GraphQLNonNull(GraphQLString), Own("_type"), "The class, as the ontology names it."
            )
            fields["_json"] = _field(GraphQLNonNull(self._scalars["JSON"]), Own("_json"), "The whole subdocument.")
            return fields
        return fields | self._document_fields(name)

    def _document_fields(self, name: str | None) -> dict[str, GraphQLField]:
        text = GraphQLNonNull(GraphQLString)
        fields = {
            "_id": _field(GraphQLNonNull(GraphQLID), Own("_id"), "The id."),
            "_type": _field(text, Own("_type"), "The class, as the ontology names it."),
            "_etag": _field(text, Own("_etag"), "The hash of the body; the same for equal documents only."),
            "_json": _field(GraphQLNonNull(self._scalars["JSON"]), Own("_json"), "The whole document as it is stored."),
            "_referrers": _field(
                self._referrers, Referrers(), "The links to this document, by id and property.", _paged()
            ),
        }
        if name is None:
            return fields
        for incoming in self._incoming.get(name, ()):
            told = f"The documents that link here by {incoming.reverse.path.text}, by id."
            connection = self._connections[incoming.holder]
            fields[incoming.name] = _field(connection, incoming.reverse, told, _paged())
        return fields

    def _property(self, declared: Property, told: str | None) -> GraphQLField:
        levels = _levels(declared)
        if self._hierarchy.is_link(declared):
            # Null where nothing is at the end of a link that may dangle.
            made = _listed(self._type_of(declared.range), levels, is_item_null=True)
            arguments = {"first": GraphQLArgument(GraphQLInt, description="Only so many of them.")} if levels else None
            return _field(made, Link(declared.name, levels), told, arguments)
        if self._hierarchy.is_embedded(declared):
            type: GraphQLNamedOutputType = self._type_of(declared.range)
            meaning: Meaning = Embedded(declared.name, declared.range, levels)
        elif declared.range in self._enums:
            type = self._enums[declared.range]
            meaning = Values(declared.name, value_name, exact=False, levels=levels)
        else:
            kind = KINDS[declared.range]
            type = self._scalars[kind.scalar]
            meaning = Values(declared.name, kind.out, kind.exact, levels)
        made = _listed(type, levels, is_item_null=False)
        is_required = levels == 0 and declared.family is Family.REQUIRED
        return _field(GraphQLNonNull(made) if is_required else made, meaning, told)

    def _make_page_info(self) -> GraphQLObjectType:
        fields = {
            "hasNextPage": _field(GraphQLNonNull(GraphQLBoolean), Part("hasNextPage"), "Whether more follow."),
            "endCursor": _field(GraphQLString, Part("endCursor"), "What `after` takes to go on; null at the end."),
        }
        return GraphQLObjectType(self._free("PageInfo"), fields)

    def _make_connection(self, name: str) -> GraphQLObjectType:
        told = "How many match in all; counted only where it is asked for."
        nodes = GraphQLNonNull(GraphQLList(GraphQLNonNull(self._type_of(name))))
        fields = {
            "nodes": _field(nodes, Part("nodes"), "The documents of this page."),
            "pageInfo": _field(GraphQLNonNull(self._page_info), Part("pageInfo"), None),
            "totalCount": _field(GraphQLNonNull(GraphQLInt), Part("totalCount"), told),
        }
        return GraphQLObjectType(self._free(f"{type_name(name)}Connection"), fields)

    def _make_referrers(self) -> GraphQLObjectType:
        link = GraphQLObjectType(
            self._free("Referrer"),
            {
                "property": _field(GraphQLNonNull(GraphQLString), Part("property"), "The property, or the path to it."),
                "document": _field(GraphQLNonNull(self._document), Part("document"), "Who links."),
            },
        )
        fields = {
            "nodes": _field(
                GraphQLNonNull(GraphQLList(GraphQLNonNull(link))), Part("nodes"), "The links of this page."
            ),
            "pageInfo": _field(GraphQLNonNull(self._page_info), Part("pageInfo"), None),
        }
        return GraphQLObjectType(self._free("ReferrerConnection"), fields)

    def _root_fields(self) -> dict[str, GraphQLField]:
        id = {"id": GraphQLArgument(GraphQLNonNull(GraphQLID), description="The document's id.")}
        fields = {
            "document": _field(self._document, OneDocument(frozenset()), "A document; null if there is none.", id)
        }
        taken = set(fields)
        for name in sorted(self._connections):
            classes = self._hierarchy.concrete(name)
            encoded = type_name(name)
            fields[free(one(encoded), taken)] = _field(
                self._type_of(name), OneDocument(classes), f"The {name} of an id; null if there is none.", id
            )
            fields[free(many(encoded), taken)] = _field(
                self._connections[name],
                Documents(name),
                f"The documents of {name} and its subclasses that match.",
                {
                    "filter": GraphQLArgument(self.filters.of(name), description="What they must be."),
                    "where": GraphQLArgument(
                        GraphQLString, description='The same as text in the language of AIP-160: `license = "MIT"`.'
                    ),
                    "orderBy": GraphQLArgument(GraphQLString, description="Up to 4 paths: `version desc, name`."),
                    **_paged(),
                },
            )
        return fields


def _paged() -> dict[str, GraphQLArgument]:
    return {
        "first": GraphQLArgument(
            GraphQLInt, default_value=DEFAULT_FIRST, description="How many at the most: 1 to 1,000."
        ),
        "after": GraphQLArgument(GraphQLString, description="The endCursor of the page before, at the same commit."),
    }


def _field(
    type: GraphQLOutputType,
    meaning: Meaning,
    told: str | None,
    arguments: dict[str, GraphQLArgument] | None = None,
) -> GraphQLField:
    return GraphQLField(type, arguments, description=told, extensions=dict(meant(meaning)))


def _levels(declared: Property) -> int:
    if declared.family is Family.ARRAY:
        return declared.dimensions
    return 1 if declared.family in (Family.LIST, Family.SET) else 0


def _listed(type: GraphQLNamedOutputType, levels: int, *, is_item_null: bool) -> Any:
    made: Any = type
    for level in range(levels):
        item = made if level == 0 and is_item_null else GraphQLNonNull(made)
        made = GraphQLList(item)
    return GraphQLNonNull(made) if levels else made


def _told(notes: Notes) -> str | None:
    """What an element says of itself, in the first language that it does."""
    documentation = notes.documentation
    if isinstance(documentation, list):
        documentation = documentation[0] if documentation else None
    if isinstance(documentation, Mapping):
        text = documentation.get("@comment") or documentation.get("@label")
        return text if isinstance(text, str) else None
    return None


def _told_of_properties(ancestors: Any, classes: Mapping[str, ClassDef]) -> dict[str, str]:
    told: dict[str, str] = {}
    for name in sorted(ancestors):
        documentation = classes[name].notes.documentation
        if isinstance(documentation, list):
            documentation = documentation[0] if documentation else None
        properties = documentation.get("@properties") if isinstance(documentation, Mapping) else None
        if isinstance(properties, Mapping):
            for property, text in properties.items():
                comment = text.get("@comment") or text.get("@label") if isinstance(text, Mapping) else text
                if isinstance(comment, str):
                    told.setdefault(property, comment)
    return told
