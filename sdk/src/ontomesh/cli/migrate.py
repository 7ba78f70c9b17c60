"""`ontomesh migrate`: change documents and ontology together."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from ontomesh.cli import inputs
from ontomesh.cli.committed import print_committed
from ontomesh.cli.context import Session
from ontomesh.cli.failures import UsageFailure
from ontomesh.cli.options import Scope, command
from ontomesh.cli.schema_compare import show_check

if TYPE_CHECKING:
    from ontomesh.sdk.migrations import OnError, Step

app = typer.Typer()

_TYPE = re.compile(r"(?:(?P<family>\w+)<(?P<inner>[^<>]+)>|(?P<range>[^<>?]+?)(?P<optional>\?)?)")
_FAMILIES = ("Required", "Optional", "List", "Set")
Many = list[str] | None


@command(
    app,
    "migrate",
    scope=Scope.WRITE,
    examples=(
        "migrate --rename-property Package.licence=license --cast 'Package.version=xsd:decimal' -m 'tidy up'",
        "migrate --default 'Package.stars=0' --cast 'Package.stars=Required' --dry-run",
        "migrate steps.json --schema schema.json -m 'version 2'",
    ),
)
def migrate(
    session: Session,
    source: Annotated[
        str | None, typer.Argument(metavar="[FILE|-]", help="A JSON array of steps, taken before those of the options.")
    ] = None,
    rename_class: Annotated[
        Many, typer.Option("--rename-class", metavar="A=B", help="Rename a class or enum; ids and links follow.")
    ] = None,
    rename_property: Annotated[
        Many, typer.Option("--rename-property", metavar="A.b=c", help="Rename a property of a class.")
    ] = None,
    move: Annotated[
        Many, typer.Option("--move", metavar="A.b=c.b", help="Move a property into or out of a subdocument.")
    ] = None,
    move_to: Annotated[
        Many, typer.Option("--move-to", metavar="A.b=B", help="Declare a property in a class above or below.")
    ] = None,
    cast: Annotated[
        Many,
        typer.Option(
            "--cast", metavar="A.b=TYPE", help="Change a type: xsd:decimal, xsd:date?, Set<xsd:string>, Required."
        ),
    ] = None,
    on_error: Annotated[
        str, typer.Option("--on-error", metavar="refuse|remove", help="What becomes of values that cannot be cast.")
    ] = "refuse",
    default: Annotated[
        Many, typer.Option("--default", metavar="A.b=JSON", help="Give documents without a value this one.")
    ] = None,
    delete_property: Annotated[
        Many, typer.Option("--delete-property", metavar="A.b", help="Remove a property with its values.")
    ] = None,
    delete_class: Annotated[
        Many, typer.Option("--delete-class", metavar="A", help="Remove a class with its documents.")
    ] = None,
    unlink: Annotated[bool, typer.Option("--unlink", help="With --delete-class: remove links to them too.")] = False,
    schema: Annotated[
        str, typer.Option("--schema", metavar="FILE|-", help="Elements to lay over what the steps lead to.")
    ] = "",
    message: Annotated[str, typer.Option("--message", "-m", metavar="TEXT", help="The commit's message.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
) -> None:
    """Change documents together with the ontology, in one commit: all of it happens, or nothing.

    Steps given by options are taken in the order of this list, so that later ones use the new names; a file has an
    order of its own. What a step says of the ontology need not be said in --schema as well.
    """
    from ontomesh.sdk.migrations import CastProperty, DeleteClass, DeleteProperty

    if on_error not in ("refuse", "remove"):
        raise UsageFailure(f"--on-error {on_error}: expected refuse or remove; a file of steps also takes a default")
    kept: OnError = "remove" if on_error == "remove" else "refuse"
    given = list(_read(source)) if source is not None else []
    steps: list[Step] = []
    for option, texts, make in (
        ("--rename-class", rename_class, _rename_class),
        ("--rename-property", rename_property, _rename_property),
        ("--move", move, _move),
        ("--move-to", move_to, _move_to),
        ("--cast", cast, _cast),
        ("--default", default, _default),
    ):
        steps += (make(*_pair(option, text)) for text in texts or ())
    steps = [replace(step, on_error=kept) if isinstance(step, CastProperty) else step for step in steps]
    steps += (DeleteProperty(*_property("--delete-property", text)) for text in delete_property or ())
    steps += (DeleteClass(name, unlink) for name in delete_class or ())
    steps = [*given, *steps]
    if not steps:
        raise UsageFailure("nothing to migrate", hint="`ontomesh migrate --help` lists the steps")
    elements = inputs.schema(schema) if schema else b""
    if dry_run:
        _try(session, steps, elements)
    committed = session.database.migrate(
        *steps, schema=elements, message=message, branch=session.branch, validate_only=dry_run
    )
    print_committed(session, committed, dry_run=dry_run)


def _try(session: Session, steps: "list[Step]", schema: bytes) -> None:
    """Prints what the steps would do; ends the command if a document would not fit, or a subscription would break."""
    ref = session.ref(session.branch)
    show_check(
        session,
        ref,
        lambda token: session.database.check_ontology(schema, migrations=steps, ref=ref, page_token=token),
    )


def _read(source: str) -> "Iterator[Step]":
    from ontomesh.sdk.decoding import decode
    from ontomesh.sdk.migrations import step_of

    for number, text in enumerate(inputs.documents([source]), 1):
        try:
            yield step_of(decode(text))
        except ValueError as error:
            raise UsageFailure(f"{source}: step {number}: {error}") from None


def _pair(option: str, text: str) -> tuple[str, str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals or not value:
        raise UsageFailure(f"{option} {text}: expected NAME=VALUE")
    return option, name.strip(), value.strip()


def _property(option: str, text: str) -> tuple[str, str]:
    cls, dot, name = text.partition(".")
    if not cls or not dot or not name:
        raise UsageFailure(f"{option} {text}: expected a class and a property, such as Package.version")
    return cls, name


def _rename_class(option: str, name: str, to: str) -> "Step":
    from ontomesh.sdk.migrations import RenameClass

    return RenameClass(name, to)


def _rename_property(option: str, name: str, to: str) -> "Step":
    from ontomesh.sdk.migrations import RenameProperty

    return RenameProperty(*_property(option, name), to)


def _move(option: str, name: str, to: str) -> "Step":
    from ontomesh.sdk.migrations import MoveProperty

    return MoveProperty(*_property(option, name), to)


def _move_to(option: str, name: str, to: str) -> "Step":
    from ontomesh.sdk.migrations import MoveProperty

    return MoveProperty(*_property(option, name), to_type=to)


def _cast(option: str, name: str, to: str) -> "Step":
    from ontomesh.sdk.migrations import CastProperty

    if to in _FAMILIES:
        return CastProperty(*_property(option, name), family=to)
    match = _TYPE.fullmatch(to)
    if match is None:
        raise UsageFailure(f"{option} {name}={to}: expected a type such as xsd:date, xsd:date? or Set<xsd:string>")
    family = match["family"] or ("Optional" if match["optional"] else "")
    return CastProperty(*_property(option, name), match["inner"] or match["range"], family)


def _default(option: str, name: str, value: str) -> "Step":
    from ontomesh.sdk.decoding import decode
    from ontomesh.sdk.migrations import SetDefault

    return SetDefault(*_property(option, name), decode(inputs.value(value, f"{option} {name}")))
