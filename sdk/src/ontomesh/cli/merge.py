"""`ontomesh merge`: merging a ref into a branch, and settling conflicts."""

import shlex
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from ontomesh.cli import inputs, resolutions
from ontomesh.cli.committed import print_commit
from ontomesh.cli.completing import complete_branch
from ontomesh.cli.context import Session
from ontomesh.cli.failures import FOUND, UsageFailure
from ontomesh.cli.options import Scope, command
from ontomesh.cli.output import compact, count, plain

if TYPE_CHECKING:
    from ontomesh.sdk import Resolution
    from ontomesh.sdk.resources import Conflict, MergeResult


class Strategy(StrEnum):
    """Which side settles the conflicts that no resolution names."""

    OURS = "ours"
    THEIRS = "theirs"
    BASE = "base"


_KINDS = {
    "both_changed": "both changed it",
    "both_added": "both added it",
    "deleted_by_ours": "ours deleted the document, theirs changed it",
    "deleted_by_theirs": "theirs deleted the document, ours changed it",
}


app = typer.Typer()


@command(
    app,
    "merge",
    scope=Scope.WRITE,
    examples=(
        "merge feature -m 'take the new licences'",
        "merge feature --into release --strategy theirs",
        "merge feature --resolve 'Package/requests#version=theirs'",
        """merge feature --resolve 'Package/requests#version:="2.33.0"'""",
    ),
)
def merge(
    session: Session,
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="The ref to merge.", autocompletion=complete_branch)],
    into: Annotated[
        str | None, typer.Option("--into", metavar="BRANCH", help="The branch to merge into; the same as --branch.")
    ] = None,
    message: Annotated[str, typer.Option("--message", "-m", metavar="TEXT", help="The merge commit's message.")] = "",
    strategy: Annotated[
        Strategy | None, typer.Option("--strategy", help="Take this side wherever --resolve says nothing.")
    ] = None,
    resolve: Annotated[
        list[str] | None,
        typer.Option("--resolve", metavar="ID#PROPERTY=SIDE", help="Settle one conflict; or ID#PROPERTY:=JSON."),
    ] = None,
    author: Annotated[str, typer.Option("--author", metavar="user:NAME", help="Act for another (right `act`).")] = "",
    expect: Annotated[str, typer.Option("--expect", metavar="HEAD", help="Only if this is the branch's head.")] = "",
    meta: Annotated[
        list[str] | None, typer.Option("--meta", metavar="KEY=VALUE", help="A note that stays with the commit.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Find the conflicts, commit nothing.")] = False,
) -> None:
    """Merge a ref into a branch and commit the outcome.

    Conflicts are printed with the arguments that settle them, nothing is committed then, and the exit code is 1.
    """
    if into and session.options.branch and into != session.options.branch:
        raise UsageFailure(f"merge into {into} or {session.options.branch}?", hint="say either --into or --branch")
    branch = into or session.branch
    chosen = [resolutions.parse(text) for text in resolve or ()]
    result = session.database.merge(
        session.ref(source),
        into=branch,
        strategy=strategy.value if strategy else None,
        resolutions=chosen,
        message=message,
        author=author,
        metadata=inputs.pairs(meta or (), "--meta"),
        expected_head=expect,
        validate_only=dry_run,
    )
    conflicts = _all_conflicts(session, result, chosen)
    if session.out.as_json:
        session.out.json({**_fields(result), "conflicts": [plain(conflict) for conflict in conflicts]})
    elif result.outcome == "merged":
        assert result.commit is not None
        print_commit(session, result.commit, dry_run=dry_run)
    elif result.outcome == "up_to_date":
        session.out.line(f"{branch} already holds all of {source}; nothing to merge")
    else:
        for conflict in conflicts:
            _print_conflict(session, conflict)
        _print_next_step(session, conflicts, [source, "--into", branch, *_again(session, resolve, message)])
    if result.outcome == "conflicts":
        raise typer.Exit(FOUND)


def _fields(result: "MergeResult") -> dict[str, object]:
    fields = plain(result)
    assert isinstance(fields, dict)
    return fields


def _all_conflicts(session: Session, result: "MergeResult", chosen: "Sequence[Resolution]") -> "Sequence[Conflict]":
    """Every conflict that is left; the merge's own answer names a hundred at the most."""
    if result.conflict_count <= len(result.conflicts):
        return result.conflicts
    settled = {(resolution.id, resolution.property) for resolution in chosen}
    return [
        conflict
        for conflict in session.database.conflicts(f"commit:{result.ours_commit}", f"commit:{result.theirs_commit}")
        if not settled & {(conflict.id, conflict.property), (conflict.id, "")}
    ]


def _print_conflict(session: Session, conflict: "Conflict") -> None:
    from ontomesh.sdk.resources import MISSING

    out = session.out
    out.line(
        ("conflict ", "bold red"),
        (resolutions.target(conflict), "bold"),
        f"  ({_KINDS.get(conflict.kind, conflict.kind)})",
    )
    values = {"base": conflict.base, "ours": conflict.ours, "theirs": conflict.theirs}
    for side, value in values.items():
        out.line(f"  {side:<7} ", ("(none)", "dim") if value is MISSING else compact(value))
    for side in resolutions.SIDES:
        if side != "base" or conflict.base is not MISSING:
            out.line("    ", (resolutions.argument(conflict, side), "cyan"))
    out.line()


def _again(session: Session, resolve: list[str] | None, message: str) -> list[str]:
    """The arguments that the next try must repeat."""
    repeated = [part for text in resolve or () for part in ("--resolve", text)]
    database = session.options.database
    return (["--db", database] if database else []) + repeated + (["-m", message] if message else [])


def _print_next_step(session: Session, conflicts: "Sequence[Conflict]", arguments: Sequence[str]) -> None:
    out = session.out
    out.line((f"{count(len(conflicts), 'conflict')}; nothing was committed.", "bold"))
    out.line(
        "Merge again with one of the arguments above for each (or 'ID#property:=JSON' for a value of your own),"
        " or with --strategy ours|theirs|base for all, such as:"
    )
    again = " ".join(map(shlex.quote, arguments))
    # The second argument is right for any number of conflicts, the first says more.
    settled = resolutions.argument(conflicts[0], "theirs") if len(conflicts) == 1 else "--strategy theirs"
    out.line("  ", (f"ontomesh merge {again} {settled}", "cyan"))
