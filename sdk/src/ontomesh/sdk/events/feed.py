"""A consumer's stream: deliveries in, answers out, and again where it breaks."""

import asyncio
import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

from grpc.aio import EOF

from ontomesh.events.v1 import consume_service_pb2, subscription_service_pb2
from ontomesh.sdk.call import FOREVER, DuplexCall
from ontomesh.sdk.errors import ConnectionFailed, OntomeshError
from ontomesh.sdk.events.delivery import Backoff, Delivery
from ontomesh.sdk.events.passing import may_pass
from ontomesh.sdk.events.processing import Processing
from ontomesh.sdk.patience import Patience
from ontomesh.sdk.raw import RawEvents

_MAX_ERROR_BYTES = 1024
_REMEMBERED = 10_000
_REMEMBERED_SECONDS = 60.0
_LONGEST_DELAY = timedelta(hours=24)
_SHORTEST_TICK = 0.05
_FAREWELL_SECONDS = 5.0

_log = logging.getLogger(__name__)

Request = consume_service_pb2.ConsumeRequest
Call = DuplexCall[consume_service_pb2.ConsumeResponse]


class Link:
    """One stream, while it lasts: what is to be said on it, and the numbers that its deliveries have."""

    def __init__(self, call: Call, credit: int) -> None:
        self.call = call
        self.wake = asyncio.Event()
        self.numbers: dict[Delivery, int] = {}
        self.renewed: dict[Delivery, float] = {}
        self._acks: list[int] = []
        self._others: list[Request] = []
        self._credit = 0
        self._grant_at = max(credit // 4, 1)

    def came(self, delivery: Delivery, number: int, now: float) -> None:
        """The delivery has this number, be it for the second time."""
        if delivery in self.numbers:
            self._credit += 1
        self.numbers[delivery] = number
        self.renewed[delivery] = now

    def done(self, delivery: Delivery) -> int | None:
        """The delivery's number, which is used up with that; None if it came by another stream."""
        self.renewed.pop(delivery, None)
        number = self.numbers.pop(delivery, None)
        if number is not None:
            self._credit += 1
            self.wake.set()
        return number

    def ack(self, number: int) -> None:
        """Acknowledges, with others."""
        self._acks.append(number)
        self.wake.set()

    def say(self, request: Request) -> None:
        """Says something else."""
        self._others.append(request)
        self.wake.set()

    def requests(self, *, grants: bool) -> list[Request]:
        """What is to be said now."""
        requests, self._others = self._others, []
        if self._acks:
            requests.append(Request(ack=consume_service_pb2.ConsumeAck(deliveries=self._acks)))
            self._acks = []
        if grants and self._credit >= self._grant_at:
            requests.append(Request(credit=consume_service_pb2.ConsumeCredit(events=self._credit)))
            self._credit = 0
        return requests


class Feed:
    """The deliveries of a subscription to one consumer.

    A broken stream is begun again. Deliveries that are with handlers meanwhile are known again when they come anew: one
    that is handled still is not handled twice at once, and one that is done with is answered without being handled.
    """

    def __init__(
        self,
        raw: RawEvents,
        subscription: str,
        *,
        consumer: str,
        credit: int,
        processing: Processing,
        backoff: Backoff,
        ended: "Callable[[Feed], None]",
    ) -> None:
        self._raw = raw
        self._subscription = subscription
        self._consumer = consumer
        self._credit = credit
        self._processing = processing
        self._backoff = backoff
        self._ended = ended
        self._thread = threading.get_ident()
        self._loop = asyncio.get_running_loop()
        self._link: Link | None = None
        self._queue: deque[Delivery] = deque()
        self._arrived = asyncio.Event()
        self._with_handlers: dict[int, Delivery] = {}
        self._done: OrderedDict[int, tuple[int, float]] = OrderedDict()
        self._settled = asyncio.Event()
        self._is_stopping = False
        self._ending = asyncio.Event()
        self._failure: Exception | None = None
        self._runner = asyncio.create_task(self._run())

    async def take(self) -> list[Delivery]:
        """The deliveries that came, at least one, for their handlers; none once the feed is stopped.

        Raises:
            OntomeshError: The stream ended in a way that does not pass.
        """
        while not self._queue:
            if self._failure is not None:
                raise self._failure
            if self._is_stopping:
                return []
            self._arrived.clear()
            await self._arrived.wait()
        taken = list(self._queue)
        self._queue.clear()
        return taken

    async def take_one(self) -> Delivery | None:
        """The next delivery; None once the feed is stopped. Raises what `take` does."""
        while not self._queue:
            if self._failure is not None:
                raise self._failure
            if self._is_stopping:
                return None
            self._arrived.clear()
            await self._arrived.wait()
        return self._queue.popleft()

    def stop(self) -> None:
        """Takes nothing more; what waits for a handler goes back to the subscription with the stream's end.

        Said any sooner, it would come here again: credit cannot be taken back.
        """
        self._is_stopping = True
        self._forget_queue()
        self._wake()

    async def close(self, grace: float) -> None:
        """Stops, waits for what is with handlers, up to `grace` seconds, and ends the stream with their answers."""
        self.stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                while self._with_handlers and not self._runner.done():
                    self._settled.clear()
                    await self._settled.wait()
        await self.end()

    async def end(self) -> None:
        """Ends the stream once its last answers are out."""
        self.stop()
        self._ending.set()
        if self._link is not None:
            self._link.wake.set()
            await asyncio.wait({self._runner}, timeout=_FAREWELL_SECONDS)
        self._runner.cancel()
        await asyncio.wait({self._runner})
        self._ended(self)

    # Answers; from any thread.

    def acknowledge(self, delivery: Delivery) -> None:
        """The delivery is done with."""
        self._on_loop(self._acknowledge, delivery)

    def nak(self, delivery: Delivery, delay: timedelta, error: str) -> None:
        """The delivery is wanted again."""
        self._on_loop(self._nak, delivery, min(max(delay, timedelta()), _LONGEST_DELAY), _cut(error))

    def reject(self, delivery: Delivery, error: str) -> None:
        """The delivery is never wanted again."""
        self._on_loop(self._reject, delivery, _cut(error))

    def _on_loop(self, work: Callable[..., None], *arguments: object) -> None:
        if threading.get_ident() == self._thread:
            work(*arguments)
        else:
            with suppress(RuntimeError):
                # The loop is closed: the event comes again.
                self._loop.call_soon_threadsafe(work, *arguments)

    def _acknowledge(self, delivery: Delivery) -> None:
        if self._with_handlers.pop(delivery.sequence, None) is None:
            return
        self._done.pop(delivery.sequence, None)
        self._done[delivery.sequence] = (delivery.attempt, time.monotonic())
        if len(self._done) > _REMEMBERED:
            self._done.popitem(last=False)
        number = self._number(delivery)
        if number is not None and self._link is not None:
            self._link.ack(number)

    def _nak(self, delivery: Delivery, delay: timedelta, error: str) -> None:
        number = self._answered(delivery)
        if number is not None and self._link is not None:
            nak = consume_service_pb2.ConsumeNak(delivery=number, error=error)
            nak.delay.FromTimedelta(delay)
            self._link.say(Request(nak=nak))

    def _reject(self, delivery: Delivery, error: str) -> None:
        number = self._answered(delivery)
        if number is not None and self._link is not None:
            self._link.say(Request(reject=consume_service_pb2.ConsumeReject(delivery=number, error=error)))

    def _answered(self, delivery: Delivery) -> int | None:
        if self._with_handlers.pop(delivery.sequence, None) is None:
            return None
        return self._number(delivery)

    def _number(self, delivery: Delivery) -> int | None:
        """Its number on the present stream; without one, it comes again by itself."""
        self._settled.set()
        return self._link.done(delivery) if self._link is not None else None

    # The stream.

    async def _run(self) -> None:
        patience = Patience(None)
        while True:
            try:
                await self._attempt(patience)
                return
            except OntomeshError as error:
                if self._ending.is_set():
                    return
                if not may_pass(error):
                    self._failure = error
                    self._wake()
                    return
                _log.info("consuming from %s broke off and goes on: %s", self._subscription, error.message)
            except Exception as error:  # noqa: BLE001 - whoever waits for deliveries is told
                self._failure = error
                self._wake()
                return
            await patience.again()

    async def _attempt(self, patience: Patience) -> None:
        request = subscription_service_pb2.GetSubscriptionRequest(name=self._subscription)
        found = (await self._raw.subscriptions.GetSubscription(request)).subscription
        deadline = found.ack_deadline.ToTimedelta().total_seconds() or 30.0
        # The channel under the stubs makes calls that are written to, whatever the stubs' types say.
        call: Call = self._raw.consumers.Consume(timeout=FOREVER)  # type: ignore[assignment]
        link = Link(call, self._credit)
        helpers: set[asyncio.Task[None]] = set()
        try:
            start = consume_service_pb2.ConsumeStart(
                subscription=self._subscription, credit=self._credit, consumer=self._consumer
            )
            link.say(Request(start=start))
            self._link = link
            helpers = {asyncio.create_task(self._write(link)), asyncio.create_task(self._renew(link, deadline))}
            while (answer := await call.read()) is not EOF:
                patience.succeeded()
                self._arrive(link, answer)
            if not self._ending.is_set():
                raise ConnectionFailed("the event gateway ended the stream")
        finally:
            self._link = None
            self._forget_queue()
            for helper in helpers:
                helper.cancel()
            call.cancel()

    def _forget_queue(self) -> None:
        """What nobody handles yet comes again."""
        while self._queue:
            delivery = self._queue.popleft()
            self._with_handlers.pop(delivery.sequence, None)
            if self._link is not None:
                self._link.renewed.pop(delivery, None)

    def _arrive(self, link: Link, answer: consume_service_pb2.ConsumeResponse) -> None:
        now = time.monotonic()
        for message in answer.deliveries:
            known = self._with_handlers.get(message.sequence)
            if known is not None:
                link.came(known, message.number, now)
                continue
            delivery = Delivery(message, self, self._processing, self._backoff)
            link.came(delivery, message.number, now)
            self._with_handlers[message.sequence] = delivery
            attempt, moment = self._done.pop(message.sequence, (message.attempt, now))
            if attempt < message.attempt and now - moment < _REMEMBERED_SECONDS:
                # Its acknowledgement was lost with the stream before.
                self._acknowledge(delivery)
            else:
                self._queue.append(delivery)
        if self._is_stopping:
            self.stop()
        elif self._queue:
            self._arrived.set()

    async def _write(self, link: Link) -> None:
        # Why the stream broke is told to who reads it.
        with suppress(OntomeshError):
            while True:
                link.wake.clear()
                is_last = self._ending.is_set()
                for request in link.requests(grants=not self._is_stopping):
                    await link.call.write(request)
                if is_last:
                    await link.call.done_writing()
                    return
                await link.wake.wait()

    async def _renew(self, link: Link, deadline: float) -> None:
        """Asks for more time before deliveries have used up half of theirs."""
        while True:
            await asyncio.sleep(max(deadline / 8, _SHORTEST_TICK))
            now = time.monotonic()
            due = [delivery for delivery, renewed in link.renewed.items() if now - renewed >= deadline * 3 / 8]
            if due:
                numbers = [link.numbers[delivery] for delivery in due]
                link.say(Request(in_progress=consume_service_pb2.ConsumeInProgress(deliveries=numbers)))
                link.renewed.update(dict.fromkeys(due, now))

    def _wake(self) -> None:
        self._arrived.set()
        self._settled.set()


def _cut(error: str) -> str:
    return error.encode()[:_MAX_ERROR_BYTES].decode(errors="ignore")
