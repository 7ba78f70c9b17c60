"""Between the messages of the event gateway's contract and the SDK's own values."""

import time
from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

from ontomesh.events.v1 import (
    cloud_event_pb2,
    consume_service_pb2,
    dead_letter_service_pb2,
    error_reason_pb2,
    event_type_service_pb2,
    publish_service_pb2,
    subscription_pb2,
    subscription_service_pb2,
)
from ontomesh.sdk.errors import EVENT_REASONS, OntomeshError, Violation
from ontomesh.sdk.events.event import Attribute, Event
from ontomesh.sdk.events.resources import (
    Attempt,
    AttemptOutcome,
    AttemptRecords,
    BrokenBySchema,
    DeadLetter,
    EventStream,
    EventType,
    Filter,
    OntologyClass,
    Ordering,
    Outcome,
    Published,
    Received,
    Start,
    Subscription,
    SubscriptionStatus,
)

CONTENT_TYPE = "datacontenttype"
_REASON = "ERROR_REASON_"

_OUTCOMES: dict[int, Outcome] = {
    publish_service_pb2.PublishResult.OUTCOME_STORED: "stored",
    publish_service_pb2.PublishResult.OUTCOME_DUPLICATE: "duplicate",
    publish_service_pb2.PublishResult.OUTCOME_SPOOLED: "spooled",
    publish_service_pb2.PublishResult.OUTCOME_REFUSED: "refused",
    publish_service_pb2.PublishResult.OUTCOME_DEAD_LETTERED: "dead_lettered",
    publish_service_pb2.PublishResult.OUTCOME_FAILED: "failed",
}
_ATTEMPT_OUTCOMES: dict[int, AttemptOutcome] = {
    dead_letter_service_pb2.Attempt.OUTCOME_ACKNOWLEDGED: "acknowledged",
    dead_letter_service_pb2.Attempt.OUTCOME_NAK: "nak",
    dead_letter_service_pb2.Attempt.OUTCOME_EXPIRED: "expired",
    dead_letter_service_pb2.Attempt.OUTCOME_DEAD_LETTERED: "dead_lettered",
    dead_letter_service_pb2.Attempt.OUTCOME_REDRIVEN: "redriven",
}
ORDERINGS: dict[Ordering, subscription_pb2.Ordering.ValueType] = {
    "unordered": subscription_pb2.ORDERING_UNORDERED,
    "by_key": subscription_pb2.ORDERING_BY_KEY,
}
ATTEMPT_RECORDS: dict[AttemptRecords, subscription_pb2.AttemptRecords.ValueType] = {
    "failures": subscription_pb2.ATTEMPT_RECORDS_FAILURES,
    "all": subscription_pb2.ATTEMPT_RECORDS_ALL,
}


def message_of(event: Event, source: str = "") -> cloud_event_pb2.CloudEvent:
    """The message for an event; `source` is for one that names none.

    Raises:
        TypeError: An attribute's value is of a type that CloudEvents does not have.
        ValueError: An attribute's time has no time zone.
    """
    message = cloud_event_pb2.CloudEvent(
        id=event.id, source=event.source or source, spec_version="1.0", type=event.type
    )
    attributes = message.attributes
    for name, value in event.attributes.items():
        _set(attributes[name], name, value)
    if event.subject:
        attributes["subject"].ce_string = event.subject
    if event.content_type:
        attributes[CONTENT_TYPE].ce_string = event.content_type
    if event.time is not None:
        _set(attributes["time"], "time", event.time)
    if isinstance(event.body, str):
        message.text_data = event.body
    elif event.body is not None:
        message.binary_data = event.body
    return message


def _set(target: cloud_event_pb2.CloudEventAttributeValue, name: str, value: Attribute) -> None:
    if isinstance(value, str):
        target.ce_string = value
    elif isinstance(value, bool):
        target.ce_boolean = value
    elif isinstance(value, int):
        target.ce_integer = value
    elif isinstance(value, bytes):
        target.ce_bytes = value
    elif isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"the event's attribute {name} is a time without a time zone")
        target.ce_timestamp.FromDatetime(value)
    else:
        raise TypeError(f"the event's attribute {name} is a {type(value).__name__}, which no attribute can be")


def set_now(target: cloud_event_pb2.CloudEventAttributeValue) -> None:
    """Writes the time of now."""
    seconds, nanos = divmod(time.time_ns(), 1_000_000_000)
    stamp = target.ce_timestamp
    stamp.seconds, stamp.nanos = seconds, nanos


def event(message: cloud_event_pb2.CloudEvent) -> Event:
    """An event as it came."""
    attributes: dict[str, Attribute] = {}
    for name, value in message.attributes.items():
        kind = value.WhichOneof("attr")
        if kind == "ce_timestamp":
            attributes[name] = value.ce_timestamp.ToDatetime(UTC)
        elif kind is not None:
            attributes[name] = getattr(value, kind)
    moment = attributes.pop("time", None)
    subject, content_type = attributes.pop("subject", ""), attributes.pop(CONTENT_TYPE, "")
    body: bytes | str | None = None
    match message.WhichOneof("data"):
        case "binary_data":
            body = message.binary_data
        case "text_data":
            body = message.text_data
        case "proto_data":
            body = message.proto_data.SerializeToString()
            content_type = content_type or "application/protobuf"
    return Event(
        id=message.id,
        source=message.source,
        type=message.type,
        subject=str(subject),
        time=moment if isinstance(moment, datetime) else _parsed(moment),
        content_type=str(content_type),
        body=body,
        attributes=attributes,
    )


def _parsed(moment: object) -> datetime | None:
    """A time that came as text, as other senders write it."""
    if not isinstance(moment, str):
        return None
    try:
        found = datetime.fromisoformat(moment)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def published(result: publish_service_pb2.PublishResult) -> Published:
    """What became of an event."""
    if result.outcome == publish_service_pb2.PublishResult.OUTCOME_STORED:
        return Published("stored", result.sequence)
    error = _error(result.error) if result.HasField("error") else None
    return Published(_OUTCOMES.get(result.outcome, "unknown"), result.sequence, error)


def _error(message: publish_service_pb2.EventError) -> OntomeshError:
    try:
        reason = error_reason_pb2.ErrorReason.Name(message.reason).removeprefix(_REASON)
    except ValueError:
        reason = ""  # One that a newer gateway has.
    violations = tuple(Violation(each.field, each.description) for each in message.violations)
    return EVENT_REASONS.get(reason, OntomeshError)(message.message, reason=reason, violations=violations)


def received(message: consume_service_pb2.StreamedEvent) -> Received:
    """An event of a stream."""
    return Received(event(message.event), message.sequence, message.store_time.ToDatetime(UTC))


def filter_message(given: Filter | None) -> subscription_pb2.Filter:
    """The message for a filter."""
    if given is None:
        return subscription_pb2.Filter()
    return subscription_pb2.Filter(
        types=given.types,
        sources=given.sources,
        subjects=given.subjects,
        attributes=[
            subscription_pb2.AttributeFilter(name=name, patterns=patterns)
            for name, patterns in given.attributes.items()
        ],
        classes=given.classes,
        databases=given.databases,
        branches=given.branches,
        operations=given.operations,
        paths=given.paths,
    )


def filter_of(message: subscription_pb2.Filter) -> Filter:
    """A filter."""
    return Filter(
        types=tuple(message.types),
        sources=tuple(message.sources),
        subjects=tuple(message.subjects),
        attributes={each.name: tuple(each.patterns) for each in message.attributes},
        classes=tuple(message.classes),
        databases=tuple(message.databases),
        branches=tuple(message.branches),
        operations=tuple(message.operations),
        paths=tuple(message.paths),
    )


def start_message(start: Start) -> subscription_pb2.StartPoint:
    """The message for a start point.

    Raises:
        ValueError: It is a time without a time zone, or a text that names no start.
    """
    if isinstance(start, datetime):
        if start.tzinfo is None:
            raise ValueError("the start is a time without a time zone")
        moment = Timestamp()
        moment.FromDatetime(start)
        return subscription_pb2.StartPoint(time=moment)
    if isinstance(start, int):
        return subscription_pb2.StartPoint(sequence=start)
    if start == "all":
        return subscription_pb2.StartPoint(all=True)
    if start == "new":
        return subscription_pb2.StartPoint(only_new=True)
    raise ValueError(f"a start is 'new', 'all', a sequence or a time, not {start!r}")


def start_of(message: subscription_pb2.StartPoint) -> Start:
    """A start point."""
    match message.WhichOneof("point"):
        case "all":
            return "all"
        case "sequence":
            return message.sequence
        case "time":
            return message.time.ToDatetime(UTC)
        case _:
            return "new"


def subscription(message: subscription_pb2.Subscription) -> Subscription:
    """A subscription."""
    by_key = message.ordering == subscription_pb2.ORDERING_BY_KEY
    records: AttemptRecords = "all" if message.attempt_records == subscription_pb2.ATTEMPT_RECORDS_ALL else "failures"
    return Subscription(
        name=message.name,
        description=message.description,
        filter=filter_of(message.filter),
        start=start_of(message.start),
        ordering="by_key" if by_key else "unordered",
        ack_deadline=message.ack_deadline.ToTimedelta(),
        max_attempts=message.max_attempts,
        max_outstanding=message.max_outstanding,
        attempt_records=records,
        labels=dict(message.labels),
        paused=message.paused,
        owner=message.owner,
        create_time=message.create_time.ToDatetime(UTC),
        update_time=message.update_time.ToDatetime(UTC),
        etag=message.etag,
    )


def subscription_status(message: subscription_service_pb2.GetSubscriptionStatusResponse) -> SubscriptionStatus:
    """How far a subscription has come."""
    return SubscriptionStatus(
        pending=message.pending,
        outstanding=message.outstanding,
        redelivering=message.redelivering,
        dead_letters=message.dead_letters,
        acknowledged_sequence=message.acknowledged_sequence,
        consumers=message.consumers,
    )


def broken(message: subscription_service_pb2.BrokenBySchema) -> BrokenBySchema:
    """What a schema change would break."""
    return BrokenBySchema(message.subscription, message.event_type, message.owner, message.field, message.missing)


def dead_letter(message: dead_letter_service_pb2.DeadLetter) -> DeadLetter:
    """A dead letter."""
    return DeadLetter(
        id=message.id,
        subscription=message.subscription,
        event=event(message.event),
        error=message.error,
        attempts=message.attempts,
        sequence=message.sequence,
        create_time=message.create_time.ToDatetime(UTC),
    )


def attempt(message: dead_letter_service_pb2.Attempt) -> Attempt:
    """What a delivery came to."""
    return Attempt(
        subscription=message.subscription,
        event_id=message.event_id,
        event_source=message.event_source,
        event_type=message.event_type,
        sequence=message.sequence,
        attempt=message.attempt,
        outcome=_ATTEMPT_OUTCOMES.get(message.outcome, "unknown"),
        error=message.error,
        consumer=message.consumer,
        start_time=message.start_time.ToDatetime(UTC),
        end_time=message.end_time.ToDatetime(UTC),
    )


def event_type(message: event_type_service_pb2.EventType) -> EventType:
    """An event type."""
    schema: str | OntologyClass | None = None
    match message.WhichOneof("schema"):
        case "json_schema":
            schema = message.json_schema
        case "ontology_class":
            of = message.ontology_class
            schema = OntologyClass(of.database, of.name, of.branch)
    return EventType(
        name=message.name,
        description=message.description,
        schema=schema,
        etag=message.etag,
        update_time=message.update_time.ToDatetime(UTC),
        author=message.author,
    )


def event_stream(message: event_type_service_pb2.GetEventStreamResponse) -> EventStream:
    """The stream's state."""
    return EventStream(
        events=message.events,
        bytes=message.bytes,
        max_bytes=message.max_bytes,
        max_age=message.max_age.ToTimedelta(),
        first_sequence=message.first_sequence,
        last_sequence=message.last_sequence,
        first_time=message.first_time.ToDatetime(UTC) if message.HasField("first_time") else None,
        deduplication_window=message.deduplication_window.ToTimedelta(),
        replicas=message.replicas,
        sync_interval=message.sync_interval,
        spool_bytes=message.spool_bytes,
        spool_events=message.spool_events,
    )


def seconds(duration: timedelta | float) -> timedelta:
    """A length of time that may be given in seconds."""
    return duration if isinstance(duration, timedelta) else timedelta(seconds=duration)
