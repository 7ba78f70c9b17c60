"""The spool on a real disk: order, bounds, and what a crash leaves."""

import asyncio
import resource
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from ontomesh_event_gateway.adapters.segments import Head, Segments
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


@contextmanager
def no_file_larger(than: int) -> Iterator[None]:
    """What a full disk does to files, for this process alone."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (than, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_full_disk_refuses_until_there_is_room_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as spool:
        assert await append(spool, event(0, 45_000)) is None
        with no_file_larger(50_000):
            for size in (6_000, 60_000, 6_000):
                error = await append(spool, event(1, size))
                assert isinstance(error, SpoolFull)
                assert error.metadata == {"limit": str(LARGE)}
            assert spool.depth == 1
        assert await append(spool, event(2)) is None
        assert await drained(spool) == [0, 2]


async def test_what_was_refused_does_not_come_up_after_a_crash(tmp_path: Path) -> None:
    async with opened(tmp_path) as spool:
        await append(spool, event(0, 45_000))
        with no_file_larger(50_000):
            await append(spool, event(1), event(2), event(3, 6_000))
    async with opened(tmp_path) as spool:
        assert await drained(spool) == [0]


class HeldSegments(Segments):
    """Segments whose calls, once held, end when the test says so."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, 1 << 20)
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.is_held = threading.Event()

    def hold(self) -> None:
        self.goes_on.clear()
        self.is_held.clear()

    def append(self, records: list[bytes]) -> None:
        self._pause()
        super().append(records)

    def read(self, most: int, most_bytes: int) -> Head:
        head = super().read(most, most_bytes)
        if not head.bodies:
            self._pause()
        return head

    def _pause(self) -> None:
        self.is_held.set()
        self.goes_on.wait(10)


@asynccontextmanager
async def held(folder: Path) -> AsyncIterator[tuple[Spool, HeldSegments]]:
    segments = HeldSegments(folder)
    spool = Spool(segments, LARGE, decode, (folder / "lock").open("ab"))
    try:
        yield spool, segments
    finally:
        segments.goes_on.set()
        await spool.close()


async def test_an_event_that_is_written_while_nothing_is_found_is_found_next(tmp_path: Path) -> None:
    async with held(tmp_path) as (spool, segments):
        await append(spool, event(0))
        await spool.head()
        await spool.remove(1)
        hold = threading.Event()
        segments.goes_on = hold
        segments.is_held.clear()
        waiting = asyncio.create_task(spool.head())
        await asyncio.to_thread(segments.is_held.wait, 10)
        segments.goes_on = threading.Event()
        segments.goes_on.set()
        await append(spool, event(1))
        hold.set()
        assert [one.id for one in await asyncio.wait_for(waiting, 5)] == ["1"]


async def test_what_comes_behind_events_that_cannot_be_written_is_not_written_either(tmp_path: Path) -> None:
    async with held(tmp_path) as (spool, segments):
        await append(spool, event(0))
        segments.hold()
        first = asyncio.create_task(append(spool, event(1, 60_000)))
        await asyncio.to_thread(segments.is_held.wait, 10)
        second = asyncio.create_task(append(spool, event(2)))
        await asyncio.sleep(0)
        with no_file_larger(50_000):
            segments.goes_on.set()
            assert isinstance(await first, SpoolFull)
            assert isinstance(await second, SpoolFull)
        assert (spool.depth, spool.size) == (1, segments.size)
        assert await append(spool, event(3)) is None
        assert await drained(spool) == [0, 3]


async def test_a_head_that_cannot_be_written_keeps_nothing_from_leaving(tmp_path: Path) -> None:
    (tmp_path / ".head").mkdir()
    async with opened(tmp_path, 100_000) as spool:
        for number in range(40):
            assert await append(spool, event(number, 2_000)) is None
        assert await drained(spool) == list(range(40))
        assert segments(tmp_path) == []


@pytest.mark.parametrize("again", [1, 5])
async def test_an_old_head_hides_no_new_events(tmp_path: Path, again: int) -> None:
    async with opened(tmp_path) as spool:
        await append(spool, event(0), event(1))
        await spool.head()
        await spool.remove(1)
        old = (tmp_path / "head").read_bytes()
        await drained(spool)
    (tmp_path / "head").write_bytes(old)
    async with opened(tmp_path) as spool:
        await append(spool, *map(event, range(again)))
        assert await drained(spool) == list(range(again))
