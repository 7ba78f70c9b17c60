"""`ontomesh put`, `get` and `ls`: documents."""

import itertools
from typing import TYPE_CHECKING, Annotated

import typer

from ontomesh.cli import inputs
from ontomesh.cli.committed import naming_operations, print_committed
from ontomesh.cli.completing import complete_class, complete_id
from ontomesh.cli.context import Session
from ontomesh.cli.failures import REFUSED, UsageFailure
from ontomesh.cli.hints import hint_for
from ontomesh.cli.options import Scope, command
from ontomesh.cli.output import compact, short

if TYPE_CHECKING:
    from ontomesh.sdk.resources import Document

_BATCH = 1_000
"""How many documents one batch get may name (`BatchGetDocumentsRequest.ids`)."""

Long = Annotated[bool, typer.Option("--long", "-l", help="With etags; in JSON also with the commit that was read.")]


app = typer.Typer()


@command(
    app,
    "put",
    scope=Scope.WRITE,
    examples=(
        "put packages.json -m 'import'",
        """put '{"@type":"Package","name":"requests"}' -m 'add requests'""",
        "ls Package --json | ontomesh put - -b copy -m 'copy the packages'",
    ),
)
def put(
    session: Session,
    sources: Annotated[
        list[str],
        typer.Argument(metavar="FILE|-|JSON...", help="JSON: one document, an array, or one after another (NDJSON)."),
    ],
    message: Annotated[str, typer.Option("--message", "-m", metavar="TEXT", help="The commit's message.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, commit nothing.")] = False,
) -> None:
    """Add documents, or replace those that exist, in one atomic commit of at most 10,000."""
    documents = inputs.documents(sources)
    inputs.within_one_commit(len(documents))
    with naming_operations(documents):
        committed = session.database.commit(
            put=documents, message=message, branch=session.branch, validate_only=dry_run
        )
    print_committed(session, committed, dry_run=dry_run)


@command(app, "get", scope=Scope.READ, examples=("get Package/requests", "get Package/requests --ref main~3"))
def get(
    session: Session,
    ids: Annotated[
        list[str], typer.Argument(metavar="ID...", help="Such as Package/requests.", autocompletion=complete_id)
    ],
    long: Long = False,
) -> None:
    """Print documents by id, all as they stand at one commit."""
    ref = session.ref()
    if len(ids) == 1:
        print_document(session, session.database.get(ids[0], ref=ref), long=long)
        return
    missing: list[str] = []
    for start in range(0, len(ids), _BATCH):
        batch = session.database.batch_get(ids[start : start + _BATCH], ref=ref)
        # Later batches read the commit of the first, whatever is committed meanwhile.
        ref = f"commit:{batch.commit}"
        missing += batch.missing_ids
        for document in batch.documents:
            print_document(session, document, long=long)
    if missing:
        raise UsageFailure(
            f"{len(missing)} of {len(ids)} documents do not exist: {', '.join(missing)}",
            hint=hint_for("DOCUMENT_NOT_FOUND", {}),
            reason="DOCUMENT_NOT_FOUND",
            exit_code=REFUSED,
        )


@command(
    app,
    "ls",
    scope=Scope.READ,
    pages=True,
    examples=("ls", "ls Package --limit 10 --json", "ls --ref main@2026-11-20T10:00:00Z"),
)
def ls(
    session: Session,
    type_name: Annotated[
        str,
        typer.Argument(metavar="[TYPE]", help="Only this class, with its subclasses.", autocompletion=complete_class),
    ] = "",
    exact: Annotated[bool, typer.Option("--exact", help="Leave out the subclasses of TYPE.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, metavar="N", help="At most so many; 0: all.")] = 0,
    long: Long = False,
) -> None:
    """List documents by id, all of one commit. With --json their bodies, as `ontomesh put` takes them."""
    documents = session.database.documents(
        type_name, ref=session.ref(), exact_type=exact, page_size=min(limit or 1000, 1000)
    )
    for document in itertools.islice(documents, limit or None):
        if session.out.as_json:
            print_document(session, document, long=long)
        elif long:
            session.out.line(
                (short(document.etag), "yellow"), "  ", (document.id, "bold"), "  ", document.body.decode()
            )
        else:
            session.out.line(document.id)


def print_document(session: Session, document: "Document", *, long: bool) -> None:
    """Prints a document's body; long with its etag and commit."""
    if long and session.out.as_json:
        head = {"id": document.id, "etag": document.etag, "commit": document.commit}
        session.out.body(compact(head)[:-1].encode() + b',"body":' + document.body + b"}")
        return
    if long:
        session.out.line((f"# {document.id}  etag {short(document.etag)}  commit {short(document.commit)}", "dim"))
    session.out.body(document.body)
