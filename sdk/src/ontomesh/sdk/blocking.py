"""What the blocking client has beyond the methods of the async one."""

import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from types import TracebackType
from typing import Self, TypeVar

from ontomesh.sdk.background import BackgroundLoop
from ontomesh.sdk.events.event import Event
from ontomesh.sdk.events.publisher import AsyncPublisher
from ontomesh.sdk.events.resources import Published
from ontomesh.sdk.mesh import AsyncMesh

Result = TypeVar("Result")


class BlockingClient:
    """Runs an async client on the background loop."""

    def __init__(self, target: AsyncMesh, loop: BackgroundLoop) -> None:
        self._target = target
        self._loop = loop
        self._closed = False

    def run(self, work: Callable[[AsyncMesh], Awaitable[Result]]) -> Result:
        """The result of an async function of the async client, such as `lambda mesh: mesh.raw.refs.ResolveRef(...)`.

        For several calls at once, and for the raw stubs.
        """
        return self._loop.run(_call(work, self._target))

    def close(self) -> None:
        """Ends the connection. Closing twice does nothing."""
        if not self._closed:
            self._closed = True
            self._loop.run(self._target.close())
            self._loop.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class SyncPublisher:
    """Publishes events in the order in which they are given, many to a message; see `AsyncPublisher`.

    Several threads may share it. Leaving `with` waits for the answers.
    """

    def __init__(self, target: AsyncPublisher, loop: BackgroundLoop) -> None:
        self._target = target
        self._loop = loop
        # What waits for the loop counts, too: else a fast thread could fill the memory.
        self._room = threading.BoundedSemaphore(target.outstanding)

    def publish(
        self,
        subject: str | Event,
        payload: bytes = b"",
        timeout: float | None = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Published:
        """What became of an event, once it is stored, or spooled while the broker is away.

        It waits for the answer; for the rate of many from one thread see `publish_async`. Arguments and errors are
        those of `AsyncPublisher.publish`.
        """
        return self._loop.run(self._target.publish(subject, payload, timeout, headers=headers))

    def publish_async(
        self, subject: str | Event, payload: bytes = b"", *, headers: Mapping[str, str] | None = None
    ) -> "Future[Published]":
        """A future of what becomes of an event; arguments and errors are those of `publish`.

        It returns at once while fewer events than `outstanding` wait for their answers.
        """
        self._room.acquire()
        try:
            future = self._loop.start(self._target.publish(subject, payload, headers=headers))
        except BaseException:
            self._room.release()
            raise
        future.add_done_callback(lambda _: self._room.release())
        return future

    def flush(self) -> None:
        """Returns once everything published before is answered, whatever the answers."""
        self._loop.run(self._target.flush())

    def close(self) -> None:
        """Flushes, and ends the stream. Closing twice does nothing."""
        self._loop.run(self._target.close())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


async def _call(work: Callable[[AsyncMesh], Awaitable[Result]], target: AsyncMesh) -> Result:
    return await work(target)
