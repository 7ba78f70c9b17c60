"""GraphQL over a served kernel: what is answered, at what commit, within which limits and with how few reads."""

import json
from collections.abc import Collection, Mapping
from typing import Any

import httpx
import pytest
from graphql import build_client_schema, get_introspection_query

from ontomesh_data_kernel.domain.kernel import Kernel
from ontomesh_data_kernel.doors.http.graphql import limits
from ontomesh_data_kernel.ports import Point, Store, Version

D = "/v1/databases/d"
SCHEMA: list[dict[str, Any]] = [
    {"@type": "Enum", "@id": "Mood", "@value": ["calm", "very wild"]},
    {
        "@type": "Class",
        "@id": "Place",
        "@subdocument": [],
        "@key": {"@type": "Random"},
        "city": "xsd:string",
        "host": {"@type": "Optional", "@class": "Person"},
    },
    {
        "@type": "Class",
        "@id": "Person",
        "@key": {"@type": "Lexical", "@fields": ["name"]},
        "@metadata": {"ontomesh": {"dangling": ["rumour"]}},
        "name": "xsd:string",
        "age": {"@type": "Optional", "@class": "xsd:integer"},
        "weight": {"@type": "Optional", "@class": "xsd:decimal"},
        "mood": {"@type": "Optional", "@class": "Mood"},
        "any-thing": {"@type": "Optional", "@class": "sys:JSON"},
        "friends": {"@type": "Set", "@class": "Person"},
        "rumour": {"@type": "Optional", "@class": "Person"},
        "homes": {"@type": "List", "@class": "Place"},
    },
    {
        "@type": "Class",
        "@id": "Employee",
        "@inherits": "Person",
        "@key": {"@type": "Lexical", "@fields": ["name"]},
        "boss": {"@type": "Optional", "@class": "Person"},
    },
]
PEOPLE: list[dict[str, Any]] = [
    {
        "@type": "Person",
        "name": "ada",
        "age": 36,
        "mood": "very wild",
        "rumour": "Person/nobody",
        "homes": [{"@type": "Place", "city": "Rome", "host": "Employee/eve"}],
    },
    {"@type": "Person", "name": "bob", "friends": ["Person/ada", "Employee/eve"], "homes": []},
    {"@type": "Employee", "name": "eve", "boss": "Person/ada", "friends": ["Person/ada"], "homes": []},
]
EXACT = '{"@type":"Person","name":"cy","homes":[],"weight":0.10000000000000000000000000000000000001,"any-thing":{"n":[2.50,12345678901234567890123]}}'


@pytest.fixture
async def db(http: httpx.AsyncClient) -> httpx.AsyncClient:
    """A client of a kernel whose database `d` holds the people, the last of them in a commit of its own."""
    (await http.post("/v1/databases", json={"name": "d"})).raise_for_status()
    operations = [{"put": {"body": body}} for body in PEOPLE]
    made = {"branch": "main", "operations": operations, "ontology": {"schema": SCHEMA}}
    (await http.post(f"{D}/commits", json=made)).raise_for_status()
    (await http.post(f"{D}/documents", content=EXACT)).raise_for_status()
    return http


async def ask(db: httpx.AsyncClient, query: str, ref: str = "", **variables: Any) -> dict[str, Any]:
    """The data that a query must get without an error."""
    answer = await db.post(f"{D}/graphql", params={"ref": ref}, json={"query": query, "variables": variables})
    told: dict[str, Any] = answer.json()
    assert answer.status_code == 200, told
    assert answer.headers["content-type"] == "application/graphql-response+json"
    assert answer.headers["ontomesh-commit"] == told["extensions"]["commit"]
    assert "errors" not in told, told
    data: dict[str, Any] = told["data"]
    return data


async def faults(db: httpx.AsyncClient, query: str, status: int = 200, **variables: Any) -> list[tuple[str, str, Any]]:
    """The (reason, field, path) of each error that a query must get."""
    answer = await db.post(f"{D}/graphql", json={"query": query, "variables": variables})
    told = answer.json()
    assert answer.status_code == status, told
    assert ("data" in told) == (status == 200)
    for error in told["errors"]:
        assert error["message"]
        assert error["extensions"]["trace_id"] == answer.headers["x-ontomesh-trace-id"]
    return [(each["extensions"]["reason"], each["extensions"]["field"], each.get("path")) for each in told["errors"]]


async def test_documents_come_with_links_subdocuments_and_fragments_in_the_order_asked(db: httpx.AsyncClient) -> None:
    data = await ask(
        db,
        """{ persons(filter: {name: {in: ["ada", "eve"]}}, orderBy: "name") { nodes {
          z: name ...Rest __typename homes { city host { name } } friends { name } rumour { name }
        } } } fragment Rest on AnyPerson { age mood ... on Employee { boss { _id } } _type }""",
    )
    ada, eve = data["persons"]["nodes"]
    home = {"city": "Rome", "host": {"name": "eve"}}
    assert list(ada.items()) == [
        *(("z", "ada"), ("age", "36"), ("mood", "very_u20_wild"), ("_type", "Person"), ("__typename", "Person")),
        *(("homes", [home]), ("friends", []), ("rumour", None)),
    ]
    assert eve["boss"] == {"_id": "Person/ada"}
    assert (eve["__typename"], eve["friends"], eve["homes"]) == ("Employee", [{"name": "ada"}], [])


async def test_numbers_and_json_keep_all_their_digits(db: httpx.AsyncClient) -> None:
    query = "query ($w: Decimal) { persons(filter: {weight: {eq: $w}}) { nodes { weight any_u2d_thing _json } } }"
    weight = "0.10000000000000000000000000000000000001"
    for given in (f'"{weight}"', weight):
        body = f'{{"query": {json.dumps(query)}, "variables": {{"w": {given}}}}}'
        answer = await db.post(f"{D}/graphql", content=body, headers={"content-type": "application/json"})
        anything = '{"n":[2.5,12345678901234567890123]}'
        stored = (
            f'{{"@id":"Person/cy","@type":"Person","any-thing":{anything},"homes":[],"name":"cy","weight":{weight}}}'
        )
        assert f'[{{"weight":"{weight}","any_u2d_thing":{anything},"_json":{stored}}}]' in answer.text


async def test_pages_go_on_by_cursor_at_one_commit_only(db: httpx.AsyncClient) -> None:
    query = """query ($after: String) { persons(first: 3, after: $after) {
      nodes { name } totalCount pageInfo { hasNextPage endCursor } } }"""
    first = (await ask(db, query))["persons"]
    second = (await ask(db, query, after=first["pageInfo"]["endCursor"]))["persons"]
    assert sorted(node["name"] for page in (first, second) for node in page["nodes"]) == ["ada", "bob", "cy", "eve"]
    assert (first["totalCount"], first["pageInfo"]["hasNextPage"]) == (4, True)
    assert second["pageInfo"] == {"hasNextPage": False, "endCursor": None}
    cursor = first["pageInfo"]["endCursor"]
    assert await faults(db, query, after=cursor[:-4]) == [("INVALID_PAGE_TOKEN", "after", ["persons"])]
    other = query.replace("first: 3", 'where: "age > 1"')
    assert await faults(db, other, after=cursor) == [("INVALID_PAGE_TOKEN", "after", ["persons"])]
    head = (await db.get(f"{D}/branches/main")).json()["head"]
    await db.post(f"{D}/documents", json={"@type": "Person", "name": "dee", "homes": []})
    assert await faults(db, query, after=cursor) == [("INVALID_PAGE_TOKEN", "after", ["persons"])]
    assert (await ask(db, query, ref=f"commit:{head}", after=cursor))["persons"]["nodes"] == second["nodes"]


async def test_links_are_followed_backwards_by_property_and_all_together(db: httpx.AsyncClient) -> None:
    data = await ask(
        db,
        """{ person(id: "Person/ada") {
          _friends_of_Person(first: 1) { nodes { name } totalCount pageInfo { hasNextPage endCursor } }
          _boss_of_Employee { nodes { name __typename } }
          _referrers { nodes { property document { _id } } pageInfo { hasNextPage } }
        } employee(id: "Employee/eve") { _homes_host_of_Person { nodes { name } } } }""",
    )
    friends = data["person"]["_friends_of_Person"]
    assert (friends["nodes"], friends["totalCount"]) == ([{"name": "eve"}], 2)
    assert data["person"]["_boss_of_Employee"]["nodes"] == [{"name": "eve", "__typename": "Employee"}]
    assert [(node["property"], node["document"]["_id"]) for node in data["person"]["_referrers"]["nodes"]] == [
        *(("boss", "Employee/eve"), ("friends", "Employee/eve"), ("friends", "Person/bob")),
    ]
    assert data["employee"] == {"_homes_host_of_Person": {"nodes": [{"name": "ada"}]}}
    onward = """query ($after: String) { document(id: "Person/ada") { ... on Person {
      _friends_of_Person(first: 1, after: $after) { nodes { name } } } } }"""
    rest = await ask(db, onward, after=friends["pageInfo"]["endCursor"])
    assert rest["document"]["_friends_of_Person"]["nodes"] == [{"name": "bob"}]


async def test_a_request_is_answered_at_its_ref_under_the_ontology_there(db: httpx.AsyncClient) -> None:
    (await db.post(f"{D}/branches", json={"branch": "feature/x", "from": "main"})).raise_for_status()
    more = {"@type": "Class", "@id": "Thing", "label": "xsd:string"}
    (await db.patch(f"{D}/ontology", params={"branch": "feature/x"}, json=[more])).raise_for_status()
    assert await ask(db, "{ things { nodes { label } } }", ref="feature/x") == {"things": {"nodes": []}}
    assert await faults(db, "{ things { nodes { label } } }", 400) == [("INVALID_REQUEST", "query", None)]
    count = "{ persons { totalCount } }"
    assert (await ask(db, count, ref="main~1"))["persons"]["totalCount"] == 3
    assert (await ask(db, count))["persons"]["totalCount"] == 4


async def test_one_field_that_fails_leaves_the_others(db: httpx.AsyncClient) -> None:
    query = (
        '{ a: person(id: "Person/ada") { name } b: person(id: "Place/x") { name } c: person(id: "Person/no") { name } }'
    )
    answer = (await db.post(f"{D}/graphql", json={"query": query})).json()
    assert answer["data"] == {"a": {"name": "ada"}, "b": None, "c": None}
    assert [(error["path"], error["extensions"]["field"]) for error in answer["errors"]] == [(["b"], "id")]
    below = '{ persons(orderBy: "name", first: 1) { nodes { _referrers(after: "x") { nodes { property } } } } }'
    assert await faults(db, below) == [("INVALID_PAGE_TOKEN", "after", ["persons", "nodes", 0, "_referrers"])]


@pytest.mark.parametrize(
    ("query", "status", "reason", "field"),
    [
        ("{", 400, "INVALID_REQUEST", "query"),
        ("{ nix }", 400, "INVALID_REQUEST", "query"),
        ("mutation { x }", 400, "INVALID_REQUEST", "query"),
        ("subscription { x }", 400, "INVALID_REQUEST", "query"),
        ("query A { __typename } query B { __typename }", 400, "INVALID_REQUEST", "operationName"),
        ("fragment A on Query { __typename }", 400, "INVALID_REQUEST", "query"),
        ("query ($x: Int!) { persons(first: $x) { totalCount } }", 400, "INVALID_REQUEST", "variables"),
        ("query ($x: ID) { person(id: $x) { name } }", 400, "INVALID_REQUEST", "query"),
        ("{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }", 400, "INVALID_REQUEST", "query"),
        (f"{{ __typename }} #{'x' * (64 << 10)}", 413, "TOO_LARGE", "query"),
        ("{ persons { nodes " + "{ friends " * 11 + "{ name }" + "}" * 12 + "}", 429, "QUERY_TOO_COSTLY", "query"),
        ("{ persons { nodes {" + " name" * 600 + "} } }", 429, "QUERY_TOO_COSTLY", "query"),
        ("{" + "".join(f"a{n}: persons {{ totalCount }} " for n in range(21)) + "}", 429, "QUERY_TOO_COSTLY", "query"),
        (
            "{ persons(first: 1000) { nodes { friends { friends { friends { name } } } } } }",
            429,
            "QUERY_TOO_COSTLY",
            "query",
        ),
        ("{ __schema { types { fields { type { fields { name } } } } } }", 429, "QUERY_TOO_COSTLY", "query"),
        ("{ persons(filter: {_and: " + "[" * 500 + "]" * 500 + "}) { totalCount } }", 400, "INVALID_REQUEST", "query"),
    ],
)
async def test_what_is_no_query_or_too_much_of_one_is_refused(
    db: httpx.AsyncClient, query: str, status: int, reason: str, field: str
) -> None:
    told = await faults(db, query, status)
    assert {(each, where) for each, where, _ in told} == {(reason, field)}


async def test_documents_are_counted_as_often_as_the_answer_holds_them(
    db: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = "{ persons { nodes { friends { name } } } }"
    await ask(db, query)
    monkeypatch.setattr("ontomesh_data_kernel.doors.http.graphql.execution.MAX_DOCUMENTS", 6)
    assert await faults(db, query, 429) == [("QUERY_TOO_COSTLY", "query", None)]
    monkeypatch.setattr("ontomesh_data_kernel.doors.http.graphql.execution.MAX_DOCUMENTS", 7)
    await ask(db, query)
    monkeypatch.setattr("ontomesh_data_kernel.doors.http.graphql.execution.MAX_ANSWER_BYTES", 20)
    assert await faults(db, query, 413) == [("TOO_LARGE", "", None)]


@pytest.mark.parametrize("first", [0, -1, 1001])
async def test_a_page_has_a_size(db: httpx.AsyncClient, first: int) -> None:
    query = "query ($first: Int) { persons(first: $first) { nodes { name } } }"
    assert await faults(db, query, first=first) == [("INVALID_REQUEST", "first", ["persons"])]


class _Counting:
    """A store that notes its reads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.reads: list[tuple[str, int]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def read_many(
        self, point: Point, ids: Collection[str], max_bytes: int | None = None
    ) -> Mapping[str, Version]:
        self.reads.append(("read_many", len(ids)))
        return await self._store.read_many(point, ids, max_bytes)

    async def select(self, *arguments: Any) -> Any:
        self.reads.append(("select", 1))
        return await self._store.select(*arguments)


@pytest.fixture
def counting(kernel: Kernel) -> _Counting:
    """Counts the reads of the snapshots of the kernel."""
    made = _Counting(kernel._store)
    kernel.snapshots._store = made
    return made


async def test_each_level_of_links_is_one_read_of_documents_not_read_before(
    counting: _Counting, db: httpx.AsyncClient
) -> None:
    body = {"branch": "main", "operations": [], "message": "a crowd"}
    crowd = [{"@type": "Person", "name": f"p{n}", "homes": [], "friends": [f"Person/q{n}"]} for n in range(40)]
    crowd += [{"@type": "Person", "name": f"q{n}", "homes": [], "friends": ["Person/bob"]} for n in range(40)]
    operations = [{"put": {"body": one}} for one in crowd]
    (await db.post(f"{D}/commits", json=body | {"operations": operations})).raise_for_status()
    data = await ask(
        db,
        """{ persons(where: "name = 'p*'") { nodes {
          friends { friends { friends { name rumour { name } } name } } also: friends { _id } } } }""",
    )
    assert len(data["persons"]["nodes"]) == 40
    ada = data["persons"]["nodes"][0]["friends"][0]["friends"][0]["friends"][1]
    assert ada == {"name": "ada", "rumour": None}
    assert counting.reads == [("select", 1), ("read_many", 40), ("read_many", 1), ("read_many", 2), ("read_many", 1)]


async def test_introspection_gives_the_schema_to_tools(db: httpx.AsyncClient) -> None:
    data = await ask(db, get_introspection_query(input_value_deprecation=True, specified_by_url=True))
    described: Any = data
    schema = build_client_schema(described)
    assert {"Person", "AnyPerson", "Employee", "PersonFilter", "PersonConnection"} <= set(schema.type_map)
    mixed = await ask(db, '{ __type(name: "Mood") { enumValues { name } } persons(first: 1) { nodes { __typename } } }')
    assert list(mixed) == ["__type", "persons"]
    assert mixed["__type"]["enumValues"] == [{"name": "calm"}, {"name": "very_u20_wild"}]


async def test_introspection_has_a_limit_of_its_own(db: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ontomesh_data_kernel.doors.http.graphql.engine.MAX_INTROSPECTED", 20)
    assert await faults(db, "{ __schema { types { name } } }", 429) == [("QUERY_TOO_COSTLY", "query", None)]


async def test_a_request_comes_by_get_and_in_the_form_that_the_caller_takes(db: httpx.AsyncClient) -> None:
    query = "query A($n: Int) { persons(first: $n) { totalCount } } query B { nothing: __typename }"
    asked = {"query": query, "variables": '{"n": 1}', "operationName": "A"}
    for accept, media_type, status in (
        ("*/*", "application/graphql-response+json", 400),
        ("application/json", "application/json", 200),
        ("application/json;q=0.5, application/graphql-response+json", "application/graphql-response+json", 400),
        ("text/html, application/*;q=0.1", "application/graphql-response+json", 400),
    ):
        answer = await db.get(f"{D}/graphql", params=asked, headers={"accept": accept})
        assert (answer.status_code, answer.headers["content-type"]) == (200, media_type)
        assert answer.json()["data"] == {"persons": {"totalCount": 4}}
        wrong = await db.get(f"{D}/graphql", params={"query": "{"}, headers={"accept": accept})
        assert (wrong.status_code, wrong.headers["content-type"]) == (status, media_type)
    assert (await db.get(f"{D}/graphql", params=asked, headers={"accept": "text/html"})).status_code == 406


async def test_what_is_no_request_is_refused_as_on_every_route(db: httpx.AsyncClient) -> None:
    async def post(content: str, **headers: str) -> tuple[int, str, list[str]]:
        answer = await db.post(f"{D}/graphql", content=content, headers={"content-type": "application/json", **headers})
        assert answer.headers["content-type"] == "application/problem+json"
        told = answer.json()
        return answer.status_code, told["reason"], [each["field"] for each in told["violations"]]

    assert await post("{") == (400, "MALFORMED_BODY", ["body"])
    assert await post("[]") == (400, "MALFORMED_BODY", ["body"])
    assert await post("{}") == (400, "INVALID_REQUEST", ["query"])
    assert await post('{"query": 1}') == (400, "INVALID_REQUEST", ["query"])
    assert await post('{"query": "{__typename}", "variables": []}') == (400, "INVALID_REQUEST", ["variables"])
    assert await post('{"query": "{__typename}", "more": 1}') == (400, "INVALID_REQUEST", ["more"])
    assert await post(json.dumps({"query": "x" * (1 << 20)})) == (413, "TOO_LARGE", ["body"])
    assert (await post("query", **{"content-type": "text/plain"}))[0] == 415
    gone = await db.get(f"{D}/graphql", params={"query": "{__typename}", "ref": "gone"})
    assert (gone.status_code, gone.json()["reason"]) == (404, "BRANCH_NOT_FOUND")
    void = await db.get("/v1/databases/void/graphql", params={"query": "{__typename}"})
    assert (void.status_code, void.json()["reason"]) == (404, "DATABASE_NOT_FOUND")
    malformed = await db.get(f"{D}/graphql", params={"query": "{__typename}", "variables": "["})
    assert (malformed.status_code, malformed.json()["violations"][0]["field"]) == (400, "variables")


def test_the_limits_are_those_that_the_contract_states() -> None:
    stated = (limits.MAX_QUERY_BYTES, limits.MAX_DEPTH, limits.MAX_DOCUMENTS, limits.MAX_READS, limits.MAX_SELECTIONS)
    assert stated == (65_536, 12, 10_000, 20, 500)
