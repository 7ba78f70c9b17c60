"""`ontomesh db`: databases."""

from typing import Annotated

import typer

from ontomesh.cli.context import Session
from ontomesh.cli.options import Scope, Yes, command, confirm_deletion, group
from ontomesh.cli.output import local_time

app = group("db", "Create, list, show and delete databases.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="1 to 63 of a-z, 0-9, - and _, a letter first.")]


@command(app, "create", scope=Scope.SERVER, examples=("db create catalog --description 'what is installed'",))
def create(
    session: Session,
    name: Name,
    description: Annotated[str, typer.Option("--description", metavar="TEXT", help="What it is for.")] = "",
) -> None:
    """Create a database with an empty branch `main`."""
    database = session.mesh.databases.create(name, description=description)
    if session.out.as_json:
        session.out.json(database)
    else:
        session.out.line("created database ", (database.name, "bold"))


@command(app, "ls", scope=Scope.SERVER, examples=("db ls", "db ls --json"))
def ls(session: Session) -> None:
    """List the databases that you may read."""
    databases = list(session.mesh.databases.list())
    if session.out.as_json:
        for database in databases:
            session.out.json(database)
    elif databases:
        session.out.table(
            ["NAME", "CREATED", "DESCRIPTION"],
            [[(item.name, "bold"), local_time(item.create_time), item.description] for item in databases],
        )
    else:
        session.out.note("no databases; `ontomesh db create NAME` makes one")


@command(app, "show", scope=Scope.DATABASE, examples=("db show catalog",))
def show(session: Session, name: Annotated[str | None, typer.Argument(metavar="NAME")] = None) -> None:
    """Show a database's own record."""
    database = session.mesh.databases.get(name or session.database_name)
    if session.out.as_json:
        session.out.json(database)
        return
    session.out.line("database    ", (database.name, "bold"))
    session.out.line("created     ", local_time(database.create_time))
    session.out.line("etag        ", database.etag)
    if database.description:
        session.out.line("description ", database.description)


@command(app, "delete", scope=Scope.SERVER, examples=("db delete catalog", "db delete catalog --yes"))
def delete(
    session: Session,
    name: Name,
    yes: Yes = False,
    etag: Annotated[str, typer.Option("--etag", metavar="ETAG", help="Only if this is its etag.")] = "",
) -> None:
    """Delete a database with its whole history, at once and for good. Asks first."""
    confirm_deletion(session, name, f"Delete database {name} with its whole history, for good?", yes=yes)
    session.mesh.databases.delete(name, etag=etag)
    if session.out.as_json:
        session.out.json({"deleted": name})
    else:
        session.out.line("deleted database ", (name, "bold"))
