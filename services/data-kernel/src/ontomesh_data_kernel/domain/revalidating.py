"""What a changed ontology, and the steps of a migration, make of documents that are there."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ontomesh_data_kernel.domain.canonical import document_hash, parse_body
from ontomesh_data_kernel.domain.drafting import MAX_DATA_VIOLATIONS, Outcome, class_of
from ontomesh_data_kernel.domain.limits import MAX_BODY_BYTES
from ontomesh_data_kernel.domain.migrating import Migration
from ontomesh_data_kernel.domain.ontology import (
    AffectedClasses,
    ClassDef,
    Ontology,
    Prepared,
    UniqueValue,
    affected_classes,
    fresh_uniques,
)
from ontomesh_data_kernel.domain.ontology.types import Fault
from ontomesh_data_kernel.errors import KernelError, SchemaViolatedByData, Violation
from ontomesh_data_kernel.ports import Version


@dataclass(frozen=True, slots=True)
class Examined:
    """A document looked at under a new ontology: what it becomes (perhaps under another id), or what is wrong with it."""

    id: str
    version: Version
    document: Prepared | None
    violations: tuple[Violation, ...] = ()
    removed: bool = False
    unique: Sequence[UniqueValue] = ()
    """Values that must be unique, of a document that stays as it is."""
    links: Sequence[tuple[str, str]] = ()
    """Links that may no longer dangle, of a document that stays as it is."""


class Revalidation:
    """Looks at existing documents under a changed ontology; `classes` are those it concerns, by their old names."""

    def __init__(self, old: Ontology, new: Ontology, migration: Migration | None = None) -> None:
        self.old, self.new = old, new
        self.migration = migration
        self.affected = affected_classes(old, new) if migration is None else _affected(old, new, migration)
        concerned = self.affected.revalidate | self.affected.reindex | self.affected.rekeyed
        self.classes = tuple(sorted(concerned))
        names = {name: name for name in old.classes} if migration is None else migration.names
        self._were = {now: name for name, now in names.items() if now is not None}
        self._fresh = fresh_uniques(old, new)
        dangled, dangling = old.hierarchy.dangling, new.hierarchy.dangling
        self._held = {name: dangled[name] - dangling[name] for name in dangled.keys() & dangling.keys()}

    def examine(self, documents: Iterable[tuple[str, bytes]]) -> list[Examined]:
        """Look at documents; those that stay as they are, index and all, are left out."""
        prepare = self.new.compile().prepare
        found = []
        for id, body in documents:
            version = Version(document_hash(body).hex(), body)
            if class_of(id) in self.affected.rekeyed:
                violation = Violation(id, "its class's @key cannot change while the class has documents")
                found.append(Examined(id, version, None, (violation,)))
                continue
            parsed = parse_body(body, limit=MAX_BODY_BYTES)
            try:
                left = parsed if self.migration is None else self.migration.apply(parsed)
                if left is None:
                    found.append(Examined(id, version, None, removed=True))
                    continue
                document = prepare(left, document_id=left["@id"], random_id=_no_id)
            except Fault as fault:
                found.append(Examined(id, version, None, tuple(Violation(*one).within(id) for one in fault.faults)))
                continue
            except KernelError as error:
                violations = tuple(violation.within(id) for violation in error.violations)
                found.append(Examined(id, version, None, violations or (Violation(id, error.message),)))
                continue
            if document.body != body or class_of(id) in self.affected.reindex:
                found.append(Examined(id, version, document))
                continue
            unique = self._unique(document)
            links = [link for link in document.links if link[0] in self._held.get(document.cls, ())]
            if unique or links:
                found.append(Examined(id, version, None, unique=unique, links=links))
        return found

    def _unique(self, document: Prepared) -> Sequence[UniqueValue]:
        paths = self._fresh.get(document.cls)
        if not paths:
            return ()
        return [value for value in self.new.compile().unique(document.cls, document.body) if value.path in paths]

    def unsure_links(self, one: Examined) -> list[tuple[str, str, str]]:
        """Links of an examined document that may lead nowhere: their paths and targets, and the targets' ids before the
        change ("" where none can have been there).
        """
        links, known = one.links, set()
        if one.document is not None:
            cls = class_of(one.id)
            dangled, dangling = self.old.hierarchy.dangling[cls], self.new.hierarchy.dangling[one.document.cls]
            held = [target for path, target in self.old.compile().index(one.version.body)[0] if path not in dangled]
            known = {self._id_after(target) for target in held}
            links = [link for link in one.document.links if link[0] not in dangling]
        return [(path, target, self._id_before(target)) for path, target in links if target not in known]

    def _id_after(self, id: str) -> str:
        """A document's id after the change, empty if it is removed."""
        cls, _, key = id.partition("/")
        now = cls if self.migration is None else self.migration.names.get(cls)
        return f"{now}/{key}" if now else ""

    def _id_before(self, id: str) -> str:
        cls, _, key = id.partition("/")
        return f"{self._were[cls]}/{key}" if cls in self._were else ""

    def settle(self, examined: Mapping[str, Examined], outcome: Outcome) -> None:
        """Add what the documents become to the outcome; those that the commit itself changes are not looked at.

        Raises SchemaViolatedByData.
        """
        named = outcome.documents.keys() | outcome.deleted.keys()
        violations: list[Violation] = []
        leaving: list[str] = []
        for id, one in examined.items():
            if id in named:
                continue
            violations += one.violations
            if one.removed or one.document is not None:
                outcome.current[id] = one.version
            if one.removed or (one.document is not None and one.document.id != id):
                leaving.append(id)
            if one.document is None:
                continue
            if one.document.id in named:
                description = f"would become {one.document.id!r}, which the commit itself writes"
                violations.append(Violation(id, description))
            outcome.documents[one.document.id] = one.document
        outcome.deleted.update((id, None) for id in leaving if id not in outcome.documents)
        if violations:
            raise violated_by_data(violations)


def violated_by_data(violations: Sequence[Violation]) -> SchemaViolatedByData:
    """The refusal of an ontology that documents do not fit, each violation's field beginning with the document's id."""
    more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
    return SchemaViolatedByData(
        f"existing documents do not fit the ontology: {violations[0].field}: {violations[0].description}{more}",
        violations[:MAX_DATA_VIOLATIONS],
        {"violations": str(len(violations))},
    )


def _affected(old: Ontology, new: Ontology, migration: Migration) -> AffectedClasses:
    """The classes that the steps concern, and the others that the change concerns: what is in their documents stays."""
    concrete = {name for name, cls in old.classes.items() if not cls.abstract and not cls.subdocument}
    keys = {element.name: element.effective_key for _, element in migration.elements if isinstance(element, ClassDef)}
    now = {name: migration.names.get(name) or "" for name in concrete}
    rekeyed = {
        name
        for name in concrete
        if now[name] in new.classes and keys.get(now[name]) != new.classes[now[name]].effective_key
    }
    same = {name for name in concrete if now[name] == name}
    affected = affected_classes(old, new)
    return AffectedClasses(
        migration.concerned | (affected.revalidate & same), affected.reindex & same, frozenset(rekeyed)
    )


def _no_id() -> str:
    raise AssertionError("a stored document has its id")
