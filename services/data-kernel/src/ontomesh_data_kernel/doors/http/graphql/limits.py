"""The limits of one request, checked before anything of it is executed."""

from collections.abc import Iterator, Mapping
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLCompositeType,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    get_named_type,
    is_composite_type,
)
from graphql.execution.values import get_argument_values

from ontomesh_data_kernel.doors.http.graphql.meaning import (
    DEFAULT_LINKS,
    Documents,
    Link,
    OneDocument,
    Referrers,
    Reverse,
    meaning_of,
)
from ontomesh_data_kernel.errors import InvalidRequest, KernelError, QueryTooCostly

MAX_QUERY_BYTES = 64 << 10
MAX_TOKENS = 8_000
MAX_SELECTIONS = 500
"""Fields and fragments of a request, each as often as fragments bring it in."""
MAX_DEPTH = 12
MAX_INTROSPECTION_DEPTH = 20
MAX_READS = 20
"""Fields of a request that find documents: by class, by id, or backwards over links."""
MAX_COST = 100_000
"""Documents that a request may come to by what its arguments say."""
MAX_DOCUMENTS = 10_000
"""Documents that an answer holds, each as often as it stands there."""
MAX_ANSWER_BYTES = 64 << 20
MAX_INTROSPECTED = 500_000
"""Fields of the schema itself that an answer holds."""

# Of introspection: whatever lists something lists it once on a path, so that its answer grows with the schema only.
_LISTS = frozenset(
    ("types", "fields", "inputFields", "interfaces", "possibleTypes", "args", "enumValues", "directives")
)


def too_costly(description: str, limit: int, field: str = "query") -> KernelError:
    """A request beyond a limit."""
    made = QueryTooCostly.at(field, description)
    made.metadata["limit"] = str(limit)
    return made


def fragments_of(document: DocumentNode) -> dict[str, FragmentDefinitionNode]:
    """The fragments by name."""
    return {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}


def check_shape(document: DocumentNode) -> None:
    """Raise QueryTooCostly unless the text is within MAX_SELECTIONS and the depths, before its validation, which takes
    time by their square. Raises InvalidRequest for fragments that contain themselves.
    """
    fragments = fragments_of(document)
    walk = _Shape(fragments)
    # How deep a fragment lies shows where it is used; here its own size counts, as it is validated by itself.
    apart = _Shape({})
    for node in document.definitions:
        if isinstance(node, OperationDefinitionNode):
            walk.visit(node.selection_set, 1, (), None)
        elif isinstance(node, FragmentDefinitionNode):
            apart.visit(node.selection_set, -MAX_SELECTIONS, (), None)


class _Shape:
    def __init__(self, fragments: Mapping[str, FragmentDefinitionNode]) -> None:
        self._fragments = fragments
        self._selections = 0

    def visit(
        self, selections: SelectionSetNode, depth: int, spreads: tuple[str, ...], listed: frozenset[str] | None
    ) -> None:
        for node in selections.selections:
            self._selections += 1
            if self._selections > MAX_SELECTIONS:
                raise too_costly(f"has more than {MAX_SELECTIONS} fields and fragments", MAX_SELECTIONS)
            if isinstance(node, FragmentSpreadNode):
                name = node.name.value
                if name in spreads:
                    raise InvalidRequest.at("query", f"the fragment {name} contains itself")
                if fragment := self._fragments.get(name):
                    self.visit(fragment.selection_set, depth, (*spreads, name), listed)
            elif isinstance(node, InlineFragmentNode):
                self.visit(node.selection_set, depth, spreads, listed)
            elif isinstance(node, FieldNode):
                self._field(node, depth, spreads, listed)

    def _field(self, node: FieldNode, depth: int, spreads: tuple[str, ...], listed: frozenset[str] | None) -> None:
        name = node.name.value
        if listed is None and name in ("__schema", "__type"):
            listed = frozenset()
        most = MAX_DEPTH if listed is None else MAX_INTROSPECTION_DEPTH
        if depth > most:
            raise too_costly(f"is nested deeper than {most} levels of fields", most)
        if listed is not None and name in _LISTS:
            if name in listed:
                raise too_costly(f"asks for {name} within {name}", 1)
            listed |= {name}
        if node.selection_set is not None:
            self.visit(node.selection_set, depth + 1, spreads, listed)


def check_cost(
    schema: GraphQLSchema,
    fragments: Mapping[str, FragmentDefinitionNode],
    operation: OperationDefinitionNode,
    variables: dict[str, Any],
) -> int:
    """The number of documents that a valid operation may come to. Raises QueryTooCostly.

    A page counts as many as its `first`, a list of links without `first` as DEFAULT_LINKS.
    """
    assert schema.query_type is not None
    walk = _Cost(schema, fragments, variables)
    walk.visit(operation.selection_set, schema.query_type, 1)
    return walk.cost


class _Cost:
    def __init__(
        self, schema: GraphQLSchema, fragments: Mapping[str, FragmentDefinitionNode], variables: dict[str, Any]
    ) -> None:
        self.cost = 0
        self._schema = schema
        self._fragments = fragments
        self._variables = variables
        self._reads = 0

    def visit(self, selections: SelectionSetNode, parent: GraphQLCompositeType, times: int) -> None:
        for node, type in self._fields(selections, parent):
            definition = getattr(type, "fields", {}).get(node.name.value)
            if definition is None:
                continue
            meaning = meaning_of(definition)
            onward = times
            if isinstance(meaning, Documents | OneDocument | Reverse | Referrers | Link):
                onward = times * self._count(meaning, get_argument_values(definition, node, self._variables))
                self.cost += onward
                if self.cost > MAX_COST:
                    raise too_costly(
                        f"may come to more than {MAX_COST:,} documents; ask for fewer by `first`, or for fewer levels",
                        MAX_COST,
                    )
            below = get_named_type(definition.type)
            if node.selection_set is not None and is_composite_type(below):
                self.visit(node.selection_set, below, onward)

    def _count(self, meaning: object, arguments: Mapping[str, Any]) -> int:
        if not isinstance(meaning, Link):
            self._reads += 1
            if self._reads > MAX_READS:
                raise too_costly(f"has more than {MAX_READS} fields that find documents", MAX_READS)
        if isinstance(meaning, OneDocument) or (isinstance(meaning, Link) and not meaning.levels):
            return 1
        first = arguments.get("first")
        return max(1, first) if type(first) is int else DEFAULT_LINKS

    def _fields(
        self, selections: SelectionSetNode, parent: GraphQLNamedType
    ) -> Iterator[tuple[FieldNode, GraphQLNamedType]]:
        for node in selections.selections:
            if isinstance(node, FieldNode):
                yield node, parent
                continue
            if isinstance(node, FragmentSpreadNode):
                fragment = self._fragments[node.name.value]
                yield from self._fields(fragment.selection_set, self._type(fragment.type_condition.name.value))
            elif isinstance(node, InlineFragmentNode):
                # The library's types do not say that there may be none.
                condition = getattr(node, "type_condition", None)
                type = parent if condition is None else self._type(condition.name.value)
                yield from self._fields(node.selection_set, type)

    def _type(self, name: str) -> GraphQLNamedType:
        return self._schema.type_map[name]
