"""`ontomesh status`: where the command leads, who you are there, and what you find."""

import typer

from ontomesh.cli.context import Session
from ontomesh.cli.failures import UNREACHABLE, UsageFailure
from ontomesh.cli.options import Scope, command
from ontomesh.cli.output import Part, local_time, plain, short
from ontomesh.cli.tokens import current_claims, is_expired, principal_of, remaining

app = typer.Typer()

_PATIENCE_SECONDS = 5.0
_SERVING = "serving"


@command(app, "status", scope=Scope.STATUS, examples=("status", "status --db catalog --json"))
def status(session: Session) -> None:
    """Show the kernel and the event gateway, their health, who you are, the databases, and the branches of the chosen one."""
    out = session.out
    try:
        claims, source = current_claims()
        problem = "" if claims else f"no token in {source}"
    except UsageFailure as failure:
        claims, problem = None, failure.message
    address, healthy = session.mesh.address, session.mesh.health()
    if not out.as_json:
        out.line("address    ", (address, "bold"))
        out.line("health     ", ("serving", "green") if healthy else ("not reachable, or not serving", "bold red"))
        who: list[Part] = [(problem, "bold red")]
        if claims is not None:
            left = "  its token has expired" if is_expired(claims) else f"  its token expires {remaining(claims)}"
            who = [principal_of(claims), (left, "bold red" if is_expired(claims) else "dim")]
        out.line("you are    ", *who)
    events_address = session.mesh.events_address
    events_state = _state_of_events(session) if events_address else None
    if events_state and not out.as_json:
        style = "green" if events_state == _SERVING else "bold red"
        out.line("events     ", (events_address, "bold"), "  ", (events_state, style))
    identity = {
        "principal": principal_of(claims) if claims else None,
        "expires": claims.get("exp") if claims else None,
        "events_address": events_address,
        "events": events_state,
    }
    if not healthy:
        if out.as_json:
            out.json({"address": address, "healthy": False, **identity})
        out.flush()
        raise UsageFailure(
            f"no kernel serves at {address}",
            hint="`make up` or `ontomesh up` starts it here; --address or ONTOMESH_ADDRESS names one elsewhere",
            reason="UNREACHABLE",
            exit_code=UNREACHABLE,
        )
    names = [database.name for database in session.mesh.databases.list()]
    chosen = session.options.database or (names[0] if len(names) == 1 else None)
    branches = list(session.mesh.database(chosen).branches()) if chosen else []
    if out.as_json:
        fields = {"databases": names, "database": chosen, "branches": [plain(branch) for branch in branches]}
        out.json({"address": address, "healthy": True, **identity, **fields})
        return
    listed = [(f"*{name}" if name == chosen and len(names) > 1 else name) for name in names]
    out.line("databases  ", ", ".join(listed) or "none that you may read; `ontomesh db create NAME` makes one")
    if chosen:
        out.line()
        heading = ["BRANCH", "HEAD", "CHANGED"]
        out.table(
            heading,
            [[(item.name, "green"), (short(item.head), "yellow"), local_time(item.update_time)] for item in branches],
        )


def _state_of_events(session: Session) -> str:
    """Whether the event gateway serves."""
    from ontomesh.sdk.errors import BrokerUnavailable, CircuitOpen, ConnectionFailed, DeadlineExceeded, OntomeshError

    try:
        session.mesh.events.stream(timeout=_PATIENCE_SECONDS)
    except BrokerUnavailable:
        return "serving, while NATS is away"
    except (ConnectionFailed, CircuitOpen, DeadlineExceeded):
        return "not reachable, or not serving"
    except OntomeshError as error:
        return error.message
    return _SERVING
