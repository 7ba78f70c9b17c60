"""What a selection comes to for the documents of one class: made once for a request, then followed for each of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import FieldNode, FragmentDefinitionNode, GraphQLObjectType, get_named_type
from graphql.execution.collect_fields import collect_sub_fields
from graphql.execution.values import get_argument_values

from ontomesh_data_kernel.doors.http.graphql.meaning import (
    Embedded,
    Link,
    Own,
    Part,
    Referrers,
    Reverse,
    Values,
    meaning_of,
)
from ontomesh_data_kernel.doors.http.graphql.schema import Built
from ontomesh_data_kernel.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class ValueStep:
    """Copies values; `out` as in `Values`, `is_list` if absent means empty."""

    key: str
    property: str
    out: Callable[[Any], object] | None
    is_list: bool


@dataclass(frozen=True, slots=True)
class EmbeddedStep:
    """Goes into subdocuments."""

    key: str
    property: str
    selection: "Selection"
    is_list: bool


@dataclass(frozen=True, slots=True)
class LinkStep:
    """Goes on to linked documents, at most `first` of them."""

    key: str
    property: str
    selection: "Selection"
    is_list: bool
    first: int | None


@dataclass(frozen=True, slots=True)
class BackStep:
    """Goes back over links to this document: those of `reverse`, or all."""

    key: str
    reverse: Reverse | None
    nodes: Sequence[FieldNode]
    type: GraphQLObjectType
    arguments: Mapping[str, Any]


@dataclass(slots=True)
class Plan:
    """The steps for documents of one class. `blank` has every key in the order of the answer; `exact` asks for bodies
    parsed with all digits.
    """

    blank: dict[str, Any] = field(default_factory=dict)
    own: list[tuple[str, str]] = field(default_factory=list)
    values: list[ValueStep] = field(default_factory=list)
    embedded: list[EmbeddedStep] = field(default_factory=list)
    links: list[LinkStep] = field(default_factory=list)
    backs: list[BackStep] = field(default_factory=list)
    exact: bool = False


class Planner:
    """Collects fields for one request, by GraphQL's own rules."""

    def __init__(self, built: Built, fragments: dict[str, FragmentDefinitionNode], variables: dict[str, Any]) -> None:
        self.built = built
        self.variables = variables
        self.fragments = fragments

    def collect(self, type: GraphQLObjectType, nodes: Sequence[FieldNode]) -> dict[str, list[FieldNode]]:
        """The fields below these by the key that each has in the answer."""
        return collect_sub_fields(self.built.schema, self.fragments, self.variables, type, list(nodes))

    def arguments(self, type: GraphQLObjectType, node: FieldNode) -> dict[str, Any]:
        """A field's arguments, coerced."""
        return get_argument_values(type.fields[node.name.value], node, self.variables)

    def selection(self, nodes: Sequence[FieldNode]) -> "Selection":
        """What the fields select of whatever they lead to."""
        return Selection(self, nodes)


class Selection:
    """What some fields select of documents, by their class. Not for several threads at once."""

    def __init__(self, planner: Planner, nodes: Sequence[FieldNode]) -> None:
        self._planner = planner
        self._nodes = nodes
        self._plans: dict[str, Plan] = {}

    def plan(self, cls: str) -> Plan:
        """The plan for documents of a class. Raises InvalidRequest on an argument."""
        made = self._plans.get(cls)
        if made is None:
            made = self._plans[cls] = self._make(self._planner.built.types[cls])
        return made

    def _make(self, type: GraphQLObjectType) -> Plan:
        plan = Plan()
        planner = self._planner
        for key, nodes in planner.collect(type, self._nodes).items():
            plan.blank[key] = None
            if nodes[0].name.value == "__typename":
                plan.blank[key] = type.name
                continue
            definition = type.fields[nodes[0].name.value]
            meaning = meaning_of(definition)
            if isinstance(meaning, Own):
                plan.own.append((key, meaning.name))
                plan.exact |= meaning.name == "_json" and not self._is_document(type)
            elif isinstance(meaning, Values):
                out = nested(meaning.out, meaning.levels) if meaning.out else None
                plan.values.append(ValueStep(key, meaning.property, out, meaning.levels > 0))
                plan.exact |= meaning.exact
            elif isinstance(meaning, Embedded):
                below = planner.selection(nodes)
                plan.embedded.append(EmbeddedStep(key, meaning.property, below, meaning.levels > 0))
                hierarchy = planner.built.hierarchy
                plan.exact |= any(below.plan(cls).exact for cls in hierarchy.concrete(meaning.cls))
            elif isinstance(meaning, Link):
                first = planner.arguments(type, nodes[0]).get("first")
                if first is not None and first < 0:
                    raise InvalidRequest.at("first", f"{first} is negative")
                plan.links.append(LinkStep(key, meaning.property, planner.selection(nodes), meaning.levels > 0, first))
            elif isinstance(meaning, Reverse | Referrers):
                below_type = get_named_type(definition.type)
                assert isinstance(below_type, GraphQLObjectType)
                reverse = meaning if isinstance(meaning, Reverse) else None
                plan.backs.append(BackStep(key, reverse, nodes, below_type, planner.arguments(type, nodes[0])))
            else:
                assert not isinstance(meaning, Part)
        return plan

    def _is_document(self, type: GraphQLObjectType) -> bool:
        return "_id" in type.fields


def nested(out: Callable[[Any], object], levels: int) -> Callable[[Any], object]:
    """A function of a value, for values in lists of lists."""
    for _ in range(levels):
        out = _each(out)
    return out


def _each(out: Callable[[Any], object]) -> Callable[[Any], object]:
    return lambda values: [out(value) for value in values]
