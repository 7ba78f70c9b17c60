"""The one connection to NATS."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, NoReturn, TypeVar

import nats
import nats.errors
import orjson
from nats.aio.client import Client

from ontomesh_event_gateway.adapters.nats.protocol import Inlet, Take
from ontomesh_event_gateway.errors import BrokerUnavailable, GatewayError, StreamFull

logger = logging.getLogger(__name__)

T = TypeVar("T")

API_SECONDS = 5.0
CONNECT_SECONDS = 5
PING_SECONDS = 3
FIRST_WAIT_SECONDS = 0.1
LONGEST_WAIT_SECONDS = 2.0
CLOSE_SECONDS = 1.0

STORE_FAILED = 10077
STREAM_NOT_FOUND = 10059
CONSUMER_NOT_FOUND = 10014
MESSAGE_NOT_FOUND = 10037
WRONG_LAST_SEQUENCE = 10071


class ApiRefused(BrokerUnavailable):
    """JetStream refused a request; `code` is its error code. Where nobody expects one, it is an outage like another."""

    def __init__(self, code: int, description: str) -> None:
        super().__init__(f"the broker refused: {description} ({code})")
        self.code = code
        self.description = description


class Connection:
    """One connection to NATS, made in the background and again whenever it is lost.

    Each time there is a new `client`: what subscribes does so in a callback of `on_connect`, which are awaited in
    turn each time. What is under way when the connection is lost fails with BrokerUnavailable and is never sent later.
    """

    def __init__(self, servers: Sequence[str], token: str, name: str) -> None:
        self._servers = list(servers)
        self._token = token
        self._name = name
        self._client: Client | None = None
        self._inlet: Inlet | None = None
        self._lost: asyncio.Future[None] | None = None
        self._available = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._connect_callbacks: list[Callable[[], Awaitable[None]]] = []
        self._disconnect_callbacks: list[Callable[[], None]] = []

    def start(self) -> None:
        """Begins to connect; returns at once."""
        self._task = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """Ends the connection for good."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def on_connect(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Awaits a callback whenever there is a new connection, after those that were named before it."""
        self._connect_callbacks.append(callback)

    def on_disconnect(self, callback: Callable[[], None]) -> None:
        """Calls a callback whenever the connection is lost."""
        self._disconnect_callbacks.append(callback)

    def forget_disconnect(self, callback: Callable[[], None]) -> None:
        """Calls a callback no more."""
        if callback in self._disconnect_callbacks:
            self._disconnect_callbacks.remove(callback)

    @property
    def available(self) -> bool:
        """Whether there is a connection."""
        return self._available.is_set()

    async def wait_available(self) -> None:
        """Returns once there is a connection."""
        await self._available.wait()

    @property
    def client(self) -> Client:
        """The client of the connection that there is now. Raises BrokerUnavailable."""
        if self._client is None:
            raise BrokerUnavailable("there is no connection to the broker")
        return self._client

    def send(self, protocol: bytes) -> None:
        """Hands whole commands of NATS' protocol to the connection, in order. Raises BrokerUnavailable."""
        client = self.client
        # nats-py's publish spends 10 µs on each message; this is what it does at its end, for many at once.
        client._pending.append(protocol)
        client._pending_data_size += len(protocol)
        if client._flush_queue is not None and client._flush_queue.empty():
            client._flush_queue.put_nowait(asyncio.get_running_loop().create_future())

    def subscribe(self, subject: str, take: Take) -> int:
        """Begins to hand the messages of a subject to `take`, while this connection lasts; returns the subscription's
        number. Raises BrokerUnavailable.
        """
        if self._client is None or self._inlet is None:
            raise BrokerUnavailable("there is no connection to the broker")
        sid, command = self._inlet.subscribe(subject, take)
        self.send(command)
        return sid

    def unsubscribe(self, sid: int, grace: float = 0.0) -> None:
        """Ends a subscription of this connection; without a connection there is none. What is under way is still handed
        on for `grace` seconds.
        """
        if self._client is None or self._inlet is None:
            return
        self.send(b"UNSUB %d\r\n" % sid)
        if grace:
            asyncio.get_running_loop().call_later(grace, self._inlet.forget, sid)
        else:
            self._inlet.forget(sid)

    async def or_lost(self, work: Awaitable[T]) -> T:
        """What the work returns. Raises BrokerUnavailable if the connection is lost before that, or NATS fails."""
        lost = self._lost
        task = asyncio.ensure_future(work)
        if lost is None:
            task.cancel()
            raise BrokerUnavailable("there is no connection to the broker")
        waiting: set[asyncio.Future[Any]] = {task, lost}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
        except (nats.errors.Error, OSError) as error:
            raise BrokerUnavailable(f"the broker does not answer: {_words(error)}") from error
        finally:
            task.cancel()
        raise BrokerUnavailable("the connection to the broker was lost")

    async def api(self, subject: str, payload: object = None, seconds: float = API_SECONDS) -> dict[str, Any]:
        """What JetStream answers to a request, `subject` without `$JS.API.`.

        Raises ApiRefused with JetStream's error code, StreamFull, BrokerUnavailable.
        """
        body = b"" if payload is None else orjson.dumps(payload)
        answer = await self.or_lost(self.client.request(f"$JS.API.{subject}", body, timeout=seconds))
        return read_answer(answer.data)

    async def _keep(self) -> None:
        wait, told, clock = FIRST_WAIT_SECONDS, "", asyncio.get_running_loop().time
        while True:
            try:
                client = await self._connect()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is told and tried again
                # nats-py lets more through than its own errors where what answers is no NATS.
                words = _words(error)
                logger.log(logging.DEBUG if words == told else logging.WARNING, "cannot connect to NATS: %s", words)
                told = words
            else:
                begun = clock()
                await self._use(client)
                if clock() - begun > LONGEST_WAIT_SECONDS:
                    # A server that takes a connection and ends it at once is left alone as one that takes none.
                    wait = FIRST_WAIT_SECONDS
                told = ""
            await asyncio.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT_SECONDS)

    async def _connect(self) -> Client:
        client = Client()
        self._inlet = Inlet.of(client)
        try:
            async with asyncio.timeout(2 * CONNECT_SECONDS):
                await client.connect(
                    list(self._servers),
                    name=self._name,
                    token=self._token or None,
                    error_cb=self._log_error,
                    allow_reconnect=False,
                    max_reconnect_attempts=1,
                    reconnect_time_wait=0,
                    connect_timeout=CONNECT_SECONDS,
                    ping_interval=PING_SECONDS,
                    max_outstanding_pings=2,
                    pending_size=0,
                )
        except BaseException:
            with suppress(nats.errors.Error, OSError, TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await client.close()
            raise
        return client

    async def _log_error(self, error: Exception) -> None:
        # Of what keeps a connection from being made, `_keep` tells.
        logger.log(logging.WARNING if self.available else logging.DEBUG, "NATS: %s", _words(error))

    async def _use(self, client: Client) -> None:
        reading = client._reading_task
        assert reading is not None
        self._client = client
        self._lost = asyncio.get_running_loop().create_future()
        self._available.set()
        if client.connected_url is not None:
            logger.info("connected to NATS at %s", client.connected_url.netloc.rpartition("@")[2])
        greeting = asyncio.create_task(self._greet())
        try:
            # The reader ends at whatever ends the connection; nats-py's callbacks do not always come.
            await asyncio.wait({reading})
            logger.warning("the connection to NATS is lost")
        finally:
            self._client = None
            self._available.clear()
            self._lost.set_result(None)
            self._lost = None
            greeting.cancel()
            for callback in tuple(self._disconnect_callbacks):
                callback()
            with suppress(nats.errors.Error, OSError, TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await client.close()

    async def _greet(self) -> None:
        for callback in self._connect_callbacks:
            try:
                await callback()
            except (GatewayError, nats.errors.Error, OSError, TimeoutError) as error:
                logger.warning("after connecting to NATS: %s", _words(error))


def read_answer(data: bytes) -> dict[str, Any]:
    """An answer of JetStream. Raises ApiRefused, StreamFull."""
    answer: dict[str, Any] = orjson.loads(data) if data else {}
    if "error" in answer:
        _refuse(answer["error"], str(answer.get("stream", "")))
    return answer


def _refuse(error: dict[str, Any], stream: str) -> NoReturn:
    code, description = int(error.get("err_code", 0)), str(error.get("description", ""))
    if code == STORE_FAILED and description.startswith("maximum"):
        # One code for every fault of storing; the text alone tells a full stream from a broken disk.
        raise StreamFull(f"the stream takes no more: {description}", (), {"stream": stream})
    raise ApiRefused(code, description)


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
