"""Ontologies at points in history."""

import asyncio
from collections import OrderedDict
from collections.abc import Generator

from ontomesh_data_kernel.domain.caller import Caller
from ontomesh_data_kernel.domain.locating import find
from ontomesh_data_kernel.domain.model import ClassSchemaAt, OntologyAt
from ontomesh_data_kernel.domain.ontology import EMPTY, Ontology, near
from ontomesh_data_kernel.domain.ontology.model import MAX_NAME
from ontomesh_data_kernel.errors import UnknownClass
from ontomesh_data_kernel.ports import Facts, Head, Needs, Point, Store

_REMEMBERED = 64
_BRANCHES = 4_096


class OntologyCache:
    """Remembers ontologies by their digests, with their compiled validators. Usable from any thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: OrderedDict[str, Ontology] = OrderedDict([(EMPTY.digest, EMPTY)])
        self._last: dict[tuple[str, str], Ontology] = {}

    def last(self, database: str, branch: str) -> Ontology | None:
        """The ontology that a commit on the branch last met here: a good guess, no more."""
        return self._last.get((database, branch))

    def met(self, database: str, branch: str, ontology: Ontology) -> None:
        """Note the ontology at a branch's head."""
        if len(self._last) >= _BRANCHES:
            self._last.clear()
        self._last[database, branch] = ontology

    async def at(self, point: Point) -> Ontology:
        """The ontology at a point."""
        known = self._known.get(point.ontology_digest)
        if known is None:
            elements = await self._store.read_ontology(point)
            known = self.remember(await asyncio.to_thread(Ontology.from_documents, elements))
        return known

    def at_head(self, head: Head) -> Generator[Needs, Facts, Ontology]:
        """The ontology at the head, as part of a decision."""
        known = self._known.get(head.point.ontology_digest)
        if known is None:
            facts = yield Needs(ontology=True)
            known = self.remember(Ontology.from_documents(facts.ontology))
        return known

    def remember(self, ontology: Ontology) -> Ontology:
        """Keep an ontology for later; the oldest are forgotten."""
        self._known[ontology.digest] = ontology
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return ontology


class Ontologies:
    """Reading ontologies."""

    def __init__(self, store: Store, cache: OntologyCache) -> None:
        self._store = store
        self._cache = cache

    async def get(self, caller: Caller, database: str, ref: str) -> OntologyAt:
        """Return the ontology at a ref."""
        point = await find(self._store, caller, database, ref)
        ontology = await self._cache.at(point)
        return OntologyAt(ontology.to_json(), ontology.digest, point.commit)

    async def class_schema(self, caller: Caller, database: str, ref: str, name: str) -> ClassSchemaAt:
        """Return a class at a ref as JSON Schema. Raises UnknownClass on `class_name`."""
        point = await find(self._store, caller, database, ref)
        ontology = await self._cache.at(point)
        if not name:
            raise UnknownClass.at("class_name", "is required: the name of a class")
        if name not in ontology.classes:
            raise UnknownClass.at(
                "class_name", f"the ontology has no class {name[:MAX_NAME]!r}{near(name, ontology.classes)}"
            )
        return ClassSchemaAt(ontology.class_schema(name), ontology.digest, point.commit)
