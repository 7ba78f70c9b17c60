"""An event loop in a thread of its own, on which the blocking client runs the async one."""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import Future
from typing import Any, ClassVar, TypeVar

from ontomesh.sdk.paging import Paged

Result = TypeVar("Result")


class BackgroundLoop:
    """The loop that all blocking clients of a process share, from the first that opens to the last that closes.

    gRPC's asyncio layer wakes every loop that it was used on for every event, so one loop serves better than many.
    """

    _lock: ClassVar = threading.Lock()
    _shared: ClassVar["BackgroundLoop | None"] = None

    def __init__(self) -> None:
        self._users = 0
        self._loop = asyncio.new_event_loop()
        # A daemon, so that a script which forgets to close its client still ends.
        self._thread = threading.Thread(target=self._loop.run_forever, name="ontomesh", daemon=True)
        self._thread.start()

    @classmethod
    def acquire(cls) -> "BackgroundLoop":
        """The shared loop, running until everybody who acquired it has released it."""
        with cls._lock:
            if cls._shared is None:
                cls._shared = cls()
            cls._shared._users += 1
            return cls._shared

    def release(self) -> None:
        """Gives it back; the last to do so ends the thread."""
        with self._lock:
            self._users -= 1
            if self._users:
                return
            BackgroundLoop._shared = None
        asyncio.run_coroutine_threadsafe(_finish(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """The result of `work`, run on the loop in the caller's context.

        Raises:
            RuntimeError: The caller is on that loop itself, and would wait for itself; or the client is closed.
        """
        if self._loop.is_closed():
            work.close()
            raise RuntimeError("the client is closed")
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError("a blocking client cannot be used on its own event loop; use the async one there")
        future = asyncio.run_coroutine_threadsafe(_kept(work), self._loop)
        try:
            result = future.result()
        except BaseException:
            # Ctrl-C interrupts the wait, not the call.
            future.cancel()
            raise
        if isinstance(result, _Exit):
            raise result.wanted
        return result

    def start(self, work: Coroutine[Any, Any, Result]) -> "Future[Result]":
        """Runs `work` on the loop meanwhile, after what was started before it.

        Raises:
            RuntimeError: The client is closed.
        """
        if self._loop.is_closed():
            work.close()
            raise RuntimeError("the client is closed")
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def iterate(self, source: AsyncIterator[Result]) -> Iterator[Result]:
        """The items of `source`; a page of a paged one is fetched when it is needed."""
        reads: set[asyncio.Task[Any]] = set()
        if isinstance(source, Paged):
            try:
                while page := self.run(_noted(source.page(), reads)):
                    yield from page
            finally:
                self._close(source.aclose, reads)
            return
        try:
            while True:
                try:
                    yield self.run(_noted(_next(source), reads))
                except StopAsyncIteration:
                    return
        finally:
            if isinstance(source, AsyncGenerator):
                self._close(source.aclose, reads)

    def _close(self, close: Callable[[], Coroutine[Any, Any, None]], reads: set[asyncio.Task[Any]]) -> None:
        # Who forgot an iterator may have closed the client before, and with it the calls.
        if not self._loop.is_closed():
            self.run(_end(close, reads))


class _Exit:
    """What ends a program, on its way to the caller."""

    def __init__(self, wanted: BaseException) -> None:
        self.wanted = wanted


async def _kept(work: Coroutine[Any, Any, Result]) -> Result | _Exit:
    try:
        return await work
    except (SystemExit, KeyboardInterrupt) as wanted:
        # Raised by a task, it would end the loop, and with it every client.
        return _Exit(wanted)


async def _noted(work: Coroutine[Any, Any, Result], reads: set[asyncio.Task[Any]]) -> Result:
    task = asyncio.current_task()
    assert task is not None
    reads.add(task)
    try:
        return await work
    finally:
        reads.discard(task)


async def _end(close: Callable[[], Coroutine[Any, Any, None]], reads: set[asyncio.Task[Any]]) -> None:
    # A Ctrl-C may leave a read that nobody waits for, and what is read from cannot be closed.
    rest = set(reads)
    for task in rest:
        task.cancel()
    if rest:
        await asyncio.wait(rest)
    await close()


async def _next(source: AsyncIterator[Result]) -> Result:
    return await anext(source)


async def _finish() -> None:
    """Ends what still runs, so that no other thread waits for it for ever."""
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()
