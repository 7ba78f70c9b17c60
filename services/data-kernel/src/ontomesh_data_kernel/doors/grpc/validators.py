"""Validators, and how the relay stands."""

from collections.abc import Callable
from dataclasses import replace

from google.protobuf.duration_pb2 import Duration

from ontomesh.kernel.v1 import validator_pb2, validator_service_pb2, validator_service_pb2_grpc
from ontomesh_data_kernel.domain.caller import Caller
from ontomesh_data_kernel.domain.relaying import RelayStatus
from ontomesh_data_kernel.domain.validators.managing import Validators
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
from ontomesh_data_kernel.doors.caller import caller_now
from ontomesh_data_kernel.doors.grpc.convert import timestamp
from ontomesh_data_kernel.errors import InvalidRequest

_POLICIES = {
    validator_pb2.FAILURE_POLICY_UNSPECIFIED: FailurePolicy.REJECT,
    validator_pb2.FAILURE_POLICY_REJECT: FailurePolicy.REJECT,
    validator_pb2.FAILURE_POLICY_ALLOW: FailurePolicy.ALLOW,
}
_MICROSECOND = 1_000
_SECOND = 1_000_000


class ValidatorServicer(validator_service_pb2_grpc.ValidatorServiceServicer):
    """`ValidatorService` over the domain's validators."""

    def __init__(self, validators: Validators, relay: Callable[[Caller], RelayStatus | None]) -> None:
        self._validators = validators
        self._relay = relay

    async def PutValidator(  # noqa: N802 - the contract's name
        self, request: validator_service_pb2.PutValidatorRequest, context: object
    ) -> validator_service_pb2.PutValidatorResponse:
        """See the contract."""
        made = await self._validators.put(caller_now(), _asked(request.validator))
        return validator_service_pb2.PutValidatorResponse(validator=_validator(made))

    async def GetValidator(  # noqa: N802 - the contract's name
        self, request: validator_service_pb2.GetValidatorRequest, context: object
    ) -> validator_service_pb2.GetValidatorResponse:
        """See the contract."""
        found, standing = await self._validators.get(caller_now(), request.name)
        return validator_service_pb2.GetValidatorResponse(
            validator=_validator(found),
            calls=standing.calls,
            rejections=standing.rejections,
            failures=standing.failures,
            circuit_open=standing.circuit_open,
        )

    async def ListValidators(  # noqa: N802 - the contract's name
        self, request: validator_service_pb2.ListValidatorsRequest, context: object
    ) -> validator_service_pb2.ListValidatorsResponse:
        """See the contract."""
        page = await self._validators.list(caller_now(), request.page_size, request.page_token)
        return validator_service_pb2.ListValidatorsResponse(
            validators=[_validator(one) for one in page.validators], next_page_token=page.next_page_token
        )

    async def DeleteValidator(  # noqa: N802 - the contract's name
        self, request: validator_service_pb2.DeleteValidatorRequest, context: object
    ) -> validator_service_pb2.DeleteValidatorResponse:
        """See the contract."""
        await self._validators.delete(caller_now(), request.name, request.etag)
        return validator_service_pb2.DeleteValidatorResponse()

    async def GetRelayStatus(  # noqa: N802 - the contract's name
        self, request: validator_service_pb2.GetRelayStatusRequest, context: object
    ) -> validator_service_pb2.GetRelayStatusResponse:
        """See the contract."""
        found = self._relay(caller_now())
        if found is None:
            return validator_service_pb2.GetRelayStatusResponse()
        waits = found.oldest_waiting
        return validator_service_pb2.GetRelayStatusResponse(
            enabled=True,
            leading=found.leading,
            events=found.events,
            dead_letters=found.dead_letters,
            branches_behind=found.branches_behind,
            oldest_waiting=timestamp(waits) if waits is not None else None,
            last_error=found.last_error,
        )


def _asked(one: validator_pb2.Validator) -> Validator:
    policy = _POLICIES.get(one.failure_policy)
    if policy is None:
        raise InvalidRequest.at("validator.failure_policy", f"{one.failure_policy} is neither reject nor allow")
    given = Validator(
        one.name,
        _check(one),
        one.description,
        Match(tuple(one.match.databases), tuple(one.match.branches), tuple(one.match.classes), tuple(one.match.paths)),
        order=one.order,
        failure_policy=policy,
        disabled=one.disabled,
        etag=one.etag,
    )
    if not one.HasField("deadline"):
        return given
    deadline = one.deadline.seconds * _SECOND + one.deadline.nanos // _MICROSECOND
    return replace(given, deadline=deadline)


def _check(one: validator_pb2.Validator) -> Check:
    match one.WhichOneof("check"):
        case "builtin":
            return BuiltinCheck(one.builtin.rule, dict(one.builtin.parameters))
        case "python":
            return PythonCheck(one.python.entry_point, dict(one.python.parameters))
        case "grpc":
            return GrpcCheck(one.grpc.target, one.grpc.plaintext)
        case "https":
            return HttpsCheck(one.https.url)
        case _:
            raise InvalidRequest.at("validator", "has one of builtin, python, grpc and https")


def _validator(one: Validator) -> validator_pb2.Validator:
    seconds, rest = divmod(one.deadline, _SECOND)
    made = validator_pb2.Validator(
        name=one.name,
        description=one.description,
        match=validator_pb2.ValidatorMatch(
            databases=one.match.databases,
            branches=one.match.branches,
            classes=one.match.classes,
            paths=one.match.paths,
        ),
        deadline=Duration(seconds=seconds, nanos=rest * _MICROSECOND),
        order=one.order,
        failure_policy=validator_pb2.FAILURE_POLICY_ALLOW
        if one.failure_policy is FailurePolicy.ALLOW
        else validator_pb2.FAILURE_POLICY_REJECT,
        disabled=one.disabled,
        etag=one.etag,
        create_time=timestamp(one.create_time),
        update_time=timestamp(one.update_time),
    )
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
