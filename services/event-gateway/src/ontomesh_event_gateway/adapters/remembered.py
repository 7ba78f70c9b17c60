"""A bucket of records that a gateway still knows when it starts while the broker is away."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import orjson

from ontomesh_event_gateway.ports import Record, Records

logger = logging.getLogger(__name__)


class Bucket(Records, Protocol):
    """A bucket that says when its copy is filled."""

    async def wait_loaded(self) -> None:
        """Returns once the copy was filled."""


class RememberedRecords:
    """A bucket with a file of what it held last, which stands in for it until its copy is filled.

    `run` keeps the file, and must be running for it to be left behind. The file is no more than a memory: it may be lost.
    """

    def __init__(self, bucket: Bucket, file: Path) -> None:
        self._bucket = bucket
        self._file = file
        self._old = _read(file)
        self._changed = asyncio.Event()
        self._listeners: list[Callable[[str, Record | None], None]] = []
        bucket.on_change(self._tell)

    @property
    def is_loaded(self) -> bool:
        """Whether the bucket's own copy was ever filled."""
        return self._bucket.is_loaded

    def get(self, key: str) -> Record | None:
        """The record, None if there is none."""
        return self._bucket.get(key) or self._old.get(key)

    def all(self) -> Mapping[str, Record]:
        """Every record by key."""
        return {**self._old, **self._bucket.all()} if self._old else self._bucket.all()

    async def put(self, key: str, value: bytes, revision: int | None = None) -> Record:
        """Writes a record. Raises RecordConflict, BrokerUnavailable."""
        return await self._bucket.put(key, value, revision)

    async def delete(self, key: str, revision: int | None = None) -> None:
        """Deletes a record. Raises RecordConflict, BrokerUnavailable."""
        await self._bucket.delete(key, revision)

    def on_change(self, tell: Callable[[str, Record | None], None]) -> None:
        """From now on tells of every change that the copy sees."""
        self._listeners.append(tell)

    async def run(self) -> None:
        """Forgets the file's records once the bucket's own are there, and writes each change down, until cancelled."""
        await self._bucket.wait_loaded()
        old, self._old = self._old, {}
        for key in old.keys() - self._bucket.all().keys():
            self._tell(key, None)
        self._changed.set()
        while True:
            await self._changed.wait()
            self._changed.clear()
            kept = {key: (record.value.decode(), record.revision) for key, record in self._bucket.all().items()}
            try:
                await asyncio.to_thread(_write, self._file, kept)
            except OSError as fault:
                logger.warning("cannot write %s: %s", self._file, fault)

    def _tell(self, key: str, record: Record | None) -> None:
        self._old.pop(key, None)
        self._changed.set()
        for tell in self._listeners:
            tell(key, record)


def _read(file: Path) -> dict[str, Record]:
    try:
        kept: Any = orjson.loads(file.read_bytes())
        return {key: Record(key, value.encode(), int(revision)) for key, (value, revision) in kept.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as fault:
        logger.warning("%s is left aside: %s", file, fault)
        return {}


def _write(file: Path, kept: Mapping[str, object]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}")
    draft.write_bytes(orjson.dumps(kept))
    draft.replace(file)
