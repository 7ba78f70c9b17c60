"""The account of deliveries: a stream of attempts, a subject for each event of a subscription."""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Any
from uuid import uuid4

import orjson
from prometheus_client import CollectorRegistry, Counter

from ontomesh_event_gateway.adapters.nats.acks import Acks
from ontomesh_event_gateway.adapters.nats.messages import Kept
from ontomesh_event_gateway.adapters.nats.stored import StoredMessages
from ontomesh_event_gateway.adapters.nats.streams import ATTEMPTS
from ontomesh_event_gateway.adapters.nats.subjects import escaped
from ontomesh_event_gateway.domain.attempts import Attempt, AttemptOutcome
from ontomesh_event_gateway.errors import BrokerUnavailable, GatewayError

logger = logging.getLogger(__name__)

MOST_WAITING = 20_000
BATCH = 500
GATHER_SECONDS = 0.05
RETRY_SECONDS = 1.0
MAX_WINDOW = 1_000
_DIGEST_BYTES = 8
_PREFIX = "ontomesh.attempts"


class NatsAttempts:
    """Attempts in JetStream. `run` writes what was recorded, in batches, beside the deliveries."""

    def __init__(self, stored: StoredMessages, acks: Acks, registry: CollectorRegistry) -> None:
        self._stored = stored
        self._acks = acks
        self._waiting: deque[Attempt] = deque()
        self._wake = asyncio.Event()
        self._lost = Counter("ontomesh_attempts_lost", "Attempts that could not be recorded.", registry=registry)

    def record(self, attempt: Attempt) -> None:
        """Keeps an attempt soon; what is too much is counted and let go."""
        if len(self._waiting) >= MOST_WAITING:
            self._lost.inc()
            return
        self._waiting.append(attempt)
        self._wake.set()

    async def run(self) -> None:
        """Writes what was recorded until cancelled."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(GATHER_SECONDS)
            self._wake.clear()
            while self._waiting:
                await self._write_some()

    async def close(self) -> None:
        """Writes what waits, if the broker takes it."""
        while self._waiting:
            try:
                await self._write([self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))])
            except GatewayError:
                return

    async def list(self, subscription: str, event_id: str, before: int, limit: int) -> tuple[Sequence[Attempt], int]:
        """Attempts, newest first, and the place where to go on. Raises BrokerUnavailable."""
        token = escaped(subscription)
        subject = f"{_PREFIX}.{token}.{_digest(event_id) if event_id else '*'}"
        newest = await self._stored.last(ATTEMPTS, subject)
        first, _ = await self._stored.bounds(ATTEMPTS)
        end = min(newest.sequence + 1 if newest is not None else 0, before or 1 << 62)
        found: list[Kept] = []
        window = MAX_WINDOW
        # Streams are read forwards: windows of growing size are, each before the other.
        while end > first and len(found) <= limit:
            begin = max(end - window, first)
            found = [*await self._between(subject, begin, end), *found]
            end, window = begin, 2 * window
        newest_first = [(one, _attempt(subscription, one)) for one in reversed(found)]
        fitting = [pair for pair in newest_first if not event_id or pair[1].event_id == event_id]
        page = fitting[:limit]
        return [attempt for _, attempt in page], page[-1][0].sequence if len(fitting) > limit else 0

    async def forget(self, subscription: str) -> None:
        """Takes a subscription's attempts out. Raises BrokerUnavailable."""
        await self._stored.purge(ATTEMPTS, f"{_PREFIX}.{escaped(subscription)}.*")

    async def _between(self, subject: str, begin: int, end: int) -> Sequence[Kept]:
        found: list[Kept] = []
        while begin < end:
            some = await self._stored.batch(ATTEMPTS, subject, begin, MAX_WINDOW)
            found += [one for one in some if one.sequence < end]
            if not some or some[-1].sequence >= end or some[-1].headers.get("nats-num-pending") == "0":
                break
            begin = some[-1].sequence + 1
        return found

    async def _write_some(self) -> None:
        batch = [self._waiting[index] for index in range(min(BATCH, len(self._waiting)))]
        try:
            await self._write(batch)
        except BrokerUnavailable as fault:
            logger.debug("attempts are not recorded yet: %s", fault.message)
            await asyncio.sleep(RETRY_SECONDS)
            return
        except GatewayError as fault:
            logger.warning("attempts cannot be recorded: %s", fault.message)
            self._lost.inc(len(batch))
        for _ in batch:
            self._waiting.popleft()

    async def _write(self, batch: Sequence[Attempt]) -> None:
        reply, name = self._acks.reply(), uuid4().hex
        commands = []
        for number, attempt in enumerate(batch, 1):
            is_last = number == len(batch)
            commit = "\r\nNats-Batch-Commit:1" if is_last else ""
            head = f"NATS/1.0\r\nNats-Batch-Id:{name}\r\nNats-Batch-Sequence:{number}{commit}\r\n\r\n".encode()
            body = orjson.dumps(replace(attempt, subscription=""))
            subject = f"{_PREFIX}.{escaped(attempt.subscription)}.{_digest(attempt.event_id)}".encode()
            address = b"%b %b" % (subject, reply) if is_last else subject
            commands.append(b"HPUB %b %d %d\r\n%b%b\r\n" % (address, len(head), len(head) + len(body), head, body))
        await self._acks.send(b"".join(commands), reply)


def _digest(event_id: str) -> str:
    return blake2b(event_id.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES).hexdigest()


def _attempt(subscription: str, one: Kept) -> Attempt:
    kept: dict[str, Any] = orjson.loads(one.payload)
    return Attempt(**kept | {"subscription": subscription, "outcome": AttemptOutcome(kept["outcome"])})
