"""The subscriptions as they are kept: records that all replicas share."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import orjson

from ontomesh_event_gateway.domain.filters import AttributeFilter, Filter
from ontomesh_event_gateway.domain.subscription import AttemptRecords, Ordering, Point, Start, Subscription
from ontomesh_event_gateway.errors import (
    BrokerUnavailable,
    EtagMismatch,
    SubscriptionAlreadyExists,
    SubscriptionNotFound,
)
from ontomesh_event_gateway.ports import Record, RecordConflict, Records

Tell = Callable[[str, Subscription | None], None]


class Catalog:
    """Every subscription by name, as this replica knows them now."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._known: dict[str, Subscription] = {}
        self._listeners: list[Tell] = []
        for key, record in records.all().items():
            self._known[key] = _read(record)
        records.on_change(self._changed)

    @property
    def is_loaded(self) -> bool:
        """Whether it was ever filled."""
        return self._records.is_loaded

    def on_change(self, tell: Tell) -> None:
        """Tells of every change: the name, and the subscription or None."""
        self._listeners.append(tell)

    def all(self) -> Mapping[str, Subscription]:
        """All of them; not to be changed."""
        return self._known

    def get(self, name: str) -> Subscription:
        """A subscription. Raises SubscriptionNotFound, BrokerUnavailable."""
        found = self._known.get(name)
        if found is None:
            if not self._records.is_loaded:
                raise BrokerUnavailable("the broker was not reached since this replica started")
            raise SubscriptionNotFound.of(name)
        return found

    async def add(self, one: Subscription) -> Subscription:
        """Keeps a new subscription. Raises SubscriptionAlreadyExists, BrokerUnavailable."""
        try:
            return _read(await self._records.put(one.name, _write(one), 0))
        except RecordConflict:
            message = f"there is a subscription {one.name!r} already"
            raise SubscriptionAlreadyExists(message, (), {"subscription": one.name}) from None

    async def change(self, one: Subscription) -> Subscription:
        """Keeps a subscription in the place of that with its etag. Raises EtagMismatch, BrokerUnavailable."""
        try:
            return _read(await self._records.put(one.name, _write(one), int(one.etag, 16)))
        except RecordConflict:
            raise self.mismatch(one.name) from None

    async def remove(self, one: Subscription) -> None:
        """Forgets a subscription if it still has its etag. Raises EtagMismatch, BrokerUnavailable."""
        try:
            await self._records.delete(one.name, int(one.etag, 16))
        except RecordConflict:
            raise self.mismatch(one.name) from None

    def mismatch(self, name: str) -> EtagMismatch:
        """The refusal for an etag that is not the current one."""
        current = self._known.get(name)
        message = f"the subscription {name!r} was changed or deleted meanwhile"
        return EtagMismatch(message, (), {"etag": current.etag if current is not None else ""})

    def _changed(self, key: str, record: Record | None) -> None:
        one = None if record is None else _read(record)
        if one is None:
            self._known.pop(key, None)
        else:
            self._known[key] = one
        for tell in self._listeners:
            tell(key, one)


def _write(one: Subscription) -> bytes:
    return orjson.dumps(replace(one, etag=""))


def _read(record: Record) -> Subscription:
    kept: dict[str, Any] = orjson.loads(record.value)
    parts = kept.pop("filter")
    attributes = tuple(AttributeFilter(one["name"], tuple(one["patterns"])) for one in parts.pop("attributes"))
    start, claim = kept.pop("start"), kept.pop("claim")
    return Subscription(
        **kept
        | {
            "filter": Filter(attributes=attributes, **{name: tuple(values) for name, values in parts.items()}),
            "start": Start(Point(start["point"]), start["value"]),
            "ordering": Ordering(kept["ordering"]),
            "attempt_records": AttemptRecords(kept["attempt_records"]),
            "claim": None if claim is None else tuple(claim),
            "etag": f"{record.revision:x}",
        }
    )
