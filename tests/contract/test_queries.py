"""Queries, links and traversals over the real server, at both doors alike, and what the SDK makes of them."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import pytest_asyncio
from google.protobuf.json_format import MessageToDict
from grpc import aio

from ontomesh.kernel.v1 import query_service_pb2
from ontomesh.sdk import connect
from ontomesh.sdk.database import AsyncDatabase
from ontomesh.sdk.resources import Referrer
from tests.contract import calls
from tests.contract.calls import Call
from tests.contract.doors import DOORS, DoorName, Doors, doors_of
from tests.contract.serving import Serving, serving

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("contract-queries"),
]

DB = "catalog"
LINKS: dict[str, Any] = {"@type": "Set", "@class": "Package"}
SCHEMA: list[dict[str, Any]] = [
    {"@type": "Class", "@id": "Thing", "@abstract": [], "name": "xsd:string"},
    {"@type": "Class", "@id": "License", "@inherits": "Thing", "@key": {"@type": "Lexical", "@fields": ["name"]}},
    {
        "@type": "Class",
        "@id": "Place",
        "@subdocument": [],
        "@key": {"@type": "Random"},
        "city": "xsd:string",
        "mirror": {"@type": "Optional", "@class": "Package"},
    },
    {
        "@type": "Class",
        "@id": "Package",
        "@inherits": "Thing",
        "@key": {"@type": "Lexical", "@fields": ["name"]},
        "@metadata": {"ontomesh": {"indexed": ["downloads"], "dangling": ["suggests"]}},
        "downloads": {"@type": "Optional", "@class": "xsd:integer"},
        "weight": {"@type": "Optional", "@class": "xsd:double"},
        "price": {"@type": "Optional", "@class": "xsd:decimal"},
        "license": {"@type": "Optional", "@class": "License"},
        "requires": LINKS,
        "suggests": LINKS,
        "place": {"@type": "Optional", "@class": "Place"},
    },
    {"@type": "Class", "@id": "App", "@inherits": "Package", "@key": {"@type": "Lexical", "@fields": ["name"]}},
]


def package(name: str, *requires: str, type: str = "Package", **rest: Any) -> dict[str, Any]:
    return {"@type": type, "name": name, "requires": [f"Package/{each}" for each in requires], **rest}


DOCUMENTS = [
    {"@type": "License", "name": "MIT"},
    {"@type": "License", "name": "BSD"},
    package(
        "a",
        "b",
        "c",
        downloads=30,
        license="License/MIT",
        place={"@type": "Place", "city": "Aa", "mirror": "Package/d"},
    ),
    package("b", "c", downloads=10, license="License/BSD", weight=1.0),
    package("c", "d", downloads=20, license="License/MIT", suggests=["Package/nowhere", "Package/e"]),
    package("d", "a", license="License/BSD"),
    package("e"),
    package("x", "a", type="App", downloads=40, license="License/MIT"),
]


@dataclass
class Scene:
    """A served catalog: its doors, its SDK, and what streams are read with."""

    kernel: Serving
    doors: Doors
    database: AsyncDatabase
    channel: aio.Channel
    http: httpx.AsyncClient

    async def ask(self, door: DoorName, call: Call) -> dict[str, Any]:
        """The answer to a call, in the one form that both doors share."""
        if door == "http":
            return await self.doors.read(call)
        method = call.method.partition("/")[2]
        answer = getattr(query_service_pb2, f"{method}Response")
        return plain(await self.doors.ask(call, answer))

    async def stream(self, door: DoorName, call: Call) -> list[dict[str, Any]]:
        """The answers to a call that streams."""
        token = f"Bearer {self.kernel.token()}"
        if door == "http":
            assert call.http is not None
            answer = await self.http.get(call.http.url, headers={"authorization": token})
            assert answer.headers["content-type"] == "application/x-ndjson"
            return [json.loads(line) for line in answer.text.splitlines()]
        method = call.method.partition("/")[2]
        read = getattr(query_service_pb2, f"{method}Response").FromString
        stub: Any = self.channel.unary_stream(call.path, response_deserializer=read)
        return [plain(each) async for each in stub(call.payload, metadata=(("authorization", token),), timeout=20)]


def plain(message: Any) -> dict[str, Any]:
    """A message as the HTTP door would tell it."""
    told: dict[str, Any] = MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    for name in ("documents", "included"):
        for shown, document in zip(told.get(name, ()), getattr(message, name, ()), strict=True):
            shown["body"] = json.loads(document.body)
    if "count" in told:
        told["count"] = int(told["count"])
    return told


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    home = tmp_path_factory.mktemp("queries")
    async with (
        serving(home) as kernel,
        doors_of(kernel) as doors,
        connect(kernel.grpc, token=kernel.token(), home=home) as mesh,
        aio.insecure_channel(kernel.grpc) as channel,
        httpx.AsyncClient(base_url=kernel.http, timeout=20) as http,
    ):
        await mesh.databases.create(DB)
        database = mesh.database(DB)
        await database.apply_ontology(SCHEMA)
        await database.insert(*DOCUMENTS, message="first")
        yield Scene(kernel, doors, database, channel, http)


@pytest.fixture(params=DOORS)
def door(request: pytest.FixtureRequest) -> DoorName:
    name: DoorName = request.param
    return name


def ids(answer: Mapping[str, Any], of: str = "documents") -> list[str]:
    return [each["id"] for each in answer[of]]


class TestQuery:
    @pytest.mark.parametrize(
        ("type", "filter", "found"),
        [
            ("Package", "", "abcdex"),
            ("Package", 'license.name = "MIT"', "acx"),
            ("Package", "license = 'License/BSD' AND downloads >= 10", "b"),
            ("Package", "downloads > 10 downloads <= 30", "ac"),
            ("Package", 'requires.license.name = "BSD"', "ac"),
            ("Package", 'name in ("a", "e")', "ae"),
            ("Package", "NOT downloads:*", "de"),
            ("Package", 'place.city = "A*"', "a"),
            ("Package", 'place.mirror.name = "d"', "a"),
            ("Package", 'requires = "Package/a"', "dx"),
            ("Package", '@type = "App"', "x"),
            ("App", "downloads = 40", "x"),
            ("Thing", 'name = "MIT" OR name = "e"', ["License/MIT", "Package/e"]),
        ],
    )
    async def test_a_filter_finds_what_it_says(
        self, scene: Scene, door: DoorName, type: str, filter: str, found: Sequence[str]
    ) -> None:
        answer = await scene.ask(door, calls.query_documents(DB, type, filter))
        expected = (
            [f"{'App' if name == 'x' else 'Package'}/{name}" for name in found] if isinstance(found, str) else found
        )
        assert sorted(ids(answer)) == sorted(expected)
        assert answer["next_page_token"] == ""
        counted = await scene.ask(door, calls.count_documents(DB, type, filter))
        assert counted == {"count": len(expected), "commit": answer["commit"]}
        (streamed,) = await scene.stream(door, calls.stream_query(DB, type, filter))
        assert streamed == answer

    async def test_the_class_alone_leaves_out_its_subclasses(self, scene: Scene, door: DoorName) -> None:
        answer = await scene.ask(door, calls.query_documents(DB, "Package", exact_type=True))
        assert sorted(ids(answer)) == [f"Package/{name}" for name in "abcde"]

    async def test_an_order_puts_documents_without_the_value_last(self, scene: Scene, door: DoorName) -> None:
        for order, expected in (("downloads, name", "bcaxde"), ("downloads desc, name desc", "xacbed")):
            answer = await scene.ask(door, calls.query_documents(DB, "Package", order_by=order))
            assert [each["body"]["name"] for each in answer["documents"]] == list(expected)

    async def test_fields_cut_bodies_and_nothing_else(self, scene: Scene, door: DoorName) -> None:
        whole = await scene.ask(door, calls.query_documents(DB, "Package", 'name = "b"'))
        fields = ["weight", "place.city"]
        (cut,) = (await scene.ask(door, calls.query_documents(DB, "Package", 'name = "b"', fields=fields)))["documents"]
        assert cut["body"] == {"@id": "Package/b", "@type": "Package", "weight": 1.0}
        assert cut["etag"] == whole["documents"][0]["etag"]
        (inner,) = (await scene.ask(door, calls.query_documents(DB, "Package", 'name = "a"', fields=fields)))[
            "documents"
        ]
        assert inner["body"]["place"] == {"@type": "Place", "city": "Aa"}

    async def test_a_double_that_is_kept_by_fields_stays_one(self, scene: Scene) -> None:
        (found,) = [each async for each in scene.database.query("Package", filter='name = "b"', fields="weight")]
        assert found.body == b'{"@id":"Package/b","@type":"Package","weight":1.0}'

    async def test_pages_are_of_one_commit_and_leave_nothing_out(self, scene: Scene, door: DoorName) -> None:
        for order in ("", "downloads desc"):
            first = calls.query_documents(DB, "Package", order_by=order, page_size=2)
            answer = await scene.ask(door, first)
            found, commit = ids(answer), answer["commit"]
            extra = await scene.database.insert({"@type": "Package", "name": "later", "downloads": 25})
            try:
                while token := answer["next_page_token"]:
                    call = calls.query_documents(DB, "Package", order_by=order, page_size=2, page_token=token)
                    answer = await scene.ask(door, call)
                    assert answer["commit"] == commit
                    found += ids(answer)
            finally:
                await scene.database.delete(extra.ids[0])
            assert sorted(found) == ["App/x", *(f"Package/{name}" for name in "abcde")]

    async def test_a_query_reads_the_past_and_other_branches(self, scene: Scene, door: DoorName) -> None:
        await scene.database.create_branch("trial")
        try:
            await scene.database.update("Package/e", {"downloads": 99}, branch="trial")
            top = calls.query_documents(DB, "Package", "downloads > 50", ref="trial")
            assert ids(await scene.ask(door, top)) == ["Package/e"]
            before = calls.query_documents(DB, "Package", "downloads > 50", ref="trial~1")
            assert ids(await scene.ask(door, before)) == []
        finally:
            await scene.database.delete_branch("trial")

    async def test_a_stream_stops_at_its_limit_and_goes_on_by_its_token(self, scene: Scene, door: DoorName) -> None:
        (first,) = await scene.stream(door, calls.stream_query(DB, "Package", order_by="name", limit=4))
        assert len(first["documents"]) == 4
        token = first["next_page_token"]
        (rest,) = await scene.stream(door, calls.stream_query(DB, "Package", order_by="name", page_token=token))
        assert [each["body"]["name"] for each in [*first["documents"], *rest["documents"]]] == list("abcdex")
        page = await scene.ask(door, calls.query_documents(DB, "Package", order_by="name", page_token=token))
        assert page == rest

    async def test_nothing_found_is_one_empty_batch(self, scene: Scene, door: DoorName) -> None:
        (only,) = await scene.stream(door, calls.stream_query(DB, "Package", 'name = "none"'))
        assert (only["documents"], only["next_page_token"], len(only["commit"])) == ([], "", 64)

    @pytest.mark.sqlite
    async def test_a_plan_tells_of_the_index(self, scene: Scene, door: DoorName) -> None:
        plan = (await scene.ask(door, calls.explain_query(DB, "Package", "downloads = 10")))["plan"]
        assert any("downloads" in each for each in plan["access"])
        assert (plan["residual"], plan["sorts"]) == ("", False)
        whole = (await scene.ask(door, calls.explain_query(DB, "Package", 'name = "a"')))["plan"]
        assert "name" in whole["residual"]


class TestExpand:
    async def test_links_bring_their_documents_along_once(self, scene: Scene, door: DoorName) -> None:
        call = calls.query_documents(DB, "Package", 'name in ("a", "b")', expand=["license", "requires.requires"])
        answer = await scene.ask(door, call)
        assert sorted(ids(answer)) == ["Package/a", "Package/b"]
        assert ids(answer, "included") == ["License/BSD", "License/MIT", "Package/c", "Package/d"]
        whole = await scene.database.get("Package/d")
        included = next(each for each in answer["included"] if each["id"] == "Package/d")
        assert (included["body"], included["etag"]) == (whole.data, whole.etag)

    async def test_circles_end(self, scene: Scene, door: DoorName) -> None:
        expand = [".".join(["requires"] * 5)]
        answer = await scene.ask(door, calls.query_documents(DB, "Package", 'name = "a"', expand=expand))
        assert ids(answer, "included") == ["Package/b", "Package/c", "Package/d"]

    async def test_links_in_subdocuments_and_links_that_dangle(self, scene: Scene, door: DoorName) -> None:
        answer = await scene.ask(door, calls.query_documents(DB, "Package", expand=["place.mirror", "suggests"]))
        assert answer["included"] == []
        only = 'name in ("a", "c")'
        answer = await scene.ask(door, calls.query_documents(DB, "Package", only, expand=["place.mirror", "suggests"]))
        assert ids(answer, "included") == ["Package/d", "Package/e"]

    async def test_a_document_that_is_cut_comes_along_whole(self, scene: Scene, door: DoorName) -> None:
        call = calls.query_documents(DB, "Package", 'name in ("b", "c")', fields=["name"], expand=["requires"])
        answer = await scene.ask(door, call)
        assert all("license" not in each["body"] for each in answer["documents"])
        assert ids(answer, "included") == ["Package/c", "Package/d"]
        assert answer["included"][0]["body"]["license"] == "License/MIT"

    async def test_a_page_ends_where_its_included_documents_would_be_too_many(
        self, scene: Scene, door: DoorName
    ) -> None:
        names = [f"many-{number:04}" for number in range(1_100)]
        await scene.database.create_branch("many")
        try:
            await scene.database.insert(*(package(name) for name in names), branch="many")
            halves = (names[:600], names[500:])
            tops = [package(f"top-{number}", *half) for number, half in enumerate(halves)]
            await scene.database.insert(*tops, branch="many")
            call = calls.query_documents(DB, "Package", 'name = "top-*"', expand=["requires"], ref="many")
            answer = await scene.ask(door, call)
            assert (len(answer["documents"]), len(answer["included"]), bool(answer["next_page_token"])) == (
                1,
                600,
                True,
            )
            batches = await scene.stream(
                door, calls.stream_query(DB, "Package", 'name = "top-*"', expand=["requires"], ref="many")
            )
            assert [len(each["included"]) for each in batches] == [600, 600]
            await scene.database.insert(package("all", *names), branch="many")
            call = calls.query_documents(DB, "Package", 'name = "all"', expand=["requires"], ref="many")
            refusal = await scene.doors.refused(door, call)
            assert (refusal.reason, refusal.fields) == ("TOO_LARGE", ("expand",))
            assert "Package/all alone leads to more than 1,000 documents" in refusal.message
        finally:
            await scene.database.delete_branch("many")


class TestReferrers:
    async def test_who_links_to_a_document_and_how(self, scene: Scene, door: DoorName) -> None:
        answer = await scene.ask(door, calls.list_referrers(DB, "Package/d"))
        assert answer["referrers"] == [
            {"id": "Package/a", "property": "place.mirror"},
            {"id": "Package/c", "property": "requires"},
        ]
        only = await scene.ask(door, calls.list_referrers(DB, "Package/d", properties=["requires"]))
        assert ids(only, "referrers") == ["Package/c"]
        apps = await scene.ask(door, calls.list_referrers(DB, "Package/a", types=["App"]))
        assert ids(apps, "referrers") == ["App/x"]
        none = await scene.ask(door, calls.list_referrers(DB, "App/x"))
        assert (none["referrers"], none["next_page_token"]) == ([], "")

    async def test_what_is_only_linked_to_has_referrers(self, scene: Scene, door: DoorName) -> None:
        answer = await scene.ask(door, calls.list_referrers(DB, "Package/nowhere"))
        assert answer["referrers"] == [{"id": "Package/c", "property": "suggests"}]

    async def test_pages_of_referrers_leave_nothing_out(self, scene: Scene, door: DoorName) -> None:
        answer = await scene.ask(door, calls.list_referrers(DB, "License/MIT", page_size=1))
        found = ids(answer, "referrers")
        while token := answer["next_page_token"]:
            answer = await scene.ask(door, calls.list_referrers(DB, "License/MIT", page_size=1, page_token=token))
            found += ids(answer, "referrers")
        assert found == ["App/x", "Package/a", "Package/c"]

    async def test_the_past_has_its_own(self, scene: Scene, door: DoorName) -> None:
        await scene.database.create_branch("past")
        try:
            await scene.database.update("Package/b", {"requires": []}, branch="past")
            now = await scene.ask(door, calls.list_referrers(DB, "Package/c", ref="past"))
            before = await scene.ask(door, calls.list_referrers(DB, "Package/c", ref="past~1"))
            assert (ids(now, "referrers"), ids(before, "referrers")) == (["Package/a"], ["Package/a", "Package/b"])
        finally:
            await scene.database.delete_branch("past")


class TestTraverse:
    async def reached(self, scene: Scene, door: DoorName, *given: Any, **rest: Any) -> list[tuple[str, int, str, str]]:
        batches = await scene.stream(door, calls.traverse(DB, *given, **rest))
        return [
            (each["id"], each["depth"], each["via_id"], each["via_property"])
            for batch in batches
            for each in batch["visits"]
        ]

    async def test_onwards_each_document_once_and_the_nearest_first(self, scene: Scene, door: DoorName) -> None:
        assert await self.reached(scene, door, ["Package/a"], ["requires"], 100) == [
            ("Package/b", 1, "Package/a", "requires"),
            ("Package/c", 1, "Package/a", "requires"),
            ("Package/d", 2, "Package/c", "requires"),
        ]
        assert await self.reached(scene, door, ["Package/a"], ["requires"], 1) == [
            ("Package/b", 1, "Package/a", "requires"),
            ("Package/c", 1, "Package/a", "requires"),
        ]

    async def test_backwards(self, scene: Scene, door: DoorName) -> None:
        assert await self.reached(scene, door, ["Package/d"], ["requires", "place.mirror"], 2, incoming=True) == [
            ("Package/a", 1, "Package/d", "place.mirror"),
            ("Package/c", 1, "Package/d", "requires"),
            ("App/x", 2, "Package/a", "requires"),
            ("Package/b", 2, "Package/c", "requires"),
        ]

    async def test_over_several_properties_and_past_what_dangles(self, scene: Scene, door: DoorName) -> None:
        assert await self.reached(scene, door, ["Package/c"], ["suggests", "license"], 3) == [
            ("Package/e", 1, "Package/c", "suggests"),
            ("License/MIT", 1, "Package/c", "license"),
        ]

    async def test_several_starts_do_not_find_each_other(self, scene: Scene, door: DoorName) -> None:
        assert await self.reached(scene, door, ["Package/a", "Package/b"], ["requires"], 5) == [
            ("Package/c", 1, "Package/a", "requires"),
            ("Package/d", 2, "Package/c", "requires"),
        ]

    async def test_a_limit_tells_that_there_is_more(self, scene: Scene, door: DoorName) -> None:
        for limit, cut in ((1, True), (2, True), (3, False)):
            *_, last = await scene.stream(door, calls.traverse(DB, ["Package/a"], ["requires"], 9, limit=limit))
            assert (len(last["visits"]), last["limit_reached"]) == (limit, cut)

    async def test_nothing_reached_is_one_empty_batch(self, scene: Scene, door: DoorName) -> None:
        (only,) = await scene.stream(door, calls.traverse(DB, ["Package/e"], ["requires"], 9))
        assert (only["visits"], only["limit_reached"], len(only["commit"])) == ([], False, 64)


async def test_an_answer_that_is_known_is_not_modified(scene: Scene) -> None:
    headers = {"authorization": f"Bearer {scene.kernel.token()}"}
    for call in (
        calls.query_documents(DB, "Package"),
        calls.count_documents(DB, "Package"),
        calls.list_referrers(DB, "Package/a"),
    ):
        assert call.http is not None
        first = await scene.http.get(call.http.url, headers=headers)
        assert first.headers["etag"] == f'"{first.headers["ontomesh-commit"]}"'
        again = await scene.http.get(call.http.url, headers={**headers, "if-none-match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


async def test_lists_in_an_address_may_be_joined_by_commas(scene: Scene) -> None:
    headers = {"authorization": f"Bearer {scene.kernel.token()}"}
    path = f"/v1/databases/{DB}/query"
    joined = await scene.http.get(path, params={"type": "Package", "fields": "name, downloads"}, headers=headers)
    apart = await scene.http.get(path, params={"type": "Package", "fields": ["name", "downloads"]}, headers=headers)
    assert joined.json() == apart.json()


async def test_the_sdk_reads_everything(scene: Scene) -> None:
    database = scene.database
    found = [each async for each in database.query("Package", order_by="name", expand="license", page_size=4)]
    assert [each.data["name"] for each in found] == list("abcdex")
    assert found[0].included["License/MIT"].data["name"] == "MIT"
    assert [each.id async for each in database.stream_query("Package", order_by="name", limit=2)] == [
        "Package/a",
        "Package/b",
    ]
    assert [each async for each in database.referrers("License/BSD", page_size=1)] == [
        Referrer("Package/b", "license"),
        Referrer("Package/d", "license"),
    ]
    visits = [each async for each in database.traverse("Package/a", over="requires", max_depth=9)]
    assert [each.id for each in visits] == ["Package/b", "Package/c", "Package/d"]
