"""The gRPC channel of a connection: its options and its service config."""

import json
from collections.abc import Iterable, Sequence

import grpc

from ontomesh.sdk.config import TlsConfig

MAX_MESSAGE_BYTES = 64 * 1024 * 1024

_SERVICES = (
    "BranchService",
    "CommitService",
    "DatabaseService",
    "DiffService",
    "DocumentService",
    "ExportService",
    "ImportService",
    "MergeService",
    "OntologyService",
    "QueryService",
    "RefService",
)
# These carry no request id: a second try of one that did its work would fail with an error that confuses.
_ONCE = (
    ("BranchService", "DeleteBranch"),
    ("DatabaseService", "DeleteDatabase"),
    ("DatabaseService", "UpdateDatabase"),
    ("ImportService", "AbortImport"),
    ("ImportService", "UploadDocuments"),
)
_EVENT_SERVICES = ("DeadLetterService", "EventTypeService", "PublishService", "SubscriptionService")
# Events bear ids of their own, so that publishing is repeated; streams are begun again by whoever knows where.
_EVENTS_ONCE = (
    ("DeadLetterService", "DeleteDeadLetters"),
    ("DeadLetterService", "RedriveDeadLetters"),
    ("EventTypeService", "DeleteEventType"),
    ("EventTypeService", "PutEventType"),
    ("PublishService", "PublishStream"),
    ("SubscriptionService", "CreateSubscription"),
    ("SubscriptionService", "DeleteSubscription"),
    ("SubscriptionService", "ReplaySubscription"),
    ("SubscriptionService", "UpdateSubscription"),
)


def open_channel(
    address: str, *, tls: TlsConfig | None, retries: bool, keepalive: float, options: Iterable[tuple[str, str | int]]
) -> grpc.aio.Channel:
    """A channel to any gRPC target, with keepalive, load balancing and, if wanted, retries.

    `options` are channel arguments of gRPC that win over ours. Call it on the event loop that will use it.
    """
    merged: dict[str, str | int] = {
        "grpc.service_config": service_config(retries=retries),
        "grpc.enable_retries": int(retries),
        "grpc.keepalive_time_ms": round(keepalive * 1000),
        "grpc.keepalive_timeout_ms": 10_000,
        "grpc.keepalive_permit_without_calls": 1,
        "grpc.http2.max_pings_without_data": 0,
        "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
        "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
        # gRPC would wait up to two minutes between tries; a stack that was just started should be found sooner.
        "grpc.initial_reconnect_backoff_ms": 200,
        "grpc.min_reconnect_backoff_ms": 1_000,
        "grpc.max_reconnect_backoff_ms": 5_000,
        # A connection that another client of this process gave up on must not decide for this one.
        "grpc.use_local_subchannel_pool": 1,
    }
    if tls is not None and tls.server_name:
        merged["grpc.ssl_target_name_override"] = tls.server_name
    merged.update(options)
    arguments: Sequence[tuple[str, str | int]] = list(merged.items())
    if tls is None:
        return grpc.aio.insecure_channel(address, options=arguments)
    return grpc.aio.secure_channel(address, tls.credentials(), options=arguments)


def service_config(*, retries: bool) -> str:
    """gRPC's service config: round robin, and for calls that may be repeated up to three more tries.

    A write may be repeated since it always carries a request id. Retried are UNAVAILABLE, and CANCELLED: gRPC answers
    so to a call that reaches a server just as it stops (the client's own cancelling is never retried). After some
    fifty failures that successes have not made up for, retries stop (`retryThrottling`): a server that is down is
    not to be pressed.
    """
    config: dict[str, object] = {"loadBalancingConfig": [{"round_robin": {}}]}
    if retries:
        kernel, events = "ontomesh.kernel.v1", "ontomesh.events.v1"
        config["methodConfig"] = [
            {
                "name": [
                    *({"service": f"{kernel}.{service}"} for service in _SERVICES),
                    *({"service": f"{events}.{service}"} for service in _EVENT_SERVICES),
                ],
                "retryPolicy": {
                    "maxAttempts": 4,
                    "initialBackoff": "0.1s",
                    "maxBackoff": "2s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
                },
            },
            {
                "name": [
                    *({"service": f"{kernel}.{service}", "method": method} for service, method in _ONCE),
                    *({"service": f"{events}.{service}", "method": method} for service, method in _EVENTS_ONCE),
                ]
            },
        ]
        config["retryThrottling"] = {"maxTokens": 100, "tokenRatio": 0.5}
    return json.dumps(config)
