"""What the blocking client has beyond the methods of the async one."""

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self, TypeVar

from ontomesh.sdk.background import BackgroundLoop
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


async def _call(work: Callable[[AsyncMesh], Awaitable[Result]], target: AsyncMesh) -> Result:
    return await work(target)
