"""The domain's caller, of the call that is being served."""

from ontomesh_chassis.call import current_call
from ontomesh_data_kernel.domain.caller import Caller


def caller_now() -> Caller:
    """Who makes the call that this task serves, with the defaults that its metadata names."""
    call = current_call()
    identity = call.identity
    return Caller(identity.principal, call.trace_id, identity, call.author, call.branch)
