"""Filters as text with what each says of a document, read off the whole of a commit's documents."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ontomesh_data_kernel.domain.query.sorting import sort_key

Document = dict[str, Any]
Snapshot = dict[str, Document]
Holds = Callable[[Document, Snapshot], bool]


def values_of(document: Document, path: str, snapshot: Snapshot) -> Iterator[Any]:
    """The values that a path reaches, following links."""
    if not path:
        yield document
        return
    name, _, rest = path.partition(".")
    value = document.get(name, [])
    for one in value if isinstance(value, list) else [value]:
        if rest and isinstance(one, str):
            if one in snapshot:
                yield from values_of(snapshot[one], rest, snapshot)
        elif rest:
            yield from values_of(one, rest, snapshot)
        else:
            yield Decimal(str(one)) if type(one) in (int, float) else one


COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda one, other: one == other,
    "<": lambda one, other: one < other,
    "<=": lambda one, other: one <= other,
    ">": lambda one, other: one > other,
    ">=": lambda one, other: one >= other,
}


@dataclass(frozen=True)
class Filter:
    """A filter as text, and what it says of a document."""

    text: str
    holds: Holds


def some(path: str, test: Callable[[Any], bool]) -> Holds:
    return lambda document, snapshot: any(test(value) for value in values_of(document, path, snapshot))


def literal(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)


def compared(path: str, operator: str, value: Any) -> Filter:
    text = literal(value)
    if operator == "!=":
        return Filter(f"{path} != {text}", lambda *asked: not some(path, lambda one: one == value)(*asked))
    compare = COMPARISONS[operator]
    return Filter(f"{path} {operator} {text}", some(path, lambda one: compare(one, value)))


def among(path: str, values: Sequence[Any]) -> Filter:
    return Filter(f"{path} in ({', '.join(map(literal, values))})", some(path, lambda one: one in values))


def beginning(path: str, prefix: str) -> Filter:
    return Filter(f'{path} = "{prefix}*"', some(path, lambda one: one.startswith(prefix)))


def present(path: str) -> Filter:
    return Filter(f"{path}:*", some(path, lambda one: True))


def both(left: Filter, right: Filter) -> Filter:
    return Filter(f"({left.text}) AND ({right.text})", lambda *asked: left.holds(*asked) and right.holds(*asked))


def either(left: Filter, right: Filter) -> Filter:
    return Filter(f"({left.text}) OR ({right.text})", lambda *asked: left.holds(*asked) or right.holds(*asked))


def negated(inner: Filter) -> Filter:
    return Filter(f"NOT ({inner.text})", lambda *asked: not inner.holds(*asked))


def rank(document: Document, order: Sequence[tuple[str, bool]], types: dict[str, str]) -> tuple[Any, ...]:
    """How a document sorts; keys of strings are cut, so that equal keys are no order."""
    parts: list[Any] = []
    for path, descending in order:
        value = document["@id"] if path == "@id" else next(values_of(document, path, {}), None)
        if value is None:
            parts.append((1,))
        else:
            key = sort_key(types.get(path, "xsd:string"), value)
            # No key begins another once it ends so.
            ended = (*key, -1)
            parts.append((0, tuple(-byte for byte in ended) if descending else ended))
    return tuple(parts)
