"""One commit before its validators.

A decision runs within the store's transaction, where nobody can be waited for. There it only looks whether the changes
that it is about to make are those that were judged; if not, it breaks off, the validators judge them outside of the
transaction, and it runs again. So a commit is stored only as it was judged, and no other commit waits for a validator.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from ontomesh_data_kernel.domain.canonical import document_hash
from ontomesh_data_kernel.domain.drafting import SCHEMA_CLASS, Outcome, Record, class_of
from ontomesh_data_kernel.domain.ontology import Ontology
from ontomesh_data_kernel.domain.validators.judging import Judges, Session
from ontomesh_data_kernel.domain.validators.model import ProposedChange, Validator
from ontomesh_data_kernel.domain.validators.registry import Registry
from ontomesh_data_kernel.errors import StoreUnavailable
from ontomesh_data_kernel.ports import Draft, Head

T = TypeVar("T")

MAX_ROUNDS = 8

Marks = Mapping[str, tuple[str, str]]
"""What was judged: of each document, the etags before and after, empty where there is no document."""


@dataclass(frozen=True, slots=True)
class View:
    """What one validator sees of a commit."""

    validator: Validator
    changes: list[ProposedChange] = field(default_factory=list)

    def marks(self) -> Marks:
        """What it would judge."""
        return {one.id: one.mark for one in self.changes}


class Unjudged(Exception):
    """The commit would change what its validators have not judged."""

    def __init__(self, head: str, views: list[View]) -> None:
        super().__init__("changes are yet to be judged")
        self.head = head
        self.views = views


class Hearings:
    """Commits before their validators."""

    def __init__(self, registry: Registry, judges: Judges) -> None:
        self.registry = registry
        self.judges = judges

    def of(self, database: str, record: Record, *, is_merge: bool = False) -> "Hearing":
        """The hearing of a commit. It costs next to nothing while no validator sees commits of its branch."""
        return Hearing(self.registry, self.judges, database, record, is_merge)


class Hearing:
    """What was judged of one commit so far."""

    def __init__(
        self, registry: Registry, judges: Judges, database: str, record: Record, is_merge: bool = False
    ) -> None:
        self._registry = registry
        self._judges = judges
        self._database = database
        self._record = record
        self._is_merge = is_merge
        self._session: Session | None = None
        self._verdicts: dict[tuple[str, str], Marks] = {}

    async def through(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """The outcome of an attempt to commit, after as many rounds before the validators as it takes.

        Raises CommitRejected, ValidatorUnavailable besides what the attempt raises.
        """
        for _ in range(MAX_ROUNDS):
            await self._registry.matching(self._database, self._record.branch)
            try:
                return await attempt()
            except Unjudged as unjudged:
                await self.judge(unjudged)
        raise StoreUnavailable("others change what the validators judge faster than they judge it")

    async def judge(self, unjudged: Unjudged) -> None:
        """Have changes judged. Raises CommitRejected, ValidatorUnavailable."""
        if not unjudged.views:
            return
        if self._session is None:
            self._session = self._judges.session(self._database, self._record, self._is_merge)
        shown = [(view.validator, view.changes) for view in unjudged.views]
        await self._judges.judge(self._session, unjudged.head, shown)
        for view in unjudged.views:
            self._verdicts[view.validator.name, view.validator.etag] = view.marks()

    def require(self, head: Head, made: Draft, outcome: Outcome, old: Ontology, new: Ontology) -> None:
        """Raise Unjudged unless what a draft changes is just what was judged. Waits for nobody."""
        validators = self._registry.known(self._database, self._record.branch)
        if validators is None:
            raise Unjudged(head.point.commit, [])
        if not validators:
            return
        missing = [
            view
            for view in _views(validators, made, outcome, old, new)
            if self._verdicts.get((view.validator.name, view.validator.etag)) != view.marks()
        ]
        if missing:
            raise Unjudged(head.point.commit, missing)


def _views(
    validators: tuple[Validator, ...], made: Draft, outcome: Outcome, old: Ontology, new: Ontology
) -> list[View]:
    """What each validator sees of a draft, those that see nothing left out."""
    sight = Sight(validators, old, new)
    schema = old.element_bodies() if old.digest != new.digest else {}
    for write in made.writes:
        seeing = sight.of(class_of(write.id))
        if not seeing:
            continue
        if write.id.startswith(f"{SCHEMA_CLASS}/"):
            before = schema.get(write.id)
            was = document_hash(before).hex() if before is not None else ""
        else:
            version = outcome.current.get(write.id)
            before, was = (version.body, version.etag) if version is not None else (None, "")
        if was == write.etag:
            continue  # it is indexed anew, and does not change
        change = ProposedChange(write.id, sight.classes(class_of(write.id)), before, write.body, (was, write.etag))
        for view in seeing:
            view.changes.append(change)
    return [view for view in sight.views if view.changes]


class Sight:
    """Which validators see documents of a class, by what it inherits from before or after the commit."""

    def __init__(self, validators: tuple[Validator, ...], old: Ontology, new: Ontology) -> None:
        self.views = [View(one) for one in validators]
        self._old, self._new = old, new
        self._classes: dict[str, tuple[str, ...]] = {}
        self._seeing: dict[str, list[View]] = {}

    def of(self, cls: str) -> list[View]:
        """The views of those who see documents of the class."""
        found = self._seeing.get(cls)
        if found is None:
            named = {*self.classes(cls), *self._old.ancestors(cls)}
            found = self._seeing[cls] = [view for view in self.views if _sees(view.validator, cls, named)]
        return found

    def classes(self, cls: str) -> tuple[str, ...]:
        """The class, and all that it inherits from by name."""
        found = self._classes.get(cls)
        if found is None:
            ancestors = self._new.ancestors(cls) or self._old.ancestors(cls)
            found = self._classes[cls] = (cls, *sorted(ancestors - {cls}))
        return found


def _sees(one: Validator, cls: str, named: set[str]) -> bool:
    classes = one.match.classes
    if cls == SCHEMA_CLASS:
        return SCHEMA_CLASS in classes
    return not classes or not named.isdisjoint(classes)
