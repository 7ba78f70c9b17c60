"""The commits of one database, as read from the server once and then kept: who follows whom.

A commit never changes, so what is known stays true; heads are asked for each time. A kernel's commit carries its record
in the server's metadata. Commits without one only bring the server's schema ahead: they are passed over.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from ontomesh_data_kernel.adapters.terminusdb.client import Client
from ontomesh_data_kernel.domain.model import Commit
from ontomesh_data_kernel.errors import AmbiguousRef, BranchNotFound, CommitNotFound, UnsupportedByStore

RECORD = "ontomesh"
SCHEMA_AUTHOR = "ontomesh:schema"
CLOSING = "Delete the branch"
_FIELDS = "identifier author metadata parent{identifier}"
_PAGE = 200


class BranchClosed(BranchNotFound):
    """A branch is deleted but for its name on the server: whoever deletes it is about to, or was killed before."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A commit of the kernel's: its record, where the server has it, and what it changed.

    `changed` holds the ids of its versions, `merged` the id of the second parent, `request` the principal and id of the
    request that made it, with the digest of what was asked.
    """

    backend: str
    commit: Commit
    changed: tuple[str, ...]
    request: tuple[str, str, str] | None
    reply: str


@dataclass(frozen=True, slots=True)
class Tip:
    """Where a branch stands: the commit that readers see, and the server's own head, which may be ahead by schema."""

    entry: Entry
    head: str


def record_of(commit: Commit, changed: Iterable[str], request: tuple[str, str, str] | None, reply: bytes) -> str:
    """A commit as the server's metadata keeps it: one string, which costs the server a fraction of a tree."""
    record = {
        "id": commit.id,
        "parents": commit.parents,
        "branch": commit.branch,
        "author": commit.author,
        "committer": commit.committer,
        "message": commit.message,
        "time": commit.time,
        "metadata": dict(commit.metadata),
        "trace": f"{commit.trace_id}-{commit.span_id}" if commit.span_id else commit.trace_id,
        "ontology": commit.ontology_digest,
        "count": commit.change_count,
        "changed": "\n".join(changed),
        "request": request,
        "reply": reply.decode() if request is not None else "",
    }
    return orjson.dumps(record).decode()


def read_record(backend: str, text: str) -> Entry:
    """The entry that a record tells of."""
    told = orjson.loads(text)
    trace, _, span = told["trace"].partition("-")
    commit = Commit(
        told["id"],
        tuple(told["parents"]),
        told["branch"],
        told["author"],
        told["committer"],
        told["message"],
        told["time"],
        told["metadata"],
        trace,
        told["ontology"],
        told["count"],
        span,
    )
    changed = tuple(told["changed"].split("\n")) if told["changed"] else ()
    return Entry(backend, commit, changed, tuple(told["request"]) if told["request"] else None, told["reply"])


class Graph:
    """What is known of one database's commits."""

    def __init__(self, client: Client, database: str) -> None:
        self._client = client
        self._database = database
        self._entries: dict[str, Entry] = {}
        self._passed: dict[str, str] = {}
        self._closing: set[str] = set()
        self._unsure: set[str] = set()
        self._by_backend: dict[str, str] = {}
        self._requests: dict[tuple[str, str], Entry] = {}
        self._missing: set[str] = set()

    # What is known

    def add(self, entry: Entry) -> None:
        """Note a commit."""
        if entry.commit.id in self._entries:
            return
        self._entries[entry.commit.id] = entry
        self._missing.discard(entry.commit.id)
        self._missing.update(parent for parent in entry.commit.parents if parent not in self._entries)
        self._by_backend[entry.backend] = entry.commit.id
        if entry.request is not None:
            known = self._requests.get(entry.request[:2])
            if known is None or known.commit.time < entry.commit.time:
                self._requests[entry.request[:2]] = entry

    def pass_over(self, backend: str, parent: str, *, closes: bool = False) -> None:
        """Note a commit of the server's schema alone, or one that closes its branch."""
        self._passed[backend] = parent
        if closes:
            self._closing.add(backend)

    def at(self, id: str) -> Entry:
        """The entry of a commit that is known. Raises CommitNotFound."""
        entry = self._entries.get(id)
        if entry is None:
            raise CommitNotFound(f"commit {id[:12]} is not in the store")
        return entry

    def request(self, principal: str, id: str) -> Entry | None:
        """The commit that a request made."""
        return self._requests.get((principal, id))

    def first_parents(self, id: str) -> Iterator[Entry]:
        """The commit and its first parents back to the first."""
        while id:
            entry = self.at(id)
            yield entry
            id = next(iter(entry.commit.parents), "")

    def back(self, id: str, steps: int) -> Entry | None:
        """The commit so many first parents back, None if the history is shorter."""
        for index, entry in enumerate(self.first_parents(id)):
            if index == steps:
                return entry
        return None

    def reached(self, *ids: str) -> dict[str, Entry]:
        """All that commits reach, themselves included."""
        found: dict[str, Entry] = {}
        frontier = list(ids)
        while frontier:
            one = frontier.pop()
            if one not in found:
                found[one] = self.at(one)
                frontier += found[one].commit.parents
        return found

    def merge_bases(self, ours: str, theirs: str) -> list[Entry]:
        """The best common ancestors, in one order however often asked."""
        common = self.reached(ours).keys() & self.reached(theirs).keys()
        best = set(common)
        for id in common:
            if id in best:
                best -= self.reached(id).keys() - {id}
        return sorted((self.at(id) for id in best), key=lambda one: (one.commit.time, one.commit.id), reverse=True)

    def changed_between(self, base: str, target: str) -> set[str]:
        """The ids that may differ: of every version on the two ways of first parents from where they meet."""
        before = {entry.commit.id: entry for entry in self.first_parents(base)}
        ids: set[str] = set()
        joint = ""
        for entry in self.first_parents(target):
            if entry.commit.id in before:
                joint = entry.commit.id
                break
            ids.update(entry.changed)
        for id, entry in before.items():
            if id == joint:
                break
            ids.update(entry.changed)
        return ids

    def continues_without_merge(self, since: str, id: str) -> bool:
        """Whether the way of first parents to a commit comes from `since` and has no merge."""
        for entry in self.first_parents(id):
            if entry.commit.id == since:
                return True
            if len(entry.commit.parents) > 1:
                return False
        return False

    # Asking the server

    async def tip(self, branch: str, name: str, head: str = "") -> Tip:
        """Where a branch stands now, or stood at `head`. Raises BranchNotFound, BranchClosed, UnsupportedByStore."""
        if not head:
            query = f'{{Branch(filter:{{name:{{eq:"{branch}"}}}}){{head{{identifier}}}}}}'
            found = (await self._client.graphql(self._database, "local", "_commits", query=query))["Branch"]
            if not found or not found[0]["head"]:
                raise BranchNotFound.of(self._database, name)
            head = found[0]["head"]["identifier"]
        await self._read_back(head)
        if self._missing:
            # A merge brought in a line that the server's own single parents do not lead to.
            await self.read_all()
            self._missing.clear()
        visible = head
        while visible in self._passed:
            if await self._closes(visible):
                raise BranchClosed.of(self._database, name)
            visible = self._passed[visible]
        if visible not in self._by_backend:
            raise BranchNotFound.of(self._database, name)
        return Tip(self.at(self._by_backend[visible]), head)

    async def _closes(self, backend: str) -> bool:
        """Whether a commit that is passed over closes its branch."""
        if backend in self._unsure:
            query = f'{{ValidCommit(filter:{{identifier:{{eq:"{backend}"}}}}){{message}}}}'
            found = (await self._client.graphql(self._database, "local", "_commits", query=query))["ValidCommit"]
            if found and found[0]["message"] == CLOSING:
                self._closing.add(backend)
            self._unsure.discard(backend)
        return backend in self._closing

    async def find(self, prefix: str) -> list[Entry]:
        """The commits whose ids begin with a prefix; all of the server's are read if none is known."""
        found = self._with_prefix(prefix)
        if not found or self._missing:
            await self.read_all()
            self._missing.clear()
            found = self._with_prefix(prefix)
        return found

    def _with_prefix(self, prefix: str) -> list[Entry]:
        if len(prefix) == 64:
            return [self._entries[prefix]] if prefix in self._entries else []
        return [entry for id, entry in self._entries.items() if id.startswith(prefix)]

    async def _read_back(self, head: str) -> None:
        """Read the commits behind a head until one is known."""
        offset = 0
        while head not in self._by_backend and head not in self._passed:
            path = f'_path_to_ValidCommit(path:"parent*",offset:{offset},limit:{_PAGE}){{{_FIELDS}}}'
            query = f'{{ValidCommit(filter:{{identifier:{{eq:"{head}"}}}}){{{path}}}}}'
            found = (await self._client.graphql(self._database, "local", "_commits", query=query))["ValidCommit"]
            page = found[0]["_path_to_ValidCommit"] if found else []
            if not page:
                return
            for one in page:
                known = one["identifier"] in self._by_backend or one["identifier"] in self._passed
                if known:
                    return
                self._note(one)
            if len(page) < _PAGE:
                return
            offset += len(page)

    async def read_all(self) -> None:
        """Read every commit that the server has, those of deleted branches among them."""
        offset = 0
        while True:
            query = f"{{ValidCommit(offset:{offset},limit:{_PAGE}){{{_FIELDS}}}}}"
            page = (await self._client.graphql(self._database, "local", "_commits", query=query))["ValidCommit"]
            for one in page:
                if one["identifier"] not in self._by_backend and one["identifier"] not in self._passed:
                    self._note(one)
            if len(page) < _PAGE:
                return
            offset += len(page)

    def _note(self, told: Mapping[str, Any]) -> None:
        backend = told["identifier"]
        metadata = orjson.loads(told["metadata"]) if told["metadata"] else {}
        if isinstance(metadata, dict) and RECORD in metadata:
            self.add(read_record(backend, metadata[RECORD]))
        elif told["author"] in (SCHEMA_AUTHOR, "system"):
            self.pass_over(backend, told["parent"]["identifier"] if told["parent"] else "")
            self._unsure.add(backend)
        else:
            message = f"the database holds commit {backend} of another writer than the kernel"
            raise UnsupportedByStore(message, (), {"commit": backend})


def one_of(found: list[Entry], text: str, database: str) -> Entry:
    """The one commit that a ref names. Raises CommitNotFound, AmbiguousRef."""
    if not found:
        raise CommitNotFound.of(database, text)
    if len(found) > 1:
        raise AmbiguousRef.of(text)
    return found[0]
