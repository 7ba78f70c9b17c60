"""Holding what an ontology asks of documents together: values that only one of them has, links that lead somewhere."""

from collections.abc import Collection, Generator, Mapping, Sequence
from dataclasses import dataclass, field

from ontomesh_data_kernel.domain.drafting import MAX_DATA_VIOLATIONS, Outcome, class_of
from ontomesh_data_kernel.domain.ontology import Ontology, UniqueValue, fresh_uniques
from ontomesh_data_kernel.domain.ontology.types import shown
from ontomesh_data_kernel.domain.revalidating import Examined, violated_by_data
from ontomesh_data_kernel.errors import UniqueViolation, Violation
from ontomesh_data_kernel.ports import Facts, Holder, Needs

MAX_HOLDERS = 10
"""Holders that a store names of one value."""

_Token = tuple[str, str, bytes, str]
"""What two documents must not share: the class that declares the path, the path, and the value."""


@dataclass(slots=True)
class _Claims:
    """Who has which value, among the documents that the commit writes or examined."""

    holders: dict[_Token, str] = field(default_factory=dict)
    clashes: list[tuple[str, UniqueValue, str]] = field(default_factory=list)

    def add(self, id: str, value: UniqueValue) -> None:
        holder = self.holders.setdefault(_token(value), id)
        if holder != id:
            self.clashes.append((id, value, holder))


def _token(value: UniqueValue) -> _Token:
    # A long text's key is shortened, so that the text itself must tell.
    text = value.canonical if value.is_shortened and isinstance(value.canonical, str) else ""
    return value.declarer, value.path, value.key, text


def check_unique(
    outcome: Outcome, old: Ontology, new: Ontology, examined: Mapping[str, Examined] | None = None
) -> Generator[Needs, Facts, None]:
    """Check that no two documents share a value that the new ontology declares unique, once the outcome is there.

    `examined` are the documents that a change of the ontology concerns, after `settle`. Raises UniqueViolation, or
    SchemaViolatedByData if documents that the commit does not name share a value that is unique only now.
    """
    compiled = new.compile()
    claims = _Claims()
    asked: list[tuple[str, UniqueValue]] = []
    for id, one in (examined or {}).items():
        if id not in outcome.documents and id not in outcome.deleted:
            for value in one.unique:
                claims.add(id, value)
    for id, document in outcome.documents.items():
        if not compiled.has_unique(document.cls):
            continue
        current = outcome.current.get(id)
        before = old.compile().unique(class_of(id), current.body) if current is not None else []
        kept = {_token(value) for value in before}
        for value in compiled.unique(document.cls, document.body):
            claims.add(id, value)
            if _token(value) not in kept:
                asked.append((id, value))
    _refuse_shared(claims, outcome, fresh_uniques(old, new) if old.digest != new.digest else {})
    questions = [(id, value, _holder(value, old, new)) for id, value in asked]
    questions = [question for question in questions if question[2].paths]
    if questions:
        facts = yield Needs(holders=[holder for _, _, holder in questions])
        answers = [(id, value, ids) for (id, value, _), ids in zip(questions, facts.holders, strict=True)]
        yield from _check_holders(answers, outcome, old)


def _holder(value: UniqueValue, old: Ontology, new: Ontology) -> Holder:
    """The question who has the value at the head, where the old ontology indexed it."""
    indexed = old.hierarchy.indexed
    classes = sorted(new.hierarchy.concrete(value.declarer))
    paths = tuple(f"{cls}.{value.path}" for cls in classes if value.path in indexed.get(cls, ()))
    return Holder(paths, value.key, value.canonical)


def _refuse_shared(claims: _Claims, outcome: Outcome, fresh: Mapping[str, Collection[str]]) -> None:
    """Refuse values that documents of the commit share with each other, or with those examined."""
    clashes = [
        # What the commit names is at fault, not what was there.
        (holder, value, id) if holder in outcome.places and id not in outcome.places else (id, value, holder)
        for id, value, holder in claims.clashes
    ]
    data = [
        clash
        for clash in clashes
        if clash[0] not in outcome.places
        and clash[2] not in outcome.places
        and clash[1].path in fresh.get(class_of(clash[0]), ())
    ]
    if data:
        raise violated_by_data([_violation(*clash, outcome) for clash in data])
    _refuse(clashes, outcome)


def _check_holders(
    answers: Sequence[tuple[str, UniqueValue, Sequence[str]]], outcome: Outcome, old: Ontology
) -> Generator[Needs, Facts, None]:
    named = outcome.documents.keys() | outcome.deleted.keys()
    clashes: list[tuple[str, UniqueValue, str]] = []
    unsure: list[tuple[str, UniqueValue, Sequence[str]]] = []
    for id, value, ids in answers:
        others = [holder for holder in ids if holder not in named]
        if others and not value.is_shortened:
            clashes.append((id, value, others[0]))
        elif others or (value.is_shortened and len(ids) >= MAX_HOLDERS):
            unsure.append((id, value, others if len(ids) < MAX_HOLDERS else ids))
    if unsure:
        facts = yield Needs(bodies={holder for _, _, ids in unsure for holder in ids if holder not in named})
        compiled = old.compile()
        for id, value, ids in unsure:
            for holder in ids:
                version = facts.bodies.get(holder)
                if version is None:
                    continue
                had = [_token(one)[1:] for one in compiled.unique(class_of(holder), version.body)]
                if _token(value)[1:] in had:
                    clashes.append((id, value, holder))
                    break
            else:
                if len(ids) >= MAX_HOLDERS:
                    _refuse_unsure(id, value, outcome)
    _refuse(clashes, outcome)


def _refuse_unsure(id: str, value: UniqueValue, outcome: Outcome) -> None:
    field = f"{outcome.places.get(id, id)}.{value.path}"
    what = f"begins with the same {len(value.key)} bytes as {MAX_HOLDERS} or more other values of {value.path}"
    description = f"{what}, so that it cannot be told whether one of them is the same"
    violation = Violation(field, description)
    raise UniqueViolation(f"{field}: {description}", (violation,), {"id": id, "property": value.path, "holder": ""})


def _violation(id: str, value: UniqueValue, holder: str, outcome: Outcome) -> Violation:
    of = f"{value.declarer}.{value.path}"
    described = f"is {shown(value.canonical)}, which {holder!r} has as well, and {of} is unique"
    return Violation(f"{outcome.places.get(id, id)}.{value.path}", described)


def _refuse(clashes: Sequence[tuple[str, UniqueValue, str]], outcome: Outcome) -> None:
    if clashes:
        violations = [_violation(*clash, outcome) for clash in clashes[:MAX_DATA_VIOLATIONS]]
        more = f" (and {len(clashes) - 1} more)" if len(clashes) > 1 else ""
        id, value, holder = clashes[0]
        metadata = {"id": id, "property": value.path, "holder": holder}
        raise UniqueViolation(f"{violations[0].field} {violations[0].description}{more}", violations, metadata)


def check_held(examined: Mapping[str, Examined], outcome: Outcome) -> Generator[Needs, Facts, None]:
    """Check that links which may no longer dangle lead somewhere. Raises SchemaViolatedByData."""
    named = outcome.documents.keys() | outcome.deleted.keys()
    links = [(id, path, target) for id, one in examined.items() if id not in named for path, target in one.links]
    targets = {target for _, _, target in links} - named
    existing: Collection[str] = ()
    if targets:
        existing = (yield Needs(etags=targets)).etags
    violations = [
        Violation(f"{id}.{path}", f"links to {target!r}, which does not exist")
        for id, path, target in links
        if target in outcome.deleted or (target not in outcome.documents and target not in existing)
    ]
    if violations:
        raise violated_by_data(violations)
