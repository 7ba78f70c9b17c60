"""The relay's figures, in Prometheus' terms."""

import time
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ontomesh_data_kernel.domain.relaying import RelayStatus

_BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 60.0, 600.0)


class RelayMetrics(Collector):
    """How late commits are relayed, and how the relay stands when it is asked."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._status: Callable[[], RelayStatus] | None = None
        self._lag = Histogram(
            "ontomesh_relay_commit_seconds",
            "From a commit's time until its last event was stored.",
            registry=registry,
            buckets=_BUCKETS,
        )
        registry.register(self)

    def observe(self, lag: float) -> None:
        """Note how late a commit was relayed."""
        self._lag.observe(max(0.0, lag))

    def watch(self, status: Callable[[], RelayStatus]) -> None:
        """Ask here from now on."""
        self._status = status

    def collect(self) -> Iterator[Metric]:
        """See `Collector`."""
        if self._status is None:
            return
        told = self._status()
        lag = time.time() - told.oldest_waiting / 1e6 if told.oldest_waiting is not None else 0.0
        yield GaugeMetricFamily("ontomesh_relay_leading", "Whether this kernel is the one that relays.", told.leading)
        yield GaugeMetricFamily("ontomesh_relay_lag_seconds", "The age of the oldest commit that waits.", max(0.0, lag))
        yield GaugeMetricFamily(
            "ontomesh_relay_branches_behind", "Branches with commits to relay.", told.branches_behind
        )
        yield CounterMetricFamily("ontomesh_relay_commits", "Commits relayed.", told.commits)
        yield CounterMetricFamily("ontomesh_relay_events", "Events stored or refused for good.", told.events)
        yield CounterMetricFamily("ontomesh_relay_dead_letters", "Events refused for good.", told.dead_letters)
        yield CounterMetricFamily("ontomesh_relay_failures", "Failures that the relay goes on after.", told.failures)
