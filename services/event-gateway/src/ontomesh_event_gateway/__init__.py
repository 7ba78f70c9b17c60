"""The event gateway: typed CloudEvents over NATS JetStream."""

__all__: list[str] = []
