"""`ontomesh schema diff` and `ontomesh schema check`: what changes of the ontology come to."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ontomesh.cli import inputs
from ontomesh.cli.checks import print_differences, print_violations
from ontomesh.cli.context import Session
from ontomesh.cli.failures import FOUND, UsageFailure
from ontomesh.cli.options import Scope, command
from ontomesh.cli.schema import app
from ontomesh.cli.schema_events import show_broken

if TYPE_CHECKING:
    from ontomesh.sdk.resources import OntologyCheck

ExitCode = Annotated[bool, typer.Option("--exit-code", help="Exit with 1 if anything differs.")]
Whole = Annotated[bool, typer.Option("--replace", help="The file is the whole ontology: what it lacks is removed.")]


@command(
    app,
    "diff",
    scope=Scope.READ,
    examples=("schema diff main feature", "schema diff main~3", "schema diff main schema.json --exit-code"),
)
def diff(
    session: Session,
    start: Annotated[str | None, typer.Argument(metavar="[FROM]", help="The older ref; else the branch.")] = None,
    end: Annotated[
        str | None, typer.Argument(metavar="[TO|FILE]", help="The newer ref, or a file with a whole ontology, or -.")
    ] = None,
    exit_code: ExitCode = False,
) -> None:
    """Show how the ontology differs between two refs, or a ref and a file, and what that means for documents.

    + is new, - is gone, ~ has changed: "weakened" asks nothing of documents, "strengthened" may. No document is looked
    at; `schema check` does that.
    """
    if end is None and start is not None and _is_file(start):
        start, end = None, start
    if start is None and end is None:
        raise UsageFailure("nothing to compare with", hint="give a ref, two refs, or a ref and a schema file")
    base = session.ref(start)
    if end is not None and _is_file(end):
        found = session.database.check_ontology(inputs.schema(end), mode="replace", ref=base, changes_only=True)
    else:
        schema = session.database.ontology(session.ref(end)).schema
        found = session.database.check_ontology(schema, mode="replace", ref=base, changes_only=True)
    if session.out.as_json:
        for each in found.differences:
            session.out.json(each)
    else:
        print_differences(session.out, found.differences)
    if exit_code and found.differences:
        raise typer.Exit(FOUND)


@command(
    app,
    "check",
    scope=Scope.READ,
    examples=("schema check schema.json", "schema check schema.json --replace --ref feature --json"),
)
def check(
    session: Session,
    source: Annotated[
        str, typer.Argument(metavar="FILE|-", help="A JSON array of classes and enums, or one after another.")
    ],
    replace: Whole = False,
    remove: Annotated[
        list[str] | None, typer.Option("--remove", metavar="NAME", help="Remove this class or enum; may be repeated.")
    ] = None,
) -> None:
    """Show what `schema apply` would change, every document that would not fit, and every subscription and event type
    that would break. Nothing is changed.

    Exits with 1 if a document would not fit, or anything would break. The event gateway is asked for the latter.
    """
    schema = inputs.schema(source)
    ref = session.ref()
    show_check(
        session,
        ref,
        lambda token: session.database.check_ontology(
            schema,
            mode="replace" if replace else "upsert",
            remove=tuple(remove or ()),
            ref=ref,
            page_token=token,
        ),
    )


def show_check(session: Session, ref: str, ask: "Callable[[str], OntologyCheck]") -> None:
    """Prints a check, whose pages `ask` gets by their tokens, and what would break beside documents; ends the command
    if anything would not fit or break.
    """
    pages = _pages(session, ask)
    last = _printed(session, pages) if session.out.as_json else print_violations(session, pages)
    breaks = show_broken(session, ref, last)
    if last.violating or breaks:
        raise typer.Exit(FOUND)


def _pages(session: Session, ask: "Callable[[str], OntologyCheck]") -> "Iterator[OntologyCheck]":
    token, first = "", True
    while token or first:
        page = ask(token)
        if first and not session.out.as_json:
            print_differences(session.out, page.differences)
        token, first = page.next_page_token, False
        yield page


def _printed(session: Session, pages: "Iterator[OntologyCheck]") -> "OntologyCheck":
    for page in pages:
        session.out.json(page)
    return page


def _is_file(text: str) -> bool:
    return text == "-" or text.lstrip()[:1] in ("[", "{") or Path(text).is_file()
