"""What people type: documents in files, on standard input or as arguments; pairs, durations and refs."""

import json
import re
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ontomesh.cli.failures import UsageFailure

MAX_OPERATIONS = 10_000
"""How many operations one commit holds at the most (`CreateCommitRequest.operations`)."""

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\r\n]*")
_DURATION = re.compile(r"(\d+)\s*([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_UPDATE = re.compile(r"(?P<id>.+?)=\s*(?P<patch>\{.*)", re.DOTALL)
_HEX = re.compile(r"(?P<id>[0-9a-fA-F]{8,64})(?P<rest>~\d*)?")


def documents(sources: Sequence[str]) -> list[bytes]:
    """The documents of all sources as JSON, in their order, byte for byte.

    A source is a file, `-` for standard input, or JSON text; each holds one object, an array of objects, or objects
    one after another (NDJSON). The text of a document is passed on as it stands, so that no digit of a number is lost.
    """
    found = [document.encode() for source in sources for document in _split(*_read(source))]
    if not found:
        raise UsageFailure(f"no documents in {', '.join(sources)}")
    return found


def schema(source: str) -> bytes:
    """The elements of a schema, in a file, `-` or JSON text, as one JSON array."""
    return b"[" + b",".join(documents([source])) + b"]"


def within_one_commit(operations: int) -> None:
    """Refuses more operations than a commit holds, before they are sent.

    Raises:
        UsageFailure: There are more.
    """
    if operations > MAX_OPERATIONS:
        raise UsageFailure(
            f"{operations:,} documents are more than one commit holds ({MAX_OPERATIONS:,})",
            hint="split the input into parts of at most 10,000 documents; each part is then a commit of its own, "
            "and documents that link to each other should be in the same or an earlier part",
        )


def pairs(given: Sequence[str], option: str) -> dict[str, str]:
    """`key=value` arguments as a mapping."""
    found: dict[str, str] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise UsageFailure(f"{option} {text}: expected KEY=VALUE")
        found[key] = value
    return found


def update(text: str) -> tuple[str, bytes]:
    """`ID={...}` as a document's id and a JSON merge patch."""
    match = _UPDATE.fullmatch(text)
    if match is None:
        raise UsageFailure(f"--update {text}: expected ID={{JSON object}}")
    return match["id"], value(match["patch"], f"--update {match['id']}")


def value(text: str, where: str) -> bytes:
    """One JSON value, byte for byte."""
    try:
        json.loads(text)
    except ValueError as error:
        raise UsageFailure(f"{where}: not JSON: {error}") from None
    return text.encode()


def duration(text: str) -> int:
    """Seconds of a length of time such as `90s`, `15m`, `1h`, `7d` or `1d12h`."""
    total, at = 0, 0
    for match in _DURATION.finditer(text):
        if match.start() != at:
            break
        total += int(match[1]) * _SECONDS[match[2]]
        at = match.end()
    if not total or at != len(text):
        raise UsageFailure(f"{text!r} is no length of time: write 90s, 15m, 1h, 7d or 2w")
    return total


def moment(text: str) -> datetime:
    """A point in time: RFC 3339 (without an offset the reader's own zone), or how long ago, such as `10m` or `2h`.

    Raises:
        UsageFailure: It is neither.
    """
    if _DURATION.match(text):
        return datetime.now(UTC) - timedelta(seconds=duration(text))
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        raise UsageFailure(f"{text!r} is no time: write 2026-11-20T10:00:00Z, or 10m or 2h for so long ago") from None


def abbreviated_commit(ref: str) -> str:
    """The `commit:` ref that a bare abbreviated id stands for; empty if the text looks like no id."""
    match = _HEX.fullmatch(ref)
    return f"commit:{match['id'].lower()}{match['rest'] or ''}" if match else ""


def _read(source: str) -> tuple[str, str]:
    """A source's name and text."""
    if source.lstrip()[:1] in {"{", "["}:
        return "argument", source
    try:
        raw = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    except OSError as error:
        hint = "give a file, - for standard input, or JSON" if isinstance(error, FileNotFoundError) else ""
        raise UsageFailure(f"cannot read {source}: {error.strerror or error}", hint=hint) from None
    name = "standard input" if source == "-" else source
    try:
        return name, raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageFailure(f"{name}: not UTF-8 at byte {error.start:,}") from None


def _split(name: str, text: str) -> Iterator[str]:
    at = _skip(text, 0)
    while at < len(text):
        if text[at] != "[":
            end = _object_end(name, text, at)
            yield text[at:end]
            at = _skip(text, end)
            continue
        at = _skip(text, at + 1)
        while text[at : at + 1] != "]":
            end = _object_end(name, text, at)
            yield text[at:end]
            at = _skip(text, end)
            if text[at : at + 1] == ",":
                at = _skip(text, at + 1)
                if text[at : at + 1] == "]":
                    raise _fault(name, text, at, "a comma with nothing behind it")
            elif text[at : at + 1] != "]":
                raise _fault(name, text, at, "expected ',' or ']'")
        at = _skip(text, at + 1)


def _object_end(name: str, text: str, at: int) -> int:
    if text[at : at + 1] != "{":
        raise _fault(name, text, at, "expected a JSON object" if at < len(text) else "it ends too early")
    try:
        end: int = _DECODER.raw_decode(text, at)[1]
    except json.JSONDecodeError as error:
        raise _fault(name, text, error.pos, error.msg) from None
    except RecursionError:
        raise _fault(name, text, at, "nested too deeply") from None
    return end


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _fault(name: str, text: str, at: int, what: str) -> UsageFailure:
    line = text.count("\n", 0, at) + 1
    column = at - text.rfind("\n", 0, at)
    return UsageFailure(f"{name}:{line}:{column}: {what}")
