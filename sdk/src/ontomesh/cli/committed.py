"""How the commands that write tell what they have committed, and what of it was refused."""

import dataclasses
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ontomesh.cli.context import Session
from ontomesh.cli.output import count, short

if TYPE_CHECKING:
    from ontomesh.sdk.resources import Commit, Committed

_OPERATION = re.compile(r"operations\[(\d+)\]")


def print_committed(session: Session, committed: "Committed", *, dry_run: bool) -> None:
    """Prints a commit as git does: `[main 0123456789ab] its message`, and how many documents it changed."""
    if session.out.as_json:
        session.out.json(committed)
    else:
        print_commit(session, committed.commit, dry_run=dry_run)


def print_commit(session: Session, commit: "Commit", *, dry_run: bool) -> None:
    """Prints the commit itself for people."""
    subject = commit.message.partition("\n")[0]
    name = "dry run" if dry_run else short(commit.id)
    session.out.line("[", (commit.branch or session.branch, "green"), " ", (name, "yellow"), f"] {subject}".rstrip())
    session.out.line(f" {count(commit.change_count, 'document')} {'would change' if dry_run else 'changed'}")


@contextmanager
def naming_operations(operations: Sequence[bytes | str]) -> Iterator[None]:
    """Adds to the violations of a refusal which documents they concern: `operations[3217]` alone says little.

    Takes the bodies, or ids, of the operations in the order that they are sent in.
    """
    from ontomesh.sdk import OntomeshError

    try:
        yield
    except OntomeshError as error:
        error.violations = tuple(
            dataclasses.replace(violation, description=f"{violation.description} [{name}]") if name else violation
            for violation in error.violations
            for name in (_operation_name(violation.field, operations),)
        )
        raise


def _operation_name(field: str, operations: Sequence[bytes | str]) -> str:
    match = _OPERATION.match(field)
    if match is None or int(match[1]) >= len(operations):
        return ""
    operation = operations[int(match[1])]
    if isinstance(operation, str):
        return operation
    body = json.loads(operation)
    return f"document {int(match[1]) + 1:,}: {body.get('@id') or body.get('name') or body.get('@type') or '?'}"
