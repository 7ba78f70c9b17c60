"""Managing validators, which check commits before they count."""

from collections.abc import AsyncIterator, Sequence

from ontomesh.kernel.v1 import validator_service_pb2
from ontomesh.sdk import checks
from ontomesh.sdk.checks import RelayStatus, Validator, ValidatorStatus
from ontomesh.sdk.paging import Pages
from ontomesh.sdk.raw import Raw


class AsyncValidators:
    """The validators of a kernel."""

    __slots__ = ("_raw",)

    def __init__(self, raw: Raw) -> None:
        self._raw = raw

    async def put(self, validator: Validator, *, timeout: float | None = None) -> Validator:
        """The validator as it is now: created, or in the place of the one of this name.

        Raises:
            InvalidRequest: Something about it is malformed; `violations` names each fault.
            AddressRefused: It is at an address that the kernel does not call.
            EtagMismatch: Its etag is set, and not the current one.
        """
        request = validator_service_pb2.PutValidatorRequest(validator=checks.validator_message(validator))
        response = await self._raw.validators.PutValidator(request, timeout=timeout)
        return checks.validator_of(response.validator)

    async def get(self, name: str, *, timeout: float | None = None) -> ValidatorStatus:
        """A validator, and how it fares with the kernel that answers.

        Raises:
            ValidatorNotFound: There is none of this name.
        """
        request = validator_service_pb2.GetValidatorRequest(name=name)
        return checks.validator_status(await self._raw.validators.GetValidator(request, timeout=timeout))

    def list(self, *, page_size: int = 0, timeout: float | None = None) -> AsyncIterator[Validator]:
        """The validators by order and name. `timeout` is for each page."""

        async def fetch(token: str) -> tuple[Sequence[Validator], str]:
            request = validator_service_pb2.ListValidatorsRequest(page_size=page_size, page_token=token)
            response = await self._raw.validators.ListValidators(request, timeout=timeout)
            return [checks.validator_of(each) for each in response.validators], response.next_page_token

        return Pages(fetch)

    async def delete(self, name: str, *, etag: str = "", timeout: float | None = None) -> None:
        """Deletes a validator; from then on commits count without it.

        Raises:
            ValidatorNotFound: There is none of this name.
            EtagMismatch: It has changed since it had this etag.
        """
        request = validator_service_pb2.DeleteValidatorRequest(name=name, etag=etag)
        await self._raw.validators.DeleteValidator(request, timeout=timeout)

    async def relay_status(self, *, timeout: float | None = None) -> RelayStatus:
        """How far the relay has carried the commit log to the event gateway."""
        request = validator_service_pb2.GetRelayStatusRequest()
        return checks.relay_status(await self._raw.validators.GetRelayStatus(request, timeout=timeout))
