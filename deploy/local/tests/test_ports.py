import getpass
import os
import socket
from collections.abc import Iterator

import pytest

from ontomesh_local.ports import Holder, holder_of, unusable
from ontomesh_local.services import Port, Service


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def service(*ports: int) -> Service:
    return Service("relay", "relay", ("relay",), tuple(Port("gRPC", port, f"RELAY_PORT_{port}") for port in ports))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_a_taken_port_is_told_with_who_wants_it_and_who_has_it(taken: int) -> None:
    (found,) = unusable([service(free_port(), taken)], "127.0.0.1")
    assert found.port.variable == f"RELAY_PORT_{taken}"
    assert found.holder is not None
    assert found.holder.pid == os.getpid()
    text = str(found)
    assert text.startswith(f"127.0.0.1:{taken}, which the relay wants for gRPC, is taken by process {os.getpid()} (")
    assert "pytest" in text or "python" in text
    assert f"user {getpass.getuser()}" in text


def test_free_ports_and_port_zero_are_usable() -> None:
    assert list(unusable([service(0, free_port())], "127.0.0.1")) == []


def test_a_listener_on_every_address_takes_the_port_too() -> None:
    with socket.socket() as listener:
        listener.bind(("", 0))
        listener.listen()
        assert len(list(unusable([service(listener.getsockname()[1])], "127.0.0.1"))) == 1


def test_an_address_that_is_not_of_this_machine_is_told_without_a_holder() -> None:
    (found,) = unusable([service(free_port())], "203.0.113.7")
    assert found.holder is None
    assert "cannot be used: " in str(found)


def test_a_port_that_nobody_holds_has_no_holder() -> None:
    assert holder_of(free_port()) == Holder()


@pytest.mark.parametrize(
    ("holder", "text"),
    [
        (Holder(7, "nc -l 7", "ana"), "process 7 (user ana, nc -l 7)"),
        (Holder(7), "process 7"),
        (Holder(user="ana"), "a process of user ana, hidden from this one"),
        (Holder(), "a process hidden from this user"),
    ],
)
def test_a_holder_is_told_as_far_as_it_is_visible(holder: Holder, text: str) -> None:
    assert str(holder) == text
