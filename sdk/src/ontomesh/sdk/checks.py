"""Validators as values: what checks commits beyond the ontology, and how each fares.

What each part means in full is said in `proto/ontomesh/kernel/v1/validator.proto`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from ontomesh.kernel.v1 import validator_pb2, validator_service_pb2

OnFailure = Literal["reject", "allow"]

_POLICIES: dict[OnFailure, validator_pb2.FailurePolicy.ValueType] = {
    "reject": validator_pb2.FAILURE_POLICY_REJECT,
    "allow": validator_pb2.FAILURE_POLICY_ALLOW,
}


@dataclass(frozen=True, slots=True)
class BuiltinCheck:
    """A rule of the kernel's own, such as `message`, `metadata`, `max_changes`, `no_deletes`, `append_only`, `immutable`."""

    rule: str
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PythonCheck:
    """A function that is installed with the kernel, by its entry point's name; see `ontomesh.sdk.validation`."""

    entry_point: str
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GrpcCheck:
    """A service that implements `CommitValidator` at `host:port`."""

    target: str
    plaintext: bool = False


@dataclass(frozen=True, slots=True)
class HttpsCheck:
    """An endpoint that takes `ValidateRequest` as JSON by POST and answers with `ValidateResponse`."""

    url: str


Check = BuiltinCheck | PythonCheck | GrpcCheck | HttpsCheck


@dataclass(frozen=True, slots=True)
class Validator:
    """What checks commits before they count.

    Attributes:
        name: Its name.
        check: What checks them.
        description: What it is for.
        databases: Patterns of the databases whose commits it sees; none for all.
        branches: Patterns of branches; none for all.
        classes: Classes of the documents that it sees, their subclasses included; none for all.
        paths: Properties whose changes it sees, such as `address.city`; none for all.
        deadline: Seconds that it may take: up to 30; the kernel's default (2) if None.
        order: Where its objections stand among those of others.
        on_failure: Whether a commit is refused or counts when the validator does not answer in time, or fails.
        disabled: Whether it is left out.
        etag: Changes with it; set, it must be the current one when the validator is put.
        create_time: When it was created; None before that.
        update_time: When it was last changed.
    """

    name: str
    check: Check
    description: str = ""
    databases: tuple[str, ...] = ()
    branches: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    deadline: float | None = None
    order: int = 0
    on_failure: OnFailure = "reject"
    disabled: bool = False
    etag: str = ""
    create_time: datetime | None = None
    update_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class ValidatorStatus:
    """A validator and how it fares with the kernel that answers, since that started.

    Attributes:
        validator: The validator.
        calls: Commits that it judged.
        rejections: Those of them that it objected to.
        failures: How often it did not answer, or failed.
        circuit_open: Whether it failed so often that it is not asked for a while, and counts as failing.
    """

    validator: Validator
    calls: int
    rejections: int
    failures: int
    circuit_open: bool


@dataclass(frozen=True, slots=True)
class RelayStatus:
    """How far the relay has carried the commit log to the event gateway, as the kernel that answers knows.

    Attributes:
        enabled: Whether this kernel relays at all.
        leading: Whether this kernel is the one that relays now.
        events: Events relayed since it leads.
        dead_letters: Events that the gateway refused for good.
        branches_behind: Branches with commits that are not relayed yet.
        oldest_waiting: When the oldest commit that waits was made; None if none waits.
        last_error: Why the last attempt failed; empty if it did not.
    """

    enabled: bool
    leading: bool
    events: int
    dead_letters: int
    branches_behind: int
    oldest_waiting: datetime | None
    last_error: str


def validator_message(one: Validator) -> validator_pb2.Validator:
    """A validator as the contract has it.

    Raises:
        ValueError: `on_failure` is neither `reject` nor `allow`.
    """
    if one.on_failure not in _POLICIES:
        raise ValueError(f"on_failure is one of {', '.join(_POLICIES)}, not {one.on_failure!r}")
    made = validator_pb2.Validator(
        name=one.name,
        description=one.description,
        match=validator_pb2.ValidatorMatch(
            databases=one.databases, branches=one.branches, classes=one.classes, paths=one.paths
        ),
        order=one.order,
        failure_policy=_POLICIES[one.on_failure],
        disabled=one.disabled,
        etag=one.etag,
    )
    if one.deadline is not None:
        made.deadline.FromTimedelta(timedelta(seconds=one.deadline))
    match one.check:
        case BuiltinCheck(rule, parameters):
            made.builtin.CopyFrom(validator_pb2.BuiltinCheck(rule=rule, parameters=parameters))
        case PythonCheck(entry_point, parameters):
            made.python.CopyFrom(validator_pb2.PythonCheck(entry_point=entry_point, parameters=parameters))
        case GrpcCheck(target, plaintext):
            made.grpc.CopyFrom(validator_pb2.GrpcCheck(target=target, plaintext=plaintext))
        case HttpsCheck(url):
            made.https.CopyFrom(validator_pb2.HttpsCheck(url=url))
    return made


def validator_of(message: validator_pb2.Validator) -> Validator:
    """A validator as the kernel gives it."""
    return Validator(
        message.name,
        _check_of(message),
        message.description,
        tuple(message.match.databases),
        tuple(message.match.branches),
        tuple(message.match.classes),
        tuple(message.match.paths),
        message.deadline.ToTimedelta().total_seconds(),
        message.order,
        "allow" if message.failure_policy == validator_pb2.FAILURE_POLICY_ALLOW else "reject",
        message.disabled,
        message.etag,
        message.create_time.ToDatetime(UTC),
        message.update_time.ToDatetime(UTC),
    )


def _check_of(message: validator_pb2.Validator) -> Check:
    match message.WhichOneof("check"):
        case "builtin":
            return BuiltinCheck(message.builtin.rule, dict(message.builtin.parameters))
        case "python":
            return PythonCheck(message.python.entry_point, dict(message.python.parameters))
        case "grpc":
            return GrpcCheck(message.grpc.target, message.grpc.plaintext)
        case _:
            return HttpsCheck(message.https.url)


def validator_status(message: validator_service_pb2.GetValidatorResponse) -> ValidatorStatus:
    """How a validator fares."""
    one = validator_of(message.validator)
    return ValidatorStatus(one, message.calls, message.rejections, message.failures, message.circuit_open)


def relay_status(message: validator_service_pb2.GetRelayStatusResponse) -> RelayStatus:
    """How the relay stands."""
    waits = message.HasField("oldest_waiting")
    return RelayStatus(
        message.enabled,
        message.leading,
        message.events,
        message.dead_letters,
        message.branches_behind,
        message.oldest_waiting.ToDatetime(UTC) if waits else None,
        message.last_error,
    )
