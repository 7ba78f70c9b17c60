"""A kernel in this process, and callers that may do everything or what a test says."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson
from hypothesis import HealthCheck, settings

from ontomesh_data_kernel.domain.caller import Caller
from ontomesh_data_kernel.domain.kernel import Kernel
from ontomesh_data_kernel.domain.model import CommitRequest, Committed, OntologyEdit, Operation
from ontomesh_data_kernel.ports import Store
from tests.contract.stores import store_in_use

EFFORT = int(os.environ.get("ONTOMESH_TEST_EFFORT", "1"))
"""How much more the randomised tests try than by default."""


def examples(on_a_file: int, on_a_server: int) -> int:
    """How many examples to try: fewer where each step takes a server's round trips."""
    return EFFORT * (on_a_file if store_in_use().kind == "sqlite" else on_a_server)


def machine_settings(steps: int) -> settings:
    """How a state machine is tried: 40 runs of so many steps, 2 on a server; the same ones by default."""
    return settings(
        max_examples=examples(40, 2),
        stateful_step_count=steps,
        deadline=None,
        derandomize=EFFORT == 1,
        suppress_health_check=list(HealthCheck),
    )


class Everything:
    """May do everything."""

    def allows(self, right: str, database: str, branch: str | None = None) -> bool:
        return True

    def allows_any(self, right: str, database: str) -> bool:
        return True

    def allows_somewhere(self, right: str) -> bool:
        return True


class Only:
    """May do what a function of (right, database, branch) says."""

    def __init__(self, rule: Callable[[str, str, str | None], bool]) -> None:
        self._rule = rule

    def allows(self, right: str, database: str, branch: str | None = None) -> bool:
        return self._rule(right, database, branch)

    def allows_any(self, right: str, database: str) -> bool:
        return self._rule(right, database, "")

    def allows_somewhere(self, right: str) -> bool:
        return self._rule(right, "", "")


ANA = Caller("user:ana", "0af7651916cd43dd8448eb211c80319c", Everything())
DB = "d"


def kernel_on(store: Store, clock: Callable[[], int] | None = None) -> Kernel:
    """A kernel over a store, by the test's clock or another, that draws the test's ids."""
    return Kernel(store, clock or store_in_use().clock, store_in_use().random_id)


async def open_kernel(path: Path, clock: Callable[[], int] | None = None) -> Kernel:
    """A kernel over the store of a path: over a file, or over databases of a server that belong to this path."""
    return kernel_on(await store_in_use().open(path, clock), clock)


def body(document: Mapping[str, Any]) -> bytes:
    """A document as it is sent."""
    return orjson.dumps(document)


def schema_edit(*elements: Mapping[str, Any], replace: bool = False, remove: tuple[str, ...] = ()) -> OntologyEdit:
    """A change of the ontology."""
    return OntologyEdit(orjson.dumps(elements) if elements else b"", replace, remove)


async def commit(kernel: Kernel, *operations: Operation, branch: str = "main", **rest: Any) -> Committed:
    """Commit operations as ana."""
    return await kernel.commits.create(ANA, CommitRequest(DB, branch, operations, **rest))


async def new_database(kernel: Kernel, *schema: Mapping[str, Any]) -> Committed:
    """Make the database with an ontology."""
    await kernel.databases.create(ANA, DB, "", "")
    return await commit(kernel, ontology=schema_edit(*schema))


async def documents(kernel: Kernel, ref: str = "main", type: str = "") -> dict[str, Any]:
    """All documents at a ref."""
    found: dict[str, Any] = {}
    token = ""
    while True:
        page = await kernel.documents.list(ANA, DB, ref, type, False, 7, token)
        for one in page.documents:
            assert one.id > max(found, default=""), "a listing is in order of ids, each once"
            found[one.id] = orjson.loads(one.body)
        token = page.next_page_token
        if not token:
            return found


async def head(kernel: Kernel, branch: str = "main") -> str:
    """The id of a branch's head."""
    return (await kernel.branches.get(ANA, DB, branch)).head
