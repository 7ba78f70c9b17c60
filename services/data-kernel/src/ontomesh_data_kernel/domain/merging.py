"""What a merge of two points comes to, document by document."""

import re
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace

from ontomesh_data_kernel.domain.canonical import encode_exactly, parse_value
from ontomesh_data_kernel.domain.drafting import Outcome, class_of
from ontomesh_data_kernel.domain.limits import MAX_BODY_BYTES, MAX_RESOLUTIONS, check_document_id
from ontomesh_data_kernel.domain.model import Conflict, MergeSide, Resolution
from ontomesh_data_kernel.domain.ontology import SCHEMA_PREFIX, Ontology
from ontomesh_data_kernel.domain.properties import (
    Choice,
    Conflicted,
    MergeRules,
    Merging,
    PropertyConflict,
    merge_document,
)
from ontomesh_data_kernel.domain.revalidating import Revalidation
from ontomesh_data_kernel.errors import (
    InvalidRequest,
    KernelError,
    MergeViolation,
    TooLarge,
    UnknownConflict,
    Violation,
)
from ontomesh_data_kernel.ports import Point, Version, weigh


class Resolutions:
    """How a caller settles conflicts: one for a property before one for its document before the strategy."""

    def __init__(self, resolutions: Sequence[Resolution], strategy: MergeSide | None) -> None:
        if len(resolutions) > MAX_RESOLUTIONS:
            raise TooLarge.of("resolutions", len(resolutions), MAX_RESOLUTIONS, "resolutions")
        self._strategy = strategy
        self._places: dict[tuple[str, str], int] = {}
        self._choices: dict[tuple[str, str], Choice] = {}
        for index, one in enumerate(resolutions):
            place = f"resolutions[{index}]"
            key = (check_document_id(f"{place}.id", one.id), one.property)
            if key in self._choices:
                raise InvalidRequest.at(place, "settles the same conflict as an earlier resolution")
            self._places[key] = index
            self._choices[key] = _exact(one.choice, f"{place}.value")

    def choose(
        self, id: str, property: str | None, conflict: PropertyConflict, used: set[tuple[str, str]]
    ) -> Choice | None:
        """Settle a conflict, or leave it; what speaks of it is added to `used`. A side may be chosen for a document or a
        subdocument with all its properties.
        """
        settled: Choice | None = self._strategy
        path = property or ""
        around = [path[: dot.start()] for dot in re.finditer(r"\.", path)]
        for key in dict.fromkeys(((id, ""), *((id, outer) for outer in around), (id, path))):
            choice = self._choices.get(key)
            if choice is not None and not (isinstance(choice, bytes) and key[1] != path):
                used.add(key)
                settled = choice
        return settled

    def check_used(self, used: set[tuple[str, str]]) -> None:
        """Raise UnknownConflict for resolutions that settled nothing."""
        unused = sorted(self._places[key] for key in self._choices.keys() - used)
        if unused:
            violations = [Violation(f"resolutions[{index}]", "names nothing that is in conflict") for index in unused]
            raise UnknownConflict(f"resolutions[{unused[0]}] names nothing that is in conflict", violations)


def _exact(choice: Choice, field: str) -> Choice:
    return (
        encode_exactly(parse_value(choice, limit=MAX_BODY_BYTES, field=field)) if isinstance(choice, bytes) else choice
    )


@dataclass(slots=True)
class Sides:
    """The versions that a merge compares: of the documents that theirs changed since the bases."""

    ids: Sequence[str]
    bases: Sequence[Mapping[str, Version]]
    ours: dict[str, Version]
    theirs: Mapping[str, Version]


@dataclass(slots=True)
class MergePlan:
    """A merge worked out at `ours`, where the branch stood; `update` brings it to where the branch stands now."""

    ours: Point
    theirs: Point
    theirs_time: int
    bases: Sequence[Point]
    ours_ontology: Ontology
    ours_schema: Mapping[str, bytes]
    sides: Sides
    resolutions: Resolutions
    merged_ontology: Ontology = field(init=False)
    conflicts: dict[str, tuple[Conflict, ...]] = field(default_factory=dict)
    outcome: Outcome = field(default_factory=Outcome)
    used: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    faults: dict[str, MergeViolation] = field(default_factory=dict)
    """What is wrong with the outcome. Conflicts come first: settling them may mend it."""

    def fork(self) -> "MergePlan":
        """A plan to bring up to date that leaves this one as it is: a decision may run again, at another head."""
        twin = copy(self)
        twin.sides = replace(self.sides, ours=dict(self.sides.ours))
        twin.conflicts, twin.used, twin.faults = dict(self.conflicts), dict(self.used), dict(self.faults)
        outcome = self.outcome
        twin.outcome = Outcome(dict(outcome.documents), dict(outcome.deleted), dict(outcome.current))
        return twin

    @property
    def weight(self) -> int:
        """How much work it is to write the outcome."""
        return weigh(len(self.sides.ids), sum(len(document.body) for document in self.outcome.documents.values()))

    def work_out(self) -> None:
        """Merge the ontology, then every document. Raises MalformedBody for a chosen value that is no document."""
        self.merged_ontology = self._merge_ontology()
        self.update(self.sides.ids)

    def update(self, ids: Iterable[str]) -> None:
        """Merge documents (again), as ours stand in `sides` now."""
        for id in ids:
            if id.startswith(SCHEMA_PREFIX):
                continue
            self.conflicts.pop(id, None)
            self.faults.pop(id, None)
            self.used.pop(id, None)
            self.outcome.documents.pop(id, None)
            self.outcome.deleted.pop(id, None)
            self.outcome.current.pop(id, None)
            body, changed = self._merge(id, self.merged_ontology)
            if changed:
                self._record(id, body)

    def all_conflicts(self) -> list[Conflict]:
        """The conflicts that nothing settled, by document and property."""
        return [conflict for id in sorted(self.conflicts) for conflict in self.conflicts[id]]

    def check_faults(self) -> None:
        """Raise MergeViolation if the outcome does not fit its ontology."""
        for id in sorted(self.faults):
            raise self.faults[id]

    def check_resolutions(self) -> None:
        """Raise UnknownConflict for resolutions that settled nothing."""
        self.resolutions.check_used(set().union(*self.used.values()))

    def revalidation(self) -> Revalidation | None:
        """What the merged ontology asks of our documents; None if it is ours."""
        if self.merged_ontology.digest == self.ours_ontology.digest:
            return None
        return Revalidation(self.ours_ontology, self.merged_ontology)

    def _merge(self, id: str, ontology: Ontology) -> tuple[dict[str, object] | None, bool]:
        """The merged body (None: deleted), and whether it concerns our document at all."""
        sides = self.sides
        ours, theirs = _body(sides.ours, id), _body(sides.theirs, id)
        bases = [_body(base, id) for base in sides.bases]
        if ours == theirs or all(base == theirs for base in bases):
            return None, False
        used = self.used[id] = set()
        cls = class_of(id)
        merged = merge_document(
            bases,
            ours,
            theirs,
            cls,
            MergeRules(
                lambda holder, name: _merge_as(ontology, holder, name),
                lambda holder: ontology.hierarchy.groups.get(holder, ()),
            ),
            lambda property, conflict: self.resolutions.choose(id, property, conflict, used),
        )
        if isinstance(merged, Conflicted):
            self.conflicts[id] = tuple(
                Conflict(id, one.property or "", one.kind, one.base, one.ours, one.theirs) for one in merged.conflicts
            )
            return None, False
        return merged.body, True

    def _record(self, id: str, body: dict[str, object] | None) -> None:
        current = self.sides.ours.get(id)
        if current is not None:
            self.outcome.current[id] = current
        if body is None:
            if current is not None:
                self.outcome.deleted[id] = None
            return
        try:
            prepared = self.merged_ontology.compile().prepare(body, document_id=id, random_id=str)
        except KernelError as error:
            violations = [violation.within(id) for violation in error.violations] or [Violation(id, error.message)]
            message = f"the merged {id!r} does not fit the merged ontology: {error.message}"
            self.faults[id] = MergeViolation(message, violations)
            return
        self.outcome.documents[id] = prepared

    def _merge_ontology(self) -> Ontology:
        elements = dict(self.ours_schema)
        changed = False
        for id in self.sides.ids:
            if id.startswith(SCHEMA_PREFIX):
                body, concerns = self._merge(id, self.ours_ontology)
                if concerns:
                    changed = True
                    elements.pop(id, None)
                    if body is not None:
                        elements[id] = encode_exactly(body)
        if not changed:
            return self.ours_ontology
        try:
            return Ontology.from_documents(elements).within_limit()
        except KernelError as error:
            message = f"the merged ontology is invalid: {error.message}"
            self.faults[SCHEMA_PREFIX] = MergeViolation(message, error.violations)
            return self.ours_ontology


def _merge_as(ontology: Ontology, cls: str, name: str) -> Merging:
    if ontology.is_set(cls, name):
        return Merging.SET
    return Merging.PROPERTIES if ontology.is_embedded(cls, name) else Merging.WHOLE


def _body(versions: Mapping[str, Version], id: str) -> bytes | None:
    version = versions.get(id)
    return version.body if version is not None else None
