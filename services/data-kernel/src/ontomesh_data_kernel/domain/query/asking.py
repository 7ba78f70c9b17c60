"""What callers ask of queries, and what they get; what each field means is said in `query_service.proto`."""

from dataclasses import dataclass

from ontomesh_data_kernel.domain.model import Document
from ontomesh_data_kernel.domain.query.tree import Plan


@dataclass(frozen=True, slots=True)
class QueryRequest:
    """A query as a caller writes it; empty means "not given"."""

    database: str
    ref: str = ""
    type: str = ""
    exact_type: bool = False
    filter: str = ""
    order_by: str = ""
    fields: tuple[str, ...] = ()
    expand: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class QueryPage:
    """A part of a query's result at one commit; `included` are the documents that `expand` leads to, by id."""

    documents: tuple[Document, ...]
    included: tuple[Document, ...]
    next_page_token: str
    commit: str


@dataclass(frozen=True, slots=True)
class Counted:
    """How many documents match."""

    count: int
    commit: str


@dataclass(frozen=True, slots=True)
class Explained:
    """How the store would serve a query."""

    plan: Plan
    commit: str


@dataclass(frozen=True, slots=True)
class ReferrersRequest:
    """Asks who links to a document."""

    database: str
    ref: str = ""
    id: str = ""
    properties: tuple[str, ...] = ()
    types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Referrer:
    """A link to a document: who holds it, and in which property (a path)."""

    id: str
    property: str


@dataclass(frozen=True, slots=True)
class ReferrerPage:
    """A page of the links to a document."""

    referrers: tuple[Referrer, ...]
    next_page_token: str
    commit: str


@dataclass(frozen=True, slots=True)
class TraverseRequest:
    """Where to begin, which links to follow and how far; `limit` 0 is the default."""

    database: str
    ref: str = ""
    start_ids: tuple[str, ...] = ()
    properties: tuple[str, ...] = ()
    incoming: bool = False
    max_depth: int = 0
    limit: int = 0


@dataclass(frozen=True, slots=True)
class Visit:
    """A document reached: how many links away it is, and the last link on the way to it."""

    id: str
    depth: int
    via_id: str
    via_property: str


@dataclass(frozen=True, slots=True)
class Visits:
    """A batch of a traversal; `limit_reached` in the last one if there would have been more."""

    visits: tuple[Visit, ...]
    commit: str
    limit_reached: bool = False
