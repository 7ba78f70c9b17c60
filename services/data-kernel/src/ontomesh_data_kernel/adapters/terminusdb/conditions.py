"""What of a query's filter the server decides: conditions on triples that leave out none of the documents that match.

GraphQL would serve as well, but its filters miss values of types like `xsd:token`, and its names run together
(`price.2` and `price_2`) or cannot be said at all (`größe`). A value in a triple is typed and exact, a pattern holds if
any value does, which is what a predicate means, and equality, prefixes and ranges of keys are looked up rather than
searched for.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import count

from ontomesh_data_kernel.adapters.terminusdb import woql
from ontomesh_data_kernel.adapters.terminusdb.projection import Schema
from ontomesh_data_kernel.adapters.terminusdb.ways import Kind, Way, Ways
from ontomesh_data_kernel.domain.canonical import encode
from ontomesh_data_kernel.domain.ontology import Ontology
from ontomesh_data_kernel.domain.query.access import Equal, Range, candidates, is_exact, segments
from ontomesh_data_kernel.domain.query.sorting import EXACT_TYPES, NUMBER_TYPES, STRING_TYPES, number_text
from ontomesh_data_kernel.domain.query.tree import (
    And,
    Compare,
    Hop,
    In,
    Op,
    Or,
    Path,
    Predicate,
    Present,
    Query,
    Value,
)

Test = Compare | In | Present
"""A predicate over one path."""

MAX_TEXTS = 50
"""Values looked for in strings of JSON by one pattern."""

_DOUBLES = frozenset(("xsd:double", "xsd:float"))
_BINARY = frozenset(("xsd:base64Binary", "xsd:hexBinary"))
_OPERATORS = {Op.LT: "Less", Op.LE: "Lte", Op.GE: "Gte", Op.GT: "Greater"}
_SURROGATES = 0xD800
_LAST_SLICED = "\uffff"
_BEYOND_KEYS = "g"
_SPECIAL = re.compile(r"([^\w])", re.ASCII)


@dataclass(frozen=True, slots=True)
class Condition:
    """What the server is asked; nothing, if the phrase is None. `is_exact` if it holds of no other documents (of the
    classes asked for) than those that match. What is cheaper to find has a lower `rank`. `check` is asked instead where
    the document is found already: what finds values would find all of them again for each document.
    """

    phrase: woql.Phrase | None = None
    is_exact: bool = False
    rank: int = 0
    check: woql.Phrase | None = None

    @property
    def checked(self) -> woql.Phrase:
        """What is asked of a document that is found already."""
        assert self.phrase is not None
        return self.check or self.phrase


_ANYTHING = Condition()
_LOOKED_UP, _SLICED, _COMPARED, _LISTED = range(4)


class Conditions:
    """Compiles filters against one ontology and the server's schema at a commit. For one query."""

    def __init__(self, ontology: Ontology, schema: Schema) -> None:
        self._ways = Ways(ontology, schema)
        self._numbers = count(1)

    def of(self, predicate: Predicate | None) -> Condition:
        """The condition on the variable `Id`."""
        return Condition(is_exact=True) if predicate is None else self._of(predicate, "Id")

    def _of(self, predicate: Predicate, subject: str) -> Condition:
        match predicate:
            case And(terms):
                single, others = self._bounds(terms)
                ranges = [self._in_range(path, bounds, subject) for path, bounds in single.items()]
                return _all([*ranges, *(self._of(term, subject) for term in others)])
            case Or(terms):
                return _any([self._of(term, subject) for term in terms])
            case Compare(path) | In(path) | Present(path):
                if not path.hops:
                    return _own(path, predicate, subject)
                return self._along(list(segments(path)), path, predicate, subject)
        # What all but a few documents satisfy is no help, and the opposite of what holds of too many is of too few.
        return _ANYTHING

    def _along(self, parts: Sequence[Sequence[Hop]], path: Path, test: Test, subject: str) -> Condition:
        part, *rest = parts
        if not rest and path.indexed:
            return _any([self._by_key(name, part, path, test, subject) for name in self._ways.keys(part)])
        if path.type == "@type" and not rest:
            return _any([self._present(way, subject, is_exact=False) for way in self._ways.of(part)])
        found = []
        for way in self._ways.of(part):
            if not rest:
                found.append(self._at_end(way, path, test, subject))
            elif way.kind in (Kind.PLAIN, Kind.CELLS) and way.is_node:
                target = self._variable()
                beyond = self._along(rest, path, test, target)
                link = self._valued(way, subject, woql.variable(target))
                found.append(_linked(link, beyond))
            else:
                found.append(self._present(way, subject, is_exact=False))
        return _any(found)

    def _at_end(self, way: Way, path: Path, test: Test, subject: str) -> Condition:
        if isinstance(test, Present) or way.kind is Kind.STALE:
            is_value = way.kind is Kind.PLAIN or (way.kind is Kind.TEXT and way.is_single)
            return self._present(way, subject, is_exact=is_value or way.kind is Kind.CELLS)
        if way.kind is Kind.TEXT:
            return self._within_text(way, path, test, subject)
        match test:
            case Compare(_, Op.EQ, value):
                return self._equal(way, path, (value,), subject)
            case In(_, values):
                return self._equal(way, path, values, subject)
            case Compare(_, Op.PREFIX, value):
                return self._prefixed(way, str(value.canonical), subject)
            case Compare(_, op, value):
                return self._compared(way, path, _OPERATORS[op], value, subject)

    def _by_key(self, name: str, part: Sequence[Hop], path: Path, test: Test, subject: str) -> Condition:
        """By the sort keys, which stand in hexadecimal beside an indexed path's values."""
        access, _ = candidates(Query((), replace(test, path=Path(tuple(part), path.type, True))))[0]
        holder = woql.variable(subject)
        if isinstance(access, Equal):
            keys = [woql.text(key.hex()) for key in access.keys]
            if len(keys) == 1:
                return Condition(woql.triple(holder, name, keys[0]), is_exact(access), _LOOKED_UP)
            key = self._variable()
            listed, valued = woql.member(key, keys), woql.triple(holder, name, woql.variable(key))
            return _among(listed, valued, is_exact=is_exact(access))
        assert isinstance(access, Range)
        return self._ranged(name, access, subject)

    def _bounds(self, terms: Sequence[Predicate]) -> tuple[dict[Path, list[Predicate]], list[Predicate]]:
        """The terms that bound one value, by its indexed path, and all others: two bounds are one range of keys."""
        single: dict[Path, list[Predicate]] = {}
        others: list[Predicate] = []
        for term in terms:
            is_one = isinstance(term, Compare) and term.path.indexed and len(term.path.hops) == 1
            if is_one and isinstance(term, Compare) and all(way.is_single for way in self._ways.of(term.path.hops)):
                single.setdefault(term.path, []).append(term)
            else:
                others.append(term)
        return single, others

    def _in_range(self, path: Path, bounds: Sequence[Predicate], subject: str) -> Condition:
        low, high = b"", None
        for bound in bounds:
            access, _ = candidates(Query((), bound))[0]
            assert isinstance(access, Equal | Range)
            key = access.keys[0] if isinstance(access, Equal) else access.low
            end = key + b"\0" if isinstance(access, Equal) else access.high
            low, high = max(low, key), end if high is None else high if end is None else min(high, end)
        access = Range((), (), path.type, low, high)
        return _any([self._ranged(name, access, subject) for name in self._ways.keys(path.hops)])

    def _ranged(self, name: str, access: Range, subject: str) -> Condition:
        holder = woql.variable(subject)
        if not access.low and access.high is None:
            return Condition(woql.triple(holder, name, woql.variable(self._variable())), True, _LISTED)
        low = woql.text(access.low.hex())
        high = woql.text(_BEYOND_KEYS if access.high is None else access.high.hex())
        value = self._variable()
        found = woql.between(holder, name, value, low, high)
        bounds = [woql.compared("Gte", value, low), woql.compared("Less", value, high)]
        check = woql.conjunction([woql.triple(holder, name, woql.variable(value)), *bounds])
        return Condition(found, is_exact(access), _SLICED, check)

    def _equal(self, way: Way, path: Path, values: Sequence[Value], subject: str) -> Condition:
        literals = [_literal(way, path, value) for value in values]
        known = [one for one in literals if one is not None]
        if len(known) < len(literals):
            return self._present(way, subject, is_exact=False)
        if len(known) == 1:
            return Condition(self._valued(way, subject, known[0]), is_exact=True, rank=_LOOKED_UP)
        name = self._variable()
        valued = self._valued(way, subject, woql.variable(name))
        return _among(woql.member(name, known), valued, is_exact=True)

    def _prefixed(self, way: Way, prefix: str, subject: str) -> Condition:
        beyond = ord(prefix[-1]) + 1 if prefix else 0
        is_sliced = 0 < beyond < _SURROGATES and max(prefix) <= _LAST_SLICED
        if not is_sliced or not way.range.startswith("xsd:"):
            return self._present(way, subject, is_exact=False)
        low, high = (woql.text(text, way.range) for text in (prefix, prefix[:-1] + chr(beyond)))
        value = self._variable()
        found = self._said(way, subject, lambda holder, name: woql.between(holder, name, value, low, high))
        bounds = [woql.compared("Gte", value, low), woql.compared("Less", value, high)]
        check = woql.conjunction([self._valued(way, subject, woql.variable(value)), *bounds])
        return Condition(found, True, _SLICED, check)

    def _compared(self, way: Way, path: Path, operator: str, value: Value, subject: str) -> Condition:
        bound = _literal(way, path, value)
        if bound is None or not (path.type in STRING_TYPES or _is_exact_number(path.type)):
            return self._present(way, subject, is_exact=False)
        name = self._variable()
        said = woql.compared(operator, name, bound)
        phrase = woql.conjunction([self._valued(way, subject, woql.variable(name)), said])
        return Condition(phrase, is_exact=True, rank=_COMPARED)

    def _within_text(self, way: Way, path: Path, test: Compare | In, subject: str) -> Condition:
        """A value within a string of JSON stands there in its canonical form, as does what looks like it elsewhere."""
        values = test.values if isinstance(test, In) else (test.value,)
        is_equality = isinstance(test, In) or test.op is Op.EQ
        if not is_equality or len(values) > MAX_TEXTS or not _has_one_form(path.type):
            return self._present(way, subject, is_exact=False)
        pattern = "|".join(_SPECIAL.sub(r"\\\1", encode(value.canonical).decode()) for value in values)
        name = self._variable()
        holds = woql.matching(name, self._variable(), pattern)
        phrase = woql.conjunction([self._valued(way, subject, woql.variable(name)), holds])
        return Condition(phrase, is_exact=False, rank=_COMPARED)

    def _present(self, way: Way, subject: str, *, is_exact: bool) -> Condition:
        phrase = woql.triple(woql.variable(subject), way.name, woql.variable(self._variable()))
        return Condition(phrase, is_exact, _LISTED)

    def _valued(self, way: Way, subject: str, value: woql.Phrase) -> woql.Phrase:
        return self._said(way, subject, lambda holder, name: woql.triple(holder, name, value))

    def _said(self, way: Way, subject: str, say: Callable[[woql.Phrase, str], woql.Phrase]) -> woql.Phrase:
        holder = woql.variable(subject)
        if way.kind is not Kind.CELLS:
            return say(holder, way.name)
        cell = woql.variable(self._variable())
        return woql.conjunction([say(cell, "sys:value"), woql.triple(holder, way.name, cell)])

    def _variable(self) -> str:
        return f"V{next(self._numbers)}"


def _own(path: Path, test: Test, subject: str) -> Condition:
    """A condition on the document's own id or class."""
    match test:
        case Compare(_, Op.EQ, value):
            values: tuple[Value, ...] = (value,)
        case In(_, values):
            pass
        case _:
            return _ANYTHING
    texts = [str(value.canonical) for value in values]
    if path.type == "@type":
        # Nobody has another class than the ids say, which are looked at anyway.
        kinds = [woql.triple(woql.variable(subject), "rdf:type", woql.node(f"@schema:{text}")) for text in texts]
        return Condition(_one_of(kinds), is_exact=True, rank=_LISTED)
    exists = woql.triple(woql.variable(subject), "rdf:type", woql.variable(f"{subject}Type"))
    phrase = woql.conjunction([woql.member(subject, [woql.node(text) for text in texts]), exists])
    return Condition(phrase, is_exact=True, rank=_LOOKED_UP)


def _among(listed: woql.Phrase, valued: woql.Phrase, *, is_exact: bool) -> Condition:
    """That a value, said to be had by `valued`, is one of those `listed`."""
    return Condition(woql.conjunction([listed, valued]), is_exact, _LOOKED_UP, woql.conjunction([valued, listed]))


def _linked(link: woql.Phrase, beyond: Condition) -> Condition:
    """That a link leads to what fulfils a condition."""
    if beyond.phrase is None:
        return Condition(link, is_exact=False, rank=_LISTED)
    found, check = ([beyond.phrase, link], [link, beyond.checked])
    return Condition(woql.conjunction(found), beyond.is_exact, beyond.rank, woql.conjunction(check))


def _all(conditions: Sequence[Condition]) -> Condition:
    said = sorted((one for one in conditions if one.phrase is not None), key=lambda one: one.rank)
    if not said or said[0].phrase is None:
        return _ANYTHING
    is_exact = all(one.is_exact for one in conditions)
    if len(said) == 1:
        return replace(said[0], is_exact=is_exact)
    checks = [one.checked for one in said]
    phrase = woql.conjunction([said[0].phrase, *checks[1:]])
    return Condition(phrase, is_exact, said[0].rank, woql.conjunction(checks))


def _any(conditions: Sequence[Condition]) -> Condition:
    phrases = [one.phrase for one in conditions if one.phrase is not None]
    if not phrases or len(phrases) < len(conditions):
        return _ANYTHING
    is_exact = all(one.is_exact for one in conditions)
    check = _one_of([one.checked for one in conditions])
    return Condition(_one_of(phrases), is_exact, max(one.rank for one in conditions), check)


def _one_of(phrases: Sequence[woql.Phrase]) -> woql.Phrase:
    return phrases[0] if len(phrases) == 1 else woql.disjunction(phrases)


def _literal(way: Way, path: Path, value: Value) -> woql.Phrase | None:
    """A value as the server has it; None if another value on the server may equal it, or that is not known."""
    type_, range_ = path.type, way.range
    if type_ == "link":
        return woql.node(str(value.canonical)) if way.is_node else woql.text(str(value.canonical), way.range)
    if type_ == "enum":
        return woql.node(way.member(str(value.canonical))) if way.is_node else None
    if type_ in STRING_TYPES:
        return woql.text(str(value.canonical), range_)
    if type_ in _BINARY:
        return woql.text(str(value.canonical), way.range)
    if type_ == "xsd:boolean":
        return woql.literal(range_, bool(value.canonical))
    if _is_exact_number(type_):
        return woql.literal(range_, number_text(value.canonical))
    return None


def _is_exact_number(type: str) -> bool:
    """Whether the server tells values of a type apart exactly as the kernel does; 0 is also -0 among doubles."""
    return type in EXACT_TYPES or type in NUMBER_TYPES - _DOUBLES


def _has_one_form(type: str) -> bool:
    """Whether equal values of a type have one canonical form as JSON."""
    return type in STRING_TYPES or type in _BINARY or type in ("enum", "link", "xsd:boolean") or _is_exact_number(type)
