"""Types of events with real servers: NATS, gateways and a kernel."""

import asyncio
import json
import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from grpc import StatusCode, aio

from ontomesh.events.v1 import error_reason_pb2, event_type_service_pb2, publish_service_pb2, subscription_pb2
from ontomesh.sdk import AsyncDatabase, connect
from tests.contract.serving import Serving, serving
from tests.events.serving import Nats, ServingGateway, serving_gateway, token_of
from tests.events.stubs import Events, event

ORDER = {
    "type": "object",
    "required": ["price"],
    "properties": {"price": {"type": "number"}},
    "additionalProperties": False,
}
PERSON = {"@type": "Class", "@id": "Person", "name": "xsd:string"}
CHILD = {"@type": "Class", "@id": "Child", "@inherits": "Person", "age": "xsd:unsignedByte"}
STORED = publish_service_pb2.PublishResult.OUTCOME_STORED
REFUSED = publish_service_pb2.PublishResult.OUTCOME_REFUSED
SPOOLED = publish_service_pb2.PublishResult.OUTCOME_SPOOLED
FAILED = publish_service_pb2.PublishResult.OUTCOME_FAILED


@asynccontextmanager
async def calling(gateway: ServingGateway, *rights: str) -> AsyncIterator[Events]:
    events = Events(gateway.grpc, gateway.token(rights=list(rights) or None))
    try:
        yield events
    finally:
        await events.close()


async def put(events: Events, name: str, **fields: Any) -> event_type_service_pb2.EventType:
    made = event_type_service_pb2.EventType(name=name, **fields)
    request = event_type_service_pb2.PutEventTypeRequest(event_type=made)
    answer = await events.types.PutEventType(request, metadata=events.metadata, timeout=10)
    assert isinstance(answer, event_type_service_pb2.PutEventTypeResponse)
    return answer.event_type


def class_of(name: str) -> event_type_service_pb2.ClassSchema:
    return event_type_service_pb2.ClassSchema(database="catalog", name=name)


async def outcome(events: Events, type: str, data: Any, **more: Any) -> tuple[int, str, dict[str, str]]:
    (result,) = await events.publish([event(secrets.token_hex(8), type, data=data, **more)])
    reason = error_reason_pb2.ErrorReason.Name(result.error.reason).removeprefix("ERROR_REASON_")
    return result.outcome, reason, {each.field: each.description for each in result.error.violations}


async def until_outcome(events: Events, type: str, data: Any, wanted: int, seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while (await outcome(events, type, data))[0] != wanted:  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.05)


@asynccontextmanager
async def catalog(kernel: Serving) -> AsyncIterator[AsyncDatabase]:
    async with connect(kernel.grpc, token=kernel.token(), home=kernel.home) as mesh:
        await mesh.databases.create("catalog")
        database = mesh.database("catalog")
        await database.apply_ontology([PERSON, CHILD])
        yield database


def with_kernel(kernel: Serving) -> dict[str, str]:
    """The settings of a gateway that asks a kernel; its token is in the home folder."""
    token = token_of(kernel.home, "service:event-gateway", ["read"])
    (kernel.home / "gateway.token").write_text(token)
    (kernel.home / "gateway.token").chmod(0o600)
    return {"ONTOMESH_KERNEL_ADDRESS": kernel.grpc}


async def test_data_are_checked_against_the_schema_of_their_type(gateway: ServingGateway) -> None:
    async with calling(gateway) as events:
        assert (await outcome(events, "shop.order", {"price": "a"}))[0] == STORED
        made = await put(events, "shop.order", json_schema=json.dumps(ORDER), description="An order")
        assert (made.author, bool(made.etag), made.HasField("update_time")) == ("user:ana", True, True)
        results = await events.publish(
            [
                event("1", "shop.order", data={"price": 1}),
                event("2", "shop.order", data={"price": "a", "odd": 1}),
                event("3", "shop.order", data=b"{"),
                event("4", "shop.other", data=b"{"),
                event("5", "shop.order", data={"price": 2}),
            ]
        )
        assert [result.outcome for result in results] == [STORED, REFUSED, REFUSED, STORED, STORED]
        assert results[1].error.reason == error_reason_pb2.ERROR_REASON_DATA_VIOLATION
        assert {each.field: each.description for each in results[1].error.violations} == {
            "data.price": 'is not of type "number"',
            "data.odd": "is not expected",
        }
        await events.types.DeleteEventType(
            event_type_service_pb2.DeleteEventTypeRequest(name="shop.order", etag=made.etag),
            metadata=events.metadata,
        )
        assert (await outcome(events, "shop.order", {"price": "b"}))[0] == STORED


async def test_every_gateway_knows_of_a_type_within_a_second_and_after_it_began_again(
    gateway: ServingGateway, nats: Nats, tmp_path: Path
) -> None:
    other = serving_gateway(tmp_path / "other", nats)
    async with other as second, calling(gateway) as here, calling(second) as there:
        await put(here, "shop.order", json_schema=json.dumps(ORDER))
        await until_outcome(there, "shop.order", {"price": "a"}, REFUSED, seconds=1)
        await put(here, "shop.order", json_schema="true")
        await until_outcome(there, "shop.order", {"price": "a"}, STORED, seconds=1)
        await put(here, "shop.order", json_schema="false")
    async with serving_gateway(tmp_path / "third", nats) as third, calling(third) as events:
        assert (await outcome(events, "shop.order", {"price": 1}))[0] == REFUSED
    nats.kill()
    async with serving_gateway(tmp_path / "third", nats) as third, calling(third) as events:
        assert (await outcome(events, "shop.order", {"price": 1}))[0] == REFUSED
        assert (await outcome(events, "shop.other", {"price": 1}))[0] == SPOOLED
        await nats.start()
        await until_outcome(events, "shop.other", {"price": 1}, STORED, seconds=10)
        await put(events, "shop.order", json_schema="true")
        assert (await outcome(events, "shop.order", {"price": 1}))[0] == STORED


async def test_a_strict_gateway_takes_registered_types_alone(nats: Nats, tmp_path: Path) -> None:
    strict = serving_gateway(tmp_path / "home", nats, ONTOMESH_EVENTS_STRICT_TYPES="true")
    async with strict as gateway, calling(gateway) as events:
        assert await outcome(events, "shop.order", {}) == (
            REFUSED,
            "UNKNOWN_EVENT_TYPE",
            {"type": "'shop.order' is not registered"},
        )
        await put(events, "shop.order", json_schema="true")
        assert (await outcome(events, "shop.order", {}))[0] == STORED


async def test_the_data_of_a_class_are_its_documents_as_the_branch_has_it_now(nats: Nats, tmp_path: Path) -> None:
    async with serving(tmp_path / "home") as kernel, catalog(kernel) as database:
        settings = with_kernel(kernel)
        async with serving_gateway(kernel.home, nats, **settings) as gateway, calling(gateway) as events:
            made = await put(events, "shop.person", ontology_class=class_of("Person"))
            assert made.ontology_class.branch == "main"
            for good in ({"@type": "Person", "name": "ada"}, {"@type": "Child", "name": "bo", "age": 3}):
                assert (await outcome(events, "shop.person", good))[0] == STORED
            assert await outcome(events, "shop.person", {"@type": "Child", "name": 1, "age": 300}) == (
                REFUSED,
                "DATA_VIOLATION",
                {"data.name": 'is not of type "string"', "data.age": "is greater than the maximum of 255"},
            )
            with_nick = {"@type": "Person", "name": "ada", "nick": "countess"}
            assert (await outcome(events, "shop.person", with_nick))[0] == REFUSED
            await database.apply_ontology([{**PERSON, "nick": "xsd:string"}])
            await until_outcome(events, "shop.person", with_nick, STORED)
            assert (await outcome(events, "shop.person", {"@type": "Person", "name": "ada"}))[0] == REFUSED

            kernel.process.kill()
            await kernel.process.wait()
            assert (await outcome(events, "shop.person", with_nick))[0] == STORED
            assert (await outcome(events, "shop.person", {"@type": "Person"}))[0] == REFUSED
        # A gateway that never knew the class lets its events wait until the kernel is back.
        async with serving_gateway(kernel.home, nats, **settings) as gateway, calling(gateway) as events:
            await until_outcome(events, "shop.person", with_nick, FAILED)
            assert (await outcome(events, "shop.person", with_nick))[1] == "SCHEMA_UNAVAILABLE"
            assert (await outcome(events, "shop.other", with_nick))[0] == STORED


@pytest.mark.parametrize(
    ("fields", "reason", "field"),
    [
        ({"name": ""}, "INVALID_REQUEST", "event_type.name"),
        ({"name": "ontomesh.x"}, "INVALID_REQUEST", "event_type.name"),
        ({"json_schema": ""}, "INVALID_REQUEST", "event_type.schema"),
        ({"json_schema": '{"type": 1}'}, "INVALID_SCHEMA", "event_type.json_schema.type"),
        ({"json_schema": "{}", "etag": "x"}, "ETAG_MISMATCH", "event_type.etag"),
        ({"json_schema": '"' + "x" * 2**18 + '"'}, "TOO_LARGE", "event_type.json_schema"),
        ({"ontology_class": class_of("Person")}, "INVALID_SCHEMA", "event_type.ontology_class"),
    ],
)
async def test_a_type_that_cannot_be_is_refused(
    gateway: ServingGateway, fields: dict[str, Any], reason: str, field: str
) -> None:
    async with calling(gateway) as events:
        with pytest.raises(aio.AioRpcError) as refused:
            await put(events, **{"name": "shop.order", **fields})
        details = refused.value.trailing_metadata()
        assert details is not None
        packed = b"".join(value for name, value in details if name == "grpc-status-details-bin")  # type: ignore[misc]
        assert reason.encode() in packed
        assert field.encode() in packed


async def test_only_those_who_administer_everything_register_types(gateway: ServingGateway) -> None:
    async with calling(gateway, "publish", "consume", "read", "admin:catalog") as events:
        with pytest.raises(aio.AioRpcError) as refused:
            await put(events, "shop.order", json_schema="true")
        assert refused.value.code() is StatusCode.PERMISSION_DENIED
        listed = await events.types.ListEventTypes(
            event_type_service_pb2.ListEventTypesRequest(), metadata=events.metadata
        )
        assert list(listed.event_types) == []


async def test_types_are_managed_over_http(gateway: ServingGateway) -> None:
    headers = {"authorization": f"Bearer {gateway.token()}"}
    async with httpx.AsyncClient(base_url=gateway.http, headers=headers) as http:
        place = "/v1/event-types/com.example/shop.order"
        made = await http.put(place, json={"json_schema": ORDER, "description": "An order"})
        assert made.status_code == 200
        assert (made.json()["json_schema"], made.json()["name"]) == (ORDER, "com.example/shop.order")
        found = await http.get(place)
        assert found.json() == made.json()
        assert [each["name"] for each in (await http.get("/v1/event-types")).json()["event_types"]] == [
            "com.example/shop.order"
        ]
        for body, field in (
            ({}, "json_schema"),
            ({"json_schema": {"type": 1}}, "json_schema.type"),
            ({"json_schema": True, "odd": 1}, "odd"),
            ({"json_schema": True, "description": 1}, "description"),
            ({"ontology_class": {"database": "a", "clas": ""}}, "ontology_class.clas"),
            ([], "body"),
        ):
            refused = await http.put(place, json=body)
            assert refused.status_code == 400
            assert [each["field"] for each in refused.json()["violations"]] == [field], refused.text
        stale = await http.put(place, json={"json_schema": True}, headers={"if-match": '"x"'})
        assert (stale.status_code, stale.json()["reason"]) == (409, "ETAG_MISMATCH")
        assert (await http.delete(place, headers={"if-match": found.headers["etag"]})).status_code == 204
        assert (await http.get(place)).json()["reason"] == "EVENT_TYPE_NOT_FOUND"
        built_in = await http.get("/v1/event-types/ontomesh.document.Person")
        assert "changed" in built_in.json()["json_schema"]["properties"]


async def run_cli(home: Path, gateway: str, *arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("ontomesh"),
        *arguments,
        env={"ONTOMESH_HOME": str(home), "ONTOMESH_EVENTS_ADDRESS": gateway, "NO_COLOR": "1", "COLUMNS": "200"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_a_schema_check_tells_which_subscriptions_and_types_would_break(nats: Nats, tmp_path: Path) -> None:
    async with serving(tmp_path / "home") as kernel, catalog(kernel):
        check = ("schema", "check", "--db", "catalog", "--address", kernel.grpc, json.dumps(PERSON), "--replace")
        async with serving_gateway(kernel.home, nats, **with_kernel(kernel)) as gateway, calling(gateway) as events:
            code, out, err = await run_cli(kernel.home, gateway.grpc, *check)
            assert (code, err) == (0, "")
            assert out.splitlines()[-1] == "no subscription and no event type would break"
            await events.create_subscription("children", filter=subscription_pb2.Filter(classes=["Person", "Child"]))
            await events.create_subscription(
                "ages", filter=subscription_pb2.Filter(classes=["Person"], paths=["name", "age"])
            )
            await events.create_subscription("else", filter=subscription_pb2.Filter(classes=["Person"]))
            await put(events, "shop.child", ontology_class=class_of("Child"))
            code, out, _ = await run_cli(kernel.home, gateway.grpc, *check)
            assert code == 1
            assert out.splitlines()[-4:] == [
                "! subscription ages of user:ana filter.paths[1]: Person.age would be gone",
                "! subscription children of user:ana filter.classes[1]: Child would be gone",
                "! event type shop.child of user:ana ontology_class.name: Child would be gone",
                "3 subscription or event types would break",
            ]
            code, out, _ = await run_cli(kernel.home, gateway.grpc, *check, "--json")
            assert (code, json.loads(out.splitlines()[-1])["event_type"]) == (1, "shop.child")
            code, out, _ = await run_cli(
                kernel.home,
                gateway.grpc,
                *("migrate", "--db", "catalog", "--address", kernel.grpc, "--rename-class", "Child=Kid", "--dry-run"),
            )
            assert code == 1
            assert "children of user:ana filter.classes[1]: Child would be gone" in out
        code, out, err = await run_cli(kernel.home, gateway.grpc, *check)
        assert code == 0
        assert "could not say which subscriptions would break" in err
        code, out, _ = await run_cli(
            kernel.home, "", "schema", "show", "--db", "catalog", "--address", kernel.grpc, "--json-schema", "Child"
        )
        assert json.loads(out)["$defs"]["Child"]["properties"]["age"]["maximum"] == 255
