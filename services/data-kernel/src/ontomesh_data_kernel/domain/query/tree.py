"""The one syntax tree of queries, resolved against an ontology: what doors make and every store compiles.

A path leads from a document through links and subdocuments to values. A predicate over a path holds if *any* value
that the path reaches satisfies it; a path that reaches none satisfies no comparison. Values compare by the order that
`sorting` gives their type.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from ontomesh_data_kernel.domain.model import Document


@dataclass(frozen=True, slots=True)
class Hop:
    """A step of a path: a property of the documents reached so far.

    `classes` are the concrete classes that they can be and that have the property, by name. `targets` are the concrete
    classes that its values can be, if it holds links or (`is_embedded`) subdocuments; the step into a value has none.
    """

    name: str
    classes: tuple[str, ...]
    targets: tuple[str, ...] = ()
    is_embedded: bool = False


@dataclass(frozen=True, slots=True)
class Path:
    """Hops from the document asked for; the last one reaches the values compared.

    `type` is the xsd type of the values, `enum` for an enum's, `link` for ids of documents (a link itself, which
    `requires.@id` is too), and `@id` for the document's own id, without hops. `@type` is the class: without hops the
    document's own, else that of what the last hop reaches (of a link's target as its id says, whether or not it
    exists). `sys:JSON` and `subdocument` are the types of what can only be asked for by Present.
    `indexed` if all classes that hold the values, after the last link followed, declare their index.
    """

    hops: tuple[Hop, ...]
    type: str
    indexed: bool = False

    @property
    def text(self) -> str:
        """The path as it is written."""
        names = [hop.name for hop in self.hops]
        return ".".join([*names, self.type] if self.type in ("@id", "@type") else names)


class Op(Enum):
    """How values compare; PREFIX is of strings."""

    EQ = "="
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="
    PREFIX = "prefix"


@dataclass(frozen=True, slots=True)
class Value:
    """A value compared with: its canonical JSON form (str, bool, int, or `orjson.Fragment`) and its sort key."""

    canonical: object
    key: bytes


@dataclass(frozen=True, slots=True)
class Compare:
    """Some value of the path compares so."""

    path: Path
    op: Op
    value: Value


@dataclass(frozen=True, slots=True)
class In:
    """Some value of the path is one of these (1 to 1,000, each once)."""

    path: Path
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Present:
    """The path reaches a value."""

    path: Path


@dataclass(frozen=True, slots=True)
class And:
    """All hold."""

    terms: tuple["Predicate", ...]


@dataclass(frozen=True, slots=True)
class Or:
    """One holds."""

    terms: tuple["Predicate", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The term does not hold."""

    term: "Predicate"


Predicate = Compare | In | Present | And | Or | Not


@dataclass(frozen=True, slots=True)
class Order:
    """One field to order by: a path without links and with at most one value. Documents without one come last, in
    either direction. The order is that of sort keys, so that strings order by their beginnings.
    """

    path: Path
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """Documents of exactly these concrete classes (sorted by name) that match, in this order.

    Equals, and all of them without an order, come in an order of the store's own that is the same at every reading of
    one commit.
    """

    classes: tuple[str, ...]
    where: Predicate | None = None
    order: tuple[Order, ...] = ()


@dataclass(frozen=True, slots=True)
class Selection:
    """A part of a query's result; `position` says where the next part begins, empty at the end. The position is the
    store's own, of printable ASCII, at most 4 KiB, and only good for the same query at the same commit.
    """

    documents: Sequence[Document]
    position: str


@dataclass(frozen=True, slots=True)
class Plan:
    """How a store serves a query.

    `access` names what is read (`index Package.license`, `class Package`), `reads` estimates how many documents or
    entries that is (at most `EXPLAIN_COUNTS` are counted; `is_more` says that there are more), `residual` says which
    parts of the filter are examined document by document, and `sorts` whether all matches are sorted in memory.
    """

    access: tuple[str, ...]
    reads: int
    is_more: bool
    residual: str
    sorts: bool


EXPLAIN_COUNTS = 10_000
