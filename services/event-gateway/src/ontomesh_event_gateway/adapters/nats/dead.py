"""Dead letters: a stream of their own, a subject for each subscription."""

from collections.abc import Callable
from urllib.parse import quote, unquote

from ontomesh_event_gateway.adapters.nats.acks import Acks
from ontomesh_event_gateway.adapters.nats.messages import Kept
from ontomesh_event_gateway.adapters.nats.stored import StoredMessages
from ontomesh_event_gateway.adapters.nats.streams import DEAD
from ontomesh_event_gateway.adapters.nats.subjects import escaped, partition, redriven_subject
from ontomesh_event_gateway.domain.model import Event
from ontomesh_event_gateway.errors import TooLarge
from ontomesh_event_gateway.ports import DeadLetter, Decode, FoundDeadLetters

MAX_ERROR = 4_096
_LEAST_ERROR = 128
_HEADER_ROOM = 256
_MAX_DIGITS = 18
_PREFIX = "ontomesh.dead"


class NatsDeadLetters:
    """Dead letters in JetStream; an id is a sequence."""

    def __init__(
        self, stored: StoredMessages, acks: Acks, decode: Decode, without_data: Callable[[Event], Event]
    ) -> None:
        self._stored = stored
        self._acks = acks
        self._decode = decode
        self._without_data = without_data

    async def put(self, subscription: str, event: Event, error: str, attempts: int, sequence: int) -> None:
        """Keeps a dead letter durably, its error shortened and then its data left out where the broker takes no more.

        Raises BrokerUnavailable, StreamFull, TooLarge.
        """
        # More than it takes would make the broker end the connection, and all that is under way on it.
        limit = self._acks.max_payload - _HEADER_ROOM
        encoded = event.encoded
        if len(encoded) + _LEAST_ERROR > limit:
            encoded = self._without_data(event).encoded
        room = limit - len(encoded)
        if room < _LEAST_ERROR:
            raise TooLarge(f"the broker takes no dead letter of {len(encoded)} bytes", (), {"limit": str(limit)})
        headers = {
            "Ontomesh-Error": _quoted(error[:MAX_ERROR], room),
            "Ontomesh-Attempts": str(attempts),
            "Ontomesh-Sequence": str(sequence),
        }
        await self._publish(_subject(subscription), headers, encoded)

    async def list(self, subscription: str, after: int, limit: int, max_bytes: int) -> FoundDeadLetters:
        """Dead letters behind an id, oldest first."""
        found = await self._stored.batch(DEAD, _subject(subscription), after + 1, limit, max_bytes)
        more = bool(found) and int(found[-1].headers.get("nats-num-pending", "0")) > 0
        return FoundDeadLetters([self._letter(subscription, one) for one in found], more)

    async def last(self, subscription: str) -> int:
        """The newest one's id, 0 if there is none."""
        found = await self._stored.last(DEAD, _subject(subscription))
        return 0 if found is None else found.sequence

    async def get(self, subscription: str, id_: str) -> DeadLetter | None:
        """One of them, None if there is none of that id."""
        if not (id_.isascii() and id_.isdigit() and len(id_) <= _MAX_DIGITS and id_[0] != "0"):
            return None
        found = await self._stored.at(DEAD, int(id_))
        if found is None or found.subject != _subject(subscription):
            return None
        return self._letter(subscription, found)

    async def count(self, subscription: str) -> int:
        """How many there are."""
        return await self._stored.count(DEAD, _subject(subscription))

    async def redrive(self, letter: DeadLetter) -> int:
        """Hands its event to its subscription again. Raises BrokerUnavailable, StreamFull."""
        subject = redriven_subject(escaped(letter.subscription), partition(letter.event.key))
        headers = {
            # Whoever redrives a letter that was redriven and not deleted yet adds nothing.
            "Nats-Msg-Id": f"redrive/{letter.id}/{letter.create_time}",
            "content-type": "application/cloudevents+protobuf",
        }
        return await self._publish(subject, headers, letter.event.encoded)

    async def delete(self, letter: DeadLetter) -> bool:
        """Forgets one; False if it was gone."""
        return await self._stored.delete(DEAD, int(letter.id))

    async def forget(self, subscription: str) -> None:
        """Forgets all of a subscription's."""
        await self._stored.purge(DEAD, _subject(subscription))

    async def _publish(self, subject: str, headers: dict[str, str], payload: bytes) -> int:
        reply = self._acks.reply()
        lines = "".join(f"\r\n{name}:{value}" for name, value in headers.items())
        head = f"NATS/1.0{lines}\r\n\r\n".encode()
        size = len(head)
        command = b"HPUB %b %b %d %d\r\n%b%b\r\n" % (
            subject.encode(),
            reply,
            size,
            size + len(payload),
            head,
            payload,
        )
        return int((await self._acks.send(command, reply))["seq"])

    def _letter(self, subscription: str, one: Kept) -> DeadLetter:
        return DeadLetter(
            id=str(one.sequence),
            subscription=subscription,
            event=self._decode(one.payload),
            error=unquote(one.headers.get("ontomesh-error", "")),
            attempts=int(one.headers.get("ontomesh-attempts", "0")),
            sequence=int(one.headers.get("ontomesh-sequence", "0")),
            create_time=one.time,
        )


def _quoted(text: str, most: int) -> str:
    while len(quoted := quote(text, safe=" ")) > most:
        text = text[: len(text) * most // len(quoted)]
    return quoted


def _subject(subscription: str) -> str:
    return f"{_PREFIX}.{escaped(subscription)}"
