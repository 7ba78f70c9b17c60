"""An import before its validators, page by page: it may be larger than any memory."""

from collections.abc import Sequence
from hashlib import blake2b

from ontomesh_data_kernel.domain.canonical import encode
from ontomesh_data_kernel.domain.drafting import Record, class_of
from ontomesh_data_kernel.domain.model import Import
from ontomesh_data_kernel.domain.ontology import Ontology
from ontomesh_data_kernel.domain.validators.hearing import Hearings, Sight, Unjudged, View
from ontomesh_data_kernel.domain.validators.model import BuiltinCheck, ProposedChange, Validator
from ontomesh_data_kernel.ports import Point, Staged, Staging, Store

_PAGE = 500


class StagedHearing:
    """What was judged of one import so far.

    A page is judged again only if one of its changes is another than it was.
    """

    def __init__(self, hearings: Hearings, store: Store, staging: Staging, database: str, record: Record) -> None:
        self._hearings = hearings
        self._store = store
        self._staging = staging
        self._database = database
        self._record = record
        self._session = hearings.judges.session(database, record)
        self._pages: dict[tuple[str, str, bytes, int], int] = {}
        self._judged: set[tuple[str, str]] = set()

    async def judge(self, one: Import, head: Point, ontology: Ontology) -> None:
        """Have an import's changes against a head judged. Raises CommitRejected, ValidatorUnavailable."""
        judged: set[tuple[str, str]] = set()
        while True:
            await self._hearings.registry.renew()  # it may be a while until the transaction, and until the next review
            validators = await self._hearings.registry.matching(self._database, self._record.branch)
            asked = {(each.name, each.etag) for each in validators}
            if asked <= judged:
                self._judged = judged
                return
            self._session.shown.clear()
            await self._judge_pages(one, head, ontology, validators)
            judged = asked

    def require(self) -> None:
        """Raise Unjudged if a validator came or changed since, or may have. Waits for nobody."""
        known = self._hearings.registry.known(self._database, self._record.branch)
        if known is None or any((each.name, each.etag) not in self._judged for each in known):
            raise Unjudged("", [])

    async def _judge_pages(
        self, one: Import, head: Point, ontology: Ontology, validators: tuple[Validator, ...]
    ) -> None:
        after = ""
        while page := await self._staging.staged(self._database, one, head, after, _PAGE, bodies=False):
            await self._judge_page(one, head, ontology, validators, page)
            after = page[-1].id

    async def _judge_page(
        self, one: Import, head: Point, ontology: Ontology, validators: tuple[Validator, ...], page: Sequence[Staged]
    ) -> None:
        sight = Sight(validators, ontology, ontology)
        marks: dict[str, list[tuple[str, str, str]]] = {}
        for staged in page:
            if staged.etag != staged.current:
                mark = (staged.id, staged.current or "", staged.etag)
                for view in sight.of(class_of(staged.id)):
                    marks.setdefault(view.validator.name, []).append(mark)
        keys = {view.validator.name: self._key(view.validator, marks.get(view.validator.name)) for view in sight.views}
        waiting: list[View] = []
        for view in sight.views:
            name = view.validator.name
            if name not in marks:
                continue
            known = self._pages.get(keys[name])
            if known is None:
                waiting.append(view)
            else:
                self._session.shown[name] = self._session.shown.get(name, 0) + known
        if not waiting:
            return
        ids = sorted({id for view in waiting for id, _, _ in marks[view.validator.name]})
        changes = await self._changes(one, head, sight, ids)
        shown = [(view.validator, [changes[id] for id, _, _ in marks[view.validator.name]]) for view in waiting]
        counts = await self._hearings.judges.judge(self._session, head.commit, shown, is_page=True)
        for view, count in zip(waiting, counts, strict=True):
            self._pages[keys[view.validator.name]] = count

    def _key(self, one: Validator, marks: Sequence[tuple[str, str, str]] | None) -> tuple[str, str, bytes, int]:
        """What a verdict about a page hangs on; that of a rule on how much was shown before, too."""
        earlier = self._session.shown.get(one.name, 0) if isinstance(one.check, BuiltinCheck) else 0
        return one.name, one.etag, blake2b(encode(marks or ()), digest_size=16).digest(), earlier

    async def _changes(self, one: Import, head: Point, sight: Sight, ids: Sequence[str]) -> dict[str, ProposedChange]:
        staged = await self._staging.staged_of(self._database, one, head, ids)
        current = await self._store.read_many(head, ids)
        changes = {}
        for each in staged:
            before = current.get(each.id)
            changes[each.id] = ProposedChange(
                each.id,
                sight.classes(class_of(each.id)),
                before.body if before is not None else None,
                each.body,
                (before.etag if before is not None else "", each.etag),
            )
        return changes
