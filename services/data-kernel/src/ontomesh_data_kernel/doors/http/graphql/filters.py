"""Filters as typed inputs: one for each class, compiled to what the filter language parses to.

Each comparison stands for itself, as in that language: over several values, of a list or behind several links, any of
them may satisfy it, and two comparisons may be satisfied by two of them. `_not` and `ne` are true where none does.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from graphql import (
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLScalarType,
    GraphQLString,
)

from ontomesh_data_kernel.domain.ontology import Ontology, Property
from ontomesh_data_kernel.domain.query.lexing import Literal, Name
from ontomesh_data_kernel.domain.query.parsing import (
    MAX_NESTING,
    MAX_TERMS,
    MAX_VALUES,
    Every,
    Negation,
    Parsed,
    Restriction,
    Some,
)
from ontomesh_data_kernel.doors.http.graphql.names import field_name, type_name
from ontomesh_data_kernel.doors.http.graphql.scalars import KINDS, filter_text
from ontomesh_data_kernel.errors import InvalidFilter, Violation

_SIGNS = {"eq": "=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_TOLD = {
    "eq": "Equal.",
    "ne": "Not equal; of several values none is.",
    "in": "One of these, 1 to 1,000.",
    "lt": "Less.",
    "le": "Less or equal.",
    "gt": "Greater.",
    "ge": "Greater or equal.",
    "startsWith": "Begins so.",
    "present": "Has a value, or none.",
}
_CLASS_NOTE = (
    "What documents must be: all that is named holds. Each comparison stands for itself: over several values any of them"
    " may satisfy it."
)


class FilterTypes:
    """Makes the input types of filters; `name_of` gives free names of the schema."""

    def __init__(
        self,
        ontology: Ontology,
        scalars: Mapping[str, GraphQLScalarType],
        enums: Mapping[str, GraphQLEnumType],
        name_of: Callable[[str], str],
    ) -> None:
        self._hierarchy = ontology.hierarchy
        self._scalars = scalars
        self._enums = enums
        self._name_of = name_of
        self._comparisons: dict[tuple[str, str, tuple[str, ...]], GraphQLInputObjectType] = {}
        id_operators = ("eq", "ne", "in")
        self._text = self._comparison("Text", GraphQLString, id_operators)
        self._classes = {
            name: GraphQLInputObjectType(
                name_of(f"{type_name(name)}Filter"), self._fields_of(name), description=_CLASS_NOTE
            )
            for name in sorted(self._hierarchy.classes)
        }

    def of(self, name: str) -> GraphQLInputObjectType:
        """The filter of a class."""
        return self._classes[name]

    def all(self) -> list[GraphQLInputObjectType]:
        """The filters of all classes."""
        return list(self._classes.values())

    def _fields_of(self, name: str) -> Callable[[], dict[str, GraphQLInputField]]:
        def fields() -> dict[str, GraphQLInputField]:
            own = self._classes[name]
            several = GraphQLList(GraphQLNonNull(own))
            made = {
                "_and": GraphQLInputField(several, description="All hold."),
                "_or": GraphQLInputField(several, description="One holds."),
                "_not": GraphQLInputField(own, description="Does not hold."),
                "_type": GraphQLInputField(self._text, description="The class, by its name in the ontology."),
            }
            if not self._hierarchy.classes[name].subdocument:
                made["_id"] = GraphQLInputField(self._text, description="The id.")
            made["_present"] = GraphQLInputField(
                GraphQLBoolean,
                description="Whether the property that leads here has a value; not of documents at the top.",
            )
            for declared in self._hierarchy.properties[name].values():
                made[field_name(declared.name)] = GraphQLInputField(
                    self._input(declared), extensions={"property": declared.name}
                )
            return made

        return fields

    def _input(self, declared: Property) -> GraphQLInputObjectType:
        if declared.range in self._classes:
            return self._classes[declared.range]
        if declared.range in self._enums:
            enum = self._enums[declared.range]
            return self._comparison(enum.name, enum, ("eq", "ne", "in"))
        kind = KINDS[declared.range]
        return self._comparison(kind.scalar, self._scalars[kind.scalar], kind.operators)

    def _comparison(
        self, label: str, scalar: GraphQLScalarType | GraphQLEnumType, operators: tuple[str, ...]
    ) -> GraphQLInputObjectType:
        key = (label, scalar.name, operators)
        made = self._comparisons.get(key)
        if made is None:
            # String stands for types that have prefixes, types that have an order, and types that have neither.
            suffix = (
                "" if "startsWith" in operators or label != "String" else "Ordered" if "lt" in operators else "Equal"
            )
            fields = {
                name: GraphQLInputField(
                    GraphQLList(GraphQLNonNull(scalar)) if name == "in" else scalar, description=_TOLD[name]
                )
                for name in operators
            }
            fields["present"] = GraphQLInputField(GraphQLBoolean, description=_TOLD["present"])
            made = GraphQLInputObjectType(self._name_of(f"{label}{suffix}Comparison"), fields)
            self._comparisons[key] = made
        return made


def parse_input(given: Mapping[str, Any], type: GraphQLInputObjectType) -> tuple[Parsed | None, list[str]]:
    """The tree of a coerced filter, None of an empty one, and the place of each of its parts: what the tree has for
    columns are indices of places, from 1 on. Raises InvalidFilter.
    """
    reading = _Reading()
    terms = list(reading.terms(given, type, (), "filter", 0))
    return (_both(terms) if terms else None), reading.places


def at_place(error: InvalidFilter, places: list[str]) -> InvalidFilter:
    """A fault that the resolver found in such a tree, at its place in the input."""
    column = error.metadata.get("column", "")
    index = int(column) - 1 if column.isdecimal() else -1
    if not 0 <= index < len(places) or not error.violations:
        return error
    description = error.violations[0].description.removeprefix(f"column {column}: ")
    return InvalidFilter(f"{places[index]}: {description}", (Violation(places[index], description),))


class _Reading:
    def __init__(self) -> None:
        self.places: list[str] = []
        self._terms = 0

    def terms(
        self, given: Mapping[str, Any], type: GraphQLInputObjectType, path: tuple[Name, ...], place: str, depth: int
    ) -> Iterator[Parsed]:
        if depth > MAX_NESTING:
            raise _fault(place, f"is nested deeper than {MAX_NESTING} levels")
        for name, value in given.items():
            here = f"{place}.{name}"
            if value is None:
                raise _fault(here, "is null; leave it out, or ask `present: false` where no value is meant")
            if name in ("_and", "_or"):
                parts = [self._group(one, type, path, f"{here}[{index}]", depth) for index, one in enumerate(value)]
                if not parts:
                    raise _fault(here, "is empty")
                yield _both(parts) if name == "_and" else parts[0] if len(parts) == 1 else Some(tuple(parts))
            elif name == "_not":
                yield Negation(self._group(value, type, path, here, depth))
            elif name == "_present":
                if not path:
                    raise _fault(here, "is of properties that lead to documents, not of the documents asked for")
                yield self._presence(path, value, here)
            else:
                yield from self._property(name, value, type, path, here, depth)

    def _property(
        self, name: str, value: Any, type: GraphQLInputObjectType, path: tuple[Name, ...], here: str, depth: int
    ) -> Iterator[Parsed]:
        field = type.fields[name]
        step = {"_id": "@id", "_type": "@type"}.get(name) or field.extensions["property"]
        below = field.type
        assert isinstance(below, GraphQLInputObjectType)
        if not value:
            raise _fault(here, "is empty")
        onward = (*path, Name(step, self._place(here)))
        if "_and" in below.fields:
            yield from self.terms(value, below, onward, here, depth + 1)
            return
        for operator, operand in value.items():
            if operand is None:
                raise _fault(f"{here}.{operator}", "is null; ask `present: false` where no value is meant")
            yield self._comparison(onward, operator, operand, f"{here}.{operator}")

    def _group(
        self, given: Mapping[str, Any], type: GraphQLInputObjectType, path: tuple[Name, ...], place: str, depth: int
    ) -> Parsed:
        terms = list(self.terms(given, type, path, place, depth + 1))
        if not terms:
            raise _fault(place, "is empty")
        return _both(terms)

    def _comparison(self, path: tuple[Name, ...], operator: str, operand: Any, here: str) -> Parsed:
        if operator == "present":
            return self._presence(path, operand, here)
        column = self._count(here)
        if operator == "in":
            if not 1 <= len(operand) <= MAX_VALUES:
                raise _fault(here, f"{len(operand):,} values where 1 to {MAX_VALUES:,} are due")
            values = tuple(
                Literal(filter_text(one), self._place(f"{here}[{index}]")) for index, one in enumerate(operand)
            )
            return Restriction(path, "in", column, values)
        is_prefix = operator == "startsWith"
        literal = Literal(filter_text(operand), column, is_prefix)
        tested = Restriction(path, _SIGNS.get(operator, "="), column, (literal,))
        return Negation(tested) if operator == "ne" else tested

    def _presence(self, path: tuple[Name, ...], is_present: bool, here: str) -> Parsed:
        tested = Restriction(path, ":*", self._count(here))
        return tested if is_present else Negation(tested)

    def _count(self, here: str) -> int:
        self._terms += 1
        if self._terms > MAX_TERMS:
            raise _fault(here, f"at most {MAX_TERMS} comparisons are allowed")
        return self._place(here)

    def _place(self, here: str) -> int:
        self.places.append(here)
        return len(self.places)


def _both(terms: list[Parsed]) -> Parsed:
    return terms[0] if len(terms) == 1 else Every(tuple(terms))


def _fault(place: str, description: str) -> InvalidFilter:
    return InvalidFilter.at(place, description)
