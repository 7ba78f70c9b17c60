"""The client of one kernel, and of the event gateway beside it."""

import grpc

from ontomesh.sdk.breaker import CircuitBreaker
from ontomesh.sdk.call import CallChannel, CallPolicy
from ontomesh.sdk.channel import open_channel
from ontomesh.sdk.config import is_local
from ontomesh.sdk.credentials import Credentials
from ontomesh.sdk.database import AsyncDatabase
from ontomesh.sdk.databases import AsyncDatabases
from ontomesh.sdk.errors import ConfigurationError
from ontomesh.sdk.events.client import AsyncEvents
from ontomesh.sdk.raw import Raw, RawEvents
from ontomesh.sdk.settings import Settings
from ontomesh.sdk.tracing import Tracing
from ontomesh.sdk.validators import AsyncValidators

# The health protocol's answer with status SERVING: one field of one byte needs no stubs of its own.
_SERVING = b"\x08\x01"


class AsyncMesh:
    """A connection to a kernel, for one event loop. It connects with the first call.

    The event gateway has a connection of its own, which is opened when `events` is first used.
    """

    __slots__ = ("_channel", "_databases", "_events", "_events_channel", "_health", "_raw", "_raw_events", "_settings")

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        defaults = (("x-ontomesh-branch", settings.branch), ("x-ontomesh-author", settings.author))
        policy = CallPolicy(
            address=settings.address,
            credentials=_credentials(settings, settings.address),
            breaker=settings.breaker or CircuitBreaker(),
            timeout=settings.timeout,
            tracing=Tracing(settings.tracer_provider),
            defaults=tuple(pair for pair in defaults if pair[1]),
        )
        in_process = settings.channel
        self._channel = _remote(settings, settings.address) if in_process is None else in_process()
        self._health: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(
            "/grpc.health.v1.Health/Check"
        )
        self._raw = Raw(CallChannel(self._channel, policy), self._events_stubs)
        self._databases = AsyncDatabases(self._raw)
        self._events_channel: grpc.aio.Channel | None = None
        self._raw_events: RawEvents | None = None
        self._events: AsyncEvents | None = None

    @property
    def address(self) -> str:
        """The gRPC target it connects to."""
        return self._settings.address

    @property
    def events_address(self) -> str:
        """The gRPC target of the event gateway; empty if there is none."""
        return self._settings.events_address

    @property
    def raw(self) -> Raw:
        """The generated stubs, with the same treatment of every call as here."""
        return self._raw

    @property
    def databases(self) -> AsyncDatabases:
        """The kernel's databases."""
        return self._databases

    @property
    def events(self) -> AsyncEvents:
        """Events, by the event gateway.

        Raises:
            ConfigurationError: The mesh is opened in this process, where there is no gateway.
        """
        if self._events is None:
            settings = self._settings
            if not settings.events_address:
                raise ConfigurationError(f"there are no events with {settings.address}: they need an event gateway")
            self._events = AsyncEvents(self._events_stubs, settings.source, Tracing(settings.tracer_provider))
        return self._events

    @property
    def validators(self) -> AsyncValidators:
        """The kernel's validators, which check commits before they count."""
        return AsyncValidators(self._raw)

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
        """Ends the connection, and calls that are under way with it.

        Publishers are flushed and consumers finish what they handle before that.
        """
        if self._events is not None:
            await self._events.finish()
        if self._events_channel is not None:
            await self._events_channel.close()
        await self._channel.close()

    def _events_stubs(self) -> RawEvents:
        if self._raw_events is None:
            settings = self._settings
            if not settings.events_address:
                raise ConfigurationError(f"there are no events with {settings.address}: they need an event gateway")
            policy = CallPolicy(
                address=settings.events_address,
                credentials=_credentials(settings, settings.events_address),
                breaker=CircuitBreaker(),
                timeout=settings.timeout,
                tracing=Tracing(settings.tracer_provider),
                server=f"the event gateway at {settings.events_address}",
            )
            self._events_channel = _remote(settings, settings.events_address)
            self._raw_events = RawEvents(CallChannel(self._events_channel, policy))
        return self._raw_events


def _credentials(settings: Settings, address: str) -> Credentials:
    return Credentials(
        address,
        token=settings.token,
        file=settings.token_file,
        must_exist=settings.token_file_must_exist,
        may_send=settings.tls is not None or settings.insecure_token or is_local(address),
    )


def _remote(settings: Settings, address: str) -> grpc.aio.Channel:
    return open_channel(
        address,
        tls=settings.tls,
        retries=settings.retries,
        keepalive=settings.keepalive,
        options=settings.options,
    )
