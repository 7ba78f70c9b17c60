"""`ontomesh import` and `export`: documents in bulk."""

import hashlib
import json
import os
import sys
import uuid
from contextlib import nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from ontomesh.cli.committed import print_commit
from ontomesh.cli.completing import complete_class
from ontomesh.cli.context import Session
from ontomesh.cli.failures import UsageFailure
from ontomesh.cli.options import Scope, command
from ontomesh.cli.output import count, note, plain, wants_colour

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from rich.progress import Progress

    from ontomesh.sdk.resources import ImportProgress

_PREFIX_BYTES = 1 << 20

app = typer.Typer()


@command(
    app,
    "import",
    scope=Scope.WRITE,
    examples=(
        "import packages.ndjson -m 'packages of today'",
        "import export-of-terminusdb.json --insert-only",
        "export Package -b main | ontomesh import - -b copy",
    ),
)
def import_(
    session: Session,
    source: Annotated[str, typer.Argument(metavar="FILE|-", help="NDJSON, or one JSON array; - reads the input.")],
    message: Annotated[str, typer.Option("--message", "-m", metavar="TEXT", help="The commit's message.")] = "",
    insert_only: Annotated[
        bool, typer.Option("--insert-only", help="Refuse documents that the branch has already.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace documents that others changed meanwhile.")
    ] = False,
    resume: Annotated[
        str, typer.Option("--resume", metavar="ID", help="Go on with this import; for a FILE that is found by itself.")
    ] = "",
) -> None:
    """Bring in documents, however many, as one commit. Broken off, the same command on the same file goes on."""
    from ontomesh.sdk.errors import EmptyCommit, ImportInvalid, OntomeshError
    from ontomesh.sdk.imports import BULK_TIMEOUT

    path = None if source == "-" else Path(source)
    if path is not None and not path.is_file():
        raise UsageFailure(f"{source}: there is no such file")
    import_id = resume or _begin(session, path)
    documents = 0
    with _progress(session) as bar:
        task = bar.add_task("importing", total=None) if bar else None

        def tell(progress: "ImportProgress") -> None:
            nonlocal documents
            documents = progress.documents
            if bar and task is not None:
                what = "committing" if progress.finishing else f"importing {documents:,} documents"
                bar.update(task, completed=progress.done_bytes, total=progress.total_bytes, description=what)

        file: IO[bytes] = sys.stdin.buffer if path is None else path.open("rb")
        with nullcontext(file) if path is None else file:
            try:
                commit = session.database.import_documents(
                    file,
                    message=message,
                    insert_only=insert_only,
                    overwrite=overwrite,
                    resume=import_id,
                    progress=tell,
                    timeout=session.options.timeout or BULK_TIMEOUT,
                )
            except (ImportInvalid, EmptyCommit):
                # There is nothing to go on with.
                session.database.abort_import(import_id)
                raise
            except (OntomeshError, KeyboardInterrupt):
                again = "the same command goes on" if path else f"`--resume {import_id}` goes on, with the same input"
                note(("note: ", "yellow"), f"the import {import_id} is kept for 24 hours: {again}")
                raise
            except ValueError as fault:
                session.database.abort_import(import_id)
                raise UsageFailure(f"{source}: {fault}") from None
    if session.out.as_json:
        session.out.json({"commit": plain(commit), "documents": documents})
    else:
        print_commit(session, commit, dry_run=False)


def _begin(session: Session, path: Path | None) -> str:
    """The import of a file: the one that an earlier call began and did not end, or a new one."""
    key = uuid.uuid4().hex if path is None else _key(session, path)
    number = 0
    while True:
        number += 1
        begun = session.database.begin_import(branch=session.branch, request_id=f"cli-{key}-{number}")
        # One that was finished is done: importing the file again is another import.
        if not begun.commit:
            if begun.offset:
                note(("note: ", "yellow"), f"going on after {count(begun.documents, 'document')}")
            return begun.id


def _key(session: Session, path: Path) -> str:
    """Tells a file's content from others', without reading all of it."""
    status = path.stat()
    with path.open("rb") as file:
        digest = hashlib.blake2b(file.read(_PREFIX_BYTES), digest_size=16)
    place = (str(path.resolve()), status.st_size, status.st_mtime_ns, session.database_name, session.branch)
    digest.update(json.dumps(place).encode())
    return digest.hexdigest()


@command(
    app,
    "export",
    scope=Scope.READ,
    examples=("export > everything.ndjson", "export Package -o packages.ndjson", "export -o all.ndjson --resume"),
)
def export(
    session: Session,
    type_name: Annotated[
        str,
        typer.Argument(metavar="[TYPE]", help="Only this class, with its subclasses.", autocompletion=complete_class),
    ] = "",
    exact: Annotated[bool, typer.Option("--exact", help="Leave out the subclasses of TYPE.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to this file, whole or not at all.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an export to FILE that was broken off.")] = False,
) -> None:
    """Print documents as NDJSON, all of one commit; `ontomesh import` takes them, and so does TerminusDB."""
    if resume and output is None:
        raise UsageFailure("--resume goes on with a file: name it with --output")
    if output is None:
        for part in session.database.export_documents(type_name, ref=session.ref(), exact_type=exact):
            sys.stdout.buffer.write(part.data)
        sys.stdout.buffer.flush()
        return
    asked = {"database": session.database_name, "ref": session.ref(), "type": type_name, "exact": exact}
    documents = _export_to(session, output, asked, resume=resume)
    if session.out.as_json:
        session.out.json({"documents": documents, "file": str(output)})
    else:
        session.out.line(f"{count(documents, 'document')} exported to {output}")


def _export_to(session: Session, output: Path, asked: dict[str, Any], *, resume: bool) -> int:
    """Write beside the file, noting how far it is; the file appears once it is whole."""
    partial, noted = Path(f"{output}.partial"), Path(f"{output}.partial.json")
    state: dict[str, Any] = {**asked, "commit": "", "after": "", "bytes": 0, "documents": 0}
    if resume and partial.exists() and noted.exists():
        found = json.loads(noted.read_text("utf-8"))
        if {name: found.get(name) for name in asked} != asked:
            of = f"{found.get('type') or 'all classes'} of {found.get('database')} at {found.get('ref')}"
            raise UsageFailure(f"{partial} is of another export: of {of}")
        state = found
    ref = f"commit:{state['commit']}" if state["commit"] else asked["ref"]
    with partial.open("r+b" if state["bytes"] else "wb") as file, _progress(session) as bar:
        file.truncate(state["bytes"])
        file.seek(state["bytes"])
        task = bar.add_task("exporting", total=None) if bar else None
        parts = session.database.export_documents(
            asked["type"], ref=ref, exact_type=asked["exact"], after=state["after"]
        )
        for part in parts:
            file.write(part.data)
            file.flush()
            state |= {
                "commit": part.commit,
                "after": part.last_id,
                "bytes": state["bytes"] + len(part.data),
                "documents": state["documents"] + part.documents,
            }
            written = Path(f"{noted}.new")
            written.write_text(json.dumps(state), "utf-8")
            written.replace(noted)
            if bar and task is not None:
                what = f"exporting {state['documents']:,} documents"
                bar.update(task, completed=state["bytes"], description=what)
        os.fsync(file.fileno())
    partial.replace(output)
    noted.unlink()
    return int(state["documents"])


def _progress(session: Session) -> "AbstractContextManager[Progress | None]":
    """A bar on standard error, if that is a terminal: what is done, how fast, and how long it will take yet."""
    if session.out.as_json or not wants_colour(sys.stderr):
        return nullcontext()
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=Console(stderr=True), transient=True)
