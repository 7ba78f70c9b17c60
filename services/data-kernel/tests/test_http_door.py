"""The HTTP door over a served kernel: what only this door decides, from addresses and headers to the shape of answers."""

import json
import re
from decimal import Decimal
from typing import Any

import httpx
import pytest

D = "/v1/databases/d"
PERSON: dict[str, Any] = {
    "@type": "Class",
    "@id": "Person",
    "@key": {"@type": "Lexical", "@fields": ["name"]},
    "name": "xsd:string",
    "weight": {"@type": "Optional", "@class": "xsd:decimal"},
    "count": {"@type": "Optional", "@class": "xsd:integer"},
    "friend": {"@type": "Optional", "@class": "Person"},
}
NOTE: dict[str, Any] = {"@type": "Class", "@id": "Note", "@key": {"@type": "Random"}, "text": "xsd:string"}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


@pytest.fixture
async def db(http: httpx.AsyncClient) -> httpx.AsyncClient:
    """A client of a kernel with the database `d` and the classes Person and Note."""
    (await http.post("/v1/databases", json={"name": "d"})).raise_for_status()
    (await http.put(f"{D}/ontology", json=[PERSON, NOTE])).raise_for_status()
    return http


def person(name: str, **rest: Any) -> dict[str, Any]:
    return {"@type": "Person", "name": name, **rest}


async def added(db: httpx.AsyncClient, name: str, **rest: Any) -> httpx.Response:
    return (await db.post(f"{D}/documents", json=person(name, **rest))).raise_for_status()


def problem(answer: httpx.Response, status: int, reason: str, *fields: str) -> dict[str, Any]:
    """The problem that an answer must be."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    told: dict[str, Any] = answer.json()
    assert (answer.status_code, told["reason"]) == (status, reason), told
    assert set(told) == {"type", "title", "status", "detail", "code", "reason", "violations", "metadata", "trace_id"}
    assert (told["status"], told["type"]) == (status, f"urn:ontomesh:reason:{reason}")
    assert told["trace_id"] == answer.headers["x-ontomesh-trace-id"]
    assert [each["field"] for each in told["violations"]] == list(fields)
    return told


async def test_a_database_is_made_found_changed_and_deleted(http: httpx.AsyncClient) -> None:
    made = await http.post("/v1/databases", json={"name": "d", "description": "one"})
    assert (made.status_code, made.headers["location"]) == (201, D)
    assert TIME.fullmatch(made.json()["create_time"])
    assert (await http.get("/v1/databases")).json() == {"databases": [made.json()], "next_page_token": ""}
    found = await http.get(D)
    assert found.headers["etag"] == f'"{made.json()["etag"]}"'

    changed = await http.patch(D, json={"description": "two"}, headers={"if-match": found.headers["etag"]})
    assert changed.json()["description"] == "two"
    again = await http.patch(D, json={"description": "three"}, headers={"if-match": found.headers["etag"]})
    problem(again, 409, "ETAG_MISMATCH", "database.etag")
    assert (await http.delete(D, headers={"if-match": changed.headers["etag"]})).status_code == 204
    problem(await http.get(D), 404, "DATABASE_NOT_FOUND")


async def test_a_branch_with_slashes_is_made_found_and_deleted_at_its_head(db: httpx.AsyncClient) -> None:
    made = await db.post(f"{D}/branches", json={"branch": "feature/x", "from": "main"})
    assert (made.status_code, made.headers["location"]) == (201, f"{D}/branches/feature/x")
    found = await db.get(made.headers["location"])
    assert found.json() == made.json()
    assert found.headers["etag"] == f'"{made.json()["head"]}"'
    names = [each["name"] for each in (await db.get(f"{D}/branches", params={"prefix": "feat"})).json()["branches"]]
    assert names == ["feature/x"]

    stale = await db.delete(f"{D}/branches/feature/x", headers={"if-match": f'"{"0" * 64}"'})
    problem(stale, 409, "STALE_HEAD", "expected_head")
    gone = await db.delete(f"{D}/branches/feature%2Fx", headers={"if-match": found.headers["etag"]})
    assert gone.status_code == 204
    problem(await db.get(f"{D}/branches/feature/x"), 404, "BRANCH_NOT_FOUND")


async def test_a_document_is_inserted_read_replaced_patched_and_deleted(db: httpx.AsyncClient) -> None:
    made = await db.post(f"{D}/documents", params={"message": "hello"}, json=person("ada", count=1))
    assert made.status_code == 201
    assert (made.json()["id"], made.json()["commit"]["message"]) == ("Person/ada", "hello")
    found = await db.get(made.headers["location"])
    assert found.json() == {"@id": "Person/ada", "@type": "Person", "count": 1, "name": "ada"}
    assert found.headers["content-type"] == "application/json"
    for header in ("etag", "ontomesh-commit"):
        assert found.headers[header] == made.headers[header]

    ada = f"{D}/documents/Person/ada"
    put = await db.put(ada, json=person("ada", count=2))
    patched = await db.patch(ada, json={"count": None, "weight": 3}, headers={"if-match": put.headers["etag"]})
    assert (await db.get(ada)).json() == {"@id": "Person/ada", "@type": "Person", "name": "ada", "weight": 3}
    past = await db.get(ada, params={"ref": f"commit:{put.headers['ontomesh-commit']}"})
    assert past.json()["count"] == 2
    deleted = await db.delete(ada, headers={"if-match": patched.headers["etag"]})
    assert (deleted.status_code, deleted.json()["etag"]) == (200, "")
    problem(await db.get(ada), 404, "DOCUMENT_NOT_FOUND", "id")
    assert (await db.get(ada, params={"ref": "main~"})).headers["etag"] == patched.headers["etag"]


async def test_numbers_keep_all_their_digits_through_every_route(db: httpx.AsyncClient) -> None:
    weight, count = "0.10000000000000000000000000000000000001", "123456789012345678901234567890"
    members = f'"count":{count},"name":"ada","weight":{weight}'
    stored = f'{{"@id":"Person/ada","@type":"Person",{members}}}'
    sent = f'{{"@type":"Person",{members}}}'
    ada = f"{D}/documents/Person/ada"

    await db.post(f"{D}/documents", content=sent)
    assert (await db.get(ada)).text == stored
    await db.patch(ada, content='{"weight":1.50}')
    assert '"weight":1.5}' in (await db.get(ada)).text
    await db.put(ada, content=sent)
    assert (await db.get(ada)).text == stored
    await db.delete(ada)
    operation = f'{{"operations":[{{"insert":{{"body":{sent}}}}}]}}'
    assert (await db.post(f"{D}/commits", content=operation)).status_code == 201

    listed = await db.get(f"{D}/documents")
    batch = await db.post(f"{D}/documents:batchGet", json={"ids": ["Person/ada"]})
    diff = await db.get(f"{D}/diff", params={"target": "main", "include_bodies": True})
    assert all(stored in answer.text for answer in (listed, batch, diff))
    assert json.loads(listed.text, parse_float=Decimal)["documents"][0]["body"]["weight"] == Decimal(weight)


@pytest.mark.parametrize(
    ("name", "id", "address"),
    [
        ("foo/bar", "Person/foo%2Fbar", "Person/foo%252Fbar"),
        ("100%", "Person/100%25", "Person/100%2525"),
        ("a%2Fb", "Person/a%252Fb", "Person/a%25252Fb"),
        ("a b?c#d", "Person/a%20b%3Fc%23d", "Person/a%2520b%253Fc%2523d"),
        ("ü", "Person/%C3%BC", "Person/%25C3%25BC"),
    ],
)
async def test_an_id_in_an_address_is_decoded_exactly_once(
    db: httpx.AsyncClient, name: str, id: str, address: str
) -> None:
    made = await added(db, name)
    assert made.json()["id"] == id
    assert made.headers["location"] == f"{D}/documents/{address}?ref=main"
    place = f"{D}/documents/{address}"
    assert (await db.get(place)).json() == {"@id": id, "@type": "Person", "name": name}
    assert (await db.get(place.replace("Person/", "Person%2F"))).status_code == 200
    assert (await db.patch(place, json={"count": 1})).json()["id"] == id
    assert (await db.put(place, json=person(name))).json()["id"] == id
    assert (await db.delete(place)).json()["id"] == id


async def test_an_inserted_documents_location_is_on_the_branch_of_the_commit(db: httpx.AsyncClient) -> None:
    await db.post(f"{D}/branches", json={"branch": "feature/x", "from": "main"})
    made = await db.post(f"{D}/documents", params={"branch": "feature/x"}, json=person("ada"))
    assert (await db.get(made.headers["location"])).json()["name"] == "ada"
    assert (await db.get(f"{D}/documents/Person/ada")).status_code == 404


@pytest.mark.parametrize("place", ["documents/Person/ada", "branches/trial"])
async def test_an_address_with_a_line_end_names_nothing_else(db: httpx.AsyncClient, place: str) -> None:
    await added(db, "ada")
    await db.post(f"{D}/branches", json={"branch": "trial", "from": "main"})
    for verb in ("GET", "DELETE"):
        problem(await db.request(verb, f"{D}/{place}%0A"), 404, "INVALID_REQUEST")
    assert (await db.get(f"{D}/{place}")).status_code == 200


@pytest.mark.parametrize("place", [D, f"{D}/branches/main", f"{D}/ontology", f"{D}/documents/Person/ada"])
async def test_a_read_whose_etag_is_known_is_not_modified(db: httpx.AsyncClient, place: str) -> None:
    await added(db, "ada")
    etag = (await db.get(place)).headers["etag"]
    for known in (etag, f"W/{etag}", f'"x", {etag}', "*"):
        answer = await db.get(place, headers={"if-none-match": known})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
    assert (await db.get(place, headers={"if-none-match": '"x"'})).status_code == 200


async def test_a_put_inserts_replaces_or_does_either_as_its_headers_say(db: httpx.AsyncClient) -> None:
    ada = f"{D}/documents/Person/ada"
    missing = await db.put(ada, json=person("ada"), headers={"if-match": "*"})
    problem(missing, 404, "DOCUMENT_NOT_FOUND", "id")
    first = await db.put(ada, json=person("ada"), headers={"if-none-match": "*"})
    assert first.status_code == 200
    exists = await db.put(ada, json=person("ada", count=1), headers={"if-none-match": "*"})
    problem(exists, 409, "DOCUMENT_ALREADY_EXISTS", "id")
    second = await db.put(ada, json=person("ada", count=1), headers={"if-match": first.headers["etag"]})
    assert second.status_code == 200
    for verb, body in (("PUT", person("ada", count=2)), ("PATCH", {"count": 2}), ("DELETE", None)):
        stale = await db.request(verb, ada, json=body, headers={"if-match": first.headers["etag"]})
        problem(stale, 409, "ETAG_MISMATCH", "etag")
    assert (await db.get(ada)).headers["etag"] == second.headers["etag"]


async def test_a_put_to_another_documents_address_is_refused(db: httpx.AsyncClient) -> None:
    answer = await db.put(f"{D}/documents/Person/ada", json=person("bob") | {"@id": "Person/bob"})
    told = problem(answer, 400, "INVALID_DOCUMENT_ID", "@id")
    assert told["metadata"]["expected"] == "Person/ada"


async def test_an_idempotency_key_makes_a_write_happen_once(db: httpx.AsyncClient) -> None:
    key = {"idempotency-key": "one"}
    first = await db.post(f"{D}/documents", json=person("ada"), headers=key)
    again = await db.post(f"{D}/documents", json=person("ada"), headers=key)
    assert (again.status_code, again.json()) == (201, first.json())
    other = await db.post(f"{D}/documents", json=person("bob"), headers=key)
    problem(other, 400, "REQUEST_ID_REUSED", "request_id")
    assert len((await db.get(f"{D}/documents")).json()["documents"]) == 1


async def test_a_listing_goes_on_by_its_token_at_the_commit_it_began_with(db: httpx.AsyncClient) -> None:
    for name in ("ada", "bob", "cy"):
        await added(db, name)
    first = (await db.get(f"{D}/documents", params={"type": "Person", "page_size": 2})).json()
    await added(db, "dee")
    params = {"type": "Person", "page_size": 2, "page_token": first["next_page_token"]}
    second = (await db.get(f"{D}/documents", params=params)).json()
    assert [each["id"] for each in first["documents"] + second["documents"]] == [
        "Person/ada",
        "Person/bob",
        "Person/cy",
    ]
    assert (second["commit"], second["next_page_token"]) == (first["commit"], "")
    batch = (await db.post(f"{D}/documents:batchGet", json={"ids": ["Person/x", "Person/cy"], "ref": "main"})).json()
    assert ([each["id"] for each in batch["documents"]], batch["missing_ids"]) == (["Person/cy"], ["Person/x"])


async def test_an_ontology_is_read_extended_cut_and_replaced(db: httpx.AsyncClient) -> None:
    def classes(answer: httpx.Response) -> list[str]:
        return [each["@id"] for each in answer.json()["schema"] if "@id" in each]

    before = await db.get(f"{D}/ontology")
    assert classes(before) == ["Note", "Person"]
    place = {"@type": "Class", "@id": "Place", "@key": {"@type": "Random"}}
    match = {"if-match": before.headers["etag"]}
    assert (await db.patch(f"{D}/ontology", json=[place], headers=match)).status_code == 200
    problem(await db.patch(f"{D}/ontology", json=[], headers=match), 409, "ETAG_MISMATCH", "ontology.expected_digest")
    changed = await db.patch(f"{D}/ontology", params=[("remove", "Note"), ("remove", "Place")], json=[])
    assert changed.status_code == 200
    assert classes(await db.get(f"{D}/ontology")) == ["Person"]
    assert (await db.put(f"{D}/ontology", params={"message": "all new"}, json=[NOTE])).status_code == 200
    assert classes(await db.get(f"{D}/ontology")) == ["Note"]
    assert classes(await db.get(f"{D}/ontology", params={"ref": "main~"})) == ["Person"]


async def test_a_class_is_read_as_json_schema_and_not_again_where_the_caller_knows_it(db: httpx.AsyncClient) -> None:
    found = await db.get(f"{D}/ontology/classes/Person/schema")
    assert found.json()["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert found.json()["$defs"]["Person"]["properties"]["name"] == {"type": "string"}
    known = {"if-none-match": found.headers["etag"]}
    again = await db.get(f"{D}/ontology/classes/Person/schema", headers=known)
    assert (again.status_code, again.content) == (304, b"")
    problem(await db.get(f"{D}/ontology/classes/Persn/schema"), 400, "UNKNOWN_CLASS", "class_name")


async def test_a_commit_holds_every_operation_and_the_ontology(db: httpx.AsyncClient) -> None:
    await added(db, "ada")
    await added(db, "bob")
    etag = (await added(db, "cy")).json()["etag"]
    place = {"@type": "Class", "@id": "Place", "@key": {"@type": "Lexical", "@fields": ["name"]}, "name": "xsd:string"}
    request = {
        "operations": [
            {"insert": {"body": {"@type": "Place", "name": "rome"}}},
            {"replace": {"body": person("cy", count=3), "etag": etag}},
            {"put": {"body": person("dee")}},
            {"update": {"id": "Person/ada", "patch": {"count": 1, "weight": 2}, "update_mask": ["count"]}},
            {"delete": {"id": "Person/bob"}},
        ],
        "ontology": {"schema": [place], "mode": "upsert"},
        "message": "all at once",
        "metadata": {"ticket": "12"},
        "expected_head": (await db.get(f"{D}/branches/main")).json()["head"],
    }
    tried = await db.post(f"{D}/commits", json=request | {"validate_only": True})
    assert (tried.status_code, tried.json()["commit"]["id"]) == (200, "")
    made = await db.post(f"{D}/commits", json=request)
    assert made.status_code == 201
    results = made.json()["results"]
    assert [each["id"] for each in results] == ["Place/rome", "Person/cy", "Person/dee", "Person/ada", "Person/bob"]
    assert [bool(each["etag"]) for each in results] == [True, True, True, True, False]
    assert "weight" not in (await db.get(f"{D}/documents/Person/ada")).json()
    problem(await db.post(f"{D}/commits", json=request), 409, "STALE_HEAD", "expected_head")

    shown = await db.get(made.headers["location"])
    assert shown.json() == made.json()["commit"]
    assert TIME.fullmatch(shown.json()["create_time"])
    assert (shown.json()["author"], shown.json()["metadata"]) == ("user:ana", {"ticket": "12"})
    assert shown.json()["trace_id"] == made.headers["x-ontomesh-trace-id"]
    assert (await db.get(f"{D}/refs/main")).json() == {"commit": shown.json(), "branch": "main"}
    log = (await db.get(f"{D}/commits", params={"ref": "main", "page_size": 2})).json()["commits"]
    assert [log[0], log[0]["parents"]] == [shown.json(), [log[1]["id"]]]


@pytest.mark.parametrize(
    ("request_body", "field"),
    [
        ({"operations": [], "mesage": ""}, "mesage"),
        ({"operations": {}}, "operations"),
        ({"operations": [3]}, "operations[0]"),
        ({"operations": [{}]}, "operations[0]"),
        ({"operations": [{"insert": {"body": {}}, "delete": {"id": "x"}}]}, "operations[0]"),
        ({"operations": [{"upsert": {}}]}, "operations[0]"),
        ({"operations": [{"insert": {}}]}, "operations[0].insert.body"),
        ({"operations": [{"insert": {"body": {}, "etag": ""}}]}, "operations[0].insert.etag"),
        ({"operations": [{"delete": {"id": 3}}]}, "operations[0].delete.id"),
        (
            {"operations": [{"update": {"id": "x", "patch": {}, "update_mask": [1]}}]},
            "operations[0].update.update_mask[0]",
        ),
        ({"ontology": []}, "ontology"),
        ({"ontology": {"schema": [], "mode": "merge"}}, "ontology.mode"),
        ({"ontology": {"schema": [], "digest": ""}}, "ontology.digest"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"validate_only": "yes"}, "validate_only"),
    ],
)
async def test_what_a_commit_does_not_have_is_refused_by_its_path(
    db: httpx.AsyncClient, request_body: dict[str, Any], field: str
) -> None:
    problem(await db.post(f"{D}/commits", json=request_body), 400, "INVALID_REQUEST", field)


async def test_a_refused_document_is_told_by_the_contracts_path_and_on_its_own_route_by_its_property(
    db: httpx.AsyncClient,
) -> None:
    await added(db, "ada")
    wrong = person("bob", count="x")
    operations = [{"put": {"body": person("cy")}}, {"insert": {"body": wrong}}]
    in_commit = await db.post(f"{D}/commits", json={"operations": operations})
    problem(in_commit, 400, "SCHEMA_VIOLATION", "operations[1].insert.body.count")
    problem(await db.post(f"{D}/documents", json=wrong), 400, "SCHEMA_VIOLATION", "count")
    assert [each["id"] for each in (await db.get(f"{D}/documents")).json()["documents"]] == ["Person/ada"]


async def test_a_merge_reports_its_conflicts_and_is_made_once_they_are_resolved(db: httpx.AsyncClient) -> None:
    await added(db, "ada", count=1, weight=1)
    await db.post(f"{D}/branches", json={"branch": "trial", "from": "main"})
    ada = f"{D}/documents/Person/ada"
    await db.patch(ada, content='{"weight":1.00000000000000000000001,"count":2}')
    await db.patch(ada, params={"branch": "trial"}, json={"weight": 3, "count": 3})

    asked = {"source": "trial", "branch": "main"}
    refused = (await db.post(f"{D}/merges", json=asked)).json()
    assert (refused["outcome"], refused["commit"], refused["conflict_count"]) == ("conflicts", None, 2)
    sides = {"ours": refused["ours_commit"], "theirs": refused["theirs_commit"]}
    answer = await db.get(f"{D}/conflicts", params={name: f"commit:{id}" for name, id in sides.items()})
    assert answer.json()["conflicts"] == refused["conflicts"]
    assert '"ours":1.00000000000000000000001,"theirs":3' in answer.text
    assert [(each["id"], each["property"], each["kind"]) for each in refused["conflicts"]] == [
        ("Person/ada", "count", "both_changed"),
        ("Person/ada", "weight", "both_changed"),
    ]

    settled = (
        '[{"id":"Person/ada","property":"count","side":"theirs"},'
        '{"id":"Person/ada","property":"weight","value":2.00000000000000000000002}]'
    )
    merged = await db.post(
        f"{D}/merges", content=f'{{"source":"trial","branch":"main","resolutions":{settled},"message":"both"}}'
    )
    assert merged.json()["outcome"] == "merged"
    assert merged.json()["commit"]["parents"] == [sides["ours"], sides["theirs"]]
    assert '"count":3,"name":"ada","weight":2.00000000000000000000002}' in (await db.get(ada)).text
    assert (await db.post(f"{D}/merges", json=asked)).json()["outcome"] == "up_to_date"

    own_line = (await db.get(f"{D}/commits", params={"first_parent": True})).json()["commits"]
    everything = (await db.get(f"{D}/commits")).json()["commits"]
    assert len(everything) == len(own_line) + 1
    diff = (await db.get(f"{D}/diff", params={"base": "trial", "target": "main"})).json()
    assert diff["documents"][0]["properties"] == [{"name": "weight", "before": 3, "after": 2.0}]
    assert "body" not in diff["documents"][0]["before"]


@pytest.mark.parametrize(
    ("request_body", "field"),
    [
        ({"source": "trial", "strategy": "mine"}, "strategy"),
        ({"source": "trial", "resolutions": [{"id": "x"}]}, "resolutions[0]"),
        ({"source": "trial", "resolutions": [{"id": "x", "side": 1}]}, "resolutions[0].side"),
        ({"source": "trial", "resolutions": [{"id": "x", "side": "ours", "value": 1}]}, "resolutions[0].value"),
        ({"sauce": "trial"}, "sauce"),
    ],
)
async def test_what_a_merge_does_not_have_is_refused_by_its_path(
    db: httpx.AsyncClient, request_body: dict[str, Any], field: str
) -> None:
    problem(await db.post(f"{D}/merges", json=request_body), 400, "INVALID_REQUEST", field)


async def test_a_verification_is_a_stream_of_reports_that_ends_when_done(db: httpx.AsyncClient) -> None:
    await added(db, "ada")
    async with db.stream("GET", f"{D}/verify", params={"ref": "main"}) as answer:
        assert answer.headers["content-type"] == "application/x-ndjson"
        reports = [json.loads(line) async for line in answer.aiter_lines()]
    assert [report["done"] for report in reports] == [False] * (len(reports) - 1) + [True]
    assert (reports[-1]["commits"], reports[-1]["total_commits"]) == (3, 3)
    assert not any(report["problems"] for report in reports)
    problem(await db.get(f"{D}/verify", params={"ref": "none"}), 404, "BRANCH_NOT_FOUND")


async def test_requests_that_no_route_reads_are_problems_too(db: httpx.AsyncClient) -> None:
    problem(await db.get("/v1/none"), 404, "INVALID_REQUEST")
    problem(await db.post(D, json={}), 405, "INVALID_REQUEST")
    problem(await db.get(f"{D}/documents", params={"page_size": "many"}), 400, "INVALID_REQUEST", "page_size")
    problem(await db.post("/v1/databases", content=b"{"), 400, "MALFORMED_BODY", "body")
    problem(await db.post("/v1/databases", json=[]), 400, "MALFORMED_BODY", "body")
    problem(await db.post("/v1/databases", json={"name": "e", "etag": ""}), 400, "INVALID_REQUEST", "etag")
    stranger = await db.get(D, headers={"authorization": ""})
    problem(stranger, 401, "TOKEN_MISSING")
    assert stranger.headers["www-authenticate"] == "Bearer"


async def test_the_openapi_document_tells_of_every_route_by_example(http: httpx.AsyncClient) -> None:
    told = (await http.get("/openapi.json", headers={"authorization": ""})).json()
    assert "Problem" in told["components"]["schemas"]
    operations = {
        f"{verb.upper()} {path}": operation
        for path, verbs in told["paths"].items()
        for verb, operation in verbs.items()
        if path.startswith("/v1/")
    }
    assert len(operations) == 46
    for name, operation in operations.items():
        assert operation["tags"], name
        assert operation["summary"], name
        assert operation["security"] == [{"bearer": []}], name
        refused = operation["responses"]["default"]["content"]["application/problem+json"]
        assert refused["schema"] == {"$ref": "#/components/schemas/Problem"}, name
        if name.split()[0] in ("POST", "PUT", "PATCH"):
            (content,) = operation["requestBody"]["content"].values()
            assert content["example"], name
        (status,) = {"200", "201", "204"} & set(operation["responses"])
        if status != "204":
            contents = operation["responses"][status]["content"].values()
            assert all(content["example"] for content in contents), name


async def test_the_openapi_documents_requests_can_be_sent(http: httpx.AsyncClient) -> None:
    paths = (await http.get("/openapi.json")).json()["paths"]

    async def sent(verb: str, path: str, **names: str) -> httpx.Response:
        (content,) = paths[f"/v1/databases{path}"][verb]["requestBody"]["content"].values()
        address = "/v1/databases" + path.format(database="catalog", **names)
        return (await http.request(verb, address, json=content["example"])).raise_for_status()

    people = "/v1/databases/catalog/documents"
    await sent("post", "")
    await sent("patch", "/{database}")
    await sent("put", "/{database}/ontology")
    await sent("post", "/{database}/documents")
    for name in ("bob", "eve"):
        (await http.post(people, json=person(name))).raise_for_status()
    await sent("post", "/{database}/branches")
    await sent("put", "/{database}/documents/{id}", id="Person/ada")
    await sent("patch", "/{database}/documents/{id}", id="Person/ada")
    theirs = {"nick": "Enchantress of Number"}
    (await http.patch(f"{people}/Person/ada", params={"branch": "trial"}, json=theirs)).raise_for_status()
    await sent("post", "/{database}/commits")
    assert (await sent("post", "/{database}/merges")).json()["outcome"] == "merged"
    batch = (await sent("post", "/{database}/documents:batchGet")).json()
    assert [each["body"].get("nick") for each in batch["documents"]] == ["Enchantress of Number", "Bobby"]
    await sent("patch", "/{database}/ontology")


async def test_a_validator_is_put_found_counted_and_deleted(db: httpx.AsyncClient) -> None:
    url = "/v1/validators/grown"
    match = {"databases": ["d"], "classes": ["Person"]}
    rule = {"rule": "immutable", "parameters": {"properties": "count"}}
    made = await db.put(url, json={"match": match, "builtin": rule, "deadline_ms": 250, "order": -1})
    assert made.status_code == 200, made.text
    told = made.json()
    assert told["match"] == {"databases": ["d"], "branches": [], "classes": ["Person"], "paths": []}
    assert (told["builtin"], told["deadline_ms"], told["order"], told["failure_policy"]) == (rule, 250, -1, "reject")
    assert made.headers["etag"] == f'"{told["etag"]}"'
    assert (await db.get("/v1/validators")).json() == {"validators": [told], "next_page_token": ""}

    await added(db, "ada", count=1)
    changed = await db.patch(f"{D}/documents/Person/ada", json={"count": 2})
    rejected = problem(changed, 409, "COMMIT_REJECTED", "Person/ada.count")
    assert rejected["metadata"] == {"validators": "grown"}
    assert rejected["violations"][0]["description"] == "grown: may not change once it is set"
    found = await db.get(url)
    assert {name: found.json()[name] for name in ("calls", "rejections", "failures", "circuit_open")} == {
        "calls": 2,
        "rejections": 1,
        "failures": 0,
        "circuit_open": False,
    }

    problem(
        await db.put(url, json={"builtin": rule}, headers={"if-match": '"0"'}), 409, "ETAG_MISMATCH", "validator.etag"
    )
    problem(await db.put(url, json={"builtin": rule, "name": "x"}), 400, "INVALID_REQUEST", "validator.name")
    problem(await db.put(url, json={"builtin": {"rule": 7}}), 400, "INVALID_REQUEST", "validator.builtin.rule")
    assert (await db.delete(url, headers={"if-match": made.headers["etag"]})).status_code == 204
    problem(await db.get(url), 404, "VALIDATOR_NOT_FOUND")
    assert (await db.patch(f"{D}/documents/Person/ada", json={"count": 2})).status_code == 200
