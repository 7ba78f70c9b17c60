"""From the arguments of a connection to the query that a store serves."""

from collections.abc import Mapping
from typing import Any

from graphql import GraphQLInputObjectType

from ontomesh_data_kernel.domain.ontology import Ontology
from ontomesh_data_kernel.domain.query.language import classes_of
from ontomesh_data_kernel.domain.query.parsing import parse_filter, parse_order
from ontomesh_data_kernel.domain.query.paths import Paths
from ontomesh_data_kernel.domain.query.resolving import FilterResolver, both, resolve_order
from ontomesh_data_kernel.domain.query.tree import Predicate, Query
from ontomesh_data_kernel.doors.http.graphql.filters import at_place, parse_input
from ontomesh_data_kernel.errors import InvalidFilter, Violation

_ARGUMENTS = {"filter": "where", "order_by": "orderBy"}
"""The arguments that take the texts of the other doors' fields."""


def compile_documents(
    ontology: Ontology, cls: str, arguments: Mapping[str, Any], filters: GraphQLInputObjectType
) -> Query:
    """The query for documents of a class by `filter`, `where` and `orderBy`. Raises InvalidFilter, on one of them."""
    classes = classes_of(ontology, cls, exact_type=False)
    paths = Paths(ontology, classes or (cls,))
    resolver = FilterResolver(paths)
    terms: list[Predicate] = []
    parsed, places = parse_input(arguments.get("filter") or {}, filters)
    if parsed is not None:
        try:
            terms.append(resolver.resolve(parsed))
        except InvalidFilter as error:
            raise at_place(error, places) from None
    try:
        text = parse_filter(arguments.get("where") or "")
        if text is not None:
            terms.append(resolver.resolve(text))
        order = resolve_order(paths, parse_order(arguments.get("orderBy") or ""))
    except InvalidFilter as error:
        raise _renamed(error) from None
    return Query(classes, both(*terms) if terms else None, order)


def _renamed(error: InvalidFilter) -> InvalidFilter:
    violations = [Violation(_ARGUMENTS.get(one.field, one.field), one.description) for one in error.violations]
    message = f"{violations[0].field} is invalid at {violations[0].description}" if violations else error.message
    return InvalidFilter(message, violations, error.metadata)
