"""The domain's caller, of the call that is being served."""

from ontomesh_chassis.call import current_call
from ontomesh_chassis.policy import claim_texts
from ontomesh_event_gateway.domain.caller import Caller


def caller_now() -> Caller:
    """Who makes the call that this task serves."""
    call = current_call()
    return Caller(call.identity, call.trace_id)


def claim_now() -> tuple[str, ...] | None:
    """The rights that the caller's token names, None if it names none."""
    claim = current_call().identity.claim
    return None if claim is None else claim_texts(claim)
