"""Reading NATS' protocol, however the bytes come."""

import asyncio
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ontomesh_event_gateway.adapters.nats.messages import delivered, header, lapsed, status_of
from ontomesh_event_gateway.adapters.nats.protocol import Inlet


class _Client:
    """What the parser uses of nats-py's client."""

    def __init__(self) -> None:
        self._sid = 4
        self.seen: list[Any] = []

    async def _process_msg(self, *message: Any) -> None:
        self.seen.append(message)

    async def _process_ping(self) -> None:
        self.seen.append("ping")

    async def _process_info(self, info: dict[str, Any]) -> None:
        self.seen.append(info)


_TEXT = (
    b'INFO {"server_id":"x"}\r\nPING\r\nMSG a.b 5  3\r\na\r\n\r\n'
    b"HMSG a.b 5 reply.x 22 26\r\nNATS/1.0\r\nname:val\r\n\r\nbody\r\n"
    b"MSG c 9 r 2\r\nhi\r\n+OK\r\nHMSG d 9 12 12\r\nNATS/1.0\r\n\r\n\r\n"
)


@given(st.lists(st.integers(0, len(_TEXT)), max_size=30))
def test_messages_are_read_whole_wherever_the_bytes_are_cut(cuts: list[int]) -> None:
    client = _Client()
    inlet = Inlet(client)  # type: ignore[arg-type]
    taken: list[Any] = []
    sid, command = inlet.subscribe("a.*", lambda *message: taken.append(message))
    assert (sid, command) == (5, b"SUB a.*  5\r\n")

    async def feed() -> None:
        edges = [0, *sorted(cuts), len(_TEXT)]
        for begin, end in pairwise(edges):
            await inlet.parse(_TEXT[begin:end])

    asyncio.run(feed())
    assert taken == [
        (b"a.b", b"", b"", b"a\r\n"),
        (b"a.b", b"reply.x", b"NATS/1.0\r\nname:val\r\n\r\n", b"body"),
    ]
    assert client.seen == [
        {"server_id": "x"},
        "ping",
        (9, b"c", b"r", b"hi", None),
        (9, b"d", b"", b"", b"NATS/1.0\r\n\r\n"),
    ]


def test_a_delivery_is_read_with_and_without_a_domain() -> None:
    expected = (3, 17, 21, 1_700_000_000_000_000, 5)
    rest = b"S.C.3.17.21.1700000000000000123.5"
    assert delivered(b"$JS.ACK." + rest) == expected
    assert delivered(b"$JS.ACK.domain.hash." + rest + b".token") == expected


def test_a_status_tells_whether_only_the_pull_has_ended() -> None:
    assert status_of(b"NATS/1.0\r\nname: x\r\n\r\n") == 0
    assert header(b"NATS/1.0\r\nA:1\r\nname: x\r\n\r\n", b"name") == "x"
    assert lapsed(b"NATS/1.0 408 Request Timeout\r\nNats-Pending-Messages: 7\r\n\r\n") == 7
    assert lapsed(b"NATS/1.0 409 Batch Completed\r\nNats-Pending-Messages: 0\r\n\r\n") == 0
    assert lapsed(b"NATS/1.0 409 Consumer Deleted\r\n\r\n") is None
    assert lapsed(b"NATS/1.0 503\r\n\r\n") is None
