"""Counts and durations of calls, in Prometheus' terms."""

from grpc import StatusCode
from prometheus_client import CollectorRegistry, Counter, GCCollector, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """One service's metrics. Further ones are registered at `registry` by whoever keeps them."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._calls = Counter(
            "ontomesh_calls", "Calls that have ended.", ["door", "method", "code"], registry=self.registry
        )
        self._seconds = Histogram(
            "ontomesh_call_seconds",
            "From the call's arrival to its end.",
            ["door", "method"],
            registry=self.registry,
            buckets=_BUCKETS,
        )
        # labels() costs as much as the rest of the record: its children are kept.
        self._counters: dict[tuple[str, str, StatusCode], Counter] = {}
        self._histograms: dict[tuple[str, str], Histogram] = {}

    def record(self, door: str, method: str, code: StatusCode, seconds: float) -> None:
        """Counts one call. `method` must come from a bounded set, such as route templates."""
        counter = self._counters.get((door, method, code))
        if counter is None:
            counter = self._calls.labels(door, method, code.name)
            self._counters[door, method, code] = counter
        histogram = self._histograms.get((door, method))
        if histogram is None:
            histogram = self._seconds.labels(door, method)
            self._histograms[door, method] = histogram
        counter.inc()
        histogram.observe(seconds)

    def exposition(self) -> bytes:
        """All metrics in the text format."""
        return generate_latest(self.registry)
