"""Validators as they are kept: JSON, which later releases add to."""

from typing import Any

import orjson

from ontomesh_data_kernel.domain.validators.model import (
    BuiltinCheck,
    Check,
    FailurePolicy,
    GrpcCheck,
    HttpsCheck,
    Match,
    PythonCheck,
    Validator,
)

_CHECKS: dict[str, type[Check]] = {
    "builtin": BuiltinCheck,
    "python": PythonCheck,
    "grpc": GrpcCheck,
    "https": HttpsCheck,
}
_KINDS = {check: kind for kind, check in _CHECKS.items()}


def kind_of(check: Check) -> str:
    """The kind of a check, as the contract names it."""
    return _KINDS[type(check)]


def write_record(one: Validator) -> bytes:
    """What is kept of a validator."""
    kept: dict[str, Any] = {
        "name": one.name,
        "description": one.description,
        "match": one.match,
        kind_of(one.check): one.check,
        "deadline": one.deadline,
        "order": one.order,
        "failure_policy": one.failure_policy.value,
        "disabled": one.disabled,
        "etag": one.etag,
        "create_time": one.create_time,
        "update_time": one.update_time,
    }
    return orjson.dumps(kept)


def read_record(record: bytes) -> Validator:
    """The validator of a record. Raises ValueError for what no release before this one wrote."""
    kept = orjson.loads(record)
    try:
        ((kind, check),) = ((kind, kept[kind]) for kind in _CHECKS if kind in kept)
        return Validator(
            kept["name"],
            _CHECKS[kind](**check),
            kept["description"],
            Match(**{part: tuple(patterns) for part, patterns in kept["match"].items()}),
            kept["deadline"],
            kept["order"],
            FailurePolicy(kept["failure_policy"]),
            kept["disabled"],
            kept["etag"],
            kept["create_time"],
            kept["update_time"],
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"a validator's record that this release cannot read: {error}") from None
