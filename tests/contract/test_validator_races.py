"""Nothing is stored that was not judged just so, whoever else writes meanwhile and whenever a validator comes."""

import asyncio
import itertools
import json
import random
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from ontomesh.sdk.validation import Objection, Proposal
from ontomesh_data_kernel.domain.drafting import Record
from ontomesh_data_kernel.domain.importing import Piece
from ontomesh_data_kernel.domain.kernel import Kernel
from ontomesh_data_kernel.domain.model import (
    Commit,
    Delete,
    FinishRequest,
    Insert,
    MergeRequest,
    MergeSide,
    Put,
    Update,
)
from ontomesh_data_kernel.domain.validators.hearing import Hearings, Unjudged
from ontomesh_data_kernel.domain.validators.judging import Judges
from ontomesh_data_kernel.domain.validators.model import BuiltinCheck, Match, Validator
from ontomesh_data_kernel.domain.validators.records import write_record
from ontomesh_data_kernel.domain.validators.registry import STALE_SECONDS, Registry
from ontomesh_data_kernel.errors import CommitRejected, KernelError
from ontomesh_data_kernel.ports import Head, Point, StateEntry
from tests.contract.inprocess import ANA, DB, body, commit, documents, head, new_database
from tests.contract.stores import store_in_use
from tests.contract.validating import Function, checks_of, objecting, open_validating, put, put_function

pytestmark = [pytest.mark.usefixtures("store"), pytest.mark.sqlite]

THING = {
    "@type": "Class",
    "@id": "Thing",
    "@key": {"@type": "Lexical", "@fields": ["name"]},
    "name": "xsd:string",
    "note": {"@type": "Optional", "@class": "xsd:string"},
    "more": {"@type": "Optional", "@class": "xsd:string"},
}
ALPHA = {"@type": "Class", "@id": "Alpha", "@inherits": "Thing", "@key": {"@type": "Lexical", "@fields": ["name"]}}
TOOL = {"@type": "Class", "@id": "Tool", "@inherits": "Thing", "@key": {"@type": "Lexical", "@fields": ["name"]}}


def thing(name: str, cls: str = "Thing", **rest: Any) -> bytes:
    return body({"@type": cls, "name": name, **rest})


async def imported(kernel: Kernel, *lines: bytes, **rest: Any) -> None:
    one = await kernel.imports.begin(ANA, DB, "main", "")

    async def pieces() -> AsyncIterator[Piece]:
        yield Piece(0, b"\n".join(lines), is_last=True)

    async for _ in kernel.imports.upload(ANA, DB, one.id, pieces()):
        pass
    await kernel.imports.finish(ANA, FinishRequest(DB, one.id, **rest))


class Meanwhile:
    """A store to which something happens right before it is asked to do a thing of a name."""

    def __init__(self, store: Any, name: str) -> None:
        self._store = store
        self._name = name
        self.then: Callable[[], Awaitable[object]] | None = None

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name != self._name or self.then is None:
            return found

        async def asked(*arguments: Any, **rest: Any) -> Any:
            if self.then is not None:
                then, self.then = self.then, None
                await then()
            return await found(*arguments, **rest)

        return asked


@pytest.mark.parametrize("name", ["commit", "merge_bases"])
async def test_a_validator_that_comes_while_a_commit_waits_judges_it(tmp_path: Path, name: str) -> None:
    store = Meanwhile(await store_in_use().open(tmp_path / "kernel.db"), name)
    checks = checks_of(shown=Function(objecting()))
    kernel = Kernel(store, store_in_use().clock, store_in_use().random_id, checks)
    await new_database(kernel, THING)
    await commit(kernel, Insert(thing("a")))
    await kernel.branches.create(ANA, DB, "side", "main", False, "")
    await commit(kernel, Insert(thing("b")), branch="side")
    store.then = lambda: put_function(kernel, "shown")
    making: dict[str, Callable[[], Awaitable[object]]] = {
        "commit": lambda: commit(kernel, Insert(thing("c"))),
        "merge_bases": lambda: kernel.merges.merge(ANA, MergeRequest(DB, "main", "side")),
    }
    with pytest.raises(CommitRejected):
        await making[name]()
    assert set(await documents(kernel)) == {"Thing/a"}
    await kernel.close()


async def test_a_validator_that_comes_while_others_judge_an_import_judges_it(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    late = Function(objecting())

    def early(proposal: Proposal) -> None:
        asyncio.run_coroutine_threadsafe(put_function(kernel, "late"), loop).result(10)

    kernel = await open_validating(tmp_path / "kernel.db", early=early, late=late)
    await new_database(kernel, THING)
    await put_function(kernel, "early", deadline=10_000_000)
    with pytest.raises(CommitRejected):
        await imported(kernel, thing("a"))
    assert await documents(kernel) == {}
    await kernel.close()


class Entries:
    """A state of validators."""

    def __init__(self) -> None:
        self.entries: dict[str, StateEntry] = {}

    async def get(self, key: str) -> tuple[bytes, int] | None:
        raise AssertionError("commits ask for the list alone")

    async def swap(self, key: str, expected: int, value: bytes | None) -> int | None:
        raise AssertionError("commits change nothing of it")

    async def list(self, prefix: str) -> list[StateEntry]:
        return list(self.entries.values())

    def put(self, one: Validator) -> None:
        key = f"validators/{one.name}"
        self.entries[key] = StateEntry(key, write_record(one), 1)


async def test_a_copy_of_the_validators_that_is_too_old_lets_nothing_pass() -> None:
    state, now = Entries(), 100.0
    registry = Registry(state, clock=lambda: now)
    assert await registry.matching(DB, "main") == registry.known(DB, "main") == ()
    state.put(Validator("another", BuiltinCheck("no_deletes"), etag="1"))
    now += STALE_SECONDS
    assert registry.known(DB, "main") is None
    record = Record("main", "user:ana", "user:ana", "", {}, "")
    hearing = Hearings(registry, Judges(checks_of(), lambda: "id")).of(DB, record)
    nothing: Any = None  # it is refused before anybody looks at it
    with pytest.raises(Unjudged):
        hearing.require(Head(Point("c", "main", "", ()), 0), nothing, nothing, nothing, nothing)
    assert [one.name for one in await registry.matching(DB, "main")] == ["another"]
    await registry.close()


async def test_validators_that_change_are_known_to_every_thread_at_once() -> None:
    """What one thread works out of an old copy must not outlive that copy."""
    state = Entries()
    registry = Registry(state)
    slow, looked, go = Match(("d*",)), threading.Event(), threading.Event()

    class Waiting(tuple[str, ...]):
        __slots__ = ()

        def __iter__(self) -> Any:
            looked.set()
            go.wait(10)
            return super().__iter__()

    await registry.matching("another", "main")
    registry.learn("old", Validator("old", BuiltinCheck("no_deletes"), match=Match(Waiting(slow.databases)), etag="1"))
    thread = threading.Thread(target=registry.known, args=(DB, "main"))
    thread.start()
    assert await asyncio.to_thread(looked.wait, 10)
    registry.learn("new", Validator("new", BuiltinCheck("no_deletes"), etag="2"))
    registry.learn("old", None)
    go.set()
    await asyncio.to_thread(thread.join)
    assert [one.name for one in registry.known(DB, "main") or ()] == ["new"]


async def test_changes_are_counted_anew_when_an_import_is_reviewed_again(tmp_path: Path) -> None:
    """Two of its pages: in the first there is more to count by the time of the second review."""
    loop, moved = asyncio.get_running_loop(), False

    def meddle(proposal: Proposal) -> None:
        nonlocal moved
        if not moved and proposal.message == "mine":
            moved = True
            others = [Put(thing(f"a{number}", "Alpha", note="x")) for number in range(3)]
            asyncio.run_coroutine_threadsafe(commit(kernel, *others, message="other"), loop).result(10)

    kernel = await open_validating(tmp_path / "kernel.db", meddle=meddle)
    await new_database(kernel, THING, ALPHA, TOOL)
    await commit(kernel, *(Insert(thing(f"a{number}", "Alpha")) for number in range(3)))
    lines = [thing(f"a{number}", "Alpha") for number in range(3)]
    lines += [thing(f"t{number:04}") for number in range(600)] + [thing(f"u{number}", "Tool") for number in range(5)]
    await put(kernel, "few", BuiltinCheck("max_changes", {"count": "5"}), Match(classes=("Alpha", "Tool")))
    await put_function(kernel, "meddle", deadline=10_000_000)
    with pytest.raises(CommitRejected):
        await imported(kernel, *lines, overwrite=True, message="mine")
    await kernel.close()


def judged(value: object) -> str:
    return json.dumps(value, sort_keys=True)


async def test_every_stored_change_has_a_verdict_for_just_that_change(tmp_path: Path) -> None:
    drawn = random.Random(6)
    approved: set[tuple[str, str, str]] = set()

    def approve(proposal: Proposal) -> list[Objection]:
        bad = [one for one in proposal.changes if (one.after or {}).get("note", "").startswith("bad")]
        threading.Event().wait(drawn.random() * 0.01)
        if not bad:
            approved.update((one.id, judged(one.before), judged(one.after)) for one in proposal.changes)
        return [Objection("is bad", one.id, "note") for one in bad]

    kernels = [await open_validating(tmp_path / "kernel.db", approve=approve) for _ in range(2)]
    await new_database(kernels[0], THING)
    await commit(kernels[0], *(Insert(thing(f"t{number}")) for number in range(4)))
    await put_function(kernels[0], "approve", Match(branches=("main",)), deadline=30_000_000)
    begun = await head(kernels[0])
    for kernel in kernels:
        await kernel.validators.list(ANA, 0, "")
    made = dict.fromkeys(("commit", "merge", "import", "refused"), 0)

    async def write(worker: int) -> None:
        random_ = random.Random(worker)
        kernel = kernels[worker % 2]
        for turn in range(12):
            name = f"t{random_.randrange(6)}"
            note = f"{random_.choice(('bad', 'good', 'fine'))}{random_.randrange(3)}"
            how = random_.choice(("commit", "commit", "commit", "merge", "import"))
            try:
                if how == "commit":
                    operation = random_.choice(
                        (
                            Put(thing(name, note=note)),
                            Update(f"Thing/{name}", body({"more": note})),
                            Update(f"Thing/{name}", body({"note": note})),
                            Delete(f"Thing/{name}"),
                            Insert(thing(name, note=note)),
                        )
                    )
                    await commit(kernel, operation)
                elif how == "merge":
                    branch = f"b{worker}-{turn}"
                    await kernel.branches.create(ANA, DB, branch, "main", False, "")
                    await commit(kernel, Put(thing(name, note=note, more=branch)), branch=branch)
                    strategy = random_.choice((MergeSide.OURS, MergeSide.THEIRS))
                    await kernel.merges.merge(ANA, MergeRequest(DB, "main", branch, strategy=strategy))
                else:
                    lines = [thing(name, note=note), thing(f"t{random_.randrange(6, 9)}")]
                    await imported(kernel, *lines, overwrite=True)
                made[how] += 1
            except KernelError:
                made["refused"] += 1

    await asyncio.gather(*(write(worker) for worker in range(10)))
    assert all(count > 5 for count in made.values()), made
    history: list[Commit] = []
    token = ""
    while not history or history[-1].id != begun:
        page = await kernels[0].commits.list(ANA, DB, "main", True, 100, token)
        history += page.commits
        token = page.next_page_token
        if not token:
            break
    history = history[: [one.id for one in history].index(begun) + 1]
    versions = [await documents(kernels[0], f"commit:{one.id}") for one in history]
    for after, before in itertools.pairwise(versions):
        for id in before.keys() | after.keys():
            if before.get(id) != after.get(id):
                assert (id, judged(before.get(id)), judged(after.get(id))) in approved
    for kernel in kernels:
        await kernel.close()
