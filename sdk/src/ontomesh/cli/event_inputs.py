"""What people type of events: filters, starts and data."""

import dataclasses
import json
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ontomesh.cli import inputs
from ontomesh.cli.completing import complete_branch, complete_class, complete_database, complete_event_type
from ontomesh.cli.failures import UsageFailure

if TYPE_CHECKING:
    from ontomesh.sdk.events import Event, Filter, Start

_SOME = "`*` stands for any characters. May be repeated."

Types = Annotated[
    list[str] | None,
    typer.Option("--type", "-t", metavar="PATTERN", help=f"Types; {_SOME}", autocompletion=complete_event_type),
]
Classes = Annotated[
    list[str] | None,
    typer.Option(
        "--class",
        "-c",
        metavar="CLASS",
        help="Documents of the class or its subclasses. May be repeated.",
        autocompletion=complete_class,
    ),
]
Databases = Annotated[
    list[str] | None,
    typer.Option("--db", "-D", metavar="PATTERN", help="Databases.", autocompletion=complete_database),
]
Branches = Annotated[
    list[str] | None,
    typer.Option("--branch", "-b", metavar="PATTERN", help="Branches.", autocompletion=complete_branch),
]
Subjects = Annotated[
    list[str] | None, typer.Option("--subject", metavar="PATTERN", help="Subjects, such as documents' ids.")
]
Sources = Annotated[list[str] | None, typer.Option("--source", metavar="PATTERN", help="Sources.")]
Operations = Annotated[
    list[str] | None, typer.Option("--operation", metavar="NAME", help="insert, replace or delete of documents.")
]
Paths = Annotated[
    list[str] | None, typer.Option("--path", metavar="PATH", help="Properties that changed, such as address.city.")
]
AttributePatterns = Annotated[
    list[str] | None, typer.Option("--attr", metavar="NAME=PATTERN", help="Further attributes.")
]


def filter_of(
    *,
    types: list[str] | None = None,
    classes: list[str] | None = None,
    databases: list[str] | None = None,
    branches: list[str] | None = None,
    subjects: list[str] | None = None,
    sources: list[str] | None = None,
    operations: list[str] | None = None,
    paths: list[str] | None = None,
    attributes: list[str] | None = None,
) -> "Filter":
    """The filter that the options make up."""
    from ontomesh.sdk.events import Filter

    return Filter(
        types=types or (),
        classes=classes or (),
        databases=databases or (),
        branches=branches or (),
        subjects=subjects or (),
        sources=sources or (),
        operations=operations or (),
        paths=paths or (),
        attributes={name: [pattern] for name, pattern in inputs.pairs(attributes or [], "--attr").items()},
    )


def start_of(text: str) -> "Start":
    """A start point: `new`, `all`, a sequence, a time, or how long ago."""
    if text == "new":
        return "new"
    if text == "all":
        return "all"
    return int(text) if text.isdecimal() else inputs.moment(text)


def start_text(start: "Start") -> str:
    """A start point for people."""
    if isinstance(start, datetime):
        return start.isoformat()
    return f"sequence {start}" if isinstance(start, int) else start


def data_of(given: str | None, content_type: str) -> bytes | None:
    """The data of an event: text, `@FILE`, or `-` for standard input, as bytes.

    Raises:
        UsageFailure: They are to be JSON and are not.
    """
    if given is None:
        return None
    if given == "-":
        body = sys.stdin.buffer.read()
    elif given.startswith("@"):
        body = Path(given[1:]).read_bytes()
    else:
        body = given.encode()
    if not content_type:
        try:
            json.loads(body)
        except ValueError as error:
            raise UsageFailure(
                f"the data are no JSON: {error}",
                hint="--content-type text/plain, or another, publishes them as they are",
            ) from None
    return body


def events_of(file: str, type: str, **given: Any) -> Iterator["Event"]:
    """The events in a file of NDJSON, or `-`: CloudEvents in JSON, or with a type, the data of one a line.

    Raises:
        UsageFailure: A line is neither.
    """
    from ontomesh.sdk.events import Event
    from ontomesh.sdk.events.structured import event_of

    with sys.stdin.buffer if file == "-" else Path(file).open("rb") as lines:
        for number, line in enumerate(lines, 1):
            text = line.strip()
            if not text:
                continue
            try:
                found = json.loads(text)
                is_event = isinstance(found, dict) and "specversion" in found
                if is_event:
                    yield dataclasses.replace(event_of(text), **{name: value for name, value in given.items() if value})
                    continue
            except json.JSONDecodeError as error:
                raise UsageFailure(f"{file}:{number}: not JSON: {error.msg} at column {error.colno}") from None
            except ValueError as error:
                raise UsageFailure(f"{file}:{number}: {error}") from None
            if not type:
                raise UsageFailure(
                    f"{file}:{number}: no CloudEvent", hint="name a TYPE, and each line is the data of such an event"
                )
            yield Event.of(type, text, content_type="application/json", **given)
