"""`ontomesh events types`: what events of a type hold."""

from typing import TYPE_CHECKING, Annotated

import typer

from ontomesh.cli.completing import complete_event_type
from ontomesh.cli.context import Session
from ontomesh.cli.events import app as events_app
from ontomesh.cli.failures import UsageFailure
from ontomesh.cli.inputs import documents
from ontomesh.cli.options import Scope, command, group
from ontomesh.cli.output import local_time

if TYPE_CHECKING:
    from ontomesh.sdk.events import EventType, OntologyClass

app = group("types", "Say what events of a type hold: their data are checked when they are published.", lists=True)
events_app.add_typer(app)

Name = Annotated[str, typer.Argument(metavar="TYPE", help="Its name.", autocompletion=complete_event_type)]


@command(app, "list", scope=Scope.EVENTS, examples=("events types", "events types list --json"))
def list_(session: Session) -> None:
    """List the event types that are registered."""
    found = list(session.mesh.events.types())
    if session.out.as_json:
        for each in found:
            session.out.json(each)
    elif found:
        session.out.table(
            ["TYPE", "DATA", "CHANGED", "DESCRIPTION"],
            [
                [(each.name, "bold"), _kind(each), local_time(each.update_time), each.description.partition("\n")[0]]
                for each in found
            ],
        )
    else:
        session.out.note("no event types; `ontomesh events types put TYPE` registers one")


@command(
    app,
    "put",
    scope=Scope.EVENTS,
    examples=(
        "events types put orders.placed --schema order.schema.json",
        "events types put packages.found --class packages/main/Package",
    ),
)
def put(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="TYPE", help="Its name.")],
    schema: Annotated[
        str, typer.Option("--schema", metavar="FILE|-|JSON", help="A JSON Schema that the data must fit.")
    ] = "",
    cls: Annotated[
        str, typer.Option("--class", metavar="DB[/BRANCH]/CLASS", help="The data are documents of this class.")
    ] = "",
    description: Annotated[str, typer.Option("--description", metavar="TEXT", help="What it means.")] = "",
    etag: Annotated[str, typer.Option("--etag", metavar="ETAG", help="Only if this is its etag.")] = "",
) -> None:
    """Register an event type, or replace one. Without --schema and --class its data may be anything."""
    if schema and cls:
        raise UsageFailure("--schema and --class exclude each other")
    given = _schema(schema) if schema else _class(cls) if cls else None
    found = session.mesh.events.put_type(name, given, description=description, etag=etag)
    if session.out.as_json:
        session.out.json(found)
    else:
        session.out.line("registered event type ", (found.name, "bold"), f": {_kind(found)}")


@command(app, "show", scope=Scope.EVENTS, examples=("events types show orders.placed",))
def show(session: Session, name: Name) -> None:
    """Show an event type and its schema."""
    found = session.mesh.events.type(name)
    out = session.out
    if out.as_json:
        out.json(found)
        return
    out.line("type         ", (found.name, "bold"))
    if found.description:
        out.line("description  ", found.description)
    out.line("changed      ", local_time(found.update_time), f" by {found.author}" if found.author else "")
    out.line("etag         ", found.etag)
    if isinstance(found.schema, str):
        out.body(found.schema.encode())
    else:
        out.line("data         ", _kind(found))


@command(app, "delete", scope=Scope.EVENTS, examples=("events types delete orders.placed",))
def delete(
    session: Session,
    name: Name,
    etag: Annotated[str, typer.Option("--etag", metavar="ETAG", help="Only if this is its etag.")] = "",
) -> None:
    """Delete an event type; events of it are not checked any more."""
    session.mesh.events.delete_type(name, etag=etag)
    if session.out.as_json:
        session.out.json({"deleted": name})
    else:
        session.out.line("deleted event type ", (name, "bold"))


def _schema(source: str) -> str:
    found = documents([source])
    if len(found) != 1:
        raise UsageFailure(f"--schema: one JSON Schema is wanted, not {len(found)}")
    return found[0].decode()


def _class(text: str) -> "OntologyClass":
    from ontomesh.sdk.events import OntologyClass

    database, _, rest = text.partition("/")
    branch, _, name = rest.rpartition("/")
    if not database or not name:
        raise UsageFailure(f"--class {text}: expected DB[/BRANCH]/CLASS")
    return OntologyClass(database, name, branch)


def _kind(found: "EventType") -> str:
    if found.schema is None:
        return "anything"
    if isinstance(found.schema, str):
        return "a JSON Schema"
    of = found.schema
    return f"{of.database}/{of.branch or 'main'}/{of.name}"
