"""The kernel's validators in memory."""

# ruff: noqa: N802 - the contract names the methods

import grpc
from sdk.tests.cli.memory import Refusal

from ontomesh.kernel.v1 import validator_pb2, validator_service_pb2
from ontomesh.kernel.v1.validator_service_pb2_grpc import ValidatorServiceServicer


class Validators(ValidatorServiceServicer):
    def __init__(self) -> None:
        self.records: dict[str, validator_pb2.Validator] = {}

    def PutValidator(
        self, request: validator_service_pb2.PutValidatorRequest, context: grpc.ServicerContext
    ) -> validator_service_pb2.PutValidatorResponse:
        made = validator_pb2.Validator()
        made.CopyFrom(request.validator)
        made.etag += "1"
        if not made.HasField("deadline"):
            made.deadline.FromSeconds(2)
        self.records[made.name] = made
        return validator_service_pb2.PutValidatorResponse(validator=made)

    def GetValidator(
        self, request: validator_service_pb2.GetValidatorRequest, context: grpc.ServicerContext
    ) -> validator_service_pb2.GetValidatorResponse:
        return validator_service_pb2.GetValidatorResponse(
            validator=self._record(request.name), calls=12, rejections=2, failures=1
        )

    def ListValidators(
        self, request: validator_service_pb2.ListValidatorsRequest, context: grpc.ServicerContext
    ) -> validator_service_pb2.ListValidatorsResponse:
        found = sorted(self.records.values(), key=lambda each: (each.order, each.name))
        return validator_service_pb2.ListValidatorsResponse(validators=found)

    def DeleteValidator(
        self, request: validator_service_pb2.DeleteValidatorRequest, context: grpc.ServicerContext
    ) -> validator_service_pb2.DeleteValidatorResponse:
        del self.records[self._record(request.name).name]
        return validator_service_pb2.DeleteValidatorResponse()

    def GetRelayStatus(
        self, request: validator_service_pb2.GetRelayStatusRequest, context: grpc.ServicerContext
    ) -> validator_service_pb2.GetRelayStatusResponse:
        return validator_service_pb2.GetRelayStatusResponse()

    def _record(self, name: str) -> validator_pb2.Validator:
        if name not in self.records:
            raise Refusal("VALIDATOR_NOT_FOUND", f"no validator {name!r}")
        return self.records[name]
