"""The parser of NATS' protocol, held against nats-py's own."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import Client
from nats.errors import ProtocolError
from nats.protocol.parser import Parser

from ontomesh_event_gateway.adapters.nats.connection import Connection
from ontomesh_event_gateway.adapters.nats.protocol import Inlet

WORDS = st.from_regex(rb"[A-Za-z0-9_$.>-]{1,60}", fullmatch=True)
PAYLOADS = st.one_of(st.binary(max_size=200), st.sampled_from([b"", b"\r\n", b"PING\r\n", b"MSG a 1 3\r\nabc\r\n"]))


class Told:
    """What a parser tells its client, in order."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self._sid = 0

    async def _process_ping(self) -> None:
        self.calls.append(("ping",))

    async def _process_pong(self) -> None:
        self.calls.append(("pong",))

    async def _process_info(self, info: dict[str, Any]) -> None:
        self.calls.append(("info", info))

    async def _process_err(self, words: str) -> None:
        self.calls.append(("err", words.strip("'")))

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes | None) -> None:
        self.calls.append(("msg", int(sid), bytes(subject), bytes(reply), bytes(data), headers))


@st.composite
def commands(draw: st.DrawFn) -> bytes:
    kind = draw(st.sampled_from(["MSG", "HMSG", "PING", "PONG", "+OK", "-ERR", "INFO"]))
    match kind:
        case "MSG":
            subject, sid, reply = draw(WORDS), draw(st.integers(1, 99)), draw(st.one_of(st.just(b""), WORDS))
            payload = draw(PAYLOADS)
            words = [b"MSG", subject, b"%d" % sid, *([reply] if reply else []), b"%d" % len(payload)]
            return b" ".join(words) + b"\r\n" + payload + b"\r\n"
        case "HMSG":
            subject, sid, reply = draw(WORDS), draw(st.integers(1, 99)), draw(st.one_of(st.just(b""), WORDS))
            payload = draw(PAYLOADS)
            headers = b"NATS/1.0\r\n" + b"".join(b"a:%b\r\n" % draw(WORDS) for _ in range(draw(st.integers(0, 5))))
            headers += b"\r\n"
            size = len(headers)
            words = [b"HMSG", subject, b"%d" % sid, *([reply] if reply else []), b"%d %d" % (size, size + len(payload))]
            return b" ".join(words) + b"\r\n" + headers + payload + b"\r\n"
        case "-ERR":
            return draw(st.sampled_from([b"-ERR 'Stale Connection'\r\n", b"-ERR 'Authorization Violation'\r\n"]))
        case "INFO":
            return b'INFO {"server_id":"a","max_payload":%d}\r\n' % draw(st.integers(0, 1 << 20))
        case _:
            return kind.encode() + b"\r\n"


def heard(parser: Any, told: Told, parts: list[bytes]) -> list[tuple[Any, ...]]:
    async def parse() -> None:
        for part in parts:
            await parser.parse(part)

    asyncio.run(parse())
    return told.calls


def by_theirs(data: bytes) -> list[tuple[Any, ...]]:
    told = Told()
    return heard(Parser(told), told, [data])


def by_ours(parts: list[bytes]) -> list[tuple[Any, ...]]:
    told = Told()
    return heard(Inlet(told), told, parts)  # type: ignore[arg-type]


@given(st.lists(commands(), max_size=8), st.data())
def test_it_hears_what_the_clients_own_parser_hears_however_it_is_cut(sent: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=12)))
    parts = [whole[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert by_ours(parts) == by_theirs(whole)


@given(st.lists(commands(), min_size=1, max_size=4))
def test_it_may_get_one_byte_at_a_time(sent: list[bytes]) -> None:
    whole = b"".join(sent)
    assert by_ours([whole[at : at + 1] for at in range(len(whole))]) == by_theirs(whole)


def test_headers_may_be_huge_and_a_ping_may_come_behind_them() -> None:
    headers = b"NATS/1.0\r\na:" + b"x" * 3_000_000 + b"\r\n\r\n"
    message = b"HMSG a 1 %d %d\r\n%bp\r\nPING\r\n" % (len(headers), len(headers) + 1, headers)
    parts = [message[at : at + 65_536] for at in range(0, len(message), 65_536)]
    assert by_ours(parts) == [("msg", 1, b"a", b"", b"p", headers), ("ping",)]


def test_messages_of_its_own_subscriptions_go_to_their_callbacks_until_they_end() -> None:
    told = Told()
    inlet = Inlet(told)  # type: ignore[arg-type]
    taken: list[tuple[bytes, bytes, bytes, bytes]] = []
    sid, command = inlet.subscribe("in.*", lambda *message: taken.append(message))
    assert command == b"SUB in.*  1\r\n"
    heard(inlet, told, [b"MSG in.a %d re 1\r\nx\r\n" % sid, b"HMSG in.b %d 12 13\r\nNATS/1.0\r\n\r\ny\r\n" % sid])
    inlet.forget(sid)
    assert heard(inlet, told, [b"MSG in.a %d 1\r\nz\r\n" % sid]) == [("msg", 1, b"in.a", b"", b"z", None)]
    assert taken == [(b"in.a", b"re", b"", b"x"), (b"in.b", b"", b"NATS/1.0\r\n\r\n", b"y")]


@pytest.mark.parametrize(
    "data",
    [
        b"HELLO\r\n",
        b"x" * 2_000_000,
        b"MSG\r\n",
        b"MSG a 1 b\r\n",
        b"HMSG a 1 9 x\r\n",
        b"INFO {\r\n",
        b"MSG a 1 -5\r\n",
    ],
)
def test_what_is_no_protocol_ends_the_connection(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        by_ours([data])


def test_an_error_without_words_is_one() -> None:
    assert by_ours([b"-ERR\r\nPING\r\n"]) == [("err", ""), ("ping",)]


def test_what_it_forgets_does_not_come_back() -> None:
    told = Told()
    inlet = Inlet(told)  # type: ignore[arg-type]
    heard(inlet, told, [b"MSG a 1 10\r\nabc"])
    inlet.reset()
    assert heard(inlet, told, [b"PONG\r\n"]) == [("pong",)]


async def test_the_client_has_the_inner_names_that_are_used_here() -> None:
    """Without them nothing works; the range of versions in pyproject.toml is what this holds for."""
    client: Any = Client()
    names = {"_ps", "_sid", "_pending", "_pending_data_size", "_flush_queue", "_reading_task"}
    assert names <= set(vars(client))
    assert isinstance(client._pending, list)
    for name in ("_process_ping", "_process_pong", "_process_info", "_process_err", "_process_msg"):
        assert asyncio.iscoroutinefunction(getattr(client, name))
    with pytest.raises(Exception, match="no connection"):
        Connection(["nats://127.0.0.1:1"], "", "test").send(b"PING\r\n")
