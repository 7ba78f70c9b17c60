"""Queries against parsed documents, for what no index of a store answers.

A predicate becomes functions that are called for every document. Each answers True, False, or None where the answer
depends on a linked document that is not known yet: `Evaluator.examine` collects the ids of those, and whoever has the
documents hands them to `Evaluator.learn` and asks again, for all of a batch at once.
"""

import json
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import orjson

from ontomesh_data_kernel.domain.query.paths import JSON
from ontomesh_data_kernel.domain.query.sorting import EXACT_TYPES, KEYS, NUMBER_TYPES, number_text, sort_key
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

Body = Mapping[str, Any]
"""A stored document, parsed by `Evaluator.parse`."""

_Verdict = Callable[[Body], bool | None]
_Test = Callable[[Any], bool]

_DOUBLES = ("xsd:double", "xsd:float")
_OPERATORS = {Op.EQ: operator.eq, Op.LT: operator.lt, Op.LE: operator.le, Op.GT: operator.gt, Op.GE: operator.ge}
_UNKNOWN = object()
_COMPLEMENT = bytes(255 - byte for byte in range(256))
_EXACT = json.JSONDecoder(parse_float=Decimal)
_LONG = re.compile(rb"[0-9]{19}")
"""Digits of an integer that may exceed 64 bits, up to which any parser is exact."""


class Evaluator:
    """Evaluates one query; keeps every linked document that it has learnt of. Not for several threads at once.

    `covered` are terms that are known to hold, of whose values `parse` is to be as exact as of the query's own.
    """

    def __init__(self, query: Query, covered: Iterable[Predicate] = ()) -> None:
        self._known: dict[str, Body | None] = {}
        self._missing: set[str] = set()
        paths = [*_paths(query.where), *(each.path for each in query.order)]
        self._order = query.order
        read = [*paths, *(path for term in covered for path in _paths(term))]
        exact = {path.type for path in read} & EXACT_TYPES
        self._is_exact = bool(exact)
        self._has_decimals = "xsd:decimal" in exact
        self.follows_links = any(_follows(path) for path in paths)
        """Whether `examine` may ever miss a document."""
        self._verdict = _always if query.where is None else self._compile(query.where)

    def parse(self, body: bytes) -> Body:
        """A stored body as the other methods take it; numbers are exact only if the query needs that."""
        if self._is_exact and (self._has_decimals or _LONG.search(body)):
            exact: Body = _EXACT.decode(body.decode())
            return exact
        parsed: Body = orjson.loads(body)
        return parsed

    def examine(self, documents: Iterable[Body]) -> tuple[list[bool | None], frozenset[str]]:
        """Whether each document matches, None if that depends on documents not known, and the ids of those.

        What is still open after `learn` of them may depend on others, which they link to: after as many rounds as the
        longest path has links, nothing is.
        """
        self._missing.clear()
        verdict = self._verdict
        verdicts = [verdict(document) for document in documents]
        return verdicts, frozenset(self._missing)

    def learn(self, bodies: Mapping[str, bytes | None]) -> None:
        """Take in linked documents by id, None for one that does not exist."""
        for id, body in bodies.items():
            self._known[id] = None if body is None else self.parse(body)

    def order_key(self, document: Body) -> bytes:
        """Bytes that order documents as the query does; equals, and all without an order, have equal keys."""
        return order_key(self._order, document)

    def _compile(self, predicate: Predicate) -> _Verdict:
        match predicate:
            case And(terms):
                return _all([self._compile(term) for term in _cheapest_first(terms)])
            case Or(terms):
                return _any([self._compile(term) for term in _cheapest_first(terms)])
            case Not(term):
                return _not(self._compile(term))
            case Compare(path, op, value):
                return self._reach(path, _comparison(path.type, op, value))
            case In(path, values):
                return self._reach(path, _membership(path.type, values))
            case Present(path):
                return self._reach(path, _exists)

    def _reach(self, path: Path, test: _Test) -> _Verdict:
        if not path.hops:
            return _own(path.type, test)
        *way, last = path.hops
        if path.type == "@type":
            way = list(path.hops)
            verdict = _own("@type", test)
            if not last.is_embedded:
                # The id tells the class, so that the document need not be known.
                way.pop()
                verdict = _values(last.name, lambda id: test(id.partition("/")[0]))
        elif path.type == JSON:
            verdict = _has(last.name)
        else:
            verdict = _values(last.name, test)
        for hop in reversed(way):
            verdict = _values(hop.name, verdict if hop.is_embedded else self._follow(verdict))
        return verdict

    def _follow(self, verdict: _Verdict) -> Callable[[str], bool | None]:
        known, missing = self._known, self._missing

        def follow(id: str) -> bool | None:
            document = known.get(id, _UNKNOWN)
            if document is _UNKNOWN:
                missing.add(id)
                return None
            return document is not None and verdict(document)  # type: ignore[arg-type]

        return follow


def matches(predicate: Predicate, body: bytes, lookup: Callable[[str], bytes | None]) -> bool:
    """Whether one stored document matches, by looking up linked ones as they are needed."""
    evaluator = Evaluator(Query((), predicate))
    document = evaluator.parse(body)
    while True:
        (verdict,), missing = evaluator.examine([document])
        if verdict is not None:
            return verdict
        evaluator.learn({id: lookup(id) for id in missing})


def order_key(order: Sequence[Order], document: Body) -> bytes:
    """Bytes that order parsed documents; those without a value come last in either direction.

    Strings order by their first `sorting.MAX_STRING_BYTES`.
    """
    parts = []
    for each in order:
        value: Any = document
        for hop in each.path.hops:
            value = value.get(hop.name)
            if value is None:
                break
        if not each.path.hops or (each.path.type == "@type" and value is not None):
            value = value[each.path.type]
        if value is None:
            parts.append(b"\x02")
            continue
        # No key then begins another, whatever zeros they hold.
        key = sort_key(each.path.type, value).replace(b"\0", b"\0\xff") + b"\0\0"
        parts.append(b"\x01" + (key.translate(_COMPLEMENT) if each.descending else key))
    return b"".join(parts)


def linked(document: Body, names: Sequence[str]) -> list[str]:
    """The ids that a link of a parsed document holds, each once; `names` lead to it through subdocuments."""
    values: list[Any] = [document]
    for name in names:
        values = [found for value in values for found in _flat([value.get(name)])]
    return list(dict.fromkeys(values))


def _flat(values: list[Any]) -> Iterator[Any]:
    for value in values:
        if type(value) is list:
            yield from _flat(value)
        elif value is not None:
            yield value


def _always(document: Body) -> bool:
    return True


def _exists(value: object) -> bool:
    return True


def _own(name: str, test: _Test) -> _Verdict:
    return lambda document: test(document[name])


def _has(name: str) -> _Verdict:
    return lambda document: name in document


def _values(name: str, test: Callable[[Any], bool | None]) -> _Verdict:
    """Whether some value of a property passes."""

    def some(values: list[Any]) -> bool | None:
        verdict: bool | None = False
        for value in values:
            each = some(value) if type(value) is list else test(value)
            if each:
                return True
            if each is None:
                verdict = None
        return verdict

    def reach(document: Body) -> bool | None:
        value = document.get(name)
        if value is None:
            return False
        return some(value) if type(value) is list else test(value)

    return reach


def _all(verdicts: list[_Verdict]) -> _Verdict:
    def hold(document: Body) -> bool | None:
        result: bool | None = True
        for verdict in verdicts:
            each = verdict(document)
            if each is False:
                return False
            if each is None:
                result = None
        return result

    return hold


def _any(verdicts: list[_Verdict]) -> _Verdict:
    def holds(document: Body) -> bool | None:
        result: bool | None = False
        for verdict in verdicts:
            each = verdict(document)
            if each:
                return True
            if each is None:
                result = None
        return result

    return holds


def _not(verdict: _Verdict) -> _Verdict:
    def fails(document: Body) -> bool | None:
        each = verdict(document)
        return None if each is None else not each

    return fails


def _comparison(type: str, op: Op, value: Value) -> _Test:
    if op is Op.PREFIX:
        prefix = str(value.canonical)
        return lambda stored: stored.startswith(prefix)
    compare = _OPERATORS[op]
    wanted = _comparable_of(type, value)
    convert = _converter(type)
    if convert is None:
        return lambda stored: compare(stored, wanted)
    return lambda stored: compare(convert(stored), wanted)


def _membership(type: str, values: Sequence[Value]) -> _Test:
    wanted = frozenset(_comparable_of(type, value) for value in values)
    convert = _converter(type)
    if convert is None:
        return wanted.__contains__
    return lambda stored: convert(stored) in wanted


def _converter(type: str) -> Callable[[Any], Any] | None:
    """What makes a stored value one that compares; None if it does as it is.

    Strings do, by code points, whole where their keys are cut; so do numbers, but for doubles that were read exactly.
    """
    if type in _DOUBLES:
        return float
    if type in NUMBER_TYPES or type in _PLAIN:
        return None
    return KEYS[type]


_PLAIN = frozenset(name for name, key in KEYS.items() if key is KEYS["xsd:string"]) | {"xsd:boolean"}


def _comparable_of(type: str, value: Value) -> Any:
    if type in _DOUBLES:
        return float(number_text(value.canonical))
    if type in NUMBER_TYPES:
        text = number_text(value.canonical)
        return Decimal(text) if "." in text else int(text)
    return value.canonical if type in _PLAIN else value.key


def _cheapest_first(terms: Sequence[Predicate]) -> list[Predicate]:
    """Terms that need no other document first, so that fewer documents are asked for."""
    return sorted(terms, key=lambda term: max((_links(path) for path in _paths(term)), default=0))


def _links(path: Path) -> int:
    """How many links are followed to the values of a path."""
    return sum(1 for hop in path.hops[:-1] if hop.targets and not hop.is_embedded)


def _follows(path: Path) -> bool:
    return _links(path) > 0


def _paths(predicate: Predicate | None) -> Iterator[Path]:
    match predicate:
        case And(terms) | Or(terms):
            for term in terms:
                yield from _paths(term)
        case Not(term):
            yield from _paths(term)
        case Compare(path) | In(path) | Present(path):
            yield path
        case None:
            return
