"""What this distribution adds to the `ontomesh` command: `ontomesh copy`. Loaded only when it is called or listed."""

import asyncio
import re
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ontomesh.cli.context import Session
from ontomesh.cli.failures import FOUND, REFUSED, UNREACHABLE, UsageFailure
from ontomesh.cli.options import Scope, command
from ontomesh.cli.output import count, note, wants_colour

if TYPE_CHECKING:
    from rich.progress import Progress

    from ontomesh_data_kernel.domain.copying import Copied, CopyPlan, CopyProgress
    from ontomesh_data_kernel.ports import Store

_LINE_SECONDS = 5.0

PasswordFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="File with its password, where its URL has none.")
]

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@dataclass(frozen=True, slots=True)
class _Side:
    """One of the two stores as it was named."""

    title: str
    url: str
    password_file: Path | None


@command(
    app,
    "copy",
    scope=Scope.LOCAL,
    examples=(
        "copy sqlite:///data/kernel.db sqlite:////backup/kernel.db",
        "copy sqlite:///kernel.db terminusdb://admin@db.example/acme --target-password-file secret",
        "copy terminusdb://admin@db.example/acme sqlite:///kernel.db --database catalog --dry-run",
    ),
)
def copy(
    session: Session,
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="URL of the store to copy from.")],
    target: Annotated[str, typer.Argument(metavar="TARGET", help="URL of the store to copy to; made if need be.")],
    database: Annotated[
        list[str] | None, typer.Option("--database", metavar="NAME", help="Only this one; may be repeated.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be copied.")] = False,
    source_password_file: PasswordFile = None,
    target_password_file: PasswordFile = None,
) -> None:
    """Copy databases from one store to another with their whole history: every commit that a branch reaches, with its
    id, author, time and metadata; branches, descriptions and when they were made. Then verify the target's history.

    A URL is sqlite:///relative/path, sqlite:////absolute/path or terminusdb://user[:password]@host[:port]/organization.

    What the target has already is left out. So a copy that was broken off, even by a crash, goes on where it stands
    when it is called again; and called again later it brings the commits made since. Branches
    are put where the source has them now, and those that it has no more are left alone. A database of the target with
    a branch at a commit that the source has not is refused, before anything is changed.

    The source may be in use: what is committed meanwhile may be missed, and comes with the next call. Nobody else may
    write to the target's databases until the copy is done. Branches `copying-<number>` of the target are the copy's
    own; it deletes them at the end.

    Not copied: what no branch reaches, and the answers kept for request ids, which live for seven days: a write that
    was sent to the old store and is repeated at the new one counts as another.

    Exits with 1 if the target's history turns out wrong.
    """
    names = list(dict.fromkeys(database or ()))
    sides = (_Side("SOURCE", source, source_password_file), _Side("TARGET", target, target_password_file))
    problems = asyncio.run(_copy(session, *sides, names, dry_run))
    if problems:
        raise typer.Exit(FOUND)


async def _copy(session: Session, source: _Side, target: _Side, names: Sequence[str], dry_run: bool) -> bool:
    """Copy the named databases, or all; whether problems were found."""
    from ontomesh_chassis.startup import ConfigError
    from ontomesh_data_kernel.domain.copying import copy_database, list_databases, plan_copy
    from ontomesh_data_kernel.main import is_one_store

    found = False
    for side in (source, target):
        # Each is looked at by itself first, so that the refusal says which it is.
        with _refusing(side.title, ConfigError):
            is_one_store(side.url, side.url)
    if is_one_store(source.url, target.url):
        raise UsageFailure("SOURCE and TARGET are the same store")
    async with _opened(source, make=False) as origin:
        if origin is None:
            raise UsageFailure(f"SOURCE: there is no store at {_shown(source.url)}")
        with _naming_reasons():
            chosen = names or [database.name async for database in list_databases(origin)]
            async with _opened(target, make=not dry_run) as goal:
                for plan in [await plan_copy(origin, goal, name) for name in chosen]:
                    if dry_run or goal is None:
                        _tell_plan(session, plan)
                        continue
                    with _Watch(session) as watch:
                        copied = await copy_database(origin, goal, plan, watch.report)
                    _tell(session, plan, copied)
                    found = found or bool(copied.problems)
    if not chosen and not session.out.as_json:
        session.out.line("the source has no databases")
    return found


@asynccontextmanager
async def _opened(side: _Side, *, make: bool) -> "AsyncIterator[Store | None]":
    from ontomesh_chassis.startup import ConfigError
    from ontomesh_data_kernel.errors import KernelError
    from ontomesh_data_kernel.main import open_named

    with _refusing(side.title, ConfigError, KernelError, OSError):
        password = side.password_file.read_text("utf-8").strip() if side.password_file else ""
        store = await open_named(side.url, password, make=make)
    try:
        yield store
    finally:
        if store is not None:
            await store.close()


@contextmanager
def _refusing(title: str, *kinds: type[Exception]) -> Iterator[None]:
    """Ends the command with what is wrong with one of its stores."""
    from ontomesh_data_kernel.errors import StoreUnavailable

    try:
        yield
    except kinds as error:
        if isinstance(error, StoreUnavailable):
            raise UsageFailure(f"{title}: {error}", reason="STORE_UNAVAILABLE", exit_code=UNREACHABLE) from error
        raise UsageFailure(f"{title}: {error}") from error


@contextmanager
def _naming_reasons() -> Iterator[None]:
    """Ends the command with a store's refusal and its reason."""
    from ontomesh_data_kernel import errors

    try:
        yield
    except errors.KernelError as error:
        hints = {
            errors.DatabaseAlreadyExists: "copy to another store, or delete the database or the branch there",
            errors.StaleHead: "nobody else may write to the target meanwhile; call it again to go on",
            errors.StoreUnavailable: "call it again to go on where it stands",
            errors.StoreFull: "make room, then call it again to go on where it stands",
        }
        raise UsageFailure(
            error.message,
            hint=hints.get(type(error), ""),
            reason=re.sub(r"(?<=.)(?=[A-Z])", "_", type(error).__name__).upper(),
            exit_code=UNREACHABLE if isinstance(error, errors.StoreUnavailable) else REFUSED,
        ) from error


def _shown(url: str) -> str:
    """A URL without its password."""
    return re.sub(r"(?<=://)([^/@:]*):[^/@]*@", r"\1@", url)


def _tell_plan(session: Session, plan: "CopyPlan") -> None:
    if session.out.as_json:
        session.out.json(_fields(plan) | {"commits": plan.commits})
        return
    there = plan.total - plan.commits
    present = f", {there:,} are there" if there else ""
    made = "" if plan.existing is not None else " (new)"
    session.out.line(
        (plan.database.name, "bold"),
        f"{made}: {count(plan.commits, 'commit')} to copy{present}; {count(len(plan.branches), 'branch', 'branches')}",
    )
    _tell_others(session, plan)


def _tell(session: Session, plan: "CopyPlan", copied: "Copied") -> None:
    if session.out.as_json:
        faults = [{"commit": one.commit, "id": one.id, "description": one.description} for one in copied.problems]
        done = {"commits": copied.commits, "documents": copied.documents, "ok": not faults, "problems": faults}
        session.out.json(_fields(plan) | done)
        session.out.flush()
        return
    for problem in copied.problems:
        where = f"commit {problem.commit[:12]} {problem.id}".rstrip() if problem.commit else "database"
        session.out.line(("problem: ", "bold red"), f"{where}: {problem.description}")
    there = plan.total - copied.commits
    present = f", {there:,} were there" if there else ""
    session.out.line(
        (plan.database.name, "bold"),
        f": {count(copied.commits, 'commit')} copied{present}; {count(len(plan.branches), 'branch', 'branches')}: ",
        (count(len(copied.problems), "problem"), "bold red") if copied.problems else ("every hash matches", "green"),
    )
    _tell_others(session, plan)
    session.out.flush()


def _fields(plan: "CopyPlan") -> dict[str, object]:
    return {
        "database": plan.database.name,
        "total_commits": plan.total,
        "branches": {branch.name: branch.head for branch in plan.branches.values()},
        "left_alone": list(plan.others),
    }


def _tell_others(session: Session, plan: "CopyPlan") -> None:
    for name in plan.others:
        session.out.line(f"  branch {name} of the target is not in the source; left as it is")


class _Watch:
    """Tells how a copy gets on, on standard error: a bar on a terminal, else a line every few seconds."""

    def __init__(self, session: Session) -> None:
        self._silent = session.out.as_json
        self._progress: Progress | None = None
        self._tasks: dict[str, object] = {}
        self._told = time.monotonic()

    def __enter__(self) -> "_Watch":
        if not self._silent and wants_colour(sys.stderr):
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("commits"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def report(self, progress: "CopyProgress") -> None:
        """How far it has come."""
        what = f"{'verifying' if progress.verifying else 'copying'} {progress.database}"
        if self._progress is not None:
            for task in self._progress.tasks:
                if task.description == what:
                    break
            else:
                self._progress.add_task(what, total=progress.total)
                task = self._progress.tasks[-1]
            self._progress.update(task.id, completed=progress.done, total=progress.total)
        elif not self._silent and time.monotonic() >= self._told + _LINE_SECONDS:
            self._told = time.monotonic()
            note(f"{what}: {progress.done:,} of {count(progress.total, 'commit')}")
