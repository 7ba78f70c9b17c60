"""How validators fare, in Prometheus' terms."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class ValidatorMetrics:
    """Metrics of each validator, by its name."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._calls = Counter(
            "ontomesh_validator_calls", "Commits that a validator judged.", ["validator"], registry=registry
        )
        self._rejections = Counter(
            "ontomesh_validator_rejections", "Commits that a validator objected to.", ["validator"], registry=registry
        )
        self._failures = Counter(
            "ontomesh_validator_failures",
            "Commits that a validator did not judge, by why.",
            ["validator", "cause"],
            registry=registry,
        )
        self._seconds = Histogram(
            "ontomesh_validator_seconds",
            "How long a validator took for a commit.",
            ["validator"],
            registry=registry,
            buckets=_BUCKETS,
        )
        self._open = Gauge(
            "ontomesh_validator_circuit_open",
            "1 while a validator is not asked because it failed so often.",
            ["validator"],
            registry=registry,
        )

    def judged(self, name: str, seconds: float, *, objects: bool) -> None:
        """Counts a commit that was judged."""
        self._calls.labels(name).inc()
        self._seconds.labels(name).observe(seconds)
        if objects:
            self._rejections.labels(name).inc()

    def failed(self, name: str, cause: str, seconds: float) -> None:
        """Counts a commit that was not."""
        self._failures.labels(name, cause).inc()
        self._seconds.labels(name).observe(seconds)

    def circuit(self, name: str, *, is_open: bool) -> None:
        """Notes how the validator's circuit stands."""
        self._open.labels(name).set(is_open)
