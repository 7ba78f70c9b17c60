"""The options that commands share, and how a function becomes a command that has them.

They may stand before or after the command's name; behind it they win.
"""

import dataclasses
import functools
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Annotated, Any, Concatenate, ParamSpec, cast

import typer
from typer.core import TyperGroup

from ontomesh.cli.completing import complete_branch, complete_database
from ontomesh.cli.context import Options, Session
from ontomesh.cli.failures import BROKEN_PIPE, UsageFailure
from ontomesh.cli.pager import paged

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

P = ParamSpec("P")
Function = Callable[Concatenate[Session, P], None]

_SERVER = ("as_json", "address", "timeout")
_PAGER = "no_pager"
_FLAGS = ("as_json", _PAGER)
_PREFIX = "shared_"  # Keeps their parameters apart from those of a command, such as the ref of `log REF`.


class Scope(Enum):
    """Which shared options a command takes."""

    LOCAL = ("as_json",)
    SERVER = _SERVER
    DATABASE = ("database", *_SERVER)
    READ = ("database", "ref", "branch", *_SERVER)
    WRITE = ("database", "branch", *_SERVER)
    STATUS = ("database", "events_address", *_SERVER)
    EVENTS = ("as_json", "events_address", "timeout")
    HOOKS = ("events_address", *_SERVER)


_ROOT = (*Scope.READ.value, "events_address", _PAGER)


def command(
    app: typer.Typer, name: str, *, scope: Scope, examples: tuple[str, ...], pages: bool = False
) -> Callable[[Function[P]], Function[P]]:
    """Adds a function as a command with the shared options of its scope; it gets the session that they make up.

    `pages` shows what it prints to people through their pager.
    """
    shared = (*scope.value, _PAGER) if pages else scope.value

    def add(function: Function[P]) -> Function[P]:
        @functools.wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> None:
            options = _options(kwargs, shared)
            if scope is Scope.WRITE and options.ref:
                raise UsageFailure(f"`{name}` writes to a branch: use --branch, not --ref")
            wanted = pages and not options.no_pager
            with _quiet_pipe(), Session(options) as session, paged(session.out, wanted=wanted):
                function(session, *args, **kwargs)
                session.out.flush()

        own = list(inspect.signature(function).parameters.values())[1:]
        _set_signature(run, own, shared, environment=False)
        app.command(name, help=_help(function, examples))(run)
        return function

    return add


def set_root(app: typer.Typer, help_text: str) -> None:
    """Gives the app every shared option, to stand before a command's name; alone it shows its help."""

    def run(**kwargs: object) -> None:
        context = cast("typer.Context", kwargs["context"])
        context.obj = _options(kwargs, _ROOT)
        _help_when_alone(context)

    version = inspect.Parameter(
        "version",
        inspect.Parameter.KEYWORD_ONLY,
        default=False,
        annotation=Annotated[
            bool, typer.Option("--version", is_eager=True, callback=_version, help="Show the version.")
        ],
    )
    _set_signature(run, [version], _ROOT, environment=True)
    app.callback(invoke_without_command=True, help=help_text)(run)


class _ListingGroup(TyperGroup):
    """A group that lists what there is when no command of its own is named."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The arguments, with `list` before them where they begin with no command."""
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = ["list", *args]
        return super().parse_args(ctx, args)


def group(name: str, help_text: str, *, lists: bool = False) -> typer.Typer:
    """A command that holds others; alone it shows its help, or with `lists` calls its command `list`."""
    cls = _ListingGroup if lists else TyperGroup
    app = typer.Typer(name=name, help=help_text, cls=cls, rich_markup_mode=None, add_completion=False)
    app.callback(invoke_without_command=True)(_help_when_alone)
    return app


def _help_when_alone(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit


def _version(wanted: bool) -> None:
    if wanted:
        from ontomesh import __version__

        typer.echo(f"ontomesh {__version__}")
        raise typer.Exit


def _options(arguments: dict[str, object], shared: tuple[str, ...]) -> Options:
    """Takes the shared options out of a command's arguments and lays them over those before its name."""
    context = cast("typer.Context", arguments.pop("context"))
    given = {name: arguments.pop(_PREFIX + name) for name in shared}
    before = context.obj if isinstance(context.obj, Options) else Options()
    named = {name: value for name, value in given.items() if value is not None and value is not False}
    return dataclasses.replace(before, **named)  # type: ignore[arg-type] # typer has checked them


def _set_signature(
    function: Callable[..., None], own: list[inspect.Parameter], shared: tuple[str, ...], *, environment: bool
) -> None:
    """Makes typer see these parameters: it reads the signature, not the code."""
    kind = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        *(parameter.replace(kind=kind) for parameter in own),
        *(
            inspect.Parameter(
                _PREFIX + name,
                kind,
                default=False if name in _FLAGS else None,
                annotation=_shared(name, environment),
            )
            for name in shared
        ),
        inspect.Parameter("context", kind, annotation=typer.Context),
    ]
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    function.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}


def _shared(name: str, environment: bool) -> object:
    """The type of a shared option. Only the root looks into the environment, so that its own options win over that."""
    match name:
        case "database":
            variable = "ONTOMESH_DATABASE" if environment else None
            text = "The database; may be left out if there is only one."
            database = typer.Option(
                "--db", "-D", metavar="NAME", envvar=variable, help=text, autocompletion=complete_database
            )
            return Annotated[str | None, database]
        case "branch":
            variable = "ONTOMESH_BRANCH" if environment else None
            text = "The branch; main if left out."
            branch = typer.Option(
                "--branch", "-b", metavar="NAME", envvar=variable, help=text, autocompletion=complete_branch
            )
            return Annotated[str | None, branch]
        case "ref":
            text = "Where to read: main, commit:<id>, main~3 or main@<time>; the branch if left out."
            ref = typer.Option("--ref", "-r", metavar="REF", help=text, autocompletion=complete_branch)
            return Annotated[str | None, ref]
        case "address":
            text = "The kernel; else ONTOMESH_ADDRESS, else the local one."
            return Annotated[str | None, typer.Option("--address", metavar="HOST:PORT", help=text)]
        case "events_address":
            text = "The event gateway; else ONTOMESH_EVENTS_ADDRESS, else the local one."
            return Annotated[str | None, typer.Option("--events-address", metavar="HOST:PORT", help=text)]
        case "timeout":
            text = "How many seconds a call may take; 30 if left out."
            return Annotated[float | None, typer.Option("--timeout", metavar="SECONDS", help=text)]
        case "no_pager":
            text = "Do not show long output through $PAGER."
            return Annotated[bool, typer.Option("--no-pager", help=text)]
        case _:
            text = "Print JSON: one document, or one a line for lists."
            return Annotated[bool, typer.Option("--json", help=text)]


def _help(function: Callable[..., None], examples: tuple[str, ...]) -> str:
    # A line with just a backspace keeps typer from filling the paragraph behind it.
    lines = "\n".join(f"  ontomesh {example}" for example in examples)
    return f"{inspect.getdoc(function)}\n\n\b\nExample{'s' if len(examples) > 1 else ''}:\n{lines}"


@contextmanager
def _quiet_pipe() -> Iterator[None]:
    """Ends the command without a word when the reader of its output has gone away, as `| head` does."""
    try:
        yield
    except BrokenPipeError:
        # The interpreter flushes standard output once more when it ends; that must not fail either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(BROKEN_PIPE) from None


def confirm_deletion(session: Session, name: str, question: str, *, yes: bool) -> None:
    """Asks before something is deleted for good, unless it was said already; ends the command if the answer is no."""
    if yes:
        return
    if session.out.as_json:
        raise UsageFailure(f"deleting {name} cannot be undone", hint="with --json, say --yes as well")
    typer.confirm(question, abort=True, err=True)
