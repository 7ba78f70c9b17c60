"""Validators that are HTTPS endpoints: JSON by POST."""

from collections.abc import Sequence

from google.protobuf import json_format

from ontomesh.kernel.v1 import commit_validator_pb2
from ontomesh_chassis.outbound import AddressRefused, Destination
from ontomesh_chassis.outbound_http import OutboundClient, OutboundFailed
from ontomesh_data_kernel.adapters.validators.messages import (
    MAX_ANSWER_BYTES,
    objections_of,
    request_of,
    traceparent,
)
from ontomesh_data_kernel.domain.validators.judging import MAX_OBJECTIONS
from ontomesh_data_kernel.domain.validators.model import Cause, CheckFailed, HttpsCheck, Objection, Proposal


class HttpsChecks:
    """Posts to endpoints."""

    def __init__(self, client: OutboundClient) -> None:
        self._client = client

    async def destination(self, check: HttpsCheck) -> Destination:
        """Where a check leads. Raises AddressRefused, Unresolved."""
        return await self._client.destination(check.url)

    async def judge(self, name: str, check: HttpsCheck, pieces: Sequence[Proposal]) -> list[Objection]:
        """What the endpoint objects to. Raises CheckFailed; the caller sets a time limit."""
        objections: list[Objection] = []
        for piece in pieces:
            body = json_format.MessageToJson(request_of(name, piece), indent=None).encode()
            headers = {"content-type": "application/json", "accept": "application/json", "traceparent": traceparent()}
            try:
                answer = await self._client.post(check.url, body, headers, limit=MAX_ANSWER_BYTES)
                # An answer of another shape is no verdict: what is not understood must not pass for consent.
                response = _response(answer)
            except AddressRefused as error:
                raise CheckFailed(Cause.ERROR, error.message) from None
            except OutboundFailed as error:
                raise CheckFailed(Cause.ERROR, str(error)) from None
            except (json_format.ParseError, UnicodeDecodeError):
                raise CheckFailed(Cause.ERROR, "its answer is no ValidateResponse as JSON") from None
            objections += objections_of(response)
            if len(objections) >= MAX_OBJECTIONS:
                break
        return objections

    async def close(self) -> None:
        """End the connections."""
        await self._client.close()


def _response(answer: bytes) -> commit_validator_pb2.ValidateResponse:
    """The verdict of an answer. Raises ParseError, UnicodeDecodeError."""
    text = answer.decode()
    if not text.lstrip().startswith("{"):
        raise json_format.ParseError("is no object")  # an empty list or text would be read as an empty message
    return json_format.Parse(text, commit_validator_pb2.ValidateResponse())
