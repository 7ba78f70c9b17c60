"""What the shell offers when TAB is pressed: names that the kernel knows, if it answers at once."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import typer

from ontomesh.cli.context import Options, Session
from ontomesh.cli.failures import UsageFailure

SECONDS = 1.5
"""How long a kernel may take: whoever waits for a name would rather type it."""

_MOST = 1_000


def complete_class(context: typer.Context, incomplete: str) -> list[str]:
    """Classes whose documents can be asked for."""
    return _names(context, incomplete, _classes)


def complete_branch(context: typer.Context, incomplete: str) -> list[str]:
    """Branches."""
    return _names(context, incomplete, lambda session: (each.name for each in session.database.branches(incomplete)))


def complete_database(context: typer.Context, incomplete: str) -> list[str]:
    """Databases."""
    return _names(context, incomplete, lambda session: (each.name for each in session.mesh.databases.list()))


def complete_id(context: typer.Context, incomplete: str) -> list[str]:
    """Classes with a slash, and behind a slash the documents of the class."""
    return _names(context, incomplete, lambda session: _ids(session, incomplete))


def complete_subscription(context: typer.Context, incomplete: str) -> list[str]:
    """Subscriptions to events."""
    return _names(context, incomplete, lambda session: (each.name for each in session.mesh.events.subscriptions()))


def complete_event_type(context: typer.Context, incomplete: str) -> list[str]:
    """Event types that are registered."""
    return _names(context, incomplete, lambda session: (each.name for each in session.mesh.events.types()))


def complete_hook(context: typer.Context, incomplete: str) -> list[str]:
    """After-hooks."""
    return _names(
        context,
        incomplete,
        lambda session: (each.name for each in session.mesh.events.subscriptions() if "hook" in each.labels),
    )


def complete_validator(context: typer.Context, incomplete: str) -> list[str]:
    """Validators."""
    return _names(context, incomplete, lambda session: (each.name for each in session.mesh.validators.list()))


def _classes(session: Session) -> Iterable[str]:
    for element in session.database.ontology(session.ref()).schema:
        if element.get("@type") in ("Class", "TaggedUnion") and "@subdocument" not in element:
            yield str(element["@id"])


def _ids(session: Session, incomplete: str) -> Iterable[str]:
    cls, slash, _key = incomplete.partition("/")
    if not slash:
        return (f"{name}/" for name in _classes(session))
    documents = session.database.documents(cls, ref=session.ref(), page_size=_MOST)
    return (document.id for document, _ in zip(documents, range(_MOST), strict=False))


def _names(context: typer.Context, incomplete: str, find: Callable[[Session], Iterable[str]]) -> list[str]:
    from ontomesh.sdk.errors import OntomeshError

    try:
        with Session(_options(context)) as session:
            return [name for name in find(session) if name.startswith(incomplete)]
    except (OntomeshError, UsageFailure, OSError):
        return []  # A shell that is half-way through a line is no place for an error.


def _options(context: typer.Context) -> Options:
    """The shared options as far as they are typed, those behind the command's name over those before it."""
    given: dict[str, Any] = {}
    for each in (context.parent, context):
        params: Mapping[str, Any] = each.params if each is not None else {}
        given |= {name.removeprefix("shared_"): value for name, value in params.items() if value}
    fields = {field.name for field in dataclasses.fields(Options)}
    options = Options(**{name: value for name, value in given.items() if name in fields})
    return dataclasses.replace(options, timeout=SECONDS)
