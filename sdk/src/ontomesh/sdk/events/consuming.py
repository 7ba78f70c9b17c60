"""Consuming from a subscription: by a handler, or delivery by delivery."""

import asyncio
import inspect
import logging
import os
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

from ontomesh.sdk.events.calls import GatewayCalls
from ontomesh.sdk.events.delivery import Backoff, Delivery, doubling
from ontomesh.sdk.events.feed import Feed
from ontomesh.sdk.events.processing import Processing
from ontomesh.sdk.paging import Batches

GRACE_SECONDS = 30.0
"""How long a consumer that stops waits for what is handled."""

Handler = Callable[[Delivery], Awaitable[object] | object]
"""Is done with a delivery when it returns. A coroutine function runs on the event loop, another in a thread."""

CREDIT = 100
"""How many events may wait at a consumer."""

_log = logging.getLogger(__name__)


class HandlerExit(Exception):
    """A handler wants the program to end; raised as it is in a task, that would end the event loop at once."""

    def __init__(self, wanted: BaseException) -> None:
        super().__init__(f"{type(wanted).__name__} {wanted}")
        self.wanted = wanted


class ConsumeCalls(GatewayCalls):
    """Receiving events with acknowledgements."""

    async def consume(
        self,
        subscription: str,
        handler: Handler,
        *,
        concurrency: int = 1,
        credit: int = 0,
        consumer: str = "",
        backoff: Backoff = doubling,
        grace: float = GRACE_SECONDS,
    ) -> None:
        """Handles a subscription's events until it is cancelled; it begins again by itself where the gateway was away.

        An event is done with when the handler returns. `Retry` asks for it again, `Reject` makes a dead letter of it,
        and after any other exception it comes again as `backoff` says; `SystemExit` ends the consumer. While a handler
        runs, the subscription's ack_deadline is put off. Consumers of one subscription share its events, in this process
        and elsewhere.

        What is cancelled finishes what it handles and answers for it. In blocking code, Ctrl-C does that.

        Args:
            subscription: Its name.
            handler: Gets each delivery; within it, the span `process <type>` is current.
            concurrency: How many events are handled at once. Subscriptions by key keep their order at any.
            credit: How many events may wait here, at most 10,000; else 100, or twice the concurrency.
            consumer: A name for this consumer in attempts; else that of this machine and process.
            backoff: Seconds until an event comes again whose attempt failed; 1, 2, 4 to 60 unless given.
            grace: The longest wait for handlers when it ends.

        Raises:
            SubscriptionNotFound: There is none of this name, or not any more.
            PermissionDenied: The subscription is somebody else's.
        """
        feed = self._feed(subscription, credit or max(CREDIT, 2 * concurrency), consumer, backoff)
        threads = ThreadPoolExecutor(concurrency, "ontomesh-handler")
        call = _caller(handler, threads)
        workers = [asyncio.create_task(_work(feed, call)) for _ in range(concurrency)]
        try:
            done, _ = await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
            for worker in done:
                worker.result()
        except HandlerExit as exit:
            raise exit.wanted from None
        finally:
            try:
                await feed.close(grace)
            finally:
                for worker in workers:
                    worker.cancel()
                await asyncio.wait(workers)
                # A handler that still runs may need this very loop: it is not waited for.
                threads.shutdown(wait=False)

    def deliveries(
        self,
        subscription: str,
        *,
        credit: int = CREDIT,
        consumer: str = "",
        backoff: Backoff = doubling,
    ) -> AsyncIterator[Delivery]:
        """A subscription's deliveries, each to be answered by its own methods, or as a context: see `Delivery`.

        It begins again by itself where the gateway was away. The ack_deadline of what is not answered is put off for as
        long as the iterator lives; what is not answered at its end comes again. A wait for the next delivery that is
        cancelled, as a timeout does, is its end, too.
        """
        return Batches(self._deliveries(subscription, credit, consumer, backoff))

    async def _deliveries(
        self, subscription: str, credit: int, consumer: str, backoff: Backoff
    ) -> AsyncGenerator[Sequence[Delivery]]:
        feed = self._feed(subscription, credit, consumer, backoff)
        try:
            while taken := await feed.take():
                yield taken
        finally:
            await feed.end()

    def _feed(self, subscription: str, credit: int, consumer: str, backoff: Backoff) -> Feed:
        feed = Feed(
            self._raw,
            subscription,
            consumer=consumer or f"{socket.gethostname()}:{os.getpid()}",
            credit=credit,
            processing=Processing(self._tracing, subscription),
            backoff=backoff,
            ended=self._feeds.discard,
        )
        self._feeds.add(feed)
        return feed


async def _work(feed: Feed, call: Callable[[Delivery], Awaitable[object]]) -> None:
    while (delivery := await feed.take_one()) is not None:
        try:
            with delivery:
                await _handle(delivery, call)
        except HandlerExit:
            raise
        except Exception as error:  # noqa: BLE001 - it is told to the gateway, and the next event is handled
            _log.warning("handling %s failed: %s", delivery.event.id, error, exc_info=error)


async def _handle(delivery: Delivery, call: Callable[[Delivery], Awaitable[object]]) -> None:
    try:
        await call(delivery)
    except (SystemExit, KeyboardInterrupt) as wanted:
        raise HandlerExit(wanted) from None
    except asyncio.CancelledError as cancelled:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        # Of something that the handler waited for: the consumer goes on.
        raise RuntimeError("what the handler waited for was cancelled") from cancelled


def _caller(handler: Handler, threads: ThreadPoolExecutor) -> Callable[[Delivery], Awaitable[object]]:
    """The handler as a coroutine function."""
    is_async = inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(type(handler).__call__)
    if is_async:
        return handler  # type: ignore[return-value]

    def in_thread(delivery: Delivery) -> object:
        try:
            return handler(delivery)
        except StopIteration as error:
            # No future takes it, and the wait for this one would never end.
            raise RuntimeError("the handler raised StopIteration") from error

    async def call(delivery: Delivery) -> object:
        loop = asyncio.get_running_loop()
        result: Any = await loop.run_in_executor(threads, copy_context().run, in_thread, delivery)
        return await result if inspect.isawaitable(result) else result

    return call
