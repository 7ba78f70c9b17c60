"""The files of a spool. Every call blocks; one thread may append while another reads and removes."""

import logging
import os
import struct
import threading
import zlib
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple

logger = logging.getLogger(__name__)

_HEADER = struct.Struct("<IId")  # length of the body, checksum of time and body, time
_PLACE = struct.Struct("<QQI")  # segment, offset, checksum of both
_SUFFIX = ".segment"
_HEAD = "head"
LARGEST_SEGMENT = 8 << 20
LARGEST_BODY = 64 << 20


def record(body: bytes, time: float) -> bytes:
    """A record's bytes."""
    return _HEADER.pack(len(body), _checksum(body, time), time) + body


def _checksum(body: bytes, time: float) -> int:
    return zlib.crc32(body, zlib.crc32(struct.pack("<d", time)))


class Place(NamedTuple):
    """Where a record begins."""

    segment: int
    offset: int


class Head(NamedTuple):
    """The oldest records: their bodies, and where each ends."""

    bodies: list[bytes]
    ends: list[Place]


class Segments:
    """Records in numbered files; the oldest not removed is where the file `head` says."""

    def __init__(self, folder: Path, largest: int) -> None:
        self._folder = folder
        self._largest = largest
        self._sizes: dict[int, int] = {}
        self._head = Place(1, 0)
        self._file: IO[bytes] | None = None
        self._changing = threading.Lock()
        self.count = 0
        self.oldest = 0.0

    @classmethod
    def open(cls, folder: Path, max_bytes: int) -> "Segments":
        """The segments of a folder; a torn record at the end is cut off. Raises OSError."""
        segments = cls(folder, max(1, min(LARGEST_SEGMENT, max_bytes // 8)))
        segments._recover()
        return segments

    @property
    def size(self) -> int:
        """Bytes of the files, removed records of the oldest file included."""
        return sum(self._sizes.values())

    def append(self, records: list[bytes]) -> None:
        """Writes records and syncs them: all or none. Raises OSError."""
        data = b"".join(records)
        with self._changing:
            number = max(self._sizes, default=0)
            if not number or self._sizes[number] >= self._largest:
                number = self._begin(max(number + 1, self._head.segment))
            file = self._opened(number)
            start = self._sizes[number]
            try:
                _write(file.fileno(), data, start)
                os.fdatasync(file.fileno())
            except OSError:
                # Those after it are written over it; whole records that they do not cover must not come up again.
                with suppress(OSError):
                    os.ftruncate(file.fileno(), start)
                self.close()
                raise
            self._sizes[number] = start + len(data)
            self.count += len(records)

    def read(self, most: int, most_bytes: int) -> Head:
        """The oldest records that are synced, up to a count and about a size."""
        sizes = sorted(self._sizes.copy().items())
        bodies: list[bytes] = []
        ends: list[Place] = []
        taken = 0
        for number, size in sizes:
            if number < self._head.segment:
                continue
            offset = self._head.offset if number == self._head.segment else 0
            if offset >= size:
                continue
            with self._path(number).open("rb") as file:
                file.seek(offset)
                while offset < size and len(bodies) < most and taken < most_bytes:
                    length, _, time = _HEADER.unpack(file.read(_HEADER.size))
                    if not bodies:
                        self.oldest = time
                    bodies.append(file.read(length))
                    offset += _HEADER.size + length
                    taken += length
                    ends.append(Place(number, offset))
            if len(bodies) >= most or taken >= most_bytes:
                break
        return Head(bodies, ends)

    def remove(self, head: Head, count: int) -> None:
        """Removes the first records of a head, and the files that hold no others. What a full disk cannot note of it comes
        again after a crash.
        """
        place = head.ends[count - 1]
        with self._changing:
            self.count -= count
            if not self.count:
                place = Place(max(self._sizes) + 1, 0)
                self.oldest = 0.0
                self.close()
            try:
                self._write_head(place)
            except OSError as fault:
                # Else a full disk would keep the very files that fill it.
                logger.warning("the spool's head cannot be written: %s", fault.strerror or fault)
            self._head = place
            done = [number for number, size in self._sizes.items() if (number, size) <= place]
            for number in done:
                del self._sizes[number]
        for number in done:
            self._path(number).unlink(missing_ok=True)

    def close(self) -> None:
        """Closes the files."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _recover(self) -> None:
        numbers = sorted(int(path.stem) for path in self._folder.glob(f"*{_SUFFIX}"))
        self._head = self._read_head(numbers[0] if numbers else 1)
        if self._head.offset and self._head.segment not in numbers:
            # Its file is gone, and the next of that number would begin behind its own first records.
            self._head = Place(self._head.segment + 1, 0)
        for number in numbers:
            path = self._path(number)
            if number < self._head.segment:
                path.unlink()
                continue
            offset = self._head.offset if number == self._head.segment else 0
            count, end, oldest = _scan(path, offset)
            size = path.stat().st_size
            if end < size:
                logger.warning("%d bytes at the end of %s are no record and are cut off", size - end, path.name)
                os.truncate(path, end)
            self._sizes[number] = end
            self.count += count
            self.oldest = self.oldest or oldest

    def _begin(self, number: int) -> int:
        self.close()
        path = self._path(number)
        path.open("wb").close()
        _sync_folder(self._folder)
        self._sizes[number] = 0
        return number

    def _opened(self, number: int) -> IO[bytes]:
        path = self._path(number)
        if self._file is None or self._file.name != str(path):
            self.close()
            self._file = path.open("r+b", buffering=0)
        return self._file

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:010d}{_SUFFIX}"

    def _read_head(self, first: int) -> Place:
        try:
            data = (self._folder / _HEAD).read_bytes()
        except FileNotFoundError:
            return Place(first, 0)
        if len(data) != _PLACE.size or _PLACE.unpack(data)[2] != zlib.crc32(data[:16]):
            logger.warning("the spool's head cannot be read: events that were forwarded are forwarded again")
            return Place(first, 0)
        segment, offset, _ = _PLACE.unpack(data)
        return Place(segment, offset) if segment >= first else Place(first, 0)

    def _write_head(self, place: Place) -> None:
        draft = self._folder / f".{_HEAD}"
        pair = struct.pack("<QQ", *place)
        with draft.open("wb") as file:
            file.write(_PLACE.pack(*place, zlib.crc32(pair)))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._folder / _HEAD)
        # Before any file goes that an older head points into.
        _sync_folder(self._folder)


def _scan(path: Path, offset: int) -> tuple[int, int, float]:
    """How many whole records there are from an offset on, where they end, and the first one's time."""
    count, oldest = 0, 0.0
    with path.open("rb") as file:
        file.seek(offset)
        while len(header := file.read(_HEADER.size)) == _HEADER.size:
            length, checksum, time = _HEADER.unpack(header)
            body = file.read(length) if length <= LARGEST_BODY else b""
            if len(body) != length or _checksum(body, time) != checksum:
                break
            count += 1
            offset += _HEADER.size + length
            oldest = oldest or time
    return count, offset, oldest


def _write(descriptor: int, data: bytes, offset: int) -> None:
    rest = memoryview(data)
    while rest:
        written = os.pwrite(descriptor, rest, offset)
        rest, offset = rest[written:], offset + written


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
