"""Validators as people type and read them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ontomesh.cli.failures import UsageFailure
from ontomesh.cli.output import Output, local_time

if TYPE_CHECKING:
    from ontomesh.sdk.checks import Check, Validator, ValidatorStatus


def check_of(
    *, rule: str, python: str, grpc: str, https: str, plaintext: bool, parameters: Mapping[str, str]
) -> "Check":
    """The check that the options name.

    Raises:
        UsageFailure: They name none, or several.
    """
    from ontomesh.sdk.checks import BuiltinCheck, GrpcCheck, HttpsCheck, PythonCheck

    if sum(map(bool, (rule, python, grpc, https))) != 1:
        raise UsageFailure(
            "what is to check commits?", hint="give one of --rule RULE, --python NAME, --grpc HOST:PORT, --https URL"
        )
    if parameters and not (rule or python):
        raise UsageFailure("--param is for --rule and --python")
    if plaintext and not grpc:
        raise UsageFailure("--plaintext is for --grpc")
    if rule:
        return BuiltinCheck(rule, parameters)
    if python:
        return PythonCheck(python, parameters)
    return GrpcCheck(grpc, plaintext) if grpc else HttpsCheck(https)


def check_text(check: "Check") -> str:
    """What checks commits, on one line; its first word is its kind."""
    from ontomesh.sdk.checks import BuiltinCheck, GrpcCheck, PythonCheck

    if isinstance(check, BuiltinCheck | PythonCheck):
        kind, what = ("rule", check.rule) if isinstance(check, BuiltinCheck) else ("python", check.entry_point)
        given = " ".join(f"{name}={value}" for name, value in sorted(check.parameters.items()))
        return f"{kind} {what} {given}".rstrip()
    if isinstance(check, GrpcCheck):
        return f"grpc {check.target}{' in plaintext' if check.plaintext else ''}"
    return f"https {check.url}"


def match_text(validator: "Validator") -> str:
    """Which commits a validator sees, on one line."""
    parts = (
        ("databases", validator.databases),
        ("branches", validator.branches),
        ("classes", validator.classes),
        ("paths", validator.paths),
    )
    return "; ".join(f"{name} {', '.join(given)}" for name, given in parts if given) or "every commit"


def print_validator(out: Output, status: "ValidatorStatus") -> None:
    """A validator and how it fares."""
    validator = status.validator
    out.line("validator   ", (validator.name, "bold"), ("  disabled" if validator.disabled else "", "bold yellow"))
    if validator.description:
        out.line("description ", validator.description)
    out.line("check       ", check_text(validator.check))
    out.line("sees        ", match_text(validator))
    deadline = f"{validator.deadline:g} s" if validator.deadline else "the kernel's default"
    out.line("deadline    ", f"{deadline}; then {validator.on_failure}")
    out.line("order       ", str(validator.order))
    if validator.update_time is not None:
        out.line("changed     ", local_time(validator.update_time))
    out.line(
        "calls       ", f"{status.calls:,} answered, {status.rejections:,} objected to, {status.failures:,} failed"
    )
    out.line("circuit     ", ("open: it is not asked for a while", "bold red") if status.circuit_open else "closed")
    out.line("etag        ", validator.etag)
