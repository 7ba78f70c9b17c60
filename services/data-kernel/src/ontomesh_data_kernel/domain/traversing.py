"""Following links, from a document to others and back."""

import asyncio
from collections.abc import AsyncGenerator, Collection, Iterable, Mapping, Sequence
from contextlib import aclosing

import orjson

from ontomesh_data_kernel.domain.caller import Caller
from ontomesh_data_kernel.domain.expanding import targets
from ontomesh_data_kernel.domain.limits import MAX_PAGE_SIZE, check_document_id, page_size
from ontomesh_data_kernel.domain.locating import find, find_again
from ontomesh_data_kernel.domain.ontologies import OntologyCache
from ontomesh_data_kernel.domain.ontology import Ontology
from ontomesh_data_kernel.domain.ontology.hints import near
from ontomesh_data_kernel.domain.paging import make_token, read_token
from ontomesh_data_kernel.domain.query.asking import (
    Referrer,
    ReferrerPage,
    ReferrersRequest,
    TraverseRequest,
    Visit,
    Visits,
)
from ontomesh_data_kernel.domain.query.language import classes_of
from ontomesh_data_kernel.errors import DocumentNotFound, InvalidPageToken, InvalidRequest, KernelError, TooLarge
from ontomesh_data_kernel.ports import Point, Store, Version

MAX_STARTS = 1_000
MAX_PROPERTIES = 100
MAX_TYPES = 100
MAX_DEPTH = 100
MAX_VISITS = 100_000
DEFAULT_VISITS = 10_000

_READ_AT_ONCE = 256
_READ_BYTES = 16 << 20
_ASK_AT_ONCE = 16

_Link = tuple[str, str, str]
"""The id that is reached, the id of the document that it is reached from, and the property between them."""


class Links:
    """Finding documents by what links to them and from them, at any ref."""

    def __init__(self, store: Store, ontologies: OntologyCache) -> None:
        self._store = store
        self._ontologies = ontologies

    async def referrers(
        self, caller: Caller, request: ReferrersRequest, page_size_: int, page_token: str
    ) -> ReferrerPage:
        """Return a page of the links to a document; the pages are of one commit."""
        size = page_size(page_size_)
        check_document_id("id", request.id)
        listing = (
            *("referrers", request.database, request.ref, request.id),
            *(list(request.properties), list(request.types)),
        )
        after = ""
        if page_token:
            commit, after = read_token(listing, page_token, 2)
            if not all(after.partition(" ")):
                raise InvalidPageToken.at("page_token", "was not issued by this method for these arguments")
            point = await find_again(self._store, caller, request.database, request.ref, commit)
        else:
            point = await find(self._store, caller, request.database, request.ref)
        ontology = await self._ontologies.at(point)
        holders = _holders(ontology, request.types)
        _check_properties(ontology, holders, request.properties)
        paths = _paths_to(ontology, request.id, request.properties, holders if request.types else None)
        found = await self._store.referrers(point, request.id, paths, after, size + 1) if paths else ()
        if not found and not page_token and await self._store.read(point, request.id) is None:
            raise DocumentNotFound.of(request.id, point.commit)
        page = found[:size]
        token = make_token(listing, point.commit, " ".join(page[-1])) if len(found) > size else ""
        return ReferrerPage(tuple(Referrer(id, _property(id, path)) for id, path in page), token, point.commit)

    async def traverse(self, caller: Caller, request: TraverseRequest) -> AsyncGenerator[Visits]:
        """Iterate over the documents reached, breadth first, in batches; at least one comes."""
        starts = _starts(request.start_ids)
        if not 1 <= request.max_depth <= MAX_DEPTH:
            raise InvalidRequest.at("max_depth", f"{request.max_depth} is not within 1 and {MAX_DEPTH}")
        if not 0 <= request.limit <= MAX_VISITS:
            description = f"{request.limit} is not within 1 and {MAX_VISITS:,}, or 0 for {DEFAULT_VISITS:,}"
            raise InvalidRequest.at("limit", description)
        if not request.properties:
            raise InvalidRequest.at("properties", "name at least one property whose links are to be followed")
        point = await find(self._store, caller, request.database, request.ref)
        ontology = await self._ontologies.at(point)
        _check_properties(ontology, _holders(ontology, ()), request.properties)
        found = await existing(self._store, point, starts)
        for index, id in enumerate(request.start_ids):
            if id not in found:
                raise DocumentNotFound.of(id, point.commit, f"start_ids[{index}]")
        walk = _Walk(self._store, point, ontology, request.properties)
        step = walk.backwards if request.incoming else walk.onwards
        seen = set(starts)
        left = request.limit or DEFAULT_VISITS
        nearest, batch = starts, list[Visit]()
        for depth in range(1, request.max_depth + 1):
            reached: list[str] = []
            async with aclosing(step(nearest, seen)) as parts:
                async for links in parts:
                    for id, via, name in links:
                        if id in seen:
                            continue
                        if not left:
                            yield Visits(tuple(batch), point.commit, limit_reached=True)
                            return
                        left -= 1
                        seen.add(id)
                        reached.append(id)
                        batch.append(Visit(id, depth, via, name))
                        if len(batch) == MAX_PAGE_SIZE:
                            yield Visits(tuple(batch), point.commit)
                            batch = []
            if not reached:
                break
            nearest = reached
        yield Visits(tuple(batch), point.commit)


class _Walk:
    """The links from one set of documents to the next."""

    def __init__(self, store: Store, point: Point, ontology: Ontology, properties: Sequence[str]) -> None:
        self._store = store
        self._point = point
        self._ontology = ontology
        self._properties = tuple(dict.fromkeys(properties))

    async def onwards(self, ids: Sequence[str], seen: Collection[str]) -> AsyncGenerator[Sequence[_Link]]:
        """The links that these documents hold to documents that exist, part by part in their order."""
        async for versions in _read_in_parts(self._store, self._point, ids):
            links, unsure = await asyncio.to_thread(self._links, ids, versions, seen)
            if unsure:
                there = await existing(self._store, self._point, sorted(unsure))
                links = [link for link in links if link[0] not in unsure or link[0] in there]
            yield links

    def _links(
        self, ids: Iterable[str], versions: Mapping[str, Version], seen: Collection[str]
    ) -> tuple[list[_Link], set[str]]:
        """A link to each document not seen yet, and which of those perhaps do not exist."""
        followed: dict[str, list[tuple[str, list[str], bool]]] = {}
        links: dict[str, _Link] = {}
        unsure: set[str] = set()
        for id in ids:
            if id not in versions:
                continue
            document = orjson.loads(versions[id].body)
            cls = document["@type"]
            if cls not in followed:
                followed[cls] = self._followed(cls)
            for path, names, may_dangle in followed[cls]:
                for target in targets(document, names):
                    if target not in seen and target not in links:
                        links[target] = (target, id, path)
                        if may_dangle:
                            unsure.add(target)
        return list(links.values()), unsure

    def _followed(self, cls: str) -> list[tuple[str, list[str], bool]]:
        """The paths to follow from documents of a class: each, the names on it, and whether it may lead nowhere."""
        dangling = self._ontology.hierarchy.dangling.get(cls, ())
        own = (path for path in self._properties if _holds_link(self._ontology, cls, path))
        return [(path, path.split("."), path in dangling) for path in own]

    async def backwards(self, ids: Sequence[str], seen: Collection[str]) -> AsyncGenerator[Sequence[_Link]]:
        """The links to these documents, part by part in their order."""
        for start in range(0, len(ids), _ASK_AT_ONCE):
            some = ids[start : start + _ASK_AT_ONCE]
            firsts = await asyncio.gather(*(self._referrers(id, "") for id in some))
            for id, first in zip(some, firsts, strict=True):
                part = first
                while True:
                    yield [(holder, id, _property(holder, path)) for holder, path in part if holder not in seen]
                    if len(part) < MAX_PAGE_SIZE:
                        break
                    part = await self._referrers(id, " ".join(part[-1]))

    async def _referrers(self, id: str, after: str) -> Sequence[tuple[str, str]]:
        paths = _paths_to(self._ontology, id, self._properties, None)
        if not paths:
            return ()
        return await self._store.referrers(self._point, id, paths, after, MAX_PAGE_SIZE)


async def existing(store: Store, point: Point, ids: Sequence[str]) -> set[str]:
    """Those of any number of ids whose documents exist."""
    found: set[str] = set()
    async for versions in _read_in_parts(store, point, ids):
        found |= versions.keys()
    return found


async def _read_in_parts(store: Store, point: Point, ids: Sequence[str]) -> AsyncGenerator[Mapping[str, Version]]:
    """The documents that exist of any number, in parts that fit into memory with ease."""
    start, step = 0, _READ_AT_ONCE
    while start < len(ids):
        try:
            found = await store.read_many(point, ids[start : start + step], _READ_BYTES if step > 1 else None)
        except TooLarge:
            step = max(1, step // 8)
            continue
        yield found
        start += step


def _starts(ids: Sequence[str]) -> list[str]:
    if not 1 <= len(ids) <= MAX_STARTS:
        raise InvalidRequest.at("start_ids", f"{len(ids)} ids where 1 to {MAX_STARTS:,} are due")
    for index, id in enumerate(ids):
        check_document_id(f"start_ids[{index}]", id)
    return list(dict.fromkeys(ids))


def _holders(ontology: Ontology, types: Sequence[str]) -> list[str]:
    """The classes of documents that may hold the links: those named and their subclasses, or all."""
    if len(types) > MAX_TYPES:
        raise InvalidRequest.at("types", f"{len(types)} classes where at most {MAX_TYPES} are allowed")
    if not types:
        return list(classes_of(ontology, "", exact_type=False))
    found: set[str] = set()
    for index, name in enumerate(types):
        if not name:
            raise InvalidRequest.at(f"types[{index}]", "is empty")
        try:
            found.update(classes_of(ontology, name, exact_type=False))
        except KernelError as error:
            raise type(error).at(f"types[{index}]", error.violations[0].description) from None
    return sorted(found)


def _holds_link(ontology: Ontology, cls: str, path: str) -> bool:
    hierarchy = ontology.hierarchy
    declared = hierarchy.properties[cls].get(path)
    return (declared is not None and hierarchy.is_link(declared)) or path in hierarchy.links.get(cls, ())


def _check_properties(ontology: Ontology, classes: Sequence[str], properties: Sequence[str]) -> None:
    """Raises InvalidRequest unless each is a path to links in one of the classes."""
    if len(properties) > MAX_PROPERTIES:
        raise InvalidRequest.at("properties", f"{len(properties)} paths where at most {MAX_PROPERTIES} are allowed")
    for index, path in enumerate(properties):
        if not any(_holds_link(ontology, cls, path) for cls in classes):
            place = f"properties[{index}]"
            hierarchy = ontology.hierarchy
            own = next((hierarchy.properties[cls][path] for cls in classes if path in hierarchy.properties[cls]), None)
            if own is not None:
                raise InvalidRequest.at(place, f"{path} is {own.range}, not a link")
            known = {
                *(name for cls in classes for name in hierarchy.properties[cls] if _holds_link(ontology, cls, name)),
                *(name for cls in classes for name in hierarchy.links.get(cls, ())),
            }
            raise InvalidRequest.at(place, f"{path!r} holds no links in any of the classes{near(path, known)}")


def _paths_to(
    ontology: Ontology, id: str, properties: Collection[str], holders: Collection[str] | None
) -> Sequence[str]:
    """The paths (`Class.property`) by which documents of the holders' classes may link to a document."""
    return [
        f"{cls}.{path}"
        for cls, path in ontology.link_paths_to(id.partition("/")[0], with_dangling=True)
        if (not properties or path in properties) and (holders is None or cls in holders)
    ]


def _property(id: str, path: str) -> str:
    """A path without the class of the document that it is of."""
    return path.removeprefix(f"{id.partition('/')[0]}.")
