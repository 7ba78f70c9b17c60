"""The classes of a kernel's ontologies, asked for by the SDK and kept up to date."""

import asyncio
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from ontomesh.sdk import errors as sdk
from ontomesh.sdk.mesh import AsyncMesh
from ontomesh.sdk.settings import Settings
from ontomesh_event_gateway.domain.json_schema import DataSchema, compile_schema
from ontomesh_event_gateway.domain.model import ClassName
from ontomesh_event_gateway.errors import InvalidSchema, SchemaUnavailable

logger = logging.getLogger(__name__)

REFRESH_SECONDS = 2.0
"""How often branches are asked whether their ontology has changed."""
TIMEOUT_SECONDS = 2.0
RETRY_SECONDS = 1.0
"""How long a class that could not be had is not asked for again."""

_GONE: dict[type[sdk.OntomeshError], tuple[str, str]] = {
    sdk.UnknownClass: ("name", "there is no such class on the branch"),
    sdk.BranchNotFound: ("branch", "there is no such branch"),
    sdk.DatabaseNotFound: ("database", "there is no such database"),
    sdk.InvalidRequest: ("database", "is no name of a database, or the branch is none of a branch"),
    sdk.InvalidRef: ("branch", "is no name of a branch"),
}


@dataclass(frozen=True, slots=True)
class _Known:
    schema: DataSchema
    digest: str


class KernelClasses:
    """The classes of one kernel. `run` keeps those that are wanted up to date."""

    def __init__(self, mesh: AsyncMesh) -> None:
        self._mesh = mesh
        self._known: dict[ClassName, _Known] = {}
        self._asking: dict[ClassName, asyncio.Task[None]] = {}
        self._failed: dict[ClassName, float] = {}

    @classmethod
    def connect(cls, address: str, token_file: Path) -> "KernelClasses":
        """The classes of the kernel at an address, asked for with the token of a file."""
        settings = Settings(address=address, token_file=token_file, token_file_must_exist=True, timeout=TIMEOUT_SECONDS)
        return cls(AsyncMesh(settings))

    async def close(self) -> None:
        """Ends the connection."""
        for task in self._asking.values():
            task.cancel()
        await self._mesh.close()

    async def find(self, named: ClassName) -> None:
        """Asks the kernel whether there is such a class now. Raises InvalidSchema, SchemaUnavailable."""
        try:
            await self._fetch(named)
        except sdk.OntomeshError as fault:
            for kind, (part, words) in _GONE.items():
                if isinstance(fault, kind):
                    raise InvalidSchema.at(f"ontology_class.{part}", words) from fault
            raise SchemaUnavailable(f"the kernel cannot be asked for the class: {fault}") from fault

    async def load(self, named: ClassName) -> None:
        """Asks the kernel for a class that was never known, once for all that need it."""
        now = asyncio.get_running_loop().time()
        if named in self._known or now - self._failed.get(named, -RETRY_SECONDS) < RETRY_SECONDS:
            return
        task = self._asking.get(named)
        if task is None:
            task = self._asking[named] = asyncio.create_task(self._try(named))
            task.add_done_callback(lambda _: self._asking.pop(named, None))
        await asyncio.wait({task})

    def schema(self, named: ClassName) -> DataSchema:
        """The class's schema as it was last known. Raises SchemaUnavailable."""
        known = self._known.get(named)
        if known is None:
            place = f"{named.name} of the branch {named.branch} of the database {named.database}"
            raise SchemaUnavailable(f"the class {place} is not known and the kernel cannot be asked for it now")
        return known.schema

    async def run(self, wanted: Callable[[], Collection[ClassName]]) -> None:
        """Keeps the classes that are wanted up to date until cancelled, and forgets the others."""
        while True:
            names = wanted()
            for name in self._known.keys() - names:
                del self._known[name]
            for name in self._failed.keys() - names:
                del self._failed[name]
            for database, branch in {(one.database, one.branch) for one in names}:
                await self._refresh(
                    database, branch, [one for one in names if (one.database, one.branch) == (database, branch)]
                )
            await asyncio.sleep(REFRESH_SECONDS)

    async def _refresh(self, database: str, branch: str, names: Collection[ClassName]) -> None:
        try:
            resolved = await self._mesh.database(database).resolve(branch)
        except sdk.OntomeshError as fault:
            logger.debug("the branch %s of the database %s: %s", branch, database, fault)
            return
        for name in names:
            known = self._known.get(name)
            if known is None or known.digest != resolved.commit.ontology_digest:
                await self._try(name)

    async def _try(self, named: ClassName) -> None:
        try:
            await self._fetch(named)
            self._failed.pop(named, None)
        except (sdk.OntomeshError, InvalidSchema) as fault:
            if named not in self._failed:
                kept = "its last known schema stays in force" if named in self._known else "it was never known"
                logger.warning(
                    "cannot get the class %s of %s/%s from the kernel, %s: %s",
                    *(named.name, named.database, named.branch, kept, fault),
                )
            self._failed[named] = asyncio.get_running_loop().time()

    async def _fetch(self, named: ClassName) -> None:
        found = await self._mesh.database(named.database).class_schema(named.name, named.branch)
        known = self._known.get(named)
        if known is None or known.digest != found.ontology_digest:
            schema = await asyncio.to_thread(compile_schema, found.json_schema)
            self._known[named] = _Known(schema, found.ontology_digest)


class NoKernel:
    """Stands where the gateway knows no kernel: types are those with a schema of their own."""

    async def find(self, named: ClassName) -> None:
        """Refuses. Raises InvalidSchema."""
        raise InvalidSchema.at("ontology_class", "this gateway knows no kernel: ONTOMESH_KERNEL_ADDRESS is not set")

    async def load(self, named: ClassName) -> None:
        """There is nobody to ask."""

    def schema(self, named: ClassName) -> DataSchema:
        """Refuses. Raises SchemaUnavailable."""
        raise SchemaUnavailable(f"the schema is the class {named.name}, and this gateway knows no kernel")
