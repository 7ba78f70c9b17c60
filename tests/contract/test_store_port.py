"""The guarantees of `ports.Store`, each held by tests that name it, with no kernel in front of the store."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest

from ontomesh_data_kernel.domain.canonical import document_hash
from ontomesh_data_kernel.domain.model import Branch, Commit
from ontomesh_data_kernel.domain.ontology import SCHEMA_PREFIX
from ontomesh_data_kernel.domain.refs import parse_ref
from ontomesh_data_kernel.errors import (
    BranchAlreadyExists,
    BranchNotFound,
    CommitNotFound,
    DatabaseAlreadyExists,
    DatabaseNotFound,
    EtagMismatch,
    KernelError,
    RequestIdReused,
    StaleHead,
    TooLarge,
)
from ontomesh_data_kernel.ports import Decision, Head, Needs, Referrers, RequestKey, Store
from tests.contract.drafts import DB, TRACE, Edit, Hand, make_database, root_commit, schema
from tests.contract.stores import StoreInUse

pytestmark = pytest.mark.usefixtures("store")

OPTIONAL_TEXT = {"@type": "Optional", "@class": "xsd:string"}
NOTE: dict[str, Any] = {
    "@type": "Class",
    "@id": "Note",
    "text": OPTIONAL_TEXT,
    "count": {"@type": "Optional", "@class": "xsd:integer"},
    "about": {"@type": "Optional", "@class": "Note"},
    "links": {"@type": "Set", "@class": "Note"},
    "tags": {"@type": "List", "@class": "xsd:string"},
}
MEMO: dict[str, Any] = {"@type": "Class", "@id": "Memo", "text": OPTIONAL_TEXT}
WEEK = 7 * 86_400 * 1_000_000


class Refusal(Exception):
    """What a decision raises that refuses."""


def note(name: str, **rest: object) -> dict[str, object]:
    return {"@type": "Note", "@id": f"Note/{name}", "tags": [], **rest}


def memo(name: str, **rest: object) -> dict[str, object]:
    return {"@type": "Memo", "@id": f"Memo/{name}", **rest}


def key(id: str, asked: bytes = b"asked", principal: str = "user:ana") -> RequestKey:
    return RequestKey(principal, id, document_hash(asked))


@pytest.fixture
async def opened(store: StoreInUse, tmp_path: Path) -> AsyncIterator[Store]:
    made = await store.open(tmp_path / "kernel.db")
    yield made
    await made.close()


@pytest.fixture
async def hand(opened: Store) -> Hand:
    """A database with classes and no documents."""
    await make_database(opened)
    made = Hand(opened)
    await made.made(ontology=schema(NOTE, MEMO))
    return made


@pytest.fixture
async def other(store: StoreInUse, hand: Hand, tmp_path: Path) -> AsyncIterator[Hand]:
    """The same database through a store of its own, as another gateway has it."""
    made = await store.open(tmp_path / "kernel.db")
    yield Hand(made)
    await made.close()


def counting(id: str) -> dict[str, Any]:
    """An edit that adds one to the count of a document."""

    def add(found: Any) -> list[dict[str, object]]:
        return [{**found[id], "count": found[id]["count"] + 1}]

    return {"reading": [id], "change": add}


class TestAtomicity:
    async def test_documents_and_the_ontology_they_need_appear_in_one_commit(self, hand: Hand) -> None:
        before = await hand.at()
        extra = {"@type": "Class", "@id": "Extra", "of": "Note"}
        documents = (note("a"), memo("b"), {"@type": "Extra", "@id": "Extra/1", "of": "Note/a"})
        made = await hand.made(*documents, ontology=schema(NOTE, MEMO, extra))
        after = await hand.at()
        assert after.commit == made.id
        assert (await hand.at("main~1")).commit == before.commit
        assert set(await hand.bodies("main", "Note/a", "Memo/b", "Extra/1")) == {"Note/a", "Memo/b", "Extra/1"}
        assert await hand.bodies("main~1", "Note/a", "Memo/b", "Extra/1") == {}
        assert f"{SCHEMA_PREFIX}Extra" in await hand.store.read_ontology(after)
        assert f"{SCHEMA_PREFIX}Extra" not in await hand.store.read_ontology(before)

    async def test_a_decision_that_refuses_leaves_nothing(self, hand: Hand) -> None:
        before = await hand.at()

        def refuse(head: Head) -> Decision:
            yield Needs(bodies=["Note/a"])
            raise Refusal

        with pytest.raises(Refusal):
            await hand.store.commit(DB, "main", refuse, request=key("r1"), weight=1)
        assert (await hand.at()).commit == before.commit
        assert await hand.commit(note("a"), request=key("r1"))

    async def test_a_dry_run_decides_and_leaves_nothing(self, hand: Hand) -> None:
        before = await hand.at()
        made = await hand.made(note("a"), dry_run=True, ontology=schema(NOTE, MEMO, {**MEMO, "@id": "Extra"}))
        assert made.change_count == 2
        assert (await hand.at()).commit == before.commit
        assert await hand.bodies("main", "Note/a") == {}
        with pytest.raises(CommitNotFound):
            await hand.at(f"commit:{made.id}")

    @pytest.mark.live
    async def test_readers_beside_a_writer_see_each_commit_whole(self, hand: Hand, other: Hand) -> None:
        await hand.made(note("a", count=0), note("b", count=0))
        done = False

        async def write() -> None:
            nonlocal done
            for count in range(1, 40):
                await hand.made(note("a", count=count), note("b", count=count))
            done = True

        async def read(hand: Hand) -> int:
            seen = -1
            while not done:
                found = await hand.bodies("main", "Note/a", "Note/b")
                assert found["Note/a"]["count"] == found["Note/b"]["count"] >= seen
                seen = found["Note/a"]["count"]
                await asyncio.sleep(0)
            return seen

        _, *seen = await asyncio.gather(write(), read(hand), read(other), read(other))
        assert max(one or 0 for one in seen) > 0


class TestCompareAndSet:
    async def test_a_decision_runs_at_the_head_that_another_gateway_has_moved(self, hand: Hand, other: Hand) -> None:
        await hand.made(note("a", count=0))
        made = [await (hand, other)[number % 2].made(**counting("Note/a")) for number in range(6)]
        assert (await hand.bodies("main", "Note/a"))["Note/a"]["count"] == 6
        assert all(later.parents == (earlier.id,) for earlier, later in pairwise(made))

    async def test_a_refusal_stands_only_at_the_head_that_is_the_branchs_still(self, hand: Hand, other: Hand) -> None:
        await hand.made(note("a"))
        await other.made(remove=["Note/a"])
        met: list[str] = []

        def refuse_while_there(head: Head) -> Decision:
            met.append(head.point.commit)
            facts = yield Needs(etags=["Note/a"])
            if facts.etags:
                raise Refusal
            return (yield from Edit([note("b")]).decide(head))

        await hand.store.commit(DB, "main", refuse_while_there, request=None, weight=1)
        assert met[-1] == (await hand.at("main~1")).commit
        assert list(await hand.bodies("main", "Note/a", "Note/b")) == ["Note/b"]

    async def test_a_branch_made_anew_elsewhere_is_written_where_it_stands_now(self, hand: Hand, other: Hand) -> None:
        await hand.fork("side")
        await hand.made(note("gone"), branch="side")
        await other.store.delete_branch(DB, "side", "")
        await other.fork("side")
        made = await hand.made(note("a"), branch="side")
        assert made.parents == ((await hand.at()).commit,)
        assert list(await hand.bodies("side", "Note/a", "Note/gone")) == ["Note/a"]

    @pytest.mark.live
    async def test_writers_at_once_through_two_gateways_lose_no_update(self, hand: Hand, other: Hand) -> None:
        await hand.made(note("a", count=0))
        hands = [(hand, other)[number % 2] for number in range(24)]
        made = await asyncio.gather(*(one.made(**counting("Note/a")) for one in hands))
        assert (await hand.bodies("main", "Note/a"))["Note/a"]["count"] == 24
        assert len({commit.parents for commit in made}) == 24

    @pytest.mark.live
    async def test_writers_of_two_branches_at_once_lose_nothing(self, hand: Hand, other: Hand) -> None:
        await hand.fork("side")
        work = [(hand, "main"), (other, "side"), (other, "main"), (hand, "side")] * 4
        await asyncio.gather(*(one.made(note(f"n{at}"), branch=to) for at, (one, to) in enumerate(work)))
        for branch, evens in (("main", {0, 2}), ("side", {1, 3})):
            found = await hand.bodies(branch, *(f"Note/n{at}" for at in range(16)))
            assert set(found) == {f"Note/n{at}" for at in range(16) if at % 4 in evens}


class TestFacts:
    async def test_documents_are_told_by_body_and_by_etag_as_they_are_at_the_head(self, hand: Hand) -> None:
        await hand.made(note("a", text="old"), note("b"))
        await hand.made(note("a", text="new"), remove=["Note/b"])
        facts = await hand.facts(Needs(bodies=["Note/a", "Note/b"], etags=["Note/a", "Note/c"], ontology=True))
        assert {id: orjson.loads(one.body)["text"] for id, one in facts.bodies.items()} == {"Note/a": "new"}
        assert facts.etags == {"Note/a": facts.bodies["Note/a"].etag}
        assert facts.bodies["Note/a"].etag == document_hash(facts.bodies["Note/a"].body).hex()
        assert facts.ontology == schema(NOTE, MEMO).element_bodies()

    async def test_referrers_are_told_by_path_but_for_those_left_out(self, hand: Hand) -> None:
        await hand.made(note("a"), note("b"), note("none"))
        holders = [note("by", about="Note/a"), note("set", links=["Note/b", "Note/a"]), note("out", about="Note/a")]
        await hand.made(*holders)
        asked = Referrers(("Note/a", "Note/b", "Note/none"), ("Note.about", "Note.links"), ["Note/out"])

        async def told(asked: Referrers) -> dict[str, set[str]]:
            facts = await hand.facts(Needs(referrers=asked))
            return {target: set(holders) for target, holders in facts.referrers.items()}

        assert await told(asked) == {"Note/a": {"Note/by", "Note/set"}, "Note/b": {"Note/set"}}
        about = Referrers(("Note/a", "Note/b"), ("Note.about",))
        assert await told(about) == {"Note/a": {"Note/by", "Note/out"}}
        await hand.made(note("by"), remove=["Note/set"])
        assert await told(asked) == {}

    async def test_of_many_referrers_ten_are_told(self, hand: Hand) -> None:
        await hand.made(note("a"))
        await hand.made(*(note(f"n{number:02}", about="Note/a") for number in range(14)))
        facts = await hand.facts(Needs(referrers=Referrers(("Note/a",), ("Note.about",))))
        assert len(facts.referrers["Note/a"]) == 10

    async def test_instances_are_those_of_exactly_the_classes(self, hand: Hand) -> None:
        special = {"@type": "Class", "@id": "Special", "@inherits": "Memo"}
        ontology = schema(NOTE, MEMO, special)
        await hand.made(note("a"), memo("m"), {"@type": "Special", "@id": "Special/s"}, ontology=ontology)
        facts = await hand.facts(Needs(instances=("Memo", "Note")))
        assert {id: orjson.loads(body)["@id"] for id, body in facts.instances} == {
            "Note/a": "Note/a",
            "Memo/m": "Memo/m",
        }

    async def test_what_changed_since_a_point_is_told_and_whether_a_merge_came(self, hand: Hand) -> None:
        await hand.made(note("a"))
        since = await hand.at()
        await hand.fork("side")
        await hand.made(note("b"))
        facts = await hand.facts(Needs(since=since))
        assert (set(facts.changed), facts.merged) == ({"Note/b"}, False)
        await hand.made(note("c"), branch="side")
        await hand.made(note("c"), merged=await hand.at("side"))
        facts = await hand.facts(Needs(since=since))
        assert facts.changed >= {"Note/b", "Note/c"}  # type: ignore[operator]
        assert facts.merged
        elsewhere = await hand.facts(Needs(since=await hand.at()), "side")
        assert elsewhere.merged


class TestIdempotency:
    async def test_a_commits_request_is_answered_again_and_stores_nothing(self, hand: Hand, other: Hand) -> None:
        made = await hand.made(note("a"), request=key("r1"), reply=b'{"made":"first"}')
        for one in (hand, other):
            assert await one.commit(note("a"), request=key("r1"), reply=b'{"made":"first"}') is None
        assert (await hand.at()).commit == made.id

    async def test_another_gateway_that_starts_later_knows_the_answer(
        self, hand: Hand, store: StoreInUse, tmp_path: Path
    ) -> None:
        await hand.fork("side")
        await hand.made(note("a"), branch="side", request=key("r1"))
        await hand.store.delete_branch(DB, "side", "")
        late = await store.open(tmp_path / "kernel.db")
        assert await Hand(late).commit(note("a"), branch="side", request=key("r1")) is None
        await late.close()

    async def test_a_request_that_asks_otherwise_is_refused(self, hand: Hand, other: Hand) -> None:
        await hand.made(note("a"), request=key("r1"))
        before = await hand.at()
        for one in (hand, other):
            with pytest.raises(RequestIdReused):
                await one.commit(note("b"), request=key("r1", b"otherwise"))
        with pytest.raises(RequestIdReused):
            await hand.fork("side", request=key("r1", b"otherwise"))
        assert (await hand.at()).commit == before.commit
        with pytest.raises(BranchNotFound):
            await hand.at("side")

    async def test_principals_have_requests_of_their_own(self, hand: Hand) -> None:
        await hand.made(note("a"), request=key("r1"))
        await hand.made(note("b"), request=key("r1", principal="user:bob"))
        assert len(await hand.bodies("main", "Note/a", "Note/b")) == 2

    async def test_an_answer_is_kept_for_seven_days(self, hand: Hand, store: StoreInUse, tmp_path: Path) -> None:
        first = await hand.made(note("a", count=1), request=key("r1"))
        for passed, is_new in ((WEEK - 1_000_000, False), (WEEK + 1_000_000, True)):
            now = first.time + passed
            later = await store.open(tmp_path / "kernel.db", lambda now=now: now)  # type: ignore[misc]
            made = await Hand(later).commit(note("a", count=2), request=key("r1"))
            assert (made is not None) == is_new
            await later.close()

    async def test_a_database_and_a_branch_are_made_once(self, hand: Hand) -> None:
        first = await make_database(hand.store, "twice", key("r1"))
        assert await make_database(hand.store, "twice", key("r1")) == first
        with pytest.raises(RequestIdReused):
            await make_database(hand.store, "thrice", key("r1", b"otherwise"))
        with pytest.raises(DatabaseNotFound):
            await hand.store.get_database("thrice")
        branch = await hand.fork("side", request=key("r2"))
        await hand.made(note("a"))
        assert await hand.fork("side", request=key("r2")) == branch

    async def test_a_start_that_is_refused_is_raised_unless_the_request_was_answered(self, hand: Hand) -> None:
        made = await hand.fork("side", request=key("r1"))
        refused = BranchNotFound.of(DB, "start")
        wanted = Branch("side", "", 0, 0)
        assert await hand.store.create_branch(DB, wanted, refused, key("r1")) == made
        for request in (None, key("r2")):
            with pytest.raises(BranchNotFound):
                await hand.store.create_branch(DB, wanted, refused, request)


class TestForks:
    async def test_a_branch_begins_with_all_that_its_start_has(self, hand: Hand) -> None:
        await hand.made(note("a"))
        made = await hand.made(note("b"))
        await hand.made(note("c"))
        forked = await hand.fork("team/x", f"commit:{made.id}")
        assert (forked.name, forked.head) == ("team/x", made.id)
        assert forked.update_time == made.time
        assert await hand.store.get_branch(DB, "team/x") == forked
        assert set(await hand.bodies("team/x", "Note/a", "Note/b", "Note/c")) == {"Note/a", "Note/b"}
        with pytest.raises(BranchAlreadyExists):
            await hand.fork("team/x")

    async def test_commits_of_a_branch_are_seen_on_no_other(self, hand: Hand) -> None:
        await hand.made(note("a", text="both"), note("b"))
        await hand.fork("side")
        await hand.made(note("a", text="main"), note("m"))
        await hand.made(note("a", text="side"), branch="side", remove=["Note/b"], ontology=schema(NOTE))
        ids = ("Note/a", "Note/b", "Note/m")
        assert {id: one.get("text") for id, one in (await hand.bodies("main", *ids)).items()} == {
            "Note/a": "main",
            "Note/b": None,
            "Note/m": None,
        }
        assert {id: one.get("text") for id, one in (await hand.bodies("side", *ids)).items()} == {"Note/a": "side"}
        assert len(await hand.store.read_ontology(await hand.at("side"))) == 1
        assert len(await hand.store.read_ontology(await hand.at())) == 2

    async def test_a_branch_with_a_history_of_its_own_begins_empty(self, hand: Hand) -> None:
        await hand.made(note("a"))
        alone = await hand.begin("alone")
        assert await hand.store.get_branch(DB, "alone") == alone
        assert await hand.store.read_ontology(await hand.at("alone")) == {}
        assert await hand.bodies("alone", "Note/a") == {}
        await hand.made(memo("b"), branch="alone", ontology=schema(MEMO))
        assert await hand.bodies("main", "Memo/b") == {}

    async def test_a_deleted_branch_leaves_its_commits_and_the_other_branches(self, hand: Hand) -> None:
        await hand.fork("side")
        made = await hand.made(note("a"), branch="side")
        await hand.fork("further", "side")
        with pytest.raises(StaleHead):
            await hand.store.delete_branch(DB, "side", (await hand.at()).commit)
        await hand.store.delete_branch(DB, "side", made.id)
        for gone in (hand.at("side"), hand.store.delete_branch(DB, "side", ""), hand.made(branch="side")):
            with pytest.raises(BranchNotFound):
                await gone
        for ref in ("further", f"commit:{made.id}"):
            assert set(await hand.bodies(ref, "Note/a")) == {"Note/a"}

    async def test_branches_are_listed_by_name(self, hand: Hand) -> None:
        for name in ("team/b", "team/a", "teams", "Z"):
            await hand.fork(name)
        heads = {(await hand.at()).commit}

        async def listed(prefix: str, after: str, limit: int) -> list[str]:
            found = await hand.store.list_branches(DB, prefix, after, limit)
            assert {one.head for one in found} <= heads
            return [one.name for one in found]

        assert await listed("", "", 9) == ["Z", "main", "team/a", "team/b", "teams"]
        assert await listed("team/", "", 9) == ["team/a", "team/b"]
        assert await listed("", "main", 2) == ["team/a", "team/b"]
        assert await listed("nothing", "", 9) == []

    @pytest.mark.live
    async def test_a_fork_takes_no_longer_with_many_documents_and_commits(self, hand: Hand) -> None:
        async def forks(name: str) -> float:
            took = []
            for number in range(7):
                start = time.perf_counter()
                await hand.fork(f"{name}{number}")
                took.append(time.perf_counter() - start)
            return min(took)

        few = await forks("few")
        for batch in range(20):
            await hand.made(*(note(f"n{batch}-{number}", text="x" * 500) for number in range(50)))
        assert await forks("many") < 3 * few + 0.05


class TestRefs:
    async def test_every_form_of_a_ref_names_its_commit_in_every_way_of_reading(self, hand: Hand) -> None:
        made = [await hand.made(note("a", count=number)) for number in range(4)]
        await hand.fork("team/x", f"commit:{made[1].id}")
        own = await hand.made(note("a", count=9), branch="team/x")
        expected = {
            "main": (made[3], 3),
            "main~": (made[2], 2),
            "main~3": (made[0], 0),
            f"commit:{made[2].id}": (made[2], 2),
            f"commit:{made[2].id[:12]}": (made[2], 2),
            f"commit:{made[3].id}~2": (made[1], 1),
            f"main@{rfc3339(made[2].time)}": (made[2], 2),
            f"main@{rfc3339(made[2].time - 1)}": (made[1], 1),
            "team/x": (own, 9),
            "team/x~2": (made[0], 0),
            f"team/x@{rfc3339(own.time - 1)}": (made[1], 1),
        }
        for text, (commit, count) in expected.items():
            ref = parse_ref(text)
            point, version = await hand.store.read_at(DB, ref, "Note/a")
            assert version is not None
            assert point.commit == (await hand.store.resolve(DB, ref)).commit == commit.id
            assert orjson.loads(version.body)["count"] == count
            assert await hand.store.read(point, "Note/a") == version
            assert await hand.store.read_many(point, ["Note/a", "Note/none"]) == {"Note/a": version}
            (listed,), more = await hand.store.list_documents(point, ["Note"], "", 9, 1 << 20)
            assert ((listed.id, listed.etag, listed.body), more) == (("Note/a", version.etag, version.body), False)
            assert await hand.store.read(point, "Note/none") is None
            assert (await hand.store.read_at(DB, ref, "Note/none"))[1] is None
            assert point.branch == ("team/x" if text.startswith("team") else "main")

    async def test_refs_of_nothing_are_refused(self, hand: Hand) -> None:
        for text in ("main~9", f"main@{rfc3339(1)}", "commit:" + "0" * 64, "commit:" + "0" * 8):
            for read in (hand.store.resolve(DB, parse_ref(text)), hand.store.read_at(DB, parse_ref(text), "Note/a")):
                with pytest.raises(CommitNotFound):
                    await read
        for text in ("none", "none~1"):
            for read in (hand.store.resolve(DB, parse_ref(text)), hand.store.read_at(DB, parse_ref(text), "Note/a")):
                with pytest.raises(BranchNotFound):
                    await read

    async def test_what_is_read_at_a_point_never_changes(self, hand: Hand) -> None:
        await hand.made(note("a", text="then"), note("b"))
        point = await hand.at()
        before = await hand.store.read_many(point, ["Note/a", "Note/b"])
        await hand.made(note("a", text="now"), memo("c"), remove=["Note/b"])
        assert await hand.store.read_many(point, ["Note/a", "Note/b", "Memo/c"]) == before
        assert [one.id for one in (await hand.store.list_documents(point, ["Note", "Memo"], "", 9, 1 << 20))[0]] == [
            "Note/a",
            "Note/b",
        ]

    async def test_a_commit_is_described_as_it_was_made(self, hand: Hand) -> None:
        made = await hand.made(note("a"), message='wéird "message"\n', metadata={"ticket": "ONE-1", "größe": "∞"})
        told = await hand.store.describe(DB, await hand.at())
        assert told == made
        assert (told.trace_id, told.change_count, dict(told.metadata)) == (TRACE, 1, {"ticket": "ONE-1", "größe": "∞"})

    async def test_a_parent_is_the_first_and_a_root_has_none(self, hand: Hand) -> None:
        await hand.fork("side")
        await hand.made(note("s"), branch="side")
        ours = await hand.made(note("a"))
        await hand.made(note("s"), merged=await hand.at("side"))
        parent = await hand.store.parent(await hand.at())
        assert parent is not None
        assert parent.commit == ours.id
        root = await hand.at("main~3")
        assert await hand.store.parent(root) is None
        assert (await hand.store.describe(DB, root)).parents == ()


class TestListings:
    async def test_documents_are_listed_by_id_and_only_of_the_classes(self, hand: Hand) -> None:
        names = ["b", "a", "Z", "é", "a0", "a-", "𝄞", "ﬀ", "%", "~"]
        await hand.made(*(note(name) for name in names), memo("m"))
        point = await hand.at()

        async def listed(classes: list[str], after: str = "", limit: int = 99) -> tuple[list[str], bool]:
            found, more = await hand.store.list_documents(point, classes, after, limit, 1 << 20)
            return [one.id for one in found], more

        ids = sorted(f"Note/{name}" for name in names)
        assert await listed(["Note"]) == (ids, False)
        assert await listed(["Memo", "Note"]) == (["Memo/m", *ids], False)
        assert await listed(["Note"], limit=3) == (ids[:3], True)
        assert await listed(["Note"], ids[2], 3) == (ids[3:6], True)
        assert await listed(["Note"], ids[2], len(ids) - 3) == (ids[3:], False)
        assert (await listed(["Note"], "Note/a\U0010ffff"))[0] == [id for id in ids if id > "Note/a\U0010ffff"]
        assert await listed(["Absent"]) == ([], False)
        assert await listed([]) == ([], False)

    async def test_a_listing_ends_once_its_bodies_are_large_enough_but_has_one(self, hand: Hand) -> None:
        await hand.made(*(note(f"n{number}", text="x" * 1_000) for number in range(6)))
        point = await hand.at()
        for max_bytes, count in ((1, 1), (1_500, 2), (3_400, 4), (1 << 20, 6)):
            found, more = await hand.store.list_documents(point, ["Note"], "", 99, max_bytes)
            assert ([one.id for one in found], more) == ([f"Note/n{at}" for at in range(count)], count < 6)

    async def test_documents_asked_for_together_are_refused_beyond_so_many_bytes(self, hand: Hand) -> None:
        await hand.made(*(note(f"n{number}", text="x" * 1_000) for number in range(3)))
        point, ids = await hand.at(), [f"Note/n{number}" for number in range(3)]
        with pytest.raises(TooLarge) as refused:
            await hand.store.read_many(point, ids, 2_500)
        assert [violation.field for violation in refused.value.violations] == ["ids"]
        assert refused.value.metadata == {"limit": "2500"}
        assert len(await hand.store.read_many(point, ids, 3_500)) == 3
        assert await hand.store.read_many(point, []) == {}


class TestChangedBetween:
    async def test_what_differs_is_told_either_way_and_across_branches(self, hand: Hand) -> None:
        await hand.made(note("a"), note("b"), note("same"))
        await hand.fork("side")
        await hand.made(note("a", text="main"), note("new"))
        await hand.made(note("s"), branch="side", remove=["Note/b"])
        assert await hand.changes("main~1", "main") == {"Note/a": (True, True), "Note/new": (False, True)}
        assert await hand.changes("main", "main~1") == {"Note/a": (True, True), "Note/new": (True, False)}
        assert await hand.changes("main", "side") == {
            "Note/a": (True, True),
            "Note/b": (True, False),
            "Note/new": (True, False),
            "Note/s": (False, True),
        }
        assert await hand.changes("main", "main") == {}

    async def test_a_document_changed_there_and_back_does_not_differ(self, hand: Hand) -> None:
        await hand.made(note("a", text="one"))
        await hand.made(note("a", text="two"), note("b"))
        await hand.made(note("a", text="one"), remove=["Note/b"])
        assert await hand.changes("main~2", "main") == {}
        assert set(await hand.changes("main~1", "main")) == {"Note/a", "Note/b"}

    async def test_without_a_base_all_that_exists_differs(self, hand: Hand) -> None:
        await hand.made(note("a"), note("gone"))
        await hand.made(memo("b"), remove=["Note/gone"])
        await hand.fork("side")
        await hand.made(note("s"), branch="side")
        assert await hand.changes(None, "side") == {
            "Memo/b": (False, True),
            "Note/a": (False, True),
            "Note/s": (False, True),
        }

    async def test_what_a_merge_brought_differs(self, hand: Hand) -> None:
        await hand.fork("side")
        await hand.made(note("s"), branch="side")
        await hand.made(note("a"))
        await hand.made(note("s"), merged=await hand.at("side"))
        assert await hand.changes("main~1", "main") == {"Note/s": (False, True)}
        assert await hand.changes("side", "main") == {"Note/a": (False, True)}

    async def test_histories_without_a_common_commit_differ_in_all_they_have(self, hand: Hand) -> None:
        await hand.made(note("a"), note("same"))
        await hand.begin("alone")
        await hand.made(memo("m"), note("same"), branch="alone", ontology=schema(NOTE, MEMO))
        assert await hand.changes("main", "alone") == {"Memo/m": (False, True), "Note/a": (True, False)}

    async def test_elements_of_the_ontology_differ_with_their_etags(self, hand: Hand) -> None:
        wider = schema({**NOTE, "more": OPTIONAL_TEXT})
        await hand.made(ontology=wider)
        old, new = schema(NOTE, MEMO).element_bodies(), wider.element_bodies()
        changed = await hand.store.changed(await hand.at("main~1"), await hand.at())
        assert {one.id: (one.before, one.after) for one in changed} == {
            "@schema/Memo": (document_hash(old["@schema/Memo"]).hex(), None),
            "@schema/Note": (
                document_hash(old["@schema/Note"]).hex(),
                document_hash(new["@schema/Note"]).hex(),
            ),
        }


class TestLogs:
    async def test_a_log_is_by_time_and_its_cursor_goes_on_where_a_page_ended(self, hand: Hand) -> None:
        made = [await hand.made(note("a", count=number)) for number in range(6)]
        point = await hand.at()
        whole = await hand.store.log(point, False, None, 99)
        assert [one.id for one in whole[:6]] == [one.id for one in reversed(made)]
        assert len(whole) == 8
        assert sorted(whole, key=lambda one: (one.time, one.id), reverse=True) == whole
        for size in (1, 3, 8):
            paged: list[Commit] = []
            while page := await hand.store.log(point, False, cursor_of(paged), size):
                assert len(page) <= size
                paged += page
            assert paged == whole
        await hand.made(note("b"))
        assert await hand.store.log(point, False, None, 99) == whole

    async def test_a_log_has_the_lines_that_merges_brought_unless_first_parents_are_asked_for(self, hand: Hand) -> None:
        await hand.fork("side")
        side = await hand.made(note("s"), branch="side")
        ours = await hand.made(note("a"))
        merge = await hand.made(note("s"), merged=await hand.at("side"))
        later = await hand.made(note("later"), branch="side")
        point = await hand.at()
        every = [one.id for one in await hand.store.log(point, False, None, 99)]
        first = [one.id for one in await hand.store.log(point, True, None, 99)]
        assert every[:3] == [merge.id, ours.id, side.id]
        assert first == [id for id in every if id != side.id]
        assert later.id not in every
        assert merge.parents == (ours.id, side.id)
        assert await hand.store.count_history(point) == len(every)

    async def test_commits_that_two_gateways_made_are_in_one_order(self, hand: Hand, other: Hand) -> None:
        made = [await (hand, other)[number % 2].made(note(f"n{number}")) for number in range(5)]
        for one in (hand, other):
            log = await one.store.log(await one.at(), False, None, 5)
            assert [commit.id for commit in reversed(log)] == [commit.id for commit in made]


class TestLineage:
    async def test_a_merge_base_is_the_best_common_ancestor(self, hand: Hand) -> None:
        start = await hand.made(note("a"))
        await hand.fork("side")
        await hand.made(note("b"))
        await hand.made(note("c"), branch="side")
        assert await bases(hand, "main", "side") == [start.id]
        assert await bases(hand, "main", "main~1") == [start.id]
        merged = await hand.made(note("c"), merged=await hand.at("side"))
        assert await bases(hand, "main", "side") == [(await hand.at("side")).commit]
        await hand.made(note("d"), branch="side")
        assert await bases(hand, "side", "main") == [merged.parents[1]]

    async def test_crosswise_merges_have_two_bases_in_one_order(self, hand: Hand, other: Hand) -> None:
        await hand.fork("side")
        ours, theirs = await hand.made(note("a")), await hand.made(note("b"), branch="side")
        points = await hand.at(), await hand.at("side")
        await hand.made(note("b"), merged=points[1])
        await hand.made(note("a"), branch="side", merged=points[0])
        found = await bases(hand, "main", "side")
        assert set(found) == {ours.id, theirs.id}
        assert await bases(other, "main", "side") == found

    async def test_histories_of_their_own_have_no_base(self, hand: Hand) -> None:
        await hand.begin("alone")
        assert await bases(hand, "main", "alone") == []

    async def test_an_ancestor_is_reached_by_merges_too_unless_first_parents_are_asked_for(self, hand: Hand) -> None:
        await hand.fork("side")
        await hand.made(note("s"), branch="side")
        await hand.made(note("s"), merged=await hand.at("side"))
        main, side, start = await hand.at(), await hand.at("side"), await hand.at("main~1")
        is_ancestor = hand.store.is_ancestor
        assert [await is_ancestor(one, main) for one in (main, side, start)] == [True, True, True]
        assert [await is_ancestor(one, main, first_parent=True) for one in (main, side, start)] == [True, False, True]
        assert [await is_ancestor(main, one) for one in (side, start)] == [False, False]


class TestTimeTravel:
    async def test_an_ontology_is_read_as_it_was_at_every_point(self, hand: Hand) -> None:
        ontologies = [
            schema(NOTE, MEMO),
            schema(NOTE),
            schema(
                {**NOTE, "@documentation": {"@comment": "wéird"}},
                {"@type": "Enum", "@id": "Mood", "@value": ["b", "a"]},
            ),
            schema(
                {"@type": "@context", "@base": "https://example.org/data/", "@schema": "https://example.org/#"}, MEMO
            ),
            schema(NOTE, MEMO),
        ]
        for ontology in ontologies[1:]:
            await hand.made(ontology=ontology)
        for back, ontology in enumerate(reversed(ontologies)):
            point = await hand.at(f"main~{back}")
            assert await hand.store.read_ontology(point) == ontology.element_bodies()
            assert point.ontology_digest == ontology.digest
        assert await hand.store.read_ontology(await hand.at("main~5")) == {}

    async def test_a_document_is_read_as_it_was_under_its_own_ontology(self, hand: Hand, other: Hand) -> None:
        listed = {"@type": "Class", "@id": "Bag", "items": {"@type": "List", "@class": "xsd:string"}}
        await hand.made({"@type": "Bag", "@id": "Bag/1", "items": ["b", "a", "b"]}, ontology=schema(NOTE, listed))
        as_set = {**listed, "items": {"@type": "Set", "@class": "xsd:string"}, "size": OPTIONAL_TEXT}
        await hand.made(remove=["Bag/1"], ontology=schema(NOTE))
        await hand.made(note("a"))
        await hand.made(
            {"@type": "Bag", "@id": "Bag/2", "items": ["b", "a", "b"]}, ontology=schema(NOTE, {**as_set, "@id": "Bag"})
        )
        for one in (hand, other):
            then, now = await one.bodies("main~3", "Bag/1"), await one.bodies("main", "Bag/1", "Bag/2")
            assert then["Bag/1"]["items"] == ["b", "a", "b"]
            assert now == {"Bag/2": {"@id": "Bag/2", "@type": "Bag", "items": ["a", "b"]}}


class TestValues:
    async def test_every_value_comes_back_to_the_byte(self, hand: Hand, other: Hand) -> None:
        samples: dict[str, list[str]] = {
            "xsd:string": [
                '""',
                '"1.10"',
                '"0x1F"',
                '"true"',
                '"null"',
                '"a\\u0000b\\n"',
                '"𝄞 é"',
                '"terminusdb:///data/x"',
            ],
            "xsd:boolean": ["true", "false"],
            "xsd:integer": ["0", "-1", "9007199254740993", "18446744073709551616", "-" + "9" * 60],
            "xsd:decimal": ["0", "1.1", "-0.00000000000000000001", "12345678901234567890.12345678901234567891", "1e30"],
            "xsd:double": ["0.0", "1.0", "0.1", "1e+22", "-1.5e-300", "5e-324", "1.7976931348623157e+308"],
            "xsd:dateTime": [
                '"2026-11-20T10:00:00Z"',
                '"2026-11-20T10:00:00.123456Z"',
                '"2026-11-20T10:00:00.5+05:30"',
            ],
            "xsd:date": ['"2026-11-20"', '"2026-11-20+05:30"'],
            "xsd:duration": ['"P1Y2M3DT4H5M6.7S"', '"-P1D"'],
            "xsd:base64Binary": ['"AAEC"', '""'],
            "xsd:anyURI": ['"https://example.org/a?b=c#d"', '""'],
            "Mood": ['"good"', '"not so good"'],
            "Note": ['"Note/target"'],
        }
        mood = {"@type": "Enum", "@id": "Mood", "@value": ["good", "not so good"]}
        classes = [
            {
                "@type": "Class",
                "@id": f"Of{number}",
                "one": {"@type": "Optional", "@class": range_},
                "set": {"@type": "Set", "@class": range_},
                "list": {"@type": "List", "@class": range_},
            }
            for number, range_ in enumerate(samples)
        ]
        documents: list[dict[str, Any]] = [note("target")]
        for number, texts in enumerate(samples.values()):
            values = [orjson.Fragment(text) for text in texts]
            common = {"@type": f"Of{number}", "list": []}
            documents.append({**common, "@id": f"Of{number}/empty", "set": []})
            documents.append({**common, "@id": f"Of{number}/all", "set": values, "list": [*values, *reversed(values)]})
            documents += [{**common, "@id": f"Of{number}/{at}", "one": value} for at, value in enumerate(values)]
        ontology = schema(NOTE, MEMO, mood, *classes)
        edit = Edit(documents, ontology=ontology)
        stored = await hand.store.commit(DB, "main", edit.decide, request=None, weight=1)
        assert stored.draft is not None
        written = {write.id: (write.etag, write.body) for write in stored.draft.writes if write.id[0] != "@"}
        assert len(written) == len(documents)
        for one in (hand, other):
            point = await one.at()
            found = await one.store.read_many(point, list(written))
            assert {id: (version.etag, version.body) for id, version in found.items()} == written
            listed, _ = await one.store.list_documents(
                point, [f"Of{at}" for at in range(len(samples))], "", 999, 1 << 20
            )
            assert {two.id: (two.etag, two.body) for two in listed} == {
                id: value for id, value in written.items() if id != "Note/target"
            }

    async def test_ids_of_any_characters_are_kept_apart(self, hand: Hand) -> None:
        names = [
            "a%20b",
            "a/b",
            "a%2Fb",
            "A",
            "a",
            "é",
            "e\u0301",
            "a:b",
            "a?b#c",
            "a+b",
            "'",
            "$x",
            "1",
            "-",
        ]
        await hand.made(*(note(name, text=name) for name in names))
        found = await hand.bodies("main", *(f"Note/{name}" for name in names))
        assert {one["text"] for one in found.values()} == set(names)
        for name in names:
            _, version = await hand.store.read_at(DB, parse_ref("main"), f"Note/{name}")
            assert version is not None
            assert orjson.loads(version.body)["text"] == name
        await hand.made(remove=[f"Note/{name}" for name in names[:-1]])
        assert list(await hand.bodies("main", *(f"Note/{name}" for name in names))) == ["Note/-"]


class TestDatabases:
    async def test_databases_are_listed_by_name_and_keep_their_records(self, hand: Hand) -> None:
        made = [await make_database(hand.store, name) for name in ("b", "a-1", "a_2")]
        assert await hand.store.get_database("b") == made[0]
        assert [one.name for one in await hand.store.list_databases("", 99)] == ["a-1", "a_2", "b", DB]
        assert [one.name for one in await hand.store.list_databases("a-1", 2)] == ["a_2", "b"]
        with pytest.raises(DatabaseAlreadyExists):
            await make_database(hand.store, "b")

    async def test_a_record_changes_only_from_the_etag_that_was_expected(self, hand: Hand, other: Hand) -> None:
        first = await hand.store.get_database(DB)
        changed = replace(first, description="other", etag="e2")
        assert await other.store.update_database(changed, first.etag) == changed
        with pytest.raises(EtagMismatch):
            await hand.store.update_database(replace(first, description="lost", etag="e3"), first.etag)
        with pytest.raises(EtagMismatch):
            await hand.store.delete_database(DB, first.etag)
        assert await hand.store.get_database(DB) == changed

    async def test_a_deleted_database_is_not_found_by_any_call(self, hand: Hand, other: Hand) -> None:
        await hand.made(note("a"))
        point = await other.at()
        await hand.store.delete_database(DB, "")
        for one in (hand, other):
            store = one.store
            calls: list[Awaitable[object]] = [
                store.get_database(DB),
                store.resolve(DB, parse_ref("main")),
                store.read_at(DB, parse_ref("main"), "Note/a"),
                store.get_branch(DB, "main"),
                store.list_branches(DB, "", "", 9),
                store.delete_branch(DB, "main", ""),
                store.create_branch(DB, Branch("b", "", 1, 1), root_commit("b", 1), None),
                store.commit(DB, "main", Edit([note("b")]).decide, request=None, weight=1),
                store.delete_database(DB, ""),
            ]
            for call in calls:
                with pytest.raises(DatabaseNotFound):
                    await call
            assert await store.list_databases("", 9) == []
        with pytest.raises(KernelError):
            await other.store.read(point, "Note/a")

    async def test_a_database_made_anew_has_nothing_of_the_deleted_one(self, hand: Hand, other: Hand) -> None:
        old = await hand.made(note("a"))
        await hand.fork("side")
        await other.at()
        await hand.store.delete_database(DB, "")
        await make_database(hand.store)
        for one in (hand, other):
            assert [branch.name for branch in await one.store.list_branches(DB, "", "", 9)] == ["main"]
            assert await one.store.read_ontology(await one.at()) == {}
            assert await one.bodies("main", "Note/a") == {}
            with pytest.raises(CommitNotFound):
                await one.at(f"commit:{old.id}")
        await other.made(memo("m"), ontology=schema(MEMO))
        assert len(await hand.bodies("main", "Memo/m")) == 1


class TestHistory:
    async def test_every_commit_comes_once_as_it_was_stored_after_its_parents(self, hand: Hand, other: Hand) -> None:
        first = await hand.made(note("a", text="one"), note("b"))
        await hand.fork("side")
        side = await hand.made(note("s"), branch="side")
        second = await hand.made(note("a", text="two"), remove=["Note/b"])
        merge = await hand.made(note("s"), merged=await hand.at("side"))
        for one in (hand, other):
            point = await one.at()
            entries = [entry async for batch in one.store.history(point) for entry in batch]
            assert len(entries) == await one.store.count_history(point) == 6
            ids = [entry.commit.id for entry in entries]
            assert len(set(ids)) == 6
            for entry in entries:
                assert entry.point.commit == entry.commit.id
                assert entry.parents == entry.commit.parents
                assert all(parent in ids[: ids.index(entry.commit.id)] for parent in entry.parents)
            told = {entry.commit.id: entry for entry in entries}
            assert [told[made.id].commit for made in (first, side, second, merge)] == [first, side, second, merge]
            changes = {change.id: change for change in told[second.id].changes}
            before = {change.id: change.etag for change in told[first.id].changes}
            assert set(changes) == {"Note/a", "Note/b"}
            assert (changes["Note/b"].etag, changes["Note/b"].body) == (None, None)
            assert {id: change.before for id, change in changes.items()} == before
            new = changes["Note/a"]
            assert new.body is not None
            assert new.etag == document_hash(new.body).hex()
            assert orjson.loads(new.body)["text"] == "two"
            assert told[second.id].parent_digest == schema(NOTE, MEMO).digest
            elements = {change.id: change.body for change in told[first.parents[0]].changes}
            assert elements == schema(NOTE, MEMO).element_bodies()

    async def test_what_several_points_reach_comes_once_and_what_others_reach_is_left_out(self, hand: Hand) -> None:
        await hand.made(note("a"))
        start = await hand.at()
        await hand.fork("left")
        await hand.fork("right")
        left, right = await hand.made(note("l"), branch="left"), await hand.made(note("r"), branch="right")
        points = await hand.at("left"), await hand.at("right")
        for excluding, wanted in (
            ([], 5),
            ([start], 2),
            ([points[0]], 1),
            ([*points], 0),
        ):
            found = [entry async for batch in hand.store.history(*points, excluding=excluding) for entry in batch]
            assert len(found) == await hand.store.count_history(*points, excluding=excluding) == wanted
            assert len({entry.commit.id for entry in found}) == wanted
            assert {entry.commit.id for entry in found} >= {right.id} or not wanted
            assert (left.id in {entry.commit.id for entry in found}) == (points[0] not in excluding)


def rfc3339(microseconds: int) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    return moment.isoformat().replace("+00:00", "Z")


def cursor_of(commits: list[Commit]) -> tuple[int, str] | None:
    return (commits[-1].time, commits[-1].id) if commits else None


async def bases(hand: Hand, ours: str, theirs: str) -> list[str]:
    found = await hand.store.merge_bases(await hand.at(ours), await hand.at(theirs))
    return [point.commit for point in found]
