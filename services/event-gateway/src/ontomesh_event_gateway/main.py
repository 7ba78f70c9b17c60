"""The event gateway's process: settings, resources, domain, doors, serve."""

import argparse
import asyncio
import gc
import math
import sys
from contextlib import AsyncExitStack, suppress
from importlib.metadata import version

from ontomesh_chassis import logs
from ontomesh_chassis.health import Health
from ontomesh_chassis.identity import Identity, PolicySource
from ontomesh_chassis.policy import parse_claim
from ontomesh_chassis.server import run, serve
from ontomesh_chassis.settings import load, variable
from ontomesh_chassis.stages import Pipeline
from ontomesh_chassis.startup import ConfigError
from ontomesh_chassis.tokens import open_authenticator
from ontomesh_chassis.trace import setup_tracing
from ontomesh_event_gateway.adapters.consumer_metrics import ConsumerMetrics
from ontomesh_event_gateway.adapters.kernel import KernelClasses, NoKernel
from ontomesh_event_gateway.adapters.metrics import PublishMeter, watch_spool
from ontomesh_event_gateway.adapters.nats.acks import Acks
from ontomesh_event_gateway.adapters.nats.attempts import NatsAttempts
from ontomesh_event_gateway.adapters.nats.connection import Connection
from ontomesh_event_gateway.adapters.nats.consumers import NatsConsumers
from ontomesh_event_gateway.adapters.nats.dead import NatsDeadLetters
from ontomesh_event_gateway.adapters.nats.events import NatsEvents
from ontomesh_event_gateway.adapters.nats.publisher import Publisher
from ontomesh_event_gateway.adapters.nats.records import NatsRecords
from ontomesh_event_gateway.adapters.nats.stored import StoredMessages
from ontomesh_event_gateway.adapters.nats.streams import Retention, Streams
from ontomesh_event_gateway.adapters.remembered import RememberedRecords
from ontomesh_event_gateway.adapters.spans import deliver_span
from ontomesh_event_gateway.adapters.spool import Spool
from ontomesh_event_gateway.adapters.tasks import background
from ontomesh_event_gateway.config import GatewaySettings
from ontomesh_event_gateway.domain.catalog import Catalog
from ontomesh_event_gateway.domain.consuming import Consuming
from ontomesh_event_gateway.domain.dead_letters import DeadLetters
from ontomesh_event_gateway.domain.event_types import EventTypes, named_classes, registered
from ontomesh_event_gateway.domain.gateway import Gateway
from ontomesh_event_gateway.domain.publishing import Publishing
from ontomesh_event_gateway.domain.pump import Surroundings
from ontomesh_event_gateway.domain.rights import RightsOf
from ontomesh_event_gateway.domain.schema_changes import SchemaChanges
from ontomesh_event_gateway.domain.schemas import TypeSchemas
from ontomesh_event_gateway.domain.spooling import Spooling
from ontomesh_event_gateway.domain.subscribing import Subscribing
from ontomesh_event_gateway.domain.subscriptions import Subscriptions
from ontomesh_event_gateway.doors.convert import decode, without_data
from ontomesh_event_gateway.doors.decoding import decode_stored
from ontomesh_event_gateway.doors.errors import error_table
from ontomesh_event_gateway.doors.grpc import grpc_services
from ontomesh_event_gateway.doors.http import create_http_app
from ontomesh_event_gateway.ports import ClassSchemas, Records

SERVICE = "ontomesh-event-gateway"
SUBSCRIPTIONS_BUCKET = "ontomesh-subscriptions"
FIRST_CHANCE_SECONDS = 1.0
EVENT_TYPES_BUCKET = "ontomesh-event-types"


async def serve_gateway(settings: GatewaySettings) -> int:
    """Serve until asked to stop; return the exit code. Raises StartupError."""
    async with AsyncExitStack() as resources:
        tracing = setup_tracing(SERVICE, settings)
        resources.callback(tracing.shutdown)
        pipeline = Pipeline.of(settings, open_authenticator(settings), error_table(), tracing)
        registry = pipeline.metrics.registry
        connection = _connection(settings)
        streams = Streams(connection, _retention(settings), registry)
        acks = Acks(connection)
        publisher = Publisher(connection, streams, acks, registry)
        try:
            spool = await Spool.open(settings.spool_path, settings.spool_max_bytes, decode)
        except OSError as error:
            raise ConfigError(f"{variable(GatewaySettings, 'spool')}: {settings.spool_path}: {error}") from error
        resources.push_async_callback(spool.close)
        watch_spool(spool, spool.age, registry)
        stored = StoredMessages(connection)
        dead_letters = NatsDeadLetters(stored, acks, decode_stored, without_data)
        attempts = NatsAttempts(stored, acks, registry)
        events = NatsEvents(connection, stored, decode_stored)
        consumers = NatsConsumers(connection)
        consumer_metrics = ConsumerMetrics(registry)
        subscription_records = NatsRecords(connection, SUBSCRIPTIONS_BUCKET, settings.nats_replicas)
        catalog = Catalog(subscription_records)
        rights_of = _rights_of(pipeline.auth.policy)
        consuming = Consuming(
            catalog,
            Surroundings(
                consumers,
                events,
                dead_letters,
                attempts,
                consumer_metrics,
                decode_stored,
                rights_of,
                deliver_span,
                subscription_records.wait_current,
            ),
        )
        consumer_metrics.watch(lambda: consuming.pumps)
        catalog.on_change(consumer_metrics.changed)
        up_to_date = subscription_records.wait_current
        subscriptions = Subscriptions(catalog, consuming, consumers, events, dead_letters, attempts, up_to_date)
        spooling = Spooling(publisher, spool, dead_letters)
        type_records = NatsRecords(connection, EVENT_TYPES_BUCKET, settings.nats_replicas)
        types = RememberedRecords(type_records, settings.home / "data" / f"{EVENT_TYPES_BUCKET}.json")
        classes = await _classes(settings, types, resources)
        schemas = TypeSchemas(types, classes, is_strict=settings.events_strict_types)
        publishing = Publishing(spooling, schemas, dead_letters, without_data, PublishMeter(registry))
        gateway = Gateway(
            publishing=publishing,
            spooling=spooling,
            event_types=EventTypes(types, classes),
            schema_changes=SchemaChanges(catalog.all().values, lambda: registered(types)),
            subscriptions=subscriptions,
            consuming=consuming,
            subscribing=Subscribing(events),
            dead_letters=DeadLetters(catalog, dead_letters, attempts, publishing),
        )
        resources.push_async_callback(connection.close)
        resources.push_async_callback(publisher.close)
        resources.push_async_callback(attempts.close)
        await resources.enter_async_context(background(type_records.run()))
        await resources.enter_async_context(background(types.run()))
        await resources.enter_async_context(background(subscription_records.run()))
        await resources.enter_async_context(background(attempts.run()))
        await resources.enter_async_context(background(subscriptions.look_after()))
        await resources.enter_async_context(background(consumer_metrics.follow(consumers)))
        await resources.enter_async_context(background(spooling.drain()))
        publisher.start()
        connection.start()
        await _first_chance(publisher, subscription_records, type_records)
        health = Health()
        return await serve(
            settings,
            pipeline=pipeline,
            health=health,
            grpc_services=grpc_services(gateway, health.draining),
            http_app=create_http_app(gateway, pipeline, health, version(SERVICE)),
        )


def main() -> None:
    """Run the event gateway: the command `ontomesh-event-gateway`."""
    _parser().parse_args()
    settings = load(GatewaySettings)
    logs.configure(settings.log_format, settings.log_level)
    gc.freeze()
    sys.exit(run(lambda: serve_gateway(settings)))


async def _first_chance(publisher: Publisher, *buckets: NatsRecords) -> None:
    """Waits a moment for the broker, so that where it is there, the first calls are served as later ones are."""
    with suppress(TimeoutError):
        async with asyncio.timeout(FIRST_CHANCE_SECONDS):
            await publisher.wait_available()
            for bucket in buckets:
                await bucket.wait_loaded()


async def _classes(settings: GatewaySettings, types: Records, resources: AsyncExitStack) -> ClassSchemas:
    """The kernel's classes, those that types name being kept up to date."""
    if not settings.kernel_address:
        return NoKernel()
    classes = KernelClasses.connect(settings.kernel_address, settings.service_token_path)
    resources.push_async_callback(classes.close)
    await resources.enter_async_context(background(classes.run(lambda: named_classes(types))))
    return classes


def _rights_of(policy: PolicySource) -> RightsOf:
    def rights_of(principal: str, claim: tuple[str, ...] | None) -> Identity:
        kind, _, name = principal.partition(":")
        return Identity(principal, kind, name, None if claim is None else parse_claim(claim), math.inf, policy)

    return rights_of


def _connection(settings: GatewaySettings) -> Connection:
    try:
        token = settings.read_nats_token()
    except OSError as error:
        raise ConfigError(f"{variable(GatewaySettings, 'nats_token_file')}: {error}") from error
    return Connection(settings.nats_servers, token, SERVICE)


def _retention(settings: GatewaySettings) -> Retention:
    return Retention(
        settings.events_max_age_seconds,
        settings.events_max_bytes,
        settings.events_dedup_seconds,
        settings.nats_replicas,
        settings.nats_sync_interval,
    )


def _parser() -> argparse.ArgumentParser:
    lines = [
        f"  {variable(GatewaySettings, name)}\n      {field.description} [{field.default}]"
        for name, field in GatewaySettings.model_fields.items()
    ]
    parser = argparse.ArgumentParser(
        prog=SERVICE,
        description="Serve the event gateway: typed CloudEvents over NATS JetStream, by gRPC and HTTP.",
        epilog="Settings, from the environment:\n" + "\n".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"{SERVICE} {version(SERVICE)}")
    return parser
