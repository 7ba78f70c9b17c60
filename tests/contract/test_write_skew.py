"""Two commits that are each fine alone and wrong together: never both, whoever runs them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

import pytest

from ontomesh_data_kernel.domain.kernel import Kernel
from ontomesh_data_kernel.domain.model import Delete, Insert, Put
from ontomesh_data_kernel.errors import DanglingLink, SchemaViolatedByData, SchemaViolation, StillReferenced
from tests.contract.inprocess import ANA, body, commit, documents, examples, new_database, open_kernel, schema_edit

pytestmark = [pytest.mark.usefixtures("store"), pytest.mark.live]

AT_ONCE = 25
NODE = {
    "@type": "Class",
    "@id": "Node",
    "@key": {"@type": "Lexical", "@fields": ["name"]},
    "name": "xsd:string",
    "to": {"@type": "Optional", "@class": "Node"},
}


@pytest.fixture(params=["one kernel", "two kernels on one file"])
async def kernels(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Kernel, Kernel]]:
    """The same kernel twice, or two that share the file as two processes would."""
    first = await open_kernel(tmp_path / "kernel.db")
    second = first if request.param == "one kernel" else await open_kernel(tmp_path / "kernel.db")
    await new_database(first, NODE)
    yield first, second
    await first.close()
    if second is not first:
        await second.close()


async def outcome(work: Awaitable[object], *refusals: type[Exception]) -> bool:
    """Whether the commit was made; any refusal but those named is an error."""
    try:
        await work
    except refusals:
        return False
    return True


async def test_deleting_a_document_and_linking_to_it_never_both_succeed(kernels: tuple[Kernel, Kernel]) -> None:
    first, second = kernels

    async def trial(number: int) -> None:
        target, holder = f"t{number}", f"h{number}"
        await commit(first, Insert(body({"@type": "Node", "name": target})))
        deleted, linked = await asyncio.gather(
            outcome(commit(first, Delete(f"Node/{target}")), StillReferenced),
            outcome(
                commit(second, Insert(body({"@type": "Node", "name": holder, "to": f"Node/{target}"}))), DanglingLink
            ),
        )
        assert deleted != linked

    trials = examples(150, 25)
    for start in range(0, trials, AT_ONCE):
        await asyncio.gather(*(trial(number) for number in range(start, start + AT_ONCE)))
    found = await documents(first)
    assert all(document.get("to", name) in found for name, document in found.items())


async def test_tightening_the_ontology_and_inserting_what_it_forbids_never_both_succeed(
    kernels: tuple[Kernel, Kernel],
) -> None:
    first, second = kernels
    loose = {"@type": "Class", "@id": "Thing", "tag": {"@type": "Optional", "@class": "xsd:string"}}
    tight = {**loose, "tag": "xsd:string"}
    both_refused = 0
    for number in range(examples(50, 6)):
        branch = f"b{number}"
        await first.branches.create(ANA, "d", branch, "", False, "")
        await commit(first, branch=branch, ontology=schema_edit(loose))
        work = [
            outcome(commit(first, branch=branch, ontology=schema_edit(tight)), SchemaViolatedByData),
            outcome(commit(second, Insert(body({"@type": "Thing", "@id": "Thing/1"})), branch=branch), SchemaViolation),
        ]
        tightened, inserted = await asyncio.gather(*(work if number % 2 else reversed(work)))
        if not number % 2:
            tightened, inserted = inserted, tightened
        assert not (tightened and inserted)
        both_refused += not tightened and not inserted
        assert ("Thing/1" in await documents(first, branch)) == inserted
    assert both_refused == 0


async def test_many_writers_of_one_document_lose_no_update(kernels: tuple[Kernel, Kernel]) -> None:
    first, second = kernels
    await commit(first, Put(body({"@type": "Node", "name": "shared"})))
    writers = examples(100, 30)
    made = await asyncio.gather(
        *(
            commit((first, second)[number % 2], Put(body({"@type": "Node", "name": f"n{number}", "to": "Node/shared"})))
            for number in range(writers)
        )
    )
    assert len({one.commit.id for one in made}) == writers
    assert len(await documents(first)) == writers + 1
