"""`ontomesh commit`: several operations at once."""

from typing import Annotated

import typer

from ontomesh.cli import inputs
from ontomesh.cli.committed import naming_operations, print_committed
from ontomesh.cli.context import Session
from ontomesh.cli.failures import UsageFailure
from ontomesh.cli.options import Scope, command

Files = list[str] | None


app = typer.Typer()


@command(
    app,
    "commit",
    scope=Scope.WRITE,
    examples=(
        "commit -m 'rename' --insert new.json --delete Package/old",
        """commit -m 'bump' --update 'Package/requests={"version":"2.33.0"}'""",
        "commit -m 'licences' --schema schema.json --put packages.json --expect \"$head\"",
    ),
)
def commit(
    session: Session,
    message: Annotated[str, typer.Option("--message", "-m", metavar="TEXT", help="What it does, for people.")],
    insert: Annotated[
        Files, typer.Option("--insert", metavar="FILE|-|JSON", help="Add documents that must not exist.")
    ] = None,
    put: Annotated[Files, typer.Option("--put", metavar="FILE|-|JSON", help="Add documents or replace them.")] = None,
    replace: Annotated[
        Files, typer.Option("--replace", metavar="FILE|-|JSON", help="Replace documents that must exist.")
    ] = None,
    update: Annotated[
        Files, typer.Option("--update", metavar="ID=JSON", help="Change properties (a JSON merge patch: null removes).")
    ] = None,
    delete: Annotated[
        Files, typer.Option("--delete", metavar="ID", help="Delete a document that nothing links to.")
    ] = None,
    schema: Annotated[
        str | None, typer.Option("--schema", metavar="FILE|-", help="Add or replace these classes and enums first.")
    ] = None,
    author: Annotated[str, typer.Option("--author", metavar="user:NAME", help="Act for another (right `act`).")] = "",
    expect: Annotated[str, typer.Option("--expect", metavar="HEAD", help="Only if this is the branch's head.")] = "",
    meta: Annotated[
        Files, typer.Option("--meta", metavar="KEY=VALUE", help="A note that stays with the commit.")
    ] = None,
    request_id: Annotated[
        str, typer.Option("--request-id", metavar="TEXT", help="Sent again, it commits nothing and answers the same.")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, commit nothing.")] = False,
) -> None:
    """Commit operations and a schema change as one atomic step. Every option that names operations may be repeated."""
    inserted, put_, replaced = (inputs.documents(source) if source else [] for source in (insert, put, replace))
    updates = [inputs.update(text) for text in update or ()]
    deleted = tuple(delete or ())
    if not any((inserted, put_, replaced, updates, deleted, schema)):
        raise UsageFailure(
            "nothing to commit", hint="say what with --insert, --put, --replace, --update, --delete or --schema"
        )
    inputs.within_one_commit(len(inserted) + len(put_) + len(replaced) + len(updates) + len(deleted))
    from ontomesh.sdk import OntologyChange, Update

    with naming_operations([*inserted, *replaced, *put_, *(identifier for identifier, _patch in updates), *deleted]):
        committed = session.database.commit(
            message=message,
            branch=session.branch,
            insert=inserted,
            put=put_,
            replace=replaced,
            update=[Update(identifier, patch) for identifier, patch in updates],
            delete=deleted,
            ontology=OntologyChange(inputs.schema(schema)) if schema else None,
            author=author,
            metadata=inputs.pairs(meta or (), "--meta"),
            expected_head=expect,
            request_id=request_id or None,
            validate_only=dry_run,
        )
    print_committed(session, committed, dry_run=dry_run)
