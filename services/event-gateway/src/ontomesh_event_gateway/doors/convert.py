"""Between CloudEvents as messages and as the domain sees them; both directions keep every bit of what is encoded."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp

from ontomesh.events.v1 import cloud_event_pb2 as pb
from ontomesh.events.v1 import error_reason_pb2, event_type_service_pb2, publish_service_pb2
from ontomesh_event_gateway.domain.model import Event, Outcome, Result, StreamState, Value
from ontomesh_event_gateway.domain.publishing import Draft
from ontomesh_event_gateway.domain.validating import MAX_ATTRIBUTES
from ontomesh_event_gateway.doors.errors import TABLE
from ontomesh_event_gateway.errors import GatewayError, InvalidEvent

SPEC_VERSION = "1.0"
MAX_VIOLATIONS = 20
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - all of it is UTC

_OUTCOMES = {
    Outcome.STORED: publish_service_pb2.PublishResult.OUTCOME_STORED,
    Outcome.DUPLICATE: publish_service_pb2.PublishResult.OUTCOME_DUPLICATE,
    Outcome.SPOOLED: publish_service_pb2.PublishResult.OUTCOME_SPOOLED,
    Outcome.REFUSED: publish_service_pb2.PublishResult.OUTCOME_REFUSED,
    Outcome.DEAD_LETTERED: publish_service_pb2.PublishResult.OUTCOME_DEAD_LETTERED,
    Outcome.FAILED: publish_service_pb2.PublishResult.OUTCOME_FAILED,
}


def event(message: pb.CloudEvent, encoded: bytes = b"") -> Event:
    """The event of a message, whose empty spec_version becomes 1.0.

    Raises InvalidEvent for what the domain does not see: another version, an attribute without a value, a time that is
    none.
    """
    version = message.spec_version
    if version != SPEC_VERSION:
        if version:
            raise InvalidEvent.at("spec_version", f"{version!r}: only {SPEC_VERSION} is known")
        message.spec_version = SPEC_VERSION
    kind = message.WhichOneof("data")
    data: bytes | str | None = None
    if kind == "binary_data":
        data = message.binary_data
    elif kind == "text_data":
        data = message.text_data
    elif kind == "proto_data":
        data = message.proto_data.SerializeToString()
    return Event(
        message.id,
        message.source,
        message.type,
        _attributes(message.attributes),
        data,
        encoded or message.SerializeToString(),
    )


def draft(message: pb.CloudEvent) -> Draft:
    """A message as what is to be published."""
    try:
        return Draft(event(message))
    except InvalidEvent as error:
        return Draft(bare(message), error)


def bare(message: pb.CloudEvent) -> Event:
    """What can be said of a message that is no event."""
    return Event(message.id, message.source, message.type, encoded=message.SerializeToString())


def decode(encoded: bytes) -> Event:
    """The event of its encoded form; of what was refused, as much as can be said. Raises InvalidEvent for other bytes."""
    try:
        message = pb.CloudEvent.FromString(encoded)
    except DecodeError as error:
        raise InvalidEvent("these bytes are no event in the protobuf format of CloudEvents") from error
    try:
        return event(message, encoded)
    except InvalidEvent:
        return Event(message.id, message.source, message.type, encoded=encoded)


def without_data(one: Event) -> Event:
    """The event without its data."""
    message = event_proto(one)
    for name in ("binary_data", "text_data", "proto_data"):
        message.ClearField(name)
    return replace(one, data=None, encoded=message.SerializeToString())


def event_proto(one: Event) -> pb.CloudEvent:
    """The message of an event, as it was published."""
    return pb.CloudEvent.FromString(one.encoded)


def time_proto(microseconds: int) -> Timestamp:
    """A point in time."""
    return Timestamp(seconds=microseconds // 1_000_000, nanos=microseconds % 1_000_000 * 1000)


def _attributes(attributes: Mapping[str, pb.CloudEventAttributeValue]) -> dict[str, Value]:
    if len(attributes) > MAX_ATTRIBUTES:
        raise InvalidEvent.at("attributes", f"has {len(attributes)}; at most {MAX_ATTRIBUTES} are taken")
    values: dict[str, Value] = {}
    for name, value in attributes.items():
        kind = value.WhichOneof("attr")
        if kind is None:
            raise InvalidEvent.at(f"attributes.{name}", "has no value")
        if kind == "ce_timestamp":
            values[name] = _time(value.ce_timestamp, name)
        else:
            values[name] = getattr(value, kind)
    return values


def _time(time: Timestamp, name: str) -> str:
    """RFC 3339 in UTC. protobuf's own ToJsonString costs a fifth of all that is done for an event."""
    try:
        moment = (_EPOCH + timedelta(seconds=time.seconds)).isoformat()
    except OverflowError as error:
        raise InvalidEvent.at(f"attributes.{name}", "is no point in time from year 1 to 9999") from error
    if not time.nanos:
        return f"{moment}Z"
    if not 0 < time.nanos < 1_000_000_000:
        raise InvalidEvent.at(f"attributes.{name}", "is no point in time: nanos are out of range")
    return f"{moment}.{f'{time.nanos:09d}'.rstrip('0')}Z"


def result(one: Result) -> publish_service_pb2.PublishResult:
    """What became of an event."""
    answer = publish_service_pb2.PublishResult(outcome=_OUTCOMES[one.outcome], sequence=one.sequence)
    if one.error is not None:
        answer.error.CopyFrom(event_error(one.error))
    return answer


def event_error(error: GatewayError) -> publish_service_pb2.EventError:
    """Why an event was not stored."""
    found = [
        publish_service_pb2.EventViolation(field=violation.field, description=violation.description)
        for violation in error.violations[:MAX_VIOLATIONS]
    ]
    reason = error_reason_pb2.ErrorReason.Value(f"ERROR_REASON_{reason_of(error)}")
    return publish_service_pb2.EventError(reason=reason, message=error.message, violations=found)


def reason_of(error: GatewayError) -> str:
    """The reason of an error, without prefix."""
    return next(TABLE[ancestor][1] for ancestor in type(error).__mro__ if ancestor in TABLE)


def stream_state(
    state: StreamState, spool_bytes: int, spool_events: int
) -> event_type_service_pb2.GetEventStreamResponse:
    """How the stream is kept and how full it is."""
    answer = event_type_service_pb2.GetEventStreamResponse(
        events=state.events,
        bytes=state.bytes,
        max_bytes=state.max_bytes,
        first_sequence=state.first_sequence,
        last_sequence=state.last_sequence,
        replicas=state.replicas,
        sync_interval=state.sync_interval,
        spool_bytes=spool_bytes,
        spool_events=spool_events,
    )
    answer.max_age.FromMilliseconds(round(state.max_age * 1000))
    answer.deduplication_window.FromMilliseconds(round(state.deduplication_window * 1000))
    if state.first_time:
        answer.first_time.CopyFrom(time_proto(state.first_time))
    return answer
