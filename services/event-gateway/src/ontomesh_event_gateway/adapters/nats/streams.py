"""The streams, made and kept as the settings say."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, Gauge

from ontomesh_event_gateway.adapters.nats.connection import STREAM_NOT_FOUND, ApiRefused, Connection
from ontomesh_event_gateway.adapters.nats.messages import microseconds
from ontomesh_event_gateway.domain.model import StreamState
from ontomesh_event_gateway.errors import BrokerUnavailable

logger = logging.getLogger(__name__)

EVENTS = "ONTOMESH_EVENTS"
DEAD = "ONTOMESH_DEAD"
ATTEMPTS = "ONTOMESH_ATTEMPTS"

DEAD_MAX_AGE_SECONDS = 30 * 24 * 3600
DEAD_MAX_BYTES = 1 << 30
ATTEMPTS_MAX_AGE_SECONDS = 7 * 24 * 3600
ATTEMPTS_MAX_BYTES = 256 << 20
MAX_CONSUMERS = 100_000
"""Of subscriptions and plain streams; NATS' own default is 1,000."""
FULL_RATIO = 0.8
LOOK_SECONDS = 10.0
FIRST_WAIT_SECONDS = 0.1
LONGEST_WAIT_SECONDS = 5.0
_SECOND = 10**9


@dataclass(frozen=True, slots=True)
class Retention:
    """How the event stream is kept."""

    max_age_seconds: int
    max_bytes: int
    dedup_seconds: int
    replicas: int
    sync_interval: str = ""
    """What the servers are set to, as the gateway is told: they do not say it themselves."""


class Streams:
    """Makes the streams, or changes them to what the settings say, whenever there is a new connection.

    `ready` is set while there is a connection and the streams are as they should be.
    """

    def __init__(self, connection: Connection, retention: Retention, registry: CollectorRegistry) -> None:
        self._connection = connection
        self._configs = _configs(retention)
        self._sync_interval = retention.sync_interval
        self._ratio = Gauge(
            "ontomesh_event_stream_bytes_ratio",
            "Bytes of a stream by the most that it may take.",
            ["stream"],
            registry=registry,
        )
        self._warned: set[str] = set()
        self._watching: asyncio.Task[None] | None = None
        self.ready = asyncio.Event()
        connection.on_connect(self._connected)
        connection.on_disconnect(self._disconnected)

    async def close(self) -> None:
        """Ends the watching."""
        self._disconnected()

    async def info(self, stream: str = EVENTS) -> dict[str, Any]:
        """What JetStream says of a stream. Raises BrokerUnavailable."""
        return await self._connection.api(f"STREAM.INFO.{stream}")

    async def state(self) -> StreamState:
        """The event stream's state. Raises BrokerUnavailable."""
        info = await self.info()
        config, state = info["config"], info["state"]
        return StreamState(
            events=state["messages"],
            bytes=state["bytes"],
            max_bytes=config["max_bytes"],
            max_age=config["max_age"] / _SECOND,
            first_sequence=state["first_seq"],
            last_sequence=state["last_seq"],
            first_time=microseconds(state["first_ts"]) if state["messages"] else 0,
            deduplication_window=config["duplicate_window"] / _SECOND,
            replicas=config["num_replicas"],
            sync_interval=self._sync_interval,
        )

    async def ensure(self) -> None:
        """Makes or changes the streams where they are not as they should be. Raises BrokerUnavailable."""
        for config in self._configs:
            await self._ensure(config)

    async def _connected(self) -> None:
        # JetStream may need a moment after the server takes connections, or a leader must be found.
        wait, told = FIRST_WAIT_SECONDS, ""
        while True:
            try:
                await self.ensure()
                break
            except BrokerUnavailable as error:
                if not self._connection.available:
                    raise
                if error.message != told:
                    told = error.message
                    logger.warning("the streams are not ready: %s", told)
                await asyncio.sleep(wait)
                wait = min(2 * wait, LONGEST_WAIT_SECONDS)
        self.ready.set()
        self._watching = asyncio.create_task(self._watch())

    def _disconnected(self) -> None:
        self.ready.clear()
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None

    async def _ensure(self, config: dict[str, Any]) -> None:
        name = config["name"]
        try:
            there = (await self.info(name))["config"]
        except ApiRefused as refused:
            if refused.code != STREAM_NOT_FOUND:
                raise
            await self._connection.api(f"STREAM.CREATE.{name}", config)
            logger.info("made the stream %s", name)
            return
        if any(there.get(key) != value for key, value in config.items()):
            await self._connection.api(f"STREAM.UPDATE.{name}", there | config)
            logger.info("changed the stream %s to the settings", name)

    async def _watch(self) -> None:
        while True:
            for config in self._configs:
                try:
                    info = await self.info(config["name"])
                except BrokerUnavailable:
                    break
                self._look(config["name"], info["state"]["bytes"] / config["max_bytes"])
            await asyncio.sleep(LOOK_SECONDS)

    def _look(self, name: str, ratio: float) -> None:
        self._ratio.labels(name).set(ratio)
        if ratio < FULL_RATIO:
            self._warned.discard(name)
        elif name not in self._warned and name != ATTEMPTS:
            self._warned.add(name)
            logger.warning("the stream %s is %.0f %% full; when it is full, nothing more is taken", name, 100 * ratio)


def _configs(retention: Retention) -> Sequence[dict[str, Any]]:
    common = {"storage": "file", "retention": "limits", "num_replicas": retention.replicas, "allow_direct": True}
    return (
        common
        | {
            "name": EVENTS,
            "subjects": ["ontomesh.ev.>", "ontomesh.rd.>"],
            "discard": "new",
            "max_age": retention.max_age_seconds * _SECOND,
            "max_bytes": retention.max_bytes,
            "duplicate_window": min(retention.dedup_seconds, retention.max_age_seconds) * _SECOND,
            "allow_atomic": True,
            "max_consumers": MAX_CONSUMERS,
        },
        common
        | {
            "name": DEAD,
            "subjects": ["ontomesh.dead.>"],
            "discard": "new",
            "max_age": DEAD_MAX_AGE_SECONDS * _SECOND,
            "max_bytes": min(DEAD_MAX_BYTES, retention.max_bytes),
        },
        common
        | {
            "name": ATTEMPTS,
            "subjects": ["ontomesh.attempts.>"],
            "allow_atomic": True,
            "discard": "old",
            "max_age": ATTEMPTS_MAX_AGE_SECONDS * _SECOND,
            "max_bytes": min(ATTEMPTS_MAX_BYTES, retention.max_bytes),
        },
    )
