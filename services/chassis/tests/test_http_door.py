from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from services.chassis.tests.running import Running, bearer

TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def headers(home: Path) -> dict[str, str]:
    return dict(bearer(home))


async def test_a_call_has_the_same_context_as_on_the_grpc_door(echo: Running, headers: dict[str, str]) -> None:
    response = await echo.http.get(
        "/v1/echo/whoami",
        headers={
            **headers,
            "traceparent": f"00-{TRACE}-b7ad6b7169203331-00",
            "x-request-id": "r1",
            "x-ontomesh-branch": "dev",
        },
    )
    assert response.json()["text"] == f"user:ana {TRACE} r1 dev"
    assert response.headers["x-ontomesh-trace-id"] == TRACE


async def test_probes_metrics_and_documentation_need_no_token(echo: Running) -> None:
    for path in ("/livez", "/readyz", "/metrics", "/docs", "/openapi.json"):
        response = await echo.http.get(path)
        assert response.status_code == 200, path
        assert response.headers["x-ontomesh-trace-id"]


@pytest.mark.parametrize(
    ("path", "status", "code", "reason"),
    [
        ("/v1/echo/raise%20missing", 404, "NOT_FOUND", "THING_MISSING"),
        ("/v1/echo/raise%20busy", 503, "UNAVAILABLE", "THING_BUSY"),
        ("/v1/echo/raise%20other", 500, "INTERNAL", "INTERNAL"),
        ("/v1/echo/require%20admin%20x%20y", 200, "", ""),
        ("/v1/nothing", 404, "NOT_FOUND", "INVALID_REQUEST"),
        ("/v1/items", 405, "UNIMPLEMENTED", "INVALID_REQUEST"),
        ("/v1/echo/a?limit=many", 400, "INVALID_ARGUMENT", "INVALID_REQUEST"),
    ],
)
async def test_errors_are_problem_json(
    echo: Running, headers: dict[str, str], path: str, status: int, code: str, reason: str
) -> None:
    response = await echo.http.get(path, headers=headers)
    assert response.status_code == status
    if status == 200:
        return
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert (problem["status"], problem["code"], problem["reason"]) == (status, code, reason)
    assert problem["type"] == f"urn:ontomesh:reason:{reason}"
    assert problem["trace_id"] == response.headers["x-ontomesh-trace-id"]
    assert problem.keys() == {
        "type",
        "title",
        "status",
        "detail",
        "code",
        "reason",
        "violations",
        "metadata",
        "trace_id",
    }
    assert "secret" not in response.text


async def test_a_refusal_says_when_a_retry_helps_and_which_methods_there_are(
    echo: Running, headers: dict[str, str]
) -> None:
    assert (await echo.http.get("/v1/echo/raise%20busy", headers=headers)).headers["retry-after"] == "2"
    assert (await echo.http.get("/v1/items", headers=headers)).headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"items": [{"name": "fine"}, {"name": "too long"}]}', "items[1].name"),
        (b'{"items": [{}]}', "items[0].name"),
        (b'{"items": {}}', "items"),
        (b'{"items": ', "body"),
        (b"\xff\xfe", "body"),
        (b"[]", "body"),
        (b"", "body"),
    ],
)
async def test_a_bad_body_names_the_field(echo: Running, headers: dict[str, str], body: bytes, field: str) -> None:
    response = await echo.http.post("/v1/items", content=body, headers={**headers, "content-type": "application/json"})
    problem = response.json()
    assert (response.status_code, problem["reason"]) == (400, "INVALID_REQUEST")
    assert [violation["field"] for violation in problem["violations"]] == [field]


@pytest.mark.parametrize("announced", [True, False])
async def test_an_oversize_body_is_refused_announced_or_not(
    echo: Running, headers: dict[str, str], announced: bool
) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(101):
            yield b" " * 1000

    response = await echo.http.post(
        "/v1/items",
        content=b" " * 100_001 if announced else parts(),
        headers={**headers, "content-type": "application/json"},
    )
    problem = response.json()
    assert (response.status_code, problem["code"], problem["reason"]) == (413, "RESOURCE_EXHAUSTED", "TOO_LARGE")
    assert problem["metadata"]["limit"] == "100000"


async def test_the_openapi_document_tells_of_the_token_and_of_problems(echo: Running) -> None:
    document = (await echo.http.get("/openapi.json")).json()
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    operation = document["paths"]["/v1/items"]["post"]
    assert operation["security"] == [{"bearer": []}]
    assert list(operation["responses"]["default"]["content"]) == ["application/problem+json"]
    assert "422" not in operation["responses"]
    assert "security" not in document["paths"]["/livez"]["get"]
    assert "HTTPValidationError" not in document["components"]["schemas"]


async def test_readiness_names_what_fails(echo: Running) -> None:
    async def check() -> None:
        raise RuntimeError("password 42")

    echo.health.add_check("store", check)
    response = await echo.http.get("/readyz")
    assert (response.status_code, response.json()) == (503, {"status": "not ready", "failing": ["store"]})


async def test_metrics_count_calls_by_method_and_code_of_both_doors(echo: Running, headers: dict[str, str]) -> None:
    await echo.unary("a", (("authorization", headers["authorization"]),))
    await echo.refused("raise missing", (("authorization", headers["authorization"]),))
    await echo.http.get("/v1/echo/a", headers=headers)
    await echo.http.get("/v1/echo/raise%20missing", headers=headers)
    await echo.http.request("BREW", "/v1/echo/a")
    text = (await echo.http.get("/metrics")).text
    for line in (
        'ontomesh_calls_total{code="OK",door="grpc",method="test.v1.Echo/Unary"} 1.0',
        'ontomesh_calls_total{code="NOT_FOUND",door="grpc",method="test.v1.Echo/Unary"} 1.0',
        'ontomesh_calls_total{code="OK",door="http",method="GET /v1/echo/{text}"} 1.0',
        'ontomesh_calls_total{code="NOT_FOUND",door="http",method="GET /v1/echo/{text}"} 1.0',
        'ontomesh_calls_total{code="UNAUTHENTICATED",door="http",method="OTHER unmatched"} 1.0',
        'ontomesh_call_seconds_count{door="grpc",method="test.v1.Echo/Unary"} 2.0',
    ):
        assert line in text
