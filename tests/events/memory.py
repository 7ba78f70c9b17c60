"""Ports of the gateway in memory."""

from collections.abc import Callable, Mapping

from ontomesh_event_gateway.domain.caller import Caller
from ontomesh_event_gateway.errors import BrokerUnavailable
from ontomesh_event_gateway.ports import Record, RecordConflict


class MemoryRecords:
    """A bucket of one process; without a broker where `is_away`."""

    def __init__(self) -> None:
        self.is_away = False
        self._records: dict[str, Record] = {}
        self._revision = 0
        self._listeners: list[Callable[[str, Record | None], None]] = []

    @property
    def is_loaded(self) -> bool:
        return True

    def get(self, key: str) -> Record | None:
        return self._records.get(key)

    def all(self) -> Mapping[str, Record]:
        return self._records

    async def put(self, key: str, value: bytes, revision: int | None = None) -> Record:
        self._expect(key, revision)
        self._revision += 1
        record = self._records[key] = Record(key, value, self._revision)
        for tell in self._listeners:
            tell(key, record)
        return record

    async def delete(self, key: str, revision: int | None = None) -> None:
        self._expect(key, revision)
        self._records.pop(key, None)
        for tell in self._listeners:
            tell(key, None)

    def on_change(self, tell: Callable[[str, Record | None], None]) -> None:
        self._listeners.append(tell)

    def _expect(self, key: str, revision: int | None) -> None:
        if self.is_away:
            raise BrokerUnavailable("the broker is away")
        known = self._records.get(key)
        if revision is not None and revision != (known.revision if known is not None else 0):
            raise RecordConflict(key)


class Someone:
    """A principal with the same rights everywhere."""

    def __init__(self, principal: str = "user:ana", *rights: str) -> None:
        self._principal = principal
        self._rights = rights or ("admin", "read", "publish", "consume")

    @property
    def principal(self) -> str:
        return self._principal

    def allows(self, right: str, database: str, branch: str | None = None) -> bool:
        return right in self._rights

    def allows_everywhere(self, right: str) -> bool:
        return right in self._rights

    def allows_event(self, right: str, type_: str | None, subscription: str = "", /) -> bool:
        return right in self._rights


ANA = Caller(Someone())
BOB = Caller(Someone("user:bob", "read"))
