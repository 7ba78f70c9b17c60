"""What a gateway knows of a bucket while the broker is away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ontomesh_event_gateway.adapters.remembered import RememberedRecords
from ontomesh_event_gateway.ports import Record
from tests.events.memory import MemoryRecords
from tests.events.serving import until


class Bucket(MemoryRecords):
    """A bucket whose copy is filled when it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.filled = asyncio.Event()

    @property
    def is_loaded(self) -> bool:
        return self.filled.is_set()

    async def wait_loaded(self) -> None:
        await self.filled.wait()


@asynccontextmanager
async def running(bucket: Bucket, file: Path) -> AsyncIterator[RememberedRecords]:
    records = RememberedRecords(bucket, file)
    task = asyncio.create_task(records.run())
    try:
        yield records
    finally:
        task.cancel()
        await asyncio.wait({task})


def values(records: RememberedRecords) -> dict[str, bytes]:
    return {key: record.value for key, record in records.all().items()}


async def test_what_the_bucket_held_last_is_known_until_its_own_records_are_there(tmp_path: Path) -> None:
    file = tmp_path / "data" / "records.json"
    async with running(first := Bucket(), file) as records:
        first.filled.set()
        await records.put("a", b"1")
        await records.put("b", b"2")
        await until(lambda: file.exists() and b'"b"' in file.read_bytes())

    told: list[tuple[str, Record | None]] = []
    async with running(second := Bucket(), file) as records:
        records.on_change(lambda key, record: told.append((key, record)))
        assert not records.is_loaded
        assert values(records) == {"a": b"1", "b": b"2"}
        changed = await second.put("a", b"3")
        assert (records.get("a"), values(records)) == (changed, {"a": b"3", "b": b"2"})
        second.filled.set()
        await until(lambda: records.get("b") is None)
        assert told == [("a", changed), ("b", None)]
        await records.delete("a")
        await until(lambda: file.read_bytes() == b"{}")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 1}', '{"a": ["x", "y"]}'])
async def test_a_file_that_cannot_be_read_is_left_aside(tmp_path: Path, text: str) -> None:
    (tmp_path / "records.json").write_text(text)
    assert RememberedRecords(Bucket(), tmp_path / "records.json").all() == {}
