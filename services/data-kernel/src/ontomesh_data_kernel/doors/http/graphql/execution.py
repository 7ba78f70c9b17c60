"""Executes an operation level by level: whatever the documents of one level link to is read at once.

Bodies are parsed and answers put together on threads, between the reads.
"""

import asyncio
import json
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import orjson
from graphql import FieldNode, GraphQLObjectType, OperationDefinitionNode, get_named_type
from graphql.execution.collect_fields import collect_fields

from ontomesh_data_kernel.domain.limits import check_document_id
from ontomesh_data_kernel.domain.query.sorting import sort_key
from ontomesh_data_kernel.domain.query.tree import Compare, Op, Query, Value
from ontomesh_data_kernel.domain.snapshots import LinkPart, Part, Snapshot
from ontomesh_data_kernel.doors.http.graphql.compiling import compile_documents
from ontomesh_data_kernel.doors.http.graphql.limits import MAX_ANSWER_BYTES, MAX_DOCUMENTS, too_costly
from ontomesh_data_kernel.doors.http.graphql.meaning import DEFAULT_FIRST, Documents, OneDocument, meaning_of
from ontomesh_data_kernel.doors.http.graphql.plans import BackStep, Plan, Planner, Selection
from ontomesh_data_kernel.doors.http.graphql.scalars import json_out
from ontomesh_data_kernel.errors import (
    InvalidFilter,
    InvalidPageToken,
    InvalidRequest,
    KernelError,
    QueryTooCostly,
    TooLarge,
    UnsupportedByStore,
)
from ontomesh_data_kernel.ports import Version

_AT_ONCE = 8
"""Reads of a level that run side by side, where one cannot serve all."""
_COST_OF_READ = 10
"""Documents that a read of its own counts as."""
_EXACT = json.JSONDecoder(parse_float=Decimal)

_OF_A_FIELD = (InvalidFilter, InvalidPageToken, InvalidRequest, QueryTooCostly, TooLarge, UnsupportedByStore)
"""What makes one field null; anything else ends the request."""

Place = tuple["Place | None", str | int]
"""Where something stands in the answer: in what, and by which key or index."""


@dataclass(frozen=True, slots=True)
class FieldFault:
    """Why a field is null."""

    error: KernelError
    path: list[str | int]
    node: FieldNode


class _Held:
    """A document that was read, parsed as often as needed."""

    __slots__ = ("_exact", "_fast", "body", "etag")

    def __init__(self, etag: str, body: bytes) -> None:
        self.etag = etag
        self.body = body
        self._fast: dict[str, Any] | None = None
        self._exact: dict[str, Any] | None = None

    def fast(self) -> dict[str, Any]:
        """Parsed; numbers of more than 64 bits may lose digits."""
        if self._fast is None:
            self._fast = orjson.loads(self.body)
        return self._fast

    def exact(self) -> dict[str, Any]:
        """Parsed with all digits."""
        if self._exact is None:
            self._exact = _EXACT.decode(self.body.decode())
        return self._exact


@dataclass(slots=True)
class _Level:
    """What is to be filled in next: (container, key, id, selection, place), and links to follow back."""

    documents: list[tuple[Any, Any, str, Selection, Place]] = field(default_factory=list)
    backs: list[tuple[dict[str, Any], str, BackStep, Place]] = field(default_factory=list)


class Execution:
    """One operation at one commit."""

    def __init__(self, snapshot: Snapshot, planner: Planner) -> None:
        self.faults: list[FieldFault] = []
        self._snapshot = snapshot
        self._planner = planner
        self._held: dict[str, _Held] = {}
        self._left = MAX_DOCUMENTS
        self._room = MAX_ANSWER_BYTES
        self._gate = asyncio.Semaphore(_AT_ONCE)

    async def run(self, fields: Mapping[str, Sequence[FieldNode]]) -> dict[str, Any]:
        """The answer to root fields other than introspection's; `faults` says why fields are null.

        Raises QueryTooCostly and TooLarge beyond the limits of a request, and whatever ends it.
        """
        data: dict[str, Any] = dict.fromkeys(fields)
        level = _Level()
        await self._all([self._root(data, key, nodes, level) for key, nodes in fields.items()])
        while level.documents or level.backs:
            following = _Level()
            await self._all([self._back(*back, level) for back in level.backs])
            wanted = await asyncio.to_thread(self._wanted, level)
            found = await self._snapshot.read(wanted) if wanted else {}
            await asyncio.to_thread(self._fill, level, found, following)
            level = following
        return data

    async def _all(self, reads: Sequence[Awaitable[None]]) -> None:
        for outcome in await asyncio.gather(*reads, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    # Reading

    async def _root(self, data: dict[str, Any], key: str, nodes: Sequence[FieldNode], level: _Level) -> None:
        query = self._planner.built.schema.query_type
        assert query is not None
        name = nodes[0].name.value
        if name == "__typename":
            data[key] = query.name
            return
        definition = query.fields[name]
        meaning = meaning_of(definition)
        arguments = self._planner.arguments(query, nodes[0])
        place: Place = (None, key)
        async with self._gate:
            try:
                if isinstance(meaning, OneDocument):
                    id = check_document_id("id", arguments["id"])
                    if meaning.classes and id.partition("/")[0] not in meaning.classes:
                        raise InvalidRequest.at("id", f"is not the id of a document that {name} finds")
                    self._spend(1)
                    level.documents.append((data, key, id, self._planner.selection(nodes), place))
                else:
                    assert isinstance(meaning, Documents)
                    type = get_named_type(definition.type)
                    assert isinstance(type, GraphQLObjectType)
                    made = await self._documents(meaning, arguments, type, nodes, place, level)
                    data[key] = made
            except _OF_A_FIELD as error:
                self._note(error, place, nodes[0])

    async def _documents(
        self,
        meaning: Documents,
        arguments: Mapping[str, Any],
        type: GraphQLObjectType,
        nodes: Sequence[FieldNode],
        place: Place,
        level: _Level,
    ) -> dict[str, Any]:
        built = self._planner.built
        query = await asyncio.to_thread(
            compile_documents, self._snapshot.ontology, meaning.cls, arguments, built.filters.of(meaning.cls)
        )
        fields = self._planner.collect(type, nodes)
        part, count = Part((), ""), 0
        if _asks(fields, "nodes", "pageInfo"):
            part = await self._snapshot.select(query, _first(arguments), arguments.get("after") or "")
        if _asks(fields, "totalCount"):
            count = await self._snapshot.count(query)
        for document in part.documents:
            self._held.setdefault(document.id, _Held(document.etag, document.body))
        ids = [document.id for document in part.documents]

        def listed(nodes: Sequence[FieldNode], within: Place) -> list[Any]:
            return self._listed(ids, self._planner.selection(nodes), within, level)

        return self._connection(type, fields, listed, part.cursor, count, place)

    async def _back(self, out: dict[str, Any], id: str, step: BackStep, place: Place, level: _Level) -> None:
        self._spend(_COST_OF_READ)
        async with self._gate:
            try:
                out[step.key] = await self._referrers(id, step, place, level)
            except _OF_A_FIELD as error:
                self._note(error, place, step.nodes[0])

    async def _referrers(self, id: str, step: BackStep, place: Place, level: _Level) -> dict[str, Any]:
        reverse, planner = step.reverse, self._planner
        fields = planner.collect(step.type, step.nodes)
        part, count = LinkPart((), ""), 0
        if _asks(fields, "nodes", "pageInfo"):
            paths = reverse.paths if reverse else self._paths_to(id)
            after = step.arguments.get("after") or ""
            part = await self._snapshot.referrers(id, paths, _first(step.arguments), after)
        if reverse and _asks(fields, "totalCount"):
            self._spend(_COST_OF_READ)
            there = Compare(reverse.path, Op.EQ, Value(id, sort_key("link", id)))
            count = await self._snapshot.count(Query(reverse.classes, there)) if reverse.classes else 0

        def listed(nodes: Sequence[FieldNode], within: Place) -> list[Any]:
            if reverse:
                return self._listed([holder for holder, _ in part.links], planner.selection(nodes), within, level)
            return self._links(part.links, nodes, step.type, within, level)

        return self._connection(step.type, fields, listed, part.cursor, count, place)

    def _paths_to(self, id: str) -> list[str]:
        ontology = self._snapshot.ontology
        return [f"{cls}.{path}" for cls, path in ontology.link_paths_to(id.partition("/")[0], with_dangling=True)]

    # Putting together

    def _connection(
        self,
        type: GraphQLObjectType,
        fields: Mapping[str, Sequence[FieldNode]],
        listed: Any,
        cursor: str,
        count: int,
        place: Place,
    ) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key, nodes in fields.items():
            match nodes[0].name.value:
                case "nodes":
                    made[key] = listed(nodes, (place, key))
                case "totalCount":
                    made[key] = count
                case "pageInfo":
                    info = get_named_type(type.fields["pageInfo"].type)
                    assert isinstance(info, GraphQLObjectType)
                    known = {"hasNextPage": bool(cursor), "endCursor": cursor or None, "__typename": info.name}
                    parts = self._planner.collect(info, nodes)
                    made[key] = {part: known[below[0].name.value] for part, below in parts.items()}
                case _:
                    made[key] = type.name
        return made

    def _listed(self, ids: Sequence[str], selection: Selection, place: Place, level: _Level) -> list[Any]:
        self._spend(len(ids))
        made: list[Any] = [None] * len(ids)
        for index, id in enumerate(ids):
            level.documents.append((made, index, id, selection, (place, index)))
        return made

    def _links(
        self,
        links: Sequence[tuple[str, str]],
        nodes: Sequence[FieldNode],
        type: GraphQLObjectType,
        place: Place,
        level: _Level,
    ) -> list[Any]:
        self._spend(len(links))
        link = get_named_type(type.fields["nodes"].type)
        assert isinstance(link, GraphQLObjectType)
        fields = self._planner.collect(link, nodes)
        selections = {key: self._planner.selection(below) for key, below in fields.items()}
        made: list[Any] = []
        for index, (id, path) in enumerate(links):
            one: dict[str, Any] = {}
            for key, below in fields.items():
                name = below[0].name.value
                one[key] = {"property": path.partition(".")[2], "__typename": link.name}.get(name)
                if name == "document":
                    level.documents.append((one, key, id, selections[key], ((place, index), key)))
            made.append(one)
        return made

    def _wanted(self, level: _Level) -> list[str]:
        return sorted({id for _, _, id, _, _ in level.documents} - self._held.keys())

    def _fill(self, level: _Level, found: Mapping[str, Version], following: _Level) -> None:
        self._held |= {id: _Held(version.etag, version.body) for id, version in found.items()}
        for container, key, id, selection, place in level.documents:
            held = self._held.get(id)
            if held is None:
                continue
            fast = held.fast()
            plan = selection.plan(fast["@type"])
            container[key] = self._object(held.exact() if plan.exact else fast, plan, held, place, following)

    def _object(
        self, value: Mapping[str, Any], plan: Plan, held: _Held, place: Place, following: _Level
    ) -> dict[str, Any]:
        made = plan.blank.copy()
        size = 8 * len(made)
        for key, name in plan.own:
            made[key] = _own(name, value, held)
            size += _weight(value) if name == "_json" else 0
        for step in plan.values:
            found = value.get(step.property)
            if found is None:
                made[step.key] = [] if step.is_list else None
                continue
            made[step.key] = found if step.out is None else step.out(found)
            size += _weight(found)
        self._room -= size
        if self._room < 0:
            raise TooLarge.of("bytes of the answer", MAX_ANSWER_BYTES - self._room, MAX_ANSWER_BYTES)
        for below in plan.embedded:
            found = value.get(below.property)
            if found is None:
                found = [] if below.is_list else None
            made[below.key] = self._embedded(found, below.selection, held, (place, below.key), following)
        for link in plan.links:
            found = value.get(link.property)
            where: Place = (place, link.key)
            if link.is_list:
                made[link.key] = self._linked(found or [], link.selection, link.first, where, following)
            elif found is not None:
                self._spend(1)
                following.documents.append((made, link.key, found, link.selection, where))
        for back in plan.backs:
            following.backs.append((made, value["@id"], back, (place, back.key)))
        return made

    def _embedded(self, value: Any, selection: Selection, held: _Held, place: Place, following: _Level) -> Any:
        if isinstance(value, list):
            return [self._embedded(one, selection, held, (place, index), following) for index, one in enumerate(value)]
        if value is None:
            return None
        return self._object(value, selection.plan(value["@type"]), held, place, following)

    def _linked(
        self, value: list[Any], selection: Selection, first: int | None, place: Place, following: _Level
    ) -> list[Any]:
        """Links in lists, of lists perhaps; `first` is of the outermost."""
        if value and isinstance(value[0], list):
            return [
                self._linked(one, selection, None, (place, index), following) for index, one in enumerate(value[:first])
            ]
        return self._listed(value[:first], selection, place, following)

    def _spend(self, documents: int) -> None:
        self._left -= documents
        if self._left < 0:
            raise _Exceeded(too_costly(f"comes to more than {MAX_DOCUMENTS:,} documents; ask for fewer", MAX_DOCUMENTS))

    def _note(self, error: KernelError, place: Place, node: FieldNode) -> None:
        path: list[str | int] = []
        at: Place | None = place
        while at is not None:
            at, key = at
            path.append(key)
        self.faults.append(FieldFault(error, path[::-1], node))


class _Exceeded(Exception):
    """Ends the request, where the same error of a field would not."""

    def __init__(self, error: KernelError) -> None:
        super().__init__(error.message)
        self.error = error


async def execute(
    snapshot: Snapshot, planner: Planner, fields: Mapping[str, Sequence[FieldNode]]
) -> tuple[dict[str, Any], list[FieldFault]]:
    """The data of root fields, and why some are null. Raises QueryTooCostly, TooLarge, and what ends a request."""
    execution = Execution(snapshot, planner)
    try:
        return await execution.run(fields), execution.faults
    except _Exceeded as exceeded:
        raise exceeded.error from None


def root_fields(planner: Planner, operation: OperationDefinitionNode) -> dict[str, list[FieldNode]]:
    """The fields of an operation by their keys in the answer."""
    schema = planner.built.schema
    assert schema.query_type is not None
    return collect_fields(schema, planner.fragments, planner.variables, schema.query_type, operation.selection_set)


def _first(arguments: Mapping[str, Any]) -> int:
    first = arguments.get("first")
    return DEFAULT_FIRST if first is None else first


def _asks(fields: Mapping[str, Sequence[FieldNode]], *names: str) -> bool:
    return any(nodes[0].name.value in names for nodes in fields.values())


def _own(name: str, value: Mapping[str, Any], held: _Held) -> Any:
    if name == "_json":
        return orjson.Fragment(held.body) if "@id" in value else json_out(value)
    return held.etag if name == "_etag" else value["@id" if name == "_id" else "@type"]


def _weight(value: Any) -> int:
    """About how many bytes a parsed value takes in the answer."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, list):
        return sum(map(_weight, value)) + len(value)
    if isinstance(value, dict):
        return sum(len(key) + _weight(part) for key, part in value.items())
    return value.bit_length() >> 1 if isinstance(value, int) else len(str(value))
