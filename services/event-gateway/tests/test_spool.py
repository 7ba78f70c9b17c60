"""The spool on a real disk: order, bounds, and what a crash leaves."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ontomesh_event_gateway.adapters.spool import HEAD_EVENTS, Spool
from ontomesh_event_gateway.domain.model import Event
from ontomesh_event_gateway.errors import GatewayError, SpoolFull

LARGE = 64 << 20


def decode(encoded: bytes) -> Event:
    return Event(encoded.partition(b"|")[0].decode(), "/a", "t", encoded=encoded)


def event(number: int, size: int = 0) -> Event:
    return Event(str(number), "/a", "t", encoded=f"{number}|".encode() + b"x" * size)


@asynccontextmanager
async def opened(folder: Path, max_bytes: int = LARGE) -> AsyncIterator[Spool]:
    spool = await Spool.open(folder, max_bytes, decode)
    try:
        yield spool
    finally:
        await spool.close()


async def append(spool: Spool, *events: Event) -> GatewayError | None:
    future: asyncio.Future[GatewayError | None] = asyncio.get_running_loop().create_future()
    spool.append(events, future.set_result)
    return await future


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.segment"))


async def drained(spool: Spool) -> list[int]:
    found: list[int] = []
    while spool.depth:
        events = await spool.head()
        found += [int(one.id) for one in events]
        await spool.remove(len(events))
    return found


async def test_events_come_out_in_the_order_in_which_they_went_in(tmp_path: Path) -> None:
    async with opened(tmp_path) as spool:
        count = HEAD_EVENTS + 10
        assert await append(spool, *map(event, range(count))) is None
        assert spool.depth == count
        assert await drained(spool) == list(range(count))
        assert (spool.depth, spool.size, spool.age()) == (0, 0, 0)


async def test_concurrent_appends_keep_their_order_and_are_synced_together(tmp_path: Path) -> None:
    async with opened(tmp_path) as spool:
        assert await asyncio.gather(*(append(spool, event(number)) for number in range(100))) == [None] * 100
        assert await drained(spool) == list(range(100))


async def test_what_was_appended_is_there_after_the_process_is_gone(tmp_path: Path) -> None:
    async with opened(tmp_path / "spool") as spool:
        await append(spool, *map(event, range(5)))
        await spool.head()
        await spool.remove(2)
    async with opened(tmp_path / "spool") as spool:
        assert spool.depth == 3
        assert spool.age() > 0
        await append(spool, event(5))
        assert await drained(spool) == [2, 3, 4, 5]


@pytest.mark.parametrize("cut", [1, 3, 20])
async def test_a_torn_record_at_the_end_is_cut_off(tmp_path: Path, cut: int) -> None:
    async with opened(tmp_path) as spool:
        await append(spool, *(event(number, 30) for number in range(3)))
    segment = segments(tmp_path)[0]
    segment.write_bytes(segment.read_bytes()[:-cut])
    async with opened(tmp_path) as spool:
        assert spool.depth == 2
        await append(spool, event(7))
        assert await drained(spool) == [0, 1, 7]


async def test_garbage_behind_the_last_record_is_cut_off(tmp_path: Path) -> None:
    async with opened(tmp_path) as spool:
        await append(spool, event(0), event(1))
    segment = segments(tmp_path)[0]
    segment.write_bytes(segment.read_bytes() + b"\0" * 100)
    async with opened(tmp_path) as spool:
        await append(spool, event(2))
        assert await drained(spool) == [0, 1, 2]


async def test_a_flipped_bit_is_noticed(tmp_path: Path) -> None:
    async with opened(tmp_path) as spool:
        await append(spool, event(0, 10), event(1, 10))
    segment = segments(tmp_path)[0]
    data = bytearray(segment.read_bytes())
    data[-1] ^= 1
    segment.write_bytes(data)
    async with opened(tmp_path) as spool:
        assert await drained(spool) == [0]


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\0" * 20])
async def test_without_a_readable_head_what_is_there_comes_again(tmp_path: Path, content: bytes) -> None:
    async with opened(tmp_path) as spool:
        await append(spool, *map(event, range(3)))
        await spool.head()
        await spool.remove(1)
    (tmp_path / "head").write_bytes(content)
    async with opened(tmp_path) as spool:
        assert await drained(spool) == [0, 1, 2]


async def test_it_takes_all_of_a_call_or_none_up_to_its_limit(tmp_path: Path) -> None:
    async with opened(tmp_path, 100_000) as spool:
        number = 0
        while (error := await append(spool, event(number, 900), event(number + 1, 900))) is None:
            number += 2
        assert isinstance(error, SpoolFull)
        assert error.metadata == {"limit": "100000"}
        assert 98_000 < spool.size <= 100_000
        assert spool.depth == number
        assert await drained(spool) == list(range(number))
        assert await append(spool, event(1)) is None


async def test_files_of_removed_events_make_room(tmp_path: Path) -> None:
    async with opened(tmp_path, 100_000) as spool:
        for round_ in range(40):
            assert await append(spool, *(event(10 * round_ + index, 900) for index in range(10))) is None
            events = await spool.head()
            await spool.remove(min(len(events), 10))
        assert len(segments(tmp_path)) <= 2


async def test_head_waits_for_the_first_event(tmp_path: Path) -> None:
    async with opened(tmp_path) as spool:
        waiting = asyncio.create_task(spool.head())
        await append(spool, event(3))
        assert [one.id for one in await waiting] == ["3"]


async def test_a_folder_that_is_open_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path):
        with pytest.raises(BlockingIOError):
            await Spool.open(tmp_path, LARGE, decode)
