"""Buckets of small records: JetStream's key-value buckets, with a copy in memory that follows them."""

import asyncio
import logging
from collections.abc import Callable, Mapping

from ontomesh_event_gateway.adapters.nats.connection import (
    STREAM_NOT_FOUND,
    WRONG_LAST_SEQUENCE,
    ApiRefused,
    Connection,
    read_answer,
)
from ontomesh_event_gateway.adapters.nats.messages import header, unquote
from ontomesh_event_gateway.adapters.nats.reader import Read, Reader
from ontomesh_event_gateway.adapters.nats.subjects import escaped
from ontomesh_event_gateway.errors import BrokerUnavailable
from ontomesh_event_gateway.ports import Record, RecordConflict

logger = logging.getLogger(__name__)

WRITE_SECONDS = 5.0
RETRY_SECONDS = 0.25
MAX_BYTES = 256 << 20
MARKER_SECONDS = 7 * 24 * 3600
"""How long a deletion is remembered; copies that were away for longer are filled anew anyway."""
_OPERATION = b"KV-Operation"


class NatsRecords:
    """A bucket. `run` follows it, and must be running for anything to be seen."""

    def __init__(self, connection: Connection, bucket: str, replicas: int = 1) -> None:
        self._connection = connection
        self._stream = f"KV_{bucket}"
        self._prefix = f"$KV.{bucket}."
        self._replicas = replicas
        self._records: dict[str, Record] = {}
        self._seen: dict[str, int] = {}
        self._listeners: list[Callable[[str, Record | None], None]] = []
        self._loaded = asyncio.Event()
        self._current = asyncio.Event()
        self._created = ""
        connection.on_disconnect(self._current.clear)

    @property
    def is_loaded(self) -> bool:
        """Whether the copy was ever filled."""
        return self._loaded.is_set()

    async def wait_loaded(self) -> None:
        """Returns once the copy was filled."""
        await self._loaded.wait()

    async def wait_current(self) -> None:
        """Returns once the copy has what was written before the broker was last reached."""
        await self._current.wait()

    def get(self, key: str) -> Record | None:
        """The record, None if there is none."""
        return self._records.get(key)

    def all(self) -> Mapping[str, Record]:
        """Every record by key."""
        return self._records

    def on_change(self, tell: Callable[[str, Record | None], None]) -> None:
        """From now on tells of every change that the copy sees."""
        self._listeners.append(tell)

    async def put(self, key: str, value: bytes, revision: int | None = None) -> Record:
        """Writes a record. Raises RecordConflict, BrokerUnavailable."""
        made = Record(key, value, await self._write(key, value, {}, revision))
        self._see(key, made.revision, made)
        return made

    async def delete(self, key: str, revision: int | None = None) -> None:
        """Deletes a record. Raises RecordConflict, BrokerUnavailable."""
        headers = {"KV-Operation": "DEL", "Nats-TTL": f"{MARKER_SECONDS}s"}
        self._see(key, await self._write(key, b"", headers, revision), None)

    async def run(self) -> None:
        """Follows the bucket until cancelled, through every loss of the connection."""
        while True:
            await self._connection.wait_available()
            reader = Reader(self._connection, self._stream, [f"{self._prefix}>"])
            try:
                await self._follow(reader, await self._ensure())
            except BrokerUnavailable as fault:
                logger.debug("the bucket %s: %s", self._stream, fault.message)
                await asyncio.sleep(RETRY_SECONDS)
            finally:
                await reader.close()

    async def _follow(self, reader: Reader, known: int) -> None:
        """Follows the bucket; what it held up to the revision `known` is gone if it does not come."""
        pending = await reader.open(None)
        fresh: set[str] | None = set()
        while True:
            if fresh is not None and not pending:
                self._keep_only(fresh, known)
                fresh = None
                self._loaded.set()
                self._current.set()
            for message in await reader.next():
                key = unquote(message.subject.decode().removeprefix(self._prefix))
                self._see(key, message.sequence, _record(key, message))
                pending = message.pending
                if fresh is not None:
                    fresh.add(key)

    def _see(self, key: str, revision: int, record: Record | None) -> None:
        if revision <= self._seen.get(key, 0):
            return
        self._seen[key] = revision
        if record is None:
            if self._records.pop(key, None) is None:
                return
        else:
            self._records[key] = record
        for tell in self._listeners:
            tell(key, record)

    def _keep_only(self, keys: set[str], known: int) -> None:
        """Forgets what the bucket does not have any more, nor a mark of its end."""
        keys |= {key for key, revision in self._seen.items() if revision > known}
        self._seen = {key: revision for key, revision in self._seen.items() if key in keys}
        for key in self._records.keys() - keys:
            del self._records[key]
            for tell in self._listeners:
                tell(key, None)

    async def _write(self, key: str, value: bytes, headers: dict[str, str], revision: int | None) -> int:
        try:
            return await self._publish(key, value, headers, revision)
        except ApiRefused as refused:
            if refused.code != WRONG_LAST_SEQUENCE:
                raise
        # A key that was deleted has the revision of its deletion.
        marker = await self._deletion(key) if revision == 0 else 0
        if not marker:
            raise RecordConflict(key)
        try:
            return await self._publish(key, value, headers, marker)
        except ApiRefused as refused:
            if refused.code != WRONG_LAST_SEQUENCE:
                raise
            raise RecordConflict(key) from refused

    async def _publish(self, key: str, value: bytes, headers: dict[str, str], revision: int | None) -> int:
        if revision is not None:
            headers = headers | {"Nats-Expected-Last-Subject-Sequence": str(revision)}
        subject = f"{self._prefix}{escaped(key)}"
        answer = await self._connection.or_lost(
            self._connection.client.request(subject, value, timeout=WRITE_SECONDS, headers=headers or None)
        )
        return int(read_answer(answer.data)["seq"])

    async def _deletion(self, key: str) -> int:
        """The revision of a key's deletion, 0 if it was not deleted."""
        try:
            answer = await self._connection.api(
                f"STREAM.MSG.GET.{self._stream}", {"last_by_subj": f"{self._prefix}{escaped(key)}"}
            )
        except ApiRefused:
            return 0
        message = answer["message"]
        return int(message["seq"]) if message.get("hdrs") and not message.get("data") else 0

    async def _ensure(self) -> int:
        """Makes the bucket if it is not there; returns its last revision."""
        try:
            info = await self._connection.api(f"STREAM.INFO.{self._stream}")
        except ApiRefused as refused:
            if refused.code != STREAM_NOT_FOUND:
                raise
            info = await self._connection.api(f"STREAM.CREATE.{self._stream}", self._config())
        if info["created"] != self._created:
            if self._created:
                logger.error(
                    "the bucket %s was lost and made anew: %d records are gone", self._stream, len(self._records)
                )
            # Its revisions begin again.
            self._created, self._seen = info["created"], {}
        return int(info["state"]["last_seq"])

    def _config(self) -> dict[str, object]:
        return {
            "name": self._stream,
            "subjects": [f"{self._prefix}>"],
            "storage": "file",
            "retention": "limits",
            "discard": "new",
            "max_msgs_per_subject": 1,
            "max_bytes": MAX_BYTES,
            "num_replicas": self._replicas,
            "allow_direct": True,
            "allow_rollup_hdrs": True,
            "deny_delete": True,
            "allow_msg_ttl": True,
        }


def _record(key: str, message: Read) -> Record | None:
    deleted = header(message.headers, _OPERATION) in {"DEL", "PURGE"}
    return None if deleted else Record(key, message.payload, message.sequence)
