"""Histories with all that histories may have, and all that a store tells of one."""

import itertools
import random
from collections.abc import Callable, Mapping
from contextlib import aclosing, suppress
from typing import Any

from ontomesh_data_kernel.domain.kernel import Kernel
from ontomesh_data_kernel.domain.model import (
    Branch,
    Commit,
    CommitRequest,
    Database,
    Delete,
    MergeRequest,
    MergeSide,
    OntologyEdit,
    Operation,
    Put,
    Update,
)
from ontomesh_data_kernel.domain.ontology import SCHEMA_PREFIX, Ontology
from ontomesh_data_kernel.domain.refs import parse_ref
from ontomesh_data_kernel.errors import KernelError
from ontomesh_data_kernel.ports import Decision, Head, Needs, Point, Referrers, Store, StoredChange
from tests.contract.inprocess import ANA, body

PERSON = {
    "@type": "Class",
    "@id": "Person",
    "@key": {"@type": "Lexical", "@fields": ["name"]},
    "name": "xsd:string",
    "age": {"@type": "Optional", "@class": "xsd:integer"},
    "size": {"@type": "Optional", "@class": "xsd:decimal"},
    "friend": {"@type": "Optional", "@class": "Person"},
    "friends": {"@type": "Set", "@class": "Person"},
    "names": {"@type": "List", "@class": "xsd:string"},
}
TAG = {
    "@type": "Class",
    "@id": "Tag",
    "@key": {"@type": "Lexical", "@fields": ["name"]},
    "name": "xsd:string",
    "of": {"@type": "Optional", "@class": "xsd:string"},
}
LINKING_TAG = TAG | {"of": {"@type": "Optional", "@class": "Person"}}
MOOD = {"@type": "Enum", "@id": "Mood", "@value": ["calm", "wild"]}
MOODY = PERSON | {"mood": {"@type": "Optional", "@class": "Mood"}}


def person(name: str, **rest: Any) -> Operation:
    return Put(body({"@type": "Person", "name": name, "names": [], **rest}))


class Author:
    """Makes histories through a kernel."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    async def database(self, name: str, description: str = "") -> None:
        await self._kernel.databases.create(ANA, name, description, "")

    async def commit(self, database: str, branch: str, *operations: Operation, **rest: Any) -> str:
        request = CommitRequest(database, branch, operations, message=f"on {branch}", **rest)
        return (await self._kernel.commits.create(ANA, request)).commit.id

    async def schema(self, database: str, branch: str, *elements: Mapping[str, Any]) -> str:
        return await self.commit(database, branch, ontology=OntologyEdit(body(list(elements))))  # type: ignore[arg-type]

    async def branch(self, database: str, name: str, start: str = "main", *, empty: bool = False) -> None:
        await self._kernel.branches.create(ANA, database, name, "" if empty else start, empty, "")

    async def delete(self, database: str, branch: str) -> None:
        await self._kernel.branches.delete(ANA, database, branch, "")

    async def merge(self, database: str, source: str, branch: str) -> None:
        request = MergeRequest(database, branch, source, strategy=MergeSide.THEIRS)
        await self._kernel.merges.merge(ANA, request)

    async def describe(self, database: str, description: str) -> None:
        await self._kernel.databases.update(ANA, database, description, "")


async def write_history(kernel: Kernel, *, reindexing: bool = True) -> None:
    """Three databases: one with every kind of branch and merge, one with a description alone, one that is small."""
    by = Author(kernel)
    await by.database("catalog", "What there is")
    await by.database("nothing", "Só descrição ☃")
    await by.describe("nothing", "Nothing at all")
    await by.database("small")
    await by.schema("small", "main", MOOD)
    await by.schema("catalog", "main", PERSON, TAG)
    await by.commit("catalog", "main", person("ada", size=1.25), person("bob", friend="Person/ada", names=["b", "a"]))
    await by.commit("catalog", "main", Put(body({"@type": "Tag", "name": "t", "of": "Person/ada"})))
    await by.branch("catalog", "unchanged")

    # Crosswise: each takes in the other's head of before.
    await by.branch("catalog", "left")
    await by.branch("catalog", "team/right")
    left = await by.commit("catalog", "left", person("left", friends=["Person/bob", "Person/ada"]))
    right = await by.commit("catalog", "team/right", person("right"), metadata={"ticket": "Ü-1"})
    await by.merge("catalog", f"commit:{right}", "left")
    await by.merge("catalog", f"commit:{left}", "team/right")
    await by.commit("catalog", "left", person("left", age=2))
    await by.commit("catalog", "team/right", Update("Person/right", b'{"age": 12345678901234567890}'))
    await by.merge("catalog", "left", "main")
    await by.merge("catalog", "team/right", "main")

    # Lines that only a merge or another branch leads to.
    await by.branch("catalog", "gone")
    await by.commit("catalog", "gone", person("gone"))
    await by.branch("catalog", "further", "gone")
    await by.commit("catalog", "gone", Delete("Person/gone"), person("came"))
    await by.commit("catalog", "further", person("further", friend="Person/gone"))
    await by.merge("catalog", "gone", "main")
    await by.delete("catalog", "gone")
    await by.branch("catalog", "gone", "further")
    await by.commit("catalog", "gone", person("again"))
    await by.branch("catalog", "lost")
    await by.commit("catalog", "lost", person("lost"))
    await by.delete("catalog", "lost")

    # Histories of their own.
    await by.branch("catalog", "alone", empty=True)
    await by.schema("catalog", "alone", MOOD, MOODY)
    await by.branch("catalog", "beside", "alone")
    await by.commit("catalog", "alone", person("alone", mood="calm"))
    await by.commit("catalog", "beside", person("beside", mood="wild"))
    await by.delete("catalog", "alone")

    await by.schema("catalog", "main", MOOD, MOODY, *((LINKING_TAG,) if reindexing else ()))
    await by.commit("catalog", "main", person("ada", mood="wild"), Delete("Person/came"))
    await by.branch("catalog", "older", "main~3")


async def grow(kernel: Kernel, drawn: random.Random, steps: int) -> None:
    """A database `catalog` with a random history."""
    by = Author(kernel)
    await by.database("catalog")
    await by.schema("catalog", "main", PERSON, TAG)
    names = ["a", "b", "c", "d"]
    branches = ["main", "x", "y", "z/z"]
    for step in itertools.count():
        if step == steps:
            break
        branch, other = drawn.choice(branches), drawn.choice(branches)
        with suppress(KernelError):
            match drawn.choice(("put", "put", "put", "delete", "branch", "branch", "merge", "merge", "drop", "schema")):
                case "put":
                    friend = {"friend": f"Person/{drawn.choice(names)}"} if drawn.random() < 0.5 else {}
                    tag = Put(
                        body({"@type": "Tag", "name": drawn.choice(names), "of": f"Person/{drawn.choice(names)}"})
                    )
                    some = [person(drawn.choice(names), age=step, **friend), tag]
                    await by.commit("catalog", branch, *some[: drawn.choice((1, 2))])
                case "delete":
                    await by.commit("catalog", branch, Delete(f"Person/{drawn.choice(names)}"))
                case "branch":
                    await by.branch("catalog", branch, other, empty=drawn.random() < 0.1)
                case "merge":
                    await by.merge("catalog", other, branch)
                case "drop":
                    await by.delete("catalog", branch)
                case "schema":
                    await by.schema(
                        "catalog", branch, drawn.choice((PERSON, MOODY)), MOOD, drawn.choice((TAG, LINKING_TAG))
                    )


class _Told(Exception):
    """A decision has what it asked for."""


async def referrers(store: Store, database: str, branch: str) -> Mapping[str, set[str]]:
    """Who links to whom at a branch's head, by what the store indexed."""
    point = await store.resolve(database, parse_ref(branch))
    ontology = Ontology.from_documents(await store.read_ontology(point))
    ids = tuple(await documents(store, point))
    paths = {f"{holder}.{name}" for cls in ontology.classes for holder, name in ontology.link_paths_to(cls)}
    found: dict[str, set[str]] = {}

    def decide(head: Head) -> Decision:
        facts = yield Needs(referrers=Referrers(ids, tuple(sorted(paths))))
        found.update((id, set(holders)) for id, holders in facts.referrers.items())
        raise _Told

    if ids and paths:
        with suppress(_Told):
            await store.commit(database, branch, decide, request=None, weight=1, dry_run=True)
    return found


async def documents(store: Store, point: Point) -> Mapping[str, tuple[str, bytes]]:
    """All documents at a point, as its classes list them."""
    ontology = Ontology.from_documents(await store.read_ontology(point))
    page, more = await store.list_documents(point, sorted(ontology.classes), "", 1_000, 1 << 30)
    assert not more
    return {one.id: (one.etag, one.body) for one in page}


Everything = tuple[
    Database,
    Mapping[str, Branch],
    Mapping[str, tuple[Commit, tuple[StoredChange, ...], Mapping[str, tuple[str, bytes]], Mapping[str, bytes]]],
    Mapping[str, Mapping[str, set[str]]],
]


async def everything(store: Store, name: str, ignoring: Callable[[str], bool] = lambda branch: False) -> Everything:
    """All that a store tells of a database: its record, branches, every commit with what it changed and what was there,
    and who links to whom.
    """
    branches = {one.name: one for one in await store.list_branches(name, "", "", 1_000) if not ignoring(one.name)}
    heads = [await store.resolve(name, parse_ref(f"commit:{one.head}")) for one in branches.values()]
    commits = {}
    async with aclosing(store.history(*heads)) as history:
        async for batch in history:
            for entry in batch:
                assert all(parent in commits for parent in entry.commit.parents), "a commit comes after its parents"
                assert entry.commit.id not in commits, "each commit comes once"
                elements = await store.read_ontology(entry.point)
                assert all(id.startswith(SCHEMA_PREFIX) for id in elements)
                changes = tuple(sorted(entry.changes, key=lambda change: change.id))
                commits[entry.commit.id] = (entry.commit, changes, await documents(store, entry.point), elements)
    links = {branch: await referrers(store, name, branch) for branch in branches}
    return await store.get_database(name), branches, commits, links
