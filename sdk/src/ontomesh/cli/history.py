"""`ontomesh log`, `show` and `verify`: the history of a ref."""

import itertools
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from ontomesh.cli.changes import print_differences
from ontomesh.cli.completing import complete_branch
from ontomesh.cli.context import Session
from ontomesh.cli.failures import FOUND
from ontomesh.cli.options import Scope, command
from ontomesh.cli.output import Part, count, local_time, note, plain, short, wants_colour

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from rich.progress import Progress

    from ontomesh.sdk.resources import Commit, Problem, VerifyProgress

Ref = Annotated[
    str | None,
    typer.Argument(
        metavar="[REF]",
        help="main, commit:<id>, main~3, main@<time>, or a bare id.",
        autocompletion=complete_branch,
    ),
]
Stat = Annotated[bool, typer.Option("--stat", help="Only how many properties of which documents changed.")]


app = typer.Typer()


@command(app, "log", scope=Scope.READ, pages=True, examples=("log", "log --oneline -n 5", "log main~10 --first-parent"))
def log(
    session: Session,
    ref: Ref = None,
    number: Annotated[int, typer.Option("-n", "--number", min=0, metavar="N", help="At most so many; 0: all.")] = 0,
    oneline: Annotated[bool, typer.Option("--oneline", help="A line for each commit.")] = False,
    first_parent: Annotated[
        bool, typer.Option("--first-parent", help="Follow the branch's own line, not what was merged into it.")
    ] = False,
) -> None:
    """List the commits that a ref reaches, newest first."""
    commits = session.database.log(session.ref(ref), first_parent=first_parent)
    for index, commit in enumerate(itertools.islice(commits, number or None)):
        if session.out.as_json:
            session.out.json(commit)
        elif oneline:
            session.out.line((short(commit.id), "yellow"), " ", (f"({commit.branch})", "green"), f" {_subject(commit)}")
        else:
            if index:
                session.out.line()
            _print_commit(session, commit)


@command(app, "show", scope=Scope.READ, pages=True, examples=("show", "show main~2", "show 1a2b3c4d --stat"))
def show(session: Session, ref: Ref = None, stat: Stat = False) -> None:
    """Show a commit and what it changed against its first parent."""
    # The changes must be those of the commit shown, even if the branch moves on meanwhile.
    commit = session.database.show(session.ref(ref))
    changes = session.database.changes(f"commit:{commit.id}", include_bodies=not stat)
    if session.out.as_json:
        session.out.json({"commit": plain(commit), "changes": [plain(change) for change in changes]})
        return
    _print_commit(session, commit, whole=True)
    session.out.line()
    print_differences(session.out, changes, stat=stat)


@command(app, "verify", scope=Scope.READ, examples=("verify", "verify main~10 --json"))
def verify(session: Session, ref: Ref = None) -> None:
    """Recompute the hash of every document and commit that a ref reaches. Exits with 1 if anything does not match."""
    problems: list[Problem] = []
    last: VerifyProgress | None = None
    with _progress(session) as progress:
        task = progress.add_task("verifying", total=None) if progress else None
        limit = {"timeout": session.options.timeout} if session.options.timeout else {}
        for last in session.database.verify(session.ref(ref), **limit):
            problems += last.problems
            if progress and task is not None:
                progress.update(task, completed=last.commits, total=last.total_commits)
    commits, documents = (last.commits, last.documents) if last else (0, 0)
    complete = last is not None and last.done
    if session.out.as_json:
        fields = {"commits": commits, "documents": documents, "problems": [plain(problem) for problem in problems]}
        session.out.json({"ok": complete and not problems, **fields})
    else:
        for problem in problems:
            session.out.line(
                ("problem: ", "bold red"),
                f"commit {short(problem.commit)} {problem.id}".rstrip(),
                f": {problem.description}",
            )
        checked = f"{count(commits, 'commit')} and {count(documents, 'document version')} checked: "
        if problems:
            session.out.line(checked, (count(len(problems), "problem"), "bold red"))
        elif complete:
            session.out.line(checked, ("every hash matches", "green"))
    if not complete:
        note(("error: ", "bold red"), "the server ended the verification before its end")
    if problems or not complete:
        raise typer.Exit(FOUND)


def _progress(session: Session) -> "AbstractContextManager[Progress | None]":
    """A progress bar on standard error, if that is a terminal."""
    if session.out.as_json or not wants_colour(sys.stderr):
        return nullcontext()
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("commits"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=Console(stderr=True), transient=True)


def _subject(commit: "Commit") -> str:
    return commit.message.partition("\n")[0]


def _print_commit(session: Session, commit: "Commit", *, whole: bool = False) -> None:
    """A commit as git shows one; whole with everything that is known of it."""
    out = session.out
    out.line((f"commit {commit.id if whole else short(commit.id)}", "yellow"), " ", (f"({commit.branch})", "green"))
    if len(commit.parents) > 1:
        out.line("Merge:   ", " ".join(map(short, commit.parents)))
    author: list[Part] = ["Author:  ", commit.author]
    if commit.committer != commit.author:
        author.append((f" (by {commit.committer})", "dim"))
    out.line(*author)
    out.line("Date:    ", local_time(commit.create_time))
    if whole:
        if len(commit.parents) == 1:
            out.line("Parent:  ", short(commit.parents[0]))
        out.line("Changed: ", count(commit.change_count, "document"))
        out.line("Trace:   ", (commit.trace_id, "dim"))
        for key, value in sorted(commit.metadata.items()):
            out.line("Note:    ", f"{key}={value}")
    if commit.message:
        out.line()
        for text in commit.message.splitlines():
            out.line(f"    {text}".rstrip())
