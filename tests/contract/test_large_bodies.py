"""Large documents, in few and in many operations: the event loop goes on serving, and answers keep their limits."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import TypeVar

import pytest

from ontomesh_data_kernel.domain.kernel import Kernel
from ontomesh_data_kernel.domain.limits import MAX_BATCH_BYTES, MAX_BODY_BYTES, MAX_PAGE_BYTES
from ontomesh_data_kernel.domain.model import Insert, MergeOutcome, MergeRequest, Operation, Put, Update
from ontomesh_data_kernel.errors import TooLarge
from tests.contract.inprocess import ANA, DB, body, commit, new_database, open_kernel

pytestmark = [pytest.mark.usefixtures("store"), pytest.mark.live]

T = TypeVar("T")

SERIES = {
    "@type": "Class",
    "@id": "Series",
    "@key": {"@type": "Lexical", "@fields": ["name"]},
    "name": "xsd:string",
    "version": {"@type": "Optional", "@class": "xsd:integer"},
    "values": {"@type": "List", "@class": "xsd:decimal"},
    "text": {"@type": "Optional", "@class": "xsd:string"},
}
NAMES = [f"s{number}" for number in range(4)]


def slow(name: str, version: int = 1) -> bytes:
    """A document of 800 KB that takes a tenth of a second to check."""
    return body({"@type": "Series", "name": name, "version": version, "values": [1.5] * 200_000})


def wide(name: str, version: int = 1) -> bytes:
    """A document of 900 KB that takes no time to check."""
    return body({"@type": "Series", "name": name, "version": version, "values": [], "text": "x" * 900_000})


def bumps(version: int) -> list[Operation]:
    """Tiny updates of the large documents."""
    return [Update(f"Series/{name}", body({"version": version})) for name in NAMES]


@pytest.fixture
async def kernel(tmp_path: Path) -> AsyncIterator[Kernel]:
    opened = await open_kernel(tmp_path / "kernel.db")
    await new_database(opened, SERIES)
    yield opened
    await opened.close()


async def served_meanwhile(work: Awaitable[T]) -> T:
    """The outcome of work in which the loop never stood still for half of the time that the work took."""
    longest = 0.0
    done = False

    async def tick() -> None:
        nonlocal longest
        while not done:
            start = time.perf_counter()
            await asyncio.sleep(0.001)
            longest = max(longest, time.perf_counter() - start)

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0)
    start = time.perf_counter()
    outcome = await work
    took = time.perf_counter() - start
    done = True
    await ticking
    assert longest < took / 2, f"the loop stood still for {longest:.2f} of {took:.2f} s"
    return outcome


@pytest.mark.sqlite
async def test_a_commit_of_few_large_documents_holds_nobody_up(kernel: Kernel) -> None:
    await served_meanwhile(commit(kernel, *(Insert(slow(name)) for name in NAMES)))


@pytest.mark.sqlite
async def test_tiny_updates_of_large_documents_hold_nobody_up(kernel: Kernel) -> None:
    await commit(kernel, *(Insert(slow(name)) for name in NAMES))
    await served_meanwhile(commit(kernel, *bumps(2)))
    commits = [commit(kernel, update) for update in bumps(3)]
    await served_meanwhile(asyncio.gather(*commits))
    batch = await kernel.documents.batch_get(ANA, DB, "main", [f"Series/{name}" for name in NAMES])
    assert all(b'"version":3' in document.body for document in batch.documents)


@pytest.mark.sqlite
async def test_comparing_and_merging_large_documents_hold_nobody_up(kernel: Kernel) -> None:
    await commit(kernel, *(Insert(slow(name)) for name in NAMES))
    await kernel.branches.create(ANA, DB, "side", "main", False, "")
    await commit(kernel, *bumps(2), branch="side")
    page = await served_meanwhile(kernel.diffs.diff(ANA, DB, "main", "side", False, 100, ""))
    assert [[part.name for part in one.properties] for one in page.documents] == [["version"]] * len(NAMES)
    merged = await served_meanwhile(kernel.merges.merge(ANA, MergeRequest(DB, "main", source="side")))
    assert merged.outcome is MergeOutcome.MERGED


async def test_verifying_a_history_of_large_commits_holds_nobody_up(kernel: Kernel) -> None:
    for version in range(4):
        await commit(kernel, *(Put(wide(f"w{number}", version)) for number in range(20)))

    async def verified() -> int:
        return [progress.commits async for progress in kernel.commits.verify(ANA, DB, "main")][-1]

    assert await served_meanwhile(verified()) == 6


@pytest.mark.parametrize("bodies", [False, True])
async def test_a_diff_of_more_than_fits_a_page_goes_on_where_it_ended(kernel: Kernel, bodies: bool) -> None:
    names = [f"w{number:02}" for number in range(25)]
    small = [f"a{number:02}" for number in range(40)]
    await commit(kernel, *(Insert(wide(name)) for name in names))
    updates = [Update(f"Series/{name}", body({"version": 2})) for name in names]
    await commit(kernel, *updates, *(Put(body({"@type": "Series", "name": name, "values": []})) for name in small))
    seen: list[str] = []
    pages = 0
    token = ""
    while pages == 0 or token:
        page = await kernel.diffs.diff(ANA, DB, "main~", "main", bodies, 100, token)
        pages += 1
        sides = [side for one in page.documents for side in (one.before, one.after) if side is not None]
        assert sum(len(side.body) for side in sides) < MAX_PAGE_BYTES + 2 * MAX_BODY_BYTES
        seen += [one.id for one in page.documents]
        assert page.total_size == len(names) + len(small)
        token = page.next_page_token
    assert seen == [f"Series/{name}" for name in small + names]
    assert pages > 1


async def test_a_batch_of_more_bytes_than_allowed_is_refused(kernel: Kernel) -> None:
    names = [f"w{number:02}" for number in range(20)]
    await commit(kernel, *(Insert(wide(name)) for name in names))
    ids = [f"Series/{name}" for name in names]
    with pytest.raises(TooLarge) as refused:
        await kernel.documents.batch_get(ANA, DB, "main", ids)
    assert [violation.field for violation in refused.value.violations] == ["ids"]
    assert refused.value.metadata == {"limit": str(MAX_BATCH_BYTES)}
    fitting = await kernel.documents.batch_get(ANA, DB, "main", ids[:18])
    assert [document.id for document in fitting.documents] == ids[:18]
