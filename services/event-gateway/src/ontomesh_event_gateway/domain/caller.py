"""Who makes a call."""

from dataclasses import dataclass

from ontomesh_event_gateway.ports import Rights


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a call, and in which trace."""

    rights: Rights
    trace_id: str = ""

    @property
    def principal(self) -> str:
        """Such as `user:ana`."""
        return self.rights.principal
