"""Where documents to import come from: files and streams of NDJSON or of one JSON array, and Python's own iterables."""

import asyncio
import codecs
import json
import os
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Mapping
from pathlib import Path
from typing import IO, Any, cast

from ontomesh.sdk.encoding import encode

PIECE_BYTES = 256 << 10
_BLANK = " \t\r\n"
_MAX_ELEMENT = 2 << 20
"""Characters of an array's element: the kernel takes no documents that long."""

_SHOWN = 60

Documents = (
    str | os.PathLike[str] | IO[bytes] | Iterable[Mapping[str, Any] | bytes] | AsyncIterable[Mapping[str, Any] | bytes]
)
"""The path of a file, a file open for bytes, or documents one by one, as mappings or as JSON."""


async def pieces_of(source: Documents, offset: int) -> AsyncGenerator[bytes]:
    """The stream of NDJSON that a source comes to, from an offset on, in pieces.

    The same source comes to the same stream. A JSON array becomes a line for each of its elements.
    """
    if isinstance(source, str | os.PathLike):
        file = await asyncio.to_thread(Path(source).open, "rb")
        try:
            async for piece in _of_file(file, offset):
                yield piece
        finally:
            await asyncio.to_thread(file.close)
    elif hasattr(source, "read"):
        async for piece in _of_file(cast("IO[bytes]", source), offset):
            yield piece
    else:
        async for piece in _after(offset, _of_documents(source)):
            yield piece


def size_of(source: Documents) -> int | None:
    """How many bytes the stream of a source will have, where a file tells; an array's is about its file's."""
    try:
        if isinstance(source, str | os.PathLike):
            return Path(source).stat().st_size
        if hasattr(source, "fileno"):
            size = os.fstat(source.fileno()).st_size
            return size or None
    except (OSError, ValueError):
        pass
    return None


async def _of_file(file: IO[bytes], offset: int) -> AsyncGenerator[bytes]:
    first = await asyncio.to_thread(file.read, PIECE_BYTES)
    if first.lstrip()[:1] == b"[":
        async for piece in _after(offset, _of_array(file, first)):
            yield piece
        return
    start = 0
    if offset > len(first) and file.seekable():
        await asyncio.to_thread(file.seek, offset - len(first), os.SEEK_CUR)
        start, first = offset, await asyncio.to_thread(file.read, PIECE_BYTES)
    piece = first
    while piece:
        if start + len(piece) > offset:
            yield piece[max(offset - start, 0) :]
        start += len(piece)
        piece = await asyncio.to_thread(file.read, PIECE_BYTES)


async def _after(offset: int, pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    """What comes after so many bytes."""
    start = 0
    async for piece in pieces:
        if start + len(piece) > offset:
            yield piece[max(offset - start, 0) :]
        start += len(piece)


async def _of_array(file: IO[bytes], first: bytes) -> AsyncGenerator[bytes]:
    """A line for each element of a JSON array, as it is written there but for line ends."""
    elements = _Elements()
    piece = first
    while piece:
        lines = await asyncio.to_thread(elements.feed, piece)
        if lines:
            yield lines
        piece = await asyncio.to_thread(file.read, PIECE_BYTES)
    elements.end()


class _Elements:
    """Cuts a JSON array into its elements, however it is laid out; numbers keep their digits."""

    def __init__(self) -> None:
        self._decoder = json.JSONDecoder(parse_float=str, parse_int=str)
        self._text = ""
        self._utf8 = codecs.getincrementaldecoder("utf-8")()
        self._begun = self._ended = False
        self._due = "["

    def feed(self, data: bytes) -> bytes:
        """The lines of the elements that are whole by now. Raises ValueError for what is no array."""
        self._text += self._utf8.decode(data)
        lines: list[str] = []
        position = 0
        while True:
            position = self._skip(position)
            if position >= len(self._text):
                break
            character = self._text[position]
            if self._ended:
                raise ValueError("something follows the JSON array")
            if character in self._due and character in "[,]":
                self._ended = character == "]"
                self._due = {"[": "{]", ",": "{", "]": ""}[character]
                position += 1
                continue
            if "{" not in self._due:
                raise ValueError(f"{character!r} stands where one of {self._due!r} is due in the JSON array")
            try:
                _, end = self._decoder.raw_decode(self._text, position)
            except json.JSONDecodeError:
                break  # not whole yet
            lines.append(self._text[position:end].replace("\n", " ").replace("\r", " "))
            self._due, position = ",]", end
        self._text = self._text[position:]
        if len(self._text) > _MAX_ELEMENT:
            shown = self._text[:_SHOWN]
            raise ValueError(
                f"an element of the JSON array is no JSON, or longer than {_MAX_ELEMENT >> 20} MiB: {shown!r}"
            )
        return "".join(f"{line}\n" for line in lines).encode()

    def _skip(self, position: int) -> int:
        while position < len(self._text) and self._text[position] in _BLANK:
            position += 1
        return position

    def end(self) -> None:
        """Raises ValueError unless the array was whole."""
        if not self._ended:
            raise ValueError(f"the JSON array breaks off, or an element is no JSON: {self._text[:_SHOWN]!r}")


async def _of_documents(
    source: Iterable[Mapping[str, Any] | bytes] | AsyncIterable[Mapping[str, Any] | bytes],
) -> AsyncGenerator[bytes]:
    lines: list[bytes] = []
    size = 0
    async for document in _each(source):
        line = document.replace(b"\n", b" ") if isinstance(document, bytes) else encode(document)
        lines.append(line)
        size += len(line) + 1
        if size >= PIECE_BYTES:
            yield b"\n".join(lines) + b"\n"
            lines, size = [], 0
            await asyncio.sleep(0)
    if lines:
        yield b"\n".join(lines) + b"\n"


async def _each(source: Any) -> AsyncGenerator[Any]:
    if isinstance(source, AsyncIterable):
        async for document in source:
            yield document
        return
    for document in source:
        yield document
