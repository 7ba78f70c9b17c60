"""What a principal gets to see of the events."""

from collections.abc import Callable

from ontomesh_event_gateway.domain.filters import Test, is_kernel_event
from ontomesh_event_gateway.domain.model import Event
from ontomesh_event_gateway.ports import Rights

RightsOf = Callable[[str, tuple[str, ...] | None], Rights]
"""The rights of a principal whose token named these (None: none), by whatever policy is in force when they are asked."""


def gate(rights: Rights, subscription: str = "") -> Test:
    """Tells of an event whether the principal may get it now, by a subscription or outside of all."""
    allows_event, allows = rights.allows_event, rights.allows

    def test(event: Event) -> bool:
        if not allows_event("consume", event.type, subscription):
            return False
        if not is_kernel_event(event):
            return True
        database, branch = event.text("database"), event.text("branch")
        return bool(database and branch) and allows("read", database, branch)

    return test
