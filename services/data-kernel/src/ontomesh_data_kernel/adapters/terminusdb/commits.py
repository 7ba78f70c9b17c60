"""Writing commits: decide at the visible head, bring the server's schema ahead if need be, write in one transaction."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from ontomesh_data_kernel.adapters.terminusdb import woql
from ontomesh_data_kernel.adapters.terminusdb.client import ATTEMPTS, VERSION, Client, Refused, Unanswered, pause
from ontomesh_data_kernel.adapters.terminusdb.graph import (
    CLOSING,
    RECORD,
    SCHEMA_AUTHOR,
    Entry,
    Graph,
    Tip,
    record_of,
)
from ontomesh_data_kernel.adapters.terminusdb.projection import (
    ELEMENT,
    HEAD,
    HEAD_ID,
    MAX_VALUES,
    RESERVED_CLASSES,
    Names,
    Schema,
    count_values,
    native_id,
    native_schema,
)
from ontomesh_data_kernel.adapters.terminusdb.reads import Reader
from ontomesh_data_kernel.domain.model import Commit
from ontomesh_data_kernel.domain.ontology import SCHEMA_PREFIX, Ontology
from ontomesh_data_kernel.errors import BranchNotFound, StoreUnavailable, UnsupportedByStore, Violation
from ontomesh_data_kernel.ports import Decision, Draft, Facts, Head, Point, RequestKey, Stored

logger = logging.getLogger(__name__)

_OPTIMIZE_EVERY = 100
_OPTIMIZE_SECONDS = 300.0


class Committer:
    """Writes the commits of any database, one at a time each."""

    def __init__(self, client: Client, reader: Reader) -> None:
        self._client = client
        self._reader = reader
        self._turns: dict[str, asyncio.Lock] = {}
        self._tips: dict[tuple[str, str], Tip] = {}
        self._since: dict[str, int] = {}
        self._optimizing: dict[str, asyncio.Task[None]] = {}

    async def begin(self, native: str, graph: Graph, branch: str, root: Commit, *, is_new: bool) -> None:
        """Make the first commit of a branch without a history: of a new database's, or of one yet to be made."""
        ref = ("local", "branch", branch)
        if is_new:
            await self._client.insist("POST", self._client.path("branch", native, *ref), body={})
        context = {"@type": "@context", "@base": "terminusdb:///data/", "@schema": "terminusdb:///schema#"}
        query = {"graph_type": "schema", "author": SCHEMA_AUTHOR, "message": "Begin", "full_replace": "true"}
        body = [context, *RESERVED_CLASSES.values()]
        prepared = await self._client.insist(
            "POST", self._client.path("document", native, *ref), body=body, query=query
        )
        graph.pass_over(prepared.version, "")
        document = woql.json_text({"@type": HEAD, "@id": HEAD_ID, "commit": root.id})
        head = await woql.commit(
            self._client,
            native,
            ref,
            woql.write(0, document, insert=True),
            author=root.author,
            message=root.message,
            metadata={RECORD: record_of(root, (), None, b"")},
            head=prepared.version,
        )
        if head is None:
            raise StoreUnavailable(f"TerminusDB did not take the first commit of {branch!r}")
        graph.add(Entry(head, root, (), None, ""))
        self._reader.learn_schema(native, head, Schema(dict(RESERVED_CLASSES)))

    async def commit(
        self,
        native: str,
        graph: Graph,
        name: str,
        branch: str,
        decide: Callable[[Head], Decision],
        request: RequestKey | None,
        dry_run: bool,
        made_by: Callable[[], Entry | None],
    ) -> Stored:
        """Run a decision at the branch's head and store its draft; again wherever another writer came first."""
        async with self._turns.setdefault(native, asyncio.Lock()):
            if (entry := made_by()) is not None:
                return Stored(None, entry.reply.encode())
            tip = self._tips.get((native, branch))
            for attempt in range(ATTEMPTS):
                if tip is None:
                    try:
                        tip = await graph.tip(branch, name)
                    except BranchNotFound:
                        # It may have been deleted since the same request was answered.
                        await graph.read_all()
                        if (entry := made_by()) is not None:
                            return Stored(None, entry.reply.encode())
                        raise
                    if (entry := made_by()) is not None:
                        return Stored(None, entry.reply.encode())
                is_fresh = attempt > 0
                self._tips[native, branch] = tip
                try:
                    draft = await self._decide(native, graph, tip, name, decide)
                except Exception:
                    if is_fresh or (await graph.tip(branch, name)) == tip:
                        raise
                    tip = None  # refused at a head that is not the branch's any more
                    continue
                stored = Stored(draft, draft.reply)
                if dry_run and (is_fresh or (await graph.tip(branch, name)) == tip):
                    await asyncio.to_thread(self._texts, draft, await self._target(native, tip, draft), {})
                    return stored
                if not dry_run and await self._write(native, graph, branch, name, tip, draft, request):
                    self._wrote(native, branch)
                    return stored
                tip = None
                self._tips.pop((native, branch), None)
                await pause(attempt)
        raise StoreUnavailable(f"others wrote to the database first, {ATTEMPTS} times")

    async def _decide(
        self, native: str, graph: Graph, tip: Tip, name: str, decide: Callable[[Head], Decision]
    ) -> Draft:
        entry = tip.entry
        digest = entry.commit.ontology_digest
        point = Point(entry.commit.id, name, digest, (native, entry.backend))
        decision = decide(Head(point, entry.commit.time))
        facts: Facts | None = None
        while True:
            try:
                needs = next(decision) if facts is None else decision.send(facts)
            except StopIteration as end:
                draft: Draft = end.value
                return draft
            facts = await self._reader.facts(native, entry.backend, digest, needs)
            if needs.since is not None:
                since = needs.since.commit
                facts = replace(
                    facts,
                    changed=graph.changed_between(since, entry.commit.id),
                    merged=not graph.continues_without_merge(since, entry.commit.id),
                )

    async def _target(self, native: str, tip: Tip, draft: Draft) -> Ontology:
        """The ontology that a draft leaves."""
        converter = await self._reader.converter(native, tip.entry.backend, tip.entry.commit.ontology_digest)
        elements = dict(converter.ontology.element_bodies())
        changed = [write for write in draft.writes if write.id.startswith(SCHEMA_PREFIX)]
        if not changed:
            return converter.ontology
        for write in changed:
            elements.pop(write.id, None)
            if write.body is not None:
                elements[write.id] = write.body
        return Ontology.from_documents(elements)

    def _texts(self, draft: Draft, target: Ontology, names: Names) -> list[str]:
        """The JSON text of each write that is no deletion, in order. Raises UnsupportedByStore."""
        native_schema(target)
        values = _values(draft)
        if values > MAX_VALUES:
            message = f"the commit writes {values:,} values, where TerminusDB takes at most {MAX_VALUES:,} at once"
            raise UnsupportedByStore(message, (Violation("operations", message),))
        converter = self._reader.learn(target)
        return [
            woql.json_text({"@type": ELEMENT, "@id": native_id(write.id), "body": write.body.decode()})
            if write.id.startswith(SCHEMA_PREFIX)
            else converter.to_native(write.body, names)
            for write in draft.writes
            if write.body is not None
        ]

    def _phrases(self, tip: Tip, draft: Draft, texts: Sequence[str]) -> list[woql.Phrase]:
        """The transaction of a draft: nothing of it holds unless the branch still is at `tip`."""
        document = woql.json_text({"@type": HEAD, "@id": HEAD_ID, "commit": draft.commit.id})
        guard = woql.triple(woql.node(HEAD_ID), "commit", woql.text(tip.entry.commit.id))
        phrases = [guard, *woql.write(0, document, insert=False)]
        ready = iter(texts)
        for index, write in enumerate(draft.writes, 1):
            if write.body is None:
                phrases.append(woql.delete(native_id(write.id)))
            else:
                phrases += woql.write(index, next(ready), insert=write.old is None)
        return phrases

    async def _write(
        self, native: str, graph: Graph, branch: str, name: str, tip: Tip, draft: Draft, request: RequestKey | None
    ) -> bool:
        """Write a draft; False if another writer came first, so that nothing was written."""
        target = await self._target(native, tip, draft)
        changed = [write.id for write in draft.writes]
        key = (request.principal, request.id, request.digest.hex()) if request is not None else None
        record = record_of(draft.commit, changed, key, draft.reply)
        try:
            prepared, schema = await self._bring_schema(native, graph, branch, tip, draft, target)
            texts = await asyncio.to_thread(self._texts, draft, target, schema.names(target))
            head = await woql.commit(
                self._client,
                native,
                ("local", "branch", branch),
                self._phrases(tip, draft, texts),
                author=draft.commit.author,
                message=draft.commit.message,
                metadata={RECORD: record},
                head=prepared,
                values=_values(draft),
            )
        except Refused as error:
            if error.lost_race:
                return False
            raise
        except Unanswered:
            if await self._is_stored(graph, branch, name, draft):
                return True
            raise
        if head is None:
            return False
        reply = draft.reply.decode() if key is not None else ""
        entry = Entry(head, draft.commit, tuple(changed), key, reply)
        graph.add(entry)
        self._tips[native, branch] = Tip(entry, head)
        self._reader.learn_schema(native, head, schema)
        return True

    async def _is_stored(self, graph: Graph, branch: str, name: str, draft: Draft) -> bool:
        tip = await graph.tip(branch, name)
        return any(entry.commit.id == draft.commit.id for entry in graph.first_parents(tip.entry.commit.id))

    async def _bring_schema(
        self, native: str, graph: Graph, branch: str, tip: Tip, draft: Draft, target: Ontology
    ) -> tuple[str, Schema]:
        """See to it that the server's schema holds an ontology's documents, and return the head and it then.

        Raises UnsupportedByStore, before anything is written, for a draft that cannot follow.
        """
        known = await self._reader.schema(native, tip.head)
        gained = known.gained(target)
        if not gained:
            return tip.head, known
        await asyncio.to_thread(self._texts, draft, target, {})
        path = self._client.path("document", native, "local", "branch", branch)
        query = {"graph_type": "schema", "author": SCHEMA_AUTHOR, "message": "Bring the schema ahead", "create": "true"}
        headers = {VERSION: f"branch:{tip.head}"}
        answer = await self._client.ask("PUT", path, body=list(gained.values()), query=query, headers=headers)
        if answer.version == tip.head:
            return tip.head, known  # the server sees no difference
        graph.pass_over(answer.version, tip.head)
        schema = Schema(known.native | gained)
        self._reader.learn_schema(native, answer.version, schema)
        return answer.version, schema

    async def close_branch(self, native: str, graph: Graph, branch: str, tip: Tip) -> bool:
        """Let nobody commit on a branch any more; False if somebody just did."""
        document = woql.json_text({"@type": HEAD, "@id": HEAD_ID, "commit": f"deleted after {tip.head}"})
        try:
            head = await woql.commit(
                self._client,
                native,
                ("local", "branch", branch),
                woql.write(0, document, insert=False),
                author=SCHEMA_AUTHOR,
                message=CLOSING,
                head=tip.head,
            )
        except Refused as error:
            if not error.lost_race:
                raise
            await pause(0)
            return False
        if head is not None:
            graph.pass_over(head, tip.head, closes=True)
        self._tips.pop((native, branch), None)
        return head is not None

    # The server's commits slow down as layers pile up.

    def _wrote(self, native: str, branch: str) -> None:
        self._since[native] = self._since.get(native, 0) + 1
        if self._since[native] >= _OPTIMIZE_EVERY and native not in self._optimizing:
            self._since[native] = 0
            task = asyncio.create_task(self._optimize(native, branch), name=f"optimize {native}")
            self._optimizing[native] = task
            task.add_done_callback(lambda _: self._optimizing.pop(native, None))

    async def _optimize(self, native: str, branch: str) -> None:
        for ref in (("local", "branch", branch), ("local", "_commits"), ("_meta",)):
            try:
                path = self._client.path("optimize", native, *ref)
                await self._client.ask("POST", path, body={}, seconds=_OPTIMIZE_SECONDS)
            except (Refused, StoreUnavailable) as error:
                logger.warning("TerminusDB did not optimize %s of %s: %s", "/".join(ref), native, error)
                return

    async def close(self) -> None:
        """Leave off what runs in the background."""
        running = list(self._optimizing.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def _values(draft: Draft) -> int:
    return sum(count_values(write.body) for write in draft.writes if write.body is not None)
