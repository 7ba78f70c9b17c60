"""What Prometheus is told of publishing and of the spool."""

from collections import Counter as Tally
from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from ontomesh_event_gateway.domain.model import Outcome, Result
from ontomesh_event_gateway.ports import Spool

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class PublishMeter:
    """Counts published events by what became of them, and how long requests took."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            "ontomesh_publish_seconds",
            "From a request's arrival to the results of all its events.",
            buckets=_BUCKETS,
            registry=registry,
        )
        counter = Counter("ontomesh_published_events", "Events by what became of them.", ["outcome"], registry=registry)
        self._events = {outcome: counter.labels(outcome.value) for outcome in Outcome}

    def published(self, results: Sequence[Result], seconds: float) -> None:
        """Counts the events of one request."""
        self._seconds.observe(seconds)
        for outcome, count in Tally([result.outcome for result in results]).items():
            self._events[outcome].inc(count)


def watch_spool(spool: Spool, age: Callable[[], float], registry: CollectorRegistry) -> None:
    """Tells how many events and bytes are in the spool, and for how many seconds the oldest has been."""
    for name, description, read in (
        ("ontomesh_spool_events", "Events that wait in the spool.", lambda: spool.depth),
        ("ontomesh_spool_bytes", "Bytes that the spool takes.", lambda: spool.size),
        ("ontomesh_spool_age_seconds", "How long the oldest event has waited in the spool.", age),
    ):
        Gauge(name, description, registry=registry).set_function(read)
