"""Exports: documents of one commit as a stream of NDJSON."""

from collections.abc import AsyncGenerator

from ontomesh_data_kernel.domain.caller import Caller
from ontomesh_data_kernel.domain.limits import MAX_ID_BYTES, check_text
from ontomesh_data_kernel.domain.locating import find
from ontomesh_data_kernel.domain.model import ExportPiece
from ontomesh_data_kernel.domain.ontologies import OntologyCache
from ontomesh_data_kernel.domain.ontology import near
from ontomesh_data_kernel.errors import UnknownClass
from ontomesh_data_kernel.ports import Point, Store

_PAGE = 1_000
_PAGE_BYTES = 256 << 10


class Exports:
    """Taking documents out, in bulk."""

    def __init__(self, store: Store, ontologies: OntologyCache) -> None:
        self._store = store
        self._ontologies = ontologies

    async def export(
        self, caller: Caller, database: str, ref: str, type: str, exact_type: bool, after: str
    ) -> AsyncGenerator[ExportPiece]:
        """The documents of a class with its subclasses, or of all, by class and id, those after `after`.

        The first piece may be empty: it says which commit is read. What follows is of that commit, whatever happens to
        the ref.
        """
        if after:
            check_text("after", after, MAX_ID_BYTES)
        point = await find(self._store, caller, database, ref)
        classes = await self._classes(point, type, exact_type)
        yield ExportPiece(b"", 0, after, point.commit)
        more = True
        while more and classes:
            page, more = await self._store.list_documents(point, classes, after, _PAGE, _PAGE_BYTES)
            if not page:
                break
            after = page[-1].id
            data = b"".join(part for one in page for part in (one.body, b"\n"))
            yield ExportPiece(data, len(page), after, point.commit)

    async def _classes(self, point: Point, type: str, exact: bool) -> list[str]:
        ontology = await self._ontologies.at(point)
        if not type:
            return sorted(ontology.classes)
        if type not in ontology.classes:
            raise UnknownClass.at("type", f"the ontology has no class {type!r}{near(type, ontology.classes)}")
        return [type] if exact else sorted(ontology.subclasses(type))
