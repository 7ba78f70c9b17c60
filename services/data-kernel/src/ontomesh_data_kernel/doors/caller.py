"""The domain's caller, of the call that is being served."""

from ontomesh_chassis import audit
from ontomesh_chassis.call import current_call
from ontomesh_chassis.trace import current_span_id
from ontomesh_data_kernel.domain.caller import Caller


def caller_now() -> Caller:
    """Who makes the call that this task serves, with the defaults that its metadata names."""
    call = current_call()
    identity = call.identity
    return Caller(
        identity.principal, call.trace_id, identity, call.author, call.branch, _audit_acting, current_span_id()
    )


def _audit_acting(author: str, database: str, branch: str) -> None:
    audit.record(audit.Event.ACTED_FOR_OTHER, author=author, database=database, branch=branch)
