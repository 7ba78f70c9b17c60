"""What a change of the ontology would break beside documents: subscriptions and types of events."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ontomesh.cli.context import Session
from ontomesh.cli.lost import lost
from ontomesh.cli.output import count

if TYPE_CHECKING:
    from ontomesh.sdk.resources import OntologyCheck

SECONDS = 5.0
"""How long the event gateway may take: it is beside the point of most checks."""


def show_broken(session: Session, ref: str, page: "OntologyCheck") -> bool:
    """Prints what names classes and properties that the change would take away; whether anything does.

    The event gateway is asked only where something would be gone, and what cannot be asked is said.
    """
    from ontomesh.sdk.errors import OntomeshError

    if not page.ontology.digest:
        return False
    before = session.database.ontology(f"commit:{page.commit}" if page.commit else ref).schema
    classes, properties = lost(before, page.ontology.schema)
    if not classes and not properties:
        return False
    branch = session.database.resolve(ref).branch
    if not branch:
        session.out.note(f"{ref} is no branch: which subscriptions would break was not asked")
        return False
    try:
        broken = session.mesh.events.check_schema_change(
            session.database_name, branch, classes, properties, timeout=SECONDS
        )
    except OntomeshError as fault:
        address = session.mesh.events_address
        session.out.note(f"the event gateway at {address} could not say which subscriptions would break: {fault}")
        return False
    _print(session, broken)
    return bool(broken)


def _print(session: Session, broken: Sequence[Any]) -> None:
    out = session.out
    for one in broken:
        if out.as_json:
            out.json(one)
            continue
        what = f"subscription {one.subscription}" if one.subscription else f"event type {one.event_type}"
        out.line(("! ", "red"), (what, "bold"), f" of {one.owner} {one.field}: {one.missing} would be gone")
    if not out.as_json:
        names = len({(one.subscription, one.event_type) for one in broken})
        words = (f"{count(names, 'subscription or event type')} would break", "red")
        out.line(words if broken else ("no subscription and no event type would break", "green"))
