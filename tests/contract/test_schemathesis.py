"""No request that its own descriptions allow, or nearly, makes the HTTP and GraphQL doors fail: schemathesis draws them."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import httpx
import hypothesis.strategies as st
import pytest
import pytest_asyncio
import requests
import schemathesis
from graphql import get_introspection_query
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.graphql import nodes

from tests.contract.doors import doors_of
from tests.contract.inprocess import EFFORT
from tests.contract.serving import Serving, serving
from tests.contract.world import DB, NEEDS, build

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("contract-schemathesis")]

EXAMPLES = 5 * EFFORT
"""Requests of each operation that its description allows, and as many that it forbids."""
GRAPHQL_EXAMPLES = 40 * EFFORT
SECONDS = 40 * EFFORT
"""The most that each of the runs takes."""

schemathesis.graphql.scalar("JSON", st.text().map(nodes.String))
for _name in ("Long", "Integer", "Decimal"):
    schemathesis.graphql.scalar(_name, st.integers().map(str).map(nodes.String))
for _name in ("DateTime", "Date", "Time", "Duration"):
    schemathesis.graphql.scalar(_name, st.sampled_from(["2026-11-20", "10:00:00", "P1D", ""]).map(nodes.String))


@schemathesis.serializer("application/x-ndjson")
def _lines(_context: object, value: object) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kernel(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Serving]:
    """A kernel with documents, branches and conflicts."""
    home = tmp_path_factory.mktemp("schemathesis")
    async with serving(home, ONTOMESH_LOG_LEVEL="WARNING", **NEEDS) as running, doors_of(running) as doors:
        await build(running, doors)
        yield running


def _try(strategy: st.SearchStrategy[Any], send: Callable[[Any], int], examples: int, until: float) -> None:
    """Send what is drawn, the same at every run; what would come too late is left out."""

    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy)
    def run(case: Any) -> None:
        if time.monotonic() < until:
            assert send(case) < 500

    run()


async def test_no_request_of_the_openapi_document_fails_the_http_door(kernel: Serving) -> None:
    headers = {"authorization": f"Bearer {kernel.token()}"}
    async with httpx.AsyncClient(base_url=kernel.http) as http:
        document = (await http.get("/openapi.json")).json()
    _place(document)
    tried = await asyncio.to_thread(_try_operations, document, kernel.http, headers)
    assert tried >= EXAMPLES * len(document["paths"])
    await _still_serves(kernel)


async def test_no_query_of_the_schema_fails_the_graphql_door(kernel: Serving) -> None:
    headers = {"authorization": f"Bearer {kernel.token()}"}
    place = f"{kernel.http}/v1/databases/{DB}/graphql"
    async with httpx.AsyncClient(headers=headers) as http:
        told = (await http.post(place, json={"query": get_introspection_query()})).json()["data"]
    tried = await asyncio.to_thread(_try_queries, told, place, headers)
    assert tried >= GRAPHQL_EXAMPLES
    await _still_serves(kernel)


def _try_operations(document: dict[str, Any], base_url: str, headers: dict[str, str]) -> int:
    tried = 0
    until = time.monotonic() + SECONDS

    with requests.Session() as session:

        def send(case: Any) -> int:
            nonlocal tried
            tried += 1
            answer = case.call(base_url=base_url, headers=headers, session=session)
            return int(answer.status_code)

        for found in schemathesis.openapi.from_dict(document).get_all_operations():
            operation = _described(found)
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                # An operation that takes anything, or nothing, has no request that its description forbids.
                with suppress(Unsatisfiable):
                    _try(operation.as_strategy(mode), send, EXAMPLES, until)
    return tried


def _try_queries(schema: dict[str, Any], place: str, headers: dict[str, str]) -> int:
    tried = 0
    until = time.monotonic() + SECONDS

    with requests.Session() as session:

        def send(case: Any) -> int:
            nonlocal tried
            tried += 1
            answer = session.post(place, json={"query": case.body}, headers=headers, timeout=20)
            return answer.status_code

        operations = [_described(found) for found in schemathesis.graphql.from_dict(schema).get_all_operations()]
        for operation in operations:
            _try(operation.as_strategy(), send, GRAPHQL_EXAMPLES, until)
    return tried


def _described(found: Any) -> Any:
    """An operation that the document describes well; whatever else was found fails the test."""
    return found.ok()


def _place(document: dict[str, Any]) -> None:
    """Have most parameters name what there is: drawn freely they are nearly always unknown."""
    for path, operations in document["paths"].items():
        for verb, operation in operations.items():
            for parameter in operation.get("parameters", ()):
                if parameter["name"] == "database" and (verb, path) != ("delete", "/v1/databases/{database}"):
                    parameter["schema"] = {"type": "string", "enum": [DB]}
                elif parameter["name"] in ("ref", "base", "target", "ours", "theirs"):
                    refs = {"type": "string", "enum": ["main", "main~", "ours", "feature/x"]}
                    parameter["schema"] = {"anyOf": [refs, {"type": "string"}]}
                elif parameter["name"] == "type" and parameter["schema"].get("type") == "string":
                    classes = {"type": "string", "enum": ["Person", "Note", "Being"]}
                    parameter["schema"] = {"anyOf": [classes, {"type": "string"}]}


async def _still_serves(kernel: Serving) -> None:
    async with httpx.AsyncClient(base_url=kernel.http) as http:
        assert (await http.get("/readyz")).status_code == 200
    assert [line for line in kernel.logged() if line["level"] in ("ERROR", "CRITICAL")] == []
