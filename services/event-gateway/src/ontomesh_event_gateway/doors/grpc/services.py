"""The services of the gRPC door."""

import asyncio

from ontomesh.events.v1 import (
    dead_letter_service_pb2_grpc,
    event_type_service_pb2_grpc,
    publish_service_pb2_grpc,
    subscription_service_pb2_grpc,
)
from ontomesh_chassis.server import GrpcService
from ontomesh_event_gateway.domain.gateway import Gateway
from ontomesh_event_gateway.doors.grpc.consume import ConsumeServicer, add_consume_service
from ontomesh_event_gateway.doors.grpc.dead_letters import DeadLetterServicer
from ontomesh_event_gateway.doors.grpc.event_types import EventTypeServicer
from ontomesh_event_gateway.doors.grpc.publish import PublishServicer
from ontomesh_event_gateway.doors.grpc.subscriptions import SubscriptionServicer

_PACKAGE = "ontomesh.events.v1"


def grpc_services(gateway: Gateway, draining: asyncio.Event) -> list[GrpcService]:
    """Every service of the contract over one gateway, whose endless streams end when it drains."""
    return [
        GrpcService(add, servicer, f"{_PACKAGE}.{name}")
        for add, servicer, name in (
            (
                publish_service_pb2_grpc.add_PublishServiceServicer_to_server,
                PublishServicer(gateway.publishing, draining),
                "PublishService",
            ),
            (
                event_type_service_pb2_grpc.add_EventTypeServiceServicer_to_server,
                EventTypeServicer(gateway.event_types, gateway.spooling),
                "EventTypeService",
            ),
            (
                subscription_service_pb2_grpc.add_SubscriptionServiceServicer_to_server,
                SubscriptionServicer(gateway.subscriptions, gateway.schema_changes),
                "SubscriptionService",
            ),
            (
                add_consume_service,
                ConsumeServicer(gateway.consuming, gateway.subscribing, draining),
                "ConsumeService",
            ),
            (
                dead_letter_service_pb2_grpc.add_DeadLetterServiceServicer_to_server,
                DeadLetterServicer(gateway.dead_letters),
                "DeadLetterService",
            ),
        )
    ]
