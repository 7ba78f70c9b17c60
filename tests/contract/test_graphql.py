"""GraphQL over the real HTTP door: refs, rights, exactness, limits, and errors that are the table's."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import pytest_asyncio
from grpc import StatusCode

from ontomesh_data_kernel.doors.errors import TABLE
from tests.contract import calls
from tests.contract.calls import insert
from tests.contract.doors import Doors, doors_of
from tests.contract.serving import serving
from tests.contract.world import DB, NEEDS, World, build, person

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("contract-graphql")]

CODES = {reason: code for code, reason in TABLE.values()}
PEOPLE = '{ people: persons(orderBy: "name") { nodes { name age friend { name friend { name } } } } }'


@dataclass
class Scene:
    """A kernel's HTTP door and what stands behind it."""

    http: httpx.AsyncClient
    doors: Doors
    world: World

    async def ask(self, query: str, ref: str = "", token: str = "owner", **variables: Any) -> httpx.Response:
        return await self.http.post(
            f"/v1/databases/{DB}/graphql",
            params={"ref": ref},
            json={"query": query, "variables": variables},
            headers={"authorization": f"Bearer {self.world.tokens[token]}"},
        )

    async def data(self, query: str, ref: str = "", **variables: Any) -> Any:
        answer = await self.ask(query, ref, **variables)
        assert answer.status_code == 200, answer.text
        assert "errors" not in answer.json(), answer.text
        return answer.json()["data"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with (
        serving(tmp_path_factory.mktemp("graphql"), ONTOMESH_LOG_LEVEL="WARNING", **NEEDS) as kernel,
        doors_of(kernel) as doors,
        httpx.AsyncClient(base_url=kernel.http, timeout=20) as http,
    ):
        yield Scene(http, doors, await build(kernel, doors))


async def test_a_branch_a_commit_and_the_past_answer_as_they_stood(scene: Scene) -> None:
    age = '{ person(id: "Person/ada") { age } }'
    assert [(await scene.data(age, ref))["person"]["age"] for ref in ("main", "ours", "theirs")] == ["36", "40", "41"]
    assert await scene.data(age, "main~1") == {"person": None}
    head = scene.world.heads["ours"]
    for ref in ("ours", f"commit:{head}", f"commit:{head[:16]}"):
        answer = await scene.ask(age, ref)
        assert answer.json()["extensions"] == {"commit": head}
        assert answer.headers["ontomesh-commit"] == head
    before_the_ontology = await scene.ask(age, "main~2")
    assert before_the_ontology.status_code == 400
    assert "Cannot query field 'person'" in before_the_ontology.json()["errors"][0]["message"]


async def test_the_documents_are_those_that_the_query_route_finds(scene: Scene) -> None:
    found = (await scene.data(PEOPLE))["people"]["nodes"]
    assert [(one["name"], one["age"], (one["friend"] or {}).get("name")) for one in found] == [
        *(("ada", "36", None), ("bob", None, "ada"), ("cy", None, None)),
    ]
    filters = {
        '{friend: {name: {eq: "ada"}}}': 'friend.name = "ada"',
        "{age: {gt: 35}}": "age > 35",
        "{_not: {friend: {_present: true}}}": "NOT friend:*",
        '{name: {in: ["cy", "ada"]}}': 'name in ("cy", "ada")',
    }
    for typed, text in filters.items():
        one = f"{{ persons(filter: {typed}) {{ nodes {{ _id _etag _json }} totalCount }} }}"
        other = "query ($text: String) { persons(where: $text) { nodes { _id _etag _json } totalCount } }"
        by_type, by_text = await scene.data(one), await scene.data(other, text=text)
        routed = await scene.http.get(
            f"/v1/databases/{DB}/query",
            params={"type": "Person", "filter": text},
            headers={"authorization": f"Bearer {scene.world.tokens['owner']}"},
        )
        assert by_type == by_text
        documents = [
            {"id": node["_id"], "etag": node["_etag"], "body": node["_json"]} for node in by_type["persons"]["nodes"]
        ]
        assert documents == routed.json()["documents"]
        assert by_type["persons"]["totalCount"] == len(documents)


async def test_rights_are_those_of_every_other_read(scene: Scene) -> None:
    for token, ref, status in (
        ("reader", "main", 200),
        ("feature reader", "feature/x", 200),
        ("feature reader", "main", 403),
        ("writer", "main", 403),
        ("nobody", "feature/x", 403),
        ("expired", "main", 401),
    ):
        answer = await scene.ask(PEOPLE, ref, token)
        assert answer.status_code == status, (token, ref, answer.text)
        if status != 200:
            assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("query", "status", "reason", "field"),
    [
        ("{ persons(where: \"nam = 'x'\") { totalCount } }", 200, "INVALID_FILTER", "where"),
        ('{ persons(filter: {age: {eq: "1.5"}}) { totalCount } }', 200, "INVALID_FILTER", "filter.age.eq"),
        ('{ persons(orderBy: "tags") { totalCount } }', 200, "INVALID_FILTER", "orderBy"),
        ('{ persons(after: "x") { nodes { name } } }', 200, "INVALID_PAGE_TOKEN", "after"),
        ("{ persons(first: 1001) { nodes { name } } }", 200, "INVALID_REQUEST", "first"),
        ('{ person(id: "Note/one") { name } }', 200, "INVALID_REQUEST", "id"),
        ('{ person(id: "") { name } }', 200, "INVALID_REQUEST", "id"),
        ("{ persons { nodes { nam } } }", 400, "INVALID_REQUEST", "query"),
        ("{ persons(filter: {age: {eq: true}}) { totalCount } }", 400, "INVALID_REQUEST", "query"),
        ("{ persons", 400, "INVALID_REQUEST", "query"),
        ("{ persons { nodes " + "{ friend " * 12 + "{ name }" + "}" * 13 + "}", 429, "QUERY_TOO_COSTLY", "query"),
        ("#" * (64 << 10) + "\n{ __typename }", 413, "TOO_LARGE", "query"),
    ],
)
async def test_each_error_bears_the_tables_code_and_reason_and_its_place(
    scene: Scene, query: str, status: int, reason: str, field: str
) -> None:
    answer = await scene.ask(query)
    told = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/graphql-response+json"), told
    (error,) = told["errors"]
    extensions = error["extensions"]
    assert (extensions["reason"], extensions["field"]) == (reason, field)
    assert extensions["code"] == CODES[reason].name
    assert extensions["violations"][0]["description"]
    assert ("data" in told, "path" in error) == (status == 200, status == 200)
    plain = await scene.http.post(
        f"/v1/databases/{DB}/graphql",
        json={"query": query},
        headers={"authorization": f"Bearer {scene.world.tokens['owner']}", "accept": "application/json"},
    )
    assert (plain.status_code, plain.headers["content-type"]) == (200, "application/json")
    assert CODES[reason] in StatusCode


async def test_documents_beyond_the_limit_of_a_request_are_refused_while_it_runs(scene: Scene) -> None:
    await scene.doors.read(calls.create_branch(DB, "crowded", "main"))
    hub = [insert(person(f"hub-{number:02}")) for number in range(100)]
    await scene.doors.read(calls.create_commit(DB, *hub, branch="crowded"))
    schema = {"@type": "Class", "@id": "Group", "members": {"@type": "Set", "@class": "Person"}}
    members = [f"Person/hub-{number:02}" for number in range(100)]
    groups = [insert({"@type": "Group", "@id": f"Group/{number}", "members": members}) for number in range(101)]
    await scene.doors.read(calls.create_commit(DB, *groups, branch="crowded", ontology={"schema": [schema]}))
    query = "query ($first: Int) { groups(first: $first) { nodes { members { name } } } }"
    few = await scene.data(query, "crowded", first=90)
    assert sum(len(group["members"]) for group in few["groups"]["nodes"]) == 9_000
    many = await scene.ask(query, "crowded", first=101)
    assert many.status_code == 429
    (error,) = many.json()["errors"]
    assert (error["extensions"]["reason"], error["extensions"]["metadata"]) == ("QUERY_TOO_COSTLY", {"limit": "10000"})
    cut = await scene.data("{ groups(first: 101) { nodes { members(first: 2) { name } } } }", "crowded")
    assert json.dumps(cut).count("hub-") == 202
