"""Trying a change of the ontology on the documents of a ref, a page of violations at a time."""

import asyncio
from dataclasses import dataclass, replace

from ontomesh_data_kernel.domain.caller import Caller
from ontomesh_data_kernel.domain.comparing import Difference, compare, describe_step
from ontomesh_data_kernel.domain.deciding import changed_ontology
from ontomesh_data_kernel.domain.identity import digest_of
from ontomesh_data_kernel.domain.limits import page_size
from ontomesh_data_kernel.domain.locating import find, find_again
from ontomesh_data_kernel.domain.model import OntologyAt, OntologyEdit
from ontomesh_data_kernel.domain.ontologies import OntologyCache
from ontomesh_data_kernel.domain.ontology import MAX_VIOLATIONS, Ontology
from ontomesh_data_kernel.domain.paging import make_token, read_number, read_token
from ontomesh_data_kernel.domain.revalidating import Examined, Revalidation
from ontomesh_data_kernel.domain.steps import asked_steps
from ontomesh_data_kernel.domain.traversing import existing
from ontomesh_data_kernel.errors import Violation
from ontomesh_data_kernel.ports import Point, Store

MAX_EXAMINED = 10_000
"""Documents that one page examines."""

_BATCH = 1_000
_BATCH_BYTES = 32 << 20


@dataclass(frozen=True, slots=True)
class DataViolation:
    """What is wrong with one document under the changed ontology; `field` is empty for the document as a whole."""

    id: str
    field: str
    description: str


@dataclass(frozen=True, slots=True)
class OntologyCheck:
    """What a change comes to, and a page of violations by document id; the numbers count from the first page on."""

    differences: tuple[Difference, ...]
    violations: tuple[DataViolation, ...]
    next_page_token: str
    examined: int
    changed: int
    violating: int
    classes: tuple[str, ...]
    commit: str
    ontology: OntologyAt


@dataclass(slots=True)
class _Page:
    """Where a page stands: the last document looked at, and the counts so far."""

    after: str = ""
    examined: int = 0
    changed: int = 0
    violating: int = 0
    more: bool = True


class OntologyChecks:
    """Trying changes of the ontology."""

    def __init__(self, store: Store, ontologies: OntologyCache) -> None:
        self._store = store
        self._ontologies = ontologies

    async def check(
        self,
        caller: Caller,
        database: str,
        ref: str,
        edit: OntologyEdit,
        changes_only: bool,
        page_size_: int,
        page_token: str,
    ) -> OntologyCheck:
        """Return what a change would come to at a ref. Raises what resolving the ref and changing an ontology raise."""
        size = page_size(page_size_)
        asked = (edit.schema, edit.replace, edit.remove, edit.expected_digest, *asked_steps(edit.migrations))
        listing = ("check", database, ref, changes_only, digest_of(asked))
        page = _Page()
        if page_token:
            commit, page.after, *counts = read_token(listing, page_token, 5)
            page.examined, page.changed, page.violating = map(read_number, counts)
            point = await find_again(self._store, caller, database, ref, commit)
        else:
            point = await find(self._store, caller, database, ref)
        base = await self._ontologies.at(point)
        target, differences, revalidation = await asyncio.to_thread(_worked_out, base, edit)
        violations: list[DataViolation] = []
        page.more = bool(revalidation.classes) and not changes_only
        if page.more:
            violations = await self._examine(point, revalidation, page, size)
        counted = (str(page.examined), str(page.changed), str(page.violating))
        return OntologyCheck(
            tuple(differences),
            tuple(violations),
            make_token(listing, point.commit, page.after, *counted) if page.more else "",
            page.examined,
            page.changed,
            page.violating,
            revalidation.classes,
            point.commit,
            OntologyAt(target.to_json(), target.digest, point.commit),
        )

    async def _examine(self, point: Point, revalidation: Revalidation, page: _Page, size: int) -> list[DataViolation]:
        """Go on examining until a page of violations is full, or so many documents were looked at."""
        violations: list[DataViolation] = []
        looked = 0
        while page.more and looked < MAX_EXAMINED:
            documents, more = await self._store.list_documents(
                point, revalidation.classes, page.after, _BATCH, _BATCH_BYTES
            )
            bodies = [(document.id, document.body) for document in documents]
            found = await self._linked(point, revalidation, await asyncio.to_thread(revalidation.examine, bodies))
            taken = _take(found, violations, page, size)
            last = taken if taken is not None else bodies[-1][0] if bodies else page.after
            count = next((index + 1 for index, (id, _) in enumerate(bodies) if id == last), len(bodies))
            page.after = last
            page.examined += count
            looked += count
            page.more = more or count < len(bodies)
            if taken is not None:
                break
        return violations

    async def _linked(self, point: Point, revalidation: Revalidation, found: list[Examined]) -> list[Examined]:
        """Add a violation to the documents for each of their links that would lead nowhere."""
        unsure = await asyncio.to_thread(lambda: {one.id: revalidation.unsure_links(one) for one in found})
        targets = sorted({before for links in unsure.values() for _, _, before in links if before})
        if not any(unsure.values()):
            return found
        there = await existing(self._store, point, targets)
        loose = {
            id: tuple(
                Violation(f"{id}.{path}", f"links to {target!r}, which does not exist")
                for path, target, before in links
                if before not in there
            )[:MAX_VIOLATIONS]
            for id, links in unsure.items()
        }
        return [replace(one, violations=loose[one.id]) if loose[one.id] else one for one in found]


def _take(found: list[Examined], violations: list[DataViolation], page: _Page, size: int) -> str | None:
    """Add a batch's violations until the page is full; the id of the document that filled it, None if none did."""
    for one in found:
        if one.violations:
            page.violating += 1
            violations += (_within(one.id, each.field, each.description) for each in one.violations)
        elif one.document is None or one.document.body != one.version.body:
            page.changed += 1
        if len(violations) >= size:
            return one.id
    return None


def _within(id: str, field: str, description: str) -> DataViolation:
    return DataViolation(id, field.removeprefix(id).removeprefix("."), description)


def _worked_out(base: Ontology, edit: OntologyEdit) -> tuple[Ontology, list[Difference], Revalidation]:
    target, migration = changed_ontology(base, edit, "change")
    left = base.elements if migration is None else tuple(element for _, element in migration.elements)
    differences = [*map(describe_step, edit.migrations), *compare(left, target.elements)]
    return target, differences, Revalidation(base, target, migration)
