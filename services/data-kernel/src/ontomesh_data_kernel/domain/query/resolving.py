"""From what was parsed to the tree that stores compile: paths found in the ontology, values of their types."""

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import NoReturn

from ontomesh_data_kernel.domain.ontology import id_fault, near
from ontomesh_data_kernel.domain.ontology.types import SCALARS, Fault, shown
from ontomesh_data_kernel.domain.query.lexing import Literal, Name
from ontomesh_data_kernel.domain.query.parsing import Every, Negation, Parsed, ParsedOrder, Restriction, Some
from ontomesh_data_kernel.domain.query.paths import JSON, SUBDOCUMENT, Found, PathFault, Paths
from ontomesh_data_kernel.domain.query.sorting import NUMBER_TYPES, ORDERED_TYPES, STRING_TYPES, sort_key
from ontomesh_data_kernel.domain.query.tree import And, Compare, In, Not, Op, Or, Order, Predicate, Present, Value
from ontomesh_data_kernel.errors import InvalidFilter

_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,1100}|(?:[0-9]+\.[0-9]*|\.?[0-9]+)(?:[eE][+-]?[0-9]{1,4})?)")
_INTEGER = re.compile(r"[+-]?[0-9]{1,1100}")


class FilterResolver:
    """Resolves the filter of one query."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths

    def resolve(self, parsed: Parsed) -> Predicate:
        """The predicate. Raises InvalidFilter."""
        match parsed:
            case Every(terms):
                return both(*(self.resolve(term) for term in terms))
            case Some(terms):
                return either(*(self.resolve(term) for term in terms))
            case Negation(term):
                return negated(self.resolve(term))
            case Restriction():
                return self._restriction(parsed)

    def _restriction(self, parsed: Restriction) -> Predicate:
        found = find(self._paths, parsed.path, "filter")
        path = found.path
        if parsed.operator == ":*":
            return Present(path)
        if path.type in (JSON, SUBDOCUMENT):
            what = "any JSON" if path.type == JSON else "subdocuments; compare one of their properties"
            self._refuse(
                parsed.path[-1].column, f"{path.text} holds {what}; whether it has a value tells {path.text}:*"
            )
        if parsed.operator == "in":
            values = {}
            for literal in parsed.values:
                if literal.is_prefix:
                    self._refuse(literal.column, r"a list holds no prefixes; `\*` is a star itself")
                value = _value(found, literal)
                values[_identity(path.type, value)] = value
            return In(path, tuple(values.values()))
        return self._comparison(found, Op(parsed.operator), parsed)

    def _comparison(self, found: Found, op: Op, parsed: Restriction) -> Predicate:
        path, literal = found.path, parsed.values[0]
        if op is not Op.EQ and path.type not in ORDERED_TYPES:
            self._refuse(parsed.column, f"{path.text} is {_kind(path.type)} and has no order; it takes =, != and in")
        if not literal.is_prefix:
            return Compare(path, op, _value(found, literal))
        if op is not Op.EQ:
            self._refuse(literal.column, r"a prefix goes with = and != only; `\*` is a star itself")
        if path.type not in STRING_TYPES:
            self._refuse(literal.column, f"{path.text} is {_kind(path.type)}, which has no prefixes")
        return Compare(path, Op.PREFIX, Value(literal.text, sort_key(path.type, literal.text)))

    def _refuse(self, column: int, description: str) -> NoReturn:
        raise InvalidFilter.of(column, description)


def resolve_order(paths: Paths, parsed: Sequence[ParsedOrder]) -> tuple[Order, ...]:
    """The fields to order by. Raises InvalidFilter, on `order_by`."""
    orders: list[Order] = []
    for each in parsed:
        found = find(paths, each.path, "order_by")
        path, column = found.path, each.path[0].column
        if any(hop.targets and not hop.is_embedded for hop in path.hops):
            raise InvalidFilter.of(column, f"{path.text} leads over links; order by the document's own", "order_by")
        if path.type in (JSON, SUBDOCUMENT):
            raise InvalidFilter.of(column, f"{path.text} holds {_kind(path.type)}, which has no order", "order_by")
        if not found.is_single:
            raise InvalidFilter.of(column, f"{path.text} may hold several values", "order_by")
        if any(path == order.path for order in orders):
            raise InvalidFilter.of(column, f"{path.text} is named twice", "order_by")
        orders.append(Order(path, each.descending))
    return tuple(orders)


def find(paths: Paths, names: Sequence[Name], field: str) -> Found:
    """A path as written in a field. Raises InvalidFilter, on the field."""
    try:
        return paths.find([name.text for name in names])
    except PathFault as fault:
        raise InvalidFilter.of(names[fault.index].column, fault.description, field) from None


def both(*terms: Predicate) -> Predicate:
    """All of the terms, one or more; those that are And themselves are taken apart."""
    flat = [part for term in terms for part in (term.terms if isinstance(term, And) else (term,))]
    return flat[0] if len(flat) == 1 else And(tuple(flat))


def either(*terms: Predicate) -> Predicate:
    """One of the terms, one or more; those that are Or themselves are taken apart."""
    flat = [part for term in terms for part in (term.terms if isinstance(term, Or) else (term,))]
    return flat[0] if len(flat) == 1 else Or(tuple(flat))


def negated(term: Predicate) -> Predicate:
    """Not the term."""
    return term.term if isinstance(term, Not) else Not(term)


def _kind(type: str) -> str:
    names = {"enum": "an enum", "link": "a link", JSON: "any JSON", SUBDOCUMENT: "subdocuments"}
    return names.get(type, type)


def _identity(type: str, value: Value) -> object:
    """Equal for equal values only; a string's key is cut."""
    return value.key if type in ORDERED_TYPES - STRING_TYPES else value.canonical


def _value(found: Found, literal: Literal) -> Value:
    type = found.path.type
    try:
        canonical = _canonical(found, literal.text)
    except Fault as fault:
        raise InvalidFilter.of(literal.column, "; ".join(description for _, description in fault.faults)) from None
    return Value(canonical, sort_key(type, canonical))


def _canonical(found: Found, text: str) -> object:
    type = found.path.type
    if type in ("enum", "@type"):
        if text not in found.enum_values:
            what = "a class that it can be" if type == "@type" else f"a value of {found.range}"
            raise Fault(("", f"{shown(text)} is not {what}{near(text, found.enum_values)}"))
        return text
    if type in ("link", "@id"):
        if fault := id_fault(text):
            raise Fault(("", f"{fault}, where an id is due"))
        classes = found.path.hops[-1].targets if found.path.hops else found.enum_values
        if text.partition("/")[0] not in classes:
            raise Fault(("", f"{shown(text)} is not the id of a {found.range or ' or '.join(classes[:5])}"))
        return text
    return SCALARS[type](_json(type, text))


def _json(type: str, text: str) -> object:
    """What JSON would have where this text is written, if the type takes anything but strings."""
    if type == "xsd:boolean":
        return {"true": True, "false": False}.get(text, text)
    if type in NUMBER_TYPES and _NUMBER.fullmatch(text):
        return int(text) if _INTEGER.fullmatch(text) else Decimal(text)
    return text
