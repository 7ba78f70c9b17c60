"""The settings of a connection, as found."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import grpc
from opentelemetry.trace import TracerProvider

from ontomesh.sdk.breaker import CircuitBreaker
from ontomesh.sdk.config import TlsConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What `connect` was told and what it found; nothing here is looked up again, except the token's file.

    Attributes:
        address: Any gRPC target.
        events_address: That of the event gateway; empty if there is none.
        token: The bearer token, if it was given as such.
        token_file: Where it lies, if not.
        token_file_must_exist: Whether a missing file is an error; else calls go without a token.
        tls: How to speak TLS; None for plaintext.
        timeout: Deadline of a call that names none, in seconds.
        retries: Whether gRPC repeats calls that met no server.
        keepalive: Seconds between pings that find dead connections.
        branch: The default for an empty ref or branch.
        author: Who commits are by, for those who may act for others.
        source: The source of events that name none.
        insecure_token: Allows the token to leave the machine in the clear.
        options: gRPC channel arguments that win over the SDK's.
        breaker: A circuit breaker with limits of its own; None for the usual ones.
        tracer_provider: Who records spans; None for the application's global provider.
        channel: Makes the channel, on the event loop that will use it; None for one to `address`.
    """

    address: str
    events_address: str = ""
    token: str | None = None
    token_file: Path | None = None
    token_file_must_exist: bool = False
    tls: TlsConfig | None = None
    timeout: float = 30.0
    retries: bool = True
    keepalive: float = 30.0
    branch: str = ""
    author: str = ""
    source: str = ""
    insecure_token: bool = False
    options: tuple[tuple[str, str | int], ...] = ()
    breaker: CircuitBreaker | None = None
    tracer_provider: TracerProvider | None = None
    channel: Callable[[], grpc.aio.Channel] | None = None
