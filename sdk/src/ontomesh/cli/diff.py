"""`ontomesh diff`: what differs between two refs."""

from typing import Annotated

import typer

from ontomesh.cli.changes import print_differences
from ontomesh.cli.completing import complete_branch
from ontomesh.cli.context import Session
from ontomesh.cli.failures import FOUND, UsageFailure
from ontomesh.cli.history import Stat
from ontomesh.cli.options import Scope, command

app = typer.Typer()


@command(
    app,
    "diff",
    scope=Scope.READ,
    pages=True,
    examples=("diff main feature", "diff main..feature --stat", "diff main~3", "diff main@2026-11-20T10:00:00Z main"),
)
def diff(
    session: Session,
    base: Annotated[
        str, typer.Argument(metavar="A|A..B", help="The older ref, or both.", autocompletion=complete_branch)
    ],
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="[B]", help="The newer ref; else --ref, else the branch.", autocompletion=complete_branch
        ),
    ] = None,
    stat: Stat = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit with 1 if anything differs.")] = False,
) -> None:
    """Show the documents that differ between two refs, property by property.

    The two ends are compared: what was changed and changed back does not appear.
    """
    if target is None and ".." in base:
        base, _dots, end = base.partition("..")
        target = end or None
        if end.startswith("."):
            raise UsageFailure("A...B is not supported", hint="A..B compares the two ends")
    differences = session.database.diff(session.ref(base), session.ref(target), include_bodies=not stat)
    total = 0
    if session.out.as_json:
        for difference in differences:
            total += 1
            session.out.json(difference)
    else:
        total = print_differences(session.out, differences, stat=stat)
    if exit_code and total:
        raise typer.Exit(FOUND)
