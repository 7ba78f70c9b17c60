"""Every reason that the gateway refuses with, at both doors: its code, its exact fields and its metadata."""

import json
import re
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import httpx
import nats as nats_client
import pytest
import pytest_asyncio
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.rpc import error_details_pb2
from grpc import aio
from grpc_status import rpc_status

from ontomesh.events.v1 import (
    consume_service_pb2,
    dead_letter_service_pb2,
    event_type_service_pb2,
    subscription_pb2,
    subscription_service_pb2,
)
from ontomesh.events.v1.cloud_event_pb2 import CloudEvent
from ontomesh.events.v1.error_reason_pb2 import ErrorReason
from ontomesh.events.v1.publish_service_pb2 import PublishRequest, PublishResult
from ontomesh_event_gateway.doors.errors import TABLE
from tests.events.serving import Nats, ServingGateway, running_nats, serving_gateway
from tests.events.stubs import Events, event
from tests.events.test_publishing import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

PROTO = Path(__file__).parents[2] / "proto" / "ontomesh" / "events" / "v1" / "error_reason.proto"
STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
PROTOBUF = "application/cloudevents+protobuf"
JSON = "application/json"

STATUS = {
    "INVALID_ARGUMENT": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "ABORTED": 409,
    "FAILED_PRECONDITION": 409,
    "RESOURCE_EXHAUSTED": 413,  # TOO_LARGE; what passes is 429
    "UNAVAILABLE": 503,
}

ELSEWHERE = {
    "INTERNAL": "what the gateway has no answer for; the chassis' tests raise it",
    "NOT_REACHED": "of a single event, and no error of a call: tests/events/test_publishing.py",
    "DRAINING": "tests/events/test_publishing_failures.py ends a stream with it",
}


@dataclass(frozen=True)
class Refusal:
    """A refusal, whichever door it came from."""

    code: str
    reason: str
    fields: tuple[str, ...]
    metadata: Mapping[str, str]


@dataclass
class Scene:
    """A gateway with a subscription, a registered type and a stream whose beginning is gone; its kernel is away."""

    gateway: ServingGateway
    nats: Nats
    events: Events
    http: httpx.AsyncClient

    def other(self) -> Events:
        return Events(self.gateway.grpc, self.gateway.token("user:bob", ["publish:shop.*", "consume:*/bobs-*"]))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    folder = tmp_path_factory.mktemp("refusals")
    settings = {
        "ONTOMESH_EVENTS_MAX_BYTES": str(1 << 20),
        "ONTOMESH_SPOOL_MAX_BYTES": str(1 << 17),
        "ONTOMESH_KERNEL_ADDRESS": "127.0.0.1:1",
    }
    async with running_nats(folder / "nats") as nats, serving_gateway(folder / "home", nats, **settings) as gateway:
        events = Events(gateway.grpc, gateway.token())
        headers = {"authorization": f"Bearer {gateway.token()}"}
        async with httpx.AsyncClient(base_url=gateway.http, headers=headers, timeout=20) as http:
            built = Scene(gateway, nats, events, http)
            await _build(built)
            yield built
        await events.close()


async def _build(scene: Scene) -> None:
    await scene.events.create_subscription("mailer")
    schema = {"type": "object", "properties": {"price": {"type": "number"}}, "required": ["price"]}
    made = event_type_service_pb2.EventType(name="typed", json_schema=json.dumps(schema))
    await scene.events.types.PutEventType(
        event_type_service_pb2.PutEventTypeRequest(event_type=made), metadata=scene.events.metadata
    )
    assert scene.nats.token

    async def is_known() -> bool:
        asked = event_type_service_pb2.GetEventTypeRequest(name="typed")
        await scene.events.types.GetEventType(asked, metadata=scene.events.metadata)
        return True

    await until(is_known)


def refusal_of(error: aio.AioRpcError) -> Refusal:
    status = rpc_status.from_call(error)  # type: ignore[arg-type]
    assert status is not None
    fields: tuple[str, ...] = ()
    info = error_details_pb2.ErrorInfo()
    for detail in status.details:
        if detail.Is(error_details_pb2.BadRequest.DESCRIPTOR):
            bad = error_details_pb2.BadRequest()
            detail.Unpack(bad)
            fields = tuple(violation.field for violation in bad.field_violations)
        elif detail.Is(info.DESCRIPTOR):
            detail.Unpack(info)
    assert info.domain == "events.ontomesh"
    assert info.metadata["trace_id"]
    return Refusal(error.code().name, info.reason, fields, dict(info.metadata))


def refusal_in(answer: httpx.Response) -> tuple[int, Refusal]:
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json", problem
    reason = problem["reason"]
    fields = tuple(violation["field"] for violation in problem.get("violations", ()))
    return answer.status_code, Refusal(codes()[reason], reason, fields, problem.get("metadata", {}))


def codes() -> dict[str, str]:
    """The code of each reason, as the contract's comments say."""
    text = PROTO.read_text("utf-8")
    found = re.findall(r"// \[([A-Z_]+)\][^=]*?ERROR_REASON_([A-Z_]+) = ", text)
    return {reason: code for code, reason in found}


# --- events, one by one


@dataclass(frozen=True)
class Wrong:
    """An event that is refused, and how; it goes to both doors in the protobuf format."""

    name: str
    sent: CloudEvent
    fields: tuple[str, ...]
    reason: str = "INVALID_EVENT"


def with_values(**values: Any) -> CloudEvent:
    """An event with attributes, each by the kind that is named or as a text."""
    made = event("1", data=b"1")
    del made.attributes["datacontenttype"]
    for name, value in values.items():
        kind, one = value if isinstance(value, tuple) else ("ce_string", value)
        if kind == "ce_timestamp":
            made.attributes[name].ce_timestamp.seconds, made.attributes[name].ce_timestamp.nanos = one
        elif kind:
            setattr(made.attributes[name], kind, one)
        else:
            made.attributes[name].SetInParent()
    return made


def large(size: int) -> CloudEvent:
    return CloudEvent(id="1", source="/a", type="t", binary_data=b"x" * size)


def many(count: int) -> CloudEvent:
    return with_values(**{f"a{number}": ("ce_integer", number) for number in range(count)})


def typed(data: bytes, **attributes: str) -> CloudEvent:
    return event("1", "typed", data=data, **attributes)


WRONG = [
    Wrong("nothing", CloudEvent(), ("id", "source", "type")),
    Wrong("no id", event(""), ("id",)),
    Wrong("a long id", event("ü" * 513), ("id",)),
    Wrong("a control character in the id", event("a\x00b"), ("id",)),
    Wrong("a noncharacter in the id", event("a\uffff"), ("id",)),
    Wrong("no source", event("1", source=""), ("source",)),
    Wrong("a long source", event("1", source="/" + "a" * 1_024), ("source",)),
    Wrong("a source that is no reference", event("1", source="a b"), ("source",)),
    Wrong("half an escape in the source", event("1", source="/%2"), ("source",)),
    Wrong("no type", event("1", ""), ("type",)),
    Wrong("a long type", event("1", "t" * 257), ("type",)),
    Wrong("white space in the type", event("1", "a\u2003b"), ("type",)),
    Wrong("a version of before", CloudEvent(id="1", source="/a", type="t", spec_version="0.3"), ("spec_version",)),
    Wrong("an attribute's name with capitals", with_values(userId="a"), ("attributes.userId",)),
    Wrong("an attribute's name with a sign", with_values(user_id="a"), ("attributes.user_id",)),
    Wrong("an attribute without a name", with_values(**{"": "a"}), ("attributes.",)),
    Wrong("an attribute's name that is long", with_values(**{"a" * 21: "a"}), ("attributes." + "a" * 21,)),
    Wrong("an attribute that is a field", with_values(source="/b"), ("attributes.source",)),
    Wrong("data as an attribute", with_values(data="x"), ("attributes.data",)),
    Wrong("an attribute without a value", with_values(empty=("", None)), ("attributes.empty",)),
    Wrong("a control character in an attribute", with_values(note="a\tb"), ("attributes.note",)),
    Wrong("33 attributes", many(33), ("attributes",)),
    Wrong("attributes over 16 KiB", with_values(note="x" * 16_385), ("attributes",)),
    Wrong("an empty subject", with_values(subject=""), ("attributes.subject",)),
    Wrong("a subject that is a number", with_values(subject=("ce_integer", 1)), ("attributes.subject",)),
    Wrong("a time that is none", with_values(time="yesterday"), ("attributes.time",)),
    Wrong("a day that is none", with_values(time="2026-02-29T00:00:00Z"), ("attributes.time",)),
    Wrong("a time without a zone", with_values(time="2026-02-28T00:00:00"), ("attributes.time",)),
    Wrong("a time beyond year 9999", with_values(time=("ce_timestamp", (1 << 40, 0))), ("attributes.time",)),
    Wrong("a time with too many nanos", with_values(time=("ce_timestamp", (1, 10**9))), ("attributes.time",)),
    Wrong("a content type that is none", with_values(datacontenttype="json"), ("attributes.datacontenttype",)),
    Wrong("a schema that is relative", with_values(dataschema="/schema"), ("attributes.dataschema",)),
    Wrong("an empty key", with_values(partitionkey=""), ("attributes.partitionkey",)),
    Wrong("a long key", with_values(partitionkey="k" * 1_025), ("attributes.partitionkey",)),
    Wrong("a trace that is no text", with_values(traceparent=("ce_boolean", True)), ("attributes.traceparent",)),
    Wrong("several faults", event("", "a b", subject=""), ("id", "type", "attributes.subject")),
    Wrong("data over 1 MiB", large((1 << 20) + 1), ("data",), "TOO_LARGE"),
    Wrong("data that break their schema", typed(b'{"price":"7"}'), ("data.price",), "DATA_VIOLATION"),
    Wrong("data without what is required", typed(b"{}"), ("data.price",), "DATA_VIOLATION"),
    Wrong("data that are no JSON", typed(b"{"), ("data",), "DATA_VIOLATION"),
    Wrong(
        "a kernel's event without its attributes",
        event("1", "ontomesh.document.Product"),
        ("database", "branch", "operation", "commit", "subject", "class"),
        "DATA_VIOLATION",
    ),
    Wrong("a type that only services have", event("1", "ontomesh.other"), ("type",), "UNKNOWN_EVENT_TYPE"),
]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.name)
async def test_an_event_is_refused_alike_at_both_doors(scene: Scene, wrong: Wrong) -> None:
    (result,) = await scene.events.publish([wrong.sent])
    assert result.outcome == PublishResult.OUTCOME_REFUSED
    assert ErrorReason.Name(result.error.reason) == f"ERROR_REASON_{wrong.reason}"
    assert tuple(violation.field for violation in result.error.violations) == wrong.fields
    body = wrong.sent.SerializeToString()
    status, refusal = refusal_in(await scene.http.post("/v1/events", headers={"content-type": PROTOBUF}, content=body))
    assert (refusal.reason, refusal.fields) == (wrong.reason, wrong.fields)
    assert status == STATUS[refusal.code]


RIGHT = [
    event("ü" * 512),
    event("1", source="a" * 1_024),
    event("1", "t" * 256),
    event("1", "größe"),
    many(32),
    with_values(note="x" * 16_384),
    with_values(**{"a" * 20: "a"}),
    with_values(partitionkey="k" * 1_024),
    with_values(time="2028-02-29T23:59:60.123456789+05:30"),
    with_values(time=("ce_timestamp", (-62_135_596_800, 1))),
    typed(b'{"price":7}'),
]


@pytest.mark.parametrize("right", range(len(RIGHT)))
async def test_an_event_at_a_limit_is_taken(scene: Scene, right: int) -> None:
    one = RIGHT[right]
    if one.id == "1":
        one.id = f"right-{right}"
    (result,) = await scene.events.publish([one])
    assert result.outcome == PublishResult.OUTCOME_STORED, result


# --- calls as a whole


class Call(Protocol):
    """What a row does."""

    async def __call__(self, scene: Scene, /) -> object: ...


@dataclass(frozen=True)
class Row:
    """A call that is refused; `call` by gRPC, `path` by HTTP, where it has the call."""

    name: str
    reason: str
    fields: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    call: Call | None = None
    method: str = "GET"
    path: str = ""
    content: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    token: str | None = None


def asks(service: str, method: str, request: Any, *, by_bob: bool = False) -> Call:
    """A unary call."""

    async def call(scene: Scene) -> object:
        events = scene.other() if by_bob else scene.events
        try:
            return await getattr(getattr(events, service), method)(request, metadata=events.metadata, timeout=20)
        finally:
            if by_bob:
                await events.close()

    return call


def publishes(*events: CloudEvent) -> Call:
    return asks("publishing", "Publish", PublishRequest(events=events))


def puts(**fields: Any) -> Call:
    return asks(
        "types",
        "PutEventType",
        event_type_service_pb2.PutEventTypeRequest(event_type=event_type_service_pb2.EventType(**fields)),
    )


def creates(name: str, *, by_bob: bool = False, **fields: Any) -> Call:
    made = subscription_pb2.Subscription(name=name, **fields)
    request = subscription_service_pb2.CreateSubscriptionRequest(subscription=made)
    return asks("subscriptions", "CreateSubscription", request, by_bob=by_bob)


def updates(*paths: str, etag: str = "") -> Call:
    made = subscription_pb2.Subscription(name="mailer", etag=etag)
    request = subscription_service_pb2.UpdateSubscriptionRequest(subscription=made, update_mask=FieldMask(paths=paths))
    return asks("subscriptions", "UpdateSubscription", request)


def consumes(begin: consume_service_pb2.ConsumeStart | None, /, **then: Any) -> Call:
    """The beginning of a stream, and what is said then."""

    async def call(scene: Scene) -> object:
        stream = scene.events.consuming.Consume(metadata=scene.events.metadata, timeout=20)
        await stream.write(consume_service_pb2.ConsumeRequest(start=begin))
        first = await stream.read()
        if not then:
            return first
        await stream.write(consume_service_pb2.ConsumeRequest(**then))
        while (answer := await stream.read()) is not aio.EOF:
            assert isinstance(answer, consume_service_pb2.ConsumeResponse)
            assert answer.deliveries
        return answer

    return call


def with_token(name: str) -> Call:
    async def call(scene: Scene) -> object:
        events = Events(scene.gateway.grpc, token(scene, name))
        metadata = events.metadata[1:] if name == "none" else events.metadata
        try:
            return await events.publishing.Publish(PublishRequest(), metadata=metadata, timeout=20)
        finally:
            await events.close()

    return call


def token(scene: Scene, name: str) -> str:
    match name:
        case "none":
            return ""
        case "expired":
            return scene.gateway.token(exp=int(time.time()) - 3_600)
        case _:
            return "no.token.atall"


NAMED = subscription_service_pb2.GetSubscriptionRequest


def START(**fields: Any) -> consume_service_pb2.ConsumeStart:  # noqa: N802 - as a message's class
    return consume_service_pb2.ConsumeStart(**{"subscription": "mailer"} | fields)


FILTER = subscription_pb2.Filter
MISSING = {"subscription": "none"}
EMPTY = CloudEvent()

ROWS = [
    Row("no token", "TOKEN_MISSING", call=with_token("none"), path="/v1/stream", token="none"),
    Row("a token that is none", "TOKEN_INVALID", call=with_token("wrong"), path="/v1/stream", token="wrong"),
    Row("a token of before", "TOKEN_EXPIRED", call=with_token("expired"), path="/v1/stream", token="expired"),
    Row(
        "1,001 events",
        "INVALID_REQUEST",
        ("events",),
        call=publishes(*[EMPTY] * 1_001),
        method="POST",
        path="/v1/events",
        content=b"[" + b"0," * 1_000 + b"0]",
        headers={"content-type": BATCH},
    ),
    Row(
        "more than 8 MiB",
        "TOO_LARGE",
        ("events",),
        {"limit": str(8 << 20)},
        publishes(*[large(1 << 20)] * 8),
        "POST",
        "/v1/events",
        headers={"content-type": BATCH},
        content=json.dumps(
            [{"specversion": "1.0", "id": "1", "source": "/a", "type": "t", "data": "x" * (1 << 20)}] * 8
        ).encode(),
    ),
    Row(
        "a body of 17 MiB",
        "TOO_LARGE",
        ("body",),
        {"limit": str(16 << 20), "size": str(17 << 20)},
        method="POST",
        path="/v1/events",
        content=b"x" * (17 << 20),
        headers={"content-type": STRUCTURED},
    ),
    *(
        Row(
            f"a body that is {name}",
            "INVALID_REQUEST",
            (place,),
            method="POST",
            path="/v1/events",
            content=content,
            headers={"content-type": media_type},
        )
        for name, media_type, content, place in (
            ("no event", JSON, b"{}", "headers"),
            ("in no known format", "application/cloudevents+xml", b"<e/>", "content-type"),
            ("no JSON", STRUCTURED, b"{", "body"),
            ("empty", STRUCTURED, b"", "body"),
            ("an array for one event", STRUCTURED, b"[]", "body"),
            ("an event for a batch", BATCH, b"{}", "body"),
            ("no protobuf", PROTOBUF, b"\xff", "body"),
            ("nested without end", STRUCTURED, b'{"data":' + b"[" * 1_000 + b"]" * 1_000 + b"}", "body"),
        )
    ),
    *(
        Row(
            f"a JSON event with {name}",
            "INVALID_EVENT",
            (place,),
            method="POST",
            path="/v1/events",
            content=json.dumps({"specversion": "1.0", "id": "1", "source": "/a", "type": "t"} | members).encode(),
            headers={"content-type": f"{STRUCTURED}; charset=utf-8"},
        )
        for name, members, place in (
            ("no version", {"specversion": None}, "specversion"),
            ("an id that is a number", {"id": 5}, "id"),
            ("an attribute that is a fraction", {"part": 1.5}, "attributes.part"),
            ("an attribute that is an object", {"part": {}}, "attributes.part"),
            ("an integer of 33 bits", {"part": 1 << 31}, "attributes.part"),
            ("two data", {"data": 1, "data_base64": "AA=="}, "data_base64"),
            ("no Base64", {"data_base64": "?"}, "data_base64"),
            ("deep data", {"data": json.loads("[" * 300 + "]" * 300)}, "data"),
        )
    ),
    *(
        Row(
            f"headers with {name}",
            "INVALID_EVENT",
            (place,),
            method="POST",
            path="/v1/events",
            content=b"{}",
            headers={"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/a", "ce-type": "t"} | sent,
        )
        for name, sent, place in (
            ("another version", {"ce-specversion": "0.3"}, "specversion"),
            ("no UTF-8", {"ce-note": "%ff"}, "attributes.note"),
            ("a second content type", {"ce-datacontenttype": "a/b"}, "attributes.datacontenttype"),
            ("a name that is none", {"ce-a_b": "1"}, "attributes.a_b"),
            ("an empty id", {"ce-id": ""}, "id"),
        )
    ),
    Row(
        "a type that one may not publish",
        "PERMISSION_DENIED",
        metadata={"principal": "user:bob", "right": "publish", "type": "stock"},
        method="POST",
        path="/v1/events",
        content=event("1", "stock").SerializeToString(),
        headers={"content-type": PROTOBUF},
        token="bob",
    ),
    Row(
        "a page of -1",
        "INVALID_REQUEST",
        ("page_size",),
        call=asks(
            "subscriptions", "ListSubscriptions", subscription_service_pb2.ListSubscriptionsRequest(page_size=-1)
        ),
        path="/v1/subscriptions?page_size=-1",
    ),
    Row(
        "a token of another list",
        "INVALID_PAGE_TOKEN",
        ("page_token",),
        call=asks("types", "ListEventTypes", event_type_service_pb2.ListEventTypesRequest(page_token="x")),
        path="/v1/event-types?page_token=x",
    ),
    Row("a subscription's name that is none", "INVALID_REQUEST", ("subscription.name",), call=creates("a b")),
    Row(
        "a subscription that one may not have",
        "PERMISSION_DENIED",
        call=creates("mine", by_bob=True),
        metadata={"principal": "user:bob", "right": "consume", "subscription": "mine"},
    ),
    Row(
        "a subscription that exists",
        "SUBSCRIPTION_ALREADY_EXISTS",
        metadata={"subscription": "mailer"},
        call=creates("mailer"),
    ),
    Row(
        "an ack deadline of no length",
        "INVALID_REQUEST",
        ("subscription.ack_deadline",),
        call=creates("new", ack_deadline={"nanos": 1}),
    ),
    Row("1,001 attempts", "INVALID_REQUEST", ("subscription.max_attempts",), call=creates("new", max_attempts=1_001)),
    Row(
        "10,001 outstanding",
        "INVALID_REQUEST",
        ("subscription.max_outstanding",),
        call=creates("new", max_outstanding=10_001),
    ),
    Row(
        "a filter by no operation",
        "INVALID_REQUEST",
        ("subscription.filter.operations[0]",),
        call=creates("new", filter=FILTER(operations=["merge"])),
    ),
    Row(
        "a filter by a class with a star",
        "INVALID_REQUEST",
        ("subscription.filter.classes[0]",),
        call=creates("new", filter=FILTER(classes=["A*"])),
    ),
    Row(
        "a start of sequence 0",
        "INVALID_REQUEST",
        ("subscription.start.sequence",),
        call=creates("new", start=subscription_pb2.StartPoint(sequence=0)),
    ),
    Row("a change of the name", "INVALID_REQUEST", ("update_mask.paths[0]",), call=updates("name")),
    Row("a change of nothing", "INVALID_REQUEST", ("update_mask",), call=updates()),
    Row("a change of an old subscription", "ETAG_MISMATCH", call=updates("description", etag="0")),
    Row(
        "a subscription that is none",
        "SUBSCRIPTION_NOT_FOUND",
        metadata=MISSING,
        call=asks("subscriptions", "GetSubscription", NAMED(name="none")),
        path="/v1/subscriptions/none",
    ),
    Row("the status of none", "SUBSCRIPTION_NOT_FOUND", metadata=MISSING, path="/v1/subscriptions/none/status"),
    Row(
        "a pause of none",
        "SUBSCRIPTION_NOT_FOUND",
        metadata=MISSING,
        method="POST",
        path="/v1/subscriptions/none:pause",
    ),
    Row(
        "dead letters of none",
        "SUBSCRIPTION_NOT_FOUND",
        metadata=MISSING,
        call=asks(
            "dead_letters", "ListDeadLetters", dead_letter_service_pb2.ListDeadLettersRequest(subscription="none")
        ),
        path="/v1/subscriptions/none/dead-letters",
    ),
    Row(
        "consuming from none",
        "SUBSCRIPTION_NOT_FOUND",
        metadata=MISSING,
        call=consumes(consume_service_pb2.ConsumeStart(subscription="none")),
    ),
    Row("consuming without a start", "INVALID_REQUEST", ("start",), call=consumes(None)),
    Row("too much credit at first", "INVALID_REQUEST", ("start.credit",), call=consumes(START(credit=10_001))),
    Row("less than no credit", "INVALID_REQUEST", ("start.credit",), call=consumes(START(credit=-1))),
    Row("a long name", "INVALID_REQUEST", ("start.consumer",), call=consumes(START(consumer="ü" * 64 + "x"))),
    Row("two starts", "INVALID_REQUEST", ("start",), call=consumes(START(), start=START())),
    Row("nothing said", "INVALID_REQUEST", ("request",), call=consumes(START(), credit=None)),
    Row(
        "credit of nothing",
        "INVALID_REQUEST",
        ("credit.events",),
        call=consumes(START(), credit=consume_service_pb2.ConsumeCredit()),
    ),
    Row(
        "credit beyond the most",
        "INVALID_REQUEST",
        ("credit.events",),
        call=consumes(START(credit=10_000), credit=consume_service_pb2.ConsumeCredit(events=10_000)),
    ),
    Row(
        "a nak for more than a day",
        "INVALID_REQUEST",
        ("nak.delay",),
        call=consumes(START(), nak=consume_service_pb2.ConsumeNak(delay=Duration(seconds=86_400, nanos=1_000))),
    ),
    Row(
        "a nak for less than no time",
        "INVALID_REQUEST",
        ("nak.delay",),
        call=consumes(START(), nak=consume_service_pb2.ConsumeNak(delay=Duration(nanos=-1_000))),
    ),
    Row(
        "a nak with a long error",
        "INVALID_REQUEST",
        ("nak.error",),
        call=consumes(START(), nak=consume_service_pb2.ConsumeNak(error="x" * 1_025)),
    ),
    Row(
        "a rejection with a long error",
        "INVALID_REQUEST",
        ("reject.error",),
        call=consumes(START(), reject=consume_service_pb2.ConsumeReject(error="x" * 1_025)),
    ),
    Row(
        "a dead letter that is none",
        "DEAD_LETTER_NOT_FOUND",
        metadata={"subscription": "mailer", "dead_letter": "7"},
        call=asks(
            "dead_letters",
            "DeleteDeadLetters",
            dead_letter_service_pb2.DeleteDeadLettersRequest(subscription="mailer", ids=["7"]),
        ),
    ),
    Row(
        "a redrive of none",
        "DEAD_LETTER_NOT_FOUND",
        metadata={"subscription": "mailer", "dead_letter": "7"},
        method="POST",
        path="/v1/subscriptions/mailer/dead-letters:redrive",
        content=b'{"ids":["7"]}',
        headers={"content-type": JSON},
    ),
    Row(
        "a type that is none",
        "EVENT_TYPE_NOT_FOUND",
        metadata={"type": "none"},
        call=asks("types", "GetEventType", event_type_service_pb2.GetEventTypeRequest(name="none")),
        path="/v1/event-types/none",
    ),
    Row("a type's name that is none", "INVALID_REQUEST", ("event_type.name",), call=puts(name="a b", json_schema="{}")),
    Row("a type without a schema", "INVALID_REQUEST", ("event_type.schema",), call=puts(name="new")),
    Row(
        "a schema that is none",
        "INVALID_SCHEMA",
        ("event_type.json_schema.type",),
        call=puts(name="new", json_schema='{"type":"thing"}'),
    ),
    Row(
        "a schema over 256 KiB",
        "TOO_LARGE",
        ("event_type.json_schema",),
        {"limit": str(256 << 10)},
        puts(name="new", json_schema=json.dumps({"description": "x" * (256 << 10)})),
    ),
    Row("a type of before", "ETAG_MISMATCH", ("event_type.etag",), call=puts(name="typed", json_schema="{}", etag="0")),
    Row(
        "a class while the kernel is away",
        "SCHEMA_UNAVAILABLE",
        call=puts(name="new", ontology_class=event_type_service_pb2.ClassSchema(database="a", name="B")),
    ),
]


@pytest.mark.parametrize("row", [row for row in ROWS if row.call], ids=lambda row: row.name)
async def test_a_call_is_refused_at_the_grpc_door(scene: Scene, row: Row) -> None:
    assert row.call is not None
    with pytest.raises(aio.AioRpcError) as refused:
        await row.call(scene)
    hold(row, refusal_of(refused.value))


@pytest.mark.parametrize("row", [row for row in ROWS if row.path], ids=lambda row: row.name)
async def test_a_call_is_refused_at_the_http_door(scene: Scene, row: Row) -> None:
    headers = dict(row.headers)
    if row.token == "bob":
        headers["authorization"] = scene.other().metadata[0][1]
    elif row.token == "none":
        headers["authorization"] = ""
    elif row.token is not None:
        headers["authorization"] = f"Bearer {token(scene, row.token)}"
    answer = await scene.http.request(row.method, row.path, headers=headers, content=row.content)
    status, refusal = refusal_in(answer)
    hold(row, refusal)
    assert status == STATUS[refusal.code]


def hold(row: Row, refusal: Refusal) -> None:
    assert refusal.reason == row.reason
    assert refusal.code == codes()[row.reason]
    assert refusal.fields == row.fields
    assert dict(row.metadata).items() <= dict(refusal.metadata).items()


# --- what passes


PASSING = ("START_NOT_RETAINED", "STREAM_FULL", "BROKER_UNAVAILABLE", "SPOOL_FULL")


async def test_what_passes_says_so_at_both_doors(scene: Scene) -> None:
    """The last of this file: it fills the stream, and takes the broker away."""

    async def problem(wish: str = "") -> tuple[int, Refusal]:
        body = CloudEvent(id=str(time.monotonic_ns()), source="/a", type="t", binary_data=b"x" * 60_000)
        headers = {"content-type": PROTOBUF}
        while (
            answer := await scene.http.post(f"/v1/events{wish}", headers=headers, content=body.SerializeToString())
        ).status_code == 200:
            body.id = str(time.monotonic_ns())
        return refusal_in(answer)

    status, full = await problem()
    assert (status, full.code, full.reason) == (429, "RESOURCE_EXHAUSTED", "STREAM_FULL")
    assert full.metadata["stream"] == "ONTOMESH_EVENTS"
    client = await nats_client.connect(scene.nats.url, token=scene.nats.token)
    await client.jetstream().purge_stream("ONTOMESH_EVENTS")
    await client.close()
    with pytest.raises(aio.AioRpcError) as refused:
        await creates("late", start=subscription_pb2.StartPoint(sequence=1))(scene)
    early = refusal_of(refused.value)
    assert (early.code, early.reason) == ("OUT_OF_RANGE", "START_NOT_RETAINED")
    assert int(early.metadata["first_sequence"]) > 1
    scene.nats.kill()
    status, away = await problem("?require_stored=true")
    assert (status, away.code, away.reason) == (503, "UNAVAILABLE", "BROKER_UNAVAILABLE")
    with pytest.raises(aio.AioRpcError) as refused:
        await creates("late")(scene)
    assert refusal_of(refused.value).reason == "BROKER_UNAVAILABLE"
    status, spool = await problem()
    assert (status, spool.code, spool.reason) == (429, "RESOURCE_EXHAUSTED", "SPOOL_FULL")
    assert spool.metadata["limit"] == str(1 << 17)


async def test_every_reason_of_the_contract_is_met_and_has_the_code_that_it_says() -> None:
    names = {name.removeprefix("ERROR_REASON_") for name in list(ErrorReason.keys())} - {"UNSPECIFIED"}
    met = {row.reason for row in ROWS} | {wrong.reason for wrong in WRONG} | set(PASSING)
    assert met | set(ELSEWHERE) == names
    assert not met & set(ELSEWHERE)
    assert codes().keys() == names
    assert {reason: code.name for code, reason in TABLE.values()}.items() <= codes().items()
