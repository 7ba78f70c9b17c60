"""`ontomesh events`: publishing events, following the stream, and what could not be delivered."""

import itertools
from collections import deque
from typing import TYPE_CHECKING, Annotated

import typer

from ontomesh.cli import event_inputs, inputs
from ontomesh.cli.completing import complete_event_type, complete_subscription
from ontomesh.cli.context import Session
from ontomesh.cli.event_inputs import (
    AttributePatterns,
    Branches,
    Classes,
    Databases,
    Operations,
    Paths,
    Sources,
    Subjects,
    Types,
)
from ontomesh.cli.event_lines import duration_text, print_dead_letters, print_received, size_text
from ontomesh.cli.failures import UsageFailure
from ontomesh.cli.options import Scope, command, group
from ontomesh.cli.output import count, local_time, plain

if TYPE_CHECKING:
    from concurrent.futures import Future

    from ontomesh.sdk.events import Published, Start

app = group("events", "Publish events, follow them, and manage who gets them.")

Subscription = Annotated[
    str, typer.Argument(metavar="SUBSCRIPTION", help="Its name.", autocompletion=complete_subscription)
]


@command(
    app,
    "publish",
    scope=Scope.EVENTS,
    examples=(
        """events publish orders.placed '{"order": 7}'""",
        "events publish orders.placed @order.json --subject orders/7 --id order-7",
        "events publish note 'by hand' --content-type text/plain",
        "events publish orders.placed --ndjson orders.ndjson",
    ),
)
def publish(
    session: Session,
    type: Annotated[
        str, typer.Argument(metavar="[TYPE]", help="The event's type.", autocompletion=complete_event_type)
    ] = "",
    data: Annotated[
        str | None, typer.Argument(metavar="[DATA|-|@FILE]", help="Its data: JSON unless --content-type says else.")
    ] = None,
    source: Annotated[str, typer.Option("--source", metavar="URI", help="Where it happened.")] = "",
    subject: Annotated[str, typer.Option("--subject", metavar="TEXT", help="What it is about.")] = "",
    id: Annotated[str, typer.Option("--id", metavar="ID", help="Its id; else a random one.")] = "",
    attr: Annotated[
        list[str] | None, typer.Option("--attr", metavar="NAME=VALUE", help="A further attribute. May be repeated.")
    ] = None,
    content_type: Annotated[str, typer.Option("--content-type", metavar="TYPE", help="What the data are.")] = "",
    ndjson: Annotated[
        str,
        typer.Option(
            "--ndjson", metavar="FILE|-", help="Many: a CloudEvent in JSON a line or, with TYPE, an event's data."
        ),
    ] = "",
    stored: Annotated[
        bool, typer.Option("--stored", help="Fail rather than leave it in the gateway's spool while NATS is away.")
    ] = False,
) -> None:
    """Publish an event, or a file of them; done when the gateway has made it durable.

    The same source and id again within two minutes is a duplicate, and counts once.
    """
    from ontomesh.sdk.events import Event

    attributes = inputs.pairs(attr or [], "--attr")
    if ndjson:
        if data is not None or id or content_type:
            raise UsageFailure("--ndjson takes the data from the file", hint="leave DATA, --id and --content-type away")
        _publish_many(session, ndjson, type, source=source, subject=subject, attributes=attributes, stored=stored)
        return
    if not type:
        raise UsageFailure("which type?", hint="`ontomesh events publish TYPE [DATA]`")
    body = event_inputs.data_of(data, content_type)
    kind = content_type or ("application/json" if body is not None else "")
    event = Event.of(type, body, source=source, id=id, subject=subject, content_type=kind, attributes={**attributes})
    (result,) = session.mesh.events.publish(event, require_stored=stored)
    if session.out.as_json:
        session.out.json({"id": event.id, "outcome": result.outcome, "sequence": result.sequence})
    else:
        place = f" as {result.sequence:,}" if result.outcome == "stored" else ""
        session.out.line(result.outcome, f"{place}: ", (event.id, "yellow"))


def _publish_many(
    session: Session,
    file: str,
    type: str,
    *,
    source: str,
    subject: str,
    attributes: dict[str, str],
    stored: bool,
) -> None:
    from ontomesh.sdk.errors import OntomeshError

    outcomes: dict[str, int] = {}
    first: OntomeshError | None = None
    # Of a file of any length, as many events are here as the publisher has under way.
    under_way: deque[tuple[str, Future[Published]]] = deque()

    def settle(id: str, future: "Future[Published]") -> None:
        nonlocal first
        try:
            outcome = future.result().outcome
        except OntomeshError as error:
            outcome, first = "refused", first or error
            if session.out.as_json:
                session.out.json({"id": id, "outcome": outcome, "reason": error.reason, "message": error.message})
        outcomes[outcome] = outcomes.get(outcome, 0) + 1

    def tell() -> None:
        for each in under_way:
            settle(*each)
        total = sum(outcomes.values())
        if session.out.as_json:
            session.out.json({"events": total, **outcomes})
        else:
            told = ", ".join(f"{number:,} {outcome.replace('_', ' ')}" for outcome, number in outcomes.items())
            session.out.line(f"{count(total, 'event')}: {told}" if total else "no events")
        session.out.flush()

    try:
        with session.mesh.events.publisher(require_stored=stored) as publisher:
            for event in event_inputs.events_of(file, type, source=source, subject=subject, attributes=attributes):
                under_way.append((event.id, publisher.publish_async(event)))
                while under_way[0][1].done():
                    settle(*under_way.popleft())
                    if not under_way:
                        break
    except UsageFailure:
        # What was published before a line that is no event is told, too.
        tell()
        raise
    tell()
    if first is not None:
        raise first


@command(
    app,
    "tail",
    scope=Scope.EVENTS,
    examples=(
        "events tail",
        "events tail --class Package --branch main",
        "events tail --type 'orders.*' --since 10m --json",
        "events tail --all -n 20",
    ),
)
def tail(
    session: Session,
    types: Types = None,
    classes: Classes = None,
    branches: Branches = None,
    databases: Databases = None,
    subjects: Subjects = None,
    sources: Sources = None,
    operations: Operations = None,
    paths: Paths = None,
    attributes: AttributePatterns = None,
    since: Annotated[str, typer.Option("--since", metavar="TIME", help="Begin so long ago, or at a time.")] = "",
    sequence: Annotated[
        int | None, typer.Option("--from-sequence", metavar="N", min=1, help="Begin with this event of the stream.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Begin with the oldest event there is.")] = False,
    number: Annotated[int, typer.Option("-n", "--number", min=0, metavar="N", help="End after so many; 0: never.")] = 0,
) -> None:
    """Show events as they happen, until Ctrl-C: those to come, or from a point of the stream on.

    For documents it tells what happened to which, where, and which properties a replacement changed. It waits for a
    gateway that goes away, and goes on where it was.
    """
    if sum((bool(since), sequence is not None, everything)) > 1:
        raise UsageFailure("--since, --from-sequence and --all exclude each other")
    start: Start = "new"
    if since:
        start = inputs.moment(since)
    elif sequence is not None:
        start = sequence
    elif everything:
        start = "all"
    wanted = event_inputs.filter_of(
        types=types,
        classes=classes,
        databases=databases,
        branches=branches,
        subjects=subjects,
        sources=sources,
        operations=operations,
        paths=paths,
        attributes=attributes,
    )
    events = session.mesh.events
    # A gateway that is away now is told at once; one that goes away later is waited for.
    last = events.stream().last_sequence
    received = events.subscribe(wanted, start=last + 1 if start == "new" else start)
    for each in itertools.islice(received, number or None):
        print_received(session.out, each)
        session.out.flush()


@command(
    app,
    "replay",
    scope=Scope.EVENTS,
    examples=(
        "events replay billing --from all",
        "events replay billing --from 2h",
        "events replay billing --from 4711",
    ),
)
def replay(
    session: Session,
    subscription: Subscription,
    start: Annotated[
        str,
        typer.Option("--from", metavar="all|new|N|TIME", help="Where to go on: a sequence, a time, or so long ago."),
    ],
) -> None:
    """Move a subscription to another point of the stream, back or forth; its events from there on are delivered."""
    point = event_inputs.start_of(start)
    found = session.mesh.events.replay(subscription, point)
    if session.out.as_json:
        session.out.json({"subscription": found.name, "from": plain(point)})
    else:
        session.out.line("replaying ", (found.name, "bold"), f" from {event_inputs.start_text(point)}")


@command(
    app,
    "dead-letters",
    scope=Scope.EVENTS,
    pages=True,
    examples=(
        "events dead-letters billing",
        "events dead-letters billing --redrive-all",
        "events dead-letters @publish",
    ),
)
def dead_letters(
    session: Session,
    subscription: Subscription,
    redrive: Annotated[
        list[str] | None, typer.Option("--redrive", metavar="ID", help="Deliver it again. May be repeated.")
    ] = None,
    redrive_all: Annotated[bool, typer.Option("--redrive-all", help="Deliver all of them again.")] = False,
    delete: Annotated[
        list[str] | None, typer.Option("--delete", metavar="ID", help="Delete it for good. May be repeated.")
    ] = None,
) -> None:
    """List the events that a subscription could not deliver, oldest first, with the reason; deliver or delete some.

    Those of `@publish` were refused when they were published.
    """
    if sum((bool(redrive), redrive_all, bool(delete))) > 1:
        raise UsageFailure("--redrive, --redrive-all and --delete exclude each other")
    events, out = session.mesh.events, session.out
    if redrive or redrive_all:
        number = events.redrive(subscription, redrive or ())
        out.json({"redriven": number}) if out.as_json else out.line(f"{count(number, 'dead letter')} redriven")
    elif delete:
        number = events.delete_dead_letters(subscription, delete)
        out.json({"deleted": number}) if out.as_json else out.line(f"{count(number, 'dead letter')} deleted")
    else:
        found = list(events.dead_letters(subscription))
        if found or out.as_json:
            print_dead_letters(out, found)
        else:
            out.note("no dead letters")


@command(app, "status", scope=Scope.EVENTS, examples=("events status", "events status --json"))
def status(session: Session) -> None:
    """Show how full the stream of events is, how long it keeps them, how durably, and what waits in the spool."""
    stream, out = session.mesh.events.stream(), session.out
    address = session.mesh.events_address
    if out.as_json:
        fields = plain(stream)
        assert isinstance(fields, dict)
        lengths = {"max_age": stream.max_age, "deduplication_window": stream.deduplication_window}
        seconds = {name: length.total_seconds() for name, length in lengths.items()}
        out.json({"address": address, **fields, **seconds})
        return
    share = stream.bytes / stream.max_bytes if stream.max_bytes > 0 else 0.0
    style = "bold red" if share >= 0.8 else "green"
    out.line("gateway     ", (address, "bold"))
    out.line("events      ", f"{stream.events:,}, {stream.first_sequence:,} to {stream.last_sequence:,}")
    out.line("fill        ", (f"{share:.1%}", style), f" of {size_text(stream.max_bytes)}; publishing stops when full")
    out.line("kept        ", duration_text(stream.max_age))
    if stream.first_time is not None:
        out.line("oldest      ", local_time(stream.first_time))
    nodes = "one node" if stream.replicas == 1 else f"{stream.replicas} nodes"
    interval = stream.sync_interval
    synced = f", synced {interval if interval == 'always' else f'every {interval}'}" if interval else ""
    out.line("durable     ", f"on {nodes}{synced}")
    out.line("duplicates  ", f"known for {duration_text(stream.deduplication_window)}")
    waiting = (f"{count(stream.spool_events, 'event')}, {size_text(stream.spool_bytes)}", "bold yellow")
    out.line("spool       ", waiting if stream.spool_events else "empty")
