"""The kernel's domain as its doors see it."""

import secrets
from collections.abc import Callable

from ontomesh_data_kernel.domain.branches import Branches
from ontomesh_data_kernel.domain.checking import OntologyChecks
from ontomesh_data_kernel.domain.commits import Commits
from ontomesh_data_kernel.domain.databases import Databases
from ontomesh_data_kernel.domain.diffs import Diffs
from ontomesh_data_kernel.domain.documents import Documents
from ontomesh_data_kernel.domain.exporting import Exports
from ontomesh_data_kernel.domain.identity import Clock, increasing, system_clock
from ontomesh_data_kernel.domain.importing import Imports
from ontomesh_data_kernel.domain.locating import Refs
from ontomesh_data_kernel.domain.merges import Merges
from ontomesh_data_kernel.domain.ontologies import Ontologies, OntologyCache
from ontomesh_data_kernel.domain.queries import Queries
from ontomesh_data_kernel.domain.snapshots import Snapshots
from ontomesh_data_kernel.domain.traversing import Links
from ontomesh_data_kernel.ports import Store


def draw_id() -> str:
    """A random key of 128 bits."""
    return secrets.token_urlsafe(16)


class Kernel:
    """Everything the kernel does, by noun, over one store."""

    def __init__(self, store: Store, clock: Clock = system_clock, random_id: Callable[[], str] = draw_id) -> None:
        clock = increasing(clock)
        ontologies = OntologyCache(store)
        self.databases = Databases(store, clock)
        self.branches = Branches(store, clock)
        self.documents = Documents(store, ontologies)
        self.ontologies = Ontologies(store, ontologies)
        self.ontology_checks = OntologyChecks(store, ontologies)
        self.commits = Commits(store, ontologies, clock, random_id)
        self.refs = Refs(store)
        self.diffs = Diffs(store)
        self.merges = Merges(store, ontologies, clock)
        self.queries = Queries(store, ontologies)
        self.links = Links(store, ontologies)
        self.snapshots = Snapshots(store, ontologies)
        self.imports = Imports(store, ontologies, clock, random_id)
        self.exports = Exports(store, ontologies)
        self._store = store

    async def close(self) -> None:
        """Finish what was accepted and release the store."""
        await self._store.close()
