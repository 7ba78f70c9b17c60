"""`ontomesh hooks`: what runs before a commit counts (validators), and after it (subscriptions labelled `hook`)."""

import dataclasses
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from ontomesh.cli import inputs
from ontomesh.cli.completing import complete_hook, complete_validator
from ontomesh.cli.context import Session
from ontomesh.cli.event_lines import filter_text, print_attempts, print_subscription, subscription_json
from ontomesh.cli.failures import FOUND, UsageFailure
from ontomesh.cli.hook_checks import check_of, check_text, match_text, print_validator
from ontomesh.cli.options import Scope, command, group
from ontomesh.cli.output import Part, count, note, plain

if TYPE_CHECKING:
    from ontomesh.sdk.checks import Validator
    from ontomesh.sdk.events import Subscription

app = group("hooks", "Check commits before they count, and see what runs after them.", lists=True)

AnyName = Annotated[str, typer.Argument(metavar="NAME", help="Its name.", autocompletion=complete_validator)]
AfterName = Annotated[str, typer.Argument(metavar="NAME", help="The after-hook.", autocompletion=complete_hook)]


@command(app, "list", scope=Scope.HOOKS, examples=("hooks", "hooks list --json"))
def list_(session: Session) -> None:
    """List validators by their order, then after-hooks: subscriptions with the label `hook`."""
    validators = list(session.mesh.validators.list())
    after = _after_hooks(session)
    if session.out.as_json:
        for each in validators:
            session.out.json({"kind": "validator", **_fields(each)})
        for hook in after:
            found = subscription_json(hook)
            assert isinstance(found, dict)
            session.out.json({"kind": "after", **found})
        return
    rows: list[list[Part]] = [
        [
            (each.name, "bold"),
            "before",
            ("disabled", "yellow") if each.disabled else ("active", "green"),
            check_text(each.check),
            match_text(each),
        ]
        for each in validators
    ]
    rows += [
        [
            (hook.name, "bold"),
            "after",
            ("paused", "yellow") if hook.paused else ("active", "green"),
            f"consumers of {hook.name}",
            filter_text(hook.filter),
        ]
        for hook in after
    ]
    if rows:
        session.out.table(["NAME", "WHEN", "STATE", "WHAT", "OF"], rows)
    else:
        session.out.note("no hooks; `ontomesh hooks add NAME` makes a validator")


@command(
    app,
    "add",
    scope=Scope.HOOKS,
    examples=(
        "hooks add ticket --rule message --param 'pattern=[A-Z]+-[0-9]+' --branch main",
        "hooks add prices --grpc prices.example:443 --class Product --path price --deadline 500ms",
        "hooks add audit --https https://audit.example/validate --on-failure allow",
        "hooks add names --python names --class Person",
    ),
)
def add(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name.")],
    rule: Annotated[
        str,
        typer.Option(
            "--rule",
            metavar="RULE",
            help="A rule of the kernel's: message, metadata, max_changes, no_deletes, append_only, immutable.",
        ),
    ] = "",
    python: Annotated[
        str, typer.Option("--python", metavar="ENTRY_POINT", help="A function installed with the kernel.")
    ] = "",
    grpc: Annotated[str, typer.Option("--grpc", metavar="HOST:PORT", help="A `CommitValidator` service.")] = "",
    plaintext: Annotated[bool, typer.Option("--plaintext", help="Speak to it without TLS.")] = False,
    https: Annotated[str, typer.Option("--https", metavar="URL", help="An endpoint that takes POST of JSON.")] = "",
    param: Annotated[
        list[str] | None, typer.Option("--param", metavar="NAME=VALUE", help="For --rule, --python. May be repeated.")
    ] = None,
    databases: Annotated[list[str] | None, typer.Option("--db", "-D", metavar="PATTERN", help="Databases.")] = None,
    branches: Annotated[list[str] | None, typer.Option("--branch", "-b", metavar="PATTERN", help="Branches.")] = None,
    classes: Annotated[
        list[str] | None, typer.Option("--class", "-c", metavar="CLASS", help="Documents of it or its subclasses.")
    ] = None,
    paths: Annotated[list[str] | None, typer.Option("--path", metavar="PATH", help="Changes of these only.")] = None,
    deadline: Annotated[
        str, typer.Option("--deadline", metavar="TIME", help="How long it may take: 500ms, 2s; at most 30s.")
    ] = "",
    order: Annotated[int, typer.Option("--order", metavar="N", help="Where its objections stand.")] = 0,
    on_failure: Annotated[
        str, typer.Option("--on-failure", metavar="reject|allow", help="What its silence means for a commit.")
    ] = "reject",
    description: Annotated[str, typer.Option("--description", metavar="TEXT", help="What it is for.")] = "",
    disabled: Annotated[bool, typer.Option("--disabled", help="Leave it out for now.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Replace the one of this name.")] = False,
) -> None:
    """Add a validator: commits that it objects to are refused. For after-hooks see `events subscriptions create --hook`."""
    from ontomesh.sdk.checks import Validator
    from ontomesh.sdk.errors import NotFound

    if on_failure not in ("reject", "allow"):
        raise UsageFailure(f"--on-failure {on_failure}: expected reject or allow")
    check = check_of(
        rule=rule,
        python=python,
        grpc=grpc,
        https=https,
        plaintext=plaintext,
        parameters=inputs.pairs(param or [], "--param"),
    )
    validators = session.mesh.validators
    if not replace:
        try:
            validators.get(name)
        except NotFound:
            pass
        else:
            raise UsageFailure(f"there is a validator {name}", hint="--replace replaces it")
    made = validators.put(
        Validator(
            name,
            check,
            description,
            databases=tuple(databases or ()),
            branches=tuple(branches or ()),
            classes=tuple(classes or ()),
            paths=tuple(paths or ()),
            deadline=_seconds(deadline) if deadline else None,
            order=order,
            on_failure="allow" if on_failure == "allow" else "reject",
            disabled=disabled,
        )
    )
    if session.out.as_json:
        session.out.json(_fields(made))
    else:
        session.out.line("added validator ", (made.name, "bold"), f": {check_text(made.check)}, for {match_text(made)}")


@command(app, "show", scope=Scope.HOOKS, examples=("hooks show ticket", "hooks show notify"))
def show(session: Session, name: AnyName) -> None:
    """Show a validator and how it fares, or an after-hook."""
    from ontomesh.sdk.errors import NotFound

    try:
        status = session.mesh.validators.get(name)
    except NotFound:
        if (hook := _after_hook(session, name)) is None:
            raise
        print_subscription(session.out, hook, session.mesh.events.subscription_status(name))
        return
    if session.out.as_json:
        fields = {each: getattr(status, each) for each in ("calls", "rejections", "failures", "circuit_open")}
        session.out.json({**_fields(status.validator), **fields})
    else:
        print_validator(session.out, status)


@command(app, "rm", scope=Scope.HOOKS, examples=("hooks rm ticket",))
def rm(session: Session, name: AnyName) -> None:
    """Delete a validator; from then on commits count without it."""
    with _only_validators(session, name, f"ontomesh events subscriptions delete {name}"):
        session.mesh.validators.delete(name)
    _told(session, "deleted", name)


@command(app, "enable", scope=Scope.HOOKS, examples=("hooks enable ticket",))
def enable(session: Session, name: AnyName) -> None:
    """Let a validator that is disabled check commits again."""
    _switch(session, name, disabled=False)


@command(app, "disable", scope=Scope.HOOKS, examples=("hooks disable ticket",))
def disable(session: Session, name: AnyName) -> None:
    """Leave a validator out; commits count without it."""
    _switch(session, name, disabled=True)


@command(
    app,
    "runs",
    scope=Scope.HOOKS,
    pages=True,
    examples=("hooks runs notify", "hooks runs notify --event catalog/main/81399eee1d03/Package/numpy"),
)
def runs(
    session: Session,
    name: AfterName,
    event: Annotated[str, typer.Option("--event", metavar="ID", help="Only those of this event.")] = "",
    number: Annotated[int, typer.Option("-n", "--number", min=0, metavar="N", help="At most so many; 0: all.")] = 50,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit with 1 if any of them failed.")] = False,
) -> None:
    """List the runs of an after-hook, newest first: those that failed, or all with `--record-all`."""
    found = list(itertools.islice(session.mesh.events.attempts(name, event_id=event), number or None))
    if found or session.out.as_json:
        print_attempts(session.out, found)
    else:
        session.out.note("no runs are kept; those that succeed are with `--record-all` alone")
    if exit_code and any(each.outcome in ("nak", "expired", "dead_lettered") for each in found):
        raise typer.Exit(FOUND)


@command(app, "redrive", scope=Scope.HOOKS, examples=("hooks redrive notify", "hooks redrive notify --id 7"))
def redrive(
    session: Session,
    name: AfterName,
    id: Annotated[
        list[str] | None, typer.Option("--id", metavar="ID", help="Only this dead letter. May be repeated.")
    ] = None,
) -> None:
    """Run an after-hook again for the events that it failed for good: all of them, or some."""
    number = session.mesh.events.redrive(name, id or ())
    if session.out.as_json:
        session.out.json({"redriven": number})
    else:
        session.out.line(f"{count(number, 'event')} redriven to ", (name, "bold"))


def _after_hooks(session: Session) -> list["Subscription"]:
    """After-hooks; none, with a note, where no gateway answers: validators need none."""
    from ontomesh.sdk.errors import CircuitOpen, ConfigurationError, ConnectionFailed

    try:
        return [each for each in session.mesh.events.subscriptions() if "hook" in each.labels]
    except (ConnectionFailed, CircuitOpen, ConfigurationError) as error:
        note(("note: ", "bold yellow"), f"after-hooks are not listed: {error.message}")
        return []


def _after_hook(session: Session, name: str) -> "Subscription | None":
    return next((each for each in _after_hooks(session) if each.name == name), None)


@contextmanager
def _only_validators(session: Session, name: str, instead: str) -> Iterator[None]:
    """Where an after-hook was meant, says what does that to one."""
    from ontomesh.sdk.errors import NotFound

    try:
        yield
    except NotFound:
        if _after_hook(session, name) is None:
            raise
        raise UsageFailure(f"{name} is an after-hook, no validator", hint=f"`{instead}`") from None


def _switch(session: Session, name: str, *, disabled: bool) -> None:
    validators = session.mesh.validators
    with _only_validators(session, name, f"ontomesh events subscriptions {'pause' if disabled else 'resume'} {name}"):
        found = validators.get(name).validator
    validators.put(dataclasses.replace(found, disabled=disabled))
    _told(session, "disabled" if disabled else "enabled", name)


def _fields(validator: "Validator") -> dict[str, object]:
    fields = plain(validator)
    assert isinstance(fields, dict)
    return {**fields, "check": {"kind": check_text(validator.check).partition(" ")[0], **fields["check"]}}


def _seconds(text: str) -> float:
    if text.endswith("ms") and text[:-2].strip().isdecimal():
        return int(text[:-2]) / 1000
    return float(inputs.duration(text))


def _told(session: Session, what: str, name: str) -> None:
    if session.out.as_json:
        session.out.json({what: name})
    else:
        session.out.line(f"{what} validator ", (name, "bold"))
