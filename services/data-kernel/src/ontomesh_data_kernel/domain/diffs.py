"""Comparing two refs."""

import asyncio
from collections.abc import Mapping, Sequence

from ontomesh_data_kernel.domain.caller import Caller
from ontomesh_data_kernel.domain.limits import MAX_PAGE_BYTES, page_size
from ontomesh_data_kernel.domain.locating import find, find_again
from ontomesh_data_kernel.domain.model import DiffKind, DiffPage, Document, DocumentDiff, PropertyDiff
from ontomesh_data_kernel.domain.paging import make_token, read_token
from ontomesh_data_kernel.domain.properties import property_changes
from ontomesh_data_kernel.errors import TooLarge
from ontomesh_data_kernel.ports import Change, Point, Store, Version

_STEP_BYTES = 4 << 20
_MAX_READ_BYTES = 16 << 20


class Diffs:
    """Comparing commits."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def diff(
        self,
        caller: Caller,
        database: str,
        base: str,
        target: str,
        include_bodies: bool,
        page_size_: int,
        page_token: str,
    ) -> DiffPage:
        """Return a page of the documents that differ, by id; without a base, of what the target changed."""
        size = page_size(page_size_)
        listing = ("diff", database, base, target, include_bodies)
        after = ""
        if page_token:
            old, new, after = read_token(listing, page_token, 3)
            end = await find_again(self._store, caller, database, target, new, "target")
            start = await find_again(self._store, caller, database, base, old, "base") if base else None
        else:
            end = await find(self._store, caller, database, target, "target")
            start = await find(self._store, caller, database, base, "base") if base else None
        if not base:
            start = await self._store.parent(end)
        changes = await self._store.changed(start, end)
        left = [change for change in changes if change.id > after]
        documents = await self._page(left[:size], start, end, include_bodies)
        more = len(documents) < len(left)
        base_commit = start.commit if start is not None else ""
        token = make_token(listing, base_commit, end.commit, documents[-1].id) if more else ""
        return DiffPage(tuple(documents), token, base_commit, end.commit, len(changes))

    async def _page(
        self, changes: list[Change], start: Point | None, end: Point, include_bodies: bool
    ) -> list[DocumentDiff]:
        """As many of the changes, from the first on, as fit a page; what is read of them is bounded too."""
        documents: list[DocumentDiff] = []
        read = size = 0
        step = len(changes)
        while changes and size < MAX_PAGE_BYTES and read < _MAX_READ_BYTES:
            some = changes[:step]
            try:
                old, new = await self._versions(some, start, end, _STEP_BYTES if step > 1 else None)
            except TooLarge:
                step = max(1, step // 8)
                continue
            ids = [change.id for change in some]
            fresh, added = await asyncio.to_thread(_differences, ids, old, new, include_bodies, MAX_PAGE_BYTES - size)
            documents += fresh
            if len(fresh) < len(some):
                break
            changes = changes[step:]
            size += added
            read += sum(len(version.body) for side in (old, new) for version in side.values())
        return documents

    async def _versions(
        self, changes: Sequence[Change], start: Point | None, end: Point, max_bytes: int | None
    ) -> tuple[Mapping[str, Version], Mapping[str, Version]]:
        old: Mapping[str, Version] = {}
        if start is not None:
            old = await self._store.read_many(start, [change.id for change in changes if change.before], max_bytes)
        new = await self._store.read_many(end, [change.id for change in changes if change.after], max_bytes)
        return old, new


def _differences(
    ids: Sequence[str], old: Mapping[str, Version], new: Mapping[str, Version], include_bodies: bool, room: int
) -> tuple[list[DocumentDiff], int]:
    """As many differences as there is room for, but at least one, and their size in bytes."""
    documents: list[DocumentDiff] = []
    size = 0
    for id in ids:
        if documents and size >= room:
            break
        one = _difference(id, old.get(id), new.get(id), include_bodies)
        size += sum(len(part.before or b"") + len(part.after or b"") for part in one.properties)
        if include_bodies:
            size += sum(len(document.body) for document in (one.before, one.after) if document is not None)
        documents.append(one)
    return documents, size


def _difference(id: str, old: Version | None, new: Version | None, include_bodies: bool) -> DocumentDiff:
    before = Document(id, old.body if include_bodies else b"", old.etag) if old is not None else None
    after = Document(id, new.body if include_bodies else b"", new.etag) if new is not None else None
    if old is None or new is None:
        return DocumentDiff(id, DiffKind.ADDED if old is None else DiffKind.REMOVED, before, after, ())
    properties = tuple(PropertyDiff(*change) for change in property_changes(old.body, new.body))
    return DocumentDiff(id, DiffKind.CHANGED, before, after, properties)
