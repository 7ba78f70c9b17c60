"""The kernel's domain as its doors see it."""

import secrets
from collections.abc import Callable

from ontomesh_data_kernel.domain.branches import Branches
from ontomesh_data_kernel.domain.caller import Caller
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
from ontomesh_data_kernel.domain.relaying import Relay, RelayStatus
from ontomesh_data_kernel.domain.snapshots import Snapshots
from ontomesh_data_kernel.domain.traversing import Links
from ontomesh_data_kernel.domain.validators.hearing import Hearings
from ontomesh_data_kernel.domain.validators.judging import Judges
from ontomesh_data_kernel.domain.validators.managing import Validators, require_admin_everywhere
from ontomesh_data_kernel.domain.validators.registry import Registry
from ontomesh_data_kernel.ports import Checks, Publisher, Store


def draw_id() -> str:
    """A random key of 128 bits."""
    return secrets.token_urlsafe(16)


class Kernel:
    """Everything the kernel does, by noun, over one store. Without `checks` no commit is shown to a validator."""

    def __init__(
        self,
        store: Store,
        clock: Clock = system_clock,
        random_id: Callable[[], str] = draw_id,
        checks: Checks | None = None,
    ) -> None:
        clock = increasing(clock)
        ontologies = OntologyCache(store)
        registry = Registry(store.state)
        hearings = Hearings(registry, Judges(checks, draw_id)) if checks is not None else None
        self.databases = Databases(store, clock)
        self.branches = Branches(store, clock)
        self.documents = Documents(store, ontologies)
        self.ontologies = Ontologies(store, ontologies)
        self.ontology_checks = OntologyChecks(store, ontologies)
        self.commits = Commits(store, ontologies, clock, random_id, hearings)
        self.refs = Refs(store)
        self.diffs = Diffs(store)
        self.merges = Merges(store, ontologies, clock, hearings)
        self.queries = Queries(store, ontologies)
        self.links = Links(store, ontologies)
        self.snapshots = Snapshots(store, ontologies)
        self.imports = Imports(store, ontologies, clock, random_id, hearings)
        self.exports = Exports(store, ontologies)
        self.validators = Validators(store.state, registry, checks, clock)
        self._store = store
        self._ontologies = ontologies
        self._registry = registry
        self._checks = checks
        self.relay: Relay | None = None

    def start_relay(self, publisher: Publisher, on_commit: Callable[[float], None]) -> Relay:
        """Relay what is committed to a publisher, until closed; see `Relay`."""
        self.relay = Relay(self._store, self._ontologies, publisher, on_commit=on_commit)
        self.relay.start()
        return self.relay

    def relay_status(self, caller: Caller) -> RelayStatus | None:
        """How the relay stands; None if this kernel has none. Raises PermissionDenied."""
        require_admin_everywhere(caller)
        return self.relay.status() if self.relay is not None else None

    async def close(self) -> None:
        """Finish what was accepted and release the store."""
        if self.relay is not None:
            await self.relay.close()
        await self._registry.close()
        if self._checks is not None:
            await self._checks.close()
        await self._store.close()
