"""Many reads at one commit, for callers who ask for several things at once, within one allowance."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ontomesh_data_kernel.domain.caller import Caller
from ontomesh_data_kernel.domain.limits import MAX_PAGE_BYTES, MAX_PAGE_SIZE
from ontomesh_data_kernel.domain.locating import find
from ontomesh_data_kernel.domain.model import Document
from ontomesh_data_kernel.domain.ontologies import OntologyCache
from ontomesh_data_kernel.domain.ontology import Ontology
from ontomesh_data_kernel.domain.paging import make_token, read_token
from ontomesh_data_kernel.domain.query.language import fingerprint
from ontomesh_data_kernel.domain.query.tree import Query
from ontomesh_data_kernel.errors import InvalidPageToken, InvalidRequest, TooLarge
from ontomesh_data_kernel.ports import Point, Store, Version

MAX_READ_BYTES = 64 << 20
"""Bytes of bodies that one snapshot reads."""

_MAX_POSITION = 4_096


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a query's result; `cursor` says where the next one begins, empty at the end."""

    documents: tuple[Document, ...]
    cursor: str


@dataclass(frozen=True, slots=True)
class LinkPart:
    """A part of the links to a document: (id, path) pairs with paths as `Class.property`; `cursor` as in `Part`."""

    links: tuple[tuple[str, str], ...]
    cursor: str


class Snapshots:
    """Reading at one commit after the rights were checked once."""

    def __init__(self, store: Store, ontologies: OntologyCache) -> None:
        self._store = store
        self._ontologies = ontologies

    async def open(self, caller: Caller, database: str, ref: str) -> "Snapshot":
        """The commit that a ref names now. Raises as every read of a ref does."""
        point = await find(self._store, caller, database, ref)
        return Snapshot(self._store, database, point, await self._ontologies.at(point))


class Snapshot:
    """A commit that the caller may read. Cursors go on at this very commit."""

    def __init__(self, store: Store, database: str, point: Point, ontology: Ontology) -> None:
        self._store = store
        self._database = database
        self._point = point
        self._room = MAX_READ_BYTES
        self.ontology = ontology

    @property
    def commit(self) -> str:
        """The commit's id."""
        return self._point.commit

    async def select(self, query: Query, first: int, after: str) -> Part:
        """Return the first documents (1 to 1,000) that match, after a cursor ("" is the beginning); fewer if their
        bodies would exceed a page's bytes. Raises InvalidRequest, InvalidPageToken, QueryTooCostly, TooLarge.
        """
        _check_first(first)
        listing = ("select", self._database, fingerprint(query))
        position = self._position(listing, after)
        found = await self._store.select(self._point, query, position, first, MAX_PAGE_BYTES)
        self._spend(sum(len(document.body) for document in found.documents))
        cursor = make_token(listing, self.commit, found.position) if found.position else ""
        return Part(tuple(found.documents), cursor)

    async def count(self, query: Query) -> int:
        """Return how many documents match. Raises QueryTooCostly."""
        return await self._store.count(self._point, query)

    async def read(self, ids: Collection[str]) -> Mapping[str, Version]:
        """Return those of the documents that exist, in one read of the store. Raises TooLarge."""
        try:
            found = await self._store.read_many(self._point, ids, self._room)
        except TooLarge:
            raise _too_much() from None
        self._spend(sum(len(version.body) for version in found.values()))
        return found

    async def referrers(self, id: str, paths: Sequence[str], first: int, after: str) -> LinkPart:
        """Return the first links (1 to 1,000) to a document by any of the paths, by id and path, after a cursor.

        Raises InvalidRequest, InvalidPageToken.
        """
        _check_first(first)
        listing = ("referrers", self._database, id, *sorted(paths))
        position = self._position(listing, after)
        found = await self._store.referrers(self._point, id, paths, position, first + 1) if paths else ()
        links = tuple(found[:first])
        cursor = make_token(listing, self.commit, " ".join(links[-1])) if len(found) > first else ""
        return LinkPart(links, cursor)

    def _position(self, listing: tuple[object, ...], after: str) -> str:
        if not after:
            return ""
        try:
            commit, position = read_token(listing, after, 2)
        except InvalidPageToken:
            raise InvalidPageToken.at("after", "is no cursor of these arguments") from None
        if commit != self.commit:
            raise InvalidPageToken.at("after", f"is a cursor at commit {commit}; read at the ref commit:{commit}")
        if not (position.isprintable() and len(position.encode()) <= _MAX_POSITION):
            raise InvalidPageToken.at("after", "is no cursor of these arguments")
        return position

    def _spend(self, size: int) -> None:
        self._room -= size
        if self._room < 0:
            raise _too_much()


def _check_first(first: int) -> None:
    if not 1 <= first <= MAX_PAGE_SIZE:
        raise InvalidRequest.at("first", f"{first} is not within 1 and {MAX_PAGE_SIZE:,}")


def _too_much() -> TooLarge:
    description = f"the documents have more than {MAX_READ_BYTES:,} bytes in all; ask for fewer"
    return TooLarge(description, (), {"limit": str(MAX_READ_BYTES)})
