"""Where events lie, and how they are written to the broker."""

import re

import pytest

from ontomesh_event_gateway.adapters.nats import wire
from ontomesh_event_gateway.adapters.nats.subjects import (
    LONGEST_TOKEN,
    event_subject,
    message_id,
    partition,
    type_token,
)
from ontomesh_event_gateway.domain.model import PARTITIONS, Event


@pytest.mark.parametrize(
    ("key", "number"),
    [("", 0), ("a", 3), ("shop/main", 0), ("/shop\norder-1", 10), ("größe", 9)],
)
def test_the_partition_of_a_key_never_changes(key: str, number: int) -> None:
    assert partition(key) == number


def test_keys_are_spread_over_all_partitions() -> None:
    assert {partition(f"key-{number}") for number in range(1000)} == set(range(PARTITIONS))


@pytest.mark.parametrize(
    ("type_", "token"),
    [
        ("order", "order"),
        ("shop.order-placed_1", "shop=2Eorder-placed_1"),
        ("a=b", "a=3Db"),
        ("*", "=2A"),
        (">", "=3E"),
        ("größe", "gr=C3=B6=C3=9Fe"),
    ],
)
def test_a_type_is_one_token(type_: str, token: str) -> None:
    assert type_token(type_) == token
    assert event_subject(3, type_) == f"ontomesh.ev.3.{token}"


def test_long_types_are_cut_and_stay_apart() -> None:
    tokens = {type_token("ü" * 200 + str(number)) for number in range(100)}
    assert len(tokens) == 100
    assert all(len(token) <= LONGEST_TOKEN and re.fullmatch(r"[A-Za-z0-9_=-]+", token) for token in tokens)


def test_the_message_id_is_of_source_and_id() -> None:
    assert message_id("/a", "1") == message_id("/a", "1")
    assert len({message_id("/a", "1"), message_id("/a", "2"), message_id("/b", "1"), message_id("/a\n1", "")}) == 4


def test_a_batch_is_written_as_commands_with_one_commit() -> None:
    messages = [wire.Message(Event(str(number), "/a", "t", encoded=b"body%d" % number)) for number in range(3)]
    commands = wire.batch(messages, b"id", b"inbox.1")
    found = []
    while commands:
        line, _, rest = commands.partition(b"\r\n")
        *_, header_size, total = line.split()
        header, body = rest[: int(header_size)], rest[int(header_size) : int(total)]
        assert header.startswith(b"NATS/1.0\r\n")
        assert header.endswith(b"\r\n\r\n")
        assert rest[int(total) : int(total) + 2] == b"\r\n"
        found.append(
            (b"inbox.1" in line.split(), dict(part.split(b":", 1) for part in header.split(b"\r\n")[1:-2]), body)
        )
        commands = rest[int(total) + 2 :]
    assert [body for *_, body in found] == [b"body0", b"body1", b"body2"]
    assert [headers[b"Nats-Batch-Sequence"] for _, headers, _ in found] == [b"1", b"2", b"3"]
    assert {headers[b"Nats-Batch-Id"] for _, headers, _ in found} == {b"id"}
    assert [headers.get(b"Nats-Batch-Commit") for _, headers, _ in found] == [None, None, b"1"]
    assert [has_reply for has_reply, *_ in found] == [False, False, True]
    assert found[0][1][b"Nats-Msg-Id"] == message_id("/a", "0")


def test_a_hop_is_told_in_the_header() -> None:
    command = wire.single(wire.Message(Event("1", "/a", "t", encoded=b"x"), b"00-ab-cd-01"), b"inbox.1")
    assert b"\r\ntraceparent:00-ab-cd-01\r\n" in command
