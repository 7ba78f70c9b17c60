"""Checking what a caller says of a validator."""

import re
from collections.abc import Iterable, Mapping

from ontomesh_data_kernel.domain.limits import MAX_DESCRIPTION_BYTES, check_text
from ontomesh_data_kernel.domain.validators.model import (
    BuiltinCheck,
    GrpcCheck,
    HttpsCheck,
    Match,
    PythonCheck,
    Validator,
)
from ontomesh_data_kernel.domain.validators.rules import Compile, rule_faults
from ontomesh_data_kernel.errors import InvalidRequest, TooLarge, Violation

MIN_DEADLINE = 1_000
MAX_DEADLINE = 30_000_000
MAX_PATTERNS = 100
MAX_PATTERN = 256
MAX_PARAMETERS = 64
MAX_PARAMETER_BYTES = 4_096
MAX_ADDRESS_BYTES = 2_048
MAX_RECORD_BYTES = 60_000

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_PATTERN = re.compile(rf"[^\s\[\]?\x00-\x1f\x7f]{{1,{MAX_PATTERN}}}")
_CLASS = re.compile(rf"@schema|[^\s/@\x00-\x1f\x7f]{{1,{MAX_PATTERN}}}")
_PATH = re.compile(r"[^\s/@.\x00-\x1f\x7f]+(\.[^\s/@.\x00-\x1f\x7f]+)*")
_ENTRY_POINT = re.compile(rf"[^\s=\[\]\x00-\x1f\x7f]{{1,{MAX_PATTERN}}}")


def check_name(name: str, field: str = "name") -> str:
    """Return a validator's name. Raises InvalidRequest."""
    if not _NAME.fullmatch(name):
        words = "is 1 to 128 letters, digits, `.`, `_` and `-`, beginning with a letter or digit"
        raise InvalidRequest.at(field, words)
    return name


def examine(one: Validator, compile_pattern: Compile) -> None:
    """Refuse a validator that is malformed. Raises InvalidRequest with a violation for each fault, TooLarge."""
    check_name(one.name, "validator.name")
    check_text("validator.description", one.description, MAX_DESCRIPTION_BYTES)
    faults = [*_match_faults(one.match), *_check_faults(one, compile_pattern)]
    if not MIN_DEADLINE <= one.deadline <= MAX_DEADLINE:
        faults.append(Violation("deadline", "is not within 1 ms and 30 s"))
    if faults:
        violations = [fault.within("validator") for fault in faults]
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        raise InvalidRequest(f"{violations[0].field}: {violations[0].description}{more}", violations)


def check_size(record: bytes) -> bytes:
    """Return a record that the store keeps. Raises TooLarge."""
    if len(record) > MAX_RECORD_BYTES:
        raise TooLarge.of("the validator in bytes", len(record), MAX_RECORD_BYTES, "validator")
    return record


def _match_faults(match: Match) -> Iterable[Violation]:
    for name, pattern, words in (
        ("databases", _PATTERN, "is no pattern of names: `*` alone stands for others"),
        ("branches", _PATTERN, "is no pattern of names: `*` alone stands for others"),
        ("classes", _CLASS, "is no name of a class"),
        ("paths", _PATH, "is no path of a property, such as `address.city`"),
    ):
        given: tuple[str, ...] = getattr(match, name)
        if len(given) > MAX_PATTERNS:
            yield Violation(f"match.{name}", f"has {len(given):,} entries where at most {MAX_PATTERNS} are allowed")
        for index, one in enumerate(given[:MAX_PATTERNS]):
            if not pattern.fullmatch(one) or len(one) > MAX_PATTERN:
                yield Violation(f"match.{name}[{index}]", f"{one[:MAX_PATTERN]!r} {words}")


def _check_faults(one: Validator, compile_pattern: Compile) -> Iterable[Violation]:
    match one.check:
        case BuiltinCheck(parameters=parameters):
            faults = list(_parameter_faults("builtin", parameters))
            yield from faults or (fault.within("builtin") for fault in rule_faults(one.check, compile_pattern))
        case PythonCheck(entry_point, parameters):
            if not _ENTRY_POINT.fullmatch(entry_point):
                yield Violation("python.entry_point", "is the name of an entry point")
            yield from _parameter_faults("python", parameters)
        case GrpcCheck(target):
            yield from _address_faults("grpc.target", target, "host:port")
        case HttpsCheck(url):
            yield from _address_faults("https.url", url, "an https URL")


def _address_faults(field: str, address: str, what: str) -> Iterable[Violation]:
    if not address or len(address.encode("utf-8", "replace")) > MAX_ADDRESS_BYTES or not address.isprintable():
        yield Violation(field, f"is {what} of at most {MAX_ADDRESS_BYTES:,} bytes")


def _parameter_faults(field: str, parameters: Mapping[str, str]) -> Iterable[Violation]:
    if len(parameters) > MAX_PARAMETERS:
        words = f"has {len(parameters):,} entries where at most {MAX_PARAMETERS} are allowed"
        yield Violation(f"{field}.parameters", words)
    for key, value in parameters.items():
        if not key or len(key.encode()) > MAX_PATTERN or len(value.encode()) > MAX_PARAMETER_BYTES:
            words = f"keys have 1 to {MAX_PATTERN} bytes, values at most {MAX_PARAMETER_BYTES:,}"
            yield Violation(f"{field}.parameters[{key[:MAX_PATTERN]}]", words)
