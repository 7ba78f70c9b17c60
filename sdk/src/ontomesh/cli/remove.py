"""`ontomesh rm`: deleting documents."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from ontomesh.cli import inputs
from ontomesh.cli.committed import naming_operations, print_committed
from ontomesh.cli.completing import complete_class, complete_id
from ontomesh.cli.context import Session
from ontomesh.cli.failures import UsageFailure
from ontomesh.cli.options import Scope, command
from ontomesh.cli.output import count

if TYPE_CHECKING:
    from ontomesh.sdk import Delete

_SHOWN = 5

app = typer.Typer()


@command(
    app,
    "rm",
    scope=Scope.WRITE,
    examples=(
        "rm Package/old Package/older -m 'no longer maintained'",
        "rm --type Package --filter 'deprecated = true' -m 'sweep' --dry-run",
    ),
)
def rm(
    session: Session,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="The documents.", autocompletion=complete_id)
    ] = None,
    type_name: Annotated[
        str,
        typer.Option("--type", "-t", metavar="TYPE", help="Those of this class.", autocompletion=complete_class),
    ] = "",
    matching: Annotated[
        str, typer.Option("--filter", metavar="FILTER", help="Of those of --type only what matches.")
    ] = "",
    message: Annotated[str, typer.Option("--message", "-m", metavar="TEXT", help="The commit's message.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, commit nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete documents in one atomic commit of at most 10,000; older commits keep them.

    Those that --type and --filter find are deleted only as they were found: one that is changed meanwhile stops the
    commit. For these it asks first.
    """
    if bool(ids) == bool(type_name):
        raise UsageFailure("which documents?", hint="name their ids, or a class by --type and a filter by --filter")
    if matching and not type_name:
        raise UsageFailure("--filter needs --type", hint="a filter is of the documents of a class")
    doomed: list[str | Delete] = list(ids or ())
    if type_name:
        doomed += _found(session, type_name, matching)
        if not doomed:
            session.out.note(f"no {type_name} matches on {session.branch}; nothing to delete")
            return
    names = [one if isinstance(one, str) else one.id for one in doomed]
    inputs.within_one_commit(len(names))
    if type_name and not (yes or dry_run):
        _ask(session, names)
    with naming_operations(names):
        committed = session.database.commit(
            delete=doomed, message=message, branch=session.branch, validate_only=dry_run
        )
    print_committed(session, committed, dry_run=dry_run)


def _found(session: Session, type_name: str, matching: str) -> "list[Delete]":
    from ontomesh.sdk import Delete

    # One more than a commit holds is enough to refuse them all.
    documents = session.database.stream_query(
        type_name, filter=matching, fields=["@id"], ref=session.branch, limit=inputs.MAX_OPERATIONS + 1
    )
    return [Delete(document.id, document.etag) for document in documents]


def _ask(session: Session, names: list[str]) -> None:
    if session.out.as_json or not sys.stdin.isatty():
        raise UsageFailure(
            f"this deletes {count(len(names), 'document')}", hint="say --yes as well, or --dry-run to see what would be"
        )
    shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else "")
    session.out.note(shown)
    typer.confirm(f"Delete {count(len(names), 'document')} on {session.branch}?", abort=True, err=True)
