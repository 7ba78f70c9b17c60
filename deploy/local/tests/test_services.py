"""What the stack tells of its services."""

import socket
from pathlib import Path

import pytest

from ontomesh_local.config import StackSettings
from ontomesh_local.free_ports import reserved
from ontomesh_local.services import LOOPBACK, Service, connected, services


@pytest.mark.parametrize(
    ("store", "place"),
    [
        ("", "/h/data/kernel.db"),
        ("sqlite:////var/k.db", "/var/k.db"),
        ("terminusdb://kernel:secret@db.example:6363/org?prefix=a-", "terminusdb://db.example:6363/org"),
    ],
)
def test_the_place_of_the_data_has_no_password(store: str, place: str) -> None:
    kernel = services(StackSettings(home=Path("/h"), store=store))[-1]
    assert kernel.data == place


def free(home: Path = Path("/h")) -> list[Service]:
    ports = {name: 0 for name in StackSettings.model_fields if name.endswith("_port")}
    return services(StackSettings.model_validate({"home": home, **ports}))


def test_services_start_before_those_that_they_serve() -> None:
    assert [service.name for service in free()] == ["nats", "event-gateway", "data-kernel"]


def test_services_know_one_anothers_addresses_before_any_of_them_runs() -> None:
    with reserved(free(), "127.0.0.2") as settled:
        nats, gateway, kernel = connected(settled, "127.0.0.2")
        assert gateway.environment["ONTOMESH_NATS_URL"] == f"nats://{LOOPBACK}:{nats.ports[0].number}"
        assert gateway.environment["ONTOMESH_NATS_SYNC_INTERVAL"] == "always"
        assert gateway.environment["ONTOMESH_KERNEL_ADDRESS"] == f"127.0.0.2:{kernel.ports[0].number}"
        assert kernel.environment["ONTOMESH_EVENTS_ADDRESS"] == f"127.0.0.2:{gateway.ports[0].number}"


def test_a_reserved_port_goes_to_whoever_names_it_and_to_nobody_by_chance() -> None:
    with reserved(free(), LOOPBACK) as settled:
        numbers = [port.number for service in settled for port in service.ports]
        assert len(set(numbers)) == len(numbers) == 5
        with socket.socket() as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind((LOOPBACK, numbers[0]))
            server.listen()
            with socket.create_connection((LOOPBACK, numbers[0]), timeout=5):
                pass


def test_a_port_that_was_chosen_stays() -> None:
    chosen = services(StackSettings(home=Path("/h"), store="", nats_port=4711))
    with reserved(chosen, LOOPBACK) as settled:
        assert settled == chosen
