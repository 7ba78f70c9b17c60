"""How events, subscriptions, dead letters and attempts look to people, and as JSON."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ontomesh.cli.event_inputs import start_text
from ontomesh.cli.output import Output, Part, compact, count, local_time, plain

if TYPE_CHECKING:
    from ontomesh.sdk.events import Attempt, DeadLetter, Event, Filter, Received, Subscription, SubscriptionStatus

_STYLES = {"insert": "green", "replace": "yellow", "delete": "red"}
_OUTCOMES = {
    "acknowledged": "green",
    "nak": "yellow",
    "expired": "yellow",
    "dead_lettered": "bold red",
    "redriven": "cyan",
}
_MAX_DATA = 120


def print_received(out: Output, received: "Received") -> None:
    """An event of the stream: a line for people, or one JSON object."""
    if out.as_json:
        out.json(
            {"sequence": received.sequence, "store_time": received.store_time, "event": event_json(received.event)}
        )
    else:
        out.line(*event_line(received.event, received.store_time))


def event_line(event: "Event", moment: datetime) -> list[Part]:
    """An event on one line: when, what happened to which document where and what of it, or its type and data."""
    when: Part = (moment.astimezone().strftime("%H:%M:%S"), "dim")
    if not event.operation:
        subject = f" {event.subject}" if event.subject else ""
        return [when, "  ", (event.type, "bold"), subject, "  ", (_shortened(event), "dim")]
    place = f"{event.database}/{event.branch}"
    parts: list[Part] = [
        when,
        "  ",
        (event.operation.ljust(7), _STYLES.get(event.operation, "")),
        "  ",
        (event.subject, "bold"),
    ]
    if event.document_class and event.subject.partition("/")[0] != event.document_class:
        parts.append(f" ({event.document_class})")
    parts += ["  ", (place, "cyan")]
    if event.operation == "replace":
        parts += ["  ", ", ".join(event.changed)]
    return [*parts, ("  " + event.author if event.author else "", "dim")]


def event_json(event: "Event") -> object:
    """An event in the JSON format of CloudEvents."""
    from ontomesh.sdk.decoding import decode
    from ontomesh.sdk.events.structured import to_json

    return decode(to_json(event))


def filter_text(given: "Filter") -> str:
    """A filter on one line."""
    parts = [
        f"{name.rstrip('s') if name != 'classes' else 'class'} {', '.join(getattr(given, name))}"
        for name in ("types", "sources", "subjects", "classes", "databases", "branches", "operations", "paths")
        if getattr(given, name)
    ]
    parts += [f"{name} {', '.join(patterns)}" for name, patterns in given.attributes.items()]
    return "; ".join(part.replace("branche ", "branch ") for part in parts) or "every event"


def print_subscription(out: Output, found: "Subscription", status: "SubscriptionStatus") -> None:
    """A subscription with all that is known of it, and how far it has come."""
    if out.as_json:
        fields = subscription_json(found)
        assert isinstance(fields, dict)
        out.json({**fields, "status": status})
        return
    out.line("subscription  ", (found.name, "bold"), ("  paused" if found.paused else "", "bold yellow"))
    if found.description:
        out.line("description   ", found.description)
    out.line("filter        ", filter_text(found.filter))
    out.line("start         ", start_text(found.start))
    out.line("ordering      ", found.ordering.replace("_", " "))
    attempts = f"{count(found.max_attempts, 'attempt')} of at most {duration_text(found.ack_deadline)}"
    out.line("tries         ", f"{attempts}, {found.max_outstanding:,} at once")
    out.line("records       ", found.attempt_records)
    for name, value in sorted(found.labels.items()):
        out.line("label         ", f"{name}={value}" if value else name)
    out.line("owner         ", found.owner)
    out.line("created       ", local_time(found.create_time))
    out.line("etag          ", found.etag)
    out.line("waiting       ", f"{status.pending:,} at most")
    again = f", {status.redelivering:,} of them again" if status.redelivering else ""
    out.line("outstanding   ", f"{status.outstanding:,}{again}")
    out.line("dead letters  ", (f"{status.dead_letters:,}", "bold red" if status.dead_letters else ""))
    out.line("done up to    ", f"{status.acknowledged_sequence:,}")
    out.line("consumers     ", f"{status.consumers:,} at the replica asked")


def subscription_json(found: "Subscription") -> object:
    """A subscription as JSON."""
    fields = plain(found)
    assert isinstance(fields, dict)
    return {**fields, "ack_deadline": found.ack_deadline.total_seconds()}


def print_dead_letters(out: Output, letters: Sequence["DeadLetter"]) -> None:
    """Dead letters as a table, or as JSON."""
    if out.as_json:
        for each in letters:
            fields = {name: getattr(each, name) for name in ("id", "subscription", "error", "attempts", "sequence")}
            out.json({**fields, "create_time": each.create_time, "event": event_json(each.event)})
        return
    out.table(
        ["ID", "SINCE", "TRIES", "TYPE", "EVENT", "ERROR"],
        [
            [
                (each.id, "yellow"),
                local_time(each.create_time),
                str(each.attempts),
                each.event.type,
                each.event.id,
                (each.error, "red"),
            ]
            for each in letters
        ],
    )


def print_attempts(out: Output, attempts: Sequence["Attempt"]) -> None:
    """Attempts as a table, or as JSON."""
    if out.as_json:
        for each in attempts:
            out.json(each)
        return
    out.table(
        ["ENDED", "OUTCOME", "TRY", "TOOK", "TYPE", "EVENT", "ERROR"],
        [
            [
                local_time(each.end_time),
                (each.outcome.replace("_", " "), _OUTCOMES.get(each.outcome, "")),
                str(each.attempt),
                _length(each.end_time - each.start_time),
                each.event_type,
                each.event_id,
                (each.error, "red"),
            ]
            for each in attempts
        ],
    )


def duration_text(length: timedelta) -> str:
    """A length of time for people: `7 days`, `2 minutes`, `30 s`."""
    seconds = length.total_seconds()
    for size, noun in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size and seconds % size == 0:
            return count(int(seconds // size), noun)
    return f"{seconds:g} s"


def size_text(size: int) -> str:
    """A number of bytes for people."""
    amount = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024 or unit == "GiB":
            return f"{amount:.0f} {unit}" if unit == "B" or amount == int(amount) else f"{amount:.1f} {unit}"
        amount /= 1024
    return ""


def _length(length: timedelta) -> str:
    seconds = length.total_seconds()
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _shortened(event: "Event") -> str:
    if event.body is None:
        return ""
    try:
        data = event.data
    except ValueError:
        data = event.body
    if isinstance(data, bytes):
        return count(len(data), "byte")
    text = data if isinstance(data, str) else compact(data)
    return text if len(text) <= _MAX_DATA else text[: _MAX_DATA - 3] + "..."
