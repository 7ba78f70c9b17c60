"""Histories whose lines are known: which commits were made on which branch, from its creation to its deletion."""

import random
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import orjson

from ontomesh_data_kernel.domain.importing import Piece as Uploaded
from ontomesh_data_kernel.domain.kernel import Kernel
from ontomesh_data_kernel.domain.model import Delete, FinishRequest, MergeRequest, MergeSide, Operation, Put
from ontomesh_data_kernel.errors import KernelError
from ontomesh_data_kernel.ports import Line, LineChange, Outbox, Piece
from tests.contract.inprocess import ANA, DB, body, commit, schema_edit

NOTE: dict[str, Any] = {
    "@type": "Class",
    "@id": "Note",
    "@key": {"@type": "Lexical", "@fields": ["name"]},
    "name": "xsd:string",
    "text": {"@type": "Optional", "@class": "xsd:string"},
    "count": {"@type": "Optional", "@class": "xsd:integer"},
}


def note(name: str, **rest: Any) -> Operation:
    return Put(body({"@type": "Note", "name": name, **rest}))


async def imported(kernel: Kernel, *documents: dict[str, Any], branch: str = "main") -> str:
    """Import documents, and return the commit."""
    one = await kernel.imports.begin(ANA, DB, branch, "")
    data = b"".join(orjson.dumps(document) + b"\n" for document in documents)

    async def pieces() -> AsyncIterator[Uploaded]:
        yield Uploaded(0, data)
        yield Uploaded(len(data), b"", is_last=True)

    async for _ in kernel.imports.upload(ANA, DB, one.id, pieces()):
        pass
    return (await kernel.imports.finish(ANA, FinishRequest(DB, one.id))).id


@dataclass
class Told:
    """What a line told: its commits in order, each with its changes."""

    commits: list[str] = field(default_factory=list)
    changes: dict[str, list[LineChange]] = field(default_factory=dict)
    is_whole: bool = True

    def take(self, piece: Piece) -> None:
        id = piece.commit.id
        if self.is_whole:
            self.commits.append(id)
        assert self.commits[-1] == id, "a commit's pieces come one after another"
        self.changes.setdefault(id, []).extend(piece.changes)
        self.is_whole = piece.is_last


async def read_line(outbox: Outbox, line: Line, limit: int = 3, max_bytes: int = 1 << 20) -> Told:
    """All of a line, bit by bit."""
    told, cursor = Told(), ""
    while pieces := await outbox.read(line, cursor, limit, max_bytes):
        assert len(pieces) <= limit
        for piece in pieces:
            told.take(piece)
            cursor = piece.cursor
    assert told.is_whole
    assert cursor == line.head
    return told


@dataclass
class Known:
    """The naive model: the commits of each line, whose branch may be gone, and who stands where."""

    kernel: Kernel
    drawn: random.Random
    lines: list[tuple[str, list[str]]] = field(default_factory=list)
    branches: dict[str, list[str]] = field(default_factory=dict)

    def began(self, name: str, *commits: str) -> None:
        self.branches[name] = list(commits)
        self.lines.append((name, self.branches[name]))

    def expected(self) -> list[tuple[str, list[str]]]:
        """(branch, commits) of every line that has some."""
        return sorted((name, commits) for name, commits in self.lines if commits)

    async def step(self) -> None:
        """Do one thing."""
        names = sorted(self.branches)
        branch = self.drawn.choice(names)
        way = self.drawn.choice(
            ("commit", "commit", "commit", "fork", "begin", "delete", "merge", "import", "ontology")
        )
        with suppress(KernelError):  # it may be refused, then nothing is done
            await getattr(self, f"_{way}")(branch)

    def _name(self) -> str:
        return self.drawn.choice("abcdef")

    async def _commit(self, branch: str) -> None:
        operation = self.drawn.choice(
            (note(self._name(), count=self.drawn.randrange(9)), note(self._name()), Delete(f"Note/{self._name()}"))
        )
        self.branches[branch].append((await commit(self.kernel, operation, branch=branch)).commit.id)

    async def _ontology(self, branch: str) -> None:
        element = NOTE | {self._name(): {"@type": "Optional", "@class": "xsd:string"}}
        made = await commit(self.kernel, branch=branch, ontology=schema_edit(element))
        self.branches[branch].append(made.commit.id)

    async def _fork(self, branch: str) -> None:
        name = self.drawn.choice(("side", "other", "team/one"))
        start = self.drawn.choice((branch, f"{branch}~1"))
        await self.kernel.branches.create(ANA, DB, name, start, False, "")
        self.began(name)

    async def _begin(self, branch: str) -> None:
        name = self.drawn.choice(("side", "other"))
        made = await self.kernel.branches.create(ANA, DB, name, "", True, "")
        self.began(name, made.head)

    async def _delete(self, branch: str) -> None:
        await self.kernel.branches.delete(ANA, DB, branch, "")
        del self.branches[branch]

    async def _merge(self, branch: str) -> None:
        source = self.drawn.choice(sorted(self.branches))
        merged = await self.kernel.merges.merge(ANA, MergeRequest(DB, branch, source, strategy=MergeSide.THEIRS))
        if merged.commit is not None:
            self.branches[branch].append(merged.commit.id)

    async def _import(self, branch: str) -> None:
        documents = [{"@type": "Note", "name": f"{self._name()}{number}"} for number in range(self.drawn.randrange(40))]
        distinct = {one["name"]: one for one in documents}
        self.branches[branch].append(await imported(self.kernel, *distinct.values(), branch=branch))
