"""The documents that links lead to, brought along with those that hold the links."""

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import orjson

from ontomesh_data_kernel.domain.model import Document
from ontomesh_data_kernel.domain.query.shaping import Expansion
from ontomesh_data_kernel.errors import TooLarge
from ontomesh_data_kernel.ports import Point, Store

MAX_INCLUDED = 1_000

_Step = tuple[str, int]
"""A document's id, and the number of the part of the expansion that goes on from there."""
_Parts = Sequence[Sequence[tuple[tuple[str, ...], int]]]
"""An expansion with its parts by number: the links that each follows, and the part that goes on behind each."""


async def expand(
    store: Store,
    point: Point,
    documents: Sequence[Document],
    expansion: Expansion,
    *,
    leave_out: Collection[str],
    max_bytes: int,
) -> tuple[Document, ...]:
    """The documents that the expansion's links lead to, by id, without those in `leave_out`.

    Every document is read once, however many links lead to it. Raises TooLarge beyond MAX_INCLUDED documents or
    `max_bytes` of bodies.
    """
    parts = _parts(expansion)
    bodies = {document.id: document.body for document in documents}
    etags = {document.id: document.etag for document in documents}
    parsed = await asyncio.to_thread(_parse, bodies)
    reached: set[str] = set()
    taken: set[_Step] = set()
    steps = {(document.id, 0) for document in documents}
    room = max_bytes
    while steps:
        taken |= steps
        onward = await asyncio.to_thread(_onward, parsed, parts, steps)
        fresh = {id for id, _ in onward} - reached
        reached |= fresh
        count = len(reached.difference(leave_out))
        if count > MAX_INCLUDED:
            raise TooLarge.of("included documents", count, MAX_INCLUDED, "expand")
        found = await store.read_many(point, sorted(fresh - bodies.keys()), room)
        new = {id: version.body for id, version in found.items()}
        room -= sum(map(len, new.values()))
        bodies |= new
        etags |= {id: version.etag for id, version in found.items()}
        parsed |= await asyncio.to_thread(_parse, new)
        # A link may dangle: then there is nothing to go on from.
        steps = {step for step in onward if parts[step[1]] and step[0] in parsed} - taken
    included = sorted((reached & bodies.keys()).difference(leave_out))
    size = sum(len(bodies[id]) for id in included)
    if size > max_bytes:
        raise TooLarge.of("bytes of included documents", size, max_bytes, "expand")
    return tuple(Document(id, bodies[id], etags[id]) for id in included)


def targets(value: Any, names: Sequence[str]) -> Iterator[str]:
    """The ids of the links that a path of properties leads to, through subdocuments, from a parsed document."""
    if isinstance(value, list):
        for part in value:
            yield from targets(part, names)
    elif isinstance(value, dict):
        if names:
            yield from targets(value.get(names[0]), names[1:])
    elif isinstance(value, str) and not names:
        yield value


def _parts(expansion: Expansion) -> _Parts:
    parts: list[list[tuple[tuple[str, ...], int]]] = []

    def add(level: Expansion) -> int:
        number = len(parts)
        parts.append([])
        parts[number] += [(names, add(below)) for names, below in level.items()]
        return number

    add(expansion)
    return parts


def _parse(bodies: Mapping[str, bytes]) -> dict[str, Any]:
    # Numbers may lose digits here; links are strings.
    return {id: orjson.loads(body) for id, body in bodies.items()}


def _onward(parsed: Mapping[str, Any], parts: _Parts, steps: Collection[_Step]) -> set[_Step]:
    return {
        (target, behind)
        for id, number in steps
        for names, behind in parts[number]
        for target in targets(parsed[id], names)
    }
