"""The client of one kernel."""

import grpc

from ontomesh.sdk.breaker import CircuitBreaker
from ontomesh.sdk.call import CallChannel, CallPolicy
from ontomesh.sdk.channel import open_channel
from ontomesh.sdk.config import is_local
from ontomesh.sdk.credentials import Credentials
from ontomesh.sdk.database import AsyncDatabase
from ontomesh.sdk.databases import AsyncDatabases
from ontomesh.sdk.raw import Raw
from ontomesh.sdk.settings import Settings
from ontomesh.sdk.tracing import Tracing

# The health protocol's answer with status SERVING: one field of one byte needs no stubs of its own.
_SERVING = b"\x08\x01"


class AsyncMesh:
    """A connection to a kernel, for one event loop. It connects with the first call."""

    __slots__ = ("_channel", "_databases", "_health", "_raw", "_settings")

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        address = settings.address
        credentials = Credentials(
            address,
            token=settings.token,
            file=settings.token_file,
            must_exist=settings.token_file_must_exist,
            may_send=settings.tls is not None or settings.insecure_token or is_local(address),
        )
        defaults = (("x-ontomesh-branch", settings.branch), ("x-ontomesh-author", settings.author))
        policy = CallPolicy(
            address=address,
            credentials=credentials,
            breaker=settings.breaker or CircuitBreaker(),
            timeout=settings.timeout,
            tracing=Tracing(settings.tracer_provider),
            defaults=tuple(pair for pair in defaults if pair[1]),
        )
        self._channel = settings.channel() if settings.channel is not None else _remote(settings)
        self._health: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(
            "/grpc.health.v1.Health/Check"
        )
        self._raw = Raw(CallChannel(self._channel, policy))
        self._databases = AsyncDatabases(self._raw)

    @property
    def address(self) -> str:
        """The gRPC target it connects to."""
        return self._settings.address

    @property
    def raw(self) -> Raw:
        """The generated stubs, with the same treatment of every call as here."""
        return self._raw

    @property
    def databases(self) -> AsyncDatabases:
        """The kernel's databases."""
        return self._databases

    def database(self, name: str) -> AsyncDatabase:
        """A database by its name; asks nobody whether it exists."""
        return AsyncDatabase(name, self._raw)

    async def health(self, *, timeout: float = 5.0) -> bool:
        """Whether the kernel answers and says that it serves. Asks even while the circuit is open."""
        try:
            answer = await self._health(b"", timeout=timeout)
        except grpc.aio.AioRpcError:
            return False
        return answer == _SERVING

    async def ready(self) -> None:
        """Returns once it is connected; waits for as long as that takes."""
        await self._channel.channel_ready()

    async def close(self) -> None:
        """Ends the connection, and calls that are under way with it."""
        await self._channel.close()


def _remote(settings: Settings) -> grpc.aio.Channel:
    return open_channel(
        settings.address,
        tls=settings.tls,
        retries=settings.retries,
        keepalive=settings.keepalive,
        options=settings.options,
    )
