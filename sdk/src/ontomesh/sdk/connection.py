"""`connect`: the way in."""

from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from opentelemetry.trace import TracerProvider

from ontomesh.sdk._blocking import Mesh
from ontomesh.sdk.background import BackgroundLoop
from ontomesh.sdk.breaker import CircuitBreaker
from ontomesh.sdk.config import TlsConfig, find_address, find_events_address, find_home, find_token
from ontomesh.sdk.errors import ConfigurationError
from ontomesh.sdk.mesh import AsyncMesh
from ontomesh.sdk.settings import Settings

DEFAULT_TIMEOUT = 30.0
"""Seconds that a call may take which names no deadline."""


class Connection:
    """A connection that is not open yet: `async with` gives the async client, `with` the blocking one.

    Where a `with` does not fit, as in the cells of a notebook, `open` gives the blocking client; close it yourself.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._mesh: Mesh | None = None
        self._async_mesh: AsyncMesh | None = None

    def open(self) -> Mesh:
        """The blocking client; its calls work in scripts, in threads, and in a notebook whose own loop runs."""
        loop = BackgroundLoop.acquire()
        try:
            target = loop.run(self._make())
        except BaseException:
            loop.release()
            raise
        return Mesh(target, loop)

    def open_async(self) -> AsyncMesh:
        """The async client, for the event loop that runs now."""
        return AsyncMesh(self.settings)

    async def _make(self) -> AsyncMesh:
        mesh = self.open_async()
        if self.settings.channel is not None:
            # What is opened in this process can be refused now; a server is asked with the first call.
            try:
                await mesh.ready()
            except BaseException:
                await mesh.close()
                raise
        return mesh

    def __enter__(self) -> Mesh:
        self._mesh = self.open()
        return self._mesh

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._mesh is not None:
            self._mesh.close()

    async def __aenter__(self) -> AsyncMesh:
        self._async_mesh = await self._make()
        return self._async_mesh

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._async_mesh is not None:
            await self._async_mesh.close()


def connect(
    address: str | None = None,
    *,
    events_address: str | None = None,
    token: str | None = None,
    home: str | Path | None = None,
    timeout: float = DEFAULT_TIMEOUT,
    tls: TlsConfig | None = None,
    retries: bool = True,
    keepalive: float = 30.0,
    branch: str = "",
    author: str = "",
    source: str = "",
    insecure_token: bool = False,
    options: Iterable[tuple[str, str | int]] = (),
    breaker: CircuitBreaker | None = None,
    tracer_provider: TracerProvider | None = None,
) -> Connection:
    """A connection to a kernel, to be opened by `async with` or `with`. Nothing is sent before the first call.

    Args:
        address: Any gRPC target (`host:port`, `dns:///`, `xds:///`, `unix:`). Else `ONTOMESH_ADDRESS`, else that of
            the local stack in the home folder, else `127.0.0.1:50051`.
        events_address: The event gateway, another gRPC target, for `events`. Else `ONTOMESH_EVENTS_ADDRESS`, else that
            of the local stack in the home folder, else `127.0.0.1:50053`. Nothing connects there before it is used.
        token: The bearer token. Else `ONTOMESH_TOKEN`, the file `ONTOMESH_TOKEN_FILE`, the home folder's `token`.
            Files are read again when they change, and when the server calls the token expired.
        home: The local stack's folder. Else `ONTOMESH_HOME`, else `~/.ontomesh`.
        timeout: The deadline of a call that names none, in seconds.
        tls: How to speak TLS, `TlsConfig()` for the system's authorities; None for plaintext.
        retries: Whether gRPC repeats calls that met no server. Reads can be repeated, and so can writes, by their
            request ids.
        keepalive: Seconds between pings; they find dead connections even while no call is made.
        branch: What an empty ref or branch means in the calls of this connection, if not `main`.
        author: Whom commits are by, for principals that may act for others.
        source: The source of events that name none; else `/programs/` and the name of this program.
        insecure_token: Allows the token to be sent in the clear to another machine.
        options: gRPC channel arguments that win over the SDK's own.
        breaker: A circuit breaker with limits of its own.
        tracer_provider: Who records the spans of calls, if not the application's global provider.

    Raises:
        ConfigurationError: A setting or a file that holds one cannot be understood.
    """
    if timeout <= 0:
        raise ConfigurationError(f"the timeout must be positive, not {timeout:g} s")
    folder = find_home(home)
    value, file, must_exist = find_token(token, folder)
    settings = Settings(
        address=find_address(address, folder),
        events_address=find_events_address(events_address, folder),
        token=value,
        token_file=file,
        token_file_must_exist=must_exist,
        tls=tls,
        timeout=timeout,
        retries=retries,
        keepalive=keepalive,
        branch=branch,
        author=author,
        source=source,
        insecure_token=insecure_token,
        options=tuple(options),
        breaker=breaker,
        tracer_provider=tracer_provider,
    )
    return Connection(settings)
