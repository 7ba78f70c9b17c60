"""What Prometheus is told of deliveries, by subscription."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ontomesh_event_gateway.domain.pump import Pump
from ontomesh_event_gateway.errors import BrokerUnavailable
from ontomesh_event_gateway.ports import Consumers

logger = logging.getLogger(__name__)

LOOK_SECONDS = 15.0


class ConsumerMetrics(Collector):
    """Counts deliveries, and tells of the pumps and of what waits at the broker when it is asked.

    What waits is looked up every fifteen seconds, for subscriptions that nobody consumes from, too; for those that
    have consumers here it is what came with the last event.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ["subscription"]
        self._redeliveries = Counter(
            "ontomesh_redelivered_events", "Deliveries for the second time or more.", labels, registry=registry
        )
        self._dead = Counter("ontomesh_dead_letters", "Events that became dead letters.", labels, registry=registry)
        self._pumps: Callable[[], Mapping[str, Pump]] = dict
        self._lags: dict[str, int] = {}
        registry.register(self)

    def redelivered(self, subscription: str) -> None:
        """An event came for the second time or more."""
        self._redeliveries.labels(subscription).inc()

    def dead_lettered(self, subscription: str) -> None:
        """An event became a dead letter."""
        self._dead.labels(subscription).inc()

    def changed(self, subscription: str, one: object) -> None:
        """Tells no more of a subscription that is deleted: one that is None."""
        if one is None:
            for counter in (self._redeliveries, self._dead):
                counter.remove_by_labels({"subscription": subscription})
            self._lags.pop(subscription, None)

    def watch(self, pumps: Callable[[], Mapping[str, Pump]]) -> None:
        """Tells of these pumps from now on."""
        self._pumps = pumps

    async def follow(self, consumers: Consumers) -> None:
        """Looks up what waits, until cancelled."""
        while True:
            try:
                lags: dict[str, int] = {}
                for lane in await consumers.all():
                    lags[lane.subscription] = lags.get(lane.subscription, 0) + lane.pending
                self._lags = lags
            except BrokerUnavailable as fault:
                logger.debug("the lags of subscriptions are unknown for now: %s", fault.message)
            await asyncio.sleep(LOOK_SECONDS)

    def collect(self) -> Iterable[Metric]:
        """The gauges."""
        lag = GaugeMetricFamily(
            "ontomesh_consumer_lag_events", "Events that a subscription has not looked at yet.", labels=["subscription"]
        )
        outstanding = GaugeMetricFamily(
            "ontomesh_outstanding_events", "Events that are with consumers of this replica.", labels=["subscription"]
        )
        attached = GaugeMetricFamily(
            "ontomesh_attached_consumers", "Consumers attached to this replica.", labels=["subscription"]
        )
        pumps = self._pumps()
        for name, pending in self._lags.items():
            if name not in pumps:
                lag.add_metric([name], pending)
        for name, pump in pumps.items():
            lag.add_metric([name], pump.pending)
            outstanding.add_metric([name], pump.outstanding)
            attached.add_metric([name], len(pump.members))
        return (lag, outstanding, attached)
