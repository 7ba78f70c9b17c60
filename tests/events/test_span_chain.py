"""One trace from a commit to its consumer: kernel, relay, gateway, NATS and consumer form one parent chain."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span
from services.chassis.tests.collector import Collector, collecting

from ontomesh.sdk import AsyncMesh, connect
from ontomesh.sdk.events import Filter
from ontomesh.sdk.events.delivery import Delivery
from ontomesh_chassis.home import ServiceToken, create_service_tokens
from tests.contract.serving import serving
from tests.contract.test_trace import Tree, branch_of, size
from tests.contract.world import MOOD, NOTE, PERSON, person
from tests.events.serving import Nats, running_nats, serving_gateway, until

pytestmark = pytest.mark.xdist_group("events-trace")

COMMIT = "ontomesh.kernel.v1.CommitService/CreateCommit"
PUBLISH = "ontomesh.events.v1.PublishService/Publish"
TYPE = "ontomesh.document.Person"
UNSAMPLED = SpanContext(0xABCDEF, 0x123, is_remote=False, trace_flags=TraceFlags(0))


@dataclass
class Scene:
    """A kernel, a gateway, a client that commits and one that consumes, which export to one collector."""

    committer: AsyncMesh
    consumer: AsyncMesh
    providers: tuple[TracerProvider, TracerProvider]
    collector: Collector

    async def spans_of(self, trace_id: str, count: int) -> list[Span]:
        """The spans of a trace, once there are so many."""
        for provider in self.providers:
            await asyncio.to_thread(provider.force_flush)
        await until(lambda: len(self._found(trace_id)) >= count)
        return self._found(trace_id)

    def _found(self, trace_id: str) -> list[Span]:
        return [span for span in self.collector.spans if span.trace_id.hex() == trace_id]


@asynccontextmanager
async def scene_in(folder: Path, nats: Nats) -> AsyncIterator[Scene]:
    home = folder / "home"
    async with collecting() as collector:
        exporting = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.address, "OTEL_BSP_SCHEDULE_DELAY": "50"}
        providers = provider_of("committer", collector), provider_of("consumer", collector)
        try:
            async with serving_gateway(home, nats, **exporting) as gateway:
                relay = ServiceToken("relay.token", "service:relay", ("publish:ontomesh.*",))
                await asyncio.to_thread(create_service_tokens, home, [relay])
                store = f"sqlite:///{home / 'data' / 'kernel.db'}"
                async with (
                    serving(home, ONTOMESH_EVENTS_ADDRESS=gateway.grpc, ONTOMESH_STORE=store, **exporting) as kernel,
                    connect(kernel.grpc, home=home, tracer_provider=providers[0]) as committer,
                    connect(
                        kernel.grpc, events_address=gateway.grpc, home=home, tracer_provider=providers[1]
                    ) as consumer,
                ):
                    yield Scene(committer, consumer, providers, collector)
        finally:
            for provider in providers:
                await asyncio.to_thread(provider.shutdown)


def provider_of(service: str, collector: Collector) -> TracerProvider:
    provider = TracerProvider(resource=Resource.create({"service.name": service}), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=collector.address, insecure=True)))
    return provider


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    """A database with an ontology, and a subscription to what becomes of people."""
    async with running_nats(tmp_path / "nats") as nats, scene_in(tmp_path, nats) as made:
        await made.committer.databases.create("catalog")
        await made.committer.database("catalog").apply_ontology([PERSON, NOTE, MOOD])
        await made.consumer.events.create_subscription("people", Filter(classes="Person"), start="all")
        yield made


async def next_delivery(mesh: AsyncMesh) -> Delivery:
    """The next delivery, handled well."""
    async for delivery in mesh.events.deliveries("people"):
        with delivery:
            return delivery
    raise AssertionError("the deliveries ended")


def chain(commit: str) -> Tree:
    """From the committing client to the consuming one."""
    process: Tree = (f"process {TYPE}", "CONSUMER", ())
    publish: Tree = ("publish", "PRODUCER", (("deliver", "CONSUMER", (process,)),))
    publishing: Tree = (PUBLISH, "CLIENT", ((PUBLISH, "SERVER", (publish,)),))
    relay: Tree = (f"relay {commit}", "PRODUCER", (publishing,))
    return (COMMIT, "CLIENT", ((COMMIT, "SERVER", (("sqlite commit", "CLIENT", ()), relay)),))


async def test_the_spans_from_a_commit_to_its_consumer_form_exactly_this_chain(scene: Scene) -> None:
    made = await scene.committer.database("catalog").insert(person("ada"))
    delivery = await next_delivery(scene.consumer)
    expected = chain(made.commit.id)
    spans = await scene.spans_of(made.commit.trace_id, size(expected))
    (root,) = [span for span in spans if not span.parent_span_id]
    assert branch_of(root, spans) == expected
    assert len(spans) == size(expected)
    (begun,) = [span for span in spans if span.name == COMMIT and span.kind == Span.SPAN_KIND_SERVER]
    starting = f"00-{made.commit.trace_id}-{begun.span_id.hex()}-01"
    assert delivery.event.attributes["traceparent"] == starting
    (delivered,) = [span for span in spans if span.name == "deliver"]
    assert delivery.traceparent.split("-")[1:3] == [made.commit.trace_id, delivered.span_id.hex()]
    assert scene.collector.services == {"committer", "consumer", "ontomesh-data-kernel", "ontomesh-event-gateway"}


async def test_a_dead_letter_that_is_redriven_still_bears_the_trace_in_which_it_began(scene: Scene) -> None:
    made = await scene.committer.database("catalog").insert(person("ada"))
    events = scene.consumer.events
    async for delivery in events.deliveries("people"):
        delivery.reject("not today")
        first = delivery.event
        break
    async with asyncio.timeout(10):
        while not [letter async for letter in events.dead_letters("people")]:  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.02)
    assert await events.redrive("people") == 1
    again = await next_delivery(scene.consumer)
    assert again.event == first
    starting = str(again.event.attributes["traceparent"])
    assert starting.split("-")[1] == made.commit.trace_id


async def test_of_a_commit_that_was_not_sampled_nothing_is_exported(scene: Scene) -> None:
    catalog = scene.committer.database("catalog")
    with use_span(NonRecordingSpan(UNSAMPLED)):
        silent = await catalog.insert(person("ada"))
    assert silent.commit.trace_id == f"{UNSAMPLED.trace_id:032x}"
    delivery = await next_delivery(scene.consumer)
    assert str(delivery.event.attributes["traceparent"]).split("-")[1::2] == [silent.commit.trace_id, "00"]
    # What is exported later says that whatever was to be exported before it was.
    loud = await catalog.insert(person("bob"))
    await next_delivery(scene.consumer)
    await scene.spans_of(loud.commit.trace_id, size(chain(loud.commit.id)))
    assert not [span for span in scene.collector.spans if span.trace_id.hex() == silent.commit.trace_id]
    named = [span.name for span in scene.collector.spans]
    assert named.count(f"process {TYPE}") == 1
    assert f"relay {silent.commit.id}" not in named
