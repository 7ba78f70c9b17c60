"""From the text of a filter or an order to a tree that knows nothing yet of the ontology.

The language is that of AIP-160, where OR binds tighter than AND, with `in` and without bare words:

    filter  = [terms]
    terms   = choice {["AND"] choice}
    choice  = term {"OR" term}
    term    = ["NOT" | "-"] ("(" terms ")" | path test)
    test    = ("=" | "!=" | "<" | "<=" | ">" | ">=" | ":") value | "in" ("(" values ")" | "[" values "]") | ":*"
"""

from dataclasses import dataclass

from ontomesh_data_kernel.domain.query.lexing import Literal, Name, Scanner
from ontomesh_data_kernel.errors import InvalidFilter

MAX_FILTER_BYTES = 8 * 1024
MAX_TERMS = 100
MAX_NESTING = 32
"""Parentheses within each other."""
MAX_VALUES = 1_000
MAX_ORDERS = 4
MAX_ORDER_BYTES = 1024

_COMPARATORS = ("<=", ">=", "!=", "=", "<", ">", ":")
_KEYWORDS = ("AND", "OR", "NOT")


@dataclass(frozen=True, slots=True)
class Restriction:
    """A path and what its values must be; `operator` is a comparator, `in`, or `:*` (presence, without values)."""

    path: tuple[Name, ...]
    operator: str
    column: int
    values: tuple[Literal, ...] = ()


@dataclass(frozen=True, slots=True)
class Every:
    """All hold; two or more."""

    terms: tuple["Parsed", ...]


@dataclass(frozen=True, slots=True)
class Some:
    """One holds; two or more."""

    terms: tuple["Parsed", ...]


@dataclass(frozen=True, slots=True)
class Negation:
    """The term does not hold."""

    term: "Parsed"


Parsed = Restriction | Every | Some | Negation


@dataclass(frozen=True, slots=True)
class ParsedOrder:
    """A path to order by, as written."""

    path: tuple[Name, ...]
    descending: bool


def parse_filter(text: str) -> Parsed | None:
    """The tree of a filter; None of an empty one. Raises InvalidFilter."""
    scanner = Scanner(_checked(text, MAX_FILTER_BYTES, "filter"), "filter")
    return None if scanner.is_done else _Parser(scanner).parse()


def parse_order(text: str) -> tuple[ParsedOrder, ...]:
    """The parts of an order, such as `version desc, name`. Raises InvalidFilter."""
    scanner = Scanner(_checked(text, MAX_ORDER_BYTES, "order_by"), "order_by")
    orders: list[ParsedOrder] = []
    while not scanner.is_done or orders:
        column = scanner.column
        path = scanner.take_path()
        if not path:
            raise scanner.fault(f"a property is due, found {scanner.found()}")
        if len(orders) == MAX_ORDERS:
            raise scanner.fault(f"at most {MAX_ORDERS} properties are allowed", column)
        direction = scanner.take_word("asc", "desc")
        orders.append(ParsedOrder(path, direction == "desc"))
        if scanner.is_done:
            break
        if not scanner.take(","):
            raise scanner.fault(f"`asc`, `desc` or a comma is due, found {scanner.found()}")
    return tuple(orders)


def _checked(text: str, limit: int, field: str) -> str:
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise InvalidFilter.of(error.start + 1, "is half of a surrogate pair, which is no character", field) from None
    if size > limit:
        raise InvalidFilter.of(1, f"{field} has {size:,} bytes where at most {limit:,} are allowed", field)
    return text


class _Parser:
    def __init__(self, scanner: Scanner) -> None:
        self._scanner = scanner
        self._terms = 0

    def parse(self) -> Parsed:
        tree = self._all(0)
        if not self._scanner.is_done:
            raise self._scanner.fault(f"a term or the end is due, found {self._scanner.found()}")
        return tree

    def _all(self, depth: int) -> Parsed:
        terms = [self._choice(depth)]
        while not self._scanner.is_done and not self._scanner.is_next(")"):
            self._scanner.take_word("AND")
            terms.append(self._choice(depth))
        return terms[0] if len(terms) == 1 else Every(tuple(terms))

    def _choice(self, depth: int) -> Parsed:
        terms = [self._term(depth)]
        while self._scanner.take_word("OR"):
            terms.append(self._term(depth))
        return terms[0] if len(terms) == 1 else Some(tuple(terms))

    def _term(self, depth: int) -> Parsed:
        if self._scanner.take_word("NOT") or self._scanner.take("-"):
            return Negation(self._simple(depth))
        return self._simple(depth)

    def _simple(self, depth: int) -> Parsed:
        scanner = self._scanner
        column = scanner.column
        if not scanner.take("("):
            return self._restriction()
        if depth == MAX_NESTING:
            raise scanner.fault(f"at most {MAX_NESTING} parentheses within each other are allowed", column)
        inner = self._all(depth + 1)
        if not scanner.take(")"):
            raise scanner.fault("the parenthesis is not closed", column)
        return inner

    def _restriction(self) -> Parsed:
        scanner = self._scanner
        column = scanner.column
        if keyword := scanner.take_word(*_KEYWORDS):
            raise scanner.fault(f"a term is due, found {keyword}", column)
        path = scanner.take_path()
        if not path:
            if scanner.is_next('"') or scanner.is_next("'"):
                raise scanner.fault(_BARE_WORD)
            raise scanner.fault(f"a property is due, found {scanner.found()}")
        self._terms += 1
        if self._terms > MAX_TERMS:
            raise scanner.fault(f"at most {MAX_TERMS} terms are allowed", column)
        place = scanner.column
        if scanner.take_word("in", "IN"):
            return Restriction(path, "in", place, self._list())
        operator = scanner.take(*_COMPARATORS)
        if not operator:
            if scanner.is_done or scanner.is_next(")") or scanner.take_word(*_KEYWORDS) or scanner.take_path():
                raise scanner.fault(_BARE_WORD, column)
            raise scanner.fault(f"a comparison is due, found {scanner.found()}")
        value = scanner.take_literal()
        if operator == ":" and value.is_prefix and not value.is_quoted and not value.text:
            return Restriction(path, ":*", place)
        tested = Restriction(path, "=" if operator in ("!=", ":") else operator, place, (value,))
        return Negation(tested) if operator == "!=" else tested

    def _list(self) -> tuple[Literal, ...]:
        scanner = self._scanner
        column = scanner.column
        opening = scanner.take("(", "[")
        if not opening:
            raise scanner.fault(f'a list is due after in, such as ("a", "b"), found {scanner.found()}')
        closing = ")" if opening == "(" else "]"
        values = [scanner.take_literal()]
        while scanner.take(","):
            if len(values) == MAX_VALUES:
                raise scanner.fault(f"at most {MAX_VALUES:,} values are allowed in a list")
            values.append(scanner.take_literal())
        if not scanner.take(closing):
            if scanner.is_done:
                raise scanner.fault(f"the list is not closed with {closing}", column)
            raise scanner.fault(f"a comma or {closing} is due, found {scanner.found()}")
        return tuple(values)


_BARE_WORD = 'is compared with nothing; there is no search in all properties, name one, as in name = "lib*"'
