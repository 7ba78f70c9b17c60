"""What commands print: plain and stable in a pipe, coloured on a terminal, JSON on request.

rich is imported only when something is coloured, for its import costs as much as a whole simple command.
"""

import dataclasses
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

Part = str | tuple[str, str]
"""A piece of a line: text, or text with a rich style."""

SHORT_ID = 12
"""How many digits of an id people get to see."""

_INDENT = "  "
_ABSENT: Final = object()
_EMPTY = re.compile(r"\{\s*\}|\[\s*\]")


def short(identifier: str) -> str:
    """The first digits of a commit's id, an etag or a digest."""
    return identifier[:SHORT_ID]


def local_time(moment: datetime) -> str:
    """A time in the reader's zone, with its offset."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S %z")


def count(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun: `1 commit`, `2,000 commits`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def visible(text: str) -> str:
    """The text with control characters made visible.

    Messages, ids and values come from other people: as they are, they could move the cursor, set the window's
    title or hide what stands before them.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in "\n\t" else ascii(char)[1:-1] for char in text)


def compact(value: object) -> str:
    """A value that came from the SDK as JSON on one line, with all the digits of its numbers."""
    from ontomesh.sdk.encoding import encode

    return encode(value).decode()


def indented(body: str) -> str:
    """JSON text, a member or element a line; its numbers and strings stay as they are, digit for digit."""
    pieces: list[str] = []
    depth = 0
    at = 0
    while at < len(body):
        char = body[at]
        if char == '"':
            end = _string_end(body, at)
            pieces.append(body[at:end])
            at = end
            continue
        if char in "{[":
            empty = _EMPTY.match(body, at)
            if empty:
                pieces.append("{}" if char == "{" else "[]")
                at = empty.end()
                continue
            depth += 1
            pieces.append(char + "\n" + _INDENT * depth)
        elif char in "}]":
            depth -= 1
            pieces.append("\n" + _INDENT * depth + char)
        elif char == ",":
            pieces.append(",\n" + _INDENT * depth)
        elif char == ":":
            pieces.append(": ")
        elif not char.isspace():
            pieces.append(char)
        at += 1
    return "".join(pieces)


def _string_end(text: str, start: int) -> int:
    at = start + 1
    while text[at] != '"':
        at += 2 if text[at] == "\\" else 1
    return at + 1


def plain(value: object) -> object:
    """A value as JSON knows it: dataclasses by their fields, bodies as the documents they are, times in RFC 3339.

    What a dataclass holds no value for is left out.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {name: item for name, item in fields.items() if item is not _ABSENT}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, bytes):
        from ontomesh.sdk.decoding import decode

        return decode(value) if value else _ABSENT
    # The SDK's one enum stands for a value that is not there.
    return _ABSENT if isinstance(value, Enum) else value


class Output:
    """Standard output of one command, and its notes on standard error."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json

    @property
    def _stream(self) -> TextIO:
        # Looked up each time: a test, or a program that calls the command, may have put another in its place.
        return sys.stdout

    @cached_property
    def coloured(self) -> bool:
        """Whether people on a terminal read this."""
        return wants_colour(self._stream)

    def decide_colours(self) -> None:
        """Settles whether to colour by what standard output is now, before it is led elsewhere."""
        _ = self.coloured

    @cached_property
    def console(self) -> "Console":
        """The terminal; only for what is not JSON."""
        from rich.console import Console

        class Terminal(Console):
            def on_broken_pipe(self) -> None:
                self.quiet = True
                # rich's own way out is the exit code 1, which has a meaning of its own here.
                raise BrokenPipeError

        # What is coloured goes to a terminal, be it through a pager.
        return Terminal(file=self._stream, highlight=False, soft_wrap=True, force_terminal=True)

    def line(self, *parts: Part) -> None:
        """Prints one line of text, coloured where that is wanted."""
        if self.coloured:
            self.console.print(_assembled(parts))
        else:
            self._stream.write("".join(visible(_styled(part)[0]) for part in parts) + "\n")

    def text(self, text: str) -> None:
        """Prints plain text as a line."""
        self.line(text)

    def body(self, body: bytes) -> None:
        """Prints a document: indented for people, as it is on one line for programs."""
        text = body.decode()
        if self.as_json:
            self._stream.write(text + "\n")
        elif self.coloured:
            from rich.highlighter import JSONHighlighter

            self.console.print(JSONHighlighter()(visible(indented(text))))
        else:
            self._stream.write(indented(text) + "\n")

    def json(self, value: object) -> None:
        """Prints a value as one line of JSON."""
        self._stream.write(compact(plain(value)) + "\n")

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[Part]]) -> None:
        """Prints rows under headings, in columns as wide as they need."""
        lines = [[(column, "bold") for column in columns], *([_styled(part) for part in row] for row in rows)]
        widths = [max(len(visible(line[index][0])) for line in lines) for index in range(len(columns))]
        widths[-1] = 0
        for line in lines:
            self.line(
                *(
                    (visible(text).ljust(width) + ("  " if width else ""), style)
                    for (text, style), width in zip(line, widths, strict=True)
                )
            )

    def note(self, *parts: Part) -> None:
        """Prints one line on standard error."""
        note(*parts)

    def flush(self) -> None:
        """Sends what is buffered; a reader who went away is noticed here at the latest."""
        self._stream.flush()


def wants_colour(stream: TextIO) -> bool:
    """Whether to colour what goes to this stream: a terminal that is not dumb, or FORCE_COLOR; never with NO_COLOR."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def note(*parts: Part) -> None:
    """Prints one line on standard error, coloured if that is a terminal."""
    if wants_colour(sys.stderr):
        from rich.console import Console

        Console(stderr=True, highlight=False, soft_wrap=True).print(_assembled(parts))
    else:
        sys.stderr.write("".join(visible(_styled(part)[0]) for part in parts) + "\n")


def _styled(part: Part) -> tuple[str, str]:
    return (part, "") if isinstance(part, str) else part


def _assembled(parts: Iterable[Part]) -> "Text":
    from rich.text import Text

    line = Text()
    for part in parts:
        text, style = _styled(part)
        line.append(visible(text), style or None)
    return line
