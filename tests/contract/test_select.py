"""The guarantees of `ports.Store` about queries: what they find, in which order, and how they are paged."""

from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest

from ontomesh_data_kernel.adapters.terminusdb import queries
from ontomesh_data_kernel.domain.ontology import Ontology
from ontomesh_data_kernel.domain.query import executing
from ontomesh_data_kernel.domain.query.evaluate import matches
from ontomesh_data_kernel.domain.query.language import compile_query
from ontomesh_data_kernel.domain.query.tree import Plan
from ontomesh_data_kernel.errors import InvalidPageToken, QueryTooCostly
from ontomesh_data_kernel.ports import Store
from tests.contract.drafts import Document, Hand, make_database, schema
from tests.contract.stores import StoreInUse

pytestmark = pytest.mark.usefixtures("store")

BYTES = 1 << 20


def optional(range_: str) -> dict[str, str]:
    return {"@type": "Optional", "@class": range_}


CLASSES: tuple[dict[str, Any], ...] = (
    {"@type": "Enum", "@id": "Kind", "@value": ["a-b", "a b/c", "é"]},
    {
        "@type": "Class",
        "@id": "Place",
        "@subdocument": [],
        "@key": {"@type": "Random"},
        "city": "xsd:string",
        "mirror": optional("Item"),
        "zip": optional("xsd:integer"),
    },
    {"@type": "Class", "@id": "Owner", "name": "xsd:string", "body": optional("xsd:string")},
    {
        "@type": "Class",
        "@id": "Item",
        "@metadata": {"ontomesh": {"indexed": ["rank", "place.zip", "day"], "dangling": ["see"]}},
        "name": optional("xsd:string"),
        "größe": optional("xsd:integer"),
        "price_2": optional("xsd:integer"),
        "price": optional("xsd:integer"),
        "code": optional("xsd:token"),
        "kind": optional("Kind"),
        "ok": optional("xsd:boolean"),
        "rank": optional("xsd:double"),
        "day": optional("xsd:date"),
        "at": optional("xsd:dateTime"),
        "tags": {"@type": "Set", "@class": "xsd:string"},
        "lines": {"@type": "List", "@class": "xsd:string"},
        "grid": {"@type": "Array", "@class": "xsd:string", "@dimensions": 2},
        "owner": optional("Owner"),
        "uses": {"@type": "Set", "@class": "Item"},
        "needs": {"@type": "List", "@class": "Item"},
        "see": {"@type": "Set", "@class": "Item"},
        "place": optional("Place"),
        "any": optional("sys:JSON"),
    },
    {"@type": "Class", "@id": "Special", "@inherits": "Item", "extra": optional("xsd:string")},
)


def item(key: str, cls: str = "Item", /, **rest: object) -> dict[str, object]:
    return {"@type": cls, "@id": f"{cls}/{key}", "lines": [], "needs": [], **rest}


DOCUMENTS: tuple[Document, ...] = (
    {"@type": "Owner", "@id": "Owner/ana", "name": "ana", "body": "a"},
    {"@type": "Owner", "@id": "Owner/ben", "name": "ben"},
    item("a", name="lib", größe=1, price_2=7, price=5, code="t7", kind="a-b", ok=True, rank=1.5, owner="Owner/ana"),
    item("b", name="lib*x", größe=-3, price_2=5, code="t7", kind="a b/c", ok=False, rank=-0.0, uses=["Item/a"]),
    item("c", name='say "hi"', price=7, kind="é", tags=["x", "y"], lines=["one", "two"], needs=["Item/a", "Item/b"]),
    item("d", name="1.10", tags=["y"], grid=[["p", "q"], ["r", "s"]], see=["Item/a", "Item/none"], day="2020-01-02"),
    item("e", name="libz", place={"@type": "Place", "city": "Bonn", "mirror": "Item/a", "zip": 53111}, rank=0.0),
    item("f", name="𝕏", any={"deep": [1]}, at="2020-01-01T00:00:00.5Z", day="2020-01-02+01:00", owner="Owner/ben"),
    item("g:h", name="", uses=["Item/c", "Special/s"], place={"@type": "Place", "city": "Oslo"}),
    item("s", "Special", name="lib", größe=1, extra="more", uses=["Item/a", "Item/c"], rank=12.25),
)

FOUND = {
    "": "a b c d e f g:h s",
    'name = "lib"': "a s",
    'name = "lib*"': "a b e s",
    r'name = "lib\*x"': "b",
    r'name = "say \"*"': "c",
    'name = "𝕏*"': "f",
    'name = "*"': "a b c d e f g:h s",
    'name in ("lib", "1.10", "𝕏", "none")': "a d f s",
    'name != "lib"': "b c d e f g:h",
    'name > "lib"': "b c e f",
    'name >= "lib" AND name < "libz"': "a b s",
    "größe = 1": "a s",
    "größe < 0": "b",
    "price = 5": "a",
    "price_2 = 5": "b",
    "price = 5 OR price_2 = 5": "a b",
    'code = "t7"': "a b",
    'kind = "a-b"': "a",
    'kind = "a b/c"': "b",
    'kind in ("é", "a-b")': "a c",
    "ok = false": "b",
    "ok:*": "a b",
    "rank = 0": "b e",
    "rank >= 0": "a b e s",
    "rank > 1.5": "s",
    "rank >= 0 AND rank < 2 AND rank <= 12": "a b e",
    "rank > 2 AND rank < 1": "",
    "rank = 0 AND rank > -1": "b e",
    'name = "lib*" AND name in ("lib", "libz") AND größe > 0 AND größe < 2': "a s",
    'uses.name = "l*" AND uses in ("Item/a", "Item/b")': "b s",
    'day = "2020-01-02"': "d",
    'day < "2020-01-02"': "f",
    'at > "2020-01-01T00:00:00Z"': "f",
    'tags = "y"': "c d",
    'tags = "x" AND NOT tags = "z"': "c",
    'lines = "two"': "c",
    'lines = "t*"': "c",
    'lines > "p"': "c",
    "lines:*": "c",
    'grid = "s"': "d",
    'grid = "z"': "",
    'owner = "Owner/ana"': "a",
    'owner.name = "ana"': "a",
    'owner.name = "b*"': "f",
    'owner.@type = "Owner"': "a f",
    'uses.owner.name = "ana"': "b s",
    'uses.uses.owner.name = "ana"': "g:h",
    'uses in ("Item/c", "Item/b")': "g:h s",
    'needs = "Item/b"': "c",
    'needs.code = "t7"': "c",
    "needs:*": "c",
    'see = "Item/none"': "d",
    'see.name = "lib"': "d",
    'place.city = "Bonn"': "e",
    'place.city in ("Bonn", "Oslo")': "e g:h",
    'place.city = "B*"': "e",
    "place.zip = 53111": "e",
    "place.zip > 1": "e",
    'place.mirror = "Item/a"': "e",
    'place.mirror.name = "lib"': "e",
    "place:*": "e g:h",
    "any:*": "f",
    '@id = "Item/g:h"': "g:h",
    '@id in ("Item/a", "Special/s", "Item/none")': "a s",
    '@type = "Special"': "s",
    'NOT (name = "lib" OR tags = "y")': "b e f g:h",
    'name = "lib" AND größe = 1 AND uses.tags = "x"': "s",
}
"""Filters, and the keys of the items that they find."""


@pytest.fixture
async def opened(store: StoreInUse, tmp_path: Path) -> AsyncIterator[Store]:
    made = await store.open(tmp_path / "kernel.db")
    yield made
    await made.close()


@pytest.fixture
async def hand(opened: Store) -> Hand:
    """A database with classes and documents."""
    await make_database(opened)
    made = Hand(opened)
    await made.made(*DOCUMENTS, ontology=schema(*CLASSES))
    return made


async def found(
    hand: Hand, filter_: str, order: str = "", *, type_: str = "Item", ref: str = "main", page: int = 1_000
) -> list[str]:
    """The keys of what a query finds, page by page, in its order."""
    point = await hand.at(ref)
    query = compile_query(Ontology.from_documents(await hand.store.read_ontology(point)), type_, False, filter_, order)
    keys: list[str] = []
    position = ""
    while True:
        part = await hand.store.select(point, query, position, page, BYTES)
        assert len(part.documents) <= page
        for document in part.documents:
            assert orjson.loads(document.body)["@id"] == document.id
            keys.append(document.id.partition("/")[2])
        position = part.position
        if not position:
            break
    assert await hand.store.count(point, query) == len(keys)
    return keys


async def plan(hand: Hand, filter_: str, order: str = "") -> Plan:
    point = await hand.at()
    query = compile_query(Ontology.from_documents(await hand.store.read_ontology(point)), "Item", False, filter_, order)
    return await hand.store.explain(point, query)


class TestFilters:
    async def test_a_filter_finds_exactly_what_matches(self, hand: Hand) -> None:
        answers = {filter_: sorted(await found(hand, filter_)) for filter_ in FOUND}
        assert answers == {filter_: sorted(keys.split()) for filter_, keys in FOUND.items()}

    async def test_documents_of_other_classes_and_elements_of_the_ontology_are_never_found(self, hand: Hand) -> None:
        assert await found(hand, 'body = "*"', type_="Owner") == ["ana"]
        assert sorted(await found(hand, "", type_="")) == sorted(
            str(document["@id"]).partition("/")[2] for document in DOCUMENTS
        )
        assert await found(hand, 'extra = "more"', type_="Special") == ["s"]

    async def test_a_query_finds_what_was_there_at_its_commit(self, hand: Hand) -> None:
        await hand.fork("other")
        await hand.made(item("a", name="new", größe=1), remove=["Item/e"])
        await hand.made(item("z", name="lib"), branch="other")
        assert sorted(await found(hand, 'name = "lib"')) == ["s"]
        assert sorted(await found(hand, 'name = "lib"', ref="main~1")) == ["a", "s"]
        assert sorted(await found(hand, 'name = "lib"', ref="other")) == ["a", "s", "z"]
        assert "e" not in await found(hand, "", "name")

    async def test_a_property_whose_type_changed_is_found_in_documents_of_either_type(self, hand: Hand) -> None:
        wider = [
            {**one, "price": optional("xsd:decimal"), "code": optional("xsd:string")} if one["@id"] == "Item" else one
            for one in CLASSES
        ]
        await hand.made(item("y", price=orjson.Fragment("5.0"), code="t7"), ontology=schema(*wider))
        await hand.made(item("z", price=orjson.Fragment("5.25"), code="t8"))
        assert sorted(await found(hand, "price = 5")) == ["a", "y"]
        assert sorted(await found(hand, "price > 5")) == ["c", "z"]
        assert sorted(await found(hand, 'code = "t*"')) == ["a", "b", "y", "z"]
        assert await found(hand, "price:*", "price desc, @id") == ["c", "z", "a", "y"]


class TestOrder:
    async def test_documents_come_in_the_order_asked_for_and_those_without_a_value_last(self, hand: Hand) -> None:
        assert (await found(hand, "", "größe, @id"))[:3] == ["b", "a", "s"]
        assert (await found(hand, "", "größe desc, @id desc"))[:3] == ["s", "a", "b"]
        assert (await found(hand, "", "rank desc, @id"))[:4] == ["s", "a", "b", "e"]
        assert (await found(hand, "", "kind, @id"))[:3] == ["b", "a", "c"]
        assert await found(hand, "name:*", "name, @id") == ["g:h", "d", "a", "s", "b", "e", "c", "f"]
        assert (await found(hand, "", "place.city desc"))[:2] == ["g:h", "e"]
        assert (await found(hand, "", "place.zip"))[:1] == ["e"]
        assert (await found(hand, "", "day"))[:2] == ["f", "d"]
        assert await found(hand, 'uses.name = "lib"', "@id desc") == ["s", "g:h", "b"]
        assert await found(hand, "", "@id") == ["a", "b", "c", "d", "e", "f", "g:h", "s"]


class TestPages:
    async def test_pages_of_any_size_make_the_whole(self, hand: Hand) -> None:
        for filter_, order in (("", ""), ("", "größe desc"), ('name = "lib*"', ""), ("NOT ok = true", "place.city")):
            whole = await found(hand, filter_, order)
            for size in (1, 3):
                assert await found(hand, filter_, order, page=size) == whole

    async def test_a_part_ends_once_its_bodies_are_large_enough_but_has_one(self, hand: Hand) -> None:
        point = await hand.at()
        query = compile_query(schema(*CLASSES), "Item", False, "", "name")
        assert len((await hand.store.select(point, query, "", 10, 1)).documents) == 1

    async def test_a_position_is_good_for_its_own_query_alone(self, hand: Hand) -> None:
        point = await hand.at()
        asked = [compile_query(schema(*CLASSES), "Item", False, text, "name") for text in ("", 'name = "lib*"')]
        part = await hand.store.select(point, asked[0], "", 1, BYTES)
        assert part.position
        assert part.position.isascii()
        for query, position in (
            (asked[1], part.position),
            (asked[0], "1"),
            (asked[0], part.position + "!"),
            (asked[0], part.position.rpartition(".")[0]),
            (asked[0], part.position[::-1]),
            (asked[0], part.position.replace(".", ".9", 1)),
        ):
            with pytest.raises(InvalidPageToken):
                await hand.store.select(point, query, position, 1, BYTES)


class TestLimits:
    async def test_more_documents_than_may_be_examined_are_refused(
        self, hand: Hand, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(executing, "MAX_SORTED", 3)
        monkeypatch.setattr(queries, "MAX_EXAMINED", 3)
        with pytest.raises(QueryTooCostly) as refused:
            await found(hand, "", "place.city")
        assert refused.value.metadata == {"limit": "3"}
        assert await found(hand, "place.zip = 53111", "place.city, @id") == ["e"]


class TestReferrers:
    async def test_links_to_a_document_are_told_by_id_and_path(self, hand: Hand) -> None:
        point = await hand.at()
        paths = [f"{cls}.{name}" for cls in ("Item", "Special") for name in ("uses", "needs", "see", "place.mirror")]
        expected = [
            ("Item/b", "Item.uses"),
            ("Item/c", "Item.needs"),
            ("Item/d", "Item.see"),
            ("Item/e", "Item.place.mirror"),
            ("Special/s", "Special.uses"),
        ]
        assert await hand.store.referrers(point, "Item/a", paths, "", 10) == expected
        assert await hand.store.referrers(point, "Item/a", paths, "", 2) == expected[:2]
        assert await hand.store.referrers(point, "Item/a", paths, "Item/c Item.needs", 2) == expected[2:4]
        assert await hand.store.referrers(point, "Item/a", ["Item.uses"], "", 10) == expected[:1]
        assert await hand.store.referrers(point, "Item/none", paths, "", 10) == [("Item/d", "Item.see")]
        assert await hand.store.referrers(point, "Item/f", paths, "", 10) == []


class TestExplain:
    async def test_a_plan_says_what_is_read_and_what_is_examined(self, hand: Hand, store: StoreInUse) -> None:
        assert (await plan(hand, "place.zip = 53111")).reads == 1
        assert (await plan(hand, 'NOT name = "lib"')).residual == 'name != "lib"'
        if store.kind == "terminusdb":
            made = await plan(hand, 'owner.name = "ana" AND code = "t7" AND größe < 9 AND place.city = "x"')
            assert (made.reads, made.residual) == (0, 'place.city = "x"')
            assert made.access[:2] == ("values Owner.name", "links Item.owner")
        assert (await plan(hand, "", "place.city")).sorts
        assert (await plan(hand, "")).access == ("class Item", "class Special")


VALUES: dict[str, Sequence[Any]] = {
    "xsd:string": ["", "a", "ab", "é", "𝕏", "\uffff", "1.10", "true", "a\tb", "a\\Eb", "$x", "@schema:Item"],
    "xsd:token": ["a", "a b", "7"],
    "xsd:normalizedString": ["a  b", ""],
    "xsd:language": ["de", "de-AT"],
    "xsd:NCName": ["a", "a.b"],
    "xsd:anyURI": ["http://x/1?q#f", "http://x/2", "a"],
    "xsd:base64Binary": ["AQI=", "AAAA"],
    "xsd:hexBinary": ["01", "FF"],
    "xsd:boolean": [True, False],
    "xsd:integer": [0, -1, 7, 10**30, -(10**30)],
    "xsd:byte": [-128, 0, 127],
    "xsd:long": [-(2**63), 5, 2**63 - 1],
    "xsd:unsignedLong": [0, 2**64 - 1],
    "xsd:decimal": [Decimal("0.1"), Decimal("-1.5"), Decimal("12345678901234567890.5"), Decimal(2), Decimal("0.10001")],
    "xsd:double": [0.0, -0.0, 1.5, 1e300, -2.5e-10],
    "xsd:float": [0.0, 0.1, 16777216.0],
    "xsd:dateTime": ["2020-01-01T00:00:00Z", "2020-01-01T00:00:00.25Z", "2019-12-31T23:59:59.999Z"],
    "xsd:dateTimeStamp": ["2020-01-01T01:00:00+01:00", "2020-01-01T00:00:01Z"],
    "xsd:date": ["2020-01-01", "2020-01-01+02:00", "2020-01-01Z"],
    "xsd:time": ["10:00:00", "10:00:00.5", "10:00:00Z"],
    "xsd:gYearMonth": ["2020-01", "2020-02"],
    "xsd:duration": ["P1D", "PT24H", "-P1D", "P1M"],
}
UNORDERED = ("xsd:boolean", "xsd:base64Binary", "xsd:hexBinary")


def written(value: Any) -> str:
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("*", "\\*")
        return f'"{escaped}"'
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


@pytest.mark.live
@pytest.mark.parametrize("indexed", [False, True], ids=["plain", "indexed"])
async def test_every_comparison_of_every_type_finds_what_an_evaluator_finds(opened: Store, indexed: bool) -> None:
    await make_database(opened)
    hand = Hand(opened)
    names = {type_: f"p{number}" for number, type_ in enumerate(VALUES)}
    properties = {name: {"@type": "Set", "@class": type_} for type_, name in names.items()}
    inner = {"@type": "Class", "@id": "In", "@subdocument": [], "@key": {"@type": "Random"}, **properties}
    paths = [*names.values(), *(f"in.{name}" for name in names.values())] if indexed else []
    outer = {"@type": "Class", "@id": "C", "@metadata": {"ontomesh": {"indexed": paths}}, **properties}
    ontology = schema(inner, {**outer, "in": optional("In")})
    documents: list[Document] = [{"@type": "C", "@id": "C/none"}]
    for type_, values in VALUES.items():
        for number, value in enumerate(values):
            said = orjson.Fragment(str(value)) if type(value) in (int, Decimal) else value
            held = {names[type_]: [said]}
            documents.append({"@type": "C", "@id": f"C/{names[type_]}-{number}", **held})
            documents.append({"@type": "C", "@id": f"C/in-{names[type_]}-{number}", "in": {"@type": "In", **held}})
    await hand.made(*documents, ontology=ontology)
    point = await hand.at()
    ids = [str(document["@id"]) for document in documents]
    stored = {id: version.body for id, version in (await opened.read_many(point, ids)).items()}
    for type_, values in VALUES.items():
        operators = ("=",) if type_ in UNORDERED else ("=", "<", ">=")
        texts = [f"{operator} {written(value)}" for operator in operators for value in values]
        texts += [f"in ({', '.join(written(value) for value in values[:2])})"]
        for path in (names[type_], f"in.{names[type_]}"):
            for text in texts:
                query = compile_query(ontology, "C", False, f"{path} {text}", "")
                assert query.where is not None
                where = query.where
                expected = {id for id, body in stored.items() if matches(where, body, stored.get)}
                part = await opened.select(point, query, "", 1_000, BYTES)
                assert {document.id for document in part.documents} == expected, (type_, path, text)
                assert await opened.count(point, query) == len(expected), (type_, path, text)
