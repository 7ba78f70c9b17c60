"""Start points: which sequence they mean."""

import time

from ontomesh_event_gateway.domain.subscription import Point, Start
from ontomesh_event_gateway.errors import InvalidRequest, StartNotRetained
from ontomesh_event_gateway.ports import EventLog

MAX_AHEAD = 60 * 1_000_000
"""How far clocks may differ: points of time that lie further ahead are none."""
MAX_SEQUENCE = (1 << 63) - 1


class Starting:
    """Finds where to begin."""

    def __init__(self, events: EventLog) -> None:
        self._events = events

    async def sequence(self, start: Start, field: str) -> int:
        """The sequence of the first event behind a point. Raises InvalidRequest, StartNotRetained, BrokerUnavailable."""
        if start.point is Point.SEQUENCE and not 0 < start.value <= MAX_SEQUENCE:
            raise InvalidRequest.at(f"{field}.sequence", "is 1 or more")
        if start.point is Point.TIME and start.value > time.time_ns() // 1000 + MAX_AHEAD:
            raise InvalidRequest.at(f"{field}.time", "lies in the future")
        first, last, first_time = await self._events.bounds()
        match start.point:
            case Point.NEW:
                return last + 1
            case Point.ALL:
                return max(first, 1)
            case Point.SEQUENCE:
                if start.value < first:
                    raise _not_retained(first)
                return start.value
            case Point.TIME:
                if first > 1 and (not first_time or start.value < first_time):
                    raise _not_retained(first)
                found = await self._events.since(start.value)
                return last + 1 if found is None else found


def _not_retained(first: int) -> StartNotRetained:
    message = f"the stream holds events from sequence {first} on"
    return StartNotRetained(message, (), {"first_sequence": str(first)})
