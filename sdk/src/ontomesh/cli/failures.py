"""How a command fails: a few lines that a person can act on, or one JSON object, and an exit code."""

import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

import typer

from ontomesh.cli.hints import hint_for
from ontomesh.cli.output import note

if TYPE_CHECKING:
    from ontomesh.sdk.errors import OntomeshError

OK = 0
FOUND = 1
"""Conflicts, differences or problems were found, by a command that looks for them."""
USAGE = 2
REFUSED = 3
UNREACHABLE = 4
INTERRUPTED = 130
BROKEN_PIPE = 141


class UsageFailure(Exception):
    """The command cannot be carried out as it was given; nothing was sent."""

    def __init__(self, message: str, *, hint: str = "", reason: str = "", exit_code: int = USAGE) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.reason = reason
        self.exit_code = exit_code


def report(error: BaseException, *, as_json: bool) -> int | None:
    """Prints an expected error on standard error and returns the exit code; None if the error is not expected."""
    if isinstance(error, UsageFailure):
        _print(error.message, error.exit_code, as_json=as_json, reason=error.reason, hint=error.hint)
        return error.exit_code
    if isinstance(error, typer.Abort):
        _print("nothing was done", USAGE, as_json=as_json)
        return USAGE
    if isinstance(error, typer.TyperException):
        return _usage(error, as_json=as_json)
    if isinstance(error, OSError) and not isinstance(error, ConnectionError):
        where = f"{error.filename}: " if error.filename else ""
        _print(f"{where}{error.strerror or error}", USAGE, as_json=as_json)
        return USAGE
    # Only a command that talked to a server has imported the SDK.
    errors = sys.modules.get("ontomesh.sdk.errors")
    if errors is not None and isinstance(error, errors.OntomeshError):
        return _refused(error, as_json=as_json)
    return None


def _usage(error: typer.TyperException, *, as_json: bool) -> int:
    context = getattr(error, "ctx", None)
    hint = f"`{context.command_path} --help` shows how it is used" if context is not None else ""
    _print(error.format_message(), USAGE, as_json=as_json, hint=hint)
    return USAGE


def _refused(error: "OntomeshError", *, as_json: bool) -> int:
    code = exit_code(error)
    _print(
        str(getattr(error, "message", error)),
        code,
        as_json=as_json,
        reason=error.reason,
        hint=hint_for(error.reason, error.metadata) or _unanswered(error),
        status=error.code.name,
        violations=[(violation.field, violation.description) for violation in error.violations],
        metadata=error.metadata,
        trace_id=error.trace_id,
    )
    return code


def _unanswered(error: "OntomeshError") -> str:
    from ontomesh.sdk import errors

    if isinstance(error, errors.DeadlineExceeded):
        return "--timeout SECONDS waits longer; a write may have happened: `ontomesh log` tells"
    if isinstance(error, errors.ConnectionFailed):
        return (
            "--address or ONTOMESH_ADDRESS names a kernel elsewhere, "
            "--events-address or ONTOMESH_EVENTS_ADDRESS an event gateway"
        )
    return ""


def exit_code(error: "OntomeshError") -> int:
    """UNREACHABLE if no server answered, USAGE if nothing could be sent, else REFUSED."""
    from ontomesh.sdk import errors

    if isinstance(error, errors.ConfigurationError):
        return USAGE

    away = (errors.ConnectionFailed, errors.CircuitOpen, errors.DeadlineExceeded)
    return UNREACHABLE if isinstance(error, away) else REFUSED


def _print(
    message: str,
    code: int,
    *,
    as_json: bool,
    reason: str = "",
    hint: str = "",
    status: str = "",
    violations: list[tuple[str, str]] | None = None,
    metadata: Mapping[str, str] | None = None,
    trace_id: str = "",
) -> None:
    if as_json:
        fields = {
            "message": message,
            "reason": reason,
            "code": status,
            "violations": [{"field": field, "description": text} for field, text in violations or ()],
            "metadata": dict(metadata or {}),
            "trace_id": trace_id,
            "hint": hint,
            "exit_code": code,
        }
        kept = {name: value for name, value in fields.items() if value not in ("", [], {})}
        sys.stderr.write(json.dumps({"error": kept}, ensure_ascii=False, separators=(",", ":")) + "\n")
        return
    note(("error: ", "bold red"), message, (f" ({reason})" if reason else "", "red"))
    for field, text in violations or ():
        note("  ", (field, "bold"), f": {text}" if field else text)
    if hint:
        note(("hint: ", "bold yellow"), hint)
    if trace_id:
        note((f"trace {trace_id}", "dim"))
