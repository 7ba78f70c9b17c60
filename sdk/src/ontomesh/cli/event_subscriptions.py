"""`ontomesh events subscriptions`: who gets which events."""

from typing import Annotated

import typer

from ontomesh.cli import event_inputs, inputs
from ontomesh.cli.completing import complete_subscription
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
from ontomesh.cli.event_lines import filter_text, print_subscription, subscription_json
from ontomesh.cli.events import app as events_app
from ontomesh.cli.options import Scope, Yes, command, confirm_deletion, group
from ontomesh.cli.output import local_time

app = group("subscriptions", "List, create, show, pause, resume and delete subscriptions.", lists=True)
events_app.add_typer(app)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Its name.", autocompletion=complete_subscription)]


@command(
    app,
    "list",
    scope=Scope.EVENTS,
    examples=("events subscriptions", "events subscriptions list --label hook --json"),
)
def list_(
    session: Session,
    label: Annotated[
        list[str] | None, typer.Option("--label", metavar="NAME[=VALUE]", help="Only those with it. May be repeated.")
    ] = None,
) -> None:
    """List the subscriptions that you may consume from."""
    wanted = [text.partition("=") for text in label or ()]
    found = [
        each
        for each in session.mesh.events.subscriptions()
        if all(name in each.labels and (not equals or each.labels[name] == value) for name, equals, value in wanted)
    ]
    if session.out.as_json:
        for each in found:
            session.out.json(subscription_json(each))
    elif found:
        session.out.table(
            ["NAME", "STATE", "ORDER", "OWNER", "CREATED", "FILTER"],
            [
                [
                    (each.name, "bold"),
                    ("paused", "yellow") if each.paused else ("active", "green"),
                    each.ordering.replace("_", " "),
                    each.owner,
                    local_time(each.create_time),
                    filter_text(each.filter),
                ]
                for each in found
            ],
        )
    else:
        session.out.note("no subscriptions; `ontomesh events subscriptions create NAME` makes one")


@command(
    app,
    "create",
    scope=Scope.EVENTS,
    examples=(
        "events subscriptions create billing --type 'orders.*' --by-key",
        "events subscriptions create reindex --class Package --branch main --start all",
        "events subscriptions create notify --class Incident --operation insert --hook",
    ),
)
def create(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name.")],
    types: Types = None,
    classes: Classes = None,
    branches: Branches = None,
    databases: Databases = None,
    subjects: Subjects = None,
    sources: Sources = None,
    operations: Operations = None,
    paths: Paths = None,
    attributes: AttributePatterns = None,
    start: Annotated[
        str, typer.Option("--start", metavar="new|all|N|TIME", help="Where it begins: a sequence, or so long ago.")
    ] = "new",
    by_key: Annotated[bool, typer.Option("--by-key", help="Keep the order of events of one key.")] = False,
    ack_deadline: Annotated[
        str, typer.Option("--ack-deadline", metavar="TIME", help="How long a consumer may take: 30s, 5m.")
    ] = "",
    max_attempts: Annotated[
        int,
        typer.Option(
            "--max-attempts", metavar="N", min=0, show_default=False, help="Tries before it is a dead letter; else 10."
        ),
    ] = 0,
    max_outstanding: Annotated[
        int,
        typer.Option("--max-outstanding", metavar="N", min=0, show_default=False, help="How many at once; else 1,000."),
    ] = 0,
    record_all: Annotated[bool, typer.Option("--record-all", help="Keep attempts that succeed, too.")] = False,
    description: Annotated[str, typer.Option("--description", metavar="TEXT", help="What it is for.")] = "",
    label: Annotated[
        list[str] | None, typer.Option("--label", metavar="NAME=VALUE", help="A label. May be repeated.")
    ] = None,
    hook: Annotated[bool, typer.Option("--hook", help="It is an after-hook: `ontomesh hooks` lists it.")] = False,
) -> None:
    """Create a subscription; its events wait for consumers from now on.

    Consumers attach by the SDK: `mesh.events.consume(NAME, handler)`.
    """
    labels = inputs.pairs(label or [], "--label") | ({"hook": "after"} if hook else {})
    found = session.mesh.events.create_subscription(
        name,
        event_inputs.filter_of(
            types=types,
            classes=classes,
            databases=databases,
            branches=branches,
            subjects=subjects,
            sources=sources,
            operations=operations,
            paths=paths,
            attributes=attributes,
        ),
        start=event_inputs.start_of(start),
        ordering="by_key" if by_key else "unordered",
        description=description,
        ack_deadline=inputs.duration(ack_deadline) if ack_deadline else None,
        max_attempts=max_attempts,
        max_outstanding=max_outstanding,
        attempt_records="all" if record_all else "failures",
        labels=labels,
    )
    if session.out.as_json:
        session.out.json(subscription_json(found))
    else:
        session.out.line("created subscription ", (found.name, "bold"), f" to {filter_text(found.filter)}")


@command(app, "show", scope=Scope.EVENTS, examples=("events subscriptions show billing",))
def show(session: Session, name: Name) -> None:
    """Show a subscription and how far it has come."""
    events = session.mesh.events
    print_subscription(session.out, events.subscription(name), events.subscription_status(name))


@command(app, "pause", scope=Scope.EVENTS, examples=("events subscriptions pause billing",))
def pause(session: Session, name: Name) -> None:
    """Stop a subscription's deliveries; its events wait."""
    _told(session, "paused", session.mesh.events.pause(name).name)


@command(app, "resume", scope=Scope.EVENTS, examples=("events subscriptions resume billing",))
def resume(session: Session, name: Name) -> None:
    """Let a paused subscription go on."""
    _told(session, "resumed", session.mesh.events.resume(name).name)


@command(app, "delete", scope=Scope.EVENTS, examples=("events subscriptions delete billing --yes",))
def delete(
    session: Session,
    name: Name,
    yes: Yes = False,
    etag: Annotated[str, typer.Option("--etag", metavar="ETAG", help="Only if this is its etag.")] = "",
) -> None:
    """Delete a subscription with its position, its dead letters and its attempts. Asks first."""
    confirm_deletion(session, name, f"Delete subscription {name} with its dead letters, for good?", yes=yes)
    session.mesh.events.delete_subscription(name, etag=etag)
    _told(session, "deleted", name)


def _told(session: Session, what: str, name: str) -> None:
    if session.out.as_json:
        session.out.json({what: name})
    else:
        session.out.line(f"{what} subscription ", (name, "bold"))
