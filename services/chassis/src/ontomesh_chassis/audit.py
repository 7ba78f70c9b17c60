"""Audit records: what an operator must be able to account for."""

import logging
from enum import StrEnum

from ontomesh_chassis.current import peek_call

logger = logging.getLogger("ontomesh.audit")


class Event(StrEnum):
    """The kinds of audit record."""

    WRITE_REFUSED = "write_refused"
    TOKEN_REJECTED = "token_rejected"  # noqa: S105 - an event's name, not a secret
    POLICY_CHANGED = "policy_changed"
    POLICY_REJECTED = "policy_rejected"
    KEYS_CHANGED = "keys_changed"
    KEYS_REJECTED = "keys_rejected"
    ACTED_FOR_OTHER = "acted_for_other"


def record(event: Event, **fields: str | None) -> None:
    """Writes one audit record; principal, method and trace id come from the current call unless they are given.

    Fields in use: principal, right, database, branch, method, reason, author, digest. Those that are None are left out.
    """
    call = peek_call()
    known: dict[str, str | None] = {"event": event.value}
    if call is not None:
        known |= {"principal": call.principal or None, "method": call.method, "trace_id": call.trace_id}
    known |= fields
    kept = {key: value for key, value in known.items() if value is not None}
    logger.info("%s", event.value, extra={"fields": kept})
