"""`ontomesh branch`: branches."""

from typing import Annotated

import typer

from ontomesh.cli.completing import complete_branch
from ontomesh.cli.context import Session
from ontomesh.cli.failures import UsageFailure
from ontomesh.cli.options import Scope, command
from ontomesh.cli.output import local_time, short

app = typer.Typer()


@command(
    app,
    "branch",
    scope=Scope.WRITE,
    examples=("branch", "branch feature/licences", "branch old main~10", "branch -d feature/licences"),
)
def branch(
    session: Session,
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="The branch to create or delete.", autocompletion=complete_branch),
    ] = None,
    start: Annotated[
        str | None, typer.Argument(metavar="[START]", help="The ref that it begins at; else --branch, else main.")
    ] = None,
    delete: Annotated[
        bool, typer.Option("--delete", "-d", help="Delete the branch; its commits stay readable.")
    ] = False,
    empty: Annotated[bool, typer.Option("--empty", help="Begin with no documents and a history of its own.")] = False,
    prefix: Annotated[str, typer.Option("--prefix", metavar="TEXT", help="List only names that begin so.")] = "",
    expect: Annotated[str, typer.Option("--expect", metavar="HEAD", help="Delete only if this is its head.")] = "",
) -> None:
    """List branches; with a name, create one; with -d, delete it."""
    if name is None:
        if delete or empty or expect:
            raise UsageFailure(
                "which branch?", hint="`ontomesh branch NAME` creates one, `ontomesh branch -d NAME` deletes it"
            )
        _list(session, prefix)
    elif delete:
        if start or empty:
            raise UsageFailure("-d takes the name of one branch, nothing else")
        session.database.delete_branch(name, expected_head=expect)
        if session.out.as_json:
            session.out.json({"deleted": name})
        else:
            session.out.line("deleted branch ", (name, "green"))
    else:
        if start and empty:
            raise UsageFailure("--empty and START exclude each other: an empty branch begins nowhere")
        created = session.database.create_branch(name, start="" if empty else session.ref(start), empty=empty)
        if session.out.as_json:
            session.out.json(created)
        else:
            session.out.line("created branch ", (created.name, "green"), " at ", (short(created.head), "yellow"))


def _list(session: Session, prefix: str) -> None:
    branches = list(session.database.branches(prefix))
    if session.out.as_json:
        for item in branches:
            session.out.json(item)
        return
    session.out.table(
        ["BRANCH", "HEAD", "CHANGED"],
        [
            [
                (item.name, "bold green" if item.name == session.branch else "green"),
                (short(item.head), "yellow"),
                local_time(item.update_time),
            ]
            for item in branches
        ],
    )
