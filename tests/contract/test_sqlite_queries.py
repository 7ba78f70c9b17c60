"""How the SQLite store serves queries: which index it reads, and that every way finds the same at every commit."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from ontomesh_data_kernel.adapters.opening import OpenStore
from ontomesh_data_kernel.adapters.sqlite import lineage, overlay
from ontomesh_data_kernel.domain.ontology import Ontology
from ontomesh_data_kernel.domain.query import executing, sources
from ontomesh_data_kernel.domain.query.language import compile_query
from ontomesh_data_kernel.domain.query.sorting import sort_key
from ontomesh_data_kernel.domain.query.tree import Plan, Query
from ontomesh_data_kernel.errors import CommitNotFound, InvalidPageToken, QueryTooCostly
from ontomesh_data_kernel.ports import Holder, Needs, Store
from tests.contract.drafts import DB, Document, Hand, make_database, schema
from tests.contract.stores import StoreInUse

pytestmark = [pytest.mark.usefixtures("store"), pytest.mark.sqlite]

MAX_BYTES = 1 << 20
DEPTH = 30


def optional(range_: str) -> dict[str, str]:
    return {"@type": "Optional", "@class": range_}


def package(*indexed: str) -> dict[str, Any]:
    return {
        "@type": "Class",
        "@id": "Package",
        "@metadata": {"ontomesh": {"indexed": list(indexed)}},
        "name": "xsd:string",
        "size": optional("xsd:integer"),
        "license": optional("xsd:string"),
        "tags": {"@type": "Set", "@class": "xsd:string"},
        "requires": {"@type": "Set", "@class": "Package"},
    }


DEB: dict[str, Any] = {"@type": "Class", "@id": "Deb", "@inherits": "Package"}


def named(name: str, cls: str = "Package", **rest: object) -> dict[str, object]:
    return {"@type": cls, "@id": f"{cls}/{name}", "name": name, **rest}


@pytest.fixture
async def opened(store: StoreInUse, tmp_path: Path) -> AsyncIterator[OpenStore]:
    made = await store.open(tmp_path / "kernel.db")
    yield made
    await made.close()


@pytest.fixture
async def hand(opened: OpenStore) -> Hand:
    """A database for packages, indexed by license, size and tags."""
    await make_database(opened)
    made = Hand(opened)
    await made.made(ontology=schema(package("license", "size", "tags"), DEB))
    return made


class Asking:
    """Queries of one hand's database, through its store or another process's."""

    def __init__(self, hand: Hand, store: Store | None = None) -> None:
        self._hand = hand
        self._store = store or hand.store

    async def compiled(
        self, filter: str, order_by: str = "", ref: str = "main", type: str = "Package", *, exact: bool = False
    ) -> Query:
        ontology = Ontology.from_documents(await self._store.read_ontology(await self._hand.at(ref)))
        return compile_query(ontology, type, exact, filter, order_by)

    async def all(self, filter: str, order_by: str = "", ref: str = "main", size: int = 2, **rest: Any) -> list[str]:
        """The names of what is found, page by page; as many as are counted."""
        query, point = await self.compiled(filter, order_by, ref, **rest), await self._hand.at(ref)
        found: list[str] = []
        position = ""
        while True:
            part = await self._store.select(point, query, position, size, MAX_BYTES)
            found += [one.id.partition("/")[2] for one in part.documents]
            position = part.position
            if not position:
                assert await self._store.count(point, query) == len(found)
                return found

    async def plan(self, filter: str, order_by: str = "", ref: str = "main") -> Plan:
        return await self._store.explain(await self._hand.at(ref), await self.compiled(filter, order_by, ref))


@pytest.fixture
async def asking(hand: Hand) -> Asking:
    """Some packages that require each other."""
    await hand.made(
        named("a", size=3, license="MIT", tags=["x", "y"]),
        named("b", size=1, license="GPL", tags=["y", "z"]),
        named("c", "Deb", license="MIT"),
        named("d", size=2, tags=["x"]),
        named("e", size=-1, license="MIT"),
    )
    await hand.made(
        named("b", size=1, license="GPL", tags=["y", "z"], requires=["Package/a", "Deb/c"]),
        named("d", size=2, tags=["x"], requires=["Package/b", "Package/e"]),
        named("e", size=-1, license="MIT", requires=["Package/b"]),
    )
    return Asking(hand)


async def test_an_index_serves_equality_lists_prefixes_and_ranges(asking: Asking) -> None:
    assert sorted(await asking.all('license = "MIT"')) == ["a", "c", "e"]
    assert sorted(await asking.all('license in ("MIT", "GPL")')) == ["a", "b", "c", "e"]
    assert sorted(await asking.all("size > 1")) == ["a", "d"]
    assert sorted(await asking.all("size >= -1 AND size < 2")) == ["b", "e"]
    assert sorted(await asking.all('license = "M*"')) == ["a", "c", "e"]
    assert (await asking.plan('license = "MIT"')).access == ("index Deb.license", "index Package.license")
    assert (await asking.plan('license = "MIT"')).residual == ""
    assert (await asking.plan('license = "MIT" AND name = "a"')).residual == 'name = "a"'


async def test_a_path_without_an_index_is_examined(asking: Asking) -> None:
    assert await asking.all('name = "a"') == ["a"]
    assert (await asking.plan('name = "a"')).access == ("class Deb", "class Package")


async def test_a_document_with_several_values_comes_once(asking: Asking) -> None:
    assert sorted(await asking.all('tags >= "x"', size=1)) == ["a", "b", "d"]
    assert sorted(await asking.all('tags in ("x", "y", "z")', size=1)) == ["a", "b", "d"]
    assert sorted(await asking.all("tags:*", size=1)) == ["a", "b", "d"]


async def test_an_index_orders_without_sorting_and_what_lacks_a_value_comes_last(asking: Asking) -> None:
    for size in (1, 2, 5):
        assert await asking.all("", "size", size=size) == ["e", "b", "d", "a", "c"]
        assert await asking.all("", "size desc", size=size) == ["a", "d", "b", "e", "c"]
    assert not (await asking.plan("", "size")).sorts
    assert await asking.all("size > 0", "size desc") == ["a", "d", "b"]


async def test_fields_after_the_first_order_what_is_equal_by_it(asking: Asking) -> None:
    for size in (1, 2, 5):
        assert await asking.all("", "license, name desc", size=size) == ["b", "e", "c", "a", "d"]
        assert await asking.all("", "license desc, size", size=size) == ["e", "a", "c", "b", "d"]
        assert await asking.all("", "name desc", size=size) == ["e", "d", "c", "b", "a"]
    assert (await asking.plan("", "name desc")).sorts


async def test_a_path_through_links_is_read_backwards(asking: Asking) -> None:
    assert sorted(await asking.all('requires.license = "MIT"', size=1)) == ["b", "d"]
    assert sorted(await asking.all('requires.requires.license = "MIT"', size=1)) == ["d", "e"]
    assert sorted(await asking.all('requires.license in ("MIT", "GPL")', size=1)) == ["b", "d", "e"]
    assert sorted(await asking.all("requires.size > 0", size=1)) == ["b", "d", "e"]
    assert sorted(await asking.all('requires = "Package/b"')) == ["d", "e"]
    assert sorted(await asking.all('NOT requires.license = "MIT"')) == ["a", "c", "e"]
    assert "links Package.requires" in (await asking.plan('requires.license = "MIT"')).access


async def test_a_path_that_leads_to_too_many_is_examined_forwards(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "MAX_TARGETS", 0)
    assert sorted(await asking.all("requires.size > 0", size=1)) == ["b", "d", "e"]
    assert (await asking.plan("requires.size > 0")).access == ("class Deb", "class Package")


async def test_parts_of_a_filter_that_all_have_an_index_are_merged(asking: Asking) -> None:
    assert sorted(await asking.all('license = "GPL" OR tags = "x" OR requires = "Package/b"', size=1)) == list("abde")
    plan = await asking.plan('license = "GPL" OR tags = "x"')
    assert set(plan.access) == {f"index {cls}.{name}" for cls in ("Deb", "Package") for name in ("license", "tags")}


async def test_classes_are_those_asked_for(asking: Asking) -> None:
    assert await asking.all('license = "MIT"', type="Deb") == ["c"]
    assert sorted(await asking.all('license = "MIT"', exact=True)) == ["a", "e"]
    assert await asking.all('@type = "Deb"') == ["c"]
    assert (await asking.plan('@type = "Deb"')).access == ("class Deb",)


async def test_a_query_reads_the_commit_asked_for(asking: Asking, hand: Hand) -> None:
    await hand.fork("side")
    await hand.made(named("a", size=9, license="GPL"), branch="side", remove=["Package/e"], reading=["Package/d"])
    await hand.made(named("f", license="MIT"))
    assert await asking.all('license = "MIT"', ref="side") == ["c"]
    assert sorted(await asking.all('license = "MIT"')) == ["a", "c", "e", "f"]
    assert sorted(await asking.all('license = "MIT"', ref="main~1")) == ["a", "c", "e"]
    assert sorted(await asking.all('license = "MIT"', ref="side~1")) == ["a", "c", "e"]


async def test_an_index_is_used_from_the_commit_that_declares_it(hand: Hand) -> None:
    asking = Asking(hand)
    await hand.made(named("a", size=1), ontology=schema(package(), DEB))
    assert (await asking.plan("size = 1")).access == ("class Deb", "class Package")
    await hand.made(named("a", size=1), named("b", size=1), ontology=schema(package("size"), DEB))
    assert (await asking.plan("size = 1")).access == ("index Deb.size", "index Package.size")
    assert sorted(await asking.all("size = 1")) == ["a", "b"]
    assert await asking.all("size = 1", ref="main~1") == ["a"]


async def test_a_long_value_is_told_from_those_that_begin_alike(hand: Hand) -> None:
    asking = Asking(hand)
    long = "x" * 300
    await hand.made(named("a", license=long + "1"), named("b", license=long + "2"), named("c", license=long))
    assert await asking.all(f'license = "{long}1"') == ["a"]
    assert sorted(await asking.all(f'license > "{long}"')) == ["a", "b"]
    assert sorted(await asking.all(f'license = "{long}*"')) == ["a", "b", "c"]
    assert await asking.all(f'license <= "{long}"') == ["c"]


@pytest.mark.parametrize("position", ["x", "x.u0.0", "\0", "9" * 4_000])
async def test_a_position_that_is_none_is_refused(asking: Asking, hand: Hand, position: str) -> None:
    query, point = await asking.compiled('license = "MIT"'), await hand.at()
    with pytest.raises(InvalidPageToken):
        await hand.store.select(point, query, position, 10, MAX_BYTES)


@pytest.mark.parametrize(
    ("filter", "order_by"), [('license = "MIT"', ""), ("size > 0", "size"), ("", "name"), ("", "license, name")]
)
async def test_a_forged_position_is_refused(asking: Asking, hand: Hand, filter: str, order_by: str) -> None:
    point, query = await hand.at(), await asking.compiled(filter, order_by)
    position = (await hand.store.select(point, query, "", 1, MAX_BYTES)).position
    check, *parts = position.split(".")
    for forged in (
        [check, *parts[:-1]],
        [check, *parts, "1"],
        [check, *parts[:-1], "9" * 19],
        [check, *parts[:-1], "~*"],
        [check, "u9", *parts[1:]],
        [check, parts[0], "2", *parts[2:]],
    ):
        with pytest.raises(InvalidPageToken):
            await hand.store.select(point, query, ".".join(forged), 10, MAX_BYTES)
    with pytest.raises(InvalidPageToken):
        await hand.store.select(point, await asking.compiled('license = "GPL"'), position, 10, MAX_BYTES)


async def test_sorting_more_than_the_limit_is_refused(
    asking: Asking, hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executing, "MAX_SORTED", 4)
    point = await hand.at()
    with pytest.raises(QueryTooCostly) as refused:
        await hand.store.select(point, await asking.compiled("", "name"), "", 10, MAX_BYTES)
    assert refused.value.metadata == {"limit": "4"}
    assert await asking.all('license = "MIT"', "name") == ["a", "c", "e"]


async def test_work_in_slices_finds_the_same(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executing, "SLICE", 1)
    monkeypatch.setattr(executing, "_BATCH", 1)
    assert await asking.all('name = "e"') == ["e"]
    assert sorted(await asking.all('tags >= "x" AND NOT name = "a"')) == ["b", "d"]
    assert await asking.all('NOT name = "e"', "license, name desc") == ["b", "c", "a", "d"]
    assert sorted(await asking.all('requires.license = "MIT" AND size > 0')) == ["b", "d"]


async def test_a_decision_is_told_who_has_a_value(asking: Asking, hand: Hand) -> None:
    asked = [
        Holder(("Package.license", "Deb.license"), sort_key("xsd:string", "MIT"), "MIT"),
        Holder(("Package.size",), sort_key("xsd:integer", 7), 7),
    ]
    holders = (await hand.facts(Needs(holders=asked))).holders
    assert [sorted(ids) for ids in holders] == [["Deb/c", "Package/a", "Package/e"], []]


@pytest.mark.parametrize(
    ("most_rows", "most_nodes", "on_loop"),
    [(20_000, 250_000, 500), (1, 250_000, 500), (20_000, 5, 500), (20_000, 99, 1)],
)
async def test_a_deep_branch_reads_what_each_of_its_lineages_changed(
    store: StoreInUse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most_rows: int, most_nodes: int, on_loop: int
) -> None:
    monkeypatch.setattr(overlay, "MAX_ROWS", most_rows)
    monkeypatch.setattr(overlay, "MAX_NODES", most_nodes)
    monkeypatch.setattr(lineage, "_ROWS_ON_LOOP", on_loop)
    opened = await store.open(tmp_path / "kernel.db")
    await make_database(opened)
    hand = Hand(opened)
    await hand.made(ontology=schema(package("license", "size", "tags"), DEB))
    await hand.made(named("a", size=3), named("b", size=1), named("c", size=2))
    below = "main"
    for depth in range(DEPTH):
        await hand.fork(f"b{depth}", below)
        below = f"b{depth}"
        await hand.made(named(f"n{depth}", size=100 + depth), named("a", size=depth), branch=below)
    other = await store.open(tmp_path / "kernel.db")
    try:
        for one in (Asking(hand), Asking(hand, other)):
            assert await one.all("size >= 100", "size", ref=below) == [f"n{depth}" for depth in range(DEPTH)]
            assert await one.all("size >= 100", "size", ref="b3") == [f"n{depth}" for depth in range(4)]
            assert await one.all(f"size = {DEPTH - 1}", ref=below) == ["a"]
            assert await one.all("size = 5", ref=below) == []
            assert await one.all("size = 5", ref="b5") == ["a"]
        # What one process learnt, the other's commits extend.
        for round_ in range(3):
            await hand.made(named("a", size=200 + round_), branch=below)
            assert await Asking(hand, other).all(f"size = {200 + round_}", ref=below) == ["a"]
            found = await other.read(await hand.at(below), "Package/a")
            assert found is not None
            assert orjson.loads(found.body)["size"] == 200 + round_
    finally:
        await other.close()
        await opened.close()


async def test_what_a_failed_commit_wrote_is_never_seen(asking: Asking, hand: Hand) -> None:
    await hand.fork("side")
    await hand.made(named("a", size=7), branch="side")
    await hand.fork("deep", "side")
    await hand.made(named("b", size=7), branch="deep")

    def fail(bodies: Mapping[str, Any]) -> Sequence[Document]:
        raise ZeroDivisionError

    async def refused(number: int) -> None:
        with pytest.raises(ZeroDivisionError):
            await hand.made(named("e", size=number), branch="deep", change=fail)

    await asyncio.gather(*(refused(number) for number in range(5)), asking.all("size = 7", ref="deep"))
    await hand.made(named("d", size=7), branch="deep")
    assert sorted(await asking.all("size = 7", ref="deep")) == ["a", "b", "d"]
    assert sorted(await asking.all("size = 7", ref="deep~1")) == ["a", "b"]
    assert (await hand.bodies("deep", "Package/e"))["Package/e"]["size"] == -1


async def test_a_deleted_databases_queries_are_refused(asking: Asking, hand: Hand) -> None:
    query, point = await asking.compiled("size > 0"), await hand.at()
    await hand.store.delete_database(DB, "")
    with pytest.raises(CommitNotFound):
        await hand.store.select(point, query, "", 10, MAX_BYTES)


@pytest.mark.parametrize("filter", ["at > 1", "at:*", "count > 9", "count > 9 AND NOT at = 7"])
async def test_numbers_beyond_a_doubles_digits_are_found_on_every_page(hand: Hand, filter: str) -> None:
    """By the exact keys of its values, a document with several is told to come for the first time."""
    numbers = {"at": {"@type": "Set", "@class": "xsd:decimal"}, "count": {"@type": "Set", "@class": "xsd:integer"}}
    notes = {"ontomesh": {"indexed": ["at", "count"]}}
    places = schema({"@type": "Class", "@id": "Place", "@metadata": notes, "name": "xsd:string", **numbers})
    await hand.made(
        *(
            named(
                str(one),
                "Place",
                at=[orjson.Fragment(f"1234567890123456789{one}.5"), 0.1],
                count=[orjson.Fragment(f"1234567890123456789012{one}"), 5],
            )
            for one in range(5)
        ),
        ontology=places,
    )
    assert sorted(await Asking(hand).all(filter, type="Place")) == ["0", "1", "2", "3", "4"]
