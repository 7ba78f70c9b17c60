"""What a principal gets to see of the events."""

import re
from collections.abc import Callable
from urllib.parse import unquote

from ontomesh_event_gateway.domain.attempts import Attempt
from ontomesh_event_gateway.domain.filters import KERNEL_TYPES, Test, is_kernel_event
from ontomesh_event_gateway.domain.model import Event
from ontomesh_event_gateway.ports import Rights

_BRANCH = re.compile("/databases/([^/]+)/branches/([^/]+)")
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


def attempt_gate(rights: Rights) -> Callable[[Attempt], bool]:
    """Tells of an attempt whether the principal may know of its event now, by the subscription."""

    def test(one: Attempt) -> bool:
        if not rights.allows_event("consume", one.event_type, one.subscription):
            return False
        if not one.event_type.startswith(KERNEL_TYPES):
            return True
        named = _BRANCH.fullmatch(one.event_source)
        if named is None:
            return rights.allows_everywhere("read")
        return rights.allows("read", unquote(named[1]), unquote(named[2]))

    return test
