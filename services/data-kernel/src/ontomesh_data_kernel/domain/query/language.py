"""The query language: what a caller writes, compiled against an ontology, and printed back."""

import json
from hashlib import blake2b

from ontomesh_data_kernel.domain.ontology import Ontology, near
from ontomesh_data_kernel.domain.query.parsing import parse_filter, parse_order
from ontomesh_data_kernel.domain.query.paths import Paths
from ontomesh_data_kernel.domain.query.resolving import FilterResolver, resolve_order
from ontomesh_data_kernel.domain.query.sorting import NUMBER_TYPES, number_text
from ontomesh_data_kernel.domain.query.tree import (
    And,
    Compare,
    In,
    Not,
    Op,
    Or,
    Order,
    Path,
    Predicate,
    Present,
    Query,
    Value,
)
from ontomesh_data_kernel.errors import InvalidRequest, UnknownClass


def compile_query(ontology: Ontology, type: str, exact_type: bool, filter: str, order_by: str) -> Query:
    """The query that a caller wrote; `type` "" stands for every class.

    Raises UnknownClass and InvalidRequest on `type`, InvalidFilter on `filter` or `order_by`.
    """
    classes = classes_of(ontology, type, exact_type)
    paths = Paths(ontology, classes or ((type,) if type else ()))
    parsed = parse_filter(filter)
    where = None if parsed is None else FilterResolver(paths).resolve(parsed)
    return Query(classes, where, resolve_order(paths, parse_order(order_by)))


def classes_of(ontology: Ontology, type: str, exact_type: bool) -> tuple[str, ...]:
    """The concrete classes of the documents asked for, sorted. Raises UnknownClass, InvalidRequest."""
    if not type:
        concrete = (name for name, cls in ontology.classes.items() if not cls.abstract and not cls.subdocument)
        return tuple(sorted(concrete))
    cls = ontology.classes.get(type)
    if cls is None:
        raise UnknownClass.at("type", f"the ontology has no class {type!r}{near(type, ontology.classes)}")
    if cls.subdocument:
        raise InvalidRequest.at("type", f"{type} is a class of subdocuments, which lie within other documents")
    subclasses = ontology.hierarchy.concrete(type)
    return tuple(sorted(subclasses & {type} if exact_type else subclasses))


def fingerprint(query: Query) -> str:
    """A digest that tells queries apart, 32 hexadecimal digits; the same wherever and whenever it is made."""
    where = "" if query.where is None else render(query.where)
    parts = [list(query.classes), where, render_order(query.order)]
    return blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()


def render_order(order: tuple[Order, ...]) -> str:
    """An order as the language writes it."""
    return ", ".join(f"{each.path.text}{' desc' if each.descending else ''}" for each in order)


def render(predicate: Predicate) -> str:
    """A predicate as the language writes it, so that it compiles to the same again."""
    match predicate:
        case And(terms):
            return " AND ".join(_grouped(term, And, Or) for term in terms)
        case Or(terms):
            return " OR ".join(_grouped(term, And, Or) for term in terms)
        case Not(Compare(path, Op.EQ | Op.PREFIX as op, value)):
            return f"{path.text} != {_literal(path, value, op)}"
        case Not(term):
            return f"NOT {_grouped(term, And, Or, Not)}"
        case Compare(path, op, value):
            sign = "=" if op is Op.PREFIX else op.value
            return f"{path.text} {sign} {_literal(path, value, op)}"
        case In(path, values):
            return f"{path.text} in ({', '.join(_literal(path, value, Op.EQ) for value in values)})"
        case Present(path):
            return f"{path.text}:*"


def _grouped(term: Predicate, *groups: type[Predicate]) -> str:
    return f"({render(term)})" if isinstance(term, groups) else render(term)


_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "*": r"\*"})


def _literal(path: Path, value: Value, op: Op) -> str:
    if path.type in NUMBER_TYPES:
        return number_text(value.canonical)
    if path.type == "xsd:boolean":
        return "true" if value.canonical else "false"
    return f'"{str(value.canonical).translate(_ESCAPES)}{"*" if op is Op.PREFIX else ""}"'
