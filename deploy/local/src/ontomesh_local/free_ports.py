"""Free ports for services that may listen anywhere: chosen beforehand, since the others must know them."""

import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from ontomesh_local.services import Port, Service


@contextmanager
def reserved(services: Sequence[Service], host: str) -> Iterator[list[Service]]:
    """The services with a free port in place of each 0. Within the block nobody else is given one of these."""
    with ExitStack() as held:

        def port(service: Service, wanted: Port) -> Port:
            return wanted if wanted.number else replace(wanted, number=_reserve(service.host or host, held))

        yield [replace(service, ports=tuple(port(service, wanted) for wanted in service.ports)) for service in services]


def free_port(host: str) -> int:
    """A port that nobody listens on now."""
    with ExitStack() as held:
        return _reserve(host, held)


def _reserve(host: str, held: ExitStack) -> int:
    family, kind, protocol, _name, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
    reservation = held.enter_context(socket.socket(family, kind, protocol))
    # As servers do: what is bound so and does not listen leaves the port to a server that names it, and to no one else.
    reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reservation.bind(address)
    number: int = reservation.getsockname()[1]
    return number
