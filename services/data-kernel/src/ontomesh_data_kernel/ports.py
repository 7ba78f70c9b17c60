"""What the domain needs of a document store.

A store keeps databases, branches and commits, and answers what a document was at any of them. It decides nothing:
what a commit does is decided by the domain, inside the store's transaction, through a `Decision`.
"""

from collections.abc import AsyncGenerator, Callable, Collection, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from ontomesh_data_kernel.domain.model import Branch, Commit, Database, Document, Import, KernelEvent
from ontomesh_data_kernel.domain.query.tree import Plan, Query, Selection
from ontomesh_data_kernel.domain.refs import Ref
from ontomesh_data_kernel.domain.validators.model import Check, Objection, Proposal, Standing, Validator
from ontomesh_data_kernel.errors import KernelError


@dataclass(frozen=True, slots=True)
class Point:
    """A commit, found. Immutable: what is read at a point never changes.

    `branch` is the branch the ref named, or the one the commit was made on. `state` is the store's own address of the
    commit, opaque to everybody else.
    """

    commit: str
    branch: str
    ontology_digest: str
    state: object


@dataclass(frozen=True, slots=True)
class Head:
    """Where a branch stands inside the transaction that will move it."""

    point: Point
    time: int


@dataclass(frozen=True, slots=True)
class Version:
    """A document as it stands: its etag and, where asked for, its body."""

    etag: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Referrers:
    """Asks who links to `targets` by one of `paths` (`Class.property`), leaving out the documents in `excluding`."""

    targets: tuple[str, ...]
    paths: tuple[str, ...]
    excluding: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Holder:
    """Asks who has a value of an indexed path, in any of `paths` (`Class.path`); `key` is the value's sort key and
    `canonical` its canonical JSON form.
    """

    paths: tuple[str, ...]
    key: bytes
    canonical: object


@dataclass(frozen=True, slots=True)
class Needs:
    """Facts that a decision asks for, all as of the head. `holders` leave out the documents that `bodies` or `etags`
    of the same commit name only if the asker does so itself.
    """

    bodies: Collection[str] = ()
    etags: Collection[str] = ()
    referrers: Referrers | None = None
    holders: Sequence[Holder] = ()
    ontology: bool = False
    instances: tuple[str, ...] = ()
    since: Point | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """The answers to `Needs`; what was not asked for is empty.

    `bodies` and `etags` hold the documents that exist. `referrers` holds up to ten ids for each target that has any.
    `holders` holds, for each question in its order, up to ten ids of documents that may have the value: a key may stand
    for several long values.
    `ontology` holds the bodies of the ontology's elements by id. `instances` holds every document of the classes.
    `changed` holds the ids that changed since the point, and `merged` whether the head is anything but a continuation of
    the point without merges.
    """

    bodies: Mapping[str, Version] = field(default_factory=dict)
    etags: Mapping[str, str] = field(default_factory=dict)
    referrers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    holders: Sequence[tuple[str, ...]] = ()
    ontology: Mapping[str, bytes] = field(default_factory=dict)
    instances: Sequence[tuple[str, bytes]] = ()
    changed: Collection[str] = ()
    merged: bool = False


@dataclass(frozen=True, slots=True)
class Indexed:
    """What a store indexes of a document version: its class, its links as (path, target id), and its values as
    (path, sort key); a path is a property, or dotted through subdocuments. No pair comes twice.
    """

    cls: str
    links: tuple[tuple[str, str], ...] = ()
    values: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Write:
    """One new version of a document. `body` None deletes it; `old` is what was indexed of the version at the head.

    A write whose etag equals the current one re-indexes the document and is no change.
    """

    id: str
    etag: str
    body: bytes | None
    new: Indexed | None
    old: Indexed | None


@dataclass(frozen=True, slots=True)
class Draft:
    """A commit ready to be stored: its record with its id, its versions, and the answer to keep for its request id.

    `merged` is the second parent of a merge.
    """

    commit: Commit
    writes: Sequence[Write]
    reply: bytes
    merged: Point | None = None


Decision = Generator[Needs, Facts, Draft]
"""Decides a commit: it is handed the head, asks for facts as often as it must, and returns the draft or raises.

It runs inside the store's transaction, so nothing it was told can change before the draft is stored. It may run again
at another head, so it has no effects of its own.
"""


@dataclass(frozen=True, slots=True)
class RequestKey:
    """Makes a write idempotent: the principal's own id for it, and a digest of what was asked."""

    principal: str
    id: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class Stored:
    """The outcome of a commit: the draft, or the kept reply of an earlier call with the same request key."""

    draft: Draft | None
    reply: bytes


@dataclass(frozen=True, slots=True)
class Change:
    """A document that differs between two points: its etags there, None where it does not exist."""

    id: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class StoredChange:
    """A version as a commit stored it, with the etag of the version before it (None if there was none)."""

    id: str
    etag: str | None
    body: bytes | None
    before: str | None


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """A commit as stored, the ids that its parents' own records bear, and the versions stored with it."""

    point: Point
    commit: Commit
    parents: tuple[str, ...]
    parent_digest: str
    changes: Sequence[StoredChange]


def weigh(documents: int, size: int) -> int:
    """How much work it is to write documents of `size` bytes in all: of small ones as many as they are."""
    return max(documents, size >> 10)


@dataclass(frozen=True, slots=True)
class StagedWrite:
    """A document of an import: on which line it stood, and its version; `old` is what was indexed of the one staged
    before, to be replaced. A write without a body takes it out, as it equals what the branch holds by its `etag`; with
    `is_back` it was taken out and comes in again.
    """

    line: int
    write: Write
    is_back: bool = False


@dataclass(frozen=True, slots=True)
class Staged:
    """A document of an import as it was staged, and its etag at the point looked at (None if it does not exist there).

    `is_same` if it was taken out; then and without a wish for bodies, `body` is None.
    """

    id: str
    line: int
    etag: str
    current: str | None
    is_same: bool = False
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class StagedLink:
    """A link of a staged document to what exists neither at the point looked at nor in the import."""

    id: str
    line: int
    path: str
    target: str


@dataclass(frozen=True, slots=True)
class StagedRival:
    """Documents of which at least the first is staged, that may have one value of a unique path: a key may stand for
    several long values. `line` is the first's.
    """

    ids: tuple[str, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds between documents: `dangling` links (`Class.path`) are not checked, and no two documents have one
    value in the paths (`Class.path`) of a group of `unique`. `unique_values` gives the (`Class.path`, sort key) pairs of
    such paths that a stored body has.
    """

    dangling: Collection[str]
    unique: Sequence[tuple[str, ...]]
    unique_values: Callable[[bytes], Sequence[tuple[str, bytes]]]


class Staging(Protocol):
    """What a store has for imports: documents that land in small transactions, out of every reader's sight, and appear
    all at once.

    Methods that take an import raise ImportNotFound, and ImportOutOfStep if it is not at that revision any more.
    """

    async def begin(self, database: str, one: Import, base: Point, request: RequestKey | None) -> Import:
        """Begin an import from a branch's point, or return the one that the request began. Drops, bit by bit, those
        that got nothing for 24 hours. Raises DatabaseNotFound, RequestIdReused.
        """
        ...

    async def get(self, database: str, principal: str, id: str) -> tuple[Import, Point]:
        """Return an import, and the point that it began from."""
        ...

    async def stage(
        self, database: str, before: Import, after: Import, writes: Sequence[StagedWrite]
    ) -> Mapping[str, int]:
        """Write some hundreds of documents and the import's new record, atomically and durably.

        If documents that are neither to be replaced nor back were staged before, nothing is written: they are returned
        with their lines.
        """
        ...

    async def staged(
        self, database: str, one: Import, point: Point, after: str, limit: int, *, bodies: bool
    ) -> Sequence[Staged]:
        """Return documents of the import that were not taken out, by id, those after `after`."""
        ...

    async def staged_of(self, database: str, one: Import, point: Point, ids: Collection[str]) -> Sequence[Staged]:
        """Return those of the documents that are in the import, taken out or not, with their bodies."""
        ...

    async def taken_out(self, database: str, one: Import, limit: int) -> Sequence[tuple[int, str]]:
        """Return (line, id) of documents that were taken out, by line."""
        ...

    async def unlinked(self, database: str, one: Import, point: Point, rules: Rules) -> Sequence[StagedLink]:
        """Return up to 100 links that would dangle if the import were finished at the point."""
        ...

    async def rivals(self, database: str, one: Import, point: Point, rules: Rules) -> Sequence[StagedRival]:
        """Return up to 1,000 groups of documents that would break uniqueness if the import were finished there."""
        ...

    async def finish(
        self, database: str, one: Import, reviewed: Point, rules: Rules, make: Callable[[Head], Draft]
    ) -> Draft | None:
        """Make what was staged the next commit of the branch, atomically and durably: the draft, which has no writes.

        Returns None, and does nothing, if what was reviewed at a point does not hold at the head: the ontology moved,
        or others changed a document that is in the import, deleted one that it links to, or gave one a value that is
        unique and also in the import. Raises what `make` raises, BranchNotFound.
        """
        ...

    async def drop(self, database: str, one: Import) -> None:
        """Give up an import that is not finished, and delete its documents bit by bit."""
        ...


@dataclass(frozen=True, slots=True)
class StateEntry:
    """A value of the kernel's own with its key, and its version."""

    key: str
    value: bytes
    version: int


class State(Protocol):
    """Small values of the kernel's own, kept beside the commits and shared by all kernels over the store.

    Every method raises StoreUnavailable when the store is away. A key is text of up to 1,024 bytes, a value has up to
    64 KiB. A value is never the same version as another of its key, though that was deleted meanwhile.
    """

    async def get(self, key: str) -> tuple[bytes, int] | None:
        """Return a value and its version, None if there is none."""
        ...

    async def swap(self, key: str, expected: int, value: bytes | None) -> int | None:
        """Put a value in the place of that of the expected version (0: there is none); None deletes it.

        Atomic, and durable once it has returned. Returns the new version, 0 if it is deleted; None, and changes nothing,
        if the version is not the expected one.
        """
        ...

    async def list(self, prefix: str) -> Sequence[StateEntry]:
        """Return the values of all keys that begin with `prefix`, by key."""
        ...


@dataclass(frozen=True, slots=True)
class Line:
    """A branch from its creation to its deletion, and after that what is left of it; another branch of the same name is
    another line.

    `id` names it for ever; `head` is the cursor that stands after its newest commit. It begins where the branch was
    forked, and has the commits made on it since; or with the first commit of its history.
    """

    id: str
    database: str
    branch: str
    head: str
    is_ended: bool


@dataclass(frozen=True, slots=True)
class LineChange:
    """A version as a commit of a line stored it, None if it is a deletion, and the body before it (None: there was none).

    Equal bodies are no change: the document was indexed anew.
    """

    id: str
    etag: str | None
    body: bytes | None
    before: bytes | None


@dataclass(frozen=True, slots=True)
class Piece:
    """A commit of a line with its changes, or some of them: `cursor` stands behind these, and `is_last` says whether the
    commit has no more. `parent` is its first parent.
    """

    point: Point
    parent: Point | None
    commit: Commit
    changes: Sequence[LineChange]
    cursor: str
    is_last: bool


class Outbox(Protocol):
    """The commit log as an outbox: lines of commits, each read on from a cursor, in which no commit ever is missing.

    A cursor is opaque text, good for its line; "" stands before its first commit.
    """

    async def begin(self) -> None:
        """Keep what there is to read of branches that this process deletes from now on, until it is forgotten."""
        ...

    async def lines(self) -> Sequence[Line]:
        """Return the lines that have commits, in any order; ended ones until they are forgotten or their database is
        deleted.
        """
        ...

    async def read(self, line: Line, cursor: str, limit: int, max_bytes: int) -> Sequence[Piece]:
        """Return what follows a cursor, oldest first along first parents: up to `limit` commits, or until `max_bytes`
        of bodies are reached, but some if there are any. None are left if the line is forgotten or deleted.
        """
        ...

    async def forget(self, line: Line) -> None:
        """Drop a line that is ended; its commits stay."""
        ...

    async def moved(self, seconds: float) -> None:
        """Return once some line may have moved since this last returned, at most so many seconds later.

        Knows at once of what this process commits, and soon of what others do.
        """
        ...


class Checks(Protocol):
    """Asks validators, whatever their kind."""

    @property
    def compile_pattern(self) -> Callable[[str], Callable[[str], bool]]:
        """Makes of a regular expression what tells whether a text contains it, in time in proportion to the text; raises
        ValueError.
        """
        ...

    async def examine(self, check: Check) -> None:
        """Refuse what cannot be asked. Raises AddressRefused, and InvalidRequest for a function that is not there."""
        ...

    async def judge(self, validator: Validator, pieces: Sequence[Proposal], seconds: float) -> Sequence[Objection]:
        """Show a commit piece by piece, and return what the validator objects to, the first hundred at the least.

        Answers within `seconds` whatever the validator does, and keeps nobody else waiting. Raises CheckFailed.
        """
        ...

    def standing(self, name: str) -> Standing:
        """How a validator fares."""
        ...

    async def close(self) -> None:
        """End connections."""
        ...


class PublishingFailed(Exception):
    """Nobody knows what became of the events; publishing them again is right."""


class Outcome(Enum):
    """What became of an event that was published."""

    STORED = "stored"
    DEAD_LETTERED = "dead_lettered"
    FAILED = "failed"


class Publisher(Protocol):
    """Takes events to where others get them."""

    async def publish(self, events: Sequence[KernelEvent], seconds: float) -> tuple[Sequence[Outcome], str]:
        """Publish events in their order; return what became of each, and why the first one failed, if one did.

        Those before the first FAILED one are durable, in order, or were refused for good and are kept apart; those from
        it on are to be published again. Raises PublishingFailed if nothing is known of any, at the latest after so many
        seconds.
        """
        ...

    async def close(self) -> None:
        """Give up what is under way."""
        ...


class Store(Protocol):
    """A versioned document store.

    Guarantees: a commit is atomic, and durable once `commit` has returned; the commits of a branch are in one order;
    reads at a point are repeatable; nothing that a decision read changes before its draft is stored. Every method
    raises StoreUnavailable when the store is away, and those that take a database DatabaseNotFound.
    """

    @property
    def staging(self) -> Staging | None:
        """What it has for imports; None if they are to be ordinary commits."""
        ...

    @property
    def state(self) -> State:
        """The kernel's own values."""
        ...

    @property
    def outbox(self) -> Outbox:
        """Its commits, for those who follow them."""
        ...

    async def create_database(self, database: Database, root: Commit, request: RequestKey | None) -> Database:
        """Create a database whose branch `main` is at `root`. Raises DatabaseAlreadyExists, RequestIdReused."""
        ...

    async def get_database(self, name: str) -> Database:
        """Return a database's record."""
        ...

    async def list_databases(self, after: str, limit: int) -> Sequence[Database]:
        """Return databases by name, those after `after`."""
        ...

    async def update_database(self, database: Database, expected_etag: str) -> Database:
        """Store a changed record. Raises EtagMismatch."""
        ...

    async def delete_database(self, name: str, expected_etag: str) -> None:
        """Delete a database with all it holds. Raises EtagMismatch."""
        ...

    async def resolve(self, database: str, ref: Ref) -> Point:
        """Find a ref's commit. Raises BranchNotFound, CommitNotFound, AmbiguousRef."""
        ...

    async def describe(self, database: str, point: Point) -> Commit:
        """Return the commit's record."""
        ...

    async def create_branch(
        self, database: str, branch: Branch, start: Point | Commit | KernelError, request: RequestKey | None
    ) -> Branch:
        """Create a branch at a point, or with a history of its own that begins with the given commit.

        A start that was refused is raised, unless the request was answered before. Raises BranchAlreadyExists,
        RequestIdReused.
        """
        ...

    async def get_branch(self, database: str, name: str) -> Branch:
        """Return a branch. Raises BranchNotFound."""
        ...

    async def list_branches(self, database: str, prefix: str, after: str, limit: int) -> Sequence[Branch]:
        """Return branches by name, those that begin with `prefix` and come after `after`."""
        ...

    async def delete_branch(self, database: str, name: str, expected_head: str) -> None:
        """Delete a branch's name. Raises BranchNotFound, StaleHead."""
        ...

    async def read(self, point: Point, id: str) -> Version | None:
        """Return a document, or None if it does not exist there."""
        ...

    async def read_at(self, database: str, ref: Ref, id: str) -> tuple[Point, Version | None]:
        """Find a ref's commit and read a document there, in one step where the store can. Raises as `resolve`."""
        ...

    async def read_many(
        self, point: Point, ids: Collection[str], max_bytes: int | None = None
    ) -> Mapping[str, Version]:
        """Return those of the documents that exist. Raises TooLarge, on `ids`, once their bodies exceed `max_bytes`."""
        ...

    async def read_ontology(self, point: Point) -> Mapping[str, bytes]:
        """Return the bodies of the ontology's elements by id."""
        ...

    async def list_documents(
        self, point: Point, classes: Sequence[str], after: str, limit: int, max_bytes: int
    ) -> tuple[Sequence[Document], bool]:
        """Return documents of exactly these classes by id, those after `after`, and whether more follow.

        Stops at `limit` documents or once `max_bytes` of bodies are reached, but returns one if there is one.
        """
        ...

    async def select(self, point: Point, query: Query, position: str, limit: int, max_bytes: int) -> Selection:
        """Return documents that match, from a position on ("" is the beginning): up to `limit`, or until `max_bytes` of
        bodies are reached, but one if there is one. Raises InvalidPageToken, QueryTooCostly.
        """
        ...

    async def count(self, point: Point, query: Query) -> int:
        """Return how many documents match. Raises QueryTooCostly."""
        ...

    async def explain(self, point: Point, query: Query) -> Plan:
        """Say how the query would be served, without reading its documents."""
        ...

    async def referrers(
        self, point: Point, target: str, paths: Collection[str], after: str, limit: int
    ) -> Sequence[tuple[str, str]]:
        """Return (id, path) of the links to a document by any of these paths (`Class.property`), by id and then path,
        those after `after` (an id and a path joined by a space).
        """
        ...

    async def log(
        self, point: Point, first_parent: bool, after: tuple[int, str] | None, limit: int
    ) -> Sequence[Commit]:
        """Return the commits that a point reaches, by (time, id) descending, those after (time, id)."""
        ...

    async def changed(self, base: Point | None, target: Point) -> Sequence[Change]:
        """Return the documents that differ between two points, by id; all of `target`'s if there is no base."""
        ...

    async def parent(self, point: Point) -> Point | None:
        """Return the first parent."""
        ...

    async def is_ancestor(self, ancestor: Point, of: Point, first_parent: bool = False) -> bool:
        """Whether `of` reaches `ancestor`, or is it; by first parents alone if `first_parent`."""
        ...

    async def merge_bases(self, ours: Point, theirs: Point) -> Sequence[Point]:
        """Return the best common ancestors: none for unrelated histories, several for crosswise merges."""
        ...

    async def commit(
        self,
        database: str,
        branch: str,
        decide: Callable[[Head], Decision],
        *,
        request: RequestKey | None,
        weight: int,
        dry_run: bool = False,
    ) -> Stored:
        """Run a decision at the branch's head and store its draft, atomically and durably.

        `weight` is about how much work it is, as `weigh` has it. Raises BranchNotFound, RequestIdReused, what the
        decision raises, StoreFull.
        """
        ...

    def history(self, *points: Point, excluding: Collection[Point] = ()) -> AsyncGenerator[Sequence[HistoryEntry]]:
        """Iterate over every commit that any of the points reaches, as stored, each once and after both its parents.

        The points are of one database; what those in `excluding` reach is left out. The commits come in batches that
        end at some megabytes of bodies, however many commits that is. Close it when done.
        """
        ...

    async def count_history(self, *points: Point, excluding: Collection[Point] = ()) -> int:
        """Return how many commits `history` iterates over."""
        ...

    async def close(self) -> None:
        """Finish what was accepted and release the store."""
        ...
